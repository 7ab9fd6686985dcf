//! Which of the actor's recurring tasks is under way, and how often each failed.

use std::time::Duration;

use super::pace::{Failures, jittered};

/// A recurring task of the actor; each waits, is under way, or rests, independently of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Errand {
    /// Become and stay a member.
    Enrolment,
    /// Fetch the configuration.
    Configuration,
    /// Tell how the device is.
    Heartbeat,
    /// Ask whether the device is still wanted.
    Control,
    /// Tell the other actors the configuration in force once more.
    Publication,
}

impl Errand {
    /// Returns the word for people.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Enrolment => "enrolment",
            Self::Configuration => "configuration",
            Self::Heartbeat => "heartbeat",
            Self::Control => "control",
            Self::Publication => "publication",
        }
    }
}

/// How one errand stands.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Its question has no answer yet.
    pub(crate) is_under_way: bool,
    /// Something changed since it was asked: the answer may be of before.
    pub(crate) is_outdated: bool,
    /// Failures in a row.
    pub(crate) failures: Failures,
}

impl Progress {
    /// Counts how the question was answered; returns when to ask again.
    pub(crate) fn finished(&mut self, is_good: bool, period: Duration, random: f64) -> Duration {
        self.is_under_way = false;
        if is_good {
            self.failures.reset();
            jittered(period, random)
        } else {
            self.failures.add();
            self.failures.delay(random)
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    enrolment: Progress,
    configuration: Progress,
    heartbeat: Progress,
    control: Progress,
    publication: Progress,
}

impl Errands {
    /// Returns how `errand` stands.
    pub(crate) const fn of(&mut self, errand: Errand) -> &mut Progress {
        match errand {
            Errand::Enrolment => &mut self.enrolment,
            Errand::Configuration => &mut self.configuration,
            Errand::Heartbeat => &mut self.heartbeat,
            Errand::Control => &mut self.control,
            Errand::Publication => &mut self.publication,
        }
    }
}
