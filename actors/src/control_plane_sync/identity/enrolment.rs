//! From an unknown device to a registered one, and how it stays so.
//!
//! ```text
//!  Unenrolled ──enrol: 208──▶ Enrolled ──register: 200──▶ Registered ──2/3 of life, or 401──▶ renew
//!      ▲                         │                           │                                  │
//!      └─ register: 404, slower ─┘◀──────── expelled ────────┘◀────────── 401 ──────────────────┘
//! ```

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::backoff::{Failures, capped};
use crate::clock::{Moment, Monotonic};
use crate::control_plane_sync::identity::certificate::Validity;
use crate::control_plane_sync::server::api::EnrolmentAnswer;
use crate::control_plane_sync::server::error::ControlPlaneError;
use crate::control_plane_sync::server::tls::is_credible;

/// Share of a certificate's life after which it is renewed at the latest.
const RENEWAL_SHARE: f64 = 2.0 / 3.0;
/// Share by which that is earlier at random, so that devices enrolled together do not renew together.
const RENEWAL_JITTER: f64 = 0.05;
/// Shortest time from one certificate to the renewal of it by age: to a clock that is far ahead
/// each certificate is old as soon as it comes.
const MIN_RENEWAL_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Enrolments without effect after which an event is emitted.
const TELLING_ROUNDS: u32 = 3;
/// Longest wait between two looks at the wall clock, which may jump.
const CLOCK_CHECK: Duration = Duration::from_secs(60 * 60);

/// How far the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The control plane may not know it.
    Unenrolled,
    /// It is approved and has no certificate.
    Enrolled,
    /// It has a certificate of its own.
    Registered,
}

impl Stage {
    /// Returns its name as it is shown.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unenrolled => "unenrolled",
            Self::Enrolled => "enrolled",
            Self::Registered => "registered",
        }
    }
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask to be admitted, with the registration certificate.
    Enrol,
    /// Ask for a certificate, with the registration certificate.
    Register,
    /// Ask for the next certificate, with the device's own.
    Renew,
}

/// What to do now, or when to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This, now.
    Now(Step),
    /// Look again after this time.
    After(Duration),
}

/// What the user must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The control plane gave this device a certificate once and refuses another.
    RegistrationForbidden,
    /// The control plane no longer accepts the device's own certificate, not even for renewal.
    IdentityRefused,
    /// The control plane takes the device for enrolled and knows nothing of its enrolment.
    MadeByHand,
}

/// The state machine; one call is under way at most.
#[derive(Clone, Debug)]
pub(crate) struct Enrolment {
    stage: Stage,
    /// The device's own certificate, as long as it may be of use.
    certificate: Option<Validity>,
    /// A registration was sent and may have been accepted, but its answer never came.
    registration_unanswered: bool,
    /// The control plane does not accept the device's certificate for reading.
    is_refused: bool,
    /// Certificates refused in a row.
    refusals: Failures,
    failures: Failures,
    /// Times in a row that it was enrolled and then unknown: the next enrolment ends no failure.
    rounds: Failures,
    not_before: Monotonic,
    /// When a certificate came last in this life.
    received: Option<Monotonic>,
    renewal_share: f64,
}

impl Enrolment {
    /// Starts with what was found on the disk. `random` is between 0 and 1.
    pub(crate) fn new(
        certificate: Option<Validity>,
        registration_unanswered: bool,
        random: f64,
    ) -> Self {
        Self {
            stage: if certificate.is_some() { Stage::Registered } else { Stage::Unenrolled },
            certificate,
            registration_unanswered,
            is_refused: false,
            refusals: Failures::default(),
            failures: Failures::default(),
            rounds: Failures::default(),
            not_before: Monotonic::default(),
            received: None,
            renewal_share: RENEWAL_SHARE - RENEWAL_JITTER * random.clamp(0.0, 1.0),
        }
    }

    /// Returns how far the device is.
    pub(crate) const fn stage(&self) -> Stage {
        self.stage
    }

    /// Returns until when the device's own certificate holds.
    pub(crate) fn certificate_expires(&self) -> Option<DateTime<Utc>> {
        self.certificate.map(|validity| validity.not_after)
    }

    /// Returns what to do.
    pub(crate) fn next(&self, now: Moment) -> Next {
        let step = match (self.stage, self.certificate) {
            (Stage::Unenrolled, _) => Step::Enrol,
            (Stage::Enrolled, _) => Step::Register,
            (Stage::Registered, Some(validity)) => match self.until_renewal(validity, now) {
                Some(wait) => return Next::After(wait),
                None => Step::Renew,
            },
            (Stage::Registered, None) => Step::Enrol,
        };
        let wait = self.not_before.saturating_since(now.monotonic);
        if wait.is_zero() { Next::Now(step) } else { Next::After(wait) }
    }

