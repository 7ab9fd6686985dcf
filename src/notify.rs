//! Tells a service manager how the agent does, where there is one (systemd's notify protocol).
//!
//! Without `NOTIFY_SOCKET` nothing here does anything.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

/// Tells that the agent is up.
pub fn ready() {
    send(&NotifyState::Ready);
}

/// Tells that the agent is about to stop.
pub fn stopping() {
    send(&NotifyState::Stopping);
}

/// Asks for so much more time to stop.
pub fn needs_time(time: Duration) {
    send(&NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX)));
}

/// Tells in plain words, in one line, how the agent does.
pub fn status(text: &str) {
    // A line break would begin another assignment of the protocol.
    let line = text.replace(['\n', '\r'], " ");
    send(&NotifyState::Status(&line));
}

/// Tells, as often as the service manager asks, that the thread which polls this is alive.
/// Returns at once when no watchdog is wanted, otherwise never.
pub async fn keep_alive() {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    // Half of the limit, as sd_watchdog_enabled(3) advises.
    let Some(period) = Some(limit / 2).filter(|period| !period.is_zero()) else {
        return;
    };
    let mut ticks = tokio::time::interval(period);
    loop {
        ticks.tick().await;
        send(&NotifyState::Watchdog);
    }
}

/// A service manager that does not listen is no reason to stop: it says so itself, and acts.
fn send(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        debug!(%error, "service manager was not notified");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    /// Set in the process that plays the agent; the environment of this one cannot be changed safely.
    const PLAYS_AGENT: &str = "PLAYS_NOTIFYING_AGENT";

    #[test]
    fn agent_that_notifies() {
        if std::env::var_os(PLAYS_AGENT).is_none() {
            return;
        }
        ready();
        status("runs\nREADY=0");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let watch = async {
            let _ = tokio::time::timeout(Duration::from_millis(120), keep_alive()).await;
        };
        runtime.block_on(watch);
        stopping();
    }

    fn agent() -> Command {
        let mut agent = Command::new(std::env::current_exe().unwrap());
        agent
            .args(["--exact", "notify::tests::agent_that_notifies"])
            .env(PLAYS_AGENT, "1")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .stdout(Stdio::null());
        agent
    }

    #[test]
    fn a_service_manager_hears_start_state_life_and_stop() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut child =
            agent().env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "50000").spawn().unwrap();
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last| last != "STOPPING=1") {
            let mut buffer = [0; 256];
            let length = socket.recv(&mut buffer).unwrap();
            heard.push(String::from_utf8_lossy(&buffer[..length]).trim().to_owned());
        }
        assert!(child.wait().unwrap().success());
        assert_eq!(heard[..2], ["READY=1", "STATUS=runs READY=0"]);
        let life = &heard[2..heard.len() - 1];
        assert!(life.len() >= 2, "{heard:?}");
        assert!(life.iter().all(|line| line == "WATCHDOG=1"), "{heard:?}");
    }

    #[test]
    fn an_agent_without_a_service_manager_is_silent_and_well() {
        assert!(agent().status().unwrap().success());
        let gone = agent().env("NOTIFY_SOCKET", "/nowhere/notify").status();
        assert!(gone.unwrap().success());
    }
}
