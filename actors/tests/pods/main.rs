//! docs/pods.md names each field of a pod, and what it says of each is what becomes of it.
//!
//! The fields are those of docs/manifests.schema.json, which another test holds to k8s-openapi. A pod that
//! sets the field is read as a manifest, and what `check` says of it, and podman and a cluster are given, is
//! compared with the field's row.

#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "a test fails by panicking")]

mod slips;
mod types;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use actors::testing::pods::{on_cluster, on_podman};
use actors::workload::DeviceId;
use serde_json::{Value, json};

use types::{Types, Way, read};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/pods.md");
/// Begins the headings of the types that have a table.
const HEADING: &str = "### ";

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    /// What becomes of the field on podman: given, also from some version on, done, reported or refused.
    podman: String,
    /// On a cluster: passed on, changed or refused.
    cluster: String,
}

impl Row {
    /// Whether what is in the field has rows of its own.
    fn opens(&self) -> bool {
        self.podman.starts_with("given") || self.podman == "done"
    }
}

/// Returns the rows of the document, by type and by the field's path within it.
fn rows() -> BTreeMap<String, BTreeMap<String, Row>> {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let mut tables = BTreeMap::new();
    for section in document.split(HEADING).skip(1) {
        let name = section.lines().next().unwrap().trim().to_owned();
        let mut rows = BTreeMap::new();
        for line in section.lines().take_while(|line| !line.starts_with("## ")) {
            let cells = line.strip_prefix("| `").and_then(|it| it.split_once("` |"));
            let Some((field, rest)) = cells else { continue };
            let mut cells = rest.split('|').map(|cell| cell.trim().to_owned());
            let row = Row { podman: cells.next().unwrap(), cluster: cells.next().unwrap() };
            assert!(rows.insert(field.to_owned(), row).is_none(), "{name} has {field} twice");
        }
        if !rows.is_empty() {
            assert!(tables.insert(name.clone(), rows).is_none(), "two tables of {name}");
        }
    }
    tables
}

/// A field of a pod, and how to get there.
struct Field {
    /// The type whose table has it.
    table: String,
    /// Its path within that type.
    path: String,
    /// From the pod to the field: types, and the names of their fields.
    way: Way,
}

/// Returns the fields that need a row: all of a type that has a table, and within them those of types
/// that have none.
fn wanted(types: &Types, tables: &BTreeMap<String, BTreeMap<String, Row>>) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = VecDeque::from([("PodSpec".to_owned(), Way::new())]);
    while let Some((table, way)) = open.pop_front() {
        if seen.insert(table.clone()) {
            add(types, tables, (&table, &table), "", &way, &mut fields, &mut open);
        }
    }
    fields
}

fn add(
    types: &Types,
    tables: &BTreeMap<String, BTreeMap<String, Row>>,
    (table, kind): (&str, &str),
    prefix: &str,
    way: &Way,
    fields: &mut Vec<Field>,
    open: &mut VecDeque<(String, Way)>,
) {
    for (name, schema) in types.fields(kind) {
        let path = format!("{prefix}{name}");
        let mut way = way.clone();
        way.push((kind.to_owned(), name.clone()));
        fields.push(Field { table: table.to_owned(), path: path.clone(), way: way.clone() });
        let row = tables.get(table).and_then(|rows| rows.get(&path));
        let Some(inner) = types.inner(schema).filter(|_| row.is_none_or(Row::opens)) else {
            continue;
        };
        if tables.contains_key(&inner) {
            open.push_back((inner, way));
        } else if row.is_some() {
            let list = if schema["type"] == "array" { "[]" } else { "" };
            add(types, tables, (table, &inner), &format!("{path}{list}."), &way, fields, open);
        }
    }
}

/// Returns what becomes of a field on a cluster.
fn on_cluster_it_is(pod: &Value, pointer: &str) -> &'static str {
    let spec = json!({"type": "k8s", "pod": {"spec": pod}});
    let read = read(&json!({"kind": "EdgeWorkload", "metadata": {"name": "web"}, "spec": spec}));
    match read.configuration.workloads.first() {
        None => "refused",
        Some(workload) => {
            let given = on_cluster(workload, &DeviceId::from(types::DEVICE));
            if given.pointer(pointer) == pod.pointer(pointer) { "passed on" } else { "changed" }
        }
    }
}

/// Returns what becomes of a field.
fn outcome(pod: &Value, pointer: &str, field: &str) -> Result<Row, String> {
    let read = read(&json!({"kind": "Pod", "metadata": {"name": "web"}, "spec": pod}));
    let told = |is_problem: bool| {
        let all = read.diagnostics.iter().filter(|it| it.is_problem() == is_problem);
        all.map(|it| it.message.clone()).collect::<Vec<_>>().join("; ")
    };
    let rejected = read.configuration.rejected.iter().map(|it| it.reason.clone());
    let refusal = rejected.chain([told(true)]).filter(|it| !it.is_empty());
    let refusal = refusal.collect::<Vec<_>>().join("; ");
    let cluster = on_cluster_it_is(pod, pointer).to_owned();
    let row = |podman: &str| Ok(Row { podman: podman.to_owned(), cluster });
    if !refusal.is_empty() {
        return if refusal.contains(field) { row("refused") } else { Err(refusal) };
    }
    let notices = told(false);
    if !notices.is_empty() {
        return match notices.split_once(" needs podman ") {
            Some((_, version)) => {
                row(&format!("given from {}", version.trim_end_matches(" or later")))
            }
            None if notices.contains(field) => row("reported"),
            None => Err(notices),
        };
    }
    let workload = read.configuration.workloads.first().unwrap();
    let given = on_podman(workload, &DeviceId::from(types::DEVICE))?;
    row(if given.pointer(pointer) == pod.pointer(pointer) { "given" } else { "done" })
}

#[test]
fn every_field_of_a_pod_has_a_row_that_says_what_becomes_of_it() {
    let (types, tables) = (Types::read(), rows());
    let fields = wanted(&types, &tables);
    let mut wrong = Vec::new();
    for Field { table, path, way } in &fields {
        let (pod, pointer) = types.pod(way);
        let becomes = outcome(&pod, &pointer, &way.last().unwrap().1);
        let says = tables.get(table).and_then(|rows| rows.get(path));
        if becomes.as_ref().ok() != says || says.is_none() {
            let Row { podman, cluster } = match &becomes {
                Ok(row) => row.clone(),
                Err(_) => Row { podman: "?".to_owned(), cluster: String::new() },
            };
            let reason = becomes.err().unwrap_or_default();
            wrong.push(format!(
                "{table}: | `{path}` | {podman} | {cluster} | {reason} (says {says:?}) {pod}"
            ));
        }
    }
    let known: BTreeSet<_> = fields.iter().map(|it| (&it.table, &it.path)).collect();
    for (table, rows) in &tables {
        for field in rows.keys().filter(|field| !known.contains(&(table, *field))) {
            wrong.push(format!(
                "{table} has no field {field}, or it lies within one that is reported"
            ));
        }
    }
    assert!(fields.len() > 200 && wrong.is_empty(), "{}", wrong.join("\n"));
}
