//! CPU and memory limits: the author's, narrowed by the conditions that are true.

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::containers::all;
use super::{PodContext, quantities};
use crate::workload::{Limits, Workload};

/// A thousandth of a core, in microseconds of each 100 ms.
const MICROS_PER_MILLICORE: u64 = 100;
/// The kernel takes no shorter CPU quota, in microseconds.
const MIN_CPU: u64 = quantities::MIN_MILLICORES * MICROS_PER_MILLICORE;

/// The limits of one container; `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerLimits {
    /// The container's name.
    pub container: String,
    /// Microseconds of CPU time in each period of 100 ms.
    pub cpu: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
}

/// Returns what each container of `workload` may use while `limits` are in force. A pod's limit is
/// parted evenly among its containers, so that the pod as a whole never exceeds it.
pub(crate) fn container_limits(workload: &Workload, limits: Limits) -> Vec<ContainerLimits> {
    let count = workload.pod.containers.len();
    let containers = workload.pod.containers.iter();
    containers
        .map(|container| ContainerLimits {
            container: container.name.clone(),
            cpu: narrowed(own_cpu(container), cpu_share(limits, count)),
            memory: narrowed(
                quantities::limit(container.resources.as_ref(), "memory"),
                share(limits.memory, count),
            ),
        })
        .collect()
}

/// Writes every quantity of `spec` as a whole number, narrows its limits to those in force, and takes
/// out those that the runtime cannot keep. [`quantities::check`] has passed it.
pub(super) fn apply(
    spec: &mut PodSpec,
    context: &PodContext<'_>,
    count: usize,
    warnings: &mut Vec<String>,
) {
    spec.overhead = None;
    if let Some(own) = spec.resources.take() {
        for (is_asked, field) in [
            (own.limits.is_some(), "limits"),
            (own.requests.is_some(), "requests"),
            (own.claims.is_some(), "claims"),
        ] {
            if is_asked {
                warnings.push(format!(
                    "resources.{field} of the pod as a whole is ignored on podman; write it in its containers"
                ));
            }
        }
    }
    let support = context.support;
    for container in &mut spec.containers {
        let limits = [
            ("cpu", support.cpu, cpu_share(context.limits, count).map(millicores)),
            ("memory", support.memory, share(context.limits.memory, count)),
        ];
        for (resource, _, share) in limits.into_iter().filter(|(_, known, _)| *known) {
            let own = quantities::limit(container.resources.as_ref(), resource);
            if let Some(limit) = narrowed(own, share).filter(|_| share.is_some()) {
                let resources = container.resources.get_or_insert_default();
                quantities::set(&mut resources.limits, resource, Some(limit));
            }
        }
    }
    for container in all(spec) {
        let name = container.name.clone();
        if let Some(resources) = &mut container.resources {
            quantities::make_whole(&name, resources, warnings);
        }
    }
    let unknown = [("cpu", !support.cpu), ("memory", !support.memory)];
    for (resource, _) in unknown.into_iter().filter(|(_, unknown)| *unknown) {
        let mut taken = false;
        for resources in all(spec).filter_map(|c| c.resources.as_mut()) {
            resources.requests.as_mut().and_then(|requests| requests.remove(resource));
            let limits = resources.limits.as_mut();
            taken |= limits.and_then(|limits| limits.remove(resource)).is_some();
        }
        if taken {
            warnings.push(format!(
                "the {resource} limit is ignored: rootless podman needs cgroup v2 for it"
            ));
        }
    }
}

fn narrowed(own: Option<u64>, share: Option<u64>) -> Option<u64> {
    [own, share].into_iter().flatten().min()
}

fn cpu_share(limits: Limits, count: usize) -> Option<u64> {
    share(limits.cpu, count).map(|share| share.max(MIN_CPU))
}

/// Returns the container's own limit, in microseconds in 100 ms.
fn own_cpu(container: &Container) -> Option<u64> {
    let millicores = quantities::limit(container.resources.as_ref(), "cpu")?;
    Some(millicores.saturating_mul(MICROS_PER_MILLICORE))
}

/// Returns the part of a pod's limit that falls to one of `count` containers.
fn share(pod: Option<u64>, count: usize) -> Option<u64> {
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    pod.map(|pod| pod.checked_div(count).unwrap_or(pod).max(1))
}

/// Returns the thousandths of a core that this many microseconds in 100 ms are.
fn millicores(micros: u64) -> u64 {
    micros.div_ceil(MICROS_PER_MILLICORE)
}
