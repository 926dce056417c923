//! Clients that put and get, and how long they wait.

use std::io;
use std::time::Instant;

use chartrier_conformance::client::{Client, Request};
use chartrier_conformance::random::Random;
use tokio::task::JoinSet;

pub(crate) const BUCKET: &str = "slow";

/// How long requests of one kind took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) p50_ms: u64,
    pub(crate) p99_ms: u64,
    pub(crate) max_ms: u64,
}

impl Figures {
    fn of(mut took_ms: Vec<u64>) -> Self {
        took_ms.sort_unstable();
        let at = |percent: usize| took_ms.get((took_ms.len() * percent / 100).min(took_ms.len().saturating_sub(1)));
        let at = |percent| at(percent).copied().unwrap_or(0);
        Self { p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

/// What was put, and who puts.
pub(crate) struct Load {
    client: Client,
    clients: u32,
    /// Keys with their lengths.
    objects: Vec<(String, usize)>,
}

impl Load {
    pub(crate) fn new(client: Client, clients: u32) -> Self {
        Self { client, clients, objects: Vec::new() }
    }

    /// Puts objects of one size, and after each gets one of these; how long both took.
    ///
    /// # Errors
    /// A request fails, or other bytes come back.
    pub(crate) async fn run(&mut self, phase: usize, bytes: usize, requests: u32) -> io::Result<(Figures, Figures)> {
        let each = requests.div_ceil(self.clients);
        let mut running = JoinSet::new();
        for number in 0..self.clients {
            let client = self.client.clone();
            running.spawn(async move {
                let mut connection = client.endpoint.connect().await?;
                let mut random = Random::new(u64::from(number) + 1);
                let (mut puts, mut gets, mut keys) = (Vec::new(), Vec::new(), Vec::new());
                for n in 0..each {
                    let key = format!("{phase}/{bytes}/{number}/{n}");
                    let request = Request::new("PUT", BUCKET, &key).body(content(&key, bytes));
                    let begun = Instant::now();
                    let answer = client.send_on(&mut connection, &request).await?;
                    puts.push(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
                    expect(answer.head.status == 200, &key, answer.head.status)?;
                    keys.push(key);
                    let key = &keys[random.below(keys.len() as u64) as usize];
                    let begun = Instant::now();
                    let answer = client.send_on(&mut connection, &Request::new("GET", BUCKET, key)).await?;
                    gets.push(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
                    expect(answer.body == content(key, bytes), key, answer.head.status)?;
                }
                Ok::<_, io::Error>((puts, gets, keys))
            });
        }
        let (mut puts, mut gets) = (Vec::new(), Vec::new());
        while let Some(done) = running.join_next().await {
            let (put, got, keys) = done.map_err(io::Error::other)??;
            puts.extend(put);
            gets.extend(got);
            self.objects.extend(keys.into_iter().map(|key| (key, bytes)));
        }
        Ok((Figures::of(puts), Figures::of(gets)))
    }

    /// Gets everything that was put; how many objects.
    ///
    /// # Errors
    /// A request fails, or other bytes come back.
    pub(crate) async fn read_all(&self) -> io::Result<usize> {
        let mut connection = self.client.endpoint.connect().await?;
        for (key, bytes) in &self.objects {
            let answer = self.client.send_on(&mut connection, &Request::new("GET", BUCKET, key)).await?;
            expect(answer.body == content(key, *bytes), key, answer.head.status)?;
        }
        Ok(self.objects.len())
    }
}

fn expect(right: bool, key: &str, status: u16) -> io::Result<()> {
    if right { Ok(()) } else { Err(io::Error::other(format!("{key}: {status}, or other bytes than were put"))) }
}

/// What a key has: bytes of its own.
fn content(key: &str, bytes: usize) -> Vec<u8> {
    let seed = key.bytes().fold(17_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let mut random = Random::new(seed);
    let mut content = Vec::with_capacity(bytes + 8);
    while content.len() < bytes {
        content.extend_from_slice(&random.number().to_le_bytes());
    }
    content.truncate(bytes);
    content
}
