//! Changing the limits of a pod while it runs.

use super::api::{PodmanApi as _, PodmanError};
use super::libpod::{ContainerRow, HostInfo, UpdateBody, UpdateCpu, UpdateMemory};
use super::notices::{Limited, Notes};
use super::pod_state::{Phase, container_name, phase};
use super::workbench::{Workbench, unavailable};
use crate::messages::CommandError;
use crate::pod_manifest::{LimitSupport, container_limits};
use crate::workload::{Limits, Workload};

/// The period of a CPU quota, in microseconds.
const CPU_PERIOD: u64 = 100_000;

/// What else there is to know where the service is another user's.
const HINT: &str = "; an agent that runs as root does not write control groups of another user's podman: \
                    the limit holds from the pod's next start";

/// Returns what this podman can limit: as root everything, else what cgroup v2 leaves to it.
pub(super) fn limit_support(host: &HostInfo) -> LimitSupport {
    let delegated = |controller: &str| {
        let known = host.cgroup_controllers.iter().any(|known| known == controller);
        !host.security.rootless || (host.cgroup_version == "v2" && known)
    };
    LimitSupport { cpu: delegated("cpu"), memory: delegated("memory") }
}

/// Returns which of `limits` are in vain.
pub(super) fn unsupported(limits: Limits, support: LimitSupport) -> Limited {
    let why = "rootless podman needs cgroup v2 and the controller for it";
    let cpu = limits.cpu.filter(|_| !support.cpu);
    let cpu = cpu.map(|cpu| format!("the limit of {cpu} µs of CPU in 100 ms is ignored: {why}"));
    let memory = limits.memory.filter(|_| !support.memory);
    let memory = memory.map(|bytes| format!("the limit of {bytes} bytes is ignored: {why}"));
    Limited { limits, refused: cpu.into_iter().chain(memory).collect() }
}

/// Brings limits to those containers of the pod that run, and touches nothing else of it. A pod of
/// which nothing runs gets its limits when it starts. Returns what people should know.
///
/// # Errors
/// podman did not answer.
pub(super) async fn limit(
    bench: &Workbench,
    workload: &Workload,
    limits: Limits,
) -> Result<Notes, CommandError> {
    let rows = bench.containers_of(&workload.id).await;
    let mut rows = rows.map_err(|error| unavailable(&error))?;
    rows.retain(|row| phase(row) == Phase::Running);
    if rows.is_empty() {
        return Ok(Notes::default());
    }
    let limited = apply_limits(bench, workload, limits, &rows).await?;
    Ok(Notes { limited: Some(limited), ..Notes::default() })
}

/// Brings the limits of a pod that runs to what they shall be. Nobody remembers which are in force,
/// so all are written: a few milliseconds, and the same again does no harm.
///
/// # Errors
/// podman did not answer. What it refused is no error: it would refuse again.
pub(super) async fn apply_limits(
    bench: &Workbench,
    workload: &Workload,
    limits: Limits,
    rows: &[ContainerRow],
) -> Result<Limited, CommandError> {
    let host = bench.api.host().await.map_err(|error| unavailable(&error))?;
    let support = limit_support(&host);
    let mut limited = unsupported(limits, support);
    for wanted in container_limits(workload, limits) {
        let Some(row) = rows.iter().find(|row| container_name(row) == wanted.container) else {
            continue;
        };
        let cpu = UpdateCpu { quota: amount(wanted.cpu), period: CPU_PERIOD };
        let cpu = UpdateBody { cpu: Some(cpu), memory: None };
        let memory = UpdateMemory { limit: amount(wanted.memory) };
        let memory = UpdateBody { cpu: None, memory: Some(memory) };
        // Apart: a container that needs more memory than it shall have still gets its CPU limit.
        for (what, known, change) in [("CPU", support.cpu, cpu), ("memory", support.memory, memory)]
        {
            let changed = if known { change_limit(bench, &row.id, change).await } else { Ok(()) };
            match changed {
                Err(error) if error.is_refusal() => {
                    let (name, why) = (&wanted.container, error.chain());
                    let hint = bench.api.owner().map_or("", |_| HINT);
                    let message =
                        format!("the {what} limit of container {name} stays: {why}{hint}");
                    limited.refused.push(message);
                }
                other @ (Ok(()) | Err(_)) => other.map_err(|error| unavailable(&error))?,
            }
        }
    }
    Ok(limited)
}

/// Changes limits through podman, else, where podman refuses and is trusted, in the control group.
async fn change_limit(
    bench: &Workbench,
    container: &str,
    change: UpdateBody,
) -> Result<(), PodmanError> {
    match bench.api.update(container, change).await {
        Err(refusal) if refusal.is_refusal() => {
            match bench.api.limit_group(container, change).await {
                // podman's own words say more.
                Err(error) if error.is_refusal() => Err(refusal),
                other @ (Ok(()) | Err(_)) => other,
            }
        }
        other @ (Ok(()) | Err(_)) => other,
    }
}

fn amount(limit: Option<u64>) -> i64 {
    limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::libpod::SecurityInfo;
    use super::*;

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
