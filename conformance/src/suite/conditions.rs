//! Conditional requests: reads by RFC 9110, writes so that of many only one wins.

use tokio::task::JoinSet;

use super::context::{Context, Failure, check, error, has_header, status};

super::cases!("conditions":
    get_if_match,
    get_if_none_match,
    get_if_modified_since,
    if_match_wins_over_if_unmodified_since,
    if_none_match_wins_over_if_modified_since,
    create_only_if_absent,
    replace_only_if_match,
    replace_unless_it_is_this,
    if_match_of_no_object,
    one_of_many_creators_wins,
    one_of_many_replacers_wins,
    complete_only_if_absent,
    delete_if_match,
    delete_if_size_and_time,
    delete_of_nothing_under_a_condition,
    batch_conditions,
    a_marker_is_no_object_to_a_condition,
    conditions_on_a_named_version,
);

const PAST: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
const FUTURE: &str = "Wed, 21 Oct 2037 07:28:00 GMT";

async fn get(context: &Context, headers: &[(&str, &str)], expected: u16) -> Result<(), Failure> {
    for method in ["GET", "HEAD"] {
        let request =
            headers.iter().fold(context.request(method, "key"), |request, (name, value)| request.header(name, value));
        let answer = context.send(request).await?;
        status(&answer, expected).map_err(|failure| format!("{method} {headers:?}: {failure}"))?;
        if expected == 304 {
            check(answer.body.is_empty(), "a 304 has a body")?;
            has_header(&answer, "etag")?;
        }
    }
    Ok(())
}

async fn create(context: &Context) -> Result<String, Failure> {
    let answer = context.create_object("key", b"body").await?;
    Ok(has_header(&answer, "etag")?.to_owned())
}

async fn get_if_match(context: Context) -> Result<(), Failure> {
    let etag = create(&context).await?;
    get(&context, &[("if-match", &etag)], 200).await?;
    get(&context, &[("if-match", "*")], 200).await?;
    get(&context, &[("if-match", &format!("\"other\", {etag}"))], 200).await?;
    get(&context, &[("if-match", "\"other\"")], 412).await
}

async fn get_if_none_match(context: Context) -> Result<(), Failure> {
    let etag = create(&context).await?;
    get(&context, &[("if-none-match", &etag)], 304).await?;
    get(&context, &[("if-none-match", "*")], 304).await?;
    get(&context, &[("if-none-match", "\"other\"")], 200).await
}

async fn get_if_modified_since(context: Context) -> Result<(), Failure> {
    create(&context).await?;
    get(&context, &[("if-modified-since", PAST)], 200).await?;
    get(&context, &[("if-unmodified-since", PAST)], 412).await?;
    get(&context, &[("if-unmodified-since", FUTURE)], 200).await
}

async fn if_match_wins_over_if_unmodified_since(context: Context) -> Result<(), Failure> {
    let etag = create(&context).await?;
    get(&context, &[("if-match", &etag), ("if-unmodified-since", PAST)], 200).await
}

async fn if_none_match_wins_over_if_modified_since(context: Context) -> Result<(), Failure> {
    let etag = create(&context).await?;
    get(&context, &[("if-none-match", &etag), ("if-modified-since", PAST)], 304).await?;
    get(&context, &[("if-none-match", "\"other\""), ("if-modified-since", FUTURE)], 200).await
}

async fn create_only_if_absent(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let put = |body: &str| context.request("PUT", "key").header("if-none-match", "*").body(body);
    status(&context.send(put("first")).await?, 200)?;
    error(&context.send(put("second")).await?, 412, "PreconditionFailed")?;
    context.expect_object("key", b"first").await?;
    status(&context.send(context.request("DELETE", "key")).await?, 204)?;
    status(&context.send(put("third")).await?, 200)
}

async fn replace_only_if_match(context: Context) -> Result<(), Failure> {
    let etag = create(&context).await?;
    let put = |condition: &str, body: &str| context.request("PUT", "key").header("if-match", condition).body(body);
    error(&context.send(put("\"other\"", "no")).await?, 412, "PreconditionFailed")?;
    status(&context.send(put(&etag, "yes")).await?, 200)?;
    error(&context.send(put(&etag, "late")).await?, 412, "PreconditionFailed")?;
    context.expect_object("key", b"yes").await.map(drop)
}

async fn replace_unless_it_is_this(context: Context) -> Result<(), Failure> {
    let etag = create(&context).await?;
    let put = |condition: &str, body: &str| context.request("PUT", "key").header("if-none-match", condition).body(body);
    error(&context.send(put(&etag, "no")).await?, 412, "PreconditionFailed")?;
    status(&context.send(put("\"other\"", "yes")).await?, 200)?;
    context.expect_object("key", b"yes").await?;
    status(&context.send(context.request("DELETE", "key")).await?, 204)?;
    status(&context.send(put(&etag, "absent")).await?, 200)
}

async fn if_match_of_no_object(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let put = context.request("PUT", "key").header("if-match", "\"any\"").body("x");
    error(&context.send(put).await?, 404, "NoSuchKey")
}

