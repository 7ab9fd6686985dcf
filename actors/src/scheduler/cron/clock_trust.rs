//! Whether cron may follow the wall clock, by the evidence that it is right. Pure.
//!
//! A device without a battery for its clock boots with a time in the past: 1970, or the time at which its
//! systemd was built. Such a clock runs, but may be months late.

use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::future::LocalBoxFuture;

use crate::clock::is_set;

/// What is waited for while the wall clock shows a year before 2020.
const NEVER_SET: &str = "waits until the device's clock is set";

/// When cron follows the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CronClock {
    /// Once the clock was synchronised since the device was started.
    Synchronized,
    /// The same, or once the device has been up for so long with a clock that reads later than
    /// anything that was written to its disk.
    Plausible {
        /// Time since the device was started.
        grace: Duration,
    },
    /// Whenever it shows the year 2020 or later.
    Any,
}

/// What is known of the wall clock besides what it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClockEvidence {
    /// The kernel's clock is kept by a time service, and was set by it.
    pub is_synchronized: bool,
    /// Time since the device was started.
    pub uptime: Duration,
    /// What was written to the disk last, as far as is known.
    pub newest: Option<Written>,
}

/// Something on the disk, and when it was written by the clock of then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// When it was last changed.
    pub at: DateTime<Utc>,
    /// The path of the file.
    pub what: String,
}

/// Finds out what is known of the wall clock.
pub trait ClockWitness {
    /// Returns what is known now; `None` when that cannot be found out. Ends by a deadline of its own.
    fn look(&self) -> LocalBoxFuture<'static, Option<ClockEvidence>>;
}

/// Whether the wall clock is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClockTrust {
    /// It is.
    Trusted,
    /// It has not been checked yet: nothing to report.
    Unknown,
    /// It is not; says what is waited for, and why.
    Doubted(Rc<str>),
}

impl ClockTrust {
    /// Returns what a workload that runs by a clock that reads `wall` waits for before it does.
    pub(crate) fn awaited(&self, wall: DateTime<Utc>) -> Option<Rc<str>> {
        if !is_set(wall) {
            return Some(NEVER_SET.into());
        }
        match self {
            Self::Trusted => None,
            Self::Unknown => {
                Some("waits until it is known whether the device's clock is set".into())
            }
            Self::Doubted(why) => Some(Rc::clone(why)),
        }
    }
}

/// Decides whether a clock that reads `wall` is followed.
pub(crate) fn judge(
    wanted: CronClock,
    evidence: Option<&ClockEvidence>,
    wall: DateTime<Utc>,
) -> ClockTrust {
    let doubted = |why: String| ClockTrust::Doubted(why.into());
    let grace = match wanted {
        CronClock::Any => return ClockTrust::Trusted,
        CronClock::Synchronized => None,
        CronClock::Plausible { grace } => Some(grace),
    };
    let Some(evidence) = evidence else {
        return doubted(
            "waits until it can be found out whether the device's clock is set".to_owned(),
        );
    };
    if evidence.is_synchronized {
        return ClockTrust::Trusted;
    }
    let Some(grace) = grace else {
        return doubted("waits until the device's clock is synchronised".to_owned());
    };
    match &evidence.newest {
        Some(Written { at, what }) if *at > wall => {
            let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
            doubted(format!(
                "waits until the device's clock is set: it reads earlier than {at}, when {what} was \
                 written"
            ))
        }
        _ if evidence.uptime < grace => doubted(format!(
            "waits until the device's clock is synchronised, or the device has been up for {grace:?}"
        )),
        Some(_) | None => ClockTrust::Trusted,
    }
}

#[cfg(test)]
mod tests;
