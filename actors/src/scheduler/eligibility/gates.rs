//! Whether a new specification may have its images pulled and replace what runs. Pure.

use std::time::Duration;

use super::{Eligibility, eligibility};
use crate::clock::Monotonic;
use crate::workload::{ProfileRef, UpdateGate, Verdicts};

/// When the specification in force came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival {
    /// As far as this life of the agent knows.
    pub(crate) at: Monotonic,
    /// How long it had waited by then, in an earlier one.
    pub(crate) before: Duration,
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
        arrival: Arrival,
        verdicts: Option<&Verdicts>,
        now: Monotonic,
    ) -> Self {
        let until = gate.deadline.map(|it| arrival.at + it.saturating_sub(arrival.before));
        if until.is_some_and(|until| until <= now) {
            return Self::default();
        }
        let closed = |profiles: &[ProfileRef]| {
            let why = closed_because(profiles, verdicts)?;
            Some(Closed { why, until })
        };
        Self { pull: closed(&gate.pull_when), replace: closed(&gate.replace_when) }
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

    use super::*;
    use crate::workload::{ConditionRef, Verdict};

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
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
            deadline: Some(Duration::from_secs(100)),
            ..UpdateGate::default()
        };
        for (verdicts, now, why) in [
            (Some(verdicts(Verdict::True)), 10, None),
            (Some(verdicts(Verdict::False)), 10, Some("profile parked: standing is false")),
            (Some(verdicts(Verdict::Unknown)), 10, Some("profile parked: standing is unknown")),
            (Some(Verdicts::new()), 10, Some("the device does not define profile parked")),
            (None, 10, Some("its profiles are not evaluated yet")),
            (Some(verdicts(Verdict::False)), 74, Some("profile parked: standing is false")),
            (Some(verdicts(Verdict::False)), 75, None),
            (None, 75, None),
        ] {
            let arrival = Arrival { at: at(5), before: Duration::from_secs(30) };
            let gates = Gates::of(&gate, arrival, verdicts.as_ref(), at(now));
            let expected = why.map(|why| Closed { why: why.to_owned(), until: Some(at(75)) });
            assert_eq!(gates, Gates { pull: None, replace: expected }, "{verdicts:?} {now}");
        }
        let none = Gates::of(&UpdateGate::default(), Arrival::default(), None, at(0));
        assert_eq!(none, Gates::default(), "what has no gate waits for no verdict");
    }
}
