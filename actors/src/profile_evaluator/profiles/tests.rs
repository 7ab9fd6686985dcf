//! Stories of conditions under posts and time.

use std::time::Duration;

use super::super::metrics::MAX_NAMES;
use super::*;
use crate::workload::{ProfileCondition, Sample};

/// Profiles and metrics, and the second that it is.
#[derive(Default)]
struct Device {
    profiles: Profiles,
    metrics: MetricTable,
    second: u64,
}

const fn second(second: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_secs(second))
}

fn profile(name: &str, conditions: &[(&str, &str)]) -> Profile {
    Profile {
        name: name.into(),
        conditions: conditions
            .iter()
            .map(|(name, expression)| ProfileCondition {
                name: (*name).into(),
                expression: (*expression).to_owned(),
            })
            .collect(),
    }
}

fn sample(name: &str, value: f64) -> Sample {
    Sample { name: name.into(), value, unit: None, ttl: None }
}

/// What changed, as `profile/condition verdict`.
fn verdicts(changes: &[Change]) -> Vec<String> {
    changes
        .iter()
        .map(|change| format!("{}/{} {:?}", change.profile, change.condition, change.verdict))
        .collect()
}

impl Device {
    fn with(conditions: &[(&str, &str)]) -> Self {
        let mut device = Self::default();
        device.configure(&[profile("p", conditions)]);
        device
    }

    fn configure(&mut self, profiles: &[Profile]) -> Vec<String> {
        let (next, changes) =
            self.profiles.reconfigured(profiles, &mut self.metrics, second(self.second));
        self.profiles = next;
        verdicts(&changes)
    }

    fn post(&mut self, samples: Vec<Sample>) -> Vec<String> {
        let now = second(self.second);
        let slots = self.metrics.post(samples, None, now).expect("taken");
        verdicts(&self.profiles.metrics_posted(&slots, &mut self.metrics, now))
    }

    fn wait_until(&mut self, until: u64) -> Vec<String> {
        self.second = until;
        verdicts(&self.profiles.time_passed(&mut self.metrics, second(until)))
    }

    fn next_due(&self) -> Option<u64> {
        self.profiles.next_due().map(|at| at.since_start().as_secs())
    }

    fn verdict(&self, condition: &str) -> &Verdict {
        &self.profiles.verdicts()[&ProfileName::from("p")][&ConditionName::from(condition)]
    }
}

#[test]
fn the_profile_of_the_manual_goes_on_and_off() {
    let mut device = Device::default();
    let profiles = [profile("test", &[("off", "x<3% || x == nil"), ("another_one", "y>3")])];
    assert_eq!(device.configure(&profiles), ["test/another_one Unknown", "test/off True"]);
    assert_eq!(device.post(vec![sample("x", 5.0)]), ["test/off False"]);
    assert_eq!(device.post(vec![sample("x", 6.0)]), Vec::<String>::new());
    assert_eq!(device.post(vec![sample("x", 2.0)]), ["test/off True"]);
    assert_eq!(device.post(vec![sample("y", 4.0)]), ["test/another_one True"]);
}

#[test]
fn a_body_is_evaluated_once_with_its_last_values() {
    let mut device = Device::with(&[("c", "a > 1 && b > 1")]);
    let body = vec![sample("a", 2.0), sample("b", 2.0), sample("a", 0.0)];
    assert_eq!(device.post(body), ["p/c False"]);
}

#[test]
fn only_conditions_that_name_the_metric_are_evaluated() {
    let mut device = Device::with(&[("a", "a > 1 for 10s"), ("b", "b > 1 for 10s")]);
    device.post(vec![sample("a", 2.0)]);
    device.second = 5;
    device.post(vec![sample("b", 2.0)]);
    assert_eq!(device.next_due(), Some(10));
    assert_eq!(device.wait_until(10), ["p/a True"]);
    assert_eq!(device.next_due(), Some(15));
    assert_eq!(device.wait_until(15), ["p/b True"]);
    assert_eq!(device.next_due(), None);
    let unrelated = device.profiles.by_slot.get(&99);
    assert_eq!(unrelated, None);
}

