//! Many clients at once on one thing: of those that exclude each other one wins, and nothing is lost.

use std::collections::HashSet;
use std::future::Future;

use tokio::task::JoinSet;

use super::context::{Context, Failure, check, element, elements, has_header, status, text};
use super::multipart::Upload;
use super::versions::enable;

super::cases!("races":
    sixty_four_counters_count_to_sixty_four,
    a_hold_and_removals_never_both_hold,
    versions_of_many_writers_are_all_there,
    many_removals_of_one_version_remove_it_once,
    many_completes_of_one_upload_agree,
    a_removed_bucket_holds_no_object,
    settings_of_many_writers_are_one_of_theirs,
    readers_see_whole_objects_only,
);

const CLIENTS: usize = 64;

/// Runs this many at once and gathers what they answer.
async fn at_once<T, F>(clients: usize, run: impl Fn(usize) -> F) -> Result<Vec<T>, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        tasks.spawn(run(client));
    }
    let mut answers = Vec::with_capacity(clients);
    while let Some(done) = tasks.join_next().await {
        answers.push(done.map_err(|error| error.to_string())??);
    }
    Ok(answers)
}

/// Sends one request from each client and gathers the statuses.
async fn statuses(
    context: &Context,
    clients: usize,
    request: impl Fn(usize) -> crate::client::Request,
) -> Result<Vec<u16>, Failure> {
    at_once(clients, |client| {
        let (context, request) = (context.clone(), request(client));
        async move { Ok(context.send(request).await?.head.status) }
    })
    .await
}

fn count(statuses: &[u16], wanted: u16) -> usize {
    statuses.iter().filter(|status| **status == wanted).count()
}

/// Each adds one to what it read, if nobody was faster.
async fn sixty_four_counters_count_to_sixty_four(context: Context) -> Result<(), Failure> {
    const COUNTERS: usize = 16;
    context.create_object("key", b"0").await?;
    at_once(COUNTERS, |_| {
        let context = context.clone();
        async move {
            for _ in 0..CLIENTS / COUNTERS {
                loop {
                    let read = context.send(context.request("GET", "key")).await?;
                    status(&read, 200)?;
                    let next = text(&read).parse::<usize>().map_err(|error| error.to_string())? + 1;
                    let etag = has_header(&read, "etag")?;
                    let write = context.request("PUT", "key").header("if-match", etag).body(next.to_string());
                    match context.send(write).await?.head.status {
                        200 => break,
                        409 | 412 => {}
                        other => return Err(format!("a counter got {other}").into()),
                    }
                }
            }
            Ok(())
        }
    })
    .await?;
    context.expect_object("key", CLIENTS.to_string().as_bytes()).await.map(drop)
}

async fn a_hold_and_removals_never_both_hold(context: Context) -> Result<(), Failure> {
    let request = context.request("PUT", "").header("x-amz-bucket-object-lock-enabled", "true");
    status(&context.send(request).await?, 200)?;
    for round in 0..10 {
        let key = format!("key-{round}");
        let put = context.put(&key, b"x").await?;
        let id = has_header(&put, "x-amz-version-id")?.to_owned();
        let all = at_once(8, |client| {
            let holding = client % 2 == 0;
            let request = if holding {
                let hold = "<LegalHold><Status>ON</Status></LegalHold>";
                context.request("PUT", &key).query("legal-hold", "").query("versionId", &id).body(hold)
            } else {
                context.request("DELETE", &key).query("versionId", &id)
            };
            let context = context.clone();
            async move { Ok((holding, context.send(request).await?.head.status)) }
        })
        .await?;
        let held = all.contains(&(true, 200));
        let there = context.send(context.request("GET", &key).query("versionId", &id)).await?.head.status;
        // Whoever was told that the hold is on finds the version; it goes only before the first hold.
        check(held == (there == 200), format!("round {round}: held {held}, then GET {there}: {all:?}"))?;
        if held {
            let release = "<LegalHold><Status>OFF</Status></LegalHold>";
            let request = context.request("PUT", &key).query("legal-hold", "").query("versionId", &id).body(release);
            status(&context.send(request).await?, 200)?;
        }
    }
    Ok(())
}

