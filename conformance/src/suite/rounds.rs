//! Sixty-four clients, each on a connection of its own, want to change one key at the same moment, round after round: one
//! is told that it did, the others that its condition no longer holds, and the key holds what the winner wrote.
//!
//! The rounds are `Context::race_rounds`. S3 says 412 to who comes late, and may say 409 to who comes at the same time.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::context::{Context, Failure, check, element, has_header, same_bytes, status, text};
use super::multipart::Upload;
use super::versions::enable;
use crate::client::{Client, Request};
use crate::http::{Answer, Connection};

super::cases!("rounds":
    of_creators_one_wins,
    of_replacers_one_wins,
    of_completes_that_create_one_wins,
    of_completes_that_replace_one_wins,
    of_removers_of_one_version_and_replacers_one_wins,
);

const CLIENTS: usize = 64;

/// Clients whose connections are open before a race begins.
struct Racers {
    client: Client,
    connections: Vec<Connection>,
}

impl Racers {
    async fn new(context: &Context) -> Result<Self, Failure> {
        let client = context.client.clone();
        let mut connections = Vec::with_capacity(CLIENTS);
        for _ in 0..CLIENTS {
            connections.push(client.endpoint.connect().await?);
        }
        Ok(Self { client, connections })
    }

    /// Each client sends what `request` makes for its number, all of them at once; the answers in the order of numbers.
    async fn race(&mut self, request: impl Fn(usize) -> Request) -> Result<Vec<Answer>, Failure> {
        let start = Arc::new(Barrier::new(self.connections.len()));
        let mut sent = JoinSet::new();
        for (number, mut connection) in self.connections.drain(..).enumerate() {
            let (client, request, start) = (self.client.clone(), request(number), Arc::clone(&start));
            sent.spawn(async move {
                start.wait().await;
                let answer = client.send_on(&mut connection, &request).await;
                (number, connection, answer)
            });
        }
        let mut back = sent.join_all().await;
        back.sort_by_key(|(number, ..)| *number);
        let mut answers = Vec::with_capacity(back.len());
        for (_, connection, answer) in back {
            self.connections.push(connection);
            answers.push(answer?);
        }
        Ok(answers)
    }
}

/// The one client whose answer is a success; all others were refused for the condition.
fn winner(round: u32, answers: &[Answer], won: impl Fn(&Answer) -> bool) -> Result<usize, Failure> {
    let winners: Vec<usize> = (0..answers.len()).filter(|&client| won(&answers[client])).collect();
    for (client, answer) in answers.iter().enumerate() {
        let refused = match answer.head.status {
            412 => element(&text(answer), "Code").as_deref() == Some("PreconditionFailed"),
            409 => element(&text(answer), "Code").as_deref() == Some("ConditionalRequestConflict"),
            _ => false,
        };
        check(refused || winners.contains(&client), format!("round {round}: {} {}", answer.head.status, text(answer)))?;
    }
    match winners[..] {
        [winner] => Ok(winner),
        _ => Err(format!("round {round}: {} of {} clients won", winners.len(), answers.len()).into()),
    }
}

fn is_ok(answer: &Answer) -> bool {
    answer.head.status == 200 && !text(answer).contains("<Error>")
}

fn body(round: u32, client: usize) -> Vec<u8> {
    format!("round {round}, client {client}").into_bytes()
}

async fn remove(context: &Context) -> Result<(), Failure> {
    status(&context.send(context.request("DELETE", "key")).await?, 204)
}

async fn of_creators_one_wins(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let mut racers = Racers::new(&context).await?;
    for round in 0..context.race_rounds {
        let create = |client| context.request("PUT", "key").header("if-none-match", "*").body(body(round, client));
        let answers = racers.race(create).await?;
        let winner = winner(round, &answers, is_ok)?;
        context.expect_object("key", &body(round, winner)).await?;
        remove(&context).await?;
    }
    Ok(())
}

/// Versions are kept here, so that a loser that wrote nevertheless would be seen.
async fn of_replacers_one_wins(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let mut etag = has_header(&context.put("key", b"first").await?, "etag")?.to_owned();
    let mut racers = Racers::new(&context).await?;
    let mut winners = Vec::new();
    for round in 0..context.race_rounds {
        let replace = |client| context.request("PUT", "key").header("if-match", &etag).body(body(round, client));
        let answers = racers.race(replace).await?;
        let winner = winner(round, &answers, is_ok)?;
        context.expect_object("key", &body(round, winner)).await?;
        etag = has_header(&answers[winner], "etag")?.to_owned();
        winners.push(has_header(&answers[winner], "x-amz-version-id")?.to_owned());
    }
    expect_versions(&context, &winners).await
}