#[test]
fn a_metric_becomes_nil_when_its_time_to_live_has_passed() {
    let mut device = Device::with(&[("c", "x < 3 || x == nil"), ("d", "x > 3")]);
    let mut posted = sample("x", 5.0);
    posted.ttl = Some(Duration::from_secs(60));
    assert_eq!(device.post(vec![posted]), ["p/c False", "p/d True"]);
    assert_eq!(device.next_due(), Some(60));
    assert_eq!(device.wait_until(59), Vec::<String>::new());
    assert_eq!(device.wait_until(60), ["p/c True", "p/d Unknown"]);
    assert_eq!(device.next_due(), None);
    assert!(device.metrics.report(second(60))[0].stale);
}

#[test]
fn a_fresh_post_outlives_the_moment_planned_for_the_last_one() {
    let mut device = Device::with(&[("d", "x > 3")]);
    let fresh = || Sample { ttl: Some(Duration::from_secs(60)), ..sample("x", 5.0) };
    device.post(vec![fresh()]);
    device.second = 30;
    device.post(vec![fresh()]);
    assert_eq!(device.wait_until(60), Vec::<String>::new());
    assert_eq!(device.next_due(), Some(90));
    assert_eq!(device.wait_until(90), ["p/d Unknown"]);
}

#[test]
fn a_window_is_evaluated_when_a_sample_leaves() {
    let mut device = Device::with(&[("c", "avg(x, 10s) > 50")]);
    device.post(vec![sample("x", 10.0)]);
    device.second = 4;
    assert_eq!(device.post(vec![sample("x", 80.0)]), Vec::<String>::new());
    assert_eq!(device.wait_until(10), ["p/c True"]);
    assert_eq!(device.wait_until(14), ["p/c Unknown"]);
    assert_eq!(device.next_due(), None);
}

#[test]
fn windows_of_one_metric_keep_their_own_spans() {
    let mut device = Device::with(&[
        ("long", "max(x, 100s) > 50"),
        ("short", "max(x, 10s) > 50"),
        ("same", "min(x, 10s) > 50"),
    ]);
    device.post(vec![sample("x", 80.0)]);
    device.second = 20;
    assert_eq!(device.post(vec![sample("x", 10.0)]), ["p/same False", "p/short False"]);
    assert!(device.verdict("long").is_true());
}

#[test]
fn an_equal_configuration_changes_nothing_and_keeps_state() {
    let conditions = [("held", "x > 3 for 30s"), ("mean", "avg(x, 1m) > 3")];
    let mut device = Device::with(&conditions);
    device.post(vec![sample("x", 5.0)]);
    device.second = 20;
    assert_eq!(device.configure(&[profile("p", &conditions)]), Vec::<String>::new());
    assert_eq!(device.next_due(), Some(30));
    assert_eq!(device.wait_until(30), ["p/held True"]);
    assert!(device.verdict("mean").is_true());
}

#[test]
fn a_changed_neighbour_does_not_cost_a_condition_its_state() {
    let mut device = Device::with(&[("held", "x > 3 for 30s"), ("z", "x > 9")]);
    device.post(vec![sample("x", 5.0)]);
    device.second = 20;
    let changed = [profile("p", &[("a", "avg(x, 5s) > 1"), ("held", "x > 3 for 30s")])];
    assert_eq!(device.configure(&changed), ["p/a Unknown"]);
    assert_eq!(device.wait_until(30), ["p/held True"]);
}

#[test]
fn a_changed_expression_begins_anew() {
    let mut device = Device::with(&[("held", "x > 3 for 30s")]);
    device.post(vec![sample("x", 5.0)]);
    device.second = 20;
    device.configure(&[profile("p", &[("held", "x > 2 for 30s")])]);
    assert_eq!(device.next_due(), Some(50));
    assert_eq!(device.wait_until(30), Vec::<String>::new());
    assert_eq!(device.wait_until(50), ["p/held True"]);
}

