//! How far conditions are from being true: worked numbers, and the agreement with the verdict.

use grammar::{Condition, LocalTime, Truth, Weekday};
use proptest::prelude::*;

use crate::random::{Values, metrics, node, values};
use crate::{Metrics, parse, secs};

/// What is false by a hair.
const LEAST: f64 = f64::MIN_POSITIVE;

fn shortfall(text: &str, values: &str) -> Option<f64> {
    parse(text).shortfall(&Metrics::read(values))
}

/// Each row: the condition, the values, how far it is from being true with them.
fn assert_each(rows: &[(&str, &str, Option<f64>)]) {
    for (text, values, expected) in rows {
        assert_eq!(shortfall(text, values), *expected, "{text} with {values}");
    }
}

#[test]
fn a_false_comparison_is_as_far_off_as_its_sides_are_apart_by_the_right_one() {
    assert_each(&[
        ("a < 60", "a=59", Some(0.0)),
        ("a < 60", "a=90", Some(0.5)),
        ("a < 60", "a=75", Some(0.25)),
        ("a <= 60", "a=60", Some(0.0)),
        ("a <= 60", "a=90", Some(0.5)),
        ("a > 8", "a=2", Some(0.75)),
        ("a >= 8", "a=-8", Some(2.0)),
        ("a > -8", "a=-10", Some(0.25)),
        ("a == 4", "a=7", Some(0.75)),
        ("60 < a", "a=40", Some(0.5)),
        ("a < b", "a=6 b=4", Some(0.5)),
    ]);
}

#[test]
fn what_is_false_by_nothing_is_off_by_the_least_number() {
    assert_each(&[
        ("a < 5", "a=5", Some(LEAST)),
        ("a > 5", "a=5", Some(LEAST)),
        ("a != 5", "a=5", Some(LEAST)),
        ("a < 0", "a=0", Some(LEAST)),
        ("!(a == 5)", "a=5", Some(LEAST)),
    ]);
}

#[test]
fn gaps_to_zero_are_told_from_one_another() {
    assert_each(&[
        ("a == 0", "a=4", Some(4.0 / 1e-9)),
        ("a == 0", "a=2", Some(2.0 / 1e-9)),
        ("a >= 0", "a=-2", Some(2.0 / 1e-9)),
        ("a == 0", "a=0", Some(0.0)),
    ]);
}

#[test]
fn units_are_those_of_the_verdict() {
    assert_each(&[
        ("a < 1GiB", "a=512MiB", Some(0.0)),
        ("a < 1GiB", "a=1536MiB", Some(0.5)),
        ("a < 1GiB", "a=1024MiB", Some(LEAST)),
        ("a < 2GiB", "a=3", Some(0.5)),
        ("a < 2", "a=3GiB", Some(0.5)),
        ("a < 1m", "a=90s", Some(0.5)),
        ("a < 0s", "a=500ms", Some(0.5 / 1e-9)),
        ("a / b < 50%", "a=3GiB b=4GiB", Some(0.5)),
        ("a < 8kbs", "a=10kbs", Some(0.25)),
        ("a < 1GiB", "a=20C", None),
        ("a < 1GiB", "a=20kbs", None),
        ("a + b < 1GiB", "a=1s b=1GiB", None),
        // Wherever they do not fit.
        ("b > 1 || a < 1GiB", "a=20C b=2", None),
        ("b > 1 && a < 1GiB", "a=20C b=0", None),
        ("b > 1 until a < 1GiB", "a=20C b=0", None),
    ]);
}

#[test]
fn calculations_count_as_their_value() {
    assert_each(&[
        ("a + b < 8", "a=6 b=4", Some(0.25)),
        ("a < b * 2", "a=6 b=2", Some(0.5)),
        ("a / b < 8", "a=6 b=0", None),
        ("a / b == nil", "a=6 b=2", Some(1.0)),
    ]);
}

#[test]
fn what_has_no_measure_is_off_by_one() {
    assert_each(&[
        ("a == nil", "a=5", Some(1.0)),
        ("a == nil", "-", Some(0.0)),
        ("a != nil", "-", Some(1.0)),
        ("!(a == nil)", "-", Some(1.0)),
        ("!(a == nil)", "a=5", Some(0.0)),
        ("nil != nil", "-", Some(1.0)),
        ("on sat", "-", None),
    ]);
    let weekday = Weekday::Friday;
    let noon = LocalTime { weekday, since_midnight: secs(12 * 3_600), even_for: secs(60) };
    let metrics = Metrics { local_time: Some(noon), ..Metrics::default() };
    for (text, expected) in [
        ("on fri", 0.0),
        ("on sat", 1.0),
        ("!(on fri)", 1.0),
        ("between 22:00 and 6:00", 1.0),
        ("!(between 22:00 and 6:00)", 0.0),
    ] {
        assert_eq!(parse(text).shortfall(&metrics), Some(expected), "{text}");
    }
}