/// Below the first version there are those of the winners, the newest first, and no others.
async fn expect_versions(context: &Context, winners: &[String]) -> Result<(), Failure> {
    let mut listed = Vec::new();
    let mut marker: Option<(String, String)> = None;
    loop {
        let mut request = context.request("GET", "").query("versions", "");
        if let Some((key, id)) = &marker {
            request = request.query("key-marker", key).query("version-id-marker", id);
        }
        let page = context.send(request).await?;
        status(&page, 200)?;
        let page = text(&page);
        listed.extend(super::context::elements(&page, "VersionId"));
        let next = (element(&page, "NextKeyMarker"), element(&page, "NextVersionIdMarker"));
        let (Some(key), Some(id)) = next else { break };
        marker = Some((key, id));
    }
    check(listed.pop().is_some(), "the first version is gone")?;
    check(listed.iter().eq(winners.iter().rev()), format!("{} winners, {} versions", winners.len(), listed.len()))
}

/// An upload of one part, and what completes it.
struct Ready {
    upload: Upload,
    part: super::multipart::Part,
    body: Vec<u8>,
}

impl Ready {
    async fn new(context: &Context, round: u32, client: usize) -> Result<Self, Failure> {
        let upload = Upload::begin(context, "key", &[]).await?;
        let body = body(round, client);
        let part = upload.put(1, &body).await?;
        Ok(Self { upload, part, body })
    }

    fn complete(&self, header: &str, value: &str) -> Request {
        self.upload.complete_request(std::slice::from_ref(&self.part)).header(header, value)
    }
}

async fn uploads(context: &Context) -> Result<Vec<Ready>, Failure> {
    let mut ready = Vec::with_capacity(CLIENTS);
    for client in 0..CLIENTS {
        ready.push(Ready::new(context, 0, client).await?);
    }
    Ok(ready)
}

/// Losers keep their uploads: a Complete that is refused for its condition changes nothing.
async fn of_completes_that_create_one_wins(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let mut racers = Racers::new(&context).await?;
    let mut ready = uploads(&context).await?;
    for round in 0..context.race_rounds {
        let answers = racers.race(|client| ready[client].complete("if-none-match", "*")).await?;
        let winner = winner(round, &answers, is_ok)?;
        context.expect_object("key", &ready[winner].body).await?;
        remove(&context).await?;
        ready[winner] = Ready::new(&context, round + 1, winner).await?;
    }
    Ok(())
}

async fn of_completes_that_replace_one_wins(context: Context) -> Result<(), Failure> {
    let mut etag = has_header(&context.create_object("key", b"first").await?, "etag")?.to_owned();
    let mut racers = Racers::new(&context).await?;
    let mut ready = uploads(&context).await?;
    for round in 0..context.race_rounds {
        let answers = racers.race(|client| ready[client].complete("if-match", &etag)).await?;
        let winner = winner(round, &answers, is_ok)?;
        let read = context.send(context.request("GET", "key")).await?;
        status(&read, 200)?;
        same_bytes(&read.body, &ready[winner].body)?;
        etag = has_header(&read, "etag")?.to_owned();
        check(element(&text(&answers[winner]), "ETag").as_deref() == Some(&etag), "Complete told another ETag")?;
        ready[winner] = Ready::new(&context, round + 1, winner).await?;
    }
    Ok(())
}

/// Every second client removes what every other replaces. Where a remover wins, the replacers find nothing (404) and
/// the other removers have nothing left to do (204); where a replacer wins, all others are refused.
async fn of_removers_of_one_version_and_replacers_one_wins(context: Context) -> Result<(), Failure> {
    let mut etag = has_header(&context.create_object("key", b"first").await?, "etag")?.to_owned();
    let mut racers = Racers::new(&context).await?;
    for round in 0..context.race_rounds {
        let answers = racers
            .race(|client| match client % 2 {
                0 => context.request("PUT", "key").header("if-match", &etag).body(body(round, client)),
                _ => context.request("DELETE", "key").header("if-match", &etag),
            })
            .await?;
        let removed = answers.iter().skip(1).step_by(2).any(|answer| answer.head.status == 204);
        let read = context.send(context.request("GET", "key")).await?;
        if removed {
            let right = |(client, answer): (usize, &Answer)| answer.head.status == [404, 204][client % 2];
            let told: Vec<u16> = answers.iter().map(|answer| answer.head.status).collect();
            check(answers.iter().enumerate().all(right), format!("round {round}: {told:?}"))?;
            status(&read, 404)?;
            etag = has_header(&context.put("key", &body(round, CLIENTS)).await?, "etag")?.to_owned();
        } else {
            let winner = winner(round, &answers, is_ok)?;
            same_bytes(&read.body, &body(round, winner))?;
            etag = has_header(&read, "etag")?.to_owned();
        }
    }
    Ok(())
}
