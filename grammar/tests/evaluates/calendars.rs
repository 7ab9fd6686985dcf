//! Days and hours: against a list of all their spans, and the moment of the next change.

use std::time::Duration;

use grammar::{LocalTime, Truth, Watch, Weekday};
use proptest::prelude::*;

use crate::{Metrics, parse, secs};

const DAY: u64 = 24 * 60;
const WEEK: u64 = 7 * DAY;

/// What the clock reads so many minutes after the midnight before a Monday.
fn reading(minute: u64) -> LocalTime {
    LocalTime {
        weekday: Weekday::ALL[(minute / DAY % 7) as usize],
        since_midnight: secs(minute % DAY * 60),
        even_for: Duration::MAX,
    }
}

fn at(minute: u64) -> Metrics {
    Metrics { local_time: Some(reading(minute)), ..Metrics::default() }
}

/// Returns the minute of the week that a clock on that day shows.
fn minute(day: &str, hour: u64, minute: u64) -> u64 {
    let day = Weekday::ALL.iter().position(|it| it.as_str() == day).expect("a day") as u64;
    day * DAY + hour * 60 + minute
}

#[test]
fn hours_are_those_of_the_local_clock_over_midnight_too() {
    type Places = &'static [(&'static str, u64, u64)];
    let cases: [(&str, Places, Places); 10] = [
        (
            "between 22:00 and 06:00",
            &[("mon", 22, 0), ("mon", 23, 59), ("tue", 0, 0), ("mon", 5, 59)],
            &[("mon", 21, 59), ("mon", 6, 0), ("sun", 12, 0)],
        ),
        (
            "on sat, sun",
            &[("sat", 0, 0), ("sun", 23, 59)],
            &[("fri", 23, 59), ("mon", 0, 0), ("wed", 12, 0)],
        ),
        (
            "on mon-fri between 8:00 and 18:00",
            &[("mon", 8, 0), ("fri", 17, 59)],
            &[("mon", 7, 59), ("fri", 18, 0), ("sat", 12, 0)],
        ),
        // Hours over midnight belong to the day on which they begin.
        (
            "on fri between 22:00 and 06:00",
            &[("fri", 22, 0), ("sat", 5, 59)],
            &[("fri", 5, 0), ("sat", 22, 0), ("sat", 6, 0)],
        ),
        ("on sun between 22:00 and 6:00", &[("sun", 23, 0), ("mon", 1, 0)], &[("sun", 1, 0)]),
        (
            "on fri-mon",
            &[("fri", 0, 0), ("sun", 9, 0), ("mon", 9, 0)],
            &[("tue", 0, 0), ("thu", 9, 0)],
        ),
        ("between 18:00 and 24:00", &[("mon", 18, 0), ("mon", 23, 59)], &[("tue", 0, 0)]),
        ("between 18:00 and 0:00", &[("mon", 18, 0), ("mon", 23, 59)], &[("tue", 0, 0)]),
        ("on Monday, WEDNESDAY", &[("mon", 1, 0), ("wed", 1, 0)], &[("tue", 1, 0)]),
        ("!(on sat) && on mon-sun", &[("fri", 1, 0)], &[("sat", 1, 0)]),
    ];
    for (text, inside, outside) in cases {
        let condition = parse(text);
        for (places, expected) in [(inside, Truth::True), (outside, Truth::False)] {
            for (day, hour, of_hour) in places {
                let metrics = at(minute(day, *hour, *of_hour));
                let truth = condition.evaluate(&metrics).expect("no units");
                assert_eq!(truth, expected, "{text} on {day} {hour}:{of_hour}");
            }
        }
    }
}

