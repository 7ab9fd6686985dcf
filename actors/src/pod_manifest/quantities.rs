//! Every quantity of a pod, as the whole numbers that podman reads right.
//!
//! podman, up to 5.x, multiplies a fraction of bytes by a thousand million, and what the kernel then has
//! is no limit: `1.5Gi` becomes 1610612736000000000. So it is given bytes and thousandths of a core only.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::ManifestError;
use crate::quantity::{self, QuantityError};

/// The kernel takes no shorter CPU quota, and Kubernetes asks for none: a hundredth of a core.
pub(super) const MIN_MILLICORES: u64 = 10;
/// So much of a text that is no quantity is shown.
const MAX_SHOWN: usize = 60;

type Quantities = BTreeMap<String, Quantity>;

/// Checks every quantity of the pod.
///
/// # Errors
/// Names the first that cannot be read: where it stands, its text, and what a quantity looks like.
pub(crate) fn check(spec: &PodSpec) -> Result<(), ManifestError> {
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    for container in containers {
        let place = || format!("container {:?}", container.name);
        check_resources(&place, container.resources.as_ref())?;
    }
    let place = || "the pod".to_owned();
    check_resources(&place, spec.resources.as_ref())?;
    check_all(&place, "overhead", spec.overhead.as_ref())?;
    for volume in spec.volumes.iter().flatten() {
        let size = volume.empty_dir.as_ref().and_then(|scratch| scratch.size_limit.as_ref());
        if let Some(size) = size {
            let place = || format!("volume {:?}", volume.name);
            read("", size).map_err(|fault| error(&place, "emptyDir.sizeLimit", size, fault))?;
        }
    }
    Ok(())
}

fn check_resources(
    place: &impl Fn() -> String,
    resources: Option<&ResourceRequirements>,
) -> Result<(), ManifestError> {
    let Some(resources) = resources else { return Ok(()) };
    check_all(place, "resources.limits", resources.limits.as_ref())?;
    check_all(place, "resources.requests", resources.requests.as_ref())
}

fn check_all(
    place: &impl Fn() -> String,
    field: &str,
    quantities: Option<&Quantities>,
) -> Result<(), ManifestError> {
    for (resource, quantity) in quantities.into_iter().flatten() {
        read(resource, quantity)
            .map_err(|fault| error(place, &format!("{field}.{resource}"), quantity, fault))?;
    }
    Ok(())
}

fn error(
    place: &impl Fn() -> String,
    field: &str,
    quantity: &Quantity,
    fault: QuantityError,
) -> ManifestError {
    let text = quantity.0.chars().take(MAX_SHOWN).collect();
    ManifestError::Quantity { place: place(), field: field.to_owned(), text, fault }
}

/// Reads a quantity of `resource`: CPU in thousandths of a core, anything else in whole units.
pub(super) fn read(resource: &str, quantity: &Quantity) -> Result<u64, QuantityError> {
    match resource {
        "cpu" => quantity::millicores(&quantity.0),
        _ => quantity::whole(&quantity.0),
    }
}

/// Returns the limit of `resource` that the author gave; none, and one of nothing, is no limit.
pub(super) fn limit(resources: Option<&ResourceRequirements>, resource: &str) -> Option<u64> {
    let limit = read(resource, resources?.limits.as_ref()?.get(resource)?).ok();
    let least = if resource == "cpu" { MIN_MILLICORES } else { 1 };
    limit.filter(|limit| *limit > 0).map(|limit| limit.max(least))
}

/// Writes every quantity of a container that [`check`] passed as a whole number. No more is asked for
/// than the limit, which a condition may have narrowed, allows: podman 5 refuses that.
pub(super) fn make_whole(
    container: &str,
    resources: &mut ResourceRequirements,
    warnings: &mut Vec<String>,
) {
    for (field, quantities) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        let memory = quantities.as_ref().and_then(|quantities| quantities.get("memory"));
        if let Some(text) = memory.filter(|memory| quantity::is_fraction_of_bytes(&memory.0)) {
            warnings.push(format!(
                "container {container}: {field}.memory {:?} is a fraction of a byte; write M or Mi for \
                 megabytes",
                text.0
            ));
        }
    }
    for resource in ["cpu", "memory"] {
        let limit = limit(Some(resources), resource);
        set(&mut resources.limits, resource, limit);
        let asked = resources.requests.as_ref().and_then(|all| all.get(resource));
        let asked = asked.and_then(|asked| read(resource, asked).ok()).filter(|asked| *asked > 0);
        let asked = asked.map(|asked| limit.unwrap_or(asked).min(asked));
        set(&mut resources.requests, resource, asked);
    }
    for quantities in [&mut resources.limits, &mut resources.requests].into_iter().flatten() {
        for (resource, quantity) in quantities.iter_mut().filter(|(name, _)| *name != "cpu") {
            if let Ok(whole) = read(resource, quantity) {
                *quantity = Quantity(whole.to_string());
            }
        }
    }
}

/// Writes `amount` of `resource`, or nothing of it.
pub(super) fn set(quantities: &mut Option<Quantities>, resource: &str, amount: Option<u64>) {
    match amount {
        Some(amount) => {
            let unit = if resource == "cpu" { "m" } else { "" };
            let quantity = Quantity(format!("{amount}{unit}"));
            quantities.get_or_insert_default().insert(resource.to_owned(), quantity);
        }
        None => {
            quantities.as_mut().and_then(|quantities| quantities.remove(resource));
        }
    }
}
