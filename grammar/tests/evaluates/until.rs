//! `until`: two thresholds, and what is remembered between them.

use grammar::{Truth, Watch};
use proptest::prelude::*;

use crate::{Metrics, parse, secs};

/// Looks each second at `text`, with `x` as given there; `None` is no value.
fn verdicts(text: &str, values: &[Option<f64>]) -> String {
    let condition = parse(text);
    let mut watch = Watch::default();
    let mut words = String::new();
    for (second, value) in (0..).zip(values) {
        let mut metrics = Metrics { now: secs(second), ..Metrics::default() };
        if let Some(value) = value {
            metrics.post("x", *value, "");
        }
        let truth = watch.evaluate(&condition, &metrics, secs(second)).expect("the units fit");
        words.push(match truth {
            Truth::True => 'T',
            Truth::False => 'F',
            Truth::Unknown => '?',
        });
    }
    words
}

fn known(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

#[test]
fn between_its_thresholds_it_stays_what_it_was() {
    let rising = known(&[70.0, 59.0, 70.0, 85.0, 86.0, 70.0, 60.0, 59.0, 84.0]);
    assert_eq!(verdicts("x < 60 until x > 85", &rising), "FTTTFFFTT");
}

#[test]
fn each_side_has_a_hold_of_its_own() {
    let values = known(&[50.0, 50.0, 90.0, 90.0, 50.0, 90.0, 90.0, 90.0, 90.0, 50.0, 50.0]);
    assert_eq!(verdicts("x < 60 until x > 85 for 3s", &values), "TTTTTTTTFTT");
    assert_eq!(verdicts("x < 60 for 1s until x > 85", &values), "FTFFFFFFFFT");
    assert_eq!(verdicts("x < 60 for 1s until x > 85 for 2s", &values), "FTTTTTTFFFT");
}

#[test]
fn what_ends_it_comes_first() {
    assert_eq!(verdicts("x > 1 until x > 5", &known(&[9.0, 9.0, 3.0, 9.0, 3.0])), "FFTFT");
}

#[test]
fn what_cannot_be_known_is_unknown_and_forgets_nothing() {
    let values = [None, Some(50.0), Some(70.0), None, Some(70.0), Some(90.0), None, Some(70.0)];
    assert_eq!(verdicts("x < 60 until x > 85", &values), "?TT?TF?F");
    // A span of `for` begins anew, though.
    let values = [Some(50.0), Some(90.0), Some(90.0), None, Some(90.0), Some(90.0), Some(90.0)];
    assert_eq!(verdicts("x < 60 until x > 85 for 2s", &values), "TTT?TTF");
    assert_eq!(verdicts("x < 60 until gone > 85", &known(&[70.0, 50.0, 50.0])), "F??");
}

#[test]
fn units_that_do_not_fit_make_it_begin_anew() {
    let condition = parse("x < 60% until x > 85%");
    let mut watch = Watch::default();
    let mut look = |value, unit| {
        let mut metrics = Metrics::default();
        metrics.post("x", value, unit);
        watch.evaluate(&condition, &metrics, secs(1)).ok()
    };
    assert_eq!(look(50.0, "%"), Some(Truth::True));
    assert_eq!(look(70.0, "%"), Some(Truth::True));
    assert_eq!(look(70.0, "C"), None);
    assert_eq!(look(70.0, "%"), Some(Truth::False));
}

#[test]
fn the_end_of_either_span_is_the_next_change() {
    let condition = parse("x < 60 for 5s until x > 85 for 30s");
    let mut watch = Watch::default();
    let mut look = |second, value| {
        let mut metrics = Metrics { now: secs(second), ..Metrics::default() };
        metrics.post("x", value, "");
        let truth = watch.evaluate(&condition, &metrics, secs(second)).expect("fits");
        (truth, watch.next_change(&condition, &metrics, secs(second)).map(|at| at.as_secs()))
    };
    assert_eq!(look(0, 50.0), (Truth::False, Some(5)));
    assert_eq!(look(5, 50.0), (Truth::True, None));
    assert_eq!(look(10, 90.0), (Truth::True, Some(40)));
    assert_eq!(look(40, 90.0), (Truth::False, None));
}

#[test]
fn an_explanation_says_what_is_remembered() {
    let condition = parse("x < 60 until x > 85 for 10s");
    let mut watch = Watch::default();
    let mut explained = |second, value| {
        let mut metrics = Metrics { now: secs(second), ..Metrics::default() };
        metrics.post("x", value, "");
        watch.evaluate(&condition, &metrics, secs(second)).expect("fits");
        watch.explain(&condition, &metrics, secs(second))
    };
    assert_eq!(
        explained(0, 70.0),
        "x < 60 is false: x = 70, posted 0 ms ago; x > 85 is false: x = 70, posted 0 ms ago; has not \
         begun: it begins once what stands before `until` is true and what stands after it is not"
    );
    let begun = "; has begun: it ends once what stands after `until` is true for 10s";
    assert!(explained(1, 50.0).ends_with(begun));
    assert!(explained(2, 90.0).ends_with(&format!("{begun}, so far for 0 ms")));
    assert!(explained(6, 90.0).ends_with(&format!("{begun}, so far for 4 s")));
    assert!(explained(12, 90.0).contains("; has not begun: "));
}

proptest! {
    /// However the value jumps: true from the first threshold on, false from the second one on.
    #[test]
    fn it_is_a_hysteresis(values in prop::collection::vec(prop::option::of(0.0..100.0_f64), 1..60)) {
        let mut is_on = false;
        let mut expected = String::new();
        for value in &values {
            match value {
                Some(value) if *value < 60.0 => is_on = true,
                Some(value) if *value > 85.0 => is_on = false,
                Some(_) | None => {}
            }
            expected.push(match (value, is_on) {
                (None, _) => '?',
                (Some(_), true) => 'T',
                (Some(_), false) => 'F',
            });
        }
        prop_assert_eq!(verdicts("x < 60 until x > 85", &values), expected);
    }

    /// A metric that oscillates around one threshold changes nothing.
    #[test]
    fn an_oscillation_within_the_thresholds_changes_nothing(
        values in prop::collection::vec(60.0..85.0_f64, 1..60),
        first in prop::sample::select(vec![10.0, 95.0]),
    ) {
        let all: Vec<f64> = std::iter::once(first).chain(values).collect();
        let expected = if first < 60.0 { "T" } else { "F" }.repeat(all.len());
        prop_assert_eq!(verdicts("x < 60 until x > 85", &known(&all)), expected);
    }
}
