//! What names come out, and that every one of them can stand in a condition.

use grammar::{Condition, Metric};
use proptest::prelude::*;

use super::*;

fn known(name: &str, labels: &[(&str, &str)]) -> Result<String, NameError> {
    let mut added = Vec::new();
    for (key, value) in labels {
        add_label(&mut added, ((*key).into(), (*value).into()));
    }
    let series = Series::new(name, added);
    series.known_as().map(|name| name.to_string())
}

#[test]
fn a_name_keeps_what_a_condition_can_name() {
    for (name, expected) in [
        ("cpu", "cpu"),
        ("a.b_1", "a.b_1"),
        ("cpu-load", "cpu_load"),
        ("sensors/t1", "sensors_t1"),
        ("job:load:rate5m", "job_load_rate5m"),
        ("a b", "a_b"),
        ("temp \u{b0}C", "temp__C"),
        ("1a", "_1a"),
        (".a", "_.a"),
        ("nil", "_nil"),
        ("for", "_for"),
        ("-x", "_x"),
        ("gr\u{f6}\u{df}e", "gr__e"),
        ("a\0b", "a_b"),
    ] {
        assert_eq!(known(name, &[]).as_deref(), Ok(expected), "{name:?}");
    }
    for name in ["", "-", "\u{e9}", "\u{442}\u{435}\u{43c}\u{43f}", "..."] {
        assert_eq!(known(name, &[]), Err(NameError::NothingLeft), "{name:?}");
    }
}

#[test]
fn labels_become_part_of_the_name_in_order_of_their_keys() {
    for (labels, expected) in [
        (&[("cpu", "0"), ("mode", "idle")][..], "x_cpu_0_mode_idle"),
        (&[("mode", "idle"), ("cpu", "0")], "x_cpu_0_mode_idle"),
        (&[("path", "/")], "x_path__"),
        (&[("path", "/var/lib")], "x_path__var_lib"),
        (&[("le", "0.5")], "x_le_0.5"),
        (&[("empty", ""), ("b", "c")], "x_b_c"),
    ] {
        assert_eq!(known("x", labels).as_deref(), Ok(expected), "{labels:?}");
    }
    let labels = vec![("b".into(), "\"".into()), ("a".into(), "1".into())];
    assert_eq!(Series::new("x", labels).to_string(), r#"x{a="1",b="\""}"#);
}

#[test]
fn a_name_over_its_bound_is_none() {
    let of = |length: usize| known(&"n".repeat(length), &[]);
    assert!(of(MAX_NAME).is_ok());
    assert_eq!(of(MAX_NAME + 1), Err(NameError::TooLong));
    assert_eq!(of(1 << 20), Err(NameError::TooLong));
    assert_eq!(known(&format!("1{}", "n".repeat(MAX_NAME - 1)), &[]), Err(NameError::TooLong));
    assert_eq!(known("n", &[("k", &"v".repeat(1 << 20))]), Err(NameError::TooLong));
    // However many labels there are, they do not fit.
    assert_eq!(known("n", &[("", "v"); MAX_LABELS]), Err(NameError::TooLong));
    assert_eq!(known("n", &[("", "v"); 100_000]), Err(NameError::TooLong));
}

#[test]
fn the_end_of_a_name_implies_a_unit() {
    for (name, unit) in [
        ("node_memory_MemFree_bytes", Some("B")),
        ("node_network_receive_bytes_total", Some("B")),
        ("request_seconds_sum", Some("s")),
        ("request_seconds_bucket", None),
        ("request_seconds_count", None),
        ("disk_used_percent", Some("%")),
        ("node_hwmon_temp_celsius", Some("C")),
        ("bytes_recv", None),
        ("ratio", None),
    ] {
        assert_eq!(implied_unit(name), unit, "{name}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_out_can_stand_in_a_condition(
        name in "\\PC{0,12}",
        labels in prop::collection::vec(("\\PC{0,8}", "\\PC{0,8}"), 0..4),
    ) {
        let labels: Vec<_> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        if let Ok(name) = known(&name, &labels) {
            let condition = Condition::parse(&format!("{name} == nil")).unwrap();
            let named: Vec<_> = condition.metrics().iter().map(Metric::name).collect();
            prop_assert_eq!(named, vec![name.as_str()]);
        }
    }
}
