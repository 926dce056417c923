//! TLS and plain HTTP on one port, told apart by the first byte.

use http::StatusCode;

use crate::support::{Sign, TestServer};
use chartrier::config::PlainHttp;

#[tokio::test(flavor = "multi_thread")]
async fn one_port_takes_both() {
    let server = TestServer::start().await;
    for client in [server.client(), server.tls_client()] {
        let mut connection = client.connect().await;
        for _ in 0..2 {
            let answer = client.send_on(&mut connection, "GET", "/", &[], b"", &Sign::Body).await;
            assert_eq!(answer.status, StatusCode::OK);
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_can_be_turned_off() {
    let server = TestServer::start_with(|config| config.plain_http = PlainHttp::Never).await;
    let answer = server.client().get("/").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "AccessDenied"));
    assert_eq!(server.tls_client().get("/").await.status, StatusCode::OK);
    server.stop().await;
}
