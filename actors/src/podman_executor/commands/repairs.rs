//! How far the repair of a workload's damaged images is, in steps from the mildest on.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tracing::info;

use crate::workload::WorkloadId;

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

/// The repairs of all workloads whose pods do not start because of damage.
#[derive(Default)]
pub(crate) struct Repairs(RefCell<BTreeMap<WorkloadId, Repair>>);

#[derive(Clone, Debug, Default)]
struct Repair {
    /// Steps that were done, of [`Step::Pull`] and [`Step::Replace`].
    done: u8,
    /// Why the step that is due could not be done.
    obstacle: Option<String>,
}

impl Repair {
    const fn step(&self) -> Step {
        match self.done {
            0 => Step::Pull,
            1 => Step::Replace,
            _ => Step::Leave,
        }
    }
}

impl Repairs {
    /// Returns what is due for the images of `workload`.
    pub(crate) fn step(&self, workload: &WorkloadId) -> Step {
        self.0.borrow().get(workload).map_or(Step::Leave, Repair::step)
    }

    /// Notes that the step that was due is done.
    pub(crate) fn done(&self, workload: &WorkloadId) {
        if let Some(repair) = self.0.borrow_mut().get_mut(workload) {
            repair.done = repair.done.saturating_add(1);
            repair.obstacle = None;
        }
    }

    /// Returns whether every step was done in vain.
    pub(crate) fn gave_up(&self, workload: &WorkloadId) -> bool {
        let repairs = self.0.borrow();
        repairs.get(workload).is_some_and(|repair| repair.step() == Step::Leave)
    }

    /// Notes why the step that is due could not be done.
    pub(crate) fn hindered(&self, workload: &WorkloadId, why: String) {
        if let Some(repair) = self.0.borrow_mut().get_mut(workload) {
            repair.obstacle = Some(why);
        }
    }

    /// Notes that damage keeps the pod of `workload` from starting. Returns what is being done about it.
    pub(crate) fn found(&self, workload: &WorkloadId) -> String {
        let mut repairs = self.0.borrow_mut();
        let repair = repairs.entry(workload.clone()).or_default();
        match (&repair.obstacle, repair.step()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_done_once_from_the_mildest_on() {
        let (repairs, id) = (Repairs::default(), WorkloadId::from("web-1".to_owned()));
        assert_eq!(repairs.step(&id), Step::Leave);
        for (step, message) in [
            (Step::Pull, "the image is pulled again at the next try"),
            (Step::Replace, "the image is replaced at the next try"),
            (Step::Leave, "pulling and replacing the image did not help"),
            (Step::Leave, "pulling and replacing the image did not help"),
        ] {
            assert_eq!(repairs.found(&id), message);
            // Another failed start is no step.
            assert_eq!((repairs.found(&id).as_str(), repairs.step(&id)), (message, step));
            repairs.hindered(&id, "the registry does not answer".to_owned());
            assert_eq!(
                repairs.found(&id),
                "the image could not be pulled again: the registry does not answer"
            );
            assert_eq!(repairs.step(&id), step, "a step that was not done is still due");
            repairs.done(&id);
        }
        repairs.healed(&id);
        repairs.done(&id);
        assert_eq!(repairs.step(&id), Step::Leave);
    }
}
