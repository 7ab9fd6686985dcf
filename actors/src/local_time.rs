//! Between the local clock and UTC, around clock changes too.
//!
//! Everything rests on one question, "which offset is in force at this instant?", which time zones
//! answer without ambiguity.

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};

/// No offset reaches it.
const ONE_DAY: TimeDelta = TimeDelta::days(1);

/// When a reading of the local clock happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occurrence {
    /// On most days.
    Once(DateTime<Utc>),
    /// The clock is put back over it.
    Twice {
        /// Before the clock is put back.
        first: DateTime<Utc>,
        /// After it.
        second: DateTime<Utc>,
    },
    /// The clock is put forward over it.
    Skipped,
}

/// Returns what a local clock reads at `instant`.
pub(crate) fn at(instant: DateTime<Utc>, zone: &impl TimeZone) -> NaiveDateTime {
    let utc = instant.naive_utc();
    utc + offset(utc, zone)
}

/// Returns when a local clock reads `local`.
pub(crate) fn occurrence(local: NaiveDateTime, zone: &impl TimeZone) -> Occurrence {
    let earlier_offset = offset(local - ONE_DAY, zone);
    let later_offset = offset(local + ONE_DAY, zone);
    let first = local - earlier_offset;
    let second = local - later_offset;
    let first_holds = offset(first, zone) == earlier_offset;
    let second_holds = offset(second, zone) == later_offset;
    match (first_holds, second_holds) {
        (true, true) if first < second => {
            Occurrence::Twice { first: first.and_utc(), second: second.and_utc() }
        }
        (true, _) => Occurrence::Once(first.and_utc()),
        (false, true) => Occurrence::Once(second.and_utc()),
        (false, false) => Occurrence::Skipped,
    }
}

/// Returns the first moment at which a local clock is past `local`, which it skips.
pub(crate) fn end_of_gap(local: NaiveDateTime, zone: &impl TimeZone) -> DateTime<Utc> {
    let mut before = local - ONE_DAY;
    let mut past = local + ONE_DAY;
    while past - before > TimeDelta::seconds(1) {
        let middle = before + TimeDelta::seconds((past - before).num_seconds() / 2);
        if middle + offset(middle, zone) < local {
            before = middle;
        } else {
            past = middle;
        }
    }
    past.and_utc()
}

/// Returns the offset in force at `utc`, positive east of Greenwich.
fn offset(utc: NaiveDateTime, zone: &impl TimeZone) -> TimeDelta {
    let seconds = zone.offset_from_utc_datetime(&utc).fix().local_minus_utc();
    TimeDelta::seconds(seconds.into())
}