#[test]
fn a_new_window_begins_with_the_last_sample() {
    let mut device = Device::default();
    device.post(vec![sample("x", 5.0)]);
    device.second = 5;
    let changes = device.configure(&[profile("p", &[("c", "last(x, 10s) > 3")])]);
    assert_eq!(changes, ["p/c True"]);
    assert_eq!(device.wait_until(10), ["p/c Unknown"]);
}

#[test]
fn an_expression_that_does_not_parse_fails_once() {
    let mut device = Device::default();
    let profiles = [profile("p", &[("bad", "x = 3"), ("good", "x > 3")])];
    let changes = device.configure(&profiles);
    assert_eq!(changes.len(), 2);
    assert!(changes[0].starts_with("p/bad Failed(\"column 3: found `=`"), "{changes:?}");
    assert_eq!(device.configure(&profiles), Vec::<String>::new());
    assert_eq!(device.post(vec![sample("x", 5.0)]), ["p/good True"]);
}

#[test]
fn units_that_do_not_fit_fail_once_and_recover() {
    let mut device = Device::with(&[("c", "mem < 1GiB")]);
    let posted = |value: f64, unit: &str| {
        vec![Sample { unit: Some(unit.to_owned()), ..sample("mem", value) }]
    };
    assert_eq!(
        device.post(posted(70.0, "C")),
        [
            "p/c Failed(\"`mem < 1GiB` compares C (temperature) with GiB (bytes): the units do not fit\")"
        ]
    );
    assert_eq!(device.post(posted(71.0, "C")), Vec::<String>::new());
    assert_eq!(device.post(posted(71.0, "MiB")), ["p/c True"]);
}

#[test]
fn a_profile_whose_verdicts_did_not_change_keeps_its_arc() {
    let mut device = Device::default();
    let profiles = [profile("a", &[("c", "x > 3")]), profile("b", &[("c", "y > 3")])];
    device.configure(&profiles);
    let before = device.profiles.verdicts().clone();
    device.post(vec![sample("x", 5.0)]);
    let after = device.profiles.verdicts().clone();
    assert!(!Arc::ptr_eq(&before[&ProfileName::from("a")], &after[&ProfileName::from("a")]));
    assert!(Arc::ptr_eq(&before[&ProfileName::from("b")], &after[&ProfileName::from("b")]));
    device.configure(&[profiles[0].clone(), profile("b", &[("c", "y > 4")])]);
    let configured = device.profiles.verdicts();
    assert!(Arc::ptr_eq(&after[&ProfileName::from("a")], &configured[&ProfileName::from("a")]));
}

#[test]
fn a_profile_without_conditions_has_verdicts_none() {
    let mut device = Device::default();
    device.configure(&[profile("empty", &[])]);
    assert!(device.profiles.verdicts()[&ProfileName::from("empty")].is_empty());
}

#[test]
fn a_removed_profile_has_no_verdicts() {
    let mut device = Device::with(&[("c", "x > 3")]);
    device.configure(&[]);
    assert!(device.profiles.verdicts().is_empty());
    assert_eq!(device.post(vec![sample("x", 5.0)]), Vec::<String>::new());
}

#[test]
fn of_two_conditions_with_one_name_the_last_counts() {
    let mut device = Device::with(&[("c", "x > 3"), ("c", "x < 3")]);
    assert_eq!(device.post(vec![sample("x", 5.0)]), ["p/c False"]);
}

#[test]
fn names_match_whole() {
    let mut device = Device::with(&[("cpu", "cpu > 3"), ("cpu2", "cpu2 > 3")]);
    assert_eq!(device.post(vec![sample("cpu2", 5.0)]), ["p/cpu2 True"]);
    assert_eq!(device.post(vec![sample("cp", 5.0)]), Vec::<String>::new());
}