async fn race(context: &Context, name: &'static str, value: String, round: usize) -> Result<usize, Failure> {
    let mut racers = JoinSet::new();
    for racer in 0..16 {
        let (context, value) = (context.clone(), value.clone());
        racers.spawn(async move {
            let body = format!("round {round} racer {racer}");
            let answer = context.send(context.request("PUT", "key").header(name, &value).body(body)).await?;
            Ok::<u16, Failure>(answer.head.status)
        });
    }
    let mut winners = 0;
    while let Some(done) = racers.join_next().await {
        match done.map_err(|error| error.to_string())?? {
            200 => winners += 1,
            409 | 412 => {}
            other => return Err(format!("a racer got {other}").into()),
        }
    }
    Ok(winners)
}

async fn one_of_many_creators_wins(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for round in 0..10 {
        let winners = race(&context, "if-none-match", "*".to_owned(), round).await?;
        check(winners == 1, format!("{winners} racers won round {round}"))?;
        status(&context.send(context.request("DELETE", "key")).await?, 204)?;
    }
    Ok(())
}

async fn one_of_many_replacers_wins(context: Context) -> Result<(), Failure> {
    create(&context).await?;
    for round in 0..10 {
        let head = context.send(context.request("HEAD", "key")).await?;
        let etag = has_header(&head, "etag")?.to_owned();
        let winners = race(&context, "if-match", etag, round).await?;
        check(winners == 1, format!("{winners} racers won round {round}"))?;
    }
    Ok(())
}

async fn complete_only_if_absent(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"there first").await?;
    let upload = super::multipart::Upload::begin(&context, "key", &[]).await?;
    let part = upload.put(1, b"part").await?;
    let request = upload.complete_request(&[part]).header("if-none-match", "*");
    error(&context.send(request).await?, 412, "PreconditionFailed")?;
    context.expect_object("key", b"there first").await.map(drop)
}

async fn remove(context: &Context, headers: &[(&str, &str)]) -> Result<crate::http::Answer, Failure> {
    let request = context.request("DELETE", "key");
    context.send(headers.iter().fold(request, |request, (name, value)| request.header(name, value))).await
}

async fn delete_if_match(context: Context) -> Result<(), Failure> {
    let etag = create(&context).await?;
    error(&remove(&context, &[("if-match", "\"other\"")]).await?, 412, "PreconditionFailed")?;
    context.expect_object("key", b"body").await?;
    status(&remove(&context, &[("if-match", &etag)]).await?, 204)?;
    context.put("key", b"body").await?;
    status(&remove(&context, &[("if-match", "*")]).await?, 204)?;
    context.expect_no_object("key").await
}

async fn delete_if_size_and_time(context: Context) -> Result<(), Failure> {
    create(&context).await?;
    let head = context.send(context.request("HEAD", "key")).await?;
    let modified = has_header(&head, "last-modified")?;
    let (time, size) = ("x-amz-if-match-last-modified-time", "x-amz-if-match-size");
    for headers in [&[(size, "3")][..], &[(time, PAST)], &[(size, "4"), (time, PAST)], &[(size, "3"), (time, modified)]]
    {
        error(&remove(&context, headers).await?, 412, "PreconditionFailed")?;
    }
    status(&remove(&context, &[(size, "4"), (time, modified)]).await?, 204)?;
    context.expect_no_object("key").await
}

async fn delete_of_nothing_under_a_condition(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&remove(&context, &[("if-match", "\"etag\"")]).await?, 204)
}

async fn batch_conditions(context: Context) -> Result<(), Failure> {
    let etag = create(&context).await?;
    let batch = |inside: &str| {
        let document = format!("<Delete><Object><Key>key</Key>{inside}</Object></Delete>");
        super::lock::with_digest(context.request("POST", "").query("delete", ""), document)
    };
    for inside in
        ["<ETag>\"other\"</ETag>", "<Size>3</Size>", "<LastModifiedTime>2015-10-21T07:28:00Z</LastModifiedTime>"]
    {
        let answer = context.send(batch(inside)).await?;
        let code = super::context::element(&super::context::text(&answer), "Code");
        check(code.as_deref() == Some("PreconditionFailed"), format!("{inside}: {code:?}"))?;
    }
    status(&context.send(batch(&format!("<ETag>{etag}</ETag><Size>4</Size>"))).await?, 200)?;
    context.expect_no_object("key").await
}

async fn a_marker_is_no_object_to_a_condition(context: Context) -> Result<(), Failure> {
    super::versions::enable(&context).await?;
    let etag = has_header(&context.put("key", b"x").await?, "etag")?.to_owned();
    status(&remove(&context, &[]).await?, 204)?;
    let put = |name: &str, value: &str| context.request("PUT", "key").header(name, value).body("y");
    error(&context.send(put("if-match", &etag)).await?, 404, "NoSuchKey")?;
    status(&context.send(put("if-none-match", "*")).await?, 200)?;
    error(&context.send(put("if-none-match", "*")).await?, 412, "PreconditionFailed")
}

async fn conditions_on_a_named_version(context: Context) -> Result<(), Failure> {
    super::versions::enable(&context).await?;
    let one = context.put("key", b"one").await?;
    let two = context.put("key", b"two").await?;
    let id = has_header(&one, "x-amz-version-id")?;
    let by_id = |etag: &str| context.request("DELETE", "key").query("versionId", id).header("if-match", etag);
    error(&context.send(by_id(has_header(&two, "etag")?)).await?, 412, "PreconditionFailed")?;
    status(&context.send(by_id(has_header(&one, "etag")?)).await?, 204)?;
    context.expect_object("key", b"two").await.map(drop)
}
