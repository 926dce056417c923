//! After a run, a client key is nowhere in the process: not raw, not as the text of its header.
//!
//! The allocator of the real program wipes what it frees; key slots wipe themselves. Only root can
//! look into a process that has forbidden dumps; anyone else's run of this test ends early.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::process::Child;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use crate::edge_stop::{program, ready, terminate};
use crate::support::{Client, Sign};

/// 32 bytes that occur nowhere by chance.
const CANARY: &[u8; 32] = b"\xf1canary-of-a-client-key-\x8e\x03\x9a\xd4\x55\x1c\x70\xbb";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_key_does_not_stay_in_memory() {
    let data = tempfile::tempdir().unwrap();
    let mut child = program(data.path(), &[]);
    let (s3, _) = ready(&mut child);
    let client = Client::new(s3, ("ROOTKEY".into(), "root-secret".into())).over_tls(&data.path().join("tls/ca.pem"));
    assert_eq!(client.put("/memory", b"").await.status.as_u16(), 200);
    let text = STANDARD.encode(CANARY);
    let md5 = STANDARD.encode(Md5::digest(CANARY));
    let headers = [
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-server-side-encryption-customer-key", text.as_str()),
        ("x-amz-server-side-encryption-customer-key-md5", md5.as_str()),
    ];
    let mut open = Vec::new();
    for len in [0, 5, 4096, 3 << 20] {
        let body = vec![7; len];
        let mut connection = client.connect().await;
        let target = format!("/memory/k{len}");
        let put = client.send_on(&mut connection, "PUT", &target, &headers, &body, &Sign::Body).await;
        assert_eq!(put.status.as_u16(), 200, "{}", put.text());
        let got = client.send_on(&mut connection, "GET", &target, &headers, b"", &Sign::Body).await;
        assert!(got.body == body);
        open.push(connection);
    }
    // On a connection that read a large body without a key, the answer to a key is the last.
    let mut connection = client.connect().await;
    let put = client.send_on(&mut connection, "PUT", "/memory/open", &[], &vec![7; 1 << 20], &Sign::Body).await;
    assert_eq!((put.status.as_u16(), put.headers.get("connection")), (200, None));
    let got = client.send_on(&mut connection, "GET", "/memory/k5", &headers, b"", &Sign::Body).await;
    assert_eq!(got.headers["connection"], "close");
    open.push(connection);
    // A refused request leaves no more than an accepted one.
    let refused = client.clone().acting_as("ROOTKEY", "wrong").send("GET", "/memory/k5", &headers, b"").await;
    assert_eq!(refused.status.as_u16(), 403);

    // The server has turned to waiting for the next request, then to the end of the connections.
    for end in [false, true] {
        if end {
            open.clear();
        }
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        assert_eq!(found_in(&child, &text), Vec::<String>::new(), "connections ended: {end}");
    }
    terminate(&child);
    assert!(child.wait().unwrap().success());
}

/// Where the memory of a program holds half of the key or of its text. Half is already too much.
fn found_in(child: &Child, text: &str) -> Vec<String> {
    let pid = child.id();
    let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else { return Vec::new() };
    let whole: [&[u8]; 2] = [CANARY, text.as_bytes()];
    let needles: Vec<&[u8]> = whole.iter().flat_map(|n| [&n[..16], &n[n.len() - 16..]]).collect();
    scan(&memory, &std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap(), &needles)
}

/// The regions in which a needle occurs.
fn scan(memory: &File, maps: &str, needles: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw"))) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // A region may be gone by now, or be one that cannot be read.
        if memory.read_exact_at(&mut bytes, from).is_err() {
            continue;
        }
        if needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == *needle)) {
            found.push(line.to_owned());
        }
    }
    found
}