#[test]
fn it_is_unknown_while_the_clock_is() {
    let condition = parse("on sat");
    let metrics = Metrics::default();
    assert_eq!(condition.evaluate(&metrics).expect("no units"), Truth::Unknown);
    assert_eq!(Watch::default().next_change(&condition, &metrics, secs(0)), None);
    assert_eq!(
        condition.explain(&metrics),
        "on sat is unknown: the device's clock is not known to be set"
    );
    let either = parse("on sat || x > 3");
    assert_eq!(either.evaluate(&Metrics::read("x=4")).expect("no units"), Truth::True);
}

#[test]
fn an_explanation_says_what_the_clock_reads() {
    let condition = parse("x > 3 || on mon-fri between 8:00 and 18:00");
    assert_eq!(
        condition.explain(&at(minute("sat", 9, 5))),
        "x > 3 is unknown: never posted; on mon-fri between 08:00 and 18:00 is false: it is sat 09:05"
    );
}

#[test]
fn the_next_change_is_when_the_clock_reads_so_or_when_it_may_not_run_evenly() {
    let condition = parse("between 22:00 and 06:00 for 1h");
    let mut watch = Watch::default();
    let now = secs(1_000);
    let mut metrics = at(minute("mon", 21, 30));
    let mut next = |metrics: &Metrics| {
        watch.evaluate(&condition, metrics, now).expect("no units");
        watch.next_change(&condition, metrics, now).map(|at| (at - now).as_secs() / 60)
    };
    assert_eq!(next(&metrics), Some(30));
    metrics.local_time = Some(LocalTime { even_for: secs(60), ..reading(minute("mon", 21, 30)) });
    assert_eq!(next(&metrics), Some(1));
    assert_eq!(next(&at(minute("mon", 22, 0))), Some(60));
    let always = parse("on mon-sun");
    assert_eq!(always.calendars()[0].changes_in(&reading(0)), Duration::MAX);
}

/// Days as a bit each, and hours in minutes.
fn naive(days: u8, from: u64, to: u64, minute: u64) -> bool {
    let length = if to > from { to - from } else { to + DAY - from };
    // Of the week before, too: its Sunday may reach into this Monday.
    (0..7).filter(|day| days >> day & 1 == 1).any(|day| {
        [0, WEEK].iter().any(|week| {
            let begin = day * DAY + from;
            (begin..begin + length).contains(&(minute + week))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Looked at each minute of a week: the verdict is that of a list of spans, and never changes
    /// before the moment that was announced.
    #[test]
    fn each_minute_of_a_week_is_right_and_no_change_comes_unannounced(
        days in 1..128_u8,
        from in 0..DAY,
        length in 1..=DAY,
        with_hours in any::<bool>(),
    ) {
        let (from, length) = if with_hours { (from, length) } else { (0, DAY) };
        // A whole day is written only from midnight to midnight.
        let to = if length == DAY && from > 0 { from + 1 } else { from + length };
        let to = if to > DAY { to - DAY } else { to };
        let names: Vec<&str> = (0..7)
            .filter(|day| days >> day & 1 == 1)
            .map(|day| Weekday::ALL[day].as_str())
            .collect();
        let mut text = format!("on {}", names.join(","));
        if with_hours {
            text += &format!(" between {}:{:02} and {}:{:02}", from / 60, from % 60, to / 60, to % 60);
        }
        let condition = parse(&text);
        prop_assert_eq!(&parse(&condition.to_string()), &condition, "{}", condition);
        let calendar = condition.calendars()[0];
        let mut announced = 0;
        let mut last = None;
        for minute in 0..WEEK {
            let time = reading(minute);
            let is_in = calendar.contains(&time);
            prop_assert_eq!(is_in, naive(days, from, to, minute), "{} at {}", text, time);
            if last.is_some_and(|last| last != is_in) {
                prop_assert_eq!(minute, announced, "{} at {}", text, time);
            }
            if last != Some(is_in) {
                let wait = calendar.changes_in(&time);
                announced = if wait == Duration::MAX { u64::MAX } else { minute + wait.as_secs() / 60 };
            }
            last = Some(is_in);
        }
    }
}
