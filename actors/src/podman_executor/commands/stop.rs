//! Stopping a pod: its containers first, each with its grace period, then the pod.
//!
//! `pods/stop` does nothing to a degraded pod and costs 3 s more on podman 5, so it is not used.

use std::time::Duration;

use futures_util::future::join_all;
use tracing::debug;

use super::evidence::keep_evidence;
use super::hooks::Ending;
use crate::clock::Monotonic;
use crate::messages::{CommandError, Evidence};
use crate::podman_executor::context::{PodmanContext, unavailable};
use crate::podman_executor::libpod::api::{PodmanApi as _, PodmanError};
use crate::podman_executor::libpod::error_text::stop_reason;
use crate::podman_executor::libpod::types::ContainerRow;
use crate::podman_executor::notices::Notes;
use crate::podman_executor::pod_state::may_run;
use crate::workload::WorkloadId;

/// Attempts within the deadline; podman 5.4 fails the first removal after a killed conmon.
const ATTEMPTS: u32 = 3;
/// Time between two attempts.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Time for podman to clean up after the last container: removing before costs 3 s. A slow one has more.
const CLEANUP_TIME: Duration = Duration::from_secs(3);
/// Time to the second look at what is being waited for; doubled with each further one.
const MIN_POLL_PERIOD: Duration = Duration::from_millis(10);
/// Longest time between two looks.
const MAX_POLL_PERIOD: Duration = Duration::from_millis(20);

/// Stops and removes the pod `id` with its volumes; returns the last lines of its log if `evidence` asks
/// for them. `known` are its containers that may run, where they are known: if the run has not failed,
/// podman is not asked for them first.
///
/// # Errors
/// podman did not answer, or did not remove the pod.
pub(crate) async fn stop(
    context: &PodmanContext,
    id: &WorkloadId,
    grace: Duration,
    known: Option<Vec<ContainerRow>>,
    evidence: Evidence,
    deadline: Monotonic,
) -> Result<Notes, CommandError> {
    // Of one that has failed, those that have ended are looked at, too.
    let may_have_failed = evidence != Evidence::OfFailure || !context.table.borrow().runs(id);
    let mut known = known.filter(|_| !may_have_failed);
    let mut notes = Notes::default();
    let ending = Ending::new(context, id, grace);
    let mut attempt = 1;
    loop {
        let removed = match known.take() {
            Some(containers) => remove_known(context, id, &containers, &ending).await,
            // Later ones find containers that the agent itself has killed.
            None if attempt == 1 => {
                remove_with_evidence(context, id, &ending, evidence, &mut notes).await
            }
            None => remove_listed(context, id, &ending).await,
        };
        let removed = match removed {
            // A start that was given up may make the pod once more, in the place of the one that went.
            Ok(()) => context.settle(id, context.left(deadline)).await,
            Err(error) => Err(error),
        };
        let error = match removed {
            Ok(true) => break,
            Ok(false) => continue,
            Err(error) => error,
        };
        if attempt == ATTEMPTS || context.left(deadline) <= RETRY_DELAY {
            return Err(command_error(&error));
        }
        debug!(error = error.chain(), attempt, "stop is tried again");
        attempt += 1;
        tokio::time::sleep(RETRY_DELAY).await;
    }
    context.hooks.borrow_mut().start_is_over(id);
    let removed = context.remove_volumes(id).await;
    removed.map_err(|message| CommandError::Stop { message })?;
    Ok(notes)
}

/// Ends the containers of the pod `id`, and leaves all else of it. `known` are those that may run, where
/// they are known. At the machine's shutdown podman may never come to an end with what follows from the
/// end of a container: one whose process is gone has ended, whatever podman says.
///
/// # Errors
/// podman did not answer, or refused to stop a container.
pub(crate) async fn halt(
    context: &PodmanContext,
    id: &WorkloadId,
    grace: Duration,
    known: Option<Vec<ContainerRow>>,
) -> Result<(), CommandError> {
    let rows = match known {
        Some(rows) => rows,
        None => context.containers_of(id).await.map_err(|error| unavailable(&error))?,
    };
    let ending = Ending::new(context, id, grace);
    let ends = rows.iter().filter(|row| may_run(row)).map(|row| end(context, row, &ending));
    let ended: Result<Vec<()>, PodmanError> = join_all(ends).await.into_iter().collect();
    ended.map(drop).map_err(|error| command_error(&error))
}

async fn end(
    context: &PodmanContext,
    row: &ContainerRow,
    ending: &Ending<'_>,
) -> Result<(), PodmanError> {
    let is_gone = async || {
        let living = context.api.living(vec![row.pid]).await;
        row.pid > 0 && living.is_some_and(|living| living.is_empty())
    };
    let gone = async {
        while !is_gone().await {
            tokio::time::sleep(MAX_POLL_PERIOD * 5).await;
        }
    };
    tokio::select! {
        stopped = ending.stop(row) => stopped,
        () = gone => Ok(()),
    }
}

