//! What is due when clocks run, jump and stand wrong.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::Monotonic;
use crate::test_zone::{TestZone, utc};

/// A job, its clocks, and the zone that it lives in.
struct Story {
    ticks: CronTicks,
    now: Moment,
    zone: TestZone,
}

impl Story {
    fn new(expression: &str, wall: &str) -> Self {
        let now =
            Moment { monotonic: Monotonic::from_start(Duration::from_secs(1000)), wall: utc(wall) };
        let schedule = CronSchedule::parse(expression).unwrap();
        Self {
            ticks: CronTicks::new(schedule, now),
            now,
            zone: TestZone::from_offset(&chrono::FixedOffset::east_opt(0).unwrap()),
        }
    }

    /// Time passes.
    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now.after(Duration::from_secs(seconds));
        self
    }

    /// The wall clock is set.
    fn set(&mut self, wall: &str) -> &mut Self {
        self.now.wall = utc(wall);
        self
    }

    fn look(&mut self) -> Tick {
        self.ticks.advance(self.now, true, &self.zone)
    }
}

fn due(due: &str, next: &str) -> Tick {
    Tick { due: Some(utc(due)), next: Some(utc(next)), waiting_for_clock: false }
}

fn nothing_due(next: &str) -> Tick {
    Tick { due: None, next: Some(utc(next)), waiting_for_clock: false }
}

const WAITING: Tick = Tick { due: None, next: None, waiting_for_clock: true };

#[test]
fn a_tick_is_due_once_when_it_is_reached() {
    let mut story = Story::new("0 * * * *", "2026-05-04T09:59:00Z");
    assert_eq!(story.look(), nothing_due("2026-05-04T10:00:00Z"));
    assert_eq!(story.wait(59).look(), nothing_due("2026-05-04T10:00:00Z"));
    let tick = due("2026-05-04T10:00:00Z", "2026-05-04T11:00:00Z");
    assert_eq!(story.wait(1).look(), tick);
    assert_eq!(story.look(), nothing_due("2026-05-04T11:00:00Z"));
    assert_eq!(story.wait(60).look(), nothing_due("2026-05-04T11:00:00Z"));
}

#[test]
fn a_tick_before_the_start_is_not_made_up() {
    let mut story = Story::new("0 * * * *", "2026-05-04T10:00:00Z");
    assert_eq!(story.look(), nothing_due("2026-05-04T11:00:00Z"));
    assert_eq!(story.wait(30).look(), nothing_due("2026-05-04T11:00:00Z"));
}

#[test]
fn several_ticks_that_nobody_saw_are_one_run() {
    let mut story = Story::new("*/10 * * * *", "2026-05-04T10:05:00Z");
    let tick = due("2026-05-04T10:10:00Z", "2026-05-04T11:10:00Z");
    assert_eq!(story.wait(3600).look(), tick);
    assert_eq!(story.look(), nothing_due("2026-05-04T11:10:00Z"));
}

#[test]
fn a_forward_jump_up_to_a_day_runs_one_of_the_ticks_that_it_passes_over() {
    let mut story = Story::new("0 * * * *", "2026-05-04T10:05:00Z");
    let tick = due("2026-05-04T11:00:00Z", "2026-05-05T11:00:00Z");
    assert_eq!(story.wait(5).set("2026-05-05T10:05:05Z").look(), tick);
    assert_eq!(story.wait(5).look(), nothing_due("2026-05-05T11:00:00Z"));
    // Over no tick: nothing.
    let quiet = nothing_due("2026-05-05T11:00:00Z");
    assert_eq!(story.wait(5).set("2026-05-05T10:59:00Z").look(), quiet);
}

#[test]
fn a_forward_jump_over_a_day_runs_nothing() {
    let mut story = Story::new("0 * * * *", "2026-05-04T10:05:00Z");
    let quiet = nothing_due("2026-05-05T11:00:00Z");
    assert_eq!(story.wait(5).set("2026-05-05T10:05:06Z").look(), quiet);
    let tick = due("2026-05-05T11:00:00Z", "2026-05-05T12:00:00Z");
    assert_eq!(story.wait(3300).look(), tick);
}

#[test]
fn long_time_that_really_passed_is_no_jump() {
    let mut story = Story::new("0 * * * *", "2026-05-04T10:05:00Z");
    let tick = due("2026-05-04T11:00:00Z", "2026-05-07T11:00:00Z");
    assert_eq!(story.wait(3 * 86_400).look(), tick);
}

#[test]
fn a_backward_jump_runs_no_time_of_day_twice() {
    let mut story = Story::new("0 0-23 * * *", "2026-05-04T09:59:00Z");
    assert!(story.wait(60).look().due.is_some());
    let waits = nothing_due("2026-05-04T11:00:00Z");
    assert_eq!(story.wait(10).set("2026-05-04T09:30:00Z").look(), waits);
    assert_eq!(story.wait(1800).look(), waits);
    let tick = due("2026-05-04T11:00:00Z", "2026-05-04T12:00:00Z");
    assert_eq!(story.wait(3600).look(), tick);
}

