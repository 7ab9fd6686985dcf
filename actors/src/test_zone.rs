//! Time zones for tests: a few real clock changes.

use chrono::{
    DateTime, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeZone, Utc,
};

/// A zone as a list of changes: from an instant on, an offset in seconds.
#[derive(Clone, Debug)]
pub(crate) struct TestZone {
    first_offset: i32,
    changes: Vec<(NaiveDateTime, i32)>,
}

impl TestZone {
    fn new(first_offset: i32, changes: &[(&str, i32)]) -> Self {
        let changes =
            changes.iter().map(|(from, offset)| (utc(from).naive_utc(), *offset)).collect();
        Self { first_offset, changes }
    }

    /// 2026-03-29 02:00 becomes 03:00; 2026-10-25 03:00 becomes 02:00.
    pub(crate) fn berlin() -> Self {
        Self::new(3600, &[("2026-03-29T01:00:00Z", 7200), ("2026-10-25T01:00:00Z", 3600)])
    }

    /// 2026-03-08 02:00 becomes 03:00; 2026-11-01 02:00 becomes 01:00.
    pub(crate) fn new_york() -> Self {
        Self::new(-18_000, &[("2026-03-08T07:00:00Z", -14_400), ("2026-11-01T06:00:00Z", -18_000)])
    }

    /// Half an hour: 2026-04-05 02:00 becomes 01:30; 2026-10-04 02:00 becomes 02:30.
    pub(crate) fn lord_howe() -> Self {
        Self::new(39_600, &[("2026-04-04T15:00:00Z", 37_800), ("2026-10-03T15:30:00Z", 39_600)])
    }

    /// At midnight: 2026-03-29 00:00 becomes 01:00; 2026-10-25 00:00 becomes 2026-10-24 23:00.
    pub(crate) fn beirut() -> Self {
        Self::new(7200, &[("2026-03-28T22:00:00Z", 10_800), ("2026-10-24T21:00:00Z", 7200)])
    }

    /// A whole day: 2011-12-30 00:00 becomes 2011-12-31 00:00.
    pub(crate) fn apia() -> Self {
        Self::new(-36_000, &[("2011-12-30T10:00:00Z", 50_400)])
    }

    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        vec![Self::berlin(), Self::new_york(), Self::lord_howe(), Self::beirut(), Self::apia()]
    }

    /// When its clocks change.
    pub(crate) fn changes(&self) -> impl Iterator<Item = DateTime<Utc>> {
        self.changes.iter().map(|(at, _)| at.and_utc())
    }
}

impl TimeZone for TestZone {
    type Offset = FixedOffset;

    fn from_offset(offset: &FixedOffset) -> Self {
        Self::new(offset.local_minus_utc(), &[])
    }

    fn offset_from_local_date(&self, _: &NaiveDate) -> MappedLocalTime<FixedOffset> {
        unreachable!("the code under test asks for instants only")
    }

    fn offset_from_local_datetime(&self, _: &NaiveDateTime) -> MappedLocalTime<FixedOffset> {
        unreachable!("the code under test asks for instants only")
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> FixedOffset {
        self.offset_from_utc_datetime(&utc.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> FixedOffset {
        let seconds = self
            .changes
            .iter()
            .rev()
            .find(|(from, _)| from <= utc)
            .map_or(self.first_offset, |(_, offset)| *offset);
        FixedOffset::east_opt(seconds).unwrap().fix()
    }
}

/// Reads an instant.
pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}
