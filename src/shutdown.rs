//! Whether the agent ends because the machine does, or the user's session, or for itself alone.

use std::path::Path;
use std::time::Duration;

use actors::program::{self, Bounds};
use rustix::process::geteuid;
use tokio::task::spawn_blocking;
use tracing::info;

/// What systemd's own program may take for it, which says one word.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(5), answer: 64 };
const SYSTEMCTL: &str = "/usr/bin/systemctl";
/// By which it finds the user's manager.
const RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
/// What it calls a manager that ends all its units.
const STOPPING: &[u8] = b"stopping";

/// Returns whether all else ends with the agent: the machine, or the user's service manager. Then pods
/// would be ended in no order. Without systemd nothing says so.
pub async fn ends_all() -> bool {
    // systemd gives each service one (systemd.exec(5)).
    if std::env::var_os("INVOCATION_ID").is_none() {
        return false;
    }
    let ask = || {
        let runtime_dir = std::env::var(RUNTIME_DIR).unwrap_or_default();
        let (scope, variables) = match geteuid().is_root() {
            true => (None, Vec::new()),
            false => (Some("--user"), vec![(RUNTIME_DIR, runtime_dir.as_str())]),
        };
        let words = scope.into_iter().chain(["is-system-running"]);
        program::answer(Path::new(SYSTEMCTL), words, &variables, BOUNDS)
    };
    let answer = spawn_blocking(ask).await;
    let is_stopping = answer.is_ok_and(|answer| answer.is_ok_and(|it| it.trim_ascii() == STOPPING));
    if is_stopping {
        info!("machine is shutting down and pods are ended");
    }
    is_stopping
}
