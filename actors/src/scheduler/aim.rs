//! Whether a job's pod shall run, and within which limits: by its profiles and its cron. Pure.

use std::time::Duration;

use super::eligibility::{Eligibility, eligibility, limits, limits_are_known, undefined};
use super::job::Job;
use super::notices::Notices;
use crate::clock::Moment;
use crate::workload::{EventReason, ProfileRef, TargetState, Verdicts};

/// How long after the agent's start a pod that runs is kept though its profiles lack data: the
/// metrics that allowed it were known to the agent's previous life, and will be posted again.
pub(crate) const ADOPTION_GRACE: Duration = Duration::from_secs(120);

impl Job {
    /// Decides the target from the profiles and the cron tick. The verdicts are on the profiles of
    /// the configuration in force; `None` while they are still to come.
    pub(crate) fn aim(&mut self, verdicts: Option<&Verdicts>, now: Moment) {
        let Some(workload) = &self.desired else {
            self.target = TargetState::Removed;
            self.inactive_because = None;
            return;
        };
        let none = Verdicts::new();
        let known = verdicts.unwrap_or(&none);
        self.limits = limits(&workload.profiles, known);
        let may_keep = verdicts.is_none() || now.monotonic.since_start() < ADOPTION_GRACE;
        self.limits_are_known =
            !may_keep || limits_are_known(self.limits, &workload.profiles, known);
        let judged = judge(&workload.profiles, verdicts);
        self.is_kept = may_keep
            && matches!(judged, Eligibility::Undecided { .. })
            && (self.target == TargetState::Running || self.is_any_pod_alive());
        let forbidden = match judged {
            Eligibility::Allowed => None,
            Eligibility::Forbidden { because } => Some(because),
            Eligibility::Undecided { because } => (!self.is_kept).then_some(because),
        };
        let waits_for_cron = self.cron.is_some() && !self.run_requested && !self.is_alive();
        (self.target, self.inactive_because) = if let Some(because) = forbidden {
            // A tick that comes before its verdicts waits for them.
            self.run_requested &= verdicts.is_none();
            (TargetState::Inactive, Some(because))
        } else if waits_for_cron {
            let why = self.awaited_clock.as_deref().unwrap_or_else(|| self.cron.why_it_waits());
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
            notices.add(EventReason::ProfileUnknown, &self.name, message.clone());
        }
        self.undefined = found;
    }
}

fn judge(profiles: &[ProfileRef], verdicts: Option<&Verdicts>) -> Eligibility {
    match verdicts {
        Some(verdicts) => eligibility(profiles, verdicts),
        None if profiles.is_empty() => Eligibility::Allowed,
        None => {
            let because = "its profiles are not evaluated yet".to_owned();
            Eligibility::Undecided { because }
        }
    }
}
