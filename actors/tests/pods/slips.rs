//! Whatever key of a pod is misspelt by one edit, `check` tells it.

use std::collections::{BTreeSet, VecDeque};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::types::{Types, Way, read};

/// Edits of each key.
const EDITS: usize = 3;

/// Returns the way to each field of each of Kubernetes' types that a pod leads to.
fn ways(types: &Types) -> Vec<Way> {
    let mut ways = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = VecDeque::from([("PodSpec".to_owned(), Way::new())]);
    while let Some((kind, way)) = open.pop_front() {
        if !seen.insert(kind.clone()) {
            continue;
        }
        for (name, schema) in types.fields(&kind) {
            let mut way = way.clone();
            way.push((kind.clone(), name.clone()));
            open.extend(types.inner(schema).map(|inner| (inner, way.clone())));
            ways.push(way);
        }
    }
    ways
}

/// Returns `key` with a letter too many, too few, wrong, or two of them swapped.
fn misspelt(key: &str, random: &mut Rng) -> String {
    let mut letters: Vec<char> = key.chars().collect();
    let at = random.usize(..letters.len());
    match random.u8(..4) {
        0 if letters.len() > 1 => drop(letters.remove(at)),
        1 => letters[at] = random.lowercase(),
        2 if letters.len() > 1 => letters.swap(at.saturating_sub(1), at.max(1)),
        _ => letters.insert(at, random.lowercase()),
    }
    letters.into_iter().collect()
}

/// Returns the document of a kind that has the pod.
fn document(kind: &str, pod: &Value) -> Value {
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": pod});
    let job = json!({"template": template});
    let spec = match kind {
        "Pod" => pod.clone(),
        "Deployment" => json!({"selector": {"matchLabels": {"app": "a"}}, "template": template}),
        "Job" => job,
        "CronJob" => json!({"schedule": "@daily", "jobTemplate": {"spec": job}}),
        "EdgeWorkload" => json!({"pod": {"spec": pod}}),
        other => panic!("{other}"),
    };
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "web"}, "spec": spec})
}

#[test]
fn every_key_of_a_pod_misspelt_by_one_edit_is_told() {
    let (types, mut random) = (Types::read(), Rng::with_seed(1717));
    let kinds = ["Pod", "Deployment", "Job", "CronJob", "EdgeWorkload"];
    let mut untold = Vec::new();
    let ways = ways(&types);
    for way in &ways {
        let (pod, pointer) = types.pod(way);
        let (outer, key) = pointer.rsplit_once('/').unwrap();
        let (kind, _) = way.last().unwrap();
        for _ in 0..EDITS {
            let other = misspelt(key, &mut random);
            let mut pod = pod.clone();
            let place = pod.pointer_mut(outer).unwrap().as_object_mut().unwrap();
            // As if it had been meant.
            if types.fields(kind).contains_key(&other) || place.contains_key(&other) {
                continue;
            }
            let value = place.remove(key).unwrap();
            place.insert(other.clone(), value);
            let read = read(&document(kinds[random.usize(..kinds.len())], &pod));
            let rejected = read.configuration.rejected.iter().map(|it| &it.reason);
            let mut told = rejected.chain(read.diagnostics.iter().map(|it| &it.message));
            if !told.any(|text| text.contains(&other) || text.contains(key)) {
                untold.push(format!("{other} for {key} of {kind}"));
            }
        }
    }
    assert!(ways.len() > 400 && untold.is_empty(), "{} ways: {untold:#?}", ways.len());
}
