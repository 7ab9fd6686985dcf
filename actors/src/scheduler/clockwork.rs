//! The cron schedule of a workload: none, valid or invalid. Pure.

use super::cron::{CronSchedule, CronTicks};
use super::notices::Notices;
use crate::clock::Moment;
use crate::workload::{EventReason, ExecutorKind, Workload};

/// When a workload runs by the clock.
#[derive(Debug)]
pub(crate) enum Cron {
    /// It runs whenever it may.
    None,
    /// It runs at these ticks.
    Ticks(CronTicks),
    /// Its author meant a time that cannot be read: it never runs. Says what is wrong.
    Invalid(String),
}

impl Cron {
    /// Parses the cron expression of a workload; what is wrong with it is an event.
    pub(super) fn of(workload: &Workload, now: Moment, notices: &mut Notices) -> Self {
        let Some(text) = workload.cron.as_deref() else {
            return Self::None;
        };
        if workload.executor == ExecutorKind::K8s {
            let message = "cron is ignored for k8s workloads".to_owned();
            notices.add(EventReason::CronIgnored, &workload.name, message);
            return Self::None;
        }
        match CronSchedule::parse(text) {
            Ok(schedule) => {
                if let Some(warning) = schedule.warning() {
                    notices.add(EventReason::CronUnusual, &workload.name, warning.to_owned());
                }
                Self::Ticks(CronTicks::new(schedule, now))
            }
            Err(error) => {
                let message = format!("cron {text:?} cannot be read: {error}");
                notices.add(EventReason::CronInvalid, &workload.name, message.clone());
                Self::Invalid(message)
            }
        }
    }

    pub(crate) fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    pub(super) fn has_ticks(&self) -> bool {
        matches!(self, Self::Ticks(_))
    }

    pub(crate) fn ticks_mut(&mut self) -> Option<&mut CronTicks> {
        match self {
            Self::Ticks(ticks) => Some(ticks),
            Self::None | Self::Invalid(_) => None,
        }
    }

    pub(super) fn why_it_waits(&self) -> &str {
        match self {
            Self::None | Self::Ticks(_) => "waits for its next cron run",
            Self::Invalid(message) => message,
        }
    }
}
