//! Listings: order, prefixes, delimiters, pages.

use super::context::{Context, Failure, check, element, elements, error, has_header, status, text};
use crate::client::Request;

super::cases!("listing":
    version_2_pages_through_all,
    version_1_pages_through_all,
    order_is_that_of_utf8_bytes,
    prefix_and_delimiter,
    delimiter_pages_count_prefixes,
    delimiter_of_several_characters,
    start_after,
    max_keys_zero,
    max_keys_over_a_thousand,
    malformed_parameters_are_refused,
    bad_continuation_token_is_refused,
    an_empty_continuation_token_asks_for_the_first_page,
    the_prefix_of_version_1_survives_clients_that_do_not_decode_it,
    empty_markers_of_versions_are_none,
    a_page_of_no_keys_is_complete,
    uploads_name_their_owner,
    buckets_are_listed_in_pages,
    buckets_are_listed_by_prefix_and_region,
    malformed_pages_of_buckets_are_refused,
    encoding_type_url,
    fetch_owner,
    versions_of_an_unversioned_bucket,
    entry_shows_size_etag_and_checksum,
);

async fn fill(context: &Context, keys: &[&str]) -> Result<(), Failure> {
    context.create_bucket().await?;
    for key in keys {
        context.put(key, b"x").await?;
    }
    Ok(())
}

async fn list(context: &Context, query: &[(&str, &str)]) -> Result<String, Failure> {
    let request = query.iter().fold(context.request("GET", ""), |request, (name, value)| request.query(name, value));
    let answer = context.send(request).await?;
    status(&answer, 200)?;
    Ok(text(&answer))
}

fn prefixes(xml: &str) -> Vec<String> {
    elements(xml, "CommonPrefixes").iter().filter_map(|inside| element(inside, "Prefix")).collect()
}