#[test]
fn a_clock_that_trembles_around_a_tick_runs_it_once() {
    let mut story = Story::new("0 * * * *", "2026-05-04T09:59:59Z");
    let mut runs = 0;
    for wall in [
        "2026-05-04T10:00:00Z",
        "2026-05-04T09:59:59Z",
        "2026-05-04T10:00:01Z",
        "2026-05-04T09:59:58Z",
        "2026-05-04T10:00:00Z",
    ] {
        runs += usize::from(story.wait(1).set(wall).look().due.is_some());
    }
    assert_eq!(runs, 1);
}

#[test]
fn a_tick_that_was_folded_into_another_does_not_come_back_with_the_clock() {
    let mut story = Story::new("0-59/10 0-23 * * *", "2026-05-04T10:05:00Z");
    assert!(story.wait(1800).look().due.is_some());
    let waits = nothing_due("2026-05-04T10:40:00Z");
    assert_eq!(story.set("2026-05-04T10:15:00Z").look(), waits);
}

#[test]
fn a_wildcard_follows_a_clock_that_is_put_back_at_once() {
    for (expression, set, next) in [
        ("* * * * *", "2026-05-03T10:00:30Z", "2026-05-03T10:01:00Z"),
        ("* * * * *", "2026-05-04T09:40:30Z", "2026-05-04T09:41:00Z"),
        ("*/5 * * * *", "2026-05-04T07:41:00Z", "2026-05-04T07:45:00Z"),
        ("30 * * * *", "2026-05-04T09:20:00Z", "2026-05-04T09:30:00Z"),
        ("* 9-12 * * *", "2026-05-04T09:20:30Z", "2026-05-04T09:21:00Z"),
        ("@hourly", "2026-05-04T05:20:00Z", "2026-05-04T06:00:00Z"),
    ] {
        let mut story = Story::new(expression, "2026-05-04T09:29:59Z");
        assert!(story.wait(1801).look().due.is_some(), "{expression}");
        assert_eq!(story.wait(60).set(set).look().next, Some(utc(next)), "{expression}");
        let left = (utc(next) - utc(set)).num_seconds();
        let tick = story.wait(u64::try_from(left).unwrap()).look();
        assert_eq!(tick.due, Some(utc(next)), "{expression}");
    }
}

#[test]
fn a_job_of_every_minute_runs_each_minute_whenever_the_clock_is_put_back() {
    for (step, most) in [(60 * 60 * 24, 61), (38 * 60, 61), (90, 62), (30, 61), (2, 61)] {
        let mut story = Story::new("* * * * *", "2026-05-04T10:00:30Z");
        let mut runs = Vec::new();
        for second in 0..3_630 {
            if second == 605 {
                story.now.wall -= TimeDelta::seconds(step);
            }
            if story.wait(1).look().due.is_some() {
                runs.push(second);
            }
        }
        assert!((60..=most).contains(&runs.len()), "{step}: {}", runs.len());
        let gaps: Vec<_> = runs.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (60..=120).contains(gap)), "{step}: {gaps:?}");
    }
}

#[test]
fn a_time_of_day_follows_a_clock_that_is_put_back_by_more_than_three_hours() {
    for (set, next) in [
        ("2026-05-04T07:01:00Z", "2026-05-05T10:00:00Z"),
        ("2026-05-04T07:00:59Z", "2026-05-04T10:00:00Z"),
        ("2026-05-04T04:00:00Z", "2026-05-04T10:00:00Z"),
        ("2026-05-02T09:00:00Z", "2026-05-02T10:00:00Z"),
    ] {
        let mut story = Story::new("0 10 * * *", "2026-05-04T09:59:00Z");
        assert!(story.wait(60).look().due.is_some());
        assert_eq!(story.wait(60).set(set).look(), nothing_due(next), "{set}");
    }
}

#[test]
fn a_clock_that_is_not_trusted_is_waited_for_and_nothing_is_made_up() {
    let mut story = Story::new("* * * * *", "2026-05-04T10:00:30Z");
    for _ in 0..10 {
        let now = story.wait(60).now;
        assert_eq!(story.ticks.advance(now, false, &story.zone), WAITING);
    }
    assert_eq!(story.wait(5).look(), nothing_due("2026-05-04T10:11:00Z"));
    assert!(story.wait(60).look().due.is_some());
}

#[test]
fn a_tick_that_did_not_run_is_not_lost_by_a_backward_jump() {
    let mut story = Story::new("0 * * * *", "2026-05-04T09:59:30Z");
    let quiet = nothing_due("2026-05-04T10:00:00Z");
    assert_eq!(story.wait(50).set("2026-05-04T09:59:50Z").look(), quiet);
    let tick = due("2026-05-04T10:00:00Z", "2026-05-04T11:00:00Z");
    assert_eq!(story.wait(10).look(), tick);
}

