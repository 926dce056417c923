//! Starting and stopping, as a person and an init system see it: the real program.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::io::AsyncWriteExt as _;

use crate::support::client::{read_answer, with_length};
use crate::support::{Client, Sign, TestServer};

pub(crate) fn program(data: &Path, more: &[&str]) -> Child {
    program_with(data, more, &[])
}

/// With variables of its environment.
pub(crate) fn program_with(data: &Path, more: &[&str], env: &[(&str, &Path)]) -> Child {
    let listen: &[&str] = if more.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
    Command::new(env!("CARGO_BIN_EXE_chartrier"))
        .arg("serve")
        .args(listen)
        .args(["--admin-listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .args(more)
        .env("CHARTRIER_ROOT_ACCESS_KEY_ID", "ROOTKEY")
        .env("CHARTRIER_ROOT_SECRET_ACCESS_KEY", "root-secret")
        .envs(env.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn ready(child: &mut Child) -> (SocketAddr, SocketAddr) {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address = |name: &str| {
        let rest = line.split_once(name).unwrap_or_else(|| panic!("not a readiness line: {line:?}")).1;
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    assert!(line.starts_with("ready s3=http://127.0.0.1:"), "{line}");
    (address("s3=http://"), address("admin=http://"))
}

pub(crate) fn terminate(child: &Child) {
    let status = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
}

fn stderr(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.as_mut().unwrap().read_to_string(&mut text).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_says_ready_serves_and_stops_on_sigterm() {
    let data = tempfile::tempdir().unwrap();
    let mut child = program(data.path(), &[]);
    let (s3, admin) = ready(&mut child);
    let credentials = data.path().join("credentials");
    assert_eq!(std::fs::metadata(&credentials).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&credentials).unwrap();
    assert_eq!(text, "[default]\naws_access_key_id = ROOTKEY\naws_secret_access_key = root-secret\n");
    let client = Client::new(s3, ("ROOTKEY".into(), "root-secret".into()));
    assert_eq!(client.put("/kept", b"").await.status, StatusCode::OK);
    assert_eq!(client.put("/kept/k", b"value").await.status, StatusCode::OK);
    for path in ["/health/live", "/health/ready", "/metrics"] {
        let admin = Client::new(admin, (String::from("x"), String::from("x")));
        let mut connection = admin.connect().await;
        connection.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let answer = read_answer(&mut connection, "GET").await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        if path == "/metrics" {
            assert!(answer.text().contains("chartrier_requests_total{class=\"2xx\",operation=\"PutObject\"} 1"));
        }
    }
    terminate(&child);
    assert!(child.wait().unwrap().success(), "{}", stderr(&mut child));

    // Its data is there at the next start, without the variables being looked at again.
    let mut child = program(data.path(), &[]);
    let (s3, _) = ready(&mut child);
    let client = Client::new(s3, ("ROOTKEY".into(), "root-secret".into()));
    assert_eq!(client.get("/kept/k").await.body, b"value");
    terminate(&child);
    assert!(child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_start_says_why_on_one_line() {
    let data = tempfile::tempdir().unwrap();
    let mut first = program(data.path(), &[]);
    let (s3, _) = ready(&mut first);
    let taken = s3.to_string();
    for (mut child, word) in [
        (program(data.path(), &[]), ""),
        (program(&data.path().join("other"), &["--listen", &taken]), "cannot listen"),
        (program(&data.path().join("other"), &["--erasure", "1+0"]), "--unprotected"),
    ] {
        let status = child.wait().unwrap();
        assert!(!status.success());
        let text = stderr(&mut child);
        assert!(text.lines().filter(|line| line.starts_with("chartrier: ")).count() == 1, "{text}");
        assert!(text.contains(word), "{text}");
    }
    terminate(&first);
    assert!(first.wait().unwrap().success());

    // Without its key file the data is not touched, and above all no new key is made.
    std::fs::remove_file(data.path().join("keys/operator.key")).unwrap();
    let mut child = program(data.path(), &[]);
    assert!(!child.wait().unwrap().success());
    assert!(stderr(&mut child).contains("restore it from a backup"));
    assert!(!data.path().join("keys/operator.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_finished_before_the_stop() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/drain", b"").await;
    let body = vec![1; 1 << 20];
    let head = with_length(client.head("PUT", "/drain/k", &[], &body, &Sign::Body), body.len());
    let mut connection = client.connect().await;
    connection.write_all(&head).await.unwrap();
    connection.write_all(&body[..1000]).await.unwrap();
    let mut idle = client.connect().await;
    client.send_on(&mut idle, "GET", "/", &[], b"", &Sign::Body).await;
    tokio::time::sleep(Duration::from_millis(100)).await;

    let start = Instant::now();
    let stopped = tokio::spawn(server.stop());
    tokio::time::sleep(Duration::from_millis(200)).await;
    connection.write_all(&body[1000..]).await.unwrap();
    let answer = read_answer(&mut connection, "PUT").await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    drop(connection);
    let data = stopped.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "an idle connection does not hold the stop up");

    let server = TestServer::start_on(Arc::clone(&data), |_| {}).await;
    assert_eq!(server.client().get("/drain/k").await.body, body);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_is_cut_at_the_end_of_the_grace() {
    let server = TestServer::start_with(|config| config.shutdown_grace_s = 1).await;
    let client = server.client();
    client.put("/never", b"").await;
    let head = with_length(client.head("PUT", "/never/k", &[], &[0; 100], &Sign::Body), 100);
    let mut connection = client.connect().await;
    connection.write_all(&head).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    server.stop().await;
    assert!(start.elapsed() < Duration::from_secs(10));
}
