//! What a clock reads in real time zones, and conditions by it, around each change of the clocks.

use std::time::Duration;

use grammar::{Calendar, Condition};

use super::*;
use crate::test_zone::{TestZone, utc};

fn calendar(text: &str) -> Calendar {
    Condition::parse(text).unwrap().calendars()[0]
}

fn read(at: DateTime<Utc>, zone: &TestZone) -> LocalTime {
    local_clock(at, zone).unwrap()
}

fn later(at: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    at + TimeDelta::from_std(wait).unwrap()
}

#[test]
fn a_clock_reads_day_and_time_of_its_zone() {
    for (zone, at, expected) in [
        (TestZone::berlin(), "2026-01-02T22:59:59.5Z", "fri 23:59"),
        (TestZone::berlin(), "2026-01-02T23:00:00Z", "sat 00:00"),
        (TestZone::new_york(), "2026-07-06T03:59:00Z", "sun 23:59"),
        (TestZone::lord_howe(), "2026-07-05T13:30:00Z", "mon 00:00"),
    ] {
        assert_eq!(read(utc(at), &zone).to_string(), expected, "{at}");
    }
    assert_eq!(local_clock(utc("2019-12-31T23:59:59Z"), &TestZone::berlin()), None);
}

#[test]
fn a_clock_is_even_until_it_is_put_forward_or_back() {
    let berlin = TestZone::berlin();
    for (at, expected) in [
        ("2026-01-02T22:59:59.5Z", Duration::from_secs(60)),
        ("2026-03-29T00:58:59Z", Duration::from_secs(60)),
        ("2026-03-29T00:59:00Z", Duration::from_secs(60)),
        ("2026-03-29T00:59:01Z", Duration::from_secs(59)),
        ("2026-10-25T00:59:59.25Z", Duration::from_millis(750)),
        ("2026-10-25T01:00:00Z", Duration::from_secs(60)),
    ] {
        assert_eq!(read(utc(at), &berlin).even_for, expected, "{at}");
    }
}

/// The times at which a condition becomes true or false, as UTC without the date.
fn turns(text: &str, from: &str, hours: i64, zone: &TestZone) -> Vec<String> {
    let calendar = calendar(text);
    let (begin, mut last) = (utc(from), None);
    let mut turns = Vec::new();
    for minute in 0..hours * 60 {
        let at = begin + TimeDelta::minutes(minute);
        let is_in = calendar.contains(&read(at, zone));
        if last.is_some_and(|last| last != is_in) {
            turns.push(format!("{} {is_in}", at.format("%d %H:%M")));
        }
        last = Some(is_in);
    }
    turns
}

#[test]
fn hours_are_what_the_clock_shows_when_it_is_put_forward_and_back() {
    let (berlin, beirut, howe) = (TestZone::berlin(), TestZone::beirut(), TestZone::lord_howe());
    for (text, from, zone, expected) in [
        // The night of the 29th of March lasts an hour less, that of the 25th of October one more.
        (
            "between 22:00 and 06:00",
            "2026-03-28T12:00:00Z",
            &berlin,
            &["28 21:00 true", "29 04:00 false"] as &[&str],
        ),
        (
            "between 22:00 and 06:00",
            "2026-10-24T12:00:00Z",
            &berlin,
            &["24 20:00 true", "25 05:00 false"],
        ),
        // No clock shows 2:15 that night; another night it is shown twice.
        ("between 2:15 and 2:45", "2026-03-28T12:00:00Z", &berlin, &[]),
        (
            "between 2:15 and 4:00",
            "2026-03-28T12:00:00Z",
            &berlin,
            &["29 01:00 true", "29 02:00 false"],
        ),
        (
            "between 2:15 and 2:45",
            "2026-10-24T12:00:00Z",
            &berlin,
            &["25 00:15 true", "25 00:45 false", "25 01:15 true", "25 01:45 false"],
        ),
        // The clock goes from 23:59 on Saturday back to 23:00, or from midnight to 1:00 on Sunday.
        ("on sun", "2026-10-24T12:00:00Z", &beirut, &["24 22:00 true"]),
        (
            "on sun between 0:00 and 2:00",
            "2026-03-28T12:00:00Z",
            &beirut,
            &["28 22:00 true", "28 23:00 false"],
        ),
        // Half an hour, from 2:00 back to 1:30.
        (
            "between 1:45 and 2:15",
            "2026-04-04T12:00:00Z",
            &howe,
            &["04 14:45 true", "04 15:00 false", "04 15:15 true", "04 15:45 false"],
        ),
    ] {
        assert_eq!(turns(text, from, 20, zone), expected, "{text} from {from}");
    }
}

/// Looked at only when it was announced, a condition is what it is when it is looked at each second.
#[test]
fn nothing_changes_before_the_next_look() {
    let texts = [
        "between 22:00 and 06:00",
        "between 2:15 and 2:45",
        "between 1:59 and 2:01",
        "between 0:00 and 3:00",
        "on sun",
        "on sat between 23:30 and 1:30",
    ];
    for zone in TestZone::all() {
        for change in zone.changes().filter(|change| is_set(*change)) {
            for text in texts {
                let calendar = calendar(text);
                let mut at = change - TimeDelta::milliseconds(90 * 60_000 - 250);
                let end = change + TimeDelta::minutes(90);
                while at < end {
                    let time = read(at, &zone);
                    let wait = calendar.changes_in(&time);
                    assert!(!wait.is_zero() && wait <= LOOK_PERIOD, "{text} {at}");
                    let next = later(at, wait);
                    for second in 1..=wait.as_secs() {
                        let between = (at + TimeDelta::seconds(second as i64))
                            .min(next - TimeDelta::nanoseconds(1));
                        let now = calendar.contains(&read(between, &zone));
                        assert_eq!(now, calendar.contains(&time), "{text} {at} {between}");
                    }
                    at = next;
                }
            }
        }
    }
}