async fn version_2_pages_through_all(context: Context) -> Result<(), Failure> {
    let names: Vec<String> = (0..25).map(|index| format!("k{index:02}")).collect();
    fill(&context, &names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let (mut seen, mut token) = (Vec::new(), None::<String>);
    for _ in 0..10 {
        let mut query = vec![("list-type", "2"), ("max-keys", "7")];
        if let Some(token) = &token {
            query.push(("continuation-token", token));
        }
        let xml = list(&context, &query).await?;
        let keys = elements(&xml, "Key");
        check(element(&xml, "KeyCount") == Some(keys.len().to_string()), xml.clone())?;
        seen.extend(keys);
        token = element(&xml, "NextContinuationToken");
        check(token.is_some() == (element(&xml, "IsTruncated").as_deref() == Some("true")), xml)?;
        if token.is_none() {
            break;
        }
    }
    check(seen == names, format!("{seen:?}"))
}

async fn version_1_pages_through_all(context: Context) -> Result<(), Failure> {
    let names: Vec<String> = (0..12).map(|index| format!("k{index:02}")).collect();
    fill(&context, &names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let (mut seen, mut marker) = (Vec::new(), String::new());
    for _ in 0..10 {
        let xml = list(&context, &[("max-keys", "5"), ("marker", &marker)]).await?;
        seen.extend(elements(&xml, "Key"));
        if element(&xml, "IsTruncated").as_deref() != Some("true") {
            break;
        }
        marker = seen.last().cloned().unwrap_or_default();
    }
    check(seen == names, format!("{seen:?}"))
}

async fn order_is_that_of_utf8_bytes(context: Context) -> Result<(), Failure> {
    let mut names = ["Z", "a", "a/b", "a-b", "a.b", "aa", "é", "z", "漢", "🦀", "A", "0", "~"];
    fill(&context, &names).await?;
    names.sort_unstable();
    let xml = list(&context, &[("list-type", "2")]).await?;
    check(elements(&xml, "Key") == names, xml)
}

const TREE: &[&str] = &["a", "b/1", "b/2", "b/c/3", "d/", "d/4", "e"];

async fn prefix_and_delimiter(context: Context) -> Result<(), Failure> {
    fill(&context, TREE).await?;
    let xml = list(&context, &[("list-type", "2"), ("delimiter", "/")]).await?;
    check(elements(&xml, "Key") == ["a", "e"] && prefixes(&xml) == ["b/", "d/"], xml)?;
    let xml = list(&context, &[("list-type", "2"), ("delimiter", "/"), ("prefix", "b/")]).await?;
    check(elements(&xml, "Key") == ["b/1", "b/2"] && prefixes(&xml) == ["b/c/"], xml)?;
    let xml = list(&context, &[("list-type", "2"), ("delimiter", "/"), ("prefix", "d/")]).await?;
    check(elements(&xml, "Key") == ["d/", "d/4"] && prefixes(&xml).is_empty(), xml)?;
    let xml = list(&context, &[("list-type", "2"), ("prefix", "zz")]).await?;
    check(elements(&xml, "Key").is_empty() && element(&xml, "KeyCount").as_deref() == Some("0"), xml)
}

async fn delimiter_pages_count_prefixes(context: Context) -> Result<(), Failure> {
    fill(&context, TREE).await?;
    let (mut seen, mut token) = (Vec::new(), None::<String>);
    for _ in 0..10 {
        let mut query = vec![("list-type", "2"), ("delimiter", "/"), ("max-keys", "1")];
        if let Some(token) = &token {
            query.push(("continuation-token", token));
        }
        let xml = list(&context, &query).await?;
        let page: Vec<String> = elements(&xml, "Key").into_iter().chain(prefixes(&xml)).collect();
        check(page.len() == 1, xml.clone())?;
        seen.extend(page);
        token = element(&xml, "NextContinuationToken");
        if token.is_none() {
            break;
        }
    }
    check(seen == ["a", "b/", "d/", "e"], format!("{seen:?}"))
}

async fn delimiter_of_several_characters(context: Context) -> Result<(), Failure> {
    fill(&context, &["a--b", "a--c", "a-d", "b"]).await?;
    let xml = list(&context, &[("list-type", "2"), ("delimiter", "--")]).await?;
    check(elements(&xml, "Key") == ["a-d", "b"] && prefixes(&xml) == ["a--"], xml)
}

async fn start_after(context: Context) -> Result<(), Failure> {
    fill(&context, TREE).await?;
    let xml = list(&context, &[("list-type", "2"), ("start-after", "b/2")]).await?;
    check(elements(&xml, "Key") == ["b/c/3", "d/", "d/4", "e"], xml)?;
    let xml = list(&context, &[("list-type", "2"), ("start-after", "b/zzz"), ("delimiter", "/")]).await?;
    check(elements(&xml, "Key") == ["e"] && prefixes(&xml) == ["d/"], xml)
}

async fn max_keys_zero(context: Context) -> Result<(), Failure> {
    fill(&context, &["a"]).await?;
    let xml = list(&context, &[("list-type", "2"), ("max-keys", "0")]).await?;
    check(elements(&xml, "Key").is_empty() && element(&xml, "IsTruncated").as_deref() == Some("false"), xml)
}

async fn max_keys_over_a_thousand(context: Context) -> Result<(), Failure> {
    fill(&context, &["a"]).await?;
    let xml = list(&context, &[("list-type", "2"), ("max-keys", "5000")]).await?;
    check(elements(&xml, "Key") == ["a"], xml)
}

async fn malformed_parameters_are_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for (name, value) in [("max-keys", "-1"), ("max-keys", "many"), ("encoding-type", "base64")] {
        let answer = context.send(context.request("GET", "").query("list-type", "2").query(name, value)).await?;
        error(&answer, 400, "InvalidArgument").map_err(|failure| format!("{name}={value}: {failure}"))?;
    }
    Ok(())
}

async fn bad_continuation_token_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let request = context.request("GET", "").query("list-type", "2").query("continuation-token", "nonsense!");
    error(&context.send(request).await?, 400, "InvalidArgument")
}

async fn encoding_type_url(context: Context) -> Result<(), Failure> {
    fill(&context, &["a b+c/é&<"]).await?;
    let xml = list(&context, &[("list-type", "2"), ("encoding-type", "url")]).await?;
    let key = element(&xml, "Key").unwrap_or_default();
    check(key.contains("%C3%A9") && key.contains("%2B") && !key.contains('&'), xml)
}

async fn fetch_owner(context: Context) -> Result<(), Failure> {
    fill(&context, &["a"]).await?;
    let xml = list(&context, &[("list-type", "2")]).await?;
    check(element(&xml, "Owner").is_none(), xml)?;
    let xml = list(&context, &[("list-type", "2"), ("fetch-owner", "true")]).await?;
    check(element(&xml, "Owner").and_then(|owner| element(&owner, "ID")).is_some(), xml)
}

async fn versions_of_an_unversioned_bucket(context: Context) -> Result<(), Failure> {
    fill(&context, &["a", "b"]).await?;
    let xml = list(&context, &[("versions", "")]).await?;
    check(elements(&xml, "VersionId") == ["null", "null"], xml.clone())?;
    check(elements(&xml, "IsLatest") == ["true", "true"], xml)
}

async fn entry_shows_size_etag_and_checksum(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"four").await?;
    let xml = list(&context, &[("list-type", "2")]).await?;
    check(element(&xml, "Size").as_deref() == Some("4"), xml.clone())?;
    check(element(&xml, "StorageClass").as_deref() == Some("STANDARD"), xml.clone())?;
    check(element(&xml, "ChecksumAlgorithm").as_deref() == Some("CRC64NVME"), xml.clone())?;
    let etag = element(&xml, "ETag").unwrap_or_default();
    check(etag.starts_with('"') && etag.ends_with('"') && etag.len() == 34, xml)
}

