//! Which of the actor's recurring tasks is under way, and how often each failed.

use std::time::Duration;

use crate::backoff::{Failures, jittered};

/// A recurring task of the actor; each waits, is under way, or rests, independently of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    /// Become and stay a member.
    Enrolment,
    /// Fetch the configuration.
    Configuration,
    /// Send the heartbeat.
    Heartbeat,
    /// Ask whether the device is still wanted.
    Control,
    /// Publish the configuration in force to the other actors again.
    Publication,
}

impl Task {
    /// Returns its name as it is shown.
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

/// The state of one task.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Its question has no answer yet.
    pub(crate) is_under_way: bool,
    /// Something changed after the question was sent: the answer may not have it.
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
pub(crate) struct Tasks {
    enrolment: Progress,
    configuration: Progress,
    heartbeat: Progress,
    control: Progress,
    publication: Progress,
}

impl Tasks {
    /// Returns how `task` stands.
    pub(crate) const fn of(&mut self, task: Task) -> &mut Progress {
        match task {
            Task::Enrolment => &mut self.enrolment,
            Task::Configuration => &mut self.configuration,
            Task::Heartbeat => &mut self.heartbeat,
            Task::Control => &mut self.control,
            Task::Publication => &mut self.publication,
        }
    }
}
