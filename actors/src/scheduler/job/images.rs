//! Which of a job's images are on the device, and the pulls of them that were given up. Pure.

use std::collections::BTreeMap;

use super::super::observed::PodKey;
use super::in_flight::InFlight;
use crate::clock::Monotonic;
use crate::messages::CommandId;

/// What is known of the images of a job's pods.
#[derive(Debug, Default)]
pub(crate) struct Images {
    /// Pods whose images are on the device.
    present: Vec<PodKey>,
    /// The pod whose images did not come when they were last asked for.
    missing: Option<PodKey>,
    /// Pulls that were given up and run on.
    given_up: BTreeMap<PodKey, InFlight>,
}

impl Images {
    /// Returns whether the images of `pod` are on the device.
    pub(crate) fn are_present(&self, pod: &PodKey) -> bool {
        self.present.contains(pod)
    }

    /// Returns whether the images of `pod` did not come when they were last asked for.
    pub(crate) fn are_missing(&self, pod: &PodKey) -> bool {
        self.missing.as_ref() == Some(pod)
    }

    /// Notes that the images of `pod` are on the device.
    pub(crate) fn came(&mut self, pod: &PodKey) {
        self.missing.take_if(|missing| missing == pod);
        if !self.are_present(pod) {
            self.present.push(pod.clone());
        }
    }

    /// Notes that the images of `pod` could not be pulled.
    pub(crate) fn failed(&mut self, pod: &PodKey) {
        self.missing = Some(pod.clone());
    }

    /// Forgets that images did not come: they are about to be asked for again.
    pub(crate) fn may_come(&mut self) {
        self.missing = None;
    }

    /// Has the images of `pod` asked for before its next start.
    pub(crate) fn ask_again(&mut self, pod: &PodKey) {
        self.present.retain(|present| present != pod);
    }

    /// Forgets the images of other pods.
    pub(crate) fn keep_only(&mut self, pods: &[PodKey]) {
        self.present.retain(|pod| pods.contains(pod));
        self.missing.take_if(|pod| !pods.contains(pod));
    }

    /// Lets a pull run on though nothing waits for it.
    pub(crate) fn leave_behind(&mut self, pull: InFlight) {
        self.given_up.insert(pull.pod.clone(), pull);
    }

    /// Returns the pull of the images of `pod` that was given up, to be waited for again.
    pub(crate) fn take_up(&mut self, pod: &PodKey) -> Option<InFlight> {
        self.given_up.remove(pod)
    }

    /// Returns the pull of the images of `pod` that was given up and may still run.
    pub(crate) fn given_up(&self, pod: &PodKey, now: Monotonic) -> Option<&InFlight> {
        self.given_up.get(pod).filter(|pull| pull.until > now)
    }

    /// Ignores the answer to a pull of the images of `pod` that was given up and is overdue: another
    /// takes its place.
    pub(crate) fn forget_overdue(&mut self, pod: &PodKey) {
        self.given_up.remove(pod);
    }

    /// Returns the pull that `command` is, if it is one that was given up.
    pub(crate) fn ended(&mut self, command: CommandId) -> Option<InFlight> {
        self.given_up.extract_if(.., |_, pull| pull.command == command).next().map(|(_, pull)| pull)
    }

    /// Returns until when some pull may run that was given up.
    pub(crate) fn given_up_until(&self) -> Option<Monotonic> {
        self.given_up.values().map(|pull| pull.until).max()
    }
}
