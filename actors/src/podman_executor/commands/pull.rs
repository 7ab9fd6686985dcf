//! Bringing a workload's images to the device before its pod is touched.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::messages::CommandError;
use crate::podman_executor::commands::repairs::Step;
use crate::podman_executor::context::{PodmanContext, unavailable};
use crate::podman_executor::libpod::api::{PodmanApi as _, PodmanError, PullRequest};
use crate::podman_executor::libpod::damage::{Damage, damage};
use crate::podman_executor::libpod::error_text::{image_by_hand, is_unreachable, pull_reason};
use crate::podman_executor::notices::Notes;
use crate::workload::{PullPolicy, Workload};

/// Left when a pull is given up, so that the answer still says which image did not come.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// Time for the registry of a tag that moves, when a copy is on the device: the start must not wait long.
const REFRESH_PATIENCE: Duration = Duration::from_secs(20);

/// Brings every image of `workload` to the device. Returns notes for the user.
///
/// # Errors
/// An image did not come, or podman did not answer.
pub(crate) async fn pull(
    context: &PodmanContext,
    workload: &Workload,
    deadline: Monotonic,
) -> Result<Notes, CommandError> {
    let mut warnings = Vec::new();
    let step = context.repairs.step(&workload.id);
    let mut is_step_done = true;
    for (image, policy) in images(workload)? {
        let (before, damage) = look(context, &image).await?;
        let mut hindered = |why: &str| {
            context.repairs.hindered(&workload.id, format!("{image}: {why}"));
            is_step_done = false;
        };
        match policy {
            PullPolicy::Never | PullPolicy::IfNotPresent
                if before.is_some() && step == Step::Leave =>
            {
                context.images.seen(&image).await;
                continue;
            }
            PullPolicy::Never if before.is_some() => {
                hindered("its pull policy is Never");
                continue;
            }
            PullPolicy::Never => {
                let message = "the image is not on the device, and its pull policy is Never";
                return Err(lost(context, image, damage, message.to_owned()).await);
            }
            PullPolicy::IfNotPresent | PullPolicy::Fresh | PullPolicy::Always => {}
        }
        let request = PullRequest {
            verify_tls: !is_loopback(&image),
            image: image.clone(),
            registries: workload.registries.clone(),
            timeout: patience(policy, before.is_some(), context.left(deadline)),
        };
        // It may not be this image that is damaged, and the pod is tried with what is there.
        let mut is_usable = before.is_some() && policy != PullPolicy::Always;
        let mut pulled = context.api.pull(request.clone()).await;
        if step == Step::Replace && pulled.is_ok() {
            match context.api.remove_image(&image).await {
                Ok(()) => {
                    is_usable = false;
                    pulled = context.api.pull(request).await;
                }
                // A container uses it: what runs is not touched.
                Err(error) => hindered(&error.chain()),
            }
        }
        let error = match pulled {
            Ok(now) => {
                context.images.pulled(&image, &now, before.as_deref()).await;
                continue;
            }
            Err(error) => pull_error(&error),
        };
        if step != Step::Leave && is_usable && !error.runtime {
            hindered(&error.message);
            continue;
        }
        // Not with an explicit Always: there the author would rather have no pod than an old one.
        if policy == PullPolicy::Fresh && before.is_some() && error.unreachable {
            let why = error.message;
            warnings.push(format!("image {image}: the copy on the device is used, as {why}"));
            continue;
        }
        return Err(match error.runtime {
            true => CommandError::Unavailable { message: error.message },
            false => lost(context, image, damage, error.message).await,
        });
    }
    if is_step_done {
        context.repairs.done(&workload.id);
    }
    Ok(Notes::adjusted(warnings))
}

/// Returns the id of an image that is on the device, or the damage for which podman cannot say.
async fn look(
    context: &PodmanContext,
    image: &str,
) -> Result<(Option<String>, Option<Damage>), CommandError> {
    match context.api.image_id(image).await {
        Ok(before) => Ok((before, None)),
        Err(PodmanError::Refused { cause, message, .. }) => match damage(&message) {
            Some(damage) => Ok((None, Some(damage))),
            None => Err(failed(image.to_owned(), pull_reason(&cause))),
        },
        Err(
            error @ (PodmanError::Connect { .. }
            | PodmanError::Foreign { .. }
            | PodmanError::Timeout { .. }
            | PodmanError::Cut { .. }
            | PodmanError::Garbled { .. }),
        ) => Err(unavailable(&error)),
    }
}