#[test]
fn all_of_a_conjunction_and_the_nearest_of_a_disjunction_are_needed() {
    assert_each(&[
        ("a < 4 && b < 4", "a=5 b=6", Some(0.5)),
        ("a < 4 && b < 4", "a=5 b=1", Some(0.25)),
        ("a < 4 && b < 4", "a=1 b=1", Some(0.0)),
        ("a < 4 || b < 4", "a=5 b=6", Some(0.25)),
        ("a < 4 || b < 4", "a=1 b=6", Some(0.0)),
        ("a < 4 && (b < 4 || c < 4)", "a=5 b=6 c=7", Some(0.5)),
        ("a < 4 || b < 4 && c < 4", "a=9 b=5 c=7", Some(0.75)),
        // What is not known does not decide beside what is.
        ("a < 4 && b < 4", "a=5", Some(0.25)),
        ("b < 4 && a < 4", "a=5", Some(0.25)),
        ("a < 4 && b < 4", "a=1", None),
        ("a < 4 || b < 4", "a=5", None),
        ("b < 4 || a < 4", "a=5", None),
        ("b < 4 || a < 4", "a=1", Some(0.0)),
        ("a < 4 || b < 4", "-", None),
        ("a < 4 && b < 4", "-", None),
        ("a < 3% || a == nil", "a=4.5%", Some(0.5)),
        ("a < 3% || a == nil", "a=30%", Some(9.0)),
        ("a == nil || a < 4", "a=5", Some(0.25)),
        ("a == nil && a < 4", "a=40", Some(9.0)),
        ("a == nil && a < 4", "a=5", Some(1.0)),
        ("a < 3% || a == nil", "-", Some(0.0)),
    ]);
}

#[test]
fn a_negation_is_as_far_off_as_what_it_negates_is_from_being_false() {
    assert_each(&[
        ("!(a < 4)", "a=3", Some(0.25)),
        ("!(a < 4)", "a=4", Some(0.0)),
        ("!(a >= 4)", "a=5", Some(0.25)),
        ("!(a >= 4)", "a=4", Some(LEAST)),
        ("!(a != 4)", "a=5", Some(0.25)),
        ("!(!(a < 4))", "a=5", Some(0.25)),
        ("!(a < 4)", "-", None),
        ("!(a > 4 && b > 4)", "a=5 b=6", Some(0.25)),
        ("!(a > 4 || b > 4)", "a=5 b=6", Some(0.5)),
        ("!(a > 4 || b > 4)", "a=5", Some(0.25)),
        ("!(a > 4 && b > 4)", "a=5", None),
    ]);
}

#[test]
fn the_deepest_conditions_are_measured() {
    let nots = format!("{}a < 4{}", "!(".repeat(64), ")".repeat(64));
    assert_eq!(shortfall(&nots, "a=5"), Some(0.25));
    let nots = format!("{}(a < 4)", "!".repeat(60_001));
    assert_eq!(shortfall(&nots, "a=3"), Some(0.25));
    let terms = format!("{}a < 4{}", "!(b < 4 && ".repeat(64), ")".repeat(64));
    assert_eq!(shortfall(&terms, "a=5 b=1"), Some(0.25));
}

#[test]
fn a_hold_does_not_count_and_an_end_has_to_be_false() {
    assert_each(&[
        ("a < 60 for 10s", "a=90", Some(0.5)),
        ("a < 60 for 10s", "a=50", Some(0.0)),
        ("a < 60 until a > 80", "a=75", Some(0.25)),
        ("a < 60 until a > 80", "a=90", Some(0.5)),
        ("a < 60 until a > 80 for 10s", "a=50", Some(0.0)),
        ("a < 60 until b > 80", "a=50 b=100", Some(0.25)),
        ("a < 60 until b > 80", "a=90", Some(0.5)),
        ("a < 60 until b > 80", "a=50", None),
    ]);
}

#[test]
fn windows_count_as_their_value() {
    let of = |text: &str| {
        let condition = parse(text);
        let mut metrics = Metrics::default().with_windows_of(&condition);
        for (second, value) in [(0, 90.0), (10, 60.0), (20, 75.0)] {
            metrics.advance_to(secs(second));
            metrics.post("temp", value, "C");
        }
        condition.shortfall(&metrics)
    };
    assert_eq!(of("max(temp, 1m) < 60C"), Some(0.5));
    assert_eq!(of("avg(temp, 1m) < 60C"), Some(0.25));
    assert_eq!(of("min(temp, 1m) < 60C"), Some(LEAST));
    assert_eq!(of("count(temp, 1m) > 4"), Some(0.25));
    assert_eq!(of("max(temp, 1m) < 60MiB"), None);
    assert_eq!(of("max(gone, 1m) < 60C"), None);
    assert_eq!(of("max(gone, 1m) != nil"), Some(1.0));
}

