//! Mends what a power cut left of images, as far as that costs nothing that runs.
//!
//! One step before each new attempt, from the mildest on: podman's pause image is removed, which podman
//! makes anew; the workload's images are pulled once more, which writes what describes them; they are
//! removed, never by force, and pulled, which writes their layers. Nothing is removed that has not just
//! been pulled: a registry that is away must not cost the device an image.

use tracing::{debug, info};

use crate::messages::CommandError;
use crate::podman_executor::context::PodmanContext;
use crate::podman_executor::libpod::api::PodmanApi as _;
use crate::podman_executor::libpod::damage::{Damage, damage, lacks_a_program};
use crate::podman_executor::libpod::error_text::{image_by_hand, shortened, start_reason};
use crate::workload::Workload;

/// Returns why the pod did not start: `text` is what podman said first, `all` all that it said.
pub(crate) async fn failed(
    context: &PodmanContext,
    workload: &Workload,
    text: &str,
    all: &str,
) -> CommandError {
    let rows = context.containers_of(&workload.id).await.unwrap_or_default();
    let message = start_reason(text, &rows);
    let damaged = damage_behind(context, workload, all, &message).await;
    damaged.unwrap_or(CommandError::Start { message })
}

/// Returns why a pod does not start that podman refuses with `text`, if damage is behind it; `reason` is
/// that text in short.
async fn damage_behind(
    context: &PodmanContext,
    workload: &Workload,
    text: &str,
    reason: &str,
) -> Option<CommandError> {
    let (what, detail) = match damage(text) {
        Some(what) => (what, reason.to_owned()),
        None if lacks_a_program(text) => (Damage::Layer, fault_of_images(context, workload).await?),
        None => return None,
    };
    let doing = match what {
        Damage::PauseImage => "it is made anew at the next try".to_owned(),
        Damage::Database | Damage::List => "podman has to be repaired".to_owned(),
        Damage::LayerList | Damage::Description | Damage::Layer => {
            context.repairs.found(&workload.id)
        }
    };
    let way_out = way_out(context, what, workload).await;
    let what = what.as_str();
    let message =
        shortened(&format!("{what}; {doing}; by hand: {way_out} (podman says: {detail})"));
    Some(CommandError::Damaged { message })
}

/// Returns what is wrong with the layers of the images of `workload`, as far as the agent can see them.
async fn fault_of_images(context: &PodmanContext, workload: &Workload) -> Option<String> {
    for image in super::pull::image_names(workload) {
        if let Ok(Some(fault)) = context.api.image_fault(&image).await {
            return Some(format!("image {image}: {fault}"));
        }
    }
    None
}

/// Returns the command that mends this.
async fn way_out(context: &PodmanContext, what: Damage, workload: &Workload) -> String {
    match what {
        Damage::PauseImage => {
            let image = pause_image(context).await;
            format!("podman image rm {}", image.as_deref().unwrap_or("localhost/podman-pause:…"))
        }
        Damage::Database | Damage::List => "see docs/operations.md".to_owned(),
        Damage::LayerList | Damage::Description | Damage::Layer => {
            let images: Vec<_> = super::pull::image_names(workload).collect();
            image_by_hand(images.first().map_or("IMAGE", String::as_str))
        }
    }
}

/// Returns the image that podman makes for itself, if it says so.
async fn pause_image(context: &PodmanContext) -> Option<String> {
    context.api.host().await.ok()?.pause_image
}

/// Removes podman's pause image after a pod did not start with `error`, if that was damage: it costs no
/// network, and podman makes it anew. While another pod uses it, podman refuses.
pub(crate) async fn mend_after(context: &PodmanContext, workload: &Workload, error: &CommandError) {
    if !matches!(error, CommandError::Damaged { .. }) {
        return;
    }
    let gave_up = context.repairs.gave_up(&workload.id);
    let Some(image) = pause_image(context).await.filter(|_| !gave_up) else { return };
    // With them its layer would stay, and be used for the next one.
    for twin in context.api.unnamed_twins(&image).await.unwrap_or_default() {
        if let Err(error) = context.api.remove_image(&twin).await {
            debug!(image = twin, error = error.chain(), "pause image was not removed");
        }
    }
    match context.api.remove_image(&image).await {
        Ok(()) => info!(image, "pause image was removed to be made anew"),
        Err(error) => debug!(image, error = error.chain(), "pause image was not removed"),
    }
}
