//! What the local clock reads, for conditions that name days and hours. Pure.

use std::time::Duration;

use chrono::{DateTime, Datelike, TimeDelta, TimeZone, Timelike, Utc};
use grammar::{LocalTime, Weekday};

use crate::clock::is_set;
use crate::local_time;

/// Time after which is looked again whether the clock was set, and in which zone it is.
pub(super) const LOOK_PERIOD: Duration = Duration::from_secs(60);

/// Returns what a clock in `zone` reads at `wall`; `None` if it was never set.
#[must_use]
pub fn local_clock(wall: DateTime<Utc>, zone: &impl TimeZone) -> Option<LocalTime> {
    if !is_set(wall) {
        return None;
    }
    let local = local_time::at(wall, zone);
    let weekday = usize::try_from(local.weekday().num_days_from_monday()).ok()?;
    let since_midnight =
        Duration::new(local.num_seconds_from_midnight().into(), local.nanosecond() % 1_000_000_000);
    Some(LocalTime {
        weekday: *Weekday::ALL.get(weekday)?,
        since_midnight,
        even_for: even_for(wall, zone),
    })
}

/// Returns for how long from `wall` on a clock in `zone` is not put forward or back, as far as
/// [`LOOK_PERIOD`] reaches. Zones change at full seconds.
fn even_for(wall: DateTime<Utc>, zone: &impl TimeZone) -> Duration {
    let offset = |at: DateTime<Utc>| local_time::at(at, zone) - at.naive_utc();
    let second = wall - TimeDelta::nanoseconds(wall.timestamp_subsec_nanos().into());
    let is_even = |seconds: u64| {
        let at = TimeDelta::from_std(Duration::from_secs(seconds)).ok();
        let at = at.and_then(|wait| second.checked_add_signed(wait));
        at.is_none_or(|at| offset(at) == offset(wall))
    };
    let reach = LOOK_PERIOD.as_secs();
    if is_even(reach) {
        return LOOK_PERIOD;
    }
    let until = (1..reach).find(|seconds| !is_even(*seconds)).unwrap_or(reach);
    let passed = Duration::from_nanos(wall.timestamp_subsec_nanos().into());
    Duration::from_secs(until).saturating_sub(passed)
}

#[cfg(test)]
mod tests;
