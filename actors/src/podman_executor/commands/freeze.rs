//! Freezing a pod that runs, by podman's pause of each of its containers, and thawing it.

use futures_util::future::join_all;
use tracing::debug;

use crate::messages::CommandError;
use crate::podman_executor::context::{PodmanContext, unavailable};
use crate::podman_executor::libpod::api::{PodmanApi as _, PodmanError};
use crate::podman_executor::libpod::types::{ContainerRow, HostInfo};
use crate::podman_executor::pod_state::{Phase, has_processes, phase};
use crate::workload::WorkloadId;

/// Pauses the containers of the pod `id` that run, all of them or none. Returns its containers.
///
/// # Errors
/// This podman cannot, nothing of the pod runs, or podman did not pause one of them: the pod runs on,
/// unless podman does not answer.
pub(crate) async fn freeze(
    context: &PodmanContext,
    id: &WorkloadId,
) -> Result<Vec<ContainerRow>, CommandError> {
    let host = context.api.host().await.map_err(|error| unavailable(&error))?;
    if !can_freeze(&host) {
        let message = "rootless podman cannot freeze a pod on cgroup v1; boot the device with cgroup v2 \
                       (systemd.unified_cgroup_hierarchy=1), or run the workload on root's podman";
        return Err(CommandError::Unsupported { message: message.to_owned() });
    }
    let rows = containers_of(context, id).await?;
    if !rows.iter().any(has_processes) {
        return Err(CommandError::Freeze { message: "nothing of it runs".to_owned() });
    }
    let running = || rows.iter().filter(|row| phase(row) == Phase::Running);
    let pauses = running().map(|row| context.api.pause(&row.id));
    if let Some(error) = join_all(pauses).await.into_iter().find_map(Result::err) {
        // Those as well of which podman has not said that they are paused.
        if let Err(error) = unpause(context, running()).await {
            debug!(job_id = id.as_str(), error = error.chain(), "pod was left frozen in part");
        }
        return Err(command_error(&error));
    }
    containers_of(context, id).await
}

/// Lets the containers of the pod `id` go on that are paused, by whomever. Returns its containers.
///
/// # Errors
/// podman did not answer, or one of them stays paused.
pub(crate) async fn thaw(
    context: &PodmanContext,
    id: &WorkloadId,
) -> Result<Vec<ContainerRow>, CommandError> {
    let rows = containers_of(context, id).await?;
    if !rows.iter().any(is_paused) {
        return Ok(rows);
    }
    let unpaused = unpause(context, rows.iter().filter(|row| is_paused(row))).await;
    unpaused.map_err(|error| command_error(&error))?;
    containers_of(context, id).await
}

/// Returns the containers of the pod `id`, which were `rows`, once those go on that are paused, as far as
/// they do.
///
/// # Errors
/// podman did not answer.
pub(super) async fn thawed(
    context: &PodmanContext,
    id: &WorkloadId,
    rows: Vec<ContainerRow>,
) -> Result<Vec<ContainerRow>, PodmanError> {
    if !rows.iter().any(is_paused) {
        return Ok(rows);
    }
    match unpause(context, rows.iter().filter(|row| is_paused(row))).await {
        Err(error) if error.is_refusal() => {
            debug!(job_id = id.as_str(), error = error.chain(), "pod was not thawed");
        }
        unpaused => unpaused?,
    }
    context.containers_of(id).await
}

fn can_freeze(host: &HostInfo) -> bool {
    !host.security.rootless || host.cgroup_version == "v2"
}

fn is_paused(row: &ContainerRow) -> bool {
    phase(row) == Phase::Paused
}

async fn unpause(
    context: &PodmanContext,
    rows: impl Iterator<Item = &ContainerRow>,
) -> Result<(), PodmanError> {
    let unpauses = rows.map(|row| context.api.unpause(&row.id));
    join_all(unpauses).await.into_iter().collect()
}

async fn containers_of(
    context: &PodmanContext,
    id: &WorkloadId,
) -> Result<Vec<ContainerRow>, CommandError> {
    context.containers_of(id).await.map_err(|error| unavailable(&error))
}

fn command_error(error: &PodmanError) -> CommandError {
    if error.is_refusal() {
        let message = error.chain();
        CommandError::Freeze { message }
    } else {
        unavailable(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::podman_executor::libpod::types::SecurityInfo;

    #[test]
    fn only_rootless_podman_depends_on_the_generation_of_control_groups() {
        for (rootless, version, expected) in
            [(false, "v1", true), (false, "v2", true), (true, "v1", false), (true, "v2", true)]
        {
            let host = HostInfo {
                cgroup_version: version.to_owned(),
                security: SecurityInfo { rootless },
                ..HostInfo::default()
            };
            assert_eq!(can_freeze(&host), expected, "{rootless} {version}");
        }
    }
}
