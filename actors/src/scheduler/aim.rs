//! Whether a job's pod shall run, and within which limits: by its profiles and its cron. Pure.

use std::time::Duration;

use super::eligibility::{Eligibility, eligibility, limits, limits_are_known, undefined};
use super::job::Job;
use super::notices::Notices;
use crate::clock::Moment;
use crate::workload::{TargetState, Verdicts};

/// How long after the agent's start a pod that runs is kept though its profiles lack data: the
/// metrics that allowed it were known to the agent's previous life, and will be posted again.
pub(crate) const ADOPTION_GRACE: Duration = Duration::from_secs(120);

/// The verdicts that a job is aimed by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// None before the first.
    pub(crate) verdicts: Option<&'a Verdicts>,
    /// The configuration changed and its verdicts are still to come: what runs is kept meanwhile.
    pub(crate) are_pending: bool,
}

impl Job {
    /// Decides the target from the profiles and the cron tick.
    pub(crate) fn aim(&mut self, view: View<'_>, now: Moment) {
        let verdicts = view.verdicts;
        let Some(workload) = &self.desired else {
            self.target = TargetState::Removed;
            self.inactive_because = None;
            return;
        };
        let none = Verdicts::new();
        let known = verdicts.unwrap_or(&none);
        self.limits = limits(&workload.profiles, known);
        let in_grace = now.monotonic.since_start() < ADOPTION_GRACE || view.are_pending;
        self.limits_are_known = !in_grace || limits_are_known(&workload.profiles, known);
        let forbidden = if workload.profiles.is_empty() {
            None
        } else {
            let may_keep = in_grace && self.is_alive();
            match verdicts.map(|known| eligibility(&workload.profiles, known)) {
                Some(Eligibility::Allowed) => None,
                Some(Eligibility::Forbidden { because }) => {
                    let keep = view.are_pending && self.is_alive();
                    (!keep).then_some(because)
                }
                Some(Eligibility::Undecided { because }) => (!may_keep).then_some(because),
                None => (!may_keep).then(|| "its profiles are not evaluated yet".to_owned()),
            }
        };
        let waits_for_cron = self.cron.is_some() && !self.run_requested && !self.is_alive();
        (self.target, self.inactive_because) = if let Some(because) = forbidden {
            self.run_requested = false;
            (TargetState::Inactive, Some(because))
        } else if waits_for_cron {
            let why = if self.clock_is_unset {
                "waits until the device's clock is set"
            } else {
                self.cron.why_it_waits()
            };
            (TargetState::Inactive, Some(why.to_owned()))
        } else {
            (TargetState::Running, None)
        };
        if self.target != TargetState::Running {
            self.give_up_pull();
            self.gap_since = None;
        }
    }

    /// Tells of a profile or condition that the device does not define, once for each change.
    pub(crate) fn note_undefined(&mut self, verdicts: &Verdicts, notices: &mut Notices) {
        let profiles = self.desired.as_ref().map_or(&[][..], |workload| &workload.profiles);
        let found = undefined(profiles, verdicts);
        if let Some(message) = found.as_ref().filter(|_| found != self.undefined) {
            notices.warn("ProfileUnknown", &self.name, message.clone());
        }
        self.undefined = found;
    }
}
