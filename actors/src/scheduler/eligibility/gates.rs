//! Whether a new specification may have its images pulled and replace what runs. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{ADOPTION_GRACE, Eligibility, eligibility};
use crate::clock::{Moment, Monotonic};
use crate::workload::{ProfileRef, UpdateGate, Verdicts, WorkloadId, age};

/// When the configured specification came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrival {
    /// Which that is.
    pub(crate) of: Option<WorkloadId>,
    /// As far as this life of the agent knows.
    pub(crate) at: Monotonic,
    /// By the wall clock, also in an earlier life.
    pub(crate) came_at: Option<DateTime<Utc>>,
}

impl Arrival {
    /// Returns how long ago it came: what either clock knows for sure. A wall clock that is not set says
    /// nothing, until it is.
    fn waited(&self, now: Moment) -> Duration {
        let here = now.monotonic.saturating_since(self.at);
        here.max(age(self.came_at, now.wall))
    }
}

/// What a new specification waits to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// To have its images pulled.
    Pull,
    /// To take the place of a pod that runs.
    Replace,
}

/// A gate that is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Which profile and condition keep it so.
    pub(crate) why: String,
    /// When the deadline opens it.
    pub(crate) until: Option<Monotonic>,
}

/// The gates of a specification that are closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gates {
    pub(crate) pull: Option<Closed>,
    pub(crate) replace: Option<Closed>,
}

impl Gates {
    /// Returns which are closed of a specification that came then. Verdicts that are not known yet
    /// open none: an update is in no hurry.
    pub(crate) fn of(
        gate: &UpdateGate,
        arrival: &Arrival,
        verdicts: Option<&Verdicts>,
        now: Moment,
    ) -> Self {
        let left = gate.deadline.map(|it| it.saturating_sub(arrival.waited(now)));
        if left.is_some_and(|left| left.is_zero()) {
            return Self::default();
        }
        let until = left.map(|left| now.monotonic + left);
        let closed = |profiles: &[ProfileRef]| {
            let why = closed_because(profiles, verdicts)?;
            Some(Closed { why, until })
        };
        let replace = closed(&gate.replace_when).or_else(|| {
            let in_grace = now.monotonic.since_start() < ADOPTION_GRACE;
            let is_early = in_grace && !gate.replace_when.is_empty();
            is_early.then(|| Closed {
                why: "the agent has just started, and metrics that keep it closed may still come"
                    .to_owned(),
                until: [Some(Monotonic::from_start(ADOPTION_GRACE)), until]
                    .into_iter()
                    .flatten()
                    .min(),
            })
        });
        Self { pull: closed(&gate.pull_when), replace }
    }
}

fn closed_because(profiles: &[ProfileRef], verdicts: Option<&Verdicts>) -> Option<String> {
    let Some(verdicts) = verdicts else {
        let is_gated = !profiles.is_empty();
        return is_gated.then(|| "its profiles are not evaluated yet".to_owned());
    };
    match eligibility(profiles, verdicts) {
        Eligibility::Allowed => None,
        Eligibility::Forbidden { because } | Eligibility::Undecided { because } => Some(because),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;

    use super::*;
    use crate::workload::{ConditionRef, Verdict};

    fn at(seconds: u64) -> Moment {
        let wall = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let start = Moment { monotonic: Monotonic::default(), wall };
        start.after(Duration::from_secs(seconds))
    }

    fn parked() -> Vec<ProfileRef> {
        let condition = ConditionRef { name: "standing".into(), cpu: None, memory: None };
        vec![ProfileRef { name: "parked".into(), conditions: vec![condition] }]
    }

    #[test]
    fn a_gate_opens_by_its_profiles_or_by_its_deadline_and_never_for_want_of_data() {
        let verdicts = |verdict| -> Verdicts {
            [("parked".into(), Arc::new([("standing".into(), verdict)].into()))].into()
        };
        let gate = UpdateGate {
            replace_when: parked(),
            deadline: Some(Duration::from_secs(200)),
            ..UpdateGate::default()
        };
        for (verdicts, now, why) in [
            (Some(verdicts(Verdict::True)), 110, Some("the agent has just started")),
            (Some(verdicts(Verdict::True)), 120, None),
            (Some(verdicts(Verdict::False)), 120, Some("profile parked: standing is false")),
            (Some(verdicts(Verdict::Unknown)), 120, Some("profile parked: standing is unknown")),
            (Some(Verdicts::new()), 120, Some("the device does not define profile parked")),
            (None, 120, Some("its profiles are not evaluated yet")),
            (Some(verdicts(Verdict::False)), 174, Some("profile parked: standing is false")),
            (Some(verdicts(Verdict::False)), 175, None),
            (None, 175, None),
        ] {
            // It came 25 s before this life of the agent began.
            let came_at = Some(at(0).wall - TimeDelta::seconds(25));
            let arrival = Arrival { of: None, at: at(5).monotonic, came_at };
            let gates = Gates::of(&gate, &arrival, verdicts.as_ref(), at(now));
            let closed = gates.replace.map(|closed| closed.why);
            let is_as_expected = match why {
                Some(why) => closed.as_ref().is_some_and(|closed| closed.starts_with(why)),
                None => closed.is_none(),
            };
            assert!(is_as_expected, "{verdicts:?} {now}: {closed:?}");
            assert_eq!(gates.pull, None);
        }
        let none = Gates::of(&UpdateGate::default(), &Arrival::default(), None, at(0));
        assert_eq!(none, Gates::default(), "what has no gate waits for no verdict");
    }
}
