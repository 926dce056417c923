//! Clients that cost too much: slow, silent, cut off, or with too much of a head.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::client::{read_answer, with_length};
use crate::support::{Sign, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn header_bombs_are_refused() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut many = b"GET / HTTP/1.1\r\nhost: x\r\n".to_vec();
    (0..101).for_each(|n| many.extend(format!("h{n}: v\r\n").bytes()));
    many.extend(b"\r\n");
    let mut large = b"GET / HTTP/1.1\r\nhost: x\r\nlarge: ".to_vec();
    large.extend(vec![b'x'; 70 << 10]);
    large.extend(b"\r\n\r\n");
    for bomb in [many, large] {
        let mut connection = client.connect().await;
        let _ = connection.write_all(&bomb).await;
        let answer = read_answer(&mut connection, "GET").await.unwrap();
        assert_eq!(answer.status.as_u16(), 431);
        let mut rest = Vec::new();
        assert_eq!(connection.read_to_end(&mut rest).await.unwrap_or(0), 0, "and the connection ends");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_cut_off() {
    let server = TestServer::start_with(|config| {
        config.limits.idle_timeout_s = 1;
        config.limits.stall_timeout_s = 1;
    })
    .await;
    let client = server.client();
    client.put("/silent", b"").await;

    // Nothing at all, and half a head.
    for begun in [b"".as_slice(), b"GET / HTTP/1.1\r\nhost: "] {
        let start = Instant::now();
        let mut connection = client.connect().await;
        connection.write_all(begun).await.unwrap();
        let mut rest = Vec::new();
        let _ = connection.read_to_end(&mut rest).await;
        assert!(start.elapsed() < Duration::from_secs(8));
    }

    // Half a body: an answer says why, and nothing is stored.
    let mut bytes = with_length(client.head("PUT", "/silent/k", &[], b"whole body", &Sign::Body), 10);
    bytes.extend_from_slice(b"whole");
    let mut connection = client.connect().await;
    connection.write_all(&bytes).await.unwrap();
    let answer = read_answer(&mut connection, "PUT").await.unwrap();
    assert_eq!(answer.code(), "RequestTimeout");
    assert_eq!(client.get("/silent/k").await.code(), "NoSuchKey");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_in_mid_body_stores_nothing() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/cut", b"").await;
    let body = vec![7; 3 << 20];
    let head = with_length(client.head("PUT", "/cut/k", &[], &body, &Sign::Body), body.len());
    for len in [0, 1, 100_000, body.len() - 1] {
        let mut connection = client.connect().await;
        connection.write_all(&head).await.unwrap();
        connection.write_all(&body[..len]).await.unwrap();
        connection.flush().await.unwrap();
        drop(connection);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(client.get("/cut/k").await.code(), "NoSuchKey");
    assert_eq!(client.put("/cut/k", &body).await.status.as_u16(), 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_the_middle_of_an_upload_reaches_its_client() {
    let server = TestServer::start().await;
    let client = server.client();
    // Far more than socket buffers hold, to a bucket that is not there.
    let body = vec![0; 16 << 20];
    for client in [client, server.tls_client()] {
        let answer = client.put("/no-such-bucket/k", &body).await;
        assert_eq!(answer.code(), "NoSuchBucket");
    }
    server.stop().await;
}
