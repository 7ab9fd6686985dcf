//! Starting a pod: adopt it if it runs, else make it from nothing and look whether it really runs.
//!
//! `play/kube` is not atomic, answers 200 for pods that never started, and goes on when its caller
//! is gone. So its answer is only a hint; the containers decide, and what failed is removed.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use super::evidence::keep_evidence;
use super::failed_start::{ANSWER_MARGIN, clean_up, replace, start_error};
use super::freeze::thawed;
use super::hooks::PostStart;
use super::limits::{Unseen, apply_limits, limit_support, squeeze, unsupported};
use super::mending::{failed, mend_after};
use crate::clock::Monotonic;
use crate::messages::{CommandError, Evidence};
use crate::pod_manifest::host_paths::HostView;
use crate::pod_manifest::{PodContext, PodPlan, PodmanFacts, podman_pod};
use crate::podman_executor::context::{PodmanContext, unavailable};
use crate::podman_executor::libpod::api::{PlayRequest, PodmanApi, PodmanError, REMOVE_TIMEOUT};
use crate::podman_executor::libpod::error_text::taken;
use crate::podman_executor::libpod::types::{ContainerRow, HostInfo, PlayReport, container_name};
use crate::podman_executor::notices::{Notes, same_workload};
use crate::podman_executor::pod_state::{Knowledge, Phase, phase, pod_state};
use crate::workload::{CurrentState, Limits, Workload, WorkloadId};

/// Kept from the command's time for the removal of what failed.
const REMOVAL_RESERVE: Duration = REMOVE_TIMEOUT.saturating_add(ANSWER_MARGIN);
/// Longest time for the `postStart` hooks of a pod: a start with init containers has an hour.
const MAX_POST_START: Duration = Duration::from_secs(5 * 60);
/// Time for containers to leave `created` after `play/kube` has answered; a slow podman has more.
const SETTLING_TIME: Duration = Duration::from_secs(2);
/// Time to the second look at what is being waited for; doubled with each further one.
const MIN_POLL_PERIOD: Duration = Duration::from_millis(10);
/// Longest time between two looks.
const MAX_POLL_PERIOD: Duration = Duration::from_millis(100);

/// Creates and starts the pod of `workload`. Returns notes for the user, and its containers.
/// With `is_absent`, there was none when last looked, and only a name that is taken says otherwise.
///
/// # Errors
/// The pod does not run, and no container of it, unless podman does not answer.
pub(crate) async fn start(
    context: &PodmanContext,
    workload: &Workload,
    limits: Limits,
    deadline: Monotonic,
    is_absent: bool,
) -> Result<(Notes, Vec<ContainerRow>), CommandError> {
    let silent = |error: PodmanError| unavailable(&error);
    // No listing shows it yet: two of one workload would run.
    let mut made = context.api.being_made().into_iter().map(WorkloadId::from);
    let is_sibling =
        |other: &WorkloadId| *other != workload.id && same_workload(other, &workload.id);
    if let Some(other) = made.find(is_sibling) {
        let message = format!("podman is still making the pod {other} of the same workload");
        return Err(CommandError::Unavailable { message });
    }
    let left = context.left(deadline).saturating_sub(ANSWER_MARGIN);
    let is_untouched = context.settle(&workload.id, left).await.map_err(silent)?;
    let rows = match is_absent && is_untouched {
        true => Vec::new(),
        false => {
            let rows = context.containers_of(&workload.id).await.map_err(silent)?;
            thawed(context, &workload.id, rows).await.map_err(silent)?
        }
    };
    if runs(context, &rows).await || lacks_only_hooks(context, workload, &rows) {
        context.begins_anew(&workload.id);
        let post_start = PostStart::begin(context, &workload.id);
        raise_oom_score(context, workload, &rows).await;
        let mut limited = apply_limits(context, workload, limits, &rows, Unseen::Write).await?;
        let squeezed = squeeze(context, &rows, limits.squeezed).await;
        limited.refused.extend(squeezed.unwrap_or_else(|fault| vec![fault]));
        // Whether an earlier command came to them is not known.
        run_hooks(post_start, context, workload, &rows, deadline).await?;
        context.repairs.healed(&workload.id);
        return Ok((Notes { limited: Some(limited), ..Notes::default() }, rows));
    }
    let host = context.api.host().await.map_err(silent)?;
    let (writable, trails) = context.look_at_host(workload).await.map_err(silent)?;
    let view = HostView { writable: &writable, trails: Some(&trails) };
    let plan = plan(context, workload, limits, &host, view)?;
    if !rows.is_empty() {
        keep_evidence(context, &workload.id, &rows, Evidence::OfFailure).await;
        replace(context, workload).await?;
    }
    let written = context.write_volumes(&workload.id, plan.folders.clone()).await;
    written.map_err(|message| CommandError::Start { message })?;

    context.begins_anew(&workload.id);
    let post_start = PostStart::begin(context, &workload.id);
    match play(context, workload, &plan, &host, deadline).await {
        Ok(rows) => {
            context.repairs.healed(&workload.id);
            raise_oom_score(context, workload, &rows).await;
            // What podman made of them is looked at, and put right if need be: the pod runs anyway.
            let limited = apply_limits(context, workload, limits, &rows, Unseen::Leave).await;
            let limited = limited.unwrap_or_else(|_| unsupported(limits, limit_support(&host)));
            run_hooks(post_start, context, workload, &rows, deadline).await?;
            Ok((Notes { limited: Some(limited), ..Notes::adjusted(plan.warnings) }, rows))
        }
        Err(error @ (CommandError::Start { .. } | CommandError::Damaged { .. })) => {
            let evidence = Evidence::OfFailure;
            let error =
                clean_up(context, workload, deadline, Duration::ZERO, evidence, error).await;
            let left = context.left(deadline).saturating_sub(ANSWER_MARGIN);
            let _ = timeout(left, mend_after(context, workload, &error)).await;
            Err(error)
        }
        // Without podman nothing can be removed; the next start does.
        Err(error) => Err(error),
    }
}

