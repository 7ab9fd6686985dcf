//! Changing the limits of a pod while it runs.

use super::libpod::{ContainerRow, HostInfo, UpdateBody, UpdateCpu, UpdateMemory};
use super::pod_state::container_name;
use super::workbench::Workbench;
use crate::pod_manifest::container_limits;
use crate::workload::{Limits, Workload};

/// The period of a CPU quota, in microseconds.
const CPU_PERIOD: u64 = 100_000;

/// Returns whether this podman can limit anything: rootless on cgroup v1 cannot.
pub(super) fn can_limit(host: &HostInfo) -> bool {
    !(host.security.rootless && host.cgroup_version == "v1")
}

/// Brings the limits of a pod that runs to what they shall be. Returns what stayed as it was.
pub(super) async fn apply_limits(
    bench: &Workbench,
    workload: &Workload,
    limits: Limits,
    rows: &[ContainerRow],
) -> Vec<String> {
    let can = bench.host().await.is_ok_and(|host| can_limit(&host));
    if !can {
        let wanted = limits != Limits::default();
        let warning = "limits are ignored: rootless podman needs cgroup v2 for them";
        return wanted.then(|| warning.to_owned()).into_iter().collect();
    }
    let mut warnings = Vec::new();
    for wanted in container_limits(workload, limits) {
        let Some(row) = rows.iter().find(|row| container_name(row) == wanted.container) else {
            continue;
        };
        let amount =
            |limit: Option<u64>| limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let cpu = UpdateBody {
            cpu: Some(UpdateCpu { quota: amount(wanted.cpu), period: CPU_PERIOD }),
            memory: None,
        };
        let memory =
            UpdateBody { cpu: None, memory: Some(UpdateMemory { limit: amount(wanted.memory) }) };
        // Apart: a container that needs more memory than it shall have still gets its CPU limit.
        for (what, change) in [("CPU", cpu), ("memory", memory)] {
            if let Err(error) = bench.api.update(&row.id, change).await {
                let (name, why) = (&wanted.container, error.chain());
                warnings.push(format!("the {what} limit of container {name} stays: {why}"));
            }
        }
    }
    warnings
}
