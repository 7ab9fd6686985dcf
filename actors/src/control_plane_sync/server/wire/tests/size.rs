//! Answers that are well formed and made to cost the device its time or its memory.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::*;
use crate::workload::{Configuration, DeviceId, Workload};

const CAM: &str = "cam";

fn answer(workloads: Vec<Value>, secrets: Vec<Value>) -> Value {
    json!({"type": "data", "directive": "device", "content": {
        "device_id": CAM, "version": "7", "workloads": workloads, "secrets": secrets}})
}

fn read_after(
    answer: &Value,
    last: Option<&Known>,
    in_force: &[Arc<Workload>],
) -> Result<Known, WireError> {
    Known::read(answer.to_string().as_bytes(), &DeviceId::from(CAM), last, in_force)
}

fn read(answer: &Value) -> Result<Configuration, WireError> {
    read_after(answer, None, &[]).map(|known| known.configuration)
}

fn workload(name: &str, specification: &str) -> Value {
    json!({"name": name, "specification": specification})
}

/// A workload that needs all of `secret`.
fn needing(name: &str, secret: &str) -> Value {
    let import = format!("  envFrom: [{{secretRef: {{name: {secret}}}}}]\n");
    workload(name, &format!("containers:\n- name: a\n  image: i\n{import}"))
}

fn secret(name: &str, size: usize) -> Value {
    let data = json!({"KEY": STANDARD.encode("x".repeat(size))});
    json!({"name": name, "data": data.to_string()})
}

fn reason(answer: &Value) -> String {
    read(answer).unwrap_err().to_string()
}

/// Why the only workload was rejected.
fn rejected(specification: &str) -> String {
    let configuration = read(&answer(vec![workload("w", specification)], Vec::new())).unwrap();
    configuration.rejected[0].reason.clone()
}

#[test]
fn a_secret_is_there_once_however_many_workloads_refer_to_it() {
    let workloads = (0..200).map(|number| needing(&format!("w{number:03}"), "large")).collect();
    let configuration = read(&answer(workloads, vec![secret("large", 1_000)])).unwrap();
    assert_eq!(configuration.workloads.len(), 200);
    let first = &configuration.workloads[0].secrets[0];
    assert!(configuration.workloads.iter().all(|it| Arc::ptr_eq(&it.secrets[0], first)));
}

#[test]
fn what_no_workload_refers_to_is_with_none() {
    let plain = workload("w", "containers:\n- name: a\n  image: i\n");
    let configuration = read(&answer(vec![plain], vec![secret("large", 1_000)])).unwrap();
    assert!(configuration.workloads[0].secrets.is_empty());
}

#[test]
fn the_same_answer_again_is_the_very_same_configuration_and_a_new_version_alone_reads_nothing() {
    let mut answer = answer(vec![needing("w", "s")], vec![secret("s", 10)]);
    let first = read_after(&answer, None, &[]).unwrap();
    let again = read_after(&answer, Some(&first), &[]).unwrap();
    answer["content"]["version"] = json!("8");
    let newer = read_after(&answer, Some(&again), &[]).unwrap();
    let of = |known: &Known| Arc::clone(&known.configuration.workloads[0]);
    assert!(Arc::ptr_eq(&of(&first), &of(&again)) && Arc::ptr_eq(&of(&first), &of(&newer)));
    assert_eq!(newer.configuration.version.as_deref(), Some("8"));
    assert_eq!(again.configuration, first.configuration);
    // Anything else is read anew.
    answer["content"]["workloads"][0]["labels"] = json!({"a": "b"});
    let other = read_after(&answer, Some(&newer), &[]).unwrap();
    assert_ne!(of(&other), of(&newer));
}

#[test]
fn what_is_in_force_already_is_not_in_memory_twice() {
    let secrets = vec![secret("s", 10)];
    let old = read(&answer(vec![needing("a", "s"), needing("b", "s")], secrets.clone())).unwrap();
    let changed = vec![needing("a", "s"), needing("b", "s"), needing("c", "s")];
    let new = read_after(&answer(changed, secrets), None, &old.workloads).unwrap().configuration;
    assert!(Arc::ptr_eq(&new.workloads[0], &old.workloads[0]));
    assert!(Arc::ptr_eq(&new.workloads[2].secrets[0], &old.workloads[0].secrets[0]));
}

