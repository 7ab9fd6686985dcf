//! The scrape under a strict reader of the format, its documentation and its dashboard.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::latency::Latencies;
use crate::messages::{Calls, ConditionReport, MetricReport};
use crate::metrics_ingest::status::tests::{about, at, now, whole};
use crate::testing::actions;
use crate::workload::{ExecutorKind, Verdict};

const DASHBOARD: &str = include_str!("../../../../packaging/grafana/device-worker-ng.json");
const DOCUMENT: &str = include_str!("../../../../docs/prometheus.md");

/// One family as it was read: its type, and its samples by name and labels.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads Prometheus text, and refuses all that its format or conventions do not allow.
fn read(text: &str) -> Result<BTreeMap<String, Family>, String> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut current = String::new();
    let mut helped = String::new();
    if !text.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').ok_or("help without words")?;
            if words.is_empty() || families.contains_key(name) {
                return Err(format!("{name} is explained twice, or not at all"));
            }
            helped = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').ok_or("type without a word")?;
            if name != helped || families.contains_key(name) {
                return Err(format!("{name} has no help before its type, or two types"));
            }
            check_name(name, kind)?;
            families.insert(name.to_owned(), Family { kind: kind.to_owned(), ..Family::default() });
            name.clone_into(&mut current);
        } else {
            let (name, labels, value) = sample(line)?;
            let family = families.get_mut(&current).ok_or("a sample before any type")?;
            let suffix = name.strip_prefix(&current).ok_or(format!("{name} within {current}"))?;
            let is_fit = match family.kind.as_str() {
                "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
                _ => suffix.is_empty(),
            };
            if !is_fit || !seen.insert((name.clone(), labels.clone())) {
                return Err(format!("{line} does not fit {current}, or is there twice"));
            }
            if family.kind == "counter" && (value < 0.0 || !value.is_finite()) {
                return Err(format!("{line} counts nothing"));
            }
            family.samples.push((name, labels, value));
        }
    }
    families.iter().filter(|(_, it)| it.kind == "histogram").try_for_each(check_buckets)?;
    Ok(families)
}

fn check_name(name: &str, kind: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_counter = match kind {
        "counter" => true,
        "gauge" | "histogram" => false,
        other => return Err(format!("{name} is of type {other}")),
    };
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts_well || !name.chars().all(legal) || name.ends_with("_total") != is_counter {
        return Err(format!("{name} is no name of a {kind}"));
    }
    Ok(())
}

/// Reads `name{label="value",…} 1`.
fn sample(line: &str) -> Result<(String, BTreeMap<String, String>, f64), String> {
    let broken = || format!("{line:?} is no sample");
    let end = line.find(['{', ' ']).ok_or_else(broken)?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or_else(broken)?;
            let legal = |c: char| c.is_ascii_lowercase() || c == '_';
            if label.is_empty() || !label.chars().all(legal) {
                return Err(broken());
            }
            let (value, after) = quoted(after).ok_or_else(broken)?;
            if labels.insert(label.to_owned(), value).is_some() {
                return Err(broken());
            }
            if let Some(after) = after.strip_prefix('}') {
                rest = after;
                break;
            }
            rest = after.strip_prefix(',').ok_or_else(broken)?;
        }
    }
    let value = rest.strip_prefix(' ').ok_or_else(broken)?;
    let value = if value == "+Inf" { "inf" } else { value };
    Ok((name.to_owned(), labels, value.parse().map_err(|_| broken())?))
}

/// Reads up to the closing quote; returns the value and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                _ => return None,
            }),
            plain => value.push(plain),
        }
    }
    None
}

