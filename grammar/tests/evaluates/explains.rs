//! What people are told about a condition.

use grammar::Watch;

use crate::{Metrics, parse, secs};

#[test]
fn an_explanation_names_each_comparison_and_its_values() {
    let mut metrics = Metrics::read("cpu=20 mem=512MiB t=70C");
    metrics.now = secs(4);
    for (text, explanation) in [
        (
            "cpu > 23% || disk == nil",
            "cpu > 23% is false: cpu = 20 without a unit, compared with 23, posted 4 s ago; \
             disk == nil is true: never posted",
        ),
        ("!(mem<1GiB)", "mem < 1GiB is true: mem = 0.5GiB, posted 4 s ago"),
        ("cpu > disk", "cpu > disk is unknown: cpu = 20, posted 4 s ago, disk never posted"),
        ("t > 1GiB", "t > 1GiB fails, the units do not fit: t = 70C, posted 4 s ago"),
        ("1 < 2", "1 < 2 is true"),
        ("avg(cpu, 1m) > 3", "avg(cpu, 1m) > 3 is unknown: avg(cpu, 1m) is nil over 0 samples"),
    ] {
        assert_eq!(parse(text).explain(&metrics), explanation);
    }
}

#[test]
fn a_value_is_written_as_the_number_beside_it() {
    for (values, text, value) in [
        ("disk=48402788352B", "disk < 10GiB", "45.0786GiB"),
        ("disk=48402788352B", "10GiB > disk", "45.0786GiB"),
        ("disk=48402788352B", "disk < 10M", "48402.8M"),
        ("disk=48402788352B", "disk < 7", "48402788352B"),
        ("t=300ms", "t < 0.3s", "0.3s"),
        ("cpu=33.333333333333336%", "cpu < 5%", "33.3333%"),
        ("cpu=33.333333333333336", "cpu < 5%", "33.3333 without a unit, compared with 5"),
        ("x=123456.7", "x < 5", "123457"),
        ("cpu=0.1", "cpu < 0", "0.1"),
        // Rounded it would be the number itself.
        ("cpu=50.0000001%", "cpu <= 50%", "50.0000001%"),
        ("disk=10737418241B", "disk <= 10GiB", "10737418241B"),
        // There is no number beside it.
        ("disk=48402788352B", "disk == nil", "48402788352B"),
        ("disk=48402788352B", "disk < disk", "48402788352B"),
        // Nothing to convert.
        ("disk=48402788352B", "disk < 5%", "48402788352B"),
    ] {
        let explanation = parse(text).explain(&Metrics::read(values));
        assert!(explanation.contains(&format!(" = {value}, posted")), "{explanation}");
    }
}

#[test]
fn a_stale_metric_is_called_stale() {
    let mut metrics = Metrics::read("cpu=20");
    metrics.posted.get_mut("cpu").expect("posted").expires_at = Some(secs(60));
    metrics.now = secs(90);
    assert_eq!(parse("cpu == nil").explain(&metrics), "cpu == nil is true: stale, posted 90 s ago");
}

#[test]
fn a_window_is_explained_by_its_result() {
    let condition = parse("avg(cpu, 1m) > 3%");
    let mut metrics = Metrics::default().with_windows_of(&condition);
    metrics.post("cpu", 2.0, "%");
    metrics.advance_to(secs(1));
    metrics.post("cpu", 3.0, "%");
    assert_eq!(
        condition.explain(&metrics),
        "avg(cpu, 1m) > 3% is false: avg(cpu, 1m) = 2.5% over 2 samples"
    );
}

#[test]
fn a_calculation_is_explained_by_its_result_and_its_values() {
    for (values, text, explanation) in [
        (
            "used=3.4GiB total=4096MiB",
            "used / total > 80%",
            "used / total > 80% is true: used / total = 85%, used = 3.4GiB, posted 0 ms ago, \
             total = 4096MiB, posted 0 ms ago",
        ),
        (
            "used=1 total=3",
            "0.8 > used / total",
            "0.8 > used / total is true: used / total = 0.333333, used = 1, posted 0 ms ago, \
             total = 3, posted 0 ms ago",
        ),
        (
            "used=3",
            "used / total * used > 80%",
            "used / total * used > 80% is unknown: used / total * used is nil, used = 3, posted 0 ms \
             ago, total never posted",
        ),
        (
            "x=1 y=5",
            "x / (y - y) == nil",
            "x / (y - y) == nil is true: x / (y - y) is nil, for it divides by 0, x = 1, posted 0 ms \
             ago, y = 5, posted 0 ms ago",
        ),
        (
            "mem=20",
            "mem * 2 < 512MiB",
            "mem * 2 < 512MiB is true: mem * 2 = 40 without a unit, compared with 512, mem = 20, \
             posted 0 ms ago",
        ),
        (
            "a=1B b=1s",
            "a + b > 1",
            "a + b > 1 fails, the units do not fit: a + b is nil, a = 1B, posted 0 ms ago, b = 1s, \
             posted 0 ms ago",
        ),
        ("-", "1 + 2 < 4", "1 + 2 < 4 is true: 1 + 2 = 3"),
    ] {
        assert_eq!(parse(text).explain(&Metrics::read(values)), explanation);
    }
    let text = "a1+a2+a3+a4+a5+a6+a7+a8+a9 > 1";
    let explanation = parse(text).explain(&Metrics::default());
    assert!(explanation.ends_with("a8 never posted, and more"), "{explanation}");
}

