//! What a million keys cost. Not a gate: run by hand, figures on standard output.
//!
//! `cargo test --release -p chartrier-storage --test all -- --ignored --nocapture a_million_keys`

#![allow(clippy::print_stdout)]

use std::time::Instant;

use chartrier_storage::meta::MetaReads;
use chartrier_storage::namespace::command::JournalIdentity;
use chartrier_storage::namespace::query::ListQuery;
use chartrier_storage::state::{StateConfig, StateMachine};

use super::*;

const BATCH: u64 = 64;

fn command(op: Op) -> Command {
    let context = CommandContext {
        time_us: 1_770_000_000_000_000,
        request_id: "0123456789ABCDEF".to_owned(),
        actor_pid: "ab".repeat(16),
        actor_role: "user".to_owned(),
        actor_auth: "sigv4".to_owned(),
        origin: None,
    };
    Command { context, op }
}

fn put_op(n: u64, inline: usize) -> Op {
    let blob = BlobRef::Inline(vec![7; inline]);
    let part = PartRow { sealed_checksums: vec![1; 40], ..part_row(0, inline, blob) };
    let row = Box::new(VersionRow {
        etag: "0123456789abcdef0123456789abcdef".to_owned(),
        modified_us: 1_770_000_000_000_000,
        owner: "ab".repeat(32),
        wrap: vec![1; 100],
        sealed_metadata: vec![2; 150],
        ..version_row(vec![part])
    });
    let key = format!("dir{:04}/file-{n:09}.dat", n % 1000);
    Op::PutVersion { bucket: BUCKET, key, row, condition: WriteCondition::None, missing: Vec::new() }
}

fn rss_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn list_all(machine: &StateMachine, delimiter: Option<&str>, prefix: &str) -> (usize, usize) {
    let mut query = ListQuery {
        bucket: BUCKET,
        prefix: prefix.to_owned(),
        delimiter: delimiter.map(str::to_owned),
        after: None,
        limit: 1000,
    };
    let (mut entries, mut pages) = (0, 0);
    loop {
        let page = machine.list_objects(&query).unwrap();
        entries += page.entries.len();
        pages += 1;
        match page.next {
            Some(next) => query.after = Some(next),
            None => return (entries, pages),
        }
    }
}

#[test]
#[ignore = "a measurement of about a minute"]
fn a_million_keys() {
    let env = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let keys = env("KEYS").unwrap_or(1_000_000);
    let inline = env("INLINE").unwrap_or(10) as usize;
    let dir = tempfile::tempdir().unwrap();
    let config = StateConfig::new(16 << 20, 16 << 20);
    let machine = StateMachine::open(&dir.path().join("index"), &config).unwrap();
    let identity =
        JournalIdentity { origin: "o.example/c".to_owned(), tenant: "default".to_owned(), node: "n".to_owned() };
    let first = [(1, command(Op::SetJournal(identity))), (2, command(create_bucket(BUCKET, "b")))];
    machine.apply_batch(&first).unwrap();
    println!("start: {} MiB", rss_mib());

    let (mut applying, mut index) = (std::time::Duration::ZERO, 2);
    for batch in 0..keys / BATCH {
        let commands: Vec<_> = (0..BATCH)
            .map(|n| {
                index += 1;
                (index, command(put_op(batch * BATCH + n, inline)))
            })
            .collect();
        let begun = Instant::now();
        machine.apply_batch(&commands).unwrap();
        applying += begun.elapsed();
        if batch % 4000 == 0 {
            println!("{:>8} keys: {} MiB, index holds {} MiB", batch * BATCH, rss_mib(), machine.memory_bytes() >> 20);
        }
    }
    let puts = keys / BATCH * BATCH;
    println!("apply: {:.1} us per put", applying.as_secs_f64() * 1e6 / puts as f64);

    let begun = Instant::now();
    let (entries, pages) = list_all(&machine, None, "");
    let each = begun.elapsed().as_secs_f64() * 1e6 / entries as f64;
    println!("flat list: {entries} entries, {pages} pages, {each:.2} us per key, {} MiB", rss_mib());
    let begun = Instant::now();
    let (entries, _) = list_all(&machine, Some("/"), "");
    let each = begun.elapsed().as_secs_f64() * 1e6 / entries as f64;
    println!("rolled up: {entries} prefixes, {each:.1} us each");

    let begun = Instant::now();
    for n in 0..100_000 {
        let n = n * 7919 % puts;
        machine.current(BUCKET, &format!("dir{:04}/file-{n:09}.dat", n % 1000)).unwrap().unwrap();
    }
    println!("get: {:.1} us, {} MiB", begun.elapsed().as_secs_f64() * 1e6 / 1e5, rss_mib());
    let begun = Instant::now();
    machine.flush().unwrap();
    println!("flush: {:?}", begun.elapsed());
    let begun = Instant::now();
    machine.checkpoint_to(&dir.path().join("checkpoint")).unwrap();
    println!("checkpoint: {:?}", begun.elapsed());
    drop(machine);
    let begun = Instant::now();
    let machine = StateMachine::open(&dir.path().join("index"), &config).unwrap();
    println!("open: {:?}, {} leaves, {} MiB", begun.elapsed(), machine.journal_size(), rss_mib());
    let size: u64 = walk(&dir.path().join("index"));
    println!("on disk: {} bytes per key", size / puts);
}

fn walk(dir: &Path) -> u64 {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}