/// Of a histogram without labels: classes in rising order, each at least the one before, the last
/// one infinite and equal to the count.
fn check_buckets((name, family): (&String, &Family)) -> Result<(), String> {
    let of = |suffix: &str| {
        let wanted = format!("{name}{suffix}");
        family.samples.iter().filter(move |it| it.0 == wanted).collect::<Vec<_>>()
    };
    let bound = |labels: &BTreeMap<String, String>| match labels.get("le").map(String::as_str) {
        Some("+Inf") => Some(f64::INFINITY),
        Some(le) => le.parse::<f64>().ok().filter(|it| it.is_finite()),
        None => None,
    };
    let buckets: Option<Vec<(f64, f64)>> =
        of("_bucket").iter().map(|it| Some((bound(&it.1)?, it.2))).collect();
    let buckets = buckets.ok_or(format!("{name} has a class without a bound"))?;
    let rising = buckets.windows(2).all(|it| it[0].0 < it[1].0 && it[0].1 <= it[1].1);
    let last = buckets.last().copied();
    let (sum, count) = (of("_sum"), of("_count"));
    if !rising || sum.len() != 1 || count.len() != 1 || last != Some((f64::INFINITY, count[0].2)) {
        return Err(format!("{name} is no histogram: {buckets:?}"));
    }
    Ok(())
}

/// Returns a scrape in which every family has samples, and nasty labels.
fn scrape() -> String {
    let mut answers = whole();
    let control_plane = answers.control_plane.as_mut().unwrap();
    control_plane.calls = [("heartbeat", Calls { requests: 5, errors: 2 })].into();
    control_plane.certificate_expires = Some(at(1_090));
    let mut reactions = Latencies::default();
    for micros in [50, 300, 9_000_000] {
        reactions.count(Duration::from_micros(micros));
    }
    let scheduler = answers.scheduler.as_mut().unwrap();
    scheduler.reactions = reactions;
    scheduler.commands = [((ExecutorKind::PodmanRootful, "pull"), 4)].into();
    scheduler.failures = [((ExecutorKind::PodmanRootful, "pull"), 1)].into();
    let evaluator = answers.evaluator.as_mut().unwrap();
    evaluator.conditions.push(ConditionReport {
        profile: "day\n\"1\"".to_owned(),
        condition: "a\\b,c=\"d\"}".to_owned(),
        expression: "x>1".to_owned(),
        verdict: Verdict::True,
        explanation: String::new(),
    });
    evaluator.metrics.push(MetricReport {
        name: "old".to_owned(),
        value: 1.0,
        unit: Some("%".to_owned()),
        age: Duration::from_secs(90),
        stale: true,
    });
    exposition(&about(), &answers, PostCounts { taken: 7, refused: 1, waiting: 2 }, now())
}

/// Returns the value of a series of the scrape.
fn value(
    families: &BTreeMap<String, Family>,
    family: &str,
    labels: &[(&str, &str)],
) -> Option<f64> {
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let samples = &families.get(family)?.samples;
    samples.iter().find(|it| it.1 == labels).map(|it| it.2)
}

#[test]
fn the_scrape_stands_before_a_strict_reader() {
    let families = read(&scrape()).unwrap();
    for (family, it) in &families {
        assert!(!it.samples.is_empty(), "{family} has no sample");
    }
    for (family, labels, expected) in [
        ("device_worker_actor_up", &[("actor", "scheduler")][..], 1.0),
        ("device_worker_actor_up", &[("actor", "podman_rootful")], 0.0),
        ("device_worker_actor_failures_total", &[("actor", "podman_rootful")], 3.0),
        ("device_worker_workloads", &[("status", "crashed")], 1.0),
        ("device_worker_workloads", &[("status", "running")], 0.0),
        ("device_worker_restarts_total", &[("workload", "web")], 3.0),
        (
            "device_worker_container_info",
            &[
                ("workload", "web"),
                ("container", "main"),
                ("image", "quay.io/team/web:1"),
                ("digest", "sha256:0123"),
            ],
            1.0,
        ),
        ("device_worker_update", &[("workload", "web"), ("state", "rolled_back")], 1.0),
        (
            "device_worker_commands_total",
            &[("executor", "podman_rootful"), ("action", "pull")],
            4.0,
        ),
        ("device_worker_control_plane_errors_total", &[("call", "heartbeat")], 2.0),
        ("device_worker_certificate_remaining_seconds", &[], 1_000.0),
        ("device_worker_reaction_seconds", &[("le", "0.0005")], 2.0),
        ("device_worker_reaction_seconds", &[("le", "2.5")], 2.0),
        ("device_worker_reaction_seconds", &[("le", "+Inf")], 3.0),
        (
            "device_worker_condition",
            &[("profile", "day\n\"1\""), ("condition", "a\\b,c=\"d\"}")],
            1.0,
        ),
        ("device_worker_metric_age_seconds", &[("name", "old")], 90.0),
        ("device_worker_metric_posts_waiting", &[], 2.0),
    ] {
        assert_eq!(value(&families, family, labels), Some(expected), "{family} {labels:?}");
    }
    let stale = value(&families, "device_worker_metric", &[("name", "old"), ("unit", "%")]);
    assert_eq!(stale, None, "what is too old counts as nil");
}

