//! Whether the agent ends because the machine does, or the user's session, or for itself alone.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::geteuid;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::info;

/// Time for systemd to say it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// What it calls a manager that ends all its units.
const STOPPING: &[u8] = b"stopping";

/// Returns whether all else ends with the agent: the machine, or the user's service manager. Then pods
/// would be ended in no order. Without systemd nobody says so.
pub async fn ends_all() -> bool {
    // systemd gives each service one (systemd.exec(5)).
    if std::env::var_os("INVOCATION_ID").is_none() {
        return false;
    }
    let ask = || {
        let mut command = Command::new("systemctl");
        if !geteuid().is_root() {
            command.arg("--user");
        }
        command.arg("is-system-running").stdin(Stdio::null()).stderr(Stdio::null()).output()
    };
    let asked = timeout(ANSWER_TIMEOUT, spawn_blocking(ask)).await;
    let is_stopping = asked.is_ok_and(|asked| {
        asked.is_ok_and(|answer| answer.is_ok_and(|answer| answer.stdout.trim_ascii() == STOPPING))
    });
    if is_stopping {
        info!("machine is shutting down and pods are ended");
    }
    is_stopping
}
