//! CPU and memory limits: the author's, narrowed by the conditions that are true.

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::PodContext;
use crate::workload::{Limits, Workload};

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
            cpu: narrowed(limit(container, "cpu", cpu_micros), limits.cpu, count),
            memory: narrowed(limit(container, "memory", bytes), limits.memory, count),
        })
        .collect()
}

/// Writes the limits in force into `spec`, or takes all out where the runtime knows none.
pub(super) fn apply(
    spec: &mut PodSpec,
    context: &PodContext<'_>,
    count: usize,
    warnings: &mut Vec<String>,
) {
    if context.can_limit {
        for container in &mut spec.containers {
            let cpu = limit(container, "cpu", cpu_micros);
            let memory = limit(container, "memory", bytes);
            if let Some(micros) = context.limits.cpu.and(narrowed(cpu, context.limits.cpu, count)) {
                // 100 µs in 100 ms are a thousandth of a core.
                set_limit(container, "cpu", format!("{}m", micros.div_ceil(100).max(1)));
            }
            let memory = narrowed(memory, context.limits.memory, count);
            if let Some(bytes) = context.limits.memory.and(memory) {
                set_limit(container, "memory", bytes.to_string());
            }
        }
        return;
    }
    let mut stripped = context.limits != Limits::default();
    for container in super::containers(spec) {
        stripped |= container
            .resources
            .take()
            .is_some_and(|resources| resources.limits.is_some_and(|limits| !limits.is_empty()));
    }
    if stripped {
        warnings.push("limits are ignored: rootless podman needs cgroup v2 for them".to_owned());
    }
}

fn narrowed(own: Option<u64>, pod: Option<u64>, count: usize) -> Option<u64> {
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    let share = pod.map(|pod| pod.checked_div(count).unwrap_or(pod).max(1));
    [own, share].into_iter().flatten().min()
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