#[test]
fn a_count_is_explained_as_a_bare_number() {
    let condition = parse("count(cpu, 1m) > 3 || changes(cpu, 1m) > 3");
    let mut metrics = Metrics::default().with_windows_of(&condition);
    metrics.post("cpu", 2.0, "%");
    assert_eq!(
        condition.explain(&metrics),
        "count(cpu, 1m) > 3 is false: count(cpu, 1m) = 1 over 1 sample; \
         changes(cpu, 1m) > 3 is false: changes(cpu, 1m) = 0 over 1 sample"
    );
    assert_eq!(parse("count(cpu, 1m) > 3").compared_numbers(), []);
}

#[test]
fn a_hold_is_explained_by_how_far_it_is() {
    let condition = parse("cpu > 3 for 30s");
    let mut metrics = Metrics::read("cpu=4");
    let mut watch = Watch::default();
    assert_eq!(
        watch.explain(&condition, &metrics, secs(0)),
        "cpu > 3 is true: cpu = 4, posted 0 ms ago; to be true for 30s"
    );
    watch.evaluate(&condition, &metrics, secs(0)).expect("the units fit");
    metrics.now = secs(12);
    assert_eq!(
        watch.explain(&condition, &metrics, secs(12)),
        "cpu > 3 is true: cpu = 4, posted 12 s ago; true for 12 s of 30s"
    );
}

#[test]
fn an_explanation_is_bounded() {
    let text = vec!["cpu > 3"; 5_000].join(" || ");
    let explanation = parse(&text).explain(&Metrics::read("cpu=4"));
    assert!(explanation.ends_with("; and 4984 more"), "{explanation}");
    assert!(explanation.len() < 1_024);
}

#[test]
fn ages_are_written_for_people() {
    for (seconds, age) in
        [(0, "0 ms"), (1, "1 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 d")]
    {
        let mut metrics = Metrics::read("x=1");
        metrics.now = secs(seconds);
        assert_eq!(
            parse("x > 3").explain(&metrics),
            format!("x > 3 is false: x = 1, posted {age} ago")
        );
    }
}

#[test]
fn a_value_without_a_unit_beside_one_with_a_unit_is_called_so() {
    let mut metrics = Metrics::read("mem=20 cap=5MiB cpu=3%");
    metrics.now = secs(4);
    for (text, missing, explanation) in [
        (
            "mem < 512MiB",
            Some("mem = 20 without a unit, compared with 512"),
            "mem < 512MiB is true: mem = 20 without a unit, compared with 512, posted 4 s ago",
        ),
        (
            "!(cpu > 1% && 512MiB > mem)",
            Some("mem = 20 without a unit, compared with 512"),
            "cpu > 1% is true: cpu = 3%, posted 4 s ago; 512MiB > mem is true: mem = 20 without a \
             unit, compared with 512, posted 4 s ago",
        ),
        (
            "mem > cap",
            Some("mem = 20 without a unit, compared with 5"),
            "mem > cap is true: mem = 20 without a unit, compared with 5, posted 4 s ago, \
             cap = 5MiB, posted 4 s ago",
        ),
        ("mem < 512", None, "mem < 512 is true: mem = 20, posted 4 s ago"),
        ("cap > 3", None, "cap > 3 is true: cap = 5MiB, posted 4 s ago"),
        ("gone > 3MiB", None, "gone > 3MiB is unknown: never posted"),
        ("mem != nil", None, "mem != nil is true: mem = 20, posted 4 s ago"),
        ("3 < 5MiB", None, "3 < 5MiB is true"),
    ] {
        let condition = parse(text);
        assert_eq!(condition.explain(&metrics), explanation);
        assert_eq!(condition.unit_missing(&metrics).as_deref(), missing, "{text}");
    }
}

#[test]
fn a_window_of_samples_without_a_unit_is_called_so() {
    let condition = parse("avg(mem, 1m) > 512MiB");
    let mut metrics = Metrics::default().with_windows_of(&condition);
    metrics.post("mem", 20.0, "");
    let missing = "avg(mem, 1m) = 20 without a unit, compared with 512";
    assert_eq!(condition.unit_missing(&metrics).as_deref(), Some(missing));
    let explanation = format!("avg(mem, 1m) > 512MiB is false: {missing}, over 1 sample");
    assert_eq!(condition.explain(&metrics), explanation);
}
