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
        ("temp < 75°C", "temp=21.5C", "true"),
        ("temp < 75C", "temp=75.5\u{ba}C", "false"),
        ("temp == 75℃", "temp=75°C", "true"),
        ("t < 5ms", "t=300\u{b5}s", "true"),
        ("t < 300\u{3bc}s", "t=300\u{b5}s", "false"),
        ("disk < 5GB", "disk=300KB", "true"),
        ("cpu > 50percent", "cpu=51%", "true"),
        ("temp < 75°F", "temp=21°C", "error"),
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
fn a_calculation_has_the_unit_of_its_values() {
    for (text, metrics, expected) in [
        // Division of two of a kind is a ratio, and 80 % of one is 0.8.
        ("used / total > 80%", "used=3.3GiB total=4096MiB", "true"),
        ("used / total == 75%", "used=3GiB total=4096MiB", "true"),
        ("used / total == 0.75", "used=3GiB total=4096MiB", "true"),
        ("used / total == 29%", "used=29kB total=100kB", "true"),
        ("used / total > 80%", "used=900 total=1000", "true"),
        ("used / total > 0.8", "used=900 total=1000", "true"),
        ("used / total > 80%", "used=900 total=1000B", "true"),
        ("a / b == 50%", "a=1kbs b=2kbs", "true"),
        ("a / b == 80%", "a=40% b=50%", "true"),
        ("1 - used / total > 20%", "used=3 total=4", "true"),
        ("a / b > c / d", "a=1B b=2B c=1s d=3s", "true"),
        ("a / b > 5MiB", "a=1B b=2B", "error"),
        // A share of something has its unit.
        ("used > total * 80%", "used=900MiB total=1GiB", "true"),
        ("used > 80% * total", "used=700MiB total=1GiB", "false"),
        ("used > 80% * total", "used=900 total=1000", "true"),
        ("used > used / total * total * 99%", "used=3B total=4B", "true"),
        ("used / 50% == 6MiB", "used=3MiB", "true"),
        ("used / 50% == 6", "used=3", "true"),
        ("a * b == 25%", "a=50% b=50%", "true"),
        ("load * cores == 240%", "load=60% cores=4", "true"),
        ("load / cores == 60%", "load=240% cores=4", "true"),
        ("1 / a == 2", "a=50%", "true"),
        // The author's bare numbers scale.
        ("cpu * 2 == 80%", "cpu=40%", "true"),
        ("cpu / 2 == 20%", "cpu=40%", "true"),
        ("cpu / 2 > 40%", "cpu=81", "true"),
        ("cpu / 2 > 40%", "cpu=79", "false"),
        ("2 * x == 3GiB", "x=1.5GiB", "true"),
        ("(1 + 2) * x == 3GiB", "x=1GiB", "true"),
        ("1 / 4 == x", "x=0.25", "true"),
        ("1 / x == 4", "x=0.25", "true"),
        // Sums convert, and take bare numbers as they are.
        ("a + b == 1.5GiB", "a=1GiB b=512MiB", "true"),
        ("a - b == 0.5s", "a=1s b=500ms", "true"),
        ("a + b == 3GiB", "a=1GiB b=2", "true"),
        ("b + a == 3GiB", "a=1GiB b=2", "true"),
        ("a + b == 3", "a=1 b=2", "true"),
        ("100% - cpu == 60%", "cpu=40%", "true"),
        ("a + b == 150%", "a=1B b=50%", "error"),
        ("a + b / c == 150%", "a=100% b=1B c=2B", "true"),
        // A sample without a unit may be a number of things.
        ("total / disks == 2GiB", "total=8GiB disks=4", "true"),
        ("disks * x == 8GiB", "x=2GiB disks=4", "true"),
        ("volts * amps > 100", "volts=12 amps=10", "true"),
        // From left to right, products first.
        ("a - b - c == 5", "a=10 b=3 c=2", "true"),
        ("a / b / c == 2", "a=12 b=3 c=2", "true"),
        ("a - (b - c) == 9", "a=10 b=3 c=2", "true"),
        ("a + b * c == 16", "a=10 b=3 c=2", "true"),
        ("(a + b) * c == 26", "a=10 b=3 c=2", "true"),
        // No unit for what comes of it.
        ("a * b > 1", "a=1B b=1s", "error"),
        ("a / b > 1", "a=1B b=1s", "error"),
        ("1 / b > 1", "b=1s", "error"),
        ("a / b > 1", "a=50% b=1s", "error"),
        ("a - b > 1", "a=1kbs b=1kB", "error"),
    ] {
        assert_eq!(outcome(text, metrics), expected, "{text} with {metrics}");
    }
}

#[test]
fn nil_and_a_division_by_zero_make_a_calculation_nil() {
    for (text, metrics, expected) in [
        ("x / y > 1", "x=1", "unknown"),
        ("x / y > 1", "x=1 y=0", "unknown"),
        ("x / y == nil", "x=1 y=0", "true"),
        ("x / (y - y) == nil", "x=1 y=5", "true"),
        ("x / y != nil", "x=1 y=2", "true"),
        ("nil == x + 1", "-", "true"),
        ("x + 1 == nil", "x=1", "false"),
        ("x + y * z > 1", "x=1 y=2", "unknown"),
        ("0 * x == 0", "-", "unknown"),
        ("x / 0 > 1 || x > 0", "x=1", "true"),
        ("!(x / 0 > 1)", "x=1", "unknown"),
        // No unit fits less because a third value is missing.
        ("a + b > gone", "a=1B b=1s", "error"),
        ("gone + (a + b) > 1", "a=1B b=1s", "error"),
        ("gone + a > 1s", "a=1B", "unknown"),
        ("a / b > 1", "a=0B b=0s", "error"),
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
fn a_misfit_of_units_is_explained_in_plain_words() {
    for (text, metrics, message) in [
        (
            "y == 1 || mem<1GiB",
            "mem=70C y=1",
            "`mem < 1GiB` compares C (temperature) with GiB (bytes): the units do not fit",
        ),
        ("5kbs > x", "x=3s", "`5kbs > x` compares kbs with s (time): the units do not fit"),
        (
            "x > (a+b) / 2",
            "x=1 a=3s b=1C",
            "`a + b` adds s (time) to C (temperature): the units do not fit",
        ),
        (
            "a-b > 1",
            "a=3s b=1C",
            "`a - b` reduces s (time) by C (temperature): the units do not fit",
        ),
        (
            "2*a*b > 1",
            "a=3s b=1C",
            "`2 * a * b` multiplies s (time) by C (temperature): the units do not fit",
        ),
        (
            "1/a > 1",
            "a=3s",
            "`1 / a` divides a number without a unit by s (time): the units do not fit",
        ),
        (
            "a/b > 1GiB",
            "a=3s b=1s",
            "`a / b > 1GiB` compares a ratio (per cent) with GiB (bytes): the units do not fit",
        ),
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
