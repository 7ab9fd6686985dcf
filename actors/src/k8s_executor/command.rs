//! What a command asks of the cluster, step by step.

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::time::{sleep, timeout};

use super::client::{ClusterApi, ClusterError};
use super::deployment::Objects;
use super::mirror::View;
use crate::messages::CommandError;
use crate::workload::WorkloadId;

/// Time between two looks at something that is on its way out.
const GONE_POLL: Duration = Duration::from_secs(1);
/// Time between two looks at the mirror.
const SETTLE_POLL: Duration = Duration::from_millis(50);
/// Time for the mirror to show what the cluster has confirmed; longer only when its watch broke.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// A command is answered so long before its deadline, lest the executor count as hung.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// A command under way.
pub(super) type Working = LocalBoxFuture<'static, Result<(), CommandError>>;

/// Makes the cluster hold `objects`, and waits until the mirror shows it.
pub(super) async fn start(
    api: Rc<dyn ClusterApi>,
    view: View,
    objects: Objects,
) -> Result<(), CommandError> {
    let id = objects.id.clone();
    // What is applied to a Deployment that is being deleted goes with it.
    while view.may_be_deleting(&id) {
        sleep(GONE_POLL).await;
    }
    api.apply(objects).await.map_err(|error| failed_start(&error))?;
    settle(|| view.exists(&id)).await;
    Ok(())
}

/// Deletes a specification's Deployment with all that it owns, and waits until it is gone.
pub(super) async fn stop(
    api: Rc<dyn ClusterApi>,
    view: View,
    id: WorkloadId,
) -> Result<(), CommandError> {
    api.delete(id.clone()).await.map_err(|error| failed_stop(&error))?;
    loop {
        let exists = api.exists(id.clone()).await;
        if !exists.map_err(|error| failed_stop(&error))? {
            break;
        }
        sleep(GONE_POLL).await;
    }
    settle(|| view.is_gone(&id)).await;
    Ok(())
}

/// Returns the answer to limits for a pod that runs: they are part of what its Deployment is.
pub(super) fn limits_wait() -> CommandError {
    let message = "other limits would restart a k8s workload; they take effect at its next start";
    CommandError::Unsupported { message: message.to_owned() }
}

/// Ends a command before its deadline does.
pub(super) async fn in_time(working: Working, left: Duration) -> Result<(), CommandError> {
    let limit = left.saturating_sub(ANSWER_MARGIN).max(left / 2);
    timeout(limit, working).await.unwrap_or_else(|_| {
        let message = format!("the cluster did not do it within {} s", limit.as_secs());
        Err(CommandError::Unavailable { message })
    })
}

/// Waits for the mirror, so that the report before the answer agrees with it.
async fn settle(is_settled: impl Fn() -> bool) {
    let settled = async {
        while !is_settled() {
            sleep(SETTLE_POLL).await;
        }
    };
    // A mirror that is late is caught up by the next report.
    let _ = timeout(SETTLE_LIMIT, settled).await;
}

fn failed_start(error: &ClusterError) -> CommandError {
    let message = error.in_full();
    if error.is_outage() {
        CommandError::Unavailable { message }
    } else {
        CommandError::Start { message }
    }
}

fn failed_stop(error: &ClusterError) -> CommandError {
    let message = error.in_full();
    if error.is_outage() {
        CommandError::Unavailable { message }
    } else {
        CommandError::Stop { message }
    }
}
