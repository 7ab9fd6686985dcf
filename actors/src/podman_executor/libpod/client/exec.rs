//! Commands that are run in a container, and ended when they take too long.

use std::io::{self, Read as _};
use std::time::Duration;

use http::Method;
use rustix::fs::OFlags;
use rustix::process::{Signal, pidfd_send_signal};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::PROCESSES_TIMEOUT;
use super::log_frames::next_frame;
use super::procfs::Procfs;
use crate::podman_executor::libpod::api::{ExecResult, PodmanError};
use crate::podman_executor::libpod::http::{Call, LibpodClient, Size, decoded};
use crate::podman_executor::libpod::types::{ExecCreated, ExecDetail};

/// Bytes of a command's output that are kept: its beginning.
const MAX_OUTPUT: usize = 1024;
/// Time between two looks for the exit code, which podman notes just after the output has ended.
const LOOK_PERIOD: Duration = Duration::from_millis(20);
/// Looks for the exit code.
const MAX_LOOKS: u32 = 25;
/// Longest list of control groups of a process, in bytes.
const MAX_GROUPS: u64 = 64 * 1024;

/// What the calls are for, as errors say it.
const WHAT: &str = "run the command in the container";

impl LibpodClient {
    /// Runs `command` in `container` for `limit` at most.
    pub(super) async fn run_in(
        &self,
        container: &str,
        command: &[String],
        limit: Duration,
        patience: Duration,
    ) -> Result<ExecResult, PodmanError> {
        let body = json!({"Cmd": command, "AttachStdout": true, "AttachStderr": true});
        let create = Call::of(WHAT, Method::POST, ["containers", container, "exec"]);
        let create = create.body(body.to_string().into_bytes());
        let (_, created) = self.expect(create, patience, &[201]).await?;
        let ExecCreated { id } = decoded(WHAT, &created)?;
        let Ok(output) = timeout(limit, self.run_to_its_end(&id, patience)).await else {
            self.end(&id, container, patience).await;
            return Ok(ExecResult::TimedOut);
        };
        let output = output?;
        for _ in 0..MAX_LOOKS {
            let detail = self.exec_detail(&id, patience).await?;
            if !detail.running {
                return Ok(ExecResult::Ended { exit_code: detail.exit_code, output });
            }
            sleep(LOOK_PERIOD).await;
        }
        // It closed its output and runs on.
        self.end(&id, container, patience).await;
        Ok(ExecResult::TimedOut)
    }

    /// Starts the command and waits until its output ends; returns the beginning of that.
    async fn run_to_its_end(&self, id: &str, patience: Duration) -> Result<String, PodmanError> {
        let start = Call::of(WHAT, Method::POST, ["exec", id, "start"]);
        let start = start.body(json!({"Detach": false, "Tty": false}).to_string().into_bytes());
        let mut reply = self.open(start, patience).await?;
        let mut output = Vec::new();
        while let Some(piece) = reply.piece().await {
            let piece =
                piece.map_err(|source| PodmanError::Cut { call: WHAT, source: source.into() })?;
            let room = (MAX_OUTPUT * 2).saturating_sub(output.len());
            output.extend(piece.iter().take(room));
        }
        Ok(text_of(&output))
    }

    async fn exec_detail(&self, id: &str, patience: Duration) -> Result<ExecDetail, PodmanError> {
        let call = Call::of(WHAT, Method::GET, ["exec", id, "json"]).size(Size::One);
        self.read(call, patience).await
    }

    /// Kills the command `id` where the agent may: libpod has no call for it.
    async fn end(&self, id: &str, container: &str, patience: Duration) {
        // Another user's podman may name any process.
        let Some(peer) = self.peer().filter(|peer| !peer.is_of_another_user()) else { return };
        let pid = match self.exec_detail(id, patience).await {
            Ok(detail) if detail.running && detail.pid > 0 => detail.pid,
            Ok(_) => return,
            Err(error) => return debug!(error = error.chain(), "command was not found again"),
        };
        let container = container.to_owned();
        let killing = move || kill(&Procfs::of(peer)?, pid, &container);
        let killed = self.kernel.run("killing a command", PROCESSES_TIMEOUT, killing).await;
        if let Err(error) = killed.map_err(io::Error::other).and_then(|killed| killed) {
            debug!(%error, "command in a container was not killed");
        }
    }
}

/// Kills process `pid`, if it is one of `container`.
fn kill(procfs: &Procfs, pid: i64, container: &str) -> io::Result<()> {
    // Held open: should the process end meanwhile, its number may be another's, but not this folder.
    let process = procfs.folder(&pid.to_string())?;
    let mut groups = String::new();
    let file = procfs.file(&format!("{pid}/cgroup"), OFlags::RDONLY)?;
    file.take(MAX_GROUPS).read_to_string(&mut groups)?;
    if !groups.contains(container) {
        return Err(io::Error::other("it is no process of the container"));
    }
    Ok(pidfd_send_signal(process, Signal::KILL)?)
}

/// Returns the text in the frames of `output`, on one line.
fn text_of(mut output: &[u8]) -> String {
    let mut text = Vec::new();
    while let Some((length, rest)) = next_frame(output) {
        // The last one may be cut.
        let (piece, after) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(piece);
        output = after;
    }
    text.truncate(MAX_OUTPUT);
    let text = String::from_utf8_lossy(&text);
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_comes_in_frames() {
        let frame = |text: &str| {
            let length = u32::try_from(text.len()).unwrap().to_be_bytes();
            [&[1, 0, 0, 0], &length[..], text.as_bytes()].concat()
        };
        for (output, expected) in [
            (vec![], ""),
            (frame("ok\n"), "ok"),
            ([frame("a\n\n"), frame(" b\n")].concat(), "a; b"),
            (frame("half")[..10].to_vec(), "ha"),
            (frame("half")[..7].to_vec(), ""),
            ([&[2, 0, 0, 0, 255, 255, 255, 255][..], b"cut"].concat(), "cut"),
            (frame(&"x".repeat(3000)), &"x".repeat(MAX_OUTPUT)),
        ] {
            assert_eq!(text_of(&output), expected);
        }
    }

    #[test]
    fn only_a_process_of_the_container_is_killed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i64::from(child.id());
        let own = i32::try_from(std::process::id()).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let peer = crate::podman_executor::libpod::http::Peer { uid, gid: 0, pid: Some(own) };
        let procfs = Procfs::of(peer).unwrap();
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        assert!(kill(&procfs, pid, &"a".repeat(64)).is_err());
        assert!(child.try_wait().unwrap().is_none(), "it runs on");
        // Its own groups stand for the name of the container.
        kill(&procfs, pid, groups.lines().next().unwrap()).unwrap();
        use std::os::unix::process::ExitStatusExt as _;
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert!(kill(&procfs, pid, "").is_err(), "it is gone");
    }
}
