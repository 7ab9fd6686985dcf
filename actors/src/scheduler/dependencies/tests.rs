//! Orders of starts, circles and unknown names among them.

use super::*;

fn dependencies(text: &str) -> Dependencies {
    let parsed: Vec<(WorkloadName, Vec<WorkloadName>)> = text
        .split_whitespace()
        .map(|part| {
            let (name, after) = part.split_once(':').unwrap();
            let after = after.split(',').filter(|other| !other.is_empty());
            (name.into(), after.map(WorkloadName::from).collect())
        })
        .collect();
    Dependencies::new(parsed.iter().map(|(name, after)| (name, &after[..])))
}

fn names(names: &[WorkloadName]) -> Vec<&str> {
    names.iter().map(WorkloadName::as_str).collect()
}

#[test]
fn order_is_known_from_both_ends() {
    let found = dependencies("a: b:a c:a,b");
    assert_eq!(names(found.of(&"c".into())), ["a", "b"]);
    assert_eq!(names(found.waiting_for(&"a".into())), ["b", "c"]);
    assert!(found.of(&"a".into()).is_empty());
}

#[test]
fn circle_runs_unordered_and_those_outside_still_wait_for_it() {
    let found = dependencies("a:b b:a c:c d:a");
    let circular: Vec<_> = found.circular.iter().map(WorkloadName::as_str).collect();
    assert_eq!(circular, ["a", "b", "c"]);
    assert!(found.of(&"a".into()).is_empty());
    assert_eq!(names(found.of(&"d".into())), ["a"]);
}

#[test]
fn workload_that_is_not_configured_is_not_waited_for() {
    let found = dependencies("a:nobody");
    assert!(found.of(&"a".into()).is_empty());
    let unknown = |text| {
        let found = dependencies(text);
        let unknown: Vec<_> =
            found.unknown().map(|(name, what)| format!("{name}: {what}")).collect();
        unknown
    };
    assert_eq!(unknown("a:nobody"), ["a: nobody, which is not configured"]);
    let many = "a:nobody,noone,b b:";
    assert_eq!(unknown(many), ["a: nobody and 1 more that are not configured"]);
}
