//! The agent's own binary as a process: its log lines and its listener.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Time for one answer of the agent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The manifests that the demo plays.
const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/demo/manifests");

/// A running agent; dropping it stops it.
pub(crate) struct Agent {
    process: Child,
    /// Where it listens, once it has said so.
    pub(crate) address: Option<String>,
}

impl Agent {
    /// Starts the agent that was built beside this program.
    pub(crate) fn start(folder: &Path, podman: &Path) -> anyhow::Result<Self> {
        // The agent ends with the demo, even if the demo is killed.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(binary()?)
            .args(["--manifests", MANIFESTS, "--device-id", "demo"])
            // Any free port: the log says which.
            .args(["--metrics-listen", "127.0.0.1:0"])
            // The machine may have just booted.
            .args(["--cron-clock", "any"])
            .arg("--state-dir")
            .arg(folder.join("state"))
            .arg("--podman-socket")
            .arg(podman)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Ctrl-C is for the demo, which then stops the agent.
            .process_group(0)
            .spawn()
            .context("failed to start the agent")?;
        Ok(Self { process, address: None })
    }

    /// Sends each line of the log to `lines` from now on.
    pub(crate) fn tell(&mut self, lines: Sender<Value>) {
        let Some(output) = self.process.stdout.take() else { return };
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let told = serde_json::from_str(&line).map(|line| lines.send(line));
                if matches!(told, Ok(Err(_))) {
                    return;
                }
            }
        });
    }

    /// Returns what `GET /status` says.
    pub(crate) fn status(&self) -> anyhow::Result<Value> {
        let (status, body) = self.ask("GET", "/status", "")?;
        if status != 200 {
            bail!("the agent answered {status}: {body}");
        }
        serde_json::from_str(&body).context("failed to read the status")
    }

    /// Posts a metric as any program on the device may.
    pub(crate) fn post(&self, body: &str) -> anyhow::Result<()> {
        match self.ask("POST", "/metrics", body)? {
            (204, _) => Ok(()),
            (status, body) => bail!("the agent answered {status}: {body}"),
        }
    }

    /// Lets the agent's own command write the status to standard output.
    pub(crate) fn show_status(&self) -> anyhow::Result<()> {
        let address = self.address.as_deref().context("the agent does not listen yet")?;
        let mut status = Command::new(binary()?);
        let ended = status.args(["status", "--address", address]).status();
        if !ended.context("failed to ask for the status")?.success() {
            bail!("the agent gave no status");
        }
        Ok(())
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
        let address = self.address.as_deref().context("the agent does not listen yet")?;
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer was cut short")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.context("the answer was no HTTP")?, body.to_owned()))
    }
}

/// Returns the agent that was built beside this program.
fn binary() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("failed to find this program")?;
    let built = own.parent().and_then(Path::parent).context("failed to find the agent")?;
    Ok(built.join("device-worker-ng"))
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.process.wait();
    }
}
