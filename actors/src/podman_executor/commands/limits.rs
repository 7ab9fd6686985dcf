//! Changing the limits of a pod while it runs, and looking what came of it.

use std::{io, slice};

use tracing::{debug, info, warn};

use crate::messages::CommandError;
use crate::pod_manifest::{ContainerLimits, LimitSupport, container_limits};
use crate::podman_executor::context::{PodmanContext, unavailable};
use crate::podman_executor::libpod::api::{PodmanApi as _, PodmanError};
use crate::podman_executor::libpod::in_force::{
    CPU_PERIOD, Level, MORE_THAN_ALL, Resource, fault, was_lifted_wrongly,
};
use crate::podman_executor::libpod::types::{
    ContainerRow, HostInfo, UpdateBody, UpdateCpu, UpdateMemory, container_name,
};
use crate::podman_executor::notices::{Limited, Notes};
use crate::podman_executor::pod_state::has_processes;
use crate::workload::{Limits, Workload};

/// What else there is to know where the service is another user's.
const HINT: &str = "; an agent that runs as root does not write control groups of another user's podman: \
                    the limit holds from the pod's next start";

/// Returns what this podman can limit: as root everything, else what cgroup v2 leaves to it.
pub(crate) fn limit_support(host: &HostInfo) -> LimitSupport {
    let delegated = |controller: &str| {
        let known = host.cgroup_controllers.iter().any(|known| known == controller);
        !host.security.rootless || (host.cgroup_version == "v2" && known)
    };
    LimitSupport { cpu: delegated("cpu"), memory: delegated("memory") }
}

/// Returns which of `limits` are in vain.
pub(crate) fn unsupported(limits: Limits, support: LimitSupport) -> Limited {
    let why = "rootless podman needs cgroup v2 and the controller for it";
    let cpu = limits.cpu.filter(|_| !support.cpu);
    let cpu = cpu.map(|cpu| format!("the limit of {cpu} µs of CPU in 100 ms is ignored: {why}"));
    let memory = limits.memory.filter(|_| !support.memory);
    let memory = memory.map(|bytes| format!("the limit of {bytes} bytes is ignored: {why}"));
    Limited { limits, refused: cpu.into_iter().chain(memory).collect() }
}

/// Brings limits to those containers of the pod that run, and touches nothing else of it. A pod of
/// which nothing runs gets its limits when it starts. `known` are its containers that run, as they were
/// last seen: where the kernel holds them to these limits already, podman is not asked. Returns what
/// the user should know.
///
/// # Errors
/// podman did not answer; or the pod is to be squeezed and cannot be: it has the other limits.
pub(crate) async fn limit(
    context: &PodmanContext,
    workload: &Workload,
    limits: Limits,
    known: Option<Vec<ContainerRow>>,
) -> Result<Notes, CommandError> {
    let host = context.api.host().await.map_err(|error| unavailable(&error))?;
    let support = limit_support(&host);
    if let Some(known) = known
        && are_in_force(context, workload, limits, &known, support).await
    {
        return squeeze_too(context, &known, unsupported(limits, support)).await;
    }
    let rows = context.containers_of(&workload.id).await;
    let mut rows = rows.map_err(|error| unavailable(&error))?;
    rows.retain(has_processes);
    if rows.is_empty() {
        return Ok(Notes::default());
    }
    let limited = apply_limits(context, workload, limits, &rows, Unseen::Write).await?;
    squeeze_too(context, &rows, limited).await
}

/// Brings to `rows` what else is to hold them, after the limits of which `limited` says what came.
async fn squeeze_too(
    context: &PodmanContext,
    rows: &[ContainerRow],
    limited: Limited,
) -> Result<Notes, CommandError> {
    match squeeze(context, rows, limited.limits.squeezed).await {
        Err(message) => Err(CommandError::Unsupported { message }),
        // Else it would stay for the life of the container.
        Ok(faults) if !limited.limits.squeezed && !faults.is_empty() => {
            Err(CommandError::Unavailable { message: faults.join("; ") })
        }
        Ok(faults) => {
            let refused = [limited.refused, faults].concat();
            let limited = Limited { refused, ..limited };
            Ok(Notes { limited: Some(limited), ..Notes::default() })
        }
    }
}