/// Runs the `postStart` hooks of a pod whose containers have started. When one fails, the pod is removed
/// within its grace period.
async fn run_hooks(
    post_start: PostStart<'_>,
    context: &PodmanContext,
    workload: &Workload,
    rows: &[ContainerRow],
    deadline: Monotonic,
) -> Result<(), CommandError> {
    let grace = workload.grace_period();
    let left = context.left(deadline);
    // A grace period as long as the start's own time leaves the hook half of it.
    let limit = left.saturating_sub(REMOVAL_RESERVE.saturating_add(grace)).max(left / 2);
    let limit = limit.min(MAX_POST_START);
    match post_start.run(rows, limit).await {
        Err(error @ CommandError::Start { .. }) => {
            Err(clean_up(context, workload, deadline, grace, Evidence::Kept, error).await)
        }
        ended @ (Ok(()) | Err(_)) => ended,
    }
}

fn plan(
    context: &PodmanContext,
    workload: &Workload,
    limits: Limits,
    host: &HostInfo,
    view: HostView<'_>,
) -> Result<PodPlan, CommandError> {
    let context = PodContext {
        device_id: &context.device_id,
        boot_id: &context.boot_id,
        volumes_root: &context.volumes_root,
        memory_root: context.memory_root(),
        limits,
        support: limit_support(host),
        host: view,
        podman: PodmanFacts {
            version: host.podman_version,
            cpus: host.cpus,
            memory: host.mem_total,
        },
    };
    podman_pod(workload, &context)
        .map_err(|error| CommandError::Unsupported { message: error.to_string() })
}

async fn play(
    context: &PodmanContext,
    workload: &Workload,
    plan: &PodPlan,
    host: &HostInfo,
    deadline: Monotonic,
) -> Result<Vec<ContainerRow>, CommandError> {
    let manifest = serde_json::to_vec(&plan.pod).map_err(|error| CommandError::Unsupported {
        message: format!("the pod cannot be written as JSON: {error}"),
    })?;
    let request = |left: Duration| PlayRequest {
        pod: workload.id.to_string(),
        manifest: manifest.clone(),
        network: (!plan.host_network).then(|| network(host)),
        annotations: plan.long_annotations.clone(),
        log_max_size: context.log_max_size.clone(),
        timeout: left.saturating_sub(REMOVAL_RESERVE).max(left / 2),
    };
    let silent = |error: PodmanError| unavailable(&error);
    let mut played = context.api.play(request(context.left(deadline))).await;
    if is_name_taken(&played) {
        let rows = context.containers_of(&workload.id).await.map_err(silent)?;
        let rows = thawed(context, &workload.id, rows).await.map_err(silent)?;
        if runs(context, &rows).await {
            return Ok(rows);
        }
        remove_namesake(context, workload, &rows).await?;
        played = context.api.play(request(context.left(deadline))).await;
    }
    match played {
        Ok(report) => {
            let errors = report.pods.into_iter().flat_map(|pod| pod.container_errors);
            let errors: Vec<_> = errors.collect();
            match errors.first() {
                None => verify(context, workload).await,
                Some(error) => Err(failed(context, workload, error, &errors.join("; ")).await),
            }
        }
        Err(PodmanError::Refused { message, cause, .. }) => {
            let text = if message.contains(&cause) { message } else { cause };
            Err(failed(context, workload, &text, &text).await)
        }
        // podman goes on without us: what counts is what it came to.
        Err(error @ PodmanError::Timeout { .. }) => {
            let rows = context.containers_of(&workload.id).await.map_err(silent)?;
            if runs(context, &rows).await {
                return Ok(rows);
            }
            let message = error.chain();
            match workload.has_init_containers() {
                // The time was theirs, and they are to begin anew.
                true => Err(CommandError::Start { message }),
                // What a slow podman is about to finish must not be removed: the next start finds it.
                false => Err(CommandError::Unavailable { message }),
            }
        }
        Err(
            error @ (PodmanError::Connect { .. }
            | PodmanError::Foreign { .. }
            | PodmanError::Cut { .. }
            | PodmanError::Garbled { .. }),
        ) => Err(unavailable(&error)),
    }
}

