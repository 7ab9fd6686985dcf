//! What a command asks of the cluster, step by step.

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::time::timeout;
use tracing::{debug, info};

use super::client::{ClusterApi, ClusterError};
use super::deployment::Objects;
use super::mirror::{Seen, View};
use crate::messages::{Action, CommandError};
use crate::workload::{ExecutorKind, WorkloadId};

/// Longest wait for the pods of a Deployment that was suspended; then others have their turn.
const END_LIMIT: Duration = Duration::from_secs(10);
/// Time for the mirror to show what the cluster has confirmed; then the cluster is asked whether it is
/// still there.
const SHOW_LIMIT: Duration = Duration::from_secs(5);
/// Margin before a command's deadline: past the deadline the executor counts as hung.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// A command under way.
pub(super) type Working = LocalBoxFuture<'static, Result<(), Failed>>;

/// How a command failed.
#[derive(Debug)]
pub(super) struct Failed {
    /// The answer to the scheduler.
    pub(super) error: CommandError,
    /// How long the cluster wants no more requests.
    pub(super) retry_after: Option<Duration>,
}

impl From<CommandError> for Failed {
    fn from(error: CommandError) -> Self {
        Self { error, retry_after: None }
    }
}

/// Logs what became of a command, as podman's executors do. The scheduler warns of a failure.
pub(super) fn log_result(action: &Action, failed: Option<&Failed>) {
    let (job_id, workload) = (action.workload_id().as_str(), action.workload_name());
    let (executor, step) = (ExecutorKind::K8s.as_str(), action.as_str());
    match failed.map(|failed| &failed.error) {
        None => info!(job_id, %workload, executor, step, "command finished"),
        Some(error) => debug!(job_id, %workload, executor, step, %error, "command failed"),
    }
}

/// Makes the cluster hold `objects`, and waits until the mirror shows it.
pub(super) async fn start(
    api: Rc<dyn ClusterApi>,
    mut view: View,
    objects: Objects,
) -> Result<(), Failed> {
    // What is applied to a Deployment that is being deleted goes with it.
    if timeout(END_LIMIT, view.until(Seen::may_start)).await.is_err() {
        let message = "its previous pods have not ended yet".to_owned();
        return Err(CommandError::Unavailable { message }.into());
    }
    let id = objects.id.clone();
    let written = api.apply(objects).await.map_err(|error| failed_start(&error))?;
    // Answered before, the next report would still lack the workload, as if it had been removed.
    while timeout(SHOW_LIMIT, view.until(|seen| seen.shows(&written))).await.is_err() {
        let exists = api.exists(id.clone()).await;
        if !exists.map_err(|error| failed_start(&error))? {
            break;
        }
    }
    Ok(())
}

/// Scales a specification's Deployment to zero, and waits until its pods are gone.
pub(super) async fn suspend(
    api: Rc<dyn ClusterApi>,
    mut view: View,
    id: WorkloadId,
) -> Result<(), Failed> {
    api.suspend(id).await.map_err(|error| failed_stop(&error))?;
    view.until(Seen::is_suspended).await;
    Ok(())
}

/// Deletes a specification's Deployment with all that it owns, and waits until it is gone.
pub(super) async fn stop(
    api: Rc<dyn ClusterApi>,
    mut view: View,
    id: WorkloadId,
) -> Result<(), Failed> {
    api.delete(id.clone()).await.map_err(|error| failed_stop(&error))?;
    loop {
        view.until(Seen::is_gone).await;
        // A watch that lags has not seen it yet, and that is no end.
        let exists = api.exists(id.clone()).await;
        if !exists.map_err(|error| failed_stop(&error))? {
            return Ok(());
        }
        view.changed().await;
    }
}

/// Ends a command before its deadline does.
pub(super) async fn in_time(working: Working, left: Duration) -> Result<(), Failed> {
    let limit = left.saturating_sub(ANSWER_MARGIN).max(left / 2);
    timeout(limit, working).await.unwrap_or_else(|_| {
        let message = format!("the cluster did not do it within {} s", limit.as_secs());
        Err(CommandError::Unavailable { message }.into())
    })
}

fn failed_start(error: &ClusterError) -> Failed {
    failed(error, |message| CommandError::Start { message })
}

fn failed_stop(error: &ClusterError) -> Failed {
    failed(error, |message| CommandError::Stop { message })
}

fn failed(error: &ClusterError, by_workload: impl FnOnce(String) -> CommandError) -> Failed {
    let message = error.in_full();
    let retry_after = error.retry_after();
    let error = if error.is_outage() {
        CommandError::Unavailable { message }
    } else {
        by_workload(message)
    };
    Failed { error, retry_after }
}
