//! The meaning of operators, units and nil.

use grammar::{Condition, Truth};

use crate::{Metrics, parse};

/// Evaluates `text`; what does not parse or does not fit is an `error`.
fn outcome(text: &str, metrics: &str) -> String {
    let metrics = Metrics::read(metrics);
    match Condition::parse(text) {
        Ok(condition) => match condition.evaluate(&metrics) {
            Ok(truth) => truth.to_string(),
            Err(_) => "error".to_owned(),
        },
        Err(_) => "error".to_owned(),
    }
}

#[test]
fn every_shared_case_comes_out_as_written() {
    let mut count = 0;
    for line in include_str!("../data/conditions.tsv").lines() {
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let mut fields = line.split('\t');
        let (text, metrics, expected) = (
            fields.next().expect("an expression"),
            fields.next().expect("metrics"),
            fields.next().expect("a result"),
        );
        assert_eq!(outcome(text, metrics), expected, "{line}");
        count += 1;
    }
    assert_eq!(count, 53);
}

#[test]
fn each_operator_compares() {
    for (operator, less, equal, greater) in [
        ("==", "false", "true", "false"),
        ("!=", "true", "false", "true"),
        ("<", "true", "false", "false"),
        ("<=", "true", "true", "false"),
        (">", "false", "false", "true"),
        (">=", "false", "true", "true"),
    ] {
        let text = format!("x {operator} 2");
        assert_eq!(outcome(&text, "x=1"), less, "{text}");
        assert_eq!(outcome(&text, "x=2"), equal, "{text}");
        assert_eq!(outcome(&text, "x=3"), greater, "{text}");
        assert_eq!(outcome(&text, "-"), "unknown", "{text}");
    }
}

#[test]
fn a_chain_needs_each_of_its_terms() {
    for terms in 2..10 {
        let text: Vec<String> = (0..terms).map(|i| format!("m{i} == 1")).collect();
        let posted = |wrong: Option<usize>| -> String {
            (0..terms).map(|i| format!("m{i}={} ", if wrong == Some(i) { 2 } else { 1 })).collect()
        };
        assert_eq!(outcome(&text.join(" && "), &posted(None)), "true");
        for wrong in 0..terms {
            assert_eq!(outcome(&text.join(" && "), &posted(Some(wrong))), "false");
        }
    }
}

#[test]
fn unknown_is_absorbed_only_by_what_decides() {
    for (text, expected) in [
        ("gone > 1 && no > 1", "false"),
        ("no > 1 && gone > 1", "false"),
        ("gone > 1 && yes > 1", "unknown"),
        ("gone > 1 || yes > 1", "true"),
        ("yes > 1 || gone > 1", "true"),
        ("gone > 1 || no > 1", "unknown"),
        ("!(gone > 1)", "unknown"),
        ("!(gone > 1 && no > 1)", "true"),
        ("gone != 1", "unknown"),
        ("gone == gone", "unknown"),
        ("gone == nil", "true"),
        ("nil != gone", "false"),
        ("yes == nil", "false"),
        ("nil == nil", "true"),
        ("nil != nil", "false"),
        ("1 == nil", "false"),
        ("avg(gone, 1m) == nil", "true"),
        ("avg(yes, 1m) > 0", "unknown"),
    ] {
        assert_eq!(outcome(text, "yes=2 no=1"), expected, "{text}");
    }
}

#[test]
fn units_convert_within_their_dimension() {
    for (text, metrics, expected) in [
        ("t < 1s", "t=999ms", "true"),
        ("t == 1.5h", "t=90m", "true"),
        ("t > 1d", "t=25h", "true"),
        ("f >= 2.4GHz", "f=2400MHz", "true"),
        ("f < 3kHz", "f=2999Hz", "true"),
        ("a > b", "a=1GB b=1GiB", "false"),
        ("a == b", "a=1Gi b=1024Mib", "true"),
        ("cpu > 50%", "cpu=51%", "true"),
        ("cpu > 50", "cpu=51%", "true"),
        ("1GiB > 1GB", "-", "true"),
        ("x > 5kbs", "x=6kbs", "true"),
        ("x > 5kbs", "x=6", "true"),
        ("x > 5kbs", "x=6mbs", "error"),
        ("x > 5kbs", "x=6kB", "error"),
        ("x > 5%", "x=6C", "error"),
        ("a < b", "a=1ms b=1MB", "error"),
        ("5C < 3MiB", "-", "error"),
    ] {
        assert_eq!(outcome(text, metrics), expected, "{text} with {metrics}");
    }
}

#[test]
fn units_that_do_not_fit_are_an_error_wherever_they_stand() {
    for text in [
        "x < 1GiB || y == 1",
        "y == 1 || x < 1GiB",
        "y == 2 && x < 1GiB",
        "x < 1GiB && y == 2",
        "!(x < 1GiB)",
    ] {
        assert_eq!(outcome(text, "x=70C y=1"), "error", "{text}");
    }
}

#[test]
fn nil_has_no_unit_to_misfit() {
    assert_eq!(outcome("x < 1GiB", "-"), "unknown");
    assert_eq!(outcome("x == nil", "x=70C"), "false");
}

#[test]
fn a_misfit_is_told_in_plain_words() {
    for (text, metrics, message) in [
        (
            "y == 1 || mem<1GiB",
            "mem=70C y=1",
            "`mem < 1GiB` compares C (temperature) with GiB (bytes): the units do not fit",
        ),
        ("5kbs > x", "x=3s", "`5kbs > x` compares kbs with s (time): the units do not fit"),
    ] {
        let (condition, metrics) = (parse(text), Metrics::read(metrics));
        let error = condition.evaluate(&metrics).expect_err(text);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn what_is_not_a_number_counts_as_nil() {
    let mut metrics = Metrics::default();
    metrics.post("x", f64::NAN, "");
    for (text, expected) in
        [("x > 1", Truth::Unknown), ("x != 1", Truth::Unknown), ("x == nil", Truth::True)]
    {
        assert_eq!(parse(text).evaluate(&metrics).expect("fits"), expected);
    }
}