#[test]
fn a_backward_jump_over_a_day_starts_afresh() {
    let mut story = Story::new("0 * * * *", "2026-05-04T09:59:00Z");
    assert!(story.wait(60).look().due.is_some());
    let afresh = nothing_due("2026-05-02T09:00:00Z");
    assert_eq!(story.wait(10).set("2026-05-02T08:30:00Z").look(), afresh);
    let tick = due("2026-05-02T09:00:00Z", "2026-05-02T10:00:00Z");
    assert_eq!(story.wait(1800).look(), tick);
}

#[test]
fn a_short_visit_to_another_year_runs_nothing_and_forgets_nothing() {
    let mut story = Story::new("0 0-23 * * *", "2026-05-04T09:59:00Z");
    assert!(story.wait(60).look().due.is_some());
    assert_eq!(story.wait(1).set("2029-01-01T00:00:00Z").look().due, None);
    let back = nothing_due("2026-05-04T11:00:00Z");
    assert_eq!(story.wait(1).set("2026-05-04T09:58:00Z").look(), back);
}

#[test]
fn a_clock_that_was_never_set_is_waited_for() {
    let mut story = Story::new("* * * * *", "1970-01-01T00:00:10Z");
    assert_eq!(story.look(), WAITING);
    assert_eq!(story.wait(600).look(), WAITING);
    let quiet = nothing_due("2026-05-04T10:06:00Z");
    assert_eq!(story.wait(60).set("2026-05-04T10:05:00Z").look(), quiet);
    assert!(story.wait(60).look().due.is_some());
}

#[test]
fn ticks_passed_while_the_clock_was_not_set_do_not_run() {
    let mut story = Story::new("*/5 * * * *", "2019-12-31T23:59:30Z");
    let quiet = nothing_due("2020-01-01T00:15:00Z");
    assert_eq!(story.wait(10).set("2020-01-01T00:10:00Z").look(), quiet);
}

#[test]
fn a_clock_that_is_lost_again_is_waited_for_and_no_tick_runs_twice() {
    let mut story = Story::new("0 0-23 * * *", "2026-05-04T09:59:00Z");
    assert!(story.wait(60).look().due.is_some());
    assert_eq!(story.wait(60).set("2019-12-31T23:59:59Z").look(), WAITING);
    let back = nothing_due("2026-05-04T11:00:00Z");
    assert_eq!(story.wait(60).set("2026-05-04T09:50:00Z").look(), back);
}

#[test]
fn a_change_of_the_time_zone_counts_at_the_next_look() {
    let mut story = Story::new("0 12 * * *", "2026-05-04T08:00:00Z");
    assert_eq!(story.look(), nothing_due("2026-05-04T12:00:00Z"));
    story.zone = TestZone::berlin();
    assert_eq!(story.wait(60).look(), nothing_due("2026-05-04T10:00:00Z"));
}

#[test]
fn an_impossible_date_is_never_due() {
    let mut story = Story::new("0 0 30 2 *", "2026-02-27T23:00:00Z");
    assert_eq!(story.wait(90_000).look(), Tick::default());
}

proptest! {
    #[test]
    fn whatever_the_clock_does_within_hours_no_time_of_day_runs_twice_and_none_before_its_time(
        steps in proptest::collection::vec((0..4000u64, -200..2000i64), 1..40),
    ) {
        let mut story = Story::new("0-59/10 0-23 * * *", "2026-05-04T12:05:00Z");
        let mut runs = Vec::new();
        for (seconds, step) in steps {
            story.wait(seconds);
            story.now.wall += TimeDelta::seconds(step);
            let tick = story.look();
            runs.extend(tick.due);
            prop_assert!(tick.due.is_none_or(|due| due <= story.now.wall));
            prop_assert!(tick.next.is_some_and(|next| next > story.now.wall));
        }
        prop_assert!(runs.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn a_clock_that_only_runs_reaches_every_tick_once(
        looks in proptest::collection::vec(1..60u64, 1..200),
    ) {
        let mut story = Story::new("* * * * *", "2026-05-04T12:00:30Z");
        let start = story.now.wall;
        let runs = looks
            .iter()
            .filter(|seconds| story.wait(**seconds).look().due.is_some())
            .count();
        let minutes = (story.now.wall - start + TimeDelta::seconds(30)).num_minutes();
        prop_assert_eq!(i64::try_from(runs).unwrap(), minutes);
    }

    #[test]
    fn no_reading_of_the_clocks_makes_it_panic(
        readings in proptest::collection::vec((any::<u64>(), any::<i64>()), 1..20),
    ) {
        let mut story = Story::new("0 2 * * *", "2026-05-04T12:05:00Z");
        for (seconds, wall) in readings {
            story.now = Moment {
                monotonic: Monotonic::from_start(Duration::from_secs(seconds)),
                wall: DateTime::from_timestamp(wall, 0).unwrap_or(DateTime::<Utc>::MAX_UTC),
            };
            story.look();
        }
    }
}
