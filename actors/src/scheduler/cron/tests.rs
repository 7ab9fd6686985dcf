//! What a cron expression means, in every time zone.

use chrono::{Local, Timelike};
use proptest::prelude::*;

use super::*;
use crate::test_zone::{TestZone, utc};

/// Made with the five-field parser of robfig/cron.
const TABLE: &str = include_str!("../../../tests/data/cron.tsv");

fn schedule(text: &str) -> CronSchedule {
    CronSchedule::parse(text).unwrap()
}

/// Returns the next runs as a local clock shows them, with its offset.
fn local_runs(text: &str, from: &str, count: usize, zone: &TestZone) -> Vec<String> {
    describe_next(text, utc(from), count, zone)
        .unwrap()
        .iter()
        .map(DateTime::to_rfc3339)
        .map(|run| run.replace(":00+", "+").replace(":00-", "-"))
        .collect()
}

#[test]
fn every_row_of_the_table_holds() {
    let mut rows = 0;
    for row in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let [text, from, expected] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not three columns: {row}");
        };
        rows += 1;
        let found = match CronSchedule::parse(text) {
            Err(_) => "error".to_owned(),
            Ok(schedule) => {
                let first = schedule.next_after(utc(from), &Utc);
                let runs: Vec<String> =
                    std::iter::successors(first, |run| schedule.next_after(*run, &Utc))
                        .take(3)
                        .map(|run| run.format("%FT%TZ").to_string())
                        .collect();
                if runs.is_empty() { "never".to_owned() } else { runs.join(" ") }
            }
        };
        assert_eq!(found, expected, "{text} from {from}");
    }
    assert_eq!(rows, 86);
}

#[test]
fn expressions_that_mean_the_same_run_at_the_same_times() {
    let table = [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("  @Daily\n", "0 0 * * *"),
        ("*\\1 * * * *", "* * * * *"),
        ("*\\5 * * * *", "*/5 * * * *"),
        ("0\t0  * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 * * Mon,wED", "0 0 * * 1,3"),
        ("0 0 * * */2", "0 0 * * 0,2,4,6"),
        ("0 0 * * 1/2", "0 0 * * 1,3,5"),
        ("0 0 1 FEB-apr/2 *", "0 0 1 2,4 *"),
        ("10-20/5,50 0-23 ? ? ?", "10,15,20,50 * * * *"),
        ("40/10 * * * *", "40,50 * * * *"),
        ("007 08 * * *", "7 8 * * *"),
        ("5,5,5 * * * *", "5 * * * *"),
    ];
    for (text, same) in table {
        assert_eq!(schedule(text).schedules, schedule(same).schedules, "{text}");
    }
}

#[test]
fn either_day_field_counts_unless_one_starts_with_a_star() {
    let from = "2026-11-23T09:59:30Z";
    let runs = |text: &str| -> Vec<String> {
        describe_next(text, utc(from), 3, &Utc)
            .unwrap()
            .iter()
            .map(|run| run.format("%a %F").to_string())
            .collect()
    };
    assert_eq!(runs("0 0 1 * fri"), ["Fri 2026-11-27", "Tue 2026-12-01", "Fri 2026-12-04"]);
    assert_eq!(runs("0 0 */2 * mon"), ["Mon 2026-12-07", "Mon 2026-12-21", "Mon 2027-01-11"]);
    assert_eq!(runs("0 0 1-7 * */7"), ["Sun 2026-12-06", "Sun 2027-01-03", "Sun 2027-02-07"]);
}

#[test]
fn impossible_dates_never_run_and_say_so() {
    for text in ["0 0 30 2 *", "0 0 30,31 feb *", "* * 31 2,4,6,9,11 *", "0 0 30 2 */2"] {
        let schedule = schedule(text);
        assert!(schedule.never_runs(), "{text}");
        assert_eq!(schedule.next_after(utc("2026-11-23T00:00:00Z"), &Utc), None);
        assert_eq!(schedule.warning(), Some("no year has such a day, so it never runs"));
    }
    assert!(!schedule("0 0 29 2 *").never_runs());
    assert!(!schedule("0 0 29 2 */7").never_runs());
    assert!(!schedule("0 0 30 2 1").never_runs());
}

#[test]
fn dates_beyond_the_calendar_of_the_crate_are_answered() {
    let yearly = schedule("0 0 1 1 *");
    assert_eq!(yearly.next_after(DateTime::<Utc>::MAX_UTC, &Utc), None);
    assert_eq!(yearly.next_after(utc("2100-06-01T00:00:00Z"), &Utc), None);
    let first = Some(DateTime::UNIX_EPOCH);
    assert_eq!(yearly.next_after(DateTime::<Utc>::MIN_UTC, &Utc), first);
}