#[test]
fn names_over_the_bound_are_refused_with_their_whole_body() {
    let mut device = Device::with(&[("c", "vital > 3")]);
    let flood = (0..MAX_NAMES).map(|index| sample(&format!("m{index}"), 1.0));
    device.post(flood.collect());
    let now = second(0);
    let body = vec![sample("m0", 2.0), sample("new", 1.0)];
    let refused = device.metrics.post(body, None, now).expect_err("one too many");
    assert_eq!(
        refused.to_string(),
        "metric new is one more than the 10000 names that the agent keeps"
    );
    let report = device.metrics.report(now);
    assert_eq!(report.len(), MAX_NAMES);
    assert!(report.iter().all(|metric| metric.value == 1.0));
    assert_eq!(device.post(vec![sample("m0", 2.0)]), Vec::<String>::new());
    assert_eq!(device.post(vec![sample("vital", 5.0)]), ["p/c True"]);
}

#[test]
fn stale_names_make_room_for_new_ones_but_not_those_of_conditions() {
    let mut device = Device::with(&[("c", "vital > 3")]);
    let passing = |name: &str| Sample { ttl: Some(Duration::from_secs(1)), ..sample(name, 5.0) };
    assert_eq!(device.post(vec![passing("vital")]), ["p/c True"]);
    device.post((1..MAX_NAMES - 1).map(|index| passing(&format!("m{index}"))).collect());
    device.post(vec![sample("lasting", 1.0)]);
    let fresh = || vec![sample("m1", 2.0), sample("new", 1.0)];
    assert!(device.metrics.post(fresh(), None, second(0)).is_err());
    let later = second(2);
    assert!(device.metrics.post(fresh(), None, later).is_ok());
    let report = device.metrics.report(later);
    let names: Vec<_> = report.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names, ["lasting", "m1", "new", "vital"]);
    let refill = (4..MAX_NAMES).map(|index| sample(&format!("n{index}"), 1.0));
    assert!(device.metrics.post(refill.collect(), None, later).is_ok());
    let over = device.metrics.post(vec![sample("over", 1.0)], None, later);
    assert!(over.is_err());
    assert_eq!(device.metrics.report(later).len(), MAX_NAMES);
}

#[test]
fn a_name_twice_in_a_body_is_one_name() {
    let mut device = Device::default();
    let flood = (0..MAX_NAMES - 1).map(|index| sample(&format!("m{index}"), 1.0));
    device.post(flood.collect());
    device.post(vec![sample("last", 1.0), sample("last", 2.0)]);
    assert_eq!(device.metrics.report(second(0)).len(), MAX_NAMES);
}

#[test]
fn a_report_explains_each_condition() {
    let mut device = Device::with(&[("c", "cpu > 23%"), ("d", "cpu >")]);
    device.post(vec![sample("cpu", 20.0)]);
    let report = device.profiles.report(&mut device.metrics, second(4));
    assert_eq!(report[0].expression, "cpu > 23%");
    assert_eq!(report[0].verdict, Verdict::False);
    assert_eq!(
        report[0].explanation,
        "cpu > 23% is false: cpu = 20 without a unit, compared with 23, posted 4 s ago"
    );
    assert!(report[1].explanation.starts_with("column 6: found the end"));
}

#[test]
fn metrics_that_were_only_named_are_forgotten_with_their_conditions() {
    let mut device = Device::default();
    device.post(vec![sample("posted", 5.0)]);
    for round in 0..100 {
        let expression = format!("m{round} > 3 || posted > 3");
        device.configure(&[profile("p", &[("c", &expression)])]);
    }
    assert!(device.verdict("c").is_true());
    assert_eq!(device.metrics.slot(&"another".into()), 2);
    assert_eq!(device.post(vec![sample("posted", 1.0)]), ["p/c Unknown"]);
}