/// Has the kernel take memory back from `rows`, containers that have processes, or no longer. Returns what
/// went wrong this time.
///
/// # Errors
/// It can never be done here; says why, and the way out.
pub(crate) async fn squeeze(
    context: &PodmanContext,
    rows: &[ContainerRow],
    squeezed: bool,
) -> Result<Vec<String>, String> {
    let mut faults = Vec::new();
    for row in rows.iter().filter(|row| row.pid > 0) {
        if let Err(error) = context.api.squeeze(&row.id, row.pid, squeezed).await {
            let (what, name) =
                (if squeezed { "squeezed" } else { "released" }, container_name(row));
            let fault = format!("the memory of container {name} is not {what}: {error}");
            if error.kind() == io::ErrorKind::Unsupported {
                return Err(fault);
            }
            faults.push(fault);
        }
    }
    Ok(faults)
}

/// Returns whether the kernel holds all of `rows` to `limits`; `false` where that cannot be seen.
async fn are_in_force(
    context: &PodmanContext,
    workload: &Workload,
    limits: Limits,
    rows: &[ContainerRow],
    support: LimitSupport,
) -> bool {
    let mut is_any = false;
    for (row, resource, wanted) in all_wanted(workload, limits, rows, support) {
        let levels = in_force(context, row, resource).await;
        if levels.is_none_or(|levels| fault(resource, &levels, wanted).is_some()) {
            return false;
        }
        is_any = true;
    }
    is_any
}

/// What to do about a limit where it cannot be seen what is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unseen {
    /// Write it: the same again does no harm.
    Write,
    /// Believe that it is.
    Leave,
}

/// Brings the limits of a pod that runs to what they should be: writes what differs from what the
/// kernel has, looks again, and says what still differs.
///
/// # Errors
/// podman did not answer. What it refused is no error: it would refuse again.
pub(crate) async fn apply_limits(
    context: &PodmanContext,
    workload: &Workload,
    limits: Limits,
    rows: &[ContainerRow],
    unseen: Unseen,
) -> Result<Limited, CommandError> {
    let host = context.api.host().await.map_err(|error| unavailable(&error))?;
    let support = limit_support(&host);
    let mut limited = unsupported(limits, support);
    // Apart: a container that needs more memory than its limit still gets its CPU limit, and a
    // change of the one is none of the other.
    for (row, resource, wanted) in all_wanted(workload, limits, rows, support) {
        let (what, name) = (resource.as_str(), container_name(row));
        match bring(context, &host, row, resource, wanted, unseen).await {
            Ok(None) => {}
            Ok(Some(fault)) => {
                limited.refused.push(format!("the {what} limit of container {name}: {fault}"));
            }
            Err(error) if error.is_refusal() => {
                let (why, hint) = (error.chain(), context.api.owner().map_or("", |_| HINT));
                let message = format!("the {what} limit of container {name} stays: {why}{hint}");
                limited.refused.push(message);
            }
            Err(error) => return Err(unavailable(&error)),
        }
    }
    Ok(limited)
}

/// Puts right what an agent before this one left: pods that it squeezed, and CPU limits that it lifted, see
/// [`update`]: the containers have had a hundredth of a processor since. `rows` are containers that run.
pub(crate) async fn mend_lifted_limits(context: &PodmanContext, rows: &[ContainerRow]) {
    for row in rows {
        let released = squeeze(context, slice::from_ref(row), false).await;
        for error in released.unwrap_or_else(|fault| vec![fault]) {
            warn!(job_id = row.pod_name, error, "pod is still squeezed");
        }
    }
    let Ok(host) = context.api.host().await else { return };
    for row in rows {
        let levels = in_force(context, row, Resource::Cpu).await;
        if !levels.is_some_and(|levels| was_lifted_wrongly(&levels)) {
            continue;
        }
        let (job_id, container) = (row.pod_name.as_str(), container_name(row));
        match context.api.update(&row.id, update(&host, Resource::Cpu, None)).await {
            Ok(()) => info!(job_id, container, "lifted limit was lifted for good"),
            Err(error) => {
                let error = error.chain();
                warn!(job_id, container, error, "lifted limit is still in force");
            }
        }
    }
}

/// Returns each limit that a container of `rows` should have and can have; `None` is no limit.
fn all_wanted<'a>(
    workload: &Workload,
    limits: Limits,
    rows: &'a [ContainerRow],
    support: LimitSupport,
) -> Vec<(&'a ContainerRow, Resource, Option<u64>)> {
    let known = [(Resource::Cpu, support.cpu), (Resource::Memory, support.memory)];
    let known = known.into_iter().filter(|(_, known)| *known).map(|(resource, _)| resource);
    let of_container = |limits: ContainerLimits| {
        let row = rows.iter().find(|row| container_name(row) == limits.container);
        let known = known.clone();
        row.into_iter().flat_map(move |row| {
            let limits = limits.clone();
            known.clone().map(move |resource| (row, resource, resource.of(&limits)))
        })
    };
    container_limits(workload, limits).into_iter().flat_map(of_container).collect()
}