#[test]
fn no_number_is_too_great() {
    let of = |text: &str, a: f64, b: f64| {
        let mut metrics = Metrics::default();
        metrics.post("a", a, "");
        metrics.post("b", b, "");
        parse(text).shortfall(&metrics)
    };
    let infinity = f64::INFINITY;
    assert_eq!(of("a < b", infinity, 5.0), Some(f64::MAX));
    assert_eq!(of("a > b", 5.0, infinity), Some(f64::MAX));
    assert_eq!(of("a > b", -infinity, infinity), Some(f64::MAX));
    assert_eq!(of("a < b", infinity, infinity), Some(LEAST));
    assert_eq!(of("a == b", f64::MAX, -f64::MAX), Some(f64::MAX));
    assert_eq!(of("a == b", f64::MAX, 0.0), Some(f64::MAX));
    assert_eq!(of("a == b", 1e-320, 0.0), Some(LEAST));
    assert_eq!(of("a == b", f64::NAN, 0.0), None);
}

/// What `condition` looks at, windows too, after `values` were posted.
fn posted(condition: &Condition, values: &Values) -> Metrics {
    let mut metrics = metrics(&Values::new()).with_windows_of(condition);
    for (name, (value, unit)) in values {
        metrics.post(name, *value, unit);
    }
    metrics
}

/// The random condition, of which one metric is looked at through a window.
fn with_a_window(text: &str) -> String {
    text.replace("c.d", "max(c.d, 1m)")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn it_agrees_with_the_verdict(
        a in node(),
        b in node(),
        values in values(),
        form in 0..3_usize,
    ) {
        let (a, b) = (with_a_window(&a.text()), with_a_window(&b.text()));
        let text = [a.clone(), format!("{a} for 10s"), format!("{a} until {b}")][form].clone();
        let condition = parse(&text);
        let metrics = posted(&condition, &values);
        let shortfall = condition.shortfall(&metrics);
        let verdict = condition.evaluate(&metrics);
        let agrees = match (&verdict, shortfall) {
            (Ok(Truth::True), Some(distance)) => distance == 0.0,
            (Ok(Truth::False), Some(distance)) => distance > 0.0 && distance.is_finite(),
            (Ok(Truth::Unknown) | Err(_), None) => true,
            (Ok(_) | Err(_), _) => false,
        };
        prop_assert!(agrees, "{text} is {verdict:?}, off by {shortfall:?}");
    }

    /// The whole is as far off as its parts say.
    #[test]
    fn parts_make_the_whole(a in node(), b in node(), values in values()) {
        let metrics = metrics(&values);
        let of = |text: String| parse(&text).shortfall(&metrics);
        let (a, b) = (a.text(), b.text());
        let both = of(format!("({a}) && ({b})"));
        let either = of(format!("({a}) || ({b})"));
        if let (Some(a), Some(b)) = (of(a.clone()), of(b.clone())) {
            prop_assert_eq!(both, Some(a.max(b)));
            // What has no measure counts only where nothing else has one.
            let without_measure = a.min(b) == 1.0 && either == Some(a.max(b));
            prop_assert!(either == Some(a.min(b)) || without_measure, "{either:?}: {a}, {b}");
        }
        prop_assert_eq!(of(format!("({b}) && ({a})")), both);
        prop_assert_eq!(of(format!("({b}) || ({a})")), either);
        prop_assert_eq!(of(format!("!(!({a}) || !({b}))")), both);
        prop_assert_eq!(of(format!("!(!({a}) && !({b}))")), either);
        prop_assert_eq!(of(format!("({a}) until !({b})")), both);
    }

    /// What moves towards a threshold never seems to be farther off than before.
    #[test]
    fn what_comes_nearer_is_no_farther_off(
        threshold in -1e3..1e3_f64,
        near in 0.0..1e3_f64,
        on in 0.0..1e3_f64,
        unit in prop::sample::select(vec!["", "MiB", "kB", "s", "m", "%"]),
    ) {
        let (below, above) = (format!("a < {threshold}"), format!("a > {threshold}"));
        let of = |text: &str, value: f64| {
            let mut metrics = Metrics::default();
            metrics.post("a", value, unit);
            parse(&format!("{text}{unit}")).shortfall(&metrics).expect("known")
        };
        prop_assert!(of(&below, threshold + near) <= of(&below, threshold + near + on));
        prop_assert!(of(&above, threshold - near) <= of(&above, threshold - near - on));
    }
}