/// Returns the error for an image that does not come for this reason: damage, where the device had it.
async fn lost(
    context: &PodmanContext,
    image: String,
    damage: Option<Damage>,
    why: String,
) -> CommandError {
    let what = match damage {
        Some(damage @ (Damage::List | Damage::Database)) => {
            let what = damage.as_str();
            let message = format!("{what}: podman has to be repaired, see docs/operations.md");
            return CommandError::Damaged { message };
        }
        Some(damage) => format!("{} ({image})", damage.as_str()),
        None if context.images.was_here(&image).await => {
            format!("image {image} was on the device, and podman no longer has it")
        }
        None => return failed(image, why),
    };
    let by_hand = image_by_hand(&image);
    let message = format!("{what}; it could not be pulled again: {why}; by hand: {by_hand}");
    CommandError::Damaged { message }
}

/// Returns how long an image may take to come when the command has `left`.
fn patience(policy: PullPolicy, on_device: bool, left: Duration) -> Duration {
    let left = left.saturating_sub(ANSWER_MARGIN);
    match policy {
        PullPolicy::Fresh if on_device => left.min(REFRESH_PATIENCE),
        PullPolicy::Never | PullPolicy::IfNotPresent | PullPolicy::Fresh | PullPolicy::Always => {
            left
        }
    }
}

/// Why a pull failed.
struct PullFailure {
    message: String,
    unreachable: bool,
    runtime: bool,
}

fn pull_error(error: &PodmanError) -> PullFailure {
    match error {
        PodmanError::Refused { cause, .. } => PullFailure {
            message: pull_reason(cause),
            unreachable: is_unreachable(cause),
            runtime: false,
        },
        PodmanError::Timeout { after, .. } => {
            PullFailure { message: timed_out(*after), unreachable: true, runtime: false }
        }
        PodmanError::Connect { .. }
        | PodmanError::Foreign { .. }
        | PodmanError::Cut { .. }
        | PodmanError::Garbled { .. } => {
            PullFailure { message: error.chain(), unreachable: false, runtime: true }
        }
    }
}

fn timed_out(after: Duration) -> String {
    format!("the image did not come within {} s", after.as_secs())
}

fn failed(image: String, message: String) -> CommandError {
    CommandError::Pull { image, message }
}

/// Returns each image once, with the strictest policy that a container asks for.
fn images(workload: &Workload) -> Result<BTreeMap<String, PullPolicy>, CommandError> {
    let mut images = BTreeMap::new();
    for container in workload.containers() {
        let Some(image) = container.image.clone().filter(|image| !image.is_empty()) else {
            let message = format!("container {} names no image", container.name);
            return Err(CommandError::Unsupported { message });
        };
        let policy = PullPolicy::of(container);
        let known = images.entry(image).or_insert(policy);
        *known = policy.max(*known);
    }
    Ok(images)
}

/// Returns the images that `workload` names.
pub(crate) fn image_names(workload: &Workload) -> impl Iterator<Item = String> {
    workload.containers().filter_map(|container| container.image.clone())
}

/// Returns whether the image's registry is this device, so that nothing crosses a network.
fn is_loopback(image: &str) -> bool {
    let registry = image.split('/').next().unwrap_or_default();
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_copy_on_the_device_makes_a_pull_impatient() {
        for (policy, on_device, left, expected) in [
            (PullPolicy::Fresh, true, 900, 20),
            (PullPolicy::Fresh, true, 10, 8),
            (PullPolicy::Fresh, false, 900, 898),
            (PullPolicy::Always, true, 900, 898),
            (PullPolicy::IfNotPresent, false, 900, 898),
            (PullPolicy::IfNotPresent, false, 1, 0),
        ] {
            let patience = patience(policy, on_device, Duration::from_secs(left));
            assert_eq!(patience.as_secs(), expected, "{policy:?} {on_device} {left}");
        }
    }

    #[test]
    fn only_a_registry_on_the_device_goes_without_tls() {
        for (image, expected) in [
            ("127.0.0.1:5000/a:1", true),
            ("[::1]:5000/a:1", true),
            ("localhost:5000/a", true),
            ("localhost.example.org/a", false),
            ("10.0.0.1:5000/a", false),
            ("quay.io/127.0.0.1/a", false),
        ] {
            assert_eq!(is_loopback(image), expected, "{image}");
        }
    }
}