async fn an_empty_continuation_token_asks_for_the_first_page(context: Context) -> Result<(), Failure> {
    fill(&context, &["a", "b"]).await?;
    let xml = list(&context, &[("list-type", "2"), ("continuation-token", "")]).await?;
    check(elements(&xml, "Key") == ["a", "b"], xml.clone())?;
    check(element(&xml, "ContinuationToken").as_deref() == Some(""), xml.clone())?;
    check(element(&xml, "IsTruncated").as_deref() == Some("false"), xml)
}

async fn the_prefix_of_version_1_survives_clients_that_do_not_decode_it(context: Context) -> Result<(), Failure> {
    fill(&context, &["a b/é"]).await?;
    let xml = list(&context, &[("prefix", "a b/"), ("encoding-type", "url")]).await?;
    check(element(&xml, "Prefix").as_deref() == Some("a b/"), xml.clone())?;
    check(elements(&xml, "Key") == ["a%20b/%C3%A9"], xml)?;
    let xml = list(&context, &[("prefix", "a+%"), ("encoding-type", "url")]).await?;
    check(element(&xml, "Prefix").as_deref() == Some("a%2B%25"), xml)
}

async fn empty_markers_of_versions_are_none(context: Context) -> Result<(), Failure> {
    fill(&context, &["a", "b"]).await?;
    let xml = list(&context, &[("versions", ""), ("key-marker", ""), ("version-id-marker", "")]).await?;
    check(elements(&xml, "Key") == ["a", "b"], xml)
}

async fn a_page_of_no_keys_is_complete(context: Context) -> Result<(), Failure> {
    fill(&context, &["a"]).await?;
    for listing in [("list-type", "2"), ("versions", ""), ("marker", "")] {
        let xml = list(&context, &[listing, ("max-keys", "0")]).await?;
        check(elements(&xml, "Key").is_empty(), xml.clone())?;
        check(element(&xml, "IsTruncated").as_deref() == Some("false"), xml.clone())?;
        check(element(&xml, "MaxKeys").as_deref() == Some("0"), xml)?;
    }
    Ok(())
}

async fn uploads_name_their_owner(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&context.send(context.request("POST", "key").query("uploads", "")).await?, 200)?;
    let owner = context.canonical_id(&context.client).await?;
    let xml = list(&context, &[("uploads", "")]).await?;
    check(elements(&xml, "ID") == [owner.clone(), owner], xml)
}

fn buckets(query: &[(&str, &str)]) -> Request {
    query.iter().fold(Request::new("GET", "", ""), |request, (name, value)| request.query(name, value))
}

async fn buckets_are_listed_in_pages(context: Context) -> Result<(), Failure> {
    for at in 0..3 {
        status(&context.send(Request::new("PUT", &format!("{}-{at}", context.bucket), "")).await?, 200)?;
    }
    let (mut seen, mut token) = (Vec::new(), None::<String>);
    loop {
        let mut query = vec![("max-buckets", "2"), ("prefix", context.bucket.as_str())];
        query.extend(token.as_deref().map(|token| ("continuation-token", token)));
        let xml = text(&context.send(buckets(&query)).await?);
        check(element(&xml, "Prefix").as_deref() == Some(&context.bucket), xml.clone())?;
        let names = elements(&xml, "Name");
        check(names.len() <= 2, xml.clone())?;
        seen.extend(names);
        token = element(&xml, "ContinuationToken");
        if token.is_none() {
            break;
        }
    }
    let wanted: Vec<String> = (0..3).map(|at| format!("{}-{at}", context.bucket)).collect();
    check(seen == wanted, format!("{seen:?}"))
}

async fn buckets_are_listed_by_prefix_and_region(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let head = context.send(context.request("HEAD", "")).await?;
    let region = has_header(&head, "x-amz-bucket-region")?.to_owned();
    let of = |region: &str| buckets(&[("prefix", &context.bucket), ("bucket-region", region)]);
    let xml = text(&context.send(of(&region)).await?);
    check(elements(&xml, "Name") == [context.bucket.clone()], xml.clone())?;
    check(element(&xml, "BucketRegion") == Some(region), xml)?;
    let xml = text(&context.send(of("elsewhere-1")).await?);
    check(elements(&xml, "Name").is_empty(), xml)
}

async fn malformed_pages_of_buckets_are_refused(context: Context) -> Result<(), Failure> {
    for query in [("max-buckets", "0"), ("max-buckets", "10001"), ("max-buckets", "x"), ("continuation-token", "!")] {
        error(&context.send(buckets(&[query])).await?, 400, "InvalidArgument")?;
    }
    Ok(())
}
