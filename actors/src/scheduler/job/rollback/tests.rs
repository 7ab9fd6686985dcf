//! The table of the module, row by row, and what is written of it.

use super::*;
use crate::testing::workloads::workload;

const MINUTE: u64 = 60;
const STARTED: RunState = RunState::Started { since: Monotonic::from_start(Duration::ZERO) };
const READY: Criterion =
    Criterion::Ready { time: Duration::from_secs(60), patience: Duration::from_secs(60) };

fn at(seconds: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_secs(seconds))
}

fn web(version: u8) -> Arc<Workload> {
    workload("web").image(&format!("localhost/web:{version}")).build()
}

/// Returns version 2 instead of version 1, if there was one, as the disk has it.
fn replaced(previous: Option<u8>, failure: Option<&str>) -> Rollback {
    let update = Update {
        came_at: None,
        successor: web(2).id.clone(),
        previous: previous.map(web),
        failure: failure.map(str::to_owned),
    };
    let mut rollback = Rollback::default();
    rollback.replaced(&web(2).id, Some(&update), at(0));
    rollback
}

/// One thing that happens to version 2.
#[derive(Clone, Copy, Debug)]
enum Step {
    Fails,
    IsSeen(Sight),
    IsLate,
    LacksImages,
    ImagesCome,
    /// The time of the rollback is over.
    Ends,
    /// The scheduler is reset and told of the same update again.
    IsToldAgain,
}

/// Lets it happen; returns whether the new specification has proved itself by it.
fn happen(rollback: &mut Rollback, step: Step, now: u64) {
    match step {
        Step::Fails => drop(rollback.failed("it ended", at(now))),
        Step::IsSeen(sight) => {
            if rollback.seen(sight, READY, at(now)) == Some(Verdict::Proved) {
                rollback.proved();
            }
        }
        Step::IsLate => drop(rollback.go_back("it is late", at(now))),
        Step::LacksImages => rollback.begin(at(now + 10), "no image", at(now)),
        Step::ImagesCome => rollback.end_soon(at(now)),
        Step::Ends => rollback.end(),
        Step::IsToldAgain => rollback.replaced(&web(2).id, None, at(now)),
    }
}

#[test]
fn each_row_of_the_table() {
    use Step::{Ends, Fails, ImagesCome, IsLate, IsSeen, IsToldAgain, LacksImages};
    let ready = IsSeen(Sight::Ready);
    // When the previous one is in force until, from the start; and what is kept on the disk.
    let failed = |reason: &str| Some(Outcome::Failed { reason: reason.to_owned() });
    for (steps, until, outcome) in [
        (&[(0, ready), (60, ready)][..], None, Some(Outcome::Proved)),
        (&[(0, ready), (59, ready)], None, None),
        (
            &[(0, ready), (60, ready), (61, Fails), (62, Fails), (63, Fails)],
            None,
            Some(Outcome::Proved),
        ),
        (&[(0, Fails), (20, Fails)], None, None),
        (&[(0, Fails), (20, ready), (30, Fails), (40, Fails)], Some(340), failed("it ended")),
        (&[(60, IsLate)], Some(360), failed("it is late")),
        (&[(60, IsLate), (360, Ends)], None, None),
        (&[(60, IsLate), (360, Ends), (361, Fails)], Some(361 + 600), failed("it ended")),
        (
            &[(0, IsLate), (300, Ends), (300, Fails), (900, Ends), (900, IsLate)],
            Some(900 + 1200),
            failed("it is late"),
        ),
        (&[(0, IsLate), (300, Ends), (300, ready), (360, ready)], None, Some(Outcome::Proved)),
        // Images that do not come say nothing of the specification.
        (&[(0, LacksImages)], Some(20), None),
        (&[(0, LacksImages), (5, ImagesCome)], Some(5), None),
        (&[(0, LacksImages), (20, Ends), (21, Fails), (22, Fails)], None, None),
        (
            &[(0, Fails), (1, Fails), (2, LacksImages), (22, Ends), (23, Fails)],
            Some(323),
            failed("it ended"),
        ),
        (&[(0, Fails), (1, IsToldAgain), (2, Fails), (3, Fails)], Some(303), failed("it ended")),
    ] {
        let mut rollback = replaced(Some(1), None);
        for (second, step) in steps {
            happen(&mut rollback, *step, *second);
        }
        assert_eq!(rollback.over_at(STARTED, false), until.map(at), "{steps:?}");
        assert_eq!(rollback.outcome(), outcome, "{steps:?}");
        let in_force = rollback.in_force().map(|previous| previous.id.clone());
        assert_eq!(in_force, until.map(|_| web(1).id.clone()), "{steps:?}");
    }
}

#[test]
fn the_time_between_two_attempts_doubles_up_to_a_day() {
    let mut rollback = replaced(Some(1), None);
    let mut now = 0;
    let waits: Vec<u64> = (0..11)
        .map(|_| {
            rollback.go_back("it is late", at(now));
            let until = rollback.over_at(STARTED, false).unwrap();
            let wait = until.saturating_since(at(now)).as_secs();
            now += wait;
            rollback.end();
            wait / MINUTE
        })
        .collect();
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]);
}

#[test]
fn one_that_failed_before_the_restart_is_not_tried_first() {
    let mut rollback = replaced(Some(1), Some("it ended"));
    assert_eq!(rollback.over_at(STARTED, false), Some(at(300)));
    rollback.end();
    assert!(rollback.failed("again", at(300)), "it has one attempt");
    assert_eq!(rollback.over_at(STARTED, false), Some(at(900)));
}

#[test]
fn without_anything_that_proved_itself_nothing_comes_back() {
    let mut rollback = replaced(None, None);
    for second in 0..10 {
        assert!(!rollback.failed("it ended", at(second)));
    }
    assert!(!rollback.go_back("it is late", at(10)));
    rollback.begin(at(20), "no image", at(10));
    assert_eq!((rollback.is_in_force(), rollback.outcome()), (false, None));
}

#[test]
fn one_that_proved_itself_before_the_restart_is_in_no_doubt() {
    let mut rollback = Rollback::default();
    rollback.replaced(&web(2).id, None, at(0));
    for second in 0..10 {
        assert!(!rollback.failed("it ended", at(second)));
    }
    assert_eq!(rollback.outcome(), Some(Outcome::Proved));
}

#[test]
fn what_would_run_at_other_times_does_not_come_back() {
    for (has_cron, comes_back) in [(false, true), (true, false)] {
        for failure in [None, Some("it ended")] {
            let mut rollback = replaced(Some(1), failure);
            rollback.keep_kind(has_cron);
            assert_eq!(rollback.previous().is_some(), comes_back, "{has_cron} {failure:?}");
            assert_eq!(rollback.is_in_force(), comes_back && failure.is_some());
        }
    }
}

#[test]
fn what_runs_by_the_clock_comes_back_for_one_run_at_least() {
    let mut rollback = replaced(Some(1), None);
    rollback.go_back("it ended", at(0));
    for (state, over_at) in [
        (RunState::Idle, None),
        (STARTED, None),
        (RunState::Finished, Some(at(300))),
        (RunState::Waiting { until: at(400) }, Some(at(400))),
    ] {
        assert_eq!(rollback.over_at(state, true), over_at, "{state:?}");
    }
}
