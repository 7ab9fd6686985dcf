//! What the control plane does not give, since when, and what is likely to be wrong. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::control_plane_sync::server::advice::{NOT_APPROVED, advice};
use crate::control_plane_sync::server::error::{Call, ControlPlaneError};

/// Heartbeat periods after which something counts as missing; one failure may be a server's restart.
const PERIODS: u32 = 3;

/// What was asked for in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Want {
    since: Monotonic,
    /// Why the last attempt failed.
    reason: String,
    advice: Option<&'static str>,
    /// What was reported of it.
    reported: Option<String>,
}

/// All that was asked for in vain when it was last asked for.
#[derive(Debug, Default)]
pub(crate) struct Withheld(BTreeMap<Call, Want>);

impl Withheld {
    /// Notes that the device got what it asked for. With a certificate it is enrolled as well.
    pub(crate) fn given(&mut self, call: Call) {
        self.0.remove(&call);
        if call == Call::Registration {
            self.0.remove(&Call::Enrolment);
        }
    }

    /// Notes that the device asked in vain.
    pub(crate) fn refused(&mut self, call: Call, error: &ControlPlaneError, now: Monotonic) {
        self.note(call, error.to_string(), advice(call, error), now);
    }

    /// Notes that something on the device itself is in the way of asking.
    pub(crate) fn unable(&mut self, call: Call, reason: String, now: Monotonic) {
        self.note(call, reason, None, now);
    }

    /// Records that the device is not approved yet.
    pub(crate) fn not_approved(&mut self, now: Monotonic) {
        let reason = "the device is not approved yet".to_owned();
        self.note(Call::Enrolment, reason, Some(NOT_APPROVED), now);
    }

    /// Forgets it all: the device asks for other things from now on.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns what has been missing for three periods, in plain words with the way out.
    pub(crate) fn missing(&self, period: Duration, now: Monotonic) -> Vec<String> {
        self.overdue(period, now).map(|(call, want)| described(*call, want)).collect()
    }

    /// Returns what of [`Self::missing`] was not reported yet.
    pub(crate) fn news(&mut self, period: Duration, now: Monotonic) -> Vec<String> {
        let overdue: Vec<_> = self.overdue(period, now).map(|(call, _)| *call).collect();
        let mut news = Vec::new();
        for call in overdue {
            let Some(want) = self.0.get_mut(&call) else { continue };
            let text = described(call, want);
            if want.reported.as_ref() != Some(&text) {
                want.reported = Some(text.clone());
                news.push(text);
            }
        }
        news
    }

    fn note(&mut self, call: Call, reason: String, advice: Option<&'static str>, now: Monotonic) {
        let fresh = || Want { since: now, reason: String::new(), advice: None, reported: None };
        let want = self.0.entry(call).or_insert_with(fresh);
        want.reason = reason;
        want.advice = advice;
    }

    fn overdue(&self, period: Duration, now: Monotonic) -> impl Iterator<Item = (&Call, &Want)> {
        let patience = period.saturating_mul(PERIODS);
        self.0.iter().filter(move |(_, want)| now.saturating_since(want.since) >= patience)
    }
}

fn described(call: Call, want: &Want) -> String {
    let reason = &want.reason;
    let advice = want.advice.map(|advice| format!("; {advice}")).unwrap_or_default();
    format!("{call} has failed for {PERIODS} periods or more: {reason}{advice}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_plane_sync::server::advice::{MADE_BY_HAND, MISSING_OBJECT};

    const PERIOD: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    fn status(call: Call, status: u16) -> ControlPlaneError {
        ControlPlaneError::of_status(call, status, b"").unwrap()
    }

    #[test]
    fn what_fails_for_three_periods_is_missing_until_it_is_given() {
        let mut withheld = Withheld::default();
        let call = Call::Configuration;
        withheld.refused(call, &status(call, 500), at(10));
        assert_eq!(withheld.missing(PERIOD, at(189)), [""; 0]);
        withheld.refused(call, &status(call, 500), at(170));
        let reported = withheld.missing(PERIOD, at(190));
        let expected = format!(
            "configuration has failed for 3 periods or more: the control plane failed at \
             configuration (500); {MISSING_OBJECT}"
        );
        assert_eq!(reported, [expected]);
        withheld.given(call);
        assert_eq!(withheld.missing(PERIOD, at(1_000)), [""; 0]);
        withheld.refused(call, &status(call, 500), at(1_000));
        assert_eq!(withheld.missing(PERIOD, at(1_100)), [""; 0], "it counts anew");
    }

    #[test]
    fn a_device_that_is_enrolled_again_and_again_is_not_registered_by_that() {
        let mut withheld = Withheld::default();
        for second in 0..200 {
            withheld.given(Call::Enrolment);
            let call = Call::Registration;
            withheld.refused(call, &status(call, 404), at(second));
        }
        let reported = withheld.missing(PERIOD, at(200));
        assert!(reported.len() == 1 && reported[0].ends_with(MADE_BY_HAND), "{reported:?}");
        withheld.given(Call::Registration);
        assert_eq!(withheld.missing(PERIOD, at(200)), [""; 0]);
    }

    #[test]
    fn a_device_that_nobody_approves_is_reported_and_registered_no_more() {
        let mut withheld = Withheld::default();
        withheld.not_approved(at(0));
        let reported = withheld.missing(PERIOD, at(180));
        assert!(reported[0].ends_with(NOT_APPROVED), "{reported:?}");
        withheld.given(Call::Registration);
        assert_eq!(withheld.missing(PERIOD, at(180)), [""; 0]);
    }

    #[test]
    fn each_reason_is_news_once() {
        let mut withheld = Withheld::default();
        let call = Call::Configuration;
        let mut news = |code, second| {
            withheld.refused(call, &status(call, code), at(second));
            withheld.news(PERIOD, at(second)).len()
        };
        let reported = [(500, 0), (500, 179), (500, 180), (500, 400), (503, 500), (503, 600)]
            .map(|(code, second)| news(code, second));
        assert_eq!(reported, [0, 0, 1, 0, 1, 0]);
    }
}