#[test]
fn a_skipped_hour_runs_a_fixed_time_once_after_the_gap() {
    let runs = |text| local_runs(text, "2026-03-28T12:00:00Z", 3, &TestZone::berlin());
    assert_eq!(
        runs("30 2 * * *"),
        ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00", "2026-03-31T02:30+02:00"]
    );
    assert_eq!(
        runs("*/20 2 * * *"),
        ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00", "2026-03-30T02:20+02:00"]
    );
    assert_eq!(
        runs("0 2,3 * * *"),
        ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00", "2026-03-30T03:00+02:00"]
    );
    assert_eq!(
        local_runs("@daily", "2026-03-27T12:00:00Z", 3, &TestZone::beirut()),
        ["2026-03-28T00:00+02:00", "2026-03-29T01:00+03:00", "2026-03-30T00:00+03:00"]
    );
    assert_eq!(
        local_runs("0 9 * * *", "2011-12-29T12:00:00Z", 3, &TestZone::apia()),
        ["2011-12-29T09:00-10:00", "2011-12-31T00:00+14:00", "2011-12-31T09:00+14:00"]
    );
}

#[test]
fn a_repeated_hour_runs_a_fixed_time_once() {
    let berlin = TestZone::berlin();
    assert_eq!(
        local_runs("30 2 * * *", "2026-10-24T12:00:00Z", 2, &berlin),
        ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]
    );
    // From within the second pass.
    assert_eq!(
        local_runs("*/30 2 * * *", "2026-10-25T01:10:00Z", 1, &berlin),
        ["2026-10-26T02:00+01:00"]
    );
    assert_eq!(
        local_runs("0 3 * * *", "2026-10-24T12:00:00Z", 2, &berlin),
        ["2026-10-25T03:00+01:00", "2026-10-26T03:00+01:00"]
    );
}

#[test]
fn a_wildcard_hour_runs_by_elapsed_time() {
    let berlin = TestZone::berlin();
    for text in ["0 * * * *", "0 */1 * * *", "0 ? * * *", "@hourly"] {
        assert_eq!(
            local_runs(text, "2026-03-29T00:30:00Z", 2, &berlin),
            ["2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00"]
        );
        assert_eq!(
            local_runs(text, "2026-10-24T23:30:00Z", 4, &berlin),
            [
                "2026-10-25T02:00+02:00",
                "2026-10-25T02:00+01:00",
                "2026-10-25T03:00+01:00",
                "2026-10-25T04:00+01:00"
            ]
        );
    }
    assert_eq!(
        local_runs("45 * * * *", "2026-04-04T14:40:00Z", 3, &TestZone::lord_howe()),
        ["2026-04-05T01:45+11:00", "2026-04-05T01:45+10:30", "2026-04-05T02:45+10:30"]
    );
}

#[test]
fn describe_next_is_short_when_a_job_never_runs_again() {
    let from = utc("2026-11-23T00:00:00Z");
    assert_eq!(describe_next("0 0 30 2 *", from, 3, &Utc), Ok(vec![]));
    assert_eq!(describe_next("@hourly", from, 0, &Utc), Ok(vec![]));
    assert!(describe_next("@sometimes", from, 3, &Utc).is_err());
}

/// A second reading of an expression, as plain as can be: numbers, stars, ranges, lists, steps.
struct Oracle {
    fields: [Vec<bool>; 5],
    both_days: bool,
}

impl Oracle {
    fn new(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let ranges = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
        let fields = std::array::from_fn(|at| {
            let (low, high) = ranges[at];
            (0..60).map(|value| Self::names(words[at], value, low, high)).collect()
        });
        let both_days = words[2].starts_with('*') || words[4].starts_with('*');
        Self { fields, both_days }
    }

    fn names(field: &str, value: u32, low: u32, high: u32) -> bool {
        field.split(',').any(|item| {
            let (span, step) = item.split_once('/').unwrap_or((item, "1"));
            let (first, last) = match span.split_once('-') {
                _ if span == "*" => (low, high),
                Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
                None if item.contains('/') => (span.parse().unwrap(), high),
                None => (span.parse().unwrap(), span.parse().unwrap()),
            };
            let step: u32 = step.parse().unwrap();
            first <= value && value <= last && (value - first).is_multiple_of(step)
        })
    }

    fn matches(&self, local: NaiveDateTime) -> bool {
        let names = |field: usize, value: u32| self.fields[field][value as usize];
        let by_month = names(2, local.day());
        let by_week = names(4, local.weekday().num_days_from_sunday());
        let day = if self.both_days { by_month && by_week } else { by_month || by_week };
        names(0, local.minute()) && names(1, local.hour()) && names(3, local.month()) && day
    }