/// Stops the containers of the pod `id`, then removes it.
///
/// # Errors
/// podman did not answer, or refused to remove the pod.
pub(crate) async fn remove_gently(
    context: &PodmanContext,
    id: &WorkloadId,
    grace: Duration,
) -> Result<(), PodmanError> {
    remove_listed(context, id, &Ending::new(context, id, grace)).await
}

async fn remove_listed(
    context: &PodmanContext,
    id: &WorkloadId,
    ending: &Ending<'_>,
) -> Result<(), PodmanError> {
    let rows = context.containers_of(id).await?;
    remove_rows(context, id, rows, ending).await
}

/// As [`remove_listed`], of a pod that the agent has not begun to stop: if its run has failed, its logs
/// are kept.
async fn remove_with_evidence(
    context: &PodmanContext,
    id: &WorkloadId,
    ending: &Ending<'_>,
    evidence: Evidence,
    notes: &mut Notes,
) -> Result<(), PodmanError> {
    let rows = context.containers_of(id).await?;
    let last_lines = keep_evidence(context, id, &rows, evidence).await;
    // One that was made in the place of the pod, which went, has nothing to say.
    notes.last_lines = last_lines.or(notes.last_lines.take());
    remove_rows(context, id, rows, ending).await
}

/// Stops those of `rows`, all containers of the pod `id`, that may run, then removes the pod.
async fn remove_rows(
    context: &PodmanContext,
    id: &WorkloadId,
    rows: Vec<ContainerRow>,
    ending: &Ending<'_>,
) -> Result<(), PodmanError> {
    if !rows.is_empty() {
        let live: Vec<_> = rows.into_iter().filter(may_run).collect();
        return remove_known(context, id, &live, ending).await;
    }
    // The removal kills, and names the pod only: it must be one of ours.
    if context.pod(id).await?.is_none() {
        return Ok(());
    }
    remove_pod(context, id).await
}

/// Removes the pod `id` of ours; what still runs of it is killed.
pub(super) async fn remove_pod(
    context: &PodmanContext,
    id: &WorkloadId,
) -> Result<(), PodmanError> {
    context.api.remove_pod(id.as_str()).await?;
    context.begins_anew(id);
    Ok(())
}

/// Stops `containers` of the pod `id` of ours, then removes it.
async fn remove_known(
    context: &PodmanContext,
    id: &WorkloadId,
    containers: &[ContainerRow],
    ending: &Ending<'_>,
) -> Result<(), PodmanError> {
    if !containers.is_empty() {
        context.cuts_short(id);
    }
    stop_containers(containers, ending).await?;
    wait_for_end(context, id).await?;
    remove_pod(context, id).await
}

async fn stop_containers(
    containers: &[ContainerRow],
    ending: &Ending<'_>,
) -> Result<(), PodmanError> {
    let stops = containers.iter().map(|row| ending.stop(row));
    for stopped in join_all(stops).await {
        match stopped {
            // One whose conmon is dead refuses; the removal of the pod takes it along.
            Err(error) if error.is_refusal() => {
                debug!(error = error.chain(), "container did not stop by itself");
            }
            other @ (Ok(()) | Err(_)) => other?,
        }
    }
    Ok(())
}

/// Waits, not for ever, until podman has cleaned up behind the last container.
async fn wait_for_end(context: &PodmanContext, id: &WorkloadId) -> Result<(), PodmanError> {
    let until = context.clock.now().monotonic + context.api.patient(CLEANUP_TIME);
    let mut period = MIN_POLL_PERIOD;
    while context.left(until) > Duration::ZERO {
        let asked = context.clock.now().monotonic;
        match context.pod(id).await {
            Ok(Some(pod)) if pod.status == "Running" || pod.status == "Degraded" => {}
            // Blocked on the pod's lock: the removal waits for it as well.
            Ok(_) | Err(PodmanError::Timeout { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        // No look is worth more of podman's time than all the rest.
        tokio::time::sleep(period.max(context.since(asked))).await;
        period = (period * 2).min(MAX_POLL_PERIOD);
    }
    Ok(())
}

fn command_error(error: &PodmanError) -> CommandError {
    match error {
        PodmanError::Refused { message, .. } => {
            CommandError::Stop { message: stop_reason(message, &error.chain()) }
        }
        PodmanError::Connect { .. }
        | PodmanError::Foreign { .. }
        | PodmanError::Timeout { .. }
        | PodmanError::Cut { .. }
        | PodmanError::Garbled { .. } => unavailable(error),
    }
}
