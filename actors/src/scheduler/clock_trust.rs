//! Whether cron may follow the wall clock, by what speaks for it. Pure.
//!
//! A device without a battery for its clock starts with some time of before: 1970, or what systemd sets
//! instead, the time of its own build. Such a clock runs, and may be months late.

use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::future::LocalBoxFuture;

use super::cron::is_set;

/// What is waited for while the wall clock reads a year before 2020.
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
    /// Whenever it reads a year from 2020 on.
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
    /// The time.
    pub at: DateTime<Utc>,
    /// Its path.
    pub what: String,
}

/// Looks for what speaks for the wall clock.
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
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(300);
    const PLAUSIBLE: CronClock = CronClock::Plausible { grace: GRACE };
    const LONG: u64 = 10_000_000;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// The device has been up for so many seconds; its disk was last written on the 1st of May.
    fn up(seconds: u64, is_synchronized: bool) -> ClockEvidence {
        let written =
            Written { at: utc("2026-05-01T00:00:00Z"), what: "/state/current".to_owned() };
        let uptime = Duration::from_secs(seconds);
        ClockEvidence { is_synchronized, uptime, newest: Some(written) }
    }

    /// Returns what is waited for, empty when nothing is.
    fn awaited(wanted: CronClock, evidence: &ClockEvidence, wall: &str) -> String {
        let judged = judge(wanted, Some(evidence), utc(wall)).awaited(utc(wall));
        judged.map(|why| why.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_clock_is_followed_as_the_setting_says() {
        let (later, earlier) = ("2026-05-04T10:00:00Z", "2026-04-30T23:59:59Z");
        let service = "waits until the device's clock is synchronised";
        let grace =
            "waits until the device's clock is synchronised, or the device has been up for 300s";
        let behind = "waits until the device's clock is set: it reads earlier than \
                      2026-05-01T00:00:00Z, when /state/current was written";
        for (wanted, seconds, is_synchronized, wall, expected) in [
            // A time service is believed at once, whatever it says.
            (PLAUSIBLE, 20, true, later, ""),
            (PLAUSIBLE, 20, true, earlier, ""),
            (CronClock::Synchronized, 20, true, later, ""),
            // Without one a clock that is not behind the disk is believed in time,
            (PLAUSIBLE, 20, false, later, grace),
            (PLAUSIBLE, 299, false, later, grace),
            (PLAUSIBLE, 300, false, later, ""),
            // one that is behind it never,
            (PLAUSIBLE, LONG, false, earlier, behind),
            (PLAUSIBLE, 20, false, earlier, behind),
            // and none, where that is wanted.
            (CronClock::Synchronized, LONG, false, later, service),
            (CronClock::Synchronized, LONG, false, earlier, service),
            (CronClock::Any, 0, false, earlier, ""),
        ] {
            let found = awaited(wanted, &up(seconds, is_synchronized), wall);
            assert_eq!(found, expected, "{wanted:?} {seconds} {is_synchronized} {wall}");
        }
    }

    #[test]
    fn a_disk_on_which_nothing_was_written_yet_speaks_against_no_clock() {
        let fresh = ClockEvidence { newest: None, ..up(300, false) };
        assert_eq!(awaited(PLAUSIBLE, &fresh, "2020-01-01T00:00:00Z"), "");
        let at_once = ClockEvidence { uptime: Duration::ZERO, ..fresh };
        let grace = CronClock::Plausible { grace: Duration::ZERO };
        assert_eq!(awaited(grace, &at_once, "2020-01-01T00:00:00Z"), "");
    }

    #[test]
    fn a_clock_of_which_nothing_can_be_found_out_is_not_followed() {
        let wall = utc("2026-05-04T10:00:00Z");
        for (wanted, is_followed) in
            [(PLAUSIBLE, false), (CronClock::Synchronized, false), (CronClock::Any, true)]
        {
            let judged = judge(wanted, None, wall);
            assert_eq!(judged == ClockTrust::Trusted, is_followed, "{wanted:?}");
        }
    }
}
