//! Documents that are valid by the schema, and such that are not.

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::COMMITTED;

/// Kinds of which the tree has examples that are no manifests of a device.
const OTHERS: [&str; 6] =
    ["Namespace", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount"];

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(COMMITTED).unwrap();
    jsonschema::draft7::new(&schema).unwrap()
}

fn faults(validator: &Validator, document: &Value) -> Vec<String> {
    let all = validator.iter_errors(document);
    all.map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Returns the documents of a YAML stream that are of some kind.
fn documents(text: &str) -> Vec<Value> {
    let all = serde_yaml::Deserializer::from_str(text).map(|it| Value::deserialize(it).unwrap());
    all.filter(|it| it["kind"].is_string()).collect()
}

/// Returns the YAML within a document in Markdown: its blocks, and what its shell blocks write.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    for block in text.split("\n```yaml\n").skip(1) {
        blocks.extend(block.split("\n```").next().map(str::to_owned));
    }
    for block in text.split("<<'YAML'\n").skip(1) {
        let lines = block.lines().take_while(|line| line.trim() != "YAML");
        // In a list all of it is indented.
        let lines: Vec<&str> = lines.collect();
        let blank = |line: &&&str| !line.trim().is_empty();
        let indent = lines.iter().filter(blank).map(|it| it.len() - it.trim_start().len()).min();
        let cut = |line: &&str| line.get(indent.unwrap_or_default()..).unwrap_or("").to_owned();
        blocks.push(lines.iter().map(cut).collect::<Vec<_>>().join("\n"));
    }
    blocks
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for path in entries {
        match path.is_dir() {
            true if path.file_name().is_some_and(|name| name != "target") => {
                found.extend(files(&path, ending));
            }
            true => {}
            false if path.extension().is_some_and(|it| it == ending) => found.push(path),
            false => {}
        }
    }
    found
}

#[test]
fn every_example_of_the_tree_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for folder in ["examples", "packaging"] {
        for path in files(&root.join(folder), "yaml") {
            texts.push((path.clone(), fs::read_to_string(path).unwrap()));
        }
    }
    for path in files(&root.join("docs"), "md").into_iter().chain([root.join("README.md")]) {
        let text = fs::read_to_string(&path).unwrap();
        texts.extend(blocks(&text).into_iter().map(|block| (path.clone(), block)));
    }
    let validator = validator();
    let mut count = 0;
    for (path, text) in texts.iter().filter(|(_, text)| text.contains("kind: ")) {
        for document in documents(text) {
            if OTHERS.iter().all(|other| document["kind"] != *other) {
                let faults = faults(&validator, &document);
                assert!(faults.is_empty(), "{}: {faults:#?}\n{text}", path.display());
                count += 1;
            }
        }
    }
    assert!(count >= 8, "{count} examples");
}

fn container(more: Value) -> Value {
    let mut container = json!({"name": "a", "image": "i"});
    container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    container
}

fn workload(spec: Value, container: Value) -> Value {
    let mut all = json!({"pod": {"spec": {"containers": [container]}}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"kind": "EdgeWorkload", "metadata": {"name": "w"}, "spec": all})
}

#[test]
fn what_is_meant_is_valid() {
    let validator = validator();
    let plain = container(json!({}));
    for (spec, container) in [
        (json!({}), plain.clone()),
        (json!({"deviceSelector": "toto", "type": "k8s", "rootless": false}), plain.clone()),
        (
            json!({"profiles": [{"name": "load", "conditions": ["calm", {"name": "low", "cpu": "500m", "memory": 4096}]}]}),
            plain.clone(),
        ),
        (
            json!({"retry": {"constantBackoff": {"periodSeconds": "90s"}}, "cron": "@daily"}),
            plain.clone(),
        ),
        (
            json!({}),
            self::container(json!({"resources": {"limits": {"cpu": 1, "memory": "64Mi"}}})),
        ),
        (
            json!({}),
            self::container(json!({"livenessProbe": {"httpGet": {"path": "/", "port": "web"}}})),
        ),
        (
            json!({}),
            self::container(json!({"livenessProbe": {"httpGet": {"path": "/", "port": 80}}})),
        ),
    ] {
        let document = workload(spec, container);
        assert_eq!(faults(&validator, &document), [""; 0], "{document}");
    }
    let pod = json!({"containers": [plain]});
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": pod});
    let job = json!({"backoffLimit": 3, "template": template});
    let selector = json!({"matchLabels": {"app": "a"}});
    for (kind, spec) in [
        ("Pod", pod.clone()),
        ("Deployment", json!({"replicas": 1, "selector": selector, "template": template})),
        ("DaemonSet", json!({"selector": selector, "template": template})),
        ("Job", job.clone()),
        ("CronJob", json!({"schedule": "@daily", "jobTemplate": {"spec": job}})),
    ] {
        let annotations = json!({"device-worker-ng/cron": "@daily", "example.org/a": "b"});
        let metadata = json!({"name": "a", "annotations": annotations, "creationTimestamp": null});
        let document =
            json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec});
        assert_eq!(faults(&validator, &document), [""; 0], "{document}");
    }
}

#[test]
fn slips_are_not_valid() {
    let validator = validator();
    let plain = container(json!({}));
    let annotated = |key: &str| {
        let mut document = workload(json!({}), container(json!({})));
        document["metadata"]["annotations"] = json!({key: "x"});
        document
    };
    for document in [
        workload(json!({"profile": []}), plain.clone()),
        workload(json!({"profiles": [{"name": "p", "condition": []}]}), plain.clone()),
        workload(json!({"type": "vm"}), plain.clone()),
        workload(json!({"rootless": "perhaps"}), plain.clone()),
        workload(json!({"retry": {"backoff": "linear"}}), plain.clone()),
        workload(json!({}), container(json!({"runAsUser": 1}))),
        workload(json!({}), container(json!({"securityContext": {"runAsUsr": 1}}))),
        workload(json!({}), container(json!({"env": [{"name": "A", "value": 1}]}))),
        workload(json!({}), json!({"image": "i"})),
        annotated("device-worker-ng/profile"),
        annotated("podman/device-worker-ng.aftr"),
        json!({"kind": "EdgeWorklaod", "metadata": {"name": "w"}}),
        json!({"metadata": {"name": "w"}}),
        json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"container": []}}),
        json!({"kind": "CronJob", "metadata": {"name": "p"}, "spec": {"schedul": "@daily"}}),
        json!({"kind": "List", "items": [{"kind": "Pods"}]}),
        json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": 1}}),
    ] {
        assert!(!validator.is_valid(&document), "{document}");
    }
    for key in ["device-worker-ng/after", "podman/device-worker-ng.after", "example.org/x"] {
        assert_eq!(faults(&validator, &annotated(key)), [""; 0]);
    }
}
