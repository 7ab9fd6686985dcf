//! Which of a job's images are on the device, and the pulls that nobody waits for any more. Pure.

use std::collections::BTreeMap;

use super::run::{InFlight, PodKey};
use crate::clock::Monotonic;
use crate::messages::CommandId;

/// What is known of the images of a job's pods.
#[derive(Debug, Default)]
pub(super) struct Images {
    /// Those whose images are on the device.
    here: Vec<PodKey>,
    /// That whose images did not come when they were last asked for.
    missing: Option<PodKey>,
    /// Pulls that were given up: they change no pod, so nobody has to wait for them; they run on.
    behind: BTreeMap<PodKey, InFlight>,
}

impl Images {
    /// Returns whether the images of `pod` are on the device.
    pub(super) fn are_here(&self, pod: &PodKey) -> bool {
        self.here.contains(pod)
    }

    /// Returns whether the images of `pod` did not come when they were last asked for.
    pub(super) fn did_not_come(&self, pod: &PodKey) -> bool {
        self.missing.as_ref() == Some(pod)
    }

    /// Notes that the images of `pod` are on the device.
    pub(super) fn came(&mut self, pod: &PodKey) {
        self.missing.take_if(|missing| missing == pod);
        if !self.are_here(pod) {
            self.here.push(pod.clone());
        }
    }

    /// Notes that the images of `pod` could not be pulled.
    pub(super) fn failed(&mut self, pod: &PodKey) {
        self.missing = Some(pod.clone());
    }

    /// Forgets that images did not come: they are about to be asked for again.
    pub(super) fn may_come(&mut self) {
        self.missing = None;
    }

    /// Has the images of `pod` asked for before its next start.
    pub(super) fn ask_again(&mut self, pod: &PodKey) {
        self.here.retain(|here| here != pod);
    }

    /// Forgets what no longer matters.
    pub(super) fn keep_only(&mut self, pods: &[PodKey]) {
        self.here.retain(|pod| pods.contains(pod));
        self.missing.take_if(|pod| !pods.contains(pod));
    }

    /// Lets a pull run on though nobody waits for it.
    pub(super) fn leave_behind(&mut self, pull: InFlight) {
        self.behind.insert(pull.pod.clone(), pull);
    }

    /// Returns the pull of the images of `pod` that runs on, to wait for it again.
    pub(super) fn take_up(&mut self, pod: &PodKey, now: Monotonic) -> Option<InFlight> {
        self.behind.remove(pod).filter(|pull| pull.until > now)
    }

    /// Returns the pull that `command` is, if it is one that nobody waits for.
    pub(super) fn ended(&mut self, command: CommandId) -> Option<InFlight> {
        self.behind.extract_if(.., |_, pull| pull.command == command).next().map(|(_, pull)| pull)
    }

    /// Returns until when some pull may run on that nobody waits for.
    pub(super) fn behind_until(&self) -> Option<Monotonic> {
        self.behind.values().map(|pull| pull.until).max()
    }
}