async fn versions_of_many_writers_are_all_there(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let ids = at_once(CLIENTS, |client| {
        let context = context.clone();
        async move {
            let answer = context.put("key", client.to_string().as_bytes()).await?;
            Ok((has_header(&answer, "x-amz-version-id")?.to_owned(), client))
        }
    })
    .await?;
    check(ids.iter().map(|(id, _)| id).collect::<HashSet<_>>().len() == CLIENTS, "a version id came twice")?;
    let listed = text(&context.send(context.request("GET", "").query("versions", "")).await?);
    let listed = elements(&listed, "VersionId");
    check(listed.len() == CLIENTS, format!("{} versions are listed", listed.len()))?;
    for (id, client) in &ids {
        let answer = context.send(context.request("GET", "key").query("versionId", id)).await?;
        status(&answer, 200)?;
        check(text(&answer) == client.to_string(), format!("version {id} holds {}", text(&answer)))?;
    }
    let current = context.send(context.request("HEAD", "key")).await?;
    check(has_header(&current, "x-amz-version-id")? == listed[0], "the newest version is not the current one")
}

async fn many_removals_of_one_version_remove_it_once(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let first = has_header(&context.put("key", b"first").await?, "x-amz-version-id")?.to_owned();
    let second = has_header(&context.put("key", b"second").await?, "x-amz-version-id")?.to_owned();
    let all = statuses(&context, 16, |_| context.request("DELETE", "key").query("versionId", &second)).await?;
    check(count(&all, 204) == 16, format!("{all:?}"))?;
    let answer = context.expect_object("key", b"first").await?;
    check(has_header(&answer, "x-amz-version-id")? == first, "another version is current")
}

async fn many_completes_of_one_upload_agree(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let upload = Upload::begin(&context, "key", &[]).await?;
    let parts = [upload.put(1, b"body").await?];
    let answers = at_once(16, |_| {
        let (context, request) = (context.clone(), upload.complete_request(&parts));
        async move {
            let answer = context.send(request).await?;
            status(&answer, 200)?;
            Ok(element(&text(&answer), "ETag"))
        }
    })
    .await?;
    check(answers.iter().all(|etag| etag.is_some() && *etag == answers[0]), format!("{answers:?}"))?;
    let listed = text(&context.send(context.request("GET", "").query("versions", "")).await?);
    check(elements(&listed, "VersionId").len() == 1, listed)?;
    context.expect_object("key", b"body").await.map(drop)
}

async fn a_removed_bucket_holds_no_object(context: Context) -> Result<(), Failure> {
    for round in 0..5 {
        context.create_bucket().await?;
        let all = at_once(9, |client| {
            let request = match client {
                0 => context.request("DELETE", ""),
                _ => context.request("PUT", "key").body(client.to_string()),
            };
            let context = context.clone();
            async move { Ok((client, context.send(request).await?.head.status)) }
        })
        .await?;
        let removed = all.contains(&(0, 204));
        let stored = all.iter().any(|(client, status)| *client > 0 && *status == 200);
        check(removed != stored, format!("round {round}: {all:?}"))?;
        if stored {
            status(&context.send(context.request("DELETE", "key")).await?, 204)?;
            status(&context.send(context.request("DELETE", "")).await?, 204)?;
        }
    }
    Ok(())
}

async fn settings_of_many_writers_are_one_of_theirs(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let document =
        |value: usize| format!("<Tagging><TagSet><Tag><Key>k</Key><Value>{value}</Value></Tag></TagSet></Tagging>");
    at_once(16, |client| {
        let (context, document) = (context.clone(), document(client));
        async move { status(&context.set("tagging", &document).await?, 204) }
    })
    .await?;
    let said = text(&context.get_setting("tagging").await?);
    let value = element(&said, "Value").and_then(|value| value.parse::<usize>().ok());
    check(value.is_some_and(|value| value < 16), said)
}

async fn readers_see_whole_objects_only(context: Context) -> Result<(), Failure> {
    const LEN: usize = 300_000;
    context.create_object("key", &vec![b'a'; LEN]).await?;
    at_once(12, |client| {
        let context = context.clone();
        async move {
            for round in 0..8_u8 {
                if client < 4 {
                    let body = vec![b'b' + (client as u8 * 4 + round) % 24; LEN];
                    context.put("key", &body).await?;
                } else {
                    let answer = context.send(context.request("GET", "key")).await?;
                    status(&answer, 200)?;
                    let whole = answer.body.len() == LEN && answer.body.iter().all(|byte| *byte == answer.body[0]);
                    check(whole, "a reader saw a mixture")?;
                }
            }
            Ok(())
        }
    })
    .await
    .map(drop)
}