    /// Whether a run is due at a full minute, by the words of crontab's manual.
    fn runs_at(&self, at: DateTime<Utc>, zone: &impl TimeZone) -> bool {
        let minute = TimeDelta::minutes(1);
        let local = |at: DateTime<Utc>| at.with_timezone(zone).naive_local();
        let now = local(at);
        if self.fields[1][..24].iter().all(|named| *named) {
            return self.matches(now);
        }
        let is_repeated = || (1..=180).any(|minutes| local(at - minute * minutes) == now);
        if self.matches(now) && !is_repeated() {
            return true;
        }
        let mut skipped = local(at - minute) + minute;
        while skipped < now {
            if self.matches(skipped) {
                return true;
            }
            skipped += minute;
        }
        false
    }
}

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    let item = prop_oneof![
        Just("*".to_owned()),
        (low..=high).prop_map(|value| value.to_string()),
        (1..=high).prop_map(|step| format!("*/{step}")),
        (low..=high, 1..=high).prop_map(|(first, step)| format!("{first}/{step}")),
        (low..=high, low..=high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        (low..=high, low..=high, 1..=high).prop_map(|(a, b, step)| format!(
            "{}-{}/{step}",
            a.min(b),
            a.max(b)
        )),
    ];
    prop_oneof![
        2 => Just("*".to_owned()),
        3 => proptest::collection::vec(item, 1..3).prop_map(|items| items.join(",")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    (
        field(0, 59),
        prop_oneof![field(0, 23), field(0, 3), field(22, 23)],
        field(1, 31),
        prop_oneof![3 => Just("*".to_owned()), 1 => field(1, 12)],
        field(0, 6),
    )
        .prop_map(|(minute, hour, day, month, week)| {
            format!("{minute} {hour} {day} {month} {week}")
        })
}

/// Compares three runs in a row with a search minute by minute over two days.
fn agrees_with_the_oracle(
    text: &str,
    from: DateTime<Utc>,
    zone: &impl TimeZone,
) -> Result<(), TestCaseError> {
    let schedule = schedule(text);
    let oracle = Oracle::new(text);
    let end = from + TimeDelta::days(2);
    let mut after = from;
    for _ in 0..3 {
        let full_minute = after.with_second(0).unwrap().with_nanosecond(0).unwrap();
        let expected = (1..)
            .map(|minutes| full_minute + TimeDelta::minutes(minutes))
            .take_while(|at| *at <= end)
            .find(|at| oracle.runs_at(*at, zone));
        let found = schedule.next_after(after, zone);
        prop_assert!(found.is_none_or(|found| found > after));
        prop_assert_eq!(found.filter(|found| *found <= end), expected, "{} {}", text, after);
        let Some(next) = found else { break };
        if next > end {
            break;
        }
        after = next;
    }
    Ok(())
}

proptest! {
    #[test]
    fn runs_around_clock_changes_are_those_that_a_search_finds(
        text in expression(),
        zone in prop::sample::select(TestZone::all()),
        change in any::<prop::sample::Index>(),
        seconds in -100_000..10_000i64,
        nanos in 0..1_000_000_000i64,
    ) {
        let changes: Vec<_> = zone.changes().collect();
        let from = *change.get(&changes) + TimeDelta::seconds(seconds) + TimeDelta::nanoseconds(nanos);
        agrees_with_the_oracle(&text, from, &zone)?;
    }

    #[test]
    fn runs_on_this_machines_clock_are_those_that_a_search_finds(
        text in expression(),
        seconds in 1_767_225_600..1_798_761_600i64,
    ) {
        agrees_with_the_oracle(&text, DateTime::from_timestamp(seconds, 0).unwrap(), &Local)?;
    }

    #[test]
    fn every_run_is_later_and_reads_as_the_fields_say(
        text in expression(),
        seconds in 0..4_000_000_000i64,
    ) {
        let from = DateTime::from_timestamp(seconds, 0).unwrap();
        if let Some(run) = schedule(&text).next_after(from, &Utc) {
            prop_assert!(run > from);
            prop_assert!(Oracle::new(&text).matches(run.naive_utc()));
            prop_assert_eq!(run.second(), 0);
        }
    }

    #[test]
    fn no_text_and_no_time_makes_it_panic(
        text in prop_oneof!["\\PC*", "[-*/?,\\\\0-9a-z@ \t]{0,30}", expression()],
        seconds in any::<i64>(),
    ) {
        let from = DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
        match CronSchedule::parse(&text) {
            Ok(schedule) => {
                let run = schedule.next_after(from, &TestZone::berlin());
                prop_assert!(run.is_none_or(|run| run > from));
            }
            Err(error) => {
                prop_assert!(error.column() >= 1);
                prop_assert!(error.column() <= text.chars().count() + 1);
                prop_assert_eq!(error.picture().lines().count(), 2);
            }
        }
    }
}
