//! Texts that are conditions, and how they are written back.

#![allow(clippy::panic, reason = "a test fails by a panic")]

use std::time::Duration;

use grammar::{Condition, WindowFunction};

fn parse(text: &str) -> Condition {
    match Condition::parse(text) {
        Ok(condition) => condition,
        Err(error) => panic!("{text}\n{}", error.picture()),
    }
}

#[test]
fn a_condition_is_written_in_one_way() {
    for (text, written) in [
        ("x<3%||x==nil", "x < 3% || x == nil"),
        (" \t\r\n x < 3 \n", "x < 3"),
        ("((x<3))", "x < 3"),
        ("(a>1&&b>1)||c>1", "a > 1 && b > 1 || c > 1"),
        ("a>1&&(b>1||c>1)", "a > 1 && (b > 1 || c > 1)"),
        ("(a>1||b>1)||c>1", "(a > 1 || b > 1) || c > 1"),
        ("a>1&&(b>1&&c>1)", "a > 1 && (b > 1 && c > 1)"),
        ("! ( x>3 )", "!(x > 3)"),
        ("!!!(x>3)", "!(x > 3)"),
        ("! !(x>3)", "x > 3"),
        ("!(x>3)&&y>3", "!(x > 3) && y > 3"),
        ("x==1e3", "x == 1000"),
        ("x==1E-7", "x == 1e-7"),
        ("x==1e+300", "x == 1e300"),
        ("x==.5", "x == 0.5"),
        ("x==-.5", "x == -0.5"),
        ("x == - 5", "x == -5"),
        ("mem > 20 GiB", "mem > 20GiB"),
        ("5GiB<mem", "5GiB < mem"),
        ("net > 3kb/s", "net > 3kb/s"),
        ("x > 1em", "x > 1em"),
        ("x>3 for 30s", "x > 3 for 30s"),
        ("x>3for 1.5m", "x > 3 for 90s"),
        ("x > y for 0s", "x > y for 0s"),
        ("x>3 for 90 m", "x > 3 for 90m"),
        ("x>3 for 120m", "x > 3 for 2h"),
        ("x>3 for 1500ms", "x > 3 for 1500ms"),
        ("x>3 for .5ms", "x > 3 for 0.500ms"),
        ("avg ( cpu , 1m )>80%", "avg(cpu, 1m) > 80%"),
        ("rate(rx,10s)<last(tx,10s)", "rate(rx, 10s) < last(tx, 10s)"),
        ("min(a.b_c.0,1h)==max(_x,1h)", "min(a.b_c.0, 1h) == max(_x, 1h)"),
        ("avg > max", "avg > max"),
        ("nilable == nil", "nilable == nil"),
        ("forty > 3 for 3s", "forty > 3 for 3s"),
        ("nil == nil", "nil == nil"),
        ("1 == 1", "1 == 1"),
    ] {
        let condition = parse(text);
        assert_eq!(condition.to_string(), written, "{text:?}");
        assert_eq!(parse(written), condition, "{text:?}");
    }
}

#[test]
fn a_condition_names_its_metrics_once() {
    let condition = parse("b > 1 && a < b || avg(c, 1m) > a || min(c, 1m) > 2 || avg(c, 60s) > 3");
    let names: Vec<&str> = condition.metrics().iter().map(|m| m.name()).collect();
    assert_eq!(names, ["b", "a", "c"]);
    let windows: Vec<String> = condition.windows().iter().map(|w| w.to_string()).collect();
    assert_eq!(windows, ["avg(c, 1m)", "min(c, 1m)"]);
}

#[test]
fn a_condition_knows_its_windows_and_its_hold() {
    let condition = parse("rate(rx, 1.5s) > 3 for 2m");
    let window = &condition.windows()[0];
    assert_eq!(window.metric().name(), "rx");
    assert_eq!(window.function(), WindowFunction::Rate);
    assert_eq!(window.span(), Duration::from_millis(1_500));
    assert_eq!(condition.hold(), Some(Duration::from_secs(120)));
    assert_eq!(parse("x > 3").hold(), None);
}

#[test]
fn slots_are_assigned_by_name_and_by_window() {
    let mut condition = parse("b > 1 && avg(a, 1m) > 2");
    condition.assign_slots(
        |name| if name == "a" { 7 } else { 8 },
        |window| window.metric().slot() + 100,
    );
    let slots: Vec<u32> = condition.metrics().iter().map(|m| m.slot()).collect();
    assert_eq!(slots, [8, 7]);
    assert_eq!(condition.windows()[0].metric().slot(), 7);
    assert_eq!(condition.windows()[0].slot(), 107);
    assert_eq!(condition, parse("b > 1 && avg(a, 1m) > 2"));
}
