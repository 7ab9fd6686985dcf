//! Whether and when a workload runs by the clock. Pure.

use super::cron::CronTicks;

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
