//! The host as a process: the built binary on a cluster.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    metrics::Metrics,
    ports,
    process::{Process, truncate},
    wait::{SOON, Seen, until},
};

/// `gatehost run`, killed when dropped.
pub struct Host {
    process: Process,
    listen: String,
}

impl Host {
    /// Starts `gatehost run ARGS...` with a listening address of its own, and these variables besides the caller's
    /// (those that begin with `GATEHOST_` and KUBECONFIG are not passed on). Its output is kept in `log`.
    ///
    /// # Errors
    /// The binary is missing: the line says how to build it.
    pub fn start(args: &[&str], env: &[(&str, &str)], log: &Path) -> Result<Self> {
        let listen = format!("127.0.0.1:{}", ports::free());
        let mut command = Command::new(crate::gatehost_binary()?);
        command.arg("run").args(args).args(["--listen", &listen]);
        for (name, _) in std::env::vars_os() {
            if name == "KUBECONFIG" || name.to_string_lossy().starts_with("GATEHOST_") {
                command.env_remove(name);
            }
        }
        command.envs(env.iter().copied());
        truncate(log)?;
        Ok(Self { process: Process::spawn("gatehost", command, log)?, listen })
    }

    /// Waits until `/readyz` says 200: first list done, catalog scanned.
    ///
    /// # Errors
    /// It ended (the end of its log is in the message), or was not ready in 30 s.
    pub async fn wait_until_ready(&mut self) -> Result<()> {
        until(SOON, "the host is ready", async || {
            self.process.check()?;
            Ok(match get(&self.listen, "/readyz").await {
                Ok((200, _)) => Seen::Yes(()),
                Ok((status, body)) => Seen::NotYet(format!("{status} {body}")),
                Err(error) => Seen::NotYet(format!("{error:#}")),
            })
        })
        .await
    }

    /// The status code and body of `GET path`.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        get(&self.listen, path).await
    }

    /// What `/metrics` says now.
    pub async fn metrics(&self) -> Result<Metrics> {
        match self.get("/metrics").await? {
            (200, body) => Ok(Metrics::parse(&body)),
            (status, body) => bail!("/metrics: {status} {body}"),
        }
    }

    /// Where it serves, as `http://ADDRESS`.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Its log file.
    pub fn log(&self) -> PathBuf {
        self.process.log().to_owned()
    }

    /// Its log: one JSON object a line; lines that are none are left out.
    pub fn log_lines(&self) -> Result<Vec<serde_json::Value>> {
        let text = std::fs::read_to_string(self.process.log())?;
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Fails, with the end of its log, when it has ended.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    /// Asks it to end (SIGTERM) and waits at most `bound`; its exit status.
    pub fn terminate(&mut self, bound: Duration) -> Result<ExitStatus> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(bound)
    }

    /// Waits at most `bound` for it to end by itself: for inputs that it refuses.
    pub fn wait(&mut self, bound: Duration) -> Result<ExitStatus> {
        self.process.wait(bound)
    }

    /// Ends it as a crash would (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }
}

/// One HTTP/1.0 request, so that the body ends where the connection does; at most 5 s.
async fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), exchange).await.context("no answer in 5 s")??;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).context("no HTTP status")?;
    Ok((status, body.to_owned()))
}
