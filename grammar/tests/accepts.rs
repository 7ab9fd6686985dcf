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
        ("x > 1em", "x > 1em"),
        ("temp<75°C", "temp < 75°C"),
        ("temp < 75 \u{ba}C", "temp < 75\u{ba}C"),
        ("temp < 75℃", "temp < 75℃"),
        ("t > 300\u{b5}s || t > 300\u{3bc}s", "t > 300\u{b5}s || t > 300\u{3bc}s"),
        ("pm25 > 35µg/m³", "pm25 > 35µg/m³"),
        ("wind < 90°", "wind < 90°"),
        ("cpu > 50percent", "cpu > 50percent"),
        ("x>3 for 30s", "x > 3 for 30s"),
        ("x>3for 1.5m", "x > 3 for 90s"),
        ("x > y for 0s", "x > y for 0s"),
        ("x>3 for 90 m", "x > 3 for 90m"),
        ("x>3 for 120m", "x > 3 for 2h"),
        ("x>3 for 1h30m", "x > 3 for 90m"),
        ("x>3 for 1d", "x > 3 for 24h"),
        ("avg(x,1m30s)>3", "avg(x, 90s) > 3"),
        ("x>3 for 1500ms", "x > 3 for 1500ms"),
        ("x>3 for .5ms", "x > 3 for 0.500ms"),
        ("avg ( cpu , 1m )>80%", "avg(cpu, 1m) > 80%"),
        ("rate(rx,10s)<last(tx,10s)", "rate(rx, 10s) < last(tx, 10s)"),
        ("min(a.b_c.0,1h)==max(_x,1h)", "min(a.b_c.0, 1h) == max(_x, 1h)"),
        ("avg > max", "avg > max"),
        ("mem_used/mem_total>80%", "mem_used / mem_total > 80%"),
        ("a-b*c+d/e-(f-g)>1", "a - b * c + d / e - (f - g) > 1"),
        ("(a+b)*(c-d)>1", "(a + b) * (c - d) > 1"),
        ("(a*b)/(c/d)>1", "(a * b) / (c / d) > 1"),
        ("(a*b)+c>1", "a * b + c > 1"),
        ("((a+b))+c>1", "(a + b) + c > 1"),
        ("(x) == ((3))", "x == 3"),
        ("(x+1 > 3)", "x + 1 > 3"),
        ("((x+1) > (3)) && y > 1", "x + 1 > 3 && y > 1"),
        ("x-1 > 3", "x - 1 > 3"),
        ("x - -1 > 3", "x - -1 > 3"),
        ("x--1 > 3", "x - -1 > 3"),
        ("100%-cpu < 20%", "100% - cpu < 20%"),
        ("(x + 1) == nil", "x + 1 == nil"),
        // A unit takes its slash: with blanks it is a division.
        ("net > 3kb/s", "net > 3kb/s"),
        ("net > 3kb / s", "net > 3kb / s"),
        ("8/x > 1", "8 / x > 1"),
        ("100%/x > 1", "100% / x > 1"),
        ("p95(cpu,5m)>80%", "p95(cpu, 5m) > 80%"),
        ("changes(door,1h)<count(door,1h)", "changes(door, 1h) < count(door, 1h)"),
        ("count > changes || p95 == nil", "count > changes || p95 == nil"),
        ("cpu<60%until cpu>85%for 10s", "cpu < 60% until cpu > 85% for 10s"),
        ("x<3 for 1s until y>3||z>3", "x < 3 for 1s until y > 3 || z > 3"),
        ("x < 3 until y > 3", "x < 3 until y > 3"),
        ("until > 3 until until < until", "until > 3 until until < until"),
        ("x > y until z > 1 for 2m", "x > y until z > 1 for 2m"),
        ("untilted > 3", "untilted > 3"),
        ("between 22:00 and 06:00", "between 22:00 and 06:00"),
        ("between 8:00 and 0:00", "between 08:00 and 24:00"),
        ("between 0:00 and 24:00", "between 00:00 and 24:00"),
        ("on sat,Sunday", "on sat, sun"),
        ("on mon-fri between 8:00 and 18:00", "on mon-fri between 08:00 and 18:00"),
        ("on fri - mon", "on mon, fri-sun"),
        ("on mon-sun", "on mon-sun"),
        ("on mon-sun between 8:00 and 9:00", "between 08:00 and 09:00"),
        ("on tue,thu-sat,mon", "on mon, tue, thu-sat"),
        (
            "!(on sat) && (between 1:00 and 2:00||x>1)",
            "!(on sat) && (between 01:00 and 02:00 || x > 1)",
        ),
        ("on sat until on mon for 1h", "on sat until on mon for 1h"),
        ("on > 1 && between > 1 && and > sat", "on > 1 && between > 1 && and > sat"),
        ("on == between && on mon", "on == between && on mon"),
        ("onset > 1 && on.sat > 1", "onset > 1 && on.sat > 1"),
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
