//! The group of a pod's volumes, `fsGroup`, which podman ignores: the agent gives it to the folders and files
//! that it makes, and podman to the processes, as one of their supplementary groups. A pod with a user namespace
//! of its own has neither.

use k8s_openapi::api::core::v1::{PodSpec, Volume};

use super::folder::VolumeFolder;
use crate::workload::ExecutorKind;

/// What Kubernetes adds to the mode of a file that is only read.
const READ: u32 = 0o440;
/// The same for its folder; what is made there later has the group, too.
const ENTER: u32 = 0o2110;

/// Takes `fsGroup` out of `spec` and gives it to the processes, and to what is in `folders`.
pub(super) fn apply(
    spec: &mut PodSpec,
    executor: ExecutorKind,
    folders: &mut [VolumeFolder],
    warnings: &mut Vec<String>,
) {
    let host_users = spec.host_users;
    let claims = |volume: &Volume| volume.persistent_volume_claim.is_some();
    let has_claim = spec.volumes.iter().flatten().any(claims);
    let Some(security) = spec.security_context.as_mut() else { return };
    security.fs_group_change_policy = None;
    let Some(group) = security.fs_group.take() else { return };
    let own_ids = match (executor, host_users) {
        (ExecutorKind::PodmanRootful, Some(false)) => Some("with hostUsers: false"),
        (ExecutorKind::PodmanRootful, _) => None,
        (ExecutorKind::PodmanRootless | ExecutorKind::K8s, _) => Some("on rootless podman"),
    };
    let id = u32::try_from(group).ok().filter(|id| i32::try_from(*id).is_ok());
    // In a user namespace it is another group on the device, and one that is outside of it keeps each process
    // from starting.
    let (Some(id), None) = (id, own_ids) else {
        let why = own_ids.unwrap_or("as it is no number of a group");
        warnings.push(format!(
            "securityContext.fsGroup is ignored {why}; let processes read files by their modes, as with \
             defaultMode: 0444"
        ));
        return;
    };
    let groups = security.supplemental_groups.get_or_insert_default();
    if !groups.contains(&group) {
        groups.push(group);
    }
    if has_claim {
        let claims = "securityContext.fsGroup is not given to persistentVolumeClaims on podman, only to processes";
        warnings.push(claims.to_owned());
    }
    for folder in folders {
        folder.group = Some(id);
        folder.mode |= READ | ENTER;
        for file in &mut folder.files {
            file.mode |= READ;
        }
    }
}
