//! CPU and memory limits: the author's, narrowed by the conditions that are true.

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::PodContext;
use crate::workload::{Limits, Workload};

/// The kernel takes no shorter CPU quota, in microseconds.
const MIN_CPU: u64 = 1_000;

/// Which resources a runtime can limit: rootless podman on cgroup v1 none, on v2 those whose
/// controllers are delegated to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitSupport {
    /// CPU time.
    pub cpu: bool,
    /// Memory.
    pub memory: bool,
}

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
            cpu: narrowed(limit(container, "cpu", cpu_micros), cpu_share(limits, count)),
            memory: narrowed(limit(container, "memory", bytes), share(limits.memory, count)),
        })
        .collect()
}

/// Writes the limits in force into `spec`, and takes out those that the runtime cannot keep.
pub(super) fn apply(
    spec: &mut PodSpec,
    context: &PodContext<'_>,
    count: usize,
    warnings: &mut Vec<String>,
) {
    let support = context.support;
    for container in &mut spec.containers {
        let cpu = limit(container, "cpu", cpu_micros);
        if let Some(share) = cpu_share(context.limits, count).filter(|_| support.cpu) {
            // 100 µs in 100 ms are a thousandth of a core.
            let micros = cpu.unwrap_or(share).min(share);
            set_limit(container, "cpu", format!("{}m", micros.div_ceil(100)));
        }
        let memory = limit(container, "memory", bytes);
        if let Some(share) = share(context.limits.memory, count).filter(|_| support.memory) {
            set_limit(container, "memory", memory.unwrap_or(share).min(share).to_string());
        }
    }
    let unknown = [("cpu", !support.cpu), ("memory", !support.memory)];
    for (resource, _) in unknown.into_iter().filter(|(_, unknown)| *unknown) {
        let mut taken = false;
        for resources in super::containers(spec).filter_map(|c| c.resources.as_mut()) {
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

/// Returns the part of a pod's limit that falls to one of `count` containers.
fn share(pod: Option<u64>, count: usize) -> Option<u64> {
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    pod.map(|pod| pod.checked_div(count).unwrap_or(pod).max(1))
}

fn limit(container: &Container, name: &str, read: fn(&str) -> Option<u64>) -> Option<u64> {
    let limits = container.resources.as_ref()?.limits.as_ref()?;
    read(&limits.get(name)?.0)
}

fn set_limit(container: &mut Container, name: &str, quantity: String) {
    let resources = container.resources.get_or_insert_default();
    let limits = resources.limits.get_or_insert_default();
    limits.insert(name.to_owned(), Quantity(quantity));
}

/// Reads `500m`, `0.5`, `2` as microseconds in 100 ms.
fn cpu_micros(quantity: &str) -> Option<u64> {
    rounded(number(quantity)? * 100_000.0)
}

/// Reads `64Mi`, `1G`, `1048576` as bytes.
fn bytes(quantity: &str) -> Option<u64> {
    rounded(number(quantity)?)
}

/// Reads a Kubernetes quantity.
fn number(quantity: &str) -> Option<f64> {
    let quantity = quantity.trim();
    // An exponent first: the suffix `E` alone is exa, `1e3` is a number.
    if let Ok(number) = quantity.parse::<f64>() {
        return Some(number);
    }
    let split = quantity.find(|c: char| c.is_ascii_alphabetic())?;
    let (digits, suffix) = quantity.split_at_checked(split)?;
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1_024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        _ => return None,
    };
    Some(digits.parse::<f64>().ok()? * factor)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, and only positive numbers come to it"
)]
fn rounded(number: f64) -> Option<u64> {
    (number.is_finite() && number > 0.0).then(|| number.round() as u64)
}
