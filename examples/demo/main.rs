//! The agent at work: real pods, started and stopped before your eyes, and why.
//!
//! `make demo` runs it. It plays on a podman of its own, in namespaces of its own, with a folder
//! of manifests (`examples/demo/manifests`), and leaves nothing behind.

mod agent;
mod stage;
mod timeline;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use actors::testing::podman::HermeticPodman;
use anyhow::Context as _;

use agent::Agent;
use stage::{Ended, Stage};

/// Longest wait for anything that is expected to happen.
const PATIENCE: Duration = Duration::from_secs(15);
/// A cron run that is no further away than this is worth the wait.
const CRON_LIMIT: Duration = Duration::from_secs(14);

fn main() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        eprintln!("The demo needs root: it runs pods in a podman of its own. Run: sudo make demo");
        return ExitCode::from(2);
    }
    match play() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Ended>() => {
            eprintln!("\ninterrupted; everything was cleaned up");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("the demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that was started is ended when this returns, however it does.
fn play() -> anyhow::Result<()> {
    let signals = stage::listen()?;
    say("Starting a podman of our own, with one small image ...")?;
    let podman = HermeticPodman::rootful();
    let folder = tempfile::Builder::new().prefix("dw-demo").tempdir()?;
    say("Starting the agent on the four files of examples/demo/manifests ...\n")?;
    let agent = Agent::start(folder.path(), &podman.socket())?;
    let mut stage = Stage::new(agent, signals)?;

    stage.wait_for("lamp", "running", PATIENCE)?;
    stage.watch(Duration::from_secs(1))?;

    stage.act("the device is idle: somebody posts a low load")?;
    stage.post("cpu", 20.0)?;
    stage.wait_for("forecast", "running", PATIENCE)?;
    stage.watch(Duration::from_secs(1))?;

    stage.act("now the device is busy")?;
    stage.post("cpu", 85.0)?;
    stage.wait_for("forecast", "stopped", PATIENCE)?;
    stage.watch(Duration::from_secs(1))?;

    stage.act("the load falls again, and something kills the process of lamp")?;
    kill(&podman, "lamp")?;
    stage.post("cpu", 31.0)?;
    stage.wait_for("forecast", "running", PATIENCE)?;
    stage.wait_for_log("lamp", "WorkloadStarted", 2, PATIENCE)?;
    stage.watch(Duration::from_secs(1))?;
    stage.watch_cron("report", CRON_LIMIT)?;

    say("")?;
    stage.finale()?;
    say("\nStopping the agent, the pods and podman ...")?;
    drop(stage);
    drop(podman);
    say("Everything is gone. What to do next: README.md, \"Your first workload\".")
}

/// Ends the main process of a workload, behind the agent's back.
fn kill(podman: &HermeticPodman, workload: &str) -> anyhow::Result<()> {
    let rows = podman.json("containers/json");
    let pid = rows
        .as_array()
        .into_iter()
        .flatten()
        .filter(|row| row["PodName"].as_str().is_some_and(|pod| pod.starts_with(workload)))
        .find(|row| row["IsInfra"] == false)
        .and_then(|row| row["Pid"].as_i64())
        .with_context(|| format!("failed to find the container of {workload}"))?;
    podman.kill_inside(pid);
    Ok(())
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{text}").context("failed to write")
}
