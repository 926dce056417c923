//! Small answers leave at once: no Nagle, no delayed acknowledgement, no 40 ms steps.

use std::time::{Duration, Instant};

use http::StatusCode;

use crate::support::{Sign, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn keep_alive_gets_of_4_kib_see_no_40_ms_steps() {
    let server = TestServer::start().await;
    for client in [server.client(), server.tls_client()] {
        client.put("/latency", b"").await;
        assert_eq!(client.put("/latency/k", &[7; 4096]).await.status, StatusCode::OK);
        let mut connection = client.connect().await;
        let mut times = Vec::new();
        for _ in 0..100 {
            let start = Instant::now();
            let answer = client.send_on(&mut connection, "GET", "/latency/k", &[], b"", &Sign::Body).await;
            times.push(start.elapsed());
            assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 4096));
        }
        times.sort();
        // Delayed acknowledgement would put every one at 40 ms; a busy machine puts a few there.
        assert!(times[50] < Duration::from_millis(20), "median {:?}", times[50]);
    }
    server.stop().await;
}
