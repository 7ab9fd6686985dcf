//! Who is served first, and with how many places.

use std::time::Duration;

use super::*;

const PULL: Work = (ExecutorKind::PodmanRootful, ActionKind::Pull);
const START: Work = (ExecutorKind::PodmanRootful, ActionKind::Start);
const SECOND: Duration = Duration::from_secs(1);

fn names(names: &[WorkloadName]) -> Vec<&str> {
    names.iter().map(WorkloadName::as_str).collect()
}

#[test]
fn pulls_and_starts_have_places_of_their_own() {
    let mut budget = StartBudget::new(1);
    let now = Monotonic::default();
    assert!(budget.has_place(&"a".into(), PULL));
    budget.spend(CommandId(1), PULL, now + SECOND);
    assert!(!budget.has_place(&"b".into(), PULL));
    budget.wait(&"b".into(), Some(PULL));
    assert!(budget.has_place(&"c".into(), START));
    assert!(budget.called(now).is_empty());
    budget.release(CommandId(1));
    assert_eq!(names(&budget.called(now)), ["b"]);
}

#[test]
fn a_runtime_that_hangs_takes_no_place_of_another() {
    let mut budget = StartBudget::new(1);
    let until = Monotonic::default() + SECOND;
    for (command, work) in [(1, PULL), (2, START)] {
        let elsewhere = (ExecutorKind::PodmanRootless, work.1);
        budget.spend(CommandId(command), elsewhere, until);
        assert!(!budget.has_place(&"a".into(), elsewhere));
        assert!(budget.has_place(&"b".into(), work));
    }
}

#[test]
fn nobody_overtakes_those_that_wait() {
    let mut budget = StartBudget::new(1);
    let now = Monotonic::default();
    budget.spend(CommandId(1), START, now + SECOND);
    for name in ["z", "y"] {
        assert!(!budget.has_place(&name.into(), START));
        budget.wait(&name.into(), Some(START));
    }
    budget.release(CommandId(1));
    assert!(!budget.has_place(&"a".into(), START));
    assert!(!budget.has_place(&"y".into(), START));
    assert_eq!(names(&budget.called(now)), ["z"]);
    budget.wait(&"z".into(), None);
    assert_eq!(names(&budget.called(now)), ["y"], "it was its place, and it wants it no more");
    assert!(budget.has_place(&"y".into(), START));
}