#[test]
fn the_help_of_the_counted_commands_names_every_action() {
    let text = scrape();
    let help =
        text.lines().find_map(|line| line.strip_prefix("# HELP device_worker_commands_total "));
    let listed = help.unwrap().trim_end_matches('.').rsplit(": ").next().unwrap();
    let listed: Vec<_> = listed.split(", ").collect();
    assert_eq!(listed, actions::words());
}

#[test]
fn no_counter_falls_because_an_actor_is_silent() {
    let text = exposition(&about(), &Reports::default(), PostCounts::default(), now());
    let families = read(&text).unwrap();
    let actor = |name| value(&families, "device_worker_actor_up", &[("actor", name)]);
    assert_eq!((actor("scheduler"), actor("podman_rootful")), (Some(0.0), None));
    let counters: Vec<_> = families.keys().filter(|it| it.ends_with("_total")).collect();
    assert_eq!(counters, ["device_worker_metric_posts_total"], "the listener's own");
}

#[test]
fn the_strict_reader_refuses_what_is_wrong() {
    let family = "# HELP a_total x\n# TYPE a_total counter\n";
    let histogram = "# HELP h x\n# TYPE h histogram\n";
    for wrong in [
        "# TYPE a_total counter\na_total 1\n".to_owned(),
        "# HELP a x\n# TYPE a counter\na 1\n".to_owned(),
        "# HELP a_total x\n# TYPE a_total gauge\n".to_owned(),
        "# HELP a x\n# TYPE a summary\n".to_owned(),
        format!("{family}{family}"),
        format!("{family}a_total 1\na_total 2\n"),
        format!("{family}b_total 1\n"),
        format!("{family}a_total -1\n"),
        format!("{family}a_total{{x=\"\\t\"}} 1\n"),
        format!("{family}a_total{{x=\"1\"y=\"2\"}} 1\n"),
        format!("{family}a_total{{x=\"1\",x=\"2\"}} 1\n"),
        format!("{family}a_total 1"),
        format!("{histogram}h_bucket{{le=\"1\"}} 1\nh_sum 1\nh_count 1\n"),
        format!(
            "{histogram}h_bucket{{le=\"1\"}} 2\nh_bucket{{le=\"+Inf\"}} 1\nh_sum 1\nh_count 1\n"
        ),
        format!("{histogram}h_bucket{{le=\"+Inf\"}} 1\nh_sum 1\nh_count 2\n"),
    ] {
        assert!(read(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn each_family_is_documented_with_its_type_and_no_other() {
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeMap<String, String> = rows
        .filter_map(|row| row.split_once("` | "))
        .map(|(name, rest)| (name.to_owned(), rest.split(" |").next().unwrap().to_owned()))
        .collect();
    let families = read(&scrape()).unwrap();
    let exported: BTreeMap<String, String> =
        families.into_iter().map(|(name, family)| (name, family.kind)).collect();
    assert_eq!(documented, exported);
}

#[test]
fn the_dashboard_asks_only_for_series_that_there_are() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let families = read(&scrape()).unwrap();
    let series: BTreeSet<&str> =
        families.values().flat_map(|it| &it.samples).map(|it| it.0.as_str()).collect();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 8, "{}", panels.len());
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let asked: Vec<_> = words.filter(|it| it.starts_with("device_worker_")).collect();
            assert!(!asked.is_empty(), "{query}");
            for name in asked {
                assert!(series.contains(name), "{name} in {query}");
            }
        }
    }
}
