//! A Chartrier server as a process: started, killed, stopped.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::client::Client;
use crate::http::Endpoint;
use crate::sign::Credentials;

/// A server that is not ready within this time has failed.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    child: Child,
    /// Its data folder.
    pub data: PathBuf,
    /// `127.0.0.1:port` of the S3 listener.
    authority: String,
}

impl Server {
    /// Starts `binary serve` on free ports and waits for its readiness line. Its log goes to `DATA.log`.
    ///
    /// # Errors
    /// If it ends, or says nothing within a minute.
    pub async fn start(binary: &Path, data: &Path, arguments: &[String]) -> io::Result<Self> {
        let mut child = Command::new(binary)
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(log_file(data)?)
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("the server has no standard output"))?;
        let line = timeout(READY_TIMEOUT, BufReader::new(output).lines().next_line())
            .await
            .map_err(|_| io::Error::other("the server was not ready within a minute"))??
            .ok_or_else(|| io::Error::other(format!("the server did not start: see {}.log", data.display())))?;
        let authority = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("s3=http://"))
            .ok_or_else(|| io::Error::other(format!("not a readiness line: {line}")))?
            .to_owned();
        Ok(Self { child, data: data.to_owned(), authority })
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// A client over TLS, with the root credentials.
    ///
    /// # Errors
    /// If the data folder has no CA certificate or credentials.
    pub fn client(&self) -> io::Result<Client> {
        let ca = std::fs::read(self.data.join("tls/ca.pem"))?;
        let endpoint = Endpoint::parse(&format!("https://{}", self.authority), Some(&ca))?;
        let credentials = std::fs::read_to_string(self.data.join("credentials"))?;
        let value = |name: &str| {
            credentials
                .lines()
                .filter_map(|line| line.split_once('='))
                .find(|(have, _)| have.trim() == name)
                .map(|(_, value)| value.trim().to_owned())
                .ok_or_else(|| io::Error::other(format!("the credentials file has no {name}")))
        };
        let credentials = Credentials::new(&value("aws_access_key_id")?, &value("aws_secret_access_key")?, "fr");
        Ok(Client { endpoint, credentials: Arc::new(credentials) })
    }

    /// Adds a user through the admin command; returns its access key id and secret.
    ///
    /// # Errors
    /// If the command fails or its answer lacks them.
    pub async fn add_user(&self, binary: &Path, name: &str) -> io::Result<(String, String)> {
        let output = Command::new(binary)
            .arg("admin")
            .arg("--data")
            .arg(&self.data)
            .args(["--json", "user", "add", name])
            .output()
            .await?;
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|error| {
            io::Error::other(format!("user add: {error}: {}", String::from_utf8_lossy(&output.stderr)))
        })?;
        let field = |name: &str| {
            answer[name].as_str().map(str::to_owned).ok_or_else(|| io::Error::other(format!("user add gave no {name}")))
        };
        Ok((field("access_key_id")?, field("secret_access_key")?))
    }

    /// SIGKILL, and waits until the process is gone.
    ///
    /// # Errors
    /// If it was gone before.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// SIGTERM; the server must end with 0.
    ///
    /// # Errors
    /// If it ends with anything else.
    pub async fn stop(mut self) -> io::Result<()> {
        let pid = self.child.id().ok_or_else(|| io::Error::other("the server has ended by itself"))?;
        let sent = Command::new("kill").arg(pid.to_string()).status().await?;
        let status = self.child.wait().await?;
        if sent.success() && status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("the server ended with {status} after SIGTERM")))
    }
}

fn log_file(data: &Path) -> io::Result<std::fs::File> {
    let mut path = data.as_os_str().to_owned();
    path.push(".log");
    std::fs::OpenOptions::new().create(true).append(true).open(PathBuf::from(path))
}
