//! Mends what a power cut left of images, as far as that costs nothing that runs.
//!
//! One step before each new attempt, from the mildest on: podman's pause image is removed, which podman
//! makes anew; the workload's images are pulled once more, which writes what describes them; they are
//! removed, never by force, and pulled, which writes their layers. Nothing is removed that has not just
//! been pulled: a registry that is away must not cost the device an image.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tracing::{debug, info};

use crate::messages::CommandError;
use crate::podman_executor::context::PodmanContext;
use crate::podman_executor::libpod::api::PodmanApi as _;
use crate::podman_executor::libpod::damage::{Damage, damage, lacks_a_program};
use crate::podman_executor::libpod::error_text::{shortened, start_reason};
use crate::workload::{Workload, WorkloadId};

/// What is done about a workload's images before they are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: they are as they should be, or all was tried.
    Leave,
    /// They are pulled, though they are there.
    Pull,
    /// They are pulled, removed, and pulled again.
    Replace,
}

/// The workloads whose pods do not start for damage.
#[derive(Default)]
pub(crate) struct Mending(RefCell<BTreeMap<WorkloadId, Patient>>);

#[derive(Clone, Debug, Default)]
struct Patient {
    /// Steps that were done, of [`Step::Pull`] and [`Step::Replace`].
    done: u8,
    /// Why the step that is due could not be done.
    obstacle: Option<String>,
}

impl Patient {
    const fn step(&self) -> Step {
        match self.done {
            0 => Step::Pull,
            1 => Step::Replace,
            _ => Step::Leave,
        }
    }
}

impl Mending {
    /// Returns what is due for the images of `workload`.
    pub(crate) fn step(&self, workload: &WorkloadId) -> Step {
        self.0.borrow().get(workload).map_or(Step::Leave, Patient::step)
    }

    /// Notes that the step that was due is done.
    pub(crate) fn done(&self, workload: &WorkloadId) {
        if let Some(patient) = self.0.borrow_mut().get_mut(workload) {
            patient.done = patient.done.saturating_add(1);
            patient.obstacle = None;
        }
    }

    /// Notes why the step that is due could not be done.
    pub(crate) fn hindered(&self, workload: &WorkloadId, why: String) {
        if let Some(patient) = self.0.borrow_mut().get_mut(workload) {
            patient.obstacle = Some(why);
        }
    }

    /// Notes that damage keeps the pod of `workload` from starting. Returns what is being done about it.
    fn found(&self, workload: &WorkloadId) -> String {
        let mut patients = self.0.borrow_mut();
        let patient = patients.entry(workload.clone()).or_default();
        match (&patient.obstacle, patient.step()) {
            (Some(why), _) => format!("the image could not be pulled again: {why}"),
            (None, Step::Pull) => "the image is pulled again at the next try".to_owned(),
            (None, Step::Replace) => "the image is replaced at the next try".to_owned(),
            (None, Step::Leave) => "pulling and replacing the image did not help".to_owned(),
        }
    }

    /// Notes that the pod of `workload` runs.
    pub(crate) fn healed(&self, workload: &WorkloadId) {
        if self.0.borrow_mut().remove(workload).is_some() {
            info!(job_id = workload.as_str(), "damage was mended");
        }
    }
}

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
            context.mending.found(&workload.id)
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
            by_hand(images.first().map_or("IMAGE", String::as_str))
        }
    }
}

/// Returns the image that podman makes for itself, if it says so.
async fn pause_image(context: &PodmanContext) -> Option<String> {
    context.api.host().await.ok()?.pause_image
}

/// Returns the command that replaces an image.
pub(crate) fn by_hand(image: &str) -> String {
    format!("podman image rm {image}, then podman pull {image}, or podman load -i FILE")
}

/// Removes podman's pause image after a pod did not start with `error`, if that was damage: it costs no
/// network, and podman makes it anew. While another pod uses it, podman refuses.
pub(crate) async fn mend_after(context: &PodmanContext, workload: &Workload, error: &CommandError) {
    if !matches!(error, CommandError::Damaged { .. }) {
        return;
    }
    let gave_up = context
        .mending
        .0
        .borrow()
        .get(&workload.id)
        .is_some_and(|patient| patient.step() == Step::Leave);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_done_once_from_the_mildest_on() {
        let (mending, id) = (Mending::default(), WorkloadId::from("web-1".to_owned()));
        assert_eq!(mending.step(&id), Step::Leave);
        for (step, told) in [
            (Step::Pull, "the image is pulled again at the next try"),
            (Step::Replace, "the image is replaced at the next try"),
            (Step::Leave, "pulling and replacing the image did not help"),
            (Step::Leave, "pulling and replacing the image did not help"),
        ] {
            assert_eq!(mending.found(&id), told);
            // Another failed start is no step.
            assert_eq!((mending.found(&id).as_str(), mending.step(&id)), (told, step));
            mending.hindered(&id, "the registry does not answer".to_owned());
            assert_eq!(
                mending.found(&id),
                "the image could not be pulled again: the registry does not answer"
            );
            assert_eq!(mending.step(&id), step, "a step that was not done is still due");
            mending.done(&id);
        }
        mending.healed(&id);
        mending.done(&id);
        assert_eq!(mending.step(&id), Step::Leave);
    }
}
