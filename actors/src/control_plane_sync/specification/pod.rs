//! Checks of the pod specification that hold for every runtime.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PodSpec;

use super::{images, names};
use crate::pod_manifest::{probes, quantities};
use crate::workload::{ExecutorKind, RestartPolicy};

/// Checks that the pod has containers, each with an image and a name of its own, and amounts that can be
/// read. What a cluster takes for the name of an image or for an amount is the cluster's affair.
pub(super) fn check(pod: &PodSpec, executor: ExecutorKind) -> Result<(), String> {
    if pod.containers.is_empty() {
        return Err("its pod specification has no containers".to_owned());
    }
    let mut names = BTreeSet::new();
    let containers = pod.init_containers.iter().flatten().chain(&pod.containers);
    for (index, container) in containers.enumerate() {
        if container.name.is_empty() {
            return Err(format!("container {} of its pod has no name", index + 1));
        }
        names::check_container(&container.name)?;
        let image = container.image.as_deref().unwrap_or_default();
        if image.trim().is_empty() {
            return Err(format!("container {:?} has no image", container.name));
        }
        if !executor.is_cluster() {
            images::check(&container.name, image)?;
        }
        if !names.insert(&container.name) {
            return Err(format!("two containers of its pod are named {:?}", container.name));
        }
    }
    if executor.is_cluster() {
        return Ok(());
    }
    quantities::check(pod).map_err(|error| error.to_string())?;
    probes::pod_probes(pod, executor).map(drop).map_err(|error| error.to_string())
}

/// Gives back what the lists of the pod's containers were made too large: they are kept for as long
/// as the workload is configured, and most hold one thing where four have room.
pub(super) fn fit(pod: &mut PodSpec) {
    for container in pod.init_containers.iter_mut().flatten().chain(&mut pod.containers) {
        container.env.iter_mut().for_each(Vec::shrink_to_fit);
        container.env_from.iter_mut().for_each(Vec::shrink_to_fit);
        container.ports.iter_mut().for_each(Vec::shrink_to_fit);
        container.volume_mounts.iter_mut().for_each(Vec::shrink_to_fit);
        container.args.iter_mut().for_each(Vec::shrink_to_fit);
        container.command.iter_mut().for_each(Vec::shrink_to_fit);
    }
    pod.volumes.iter_mut().for_each(Vec::shrink_to_fit);
}

/// Reads the pod's restart policy.
pub(super) fn restart_policy(pod: &PodSpec) -> Result<RestartPolicy, String> {
    match pod.restart_policy.as_deref().unwrap_or_default() {
        "" | "Always" => Ok(RestartPolicy::Always),
        "OnFailure" => Ok(RestartPolicy::OnFailure),
        "Never" => Ok(RestartPolicy::Never),
        unknown => {
            Err(format!("its restartPolicy {unknown:?} is unknown; use Always, OnFailure or Never"))
        }
    }
}
