//! Whether a new specification may have its images pulled and replace what runs. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{ADOPTION_GRACE, Eligibility, eligibility};
use crate::clock::{Moment, Monotonic, is_set};
use crate::workload::{ProfileRef, UpdateGate, Verdicts, WorkloadId, age};

/// When the configured specification came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrival {
    /// Which that is.
    pub(crate) of: Option<WorkloadId>,
    /// As far as this life of the agent knows.
    at: Monotonic,
    /// How long it had waited by then, in earlier ones.
    before: Duration,
    /// When it came in one of them, by a wall clock that has yet to be set in this one.
    came_at: Option<DateTime<Utc>>,
}

impl Arrival {
    /// Returns that of a specification that the configuration has now, and has had since `came_at`.
    pub(crate) fn new(of: &WorkloadId, came_at: Option<DateTime<Utc>>, now: Moment) -> Self {
        let (of, at) = (Some(of.clone()), now.monotonic);
        let mut arrival = Self { of, at, before: Duration::ZERO, came_at };
        arrival.look_at_clock(now);
        arrival
    }

    /// Takes in how long it has waited in earlier lives, once the wall clock is set. Whatever steps that makes
    /// from then on do not count.
    pub(crate) fn look_at_clock(&mut self, now: Moment) {
        if let Some(came_at) = self.came_at.take_if(|_| is_set(now.wall)) {
            let here = now.monotonic.saturating_since(self.at);
            self.before = age(came_at, now.wall).saturating_sub(here);
        }
    }

    /// Returns how long ago it came.
    fn waited(&self, now: Moment) -> Duration {
        now.monotonic.saturating_since(self.at) + self.before
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
            (Some(verdicts(Verdict::False)), 179, Some("profile parked: standing is false")),
            (Some(verdicts(Verdict::False)), 180, None),
            (None, 180, None),
        ] {
            // It came 20 s before this life of the agent began.
            let came_at = Some(at(0).wall - TimeDelta::seconds(20));
            let arrival = Arrival::new(&"web-1".into(), came_at, at(5));
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

    #[test]
    fn a_clock_that_is_set_later_counts_once_and_its_steps_do_not() {
        let came_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let moment = |seconds, wall: i64| Moment {
            monotonic: Monotonic::from_start(Duration::from_secs(seconds)),
            wall: DateTime::from_timestamp(wall, 0).unwrap(),
        };
        let mut arrival = Arrival::new(&"web-1".into(), Some(came_at), moment(10, 60));
        let waited = |arrival: &Arrival, now| arrival.waited(now).as_secs();
        assert_eq!(waited(&arrival, moment(15, 65)), 5, "the clock shows 1970");
        arrival.look_at_clock(moment(20, 1_800_000_100));
        assert_eq!(waited(&arrival, moment(21, 1_800_000_101)), 101);
        arrival.look_at_clock(moment(30, 1_900_000_000));
        assert_eq!(waited(&arrival, moment(30, 1_900_000_000)), 110);
    }
}