#[test]
fn what_is_deep_or_long_is_refused_by_name() {
    for (text, words) in [
        ("{\"}\": ".repeat(30_000), "recursion limit exceeded"),
        (format!("a: {}", "[a, ".repeat(129)), "recursion limit exceeded"),
        ("- ".repeat(10_000), "recursion limit exceeded"),
        (format!("containers: [{}]", "{},".repeat(100_000)), "more than 10000 keys and values"),
    ] {
        let said = rejected(&text);
        assert!(said.contains(words) && said.contains("correct spec.pod.spec"), "{said}");
    }
}

#[test]
fn workloads_that_are_too_much_only_together_are_refused_together() {
    let specification =
        format!("containers:\n- name: a\n  image: i\n  args: [{}]", "a,".repeat(9_000));
    let some = |count| (0..count).map(|it| workload(&format!("w{it}"), &specification)).collect();
    assert_eq!(read(&answer(some(20), Vec::new())).unwrap().workloads.len(), 20);
    let said = reason(&answer(some(40), Vec::new()));
    assert!(said.contains("too many values or aliases in the YAML texts"), "{said}");

    let expanding = format!("a: &a [{}]\nb: [{}]\n", "1,".repeat(1_000), "*a,".repeat(200));
    let bombs = (0..10).map(|it| workload(&format!("w{it}"), &expanding)).collect();
    let said = reason(&answer(bombs, Vec::new()));
    assert!(said.contains("too many values or aliases in the YAML texts"), "{said}");
}

#[test]
fn more_workloads_than_a_device_runs_are_refused() {
    let many = (0..5_001).map(|_| json!({})).collect();
    let said = reason(&answer(many, Vec::new()));
    assert!(said.contains("it holds 5001 workloads, at most 5000 are read"), "{said}");
}

#[test]
fn a_pod_that_copies_a_secret_over_and_over_is_refused() {
    let items: String = (0..200).map(|it| format!("{{key: KEY, path: p{it}}}, ")).collect();
    let volume = format!("- {{name: v, secret: {{secretName: s, items: [{items}]}}}}");
    let pod = format!("containers:\n- name: a\n  image: i\nvolumes:\n{volume}\n");
    let with = |size| {
        let answer = answer(vec![workload("w", &pod)], vec![secret("s", size)]);
        read(&answer).unwrap()
    };
    assert_eq!(with(100_000).workloads.len(), 1);
    let said = &with(200_000).rejected[0].reason;
    assert!(said.contains("copy more than 33554432 bytes") && said.contains("\"s\""), "{said}");
}

#[test]
fn more_conditions_than_can_be_evaluated_are_refused() {
    let with = |count: usize, expression: &str| {
        let conditions: Vec<_> = (0..count)
            .map(|it| json!({"name": format!("c{it}"), "expression": expression}))
            .collect();
        let mut answer = answer(Vec::new(), Vec::new());
        answer["content"]["configuration"] =
            json!({"profiles": [{"name": "p", "conditions": conditions}]});
        read(&answer)
    };
    assert!(with(2_000, "a > 1").is_ok());
    let said = with(2_001, "a > 1").unwrap_err().to_string();
    assert!(said.contains("the profiles have 2001 conditions"), "{said}");
    let said = with(3, &"a > 1 && ".repeat(5_000)).unwrap_err().to_string();
    assert!(said.contains("whose expressions have 135000 bytes"), "{said}");
}

#[test]
fn annotations_and_crons_have_bounds() {
    let with = |field: &str, value: Value| {
        let mut workload = workload("w", "containers:\n- name: a\n  image: i\n");
        workload[field] = value;
        read(&answer(vec![workload], Vec::new())).unwrap()
    };
    let names: Vec<_> = (0..33).map(|it| format!("w{it}")).collect();
    for names in [names.join(","), "n".repeat(254)] {
        let said =
            &with("annotations", json!({"device-worker-ng/after": names})).rejected[0].reason;
        assert!(said.contains("names more than 32 workloads, or one by more than 253"), "{said}");
    }
    let said = &with("cron", json!("1,".repeat(1_000) + "1 * * * *")).rejected[0].reason;
    assert!(said.contains("its cron is longer than 1000 bytes"), "{said}");
}