    /// Takes the answer to an enrolment; returns whether the device is enrolled by it, as far as one
    /// can tell.
    pub(crate) fn enrolled(&mut self, answer: EnrolmentAnswer, now: Moment, random: f64) -> bool {
        match answer {
            EnrolmentAnswer::Pending => {
                self.wait(now, random);
                false
            }
            EnrolmentAnswer::Approved => {
                self.stage = Stage::Enrolled;
                self.proceed();
                self.rounds.count() == 0
            }
        }
    }

    /// Takes a certificate, the first or a new one.
    pub(crate) fn registered(&mut self, validity: Validity, now: Monotonic) {
        self.stage = Stage::Registered;
        self.certificate = Some(validity);
        self.received = Some(now);
        self.registration_unanswered = false;
        self.is_refused = false;
        self.rounds.reset();
        self.proceed();
    }

    /// Records a failure of `step`; returns what the user must know.
    pub(crate) fn failed(
        &mut self,
        step: Step,
        error: &ControlPlaneError,
        now: Moment,
        random: f64,
    ) -> Option<Notice> {
        // A gateway's 502 to 504 says nothing about the device.
        let is_internal = matches!(error, ControlPlaneError::ServerFailed { status: 500, .. });
        let is_forbidden = self.registration_unanswered && is_internal;
        self.wait(now, random);
        match (step, error) {
            (Step::Register, ControlPlaneError::DeviceUnknown { .. }) => {
                self.stage = Stage::Unenrolled;
                self.rounds.add();
                self.not_before = self.not_before.max(now.monotonic + self.rounds.delay(random));
                // Before that an approval may be under way.
                (self.rounds.count() >= TELLING_ROUNDS).then_some(Notice::MadeByHand)
            }
            (Step::Register, _) if is_forbidden => {
                self.not_before = now.monotonic + capped(random);
                self.try_own_certificate();
                Some(Notice::RegistrationForbidden)
            }
            (Step::Register, error) => {
                // A 500 is the server's own answer: it is not lost.
                self.registration_unanswered |= error.may_have_taken_effect() && !is_internal;
                None
            }
            (Step::Enrol, ControlPlaneError::Unauthorized { .. }) => {
                self.try_own_certificate();
                None
            }
            (Step::Renew, ControlPlaneError::Unauthorized { .. }) => {
                // The certificate is kept: the registration pair may be refused as well.
                self.stage = Stage::Unenrolled;
                Some(Notice::IdentityRefused)
            }
            (Step::Enrol | Step::Renew, _) => None,
        }
    }

    /// Waits like after a failure, because something on the device is in the way.
    pub(crate) fn wait(&mut self, now: Moment, random: f64) {
        self.failures.add();
        self.not_before = now.monotonic + self.failures.delay(random);
    }

    /// Takes note that the device's certificate no longer opens its configuration. The more
    /// certificates in a row are refused, the longer the renewal waits.
    pub(crate) fn refused(&mut self, now: Monotonic, random: f64) {
        if !self.is_refused {
            self.is_refused = true;
            self.refusals.add();
            self.not_before = self.not_before.max(now + self.refusals.delay(random));
        }
    }

    /// Takes note that the device's certificate opened its configuration.
    pub(crate) const fn accepted(&mut self) {
        self.refusals.reset();
    }

    /// Starts anew, because the control plane has deleted the device.
    pub(crate) fn expelled(&mut self, now: Moment, random: f64) {
        *self = Self::new(None, false, random);
        // Not at once: a deletion that is under way must end first.
        self.wait(now, random);
    }

    /// Goes back to the device's own certificate, where there is one.
    fn try_own_certificate(&mut self) {
        if self.certificate.is_some() {
            self.stage = Stage::Registered;
            self.is_refused = true;
        }
    }

    fn proceed(&mut self) {
        self.failures.reset();
        self.not_before = Monotonic::default();
    }

    /// Returns the time until the certificate is due for renewal, none when that is now. A clock that
    /// was never set says nothing about it.
    fn until_renewal(&self, validity: Validity, now: Moment) -> Option<Duration> {
        if self.is_refused {
            return None;
        }
        if !is_credible(now.wall) {
            return Some(CLOCK_CHECK);
        }
        let since = self.received.map(|received| now.monotonic.saturating_since(received));
        let rest =
            since.map(|since| MIN_RENEWAL_INTERVAL.saturating_sub(since)).unwrap_or_default();
        let life = (validity.not_after - validity.not_before).to_std().unwrap_or_default();
        let used = TimeDelta::from_std(life.mul_f64(self.renewal_share)).unwrap_or_default();
        let due = (validity.not_before + used - now.wall).to_std().unwrap_or_default();
        let wait = due.min(CLOCK_CHECK).max(rest);
        (!wait.is_zero()).then_some(wait)
    }
}

#[cfg(test)]
mod tests;