/// Brings one limit to one container. Returns what is wrong with what then is in force.
async fn bring(
    context: &PodmanContext,
    host: &HostInfo,
    row: &ContainerRow,
    resource: Resource,
    wanted: Option<u64>,
    unseen: Unseen,
) -> Result<Option<String>, PodmanError> {
    match (in_force(context, row, resource).await, unseen) {
        (Some(levels), _) if fault(resource, &levels, wanted).is_none() => return Ok(None),
        (None, Unseen::Leave) => return Ok(None),
        (Some(_), _) | (None, Unseen::Write) => {}
    }
    change_limit(context, &row.id, update(host, resource, wanted)).await?;
    let still_wrong = async || {
        let levels = in_force(context, row, resource).await?;
        fault(resource, &levels, wanted)
    };
    if still_wrong().await.is_none() {
        return Ok(None);
    }
    // podman believes that it is done. What its runtime got wrong may still be written to the kernel.
    let written = context.api.limit_group(&row.id, plain_update(resource, wanted, -1)).await;
    if let Err(error) = written {
        debug!(error = error.chain(), "limit was not written past podman");
    }
    Ok(still_wrong().await)
}

async fn in_force(
    context: &PodmanContext,
    row: &ContainerRow,
    resource: Resource,
) -> Option<Vec<Level>> {
    if row.pid <= 0 {
        return None;
    }
    context.api.limits_in_force(&row.id, row.pid, resource).await
}

/// Returns what to ask podman for. Under systemd the absence of a CPU limit is asked for as a limit
/// beyond every device: crun hands -1 on as if it were a time, and systemd makes the shortest possible
/// of it, a hundredth of a processor.
fn update(host: &HostInfo, resource: Resource, wanted: Option<u64>) -> UpdateBody {
    let beyond = i64::try_from(MORE_THAN_ALL).unwrap_or(i64::MAX);
    plain_update(resource, wanted, if host.cgroup_manager == "systemd" { beyond } else { -1 })
}

/// Returns a change that words the absence of a CPU limit as `no_cpu_limit`.
fn plain_update(resource: Resource, wanted: Option<u64>, no_cpu_limit: i64) -> UpdateBody {
    let amount = |none: i64| wanted.map_or(none, |it| i64::try_from(it).unwrap_or(i64::MAX));
    match resource {
        Resource::Cpu => {
            let cpu = UpdateCpu { quota: amount(no_cpu_limit), period: CPU_PERIOD };
            UpdateBody { cpu: Some(cpu), memory: None }
        }
        Resource::Memory => {
            UpdateBody { cpu: None, memory: Some(UpdateMemory { limit: amount(-1) }) }
        }
    }
}

/// Changes limits through podman, else, where podman refuses and is trusted, in the control group.
async fn change_limit(
    context: &PodmanContext,
    container: &str,
    change: UpdateBody,
) -> Result<(), PodmanError> {
    match context.api.update(container, change).await {
        Err(refusal) if refusal.is_refusal() => {
            match context.api.limit_group(container, change).await {
                // podman's own words say more.
                Err(error) if error.is_refusal() => Err(refusal),
                other @ (Ok(()) | Err(_)) => other,
            }
        }
        other @ (Ok(()) | Err(_)) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::podman_executor::libpod::types::SecurityInfo;

    #[test]
    fn only_rootless_podman_depends_on_delegated_controllers() {
        for (rootless, version, controllers, expected) in [
            (false, "v1", &[][..], (true, true)),
            (false, "v2", &[], (true, true)),
            (true, "v1", &["cpu", "memory"], (false, false)),
            (true, "v2", &["cpu", "memory"], (true, true)),
            (true, "v2", &["memory", "pids"], (false, true)),
            (true, "v2", &[], (false, false)),
        ] {
            let host = HostInfo {
                cgroup_version: version.to_owned(),
                cgroup_controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
                security: SecurityInfo { rootless },
                ..HostInfo::default()
            };
            let support = limit_support(&host);
            assert_eq!((support.cpu, support.memory), expected, "{rootless} {version}");
        }
    }
}
