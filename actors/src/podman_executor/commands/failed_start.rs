//! What becomes of a pod that did not start, or is in the way of one: it is removed; and what the command
//! comes to if it is not.

use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use super::evidence::keep_evidence;
use super::stop::{remove_gently, remove_pod};
use crate::clock::Monotonic;
use crate::messages::{CommandError, Evidence};
use crate::podman_executor::context::{PodmanContext, unavailable};
use crate::podman_executor::libpod::api::PodmanError;
use crate::podman_executor::libpod::types::ContainerRow;
use crate::podman_executor::pod_state::may_run;
use crate::workload::Workload;

/// Left when a removal that does not end is given up, so that the answer is still why it failed.
pub(super) const ANSWER_MARGIN: Duration = Duration::from_secs(1);
/// Grace for what still runs of a pod that is replaced.
const REPLACEMENT_GRACE: Duration = Duration::from_secs(10);

/// Removes a pod of this id that does not run as it should.
///
/// # Errors
/// It is still there.
pub(super) async fn replace(
    context: &PodmanContext,
    workload: &Workload,
) -> Result<(), CommandError> {
    match remove_gently(context, &workload.id, REPLACEMENT_GRACE).await {
        Ok(()) => Ok(()),
        Err(error) => Err(not_removed(context, workload, start_error(&error)).await),
    }
}

/// Removes a pod whose start has failed with `error`, in the time that is left; returns the command's
/// error.
pub(super) async fn clean_up(
    context: &PodmanContext,
    workload: &Workload,
    deadline: Monotonic,
    grace: Duration,
    evidence: Evidence,
    error: CommandError,
) -> CommandError {
    let left = context.left(deadline).saturating_sub(ANSWER_MARGIN);
    let removed = timeout(left, remove_failed(context, workload, grace, evidence)).await;
    if removed.is_err() {
        warn!(job_id = workload.id.as_str(), "failed pod was not removed in time");
    }
    if removed.unwrap_or(false) { error } else { not_removed(context, workload, error).await }
}

/// Returns the error of a command that failed with `error` and left a pod of this id on the device. As long
/// as nobody has seen its containers end, no other pod may take its place.
async fn not_removed(
    context: &PodmanContext,
    workload: &Workload,
    error: CommandError,
) -> CommandError {
    if error.is_transient() {
        return error;
    }
    let rows = context.containers_of(&workload.id);
    let rows = timeout(ANSWER_MARGIN / 2, rows).await;
    let is_over = |rows: Vec<ContainerRow>| !rows.iter().any(may_run);
    match rows.ok().and_then(Result::ok).is_some_and(is_over) {
        true => error,
        false => {
            let message = format!("{error}; the pod could not be removed, and may run");
            CommandError::Unavailable { message }
        }
    }
}

/// Removes a pod whose start has failed, with its volumes; returns whether it has gone.
async fn remove_failed(
    context: &PodmanContext,
    workload: &Workload,
    grace: Duration,
    evidence: Evidence,
) -> bool {
    let pod = workload.id.as_str();
    if context.keeps_logs()
        && let Ok(rows) = context.containers_of(&workload.id).await
    {
        keep_evidence(context, &workload.id, &rows, evidence).await;
    }
    let removed = match grace.is_zero() {
        true => {
            context.cuts_short(&workload.id);
            remove_pod(context, &workload.id).await
        }
        false => remove_gently(context, &workload.id, grace).await,
    };
    if let Err(error) = removed {
        warn!(job_id = pod, error = error.chain(), "failed pod was not removed");
        return false;
    }
    if let Err(error) = context.remove_volumes(&workload.id).await {
        warn!(job_id = pod, error, "volumes of a failed pod were not removed");
    }
    context.hooks.borrow_mut().start_is_over(&workload.id);
    true
}

/// Returns the error of a start in which podman answered a call so.
pub(super) fn start_error(error: &PodmanError) -> CommandError {
    if error.is_refusal() {
        let message = error.chain();
        CommandError::Start { message }
    } else {
        unavailable(error)
    }
}