fn is_name_taken(played: &Result<PlayReport, PodmanError>) -> bool {
    match played {
        Err(PodmanError::Refused { cause, .. }) => {
            cause == "pod already exists" || cause == "container already exists"
        }
        Ok(_) | Err(_) => false,
    }
}

/// Removes a pod that came since the last look, or one without containers, which no listing of
/// containers shows.
async fn remove_namesake(
    context: &PodmanContext,
    workload: &Workload,
    rows: &[ContainerRow],
) -> Result<(), CommandError> {
    if !rows.is_empty() {
        return replace(context, workload).await;
    }
    let name = workload.id.as_str();
    let pod = context.pod(&workload.id).await.map_err(|error| unavailable(&error))?;
    if pod.is_none() {
        let owner = context.owner_of(&workload.id).await.map_err(|error| unavailable(&error))?;
        let message = taken(name, owner.as_deref());
        // Not a start error: nothing of ours is there to be removed.
        return Err(CommandError::Unsupported { message });
    }
    let removed = context.api.remove_pod(name).await;
    removed.map_err(|error| start_error(&error))
}

/// Rootless networks need a helper; bridges stay broken for good once one failed half-way.
fn network(host: &HostInfo) -> &'static str {
    if !host.security.rootless {
        "podman"
    } else if !host.slirp4netns.executable.is_empty() {
        "slirp4netns"
    } else if !host.pasta.executable.is_empty() {
        "pasta"
    } else {
        "podman"
    }
}

/// Waits until every container of the pod has started, and returns all of them.
async fn verify(
    context: &PodmanContext,
    workload: &Workload,
) -> Result<Vec<ContainerRow>, CommandError> {
    let until = context.clock.now().monotonic + context.api.patient(SETTLING_TIME);
    let wanted: BTreeSet<_> = workload.pod.containers.iter().map(|c| c.name.as_str()).collect();
    let mut period = MIN_POLL_PERIOD;
    loop {
        let asked = context.clock.now().monotonic;
        let rows = context.containers_of(&workload.id).await;
        let rows = rows.map_err(|error| unavailable(&error))?;
        let started = rows.iter().filter(|row| match phase(row) {
            // One that ended already was started: how it ended is the scheduler's affair.
            Phase::Running | Phase::Paused | Phase::Ended => true,
            Phase::Created | Phase::Unclear => false,
        });
        let started: BTreeSet<_> = started.map(container_name).collect();
        let missing: Vec<_> = wanted.difference(&started).copied().collect();
        if missing.is_empty() {
            return Ok(rows);
        }
        if context.left(until).is_zero() {
            let message = format!("podman did not start container {}", missing.join(", "));
            return Err(CommandError::Start { message });
        }
        // No look is worth more of podman's time than all the rest.
        tokio::time::sleep(period.max(context.since(asked))).await;
        period = (period * 2).min(MAX_POLL_PERIOD);
    }
}

/// Lets the kernel end the pod's processes before the agent when memory is short.
async fn raise_oom_score(context: &PodmanContext, workload: &Workload, rows: &[ContainerRow]) {
    for row in rows.iter().filter(|row| row.pid > 0) {
        if let Err(error) = context.api.raise_oom_score(row.pid).await {
            let (job_id, container) = (workload.id.as_str(), container_name(row));
            debug!(job_id, container, %error, "container's oom score was not raised");
        }
    }
}

/// Returns whether `rows` are a pod that runs as it should.
async fn runs(context: &PodmanContext, rows: &[ContainerRow]) -> bool {
    if rows.is_empty() || state_of(context, rows) != CurrentState::Running {
        return false;
    }
    let pids: Vec<_> = rows.iter().map(|row| row.pid).filter(|pid| *pid > 0).collect();
    let all = pids.iter().copied().collect();
    // What cannot be seen is taken to be as podman says.
    context.api.living(pids).await.is_none_or(|living| living == all)
}

/// Returns whether `rows` are a pod all of whose containers have started, and of which only the hooks are in
/// doubt. What has ended of it meanwhile is the scheduler's affair, and is no reason to run it twice.
fn lacks_only_hooks(context: &PodmanContext, workload: &Workload, rows: &[ContainerRow]) -> bool {
    context.hooks.borrow().is_start_given_up(&workload.id)
        && matches!(state_of(context, rows), CurrentState::Degraded { .. })
}

fn state_of(context: &PodmanContext, rows: &[ContainerRow]) -> CurrentState {
    pod_state(&rows.iter().collect::<Vec<_>>(), Knowledge::of_rows_alone(&context.boot_id))
}
