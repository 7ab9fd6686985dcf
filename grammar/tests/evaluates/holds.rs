//! `for`, and when a result can change by itself.

use grammar::{Condition, Truth, Watch};

use crate::{Metrics, parse, secs};

/// A condition under watch.
struct Story {
    condition: Condition,
    metrics: Metrics,
    watch: Watch,
}

impl Story {
    fn of(text: &str) -> Self {
        let condition = parse(text);
        let metrics = Metrics::default().with_windows_of(&condition);
        Self { condition, metrics, watch: Watch::default() }
    }

    /// Posts `x` at that second and returns what the condition comes to.
    fn post(&mut self, second: u64, value: f64) -> Truth {
        self.metrics.advance_to(secs(second));
        self.metrics.post("x", value, "");
        self.look(second)
    }

    fn look(&mut self, second: u64) -> Truth {
        self.metrics.advance_to(secs(second));
        self.watch.evaluate(&self.condition, &self.metrics, secs(second)).expect("the units fit")
    }

    fn next_change(&self) -> Option<u64> {
        self.watch
            .next_change(&self.condition, &self.metrics, self.metrics.now)
            .map(|at| at.as_secs())
    }
}

#[test]
fn a_hold_is_over_after_its_span_without_a_break() {
    let mut story = Story::of("x > 80 for 30s");
    assert_eq!(story.look(0), Truth::Unknown);
    assert_eq!(story.next_change(), None);
    assert_eq!(story.post(10, 90.0), Truth::False);
    assert_eq!(story.next_change(), Some(40));
    assert_eq!(story.post(20, 95.0), Truth::False);
    assert_eq!(story.next_change(), Some(40));
    assert_eq!(story.look(39), Truth::False);
    assert_eq!(story.look(40), Truth::True);
    assert_eq!(story.next_change(), None);
    assert_eq!(story.post(50, 81.0), Truth::True);
}

#[test]
fn a_hold_stops_at_once_and_begins_anew() {
    let mut story = Story::of("x > 80 for 30s");
    story.post(0, 90.0);
    assert_eq!(story.post(29, 10.0), Truth::False);
    assert_eq!(story.next_change(), None);
    assert_eq!(story.post(31, 90.0), Truth::False);
    assert_eq!(story.look(60), Truth::False);
    assert_eq!(story.look(61), Truth::True);
    assert_eq!(story.post(62, 10.0), Truth::False);
}

#[test]
fn a_hold_of_nothing_is_true_at_once() {
    let mut story = Story::of("x > 80 for 0s");
    assert_eq!(story.post(0, 90.0), Truth::True);
}

#[test]
fn a_metric_that_becomes_stale_breaks_a_hold() {
    let mut story = Story::of("x > 80 for 30s");
    story.post(0, 90.0);
    story.metrics.posted.get_mut("x").expect("posted").expires_at = Some(secs(20));
    assert_eq!(story.next_change(), Some(20));
    assert_eq!(story.look(20), Truth::Unknown);
    assert_eq!(story.post(25, 90.0), Truth::False);
    assert_eq!(story.next_change(), Some(55));
}

#[test]
fn units_that_do_not_fit_break_a_hold() {
    let mut story = Story::of("x > 80% for 30s");
    story.post(0, 90.0);
    story.metrics.post("x", 90.0, "C");
    let outcome = story.watch.evaluate(&story.condition, &story.metrics, secs(10));
    assert!(outcome.is_err());
    assert_eq!(story.post(20, 90.0), Truth::False);
    assert_eq!(story.look(49), Truth::False);
    assert_eq!(story.look(50), Truth::True);
}

#[test]
fn a_result_changes_when_a_sample_leaves_its_window() {
    let mut story = Story::of("avg(x, 10s) > 50");
    assert_eq!(story.post(0, 10.0), Truth::False);
    assert_eq!(story.post(4, 80.0), Truth::False);
    assert_eq!(story.next_change(), Some(10));
    assert_eq!(story.look(10), Truth::True);
    assert_eq!(story.next_change(), Some(14));
    assert_eq!(story.look(14), Truth::Unknown);
    assert_eq!(story.next_change(), None);
}

#[test]
fn the_last_sample_changes_only_when_it_leaves() {
    let mut story = Story::of("last(x, 10s) > 50");
    story.post(0, 10.0);
    story.post(4, 80.0);
    assert_eq!(story.next_change(), Some(14));
}

#[test]
fn the_earliest_of_all_changes_is_next() {
    let mut story = Story::of("max(x, 20s) > 1 && x > 1 for 30s");
    story.post(0, 90.0);
    assert_eq!(story.next_change(), Some(20));
    story.post(19, 90.0);
    assert_eq!(story.next_change(), Some(20));
    story.look(20);
    assert_eq!(story.next_change(), Some(30));
}
