//! The schema of manifests is that of the types, and says of documents what `check` says.

#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "a test fails by panicking")]

mod documents;
mod ours;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::schemars::generate::SchemaSettings;
use k8s_openapi::schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

const COMMITTED: &str = include_str!("../../docs/manifests.schema.json");
/// Set, it lets the test write what it compares.
const WRITE: &str = "WRITE_SCHEMA";
const REFERENCE: &str = "#/definitions/";

/// Adds the definitions of one of Kubernetes' kinds; returns the kind with its definition's name.
fn add<K: JsonSchema>(
    kind: &'static str,
    generator: &mut SchemaGenerator,
) -> (&'static str, String) {
    let schema = generator.subschema_for::<K>().to_value();
    let reference = schema["$ref"].as_str().unwrap();
    (kind, reference.strip_prefix(REFERENCE).unwrap().to_owned())
}

/// Makes a definition of Kubernetes' as strict as the agent, and as lenient.
fn fit(name: &str, definition: &mut Value) {
    let fields = definition.as_object_mut().unwrap();
    if fields.remove("x-kubernetes-int-or-string").is_some() {
        // What YAML takes for a number; quantities may have a fraction.
        fields.insert("type".to_owned(), json!(["number", "string"]));
    }
    if fields.contains_key("properties") {
        fields.insert("additionalProperties".to_owned(), json!(false));
    }
    if name.ends_with(".ObjectMeta") {
        fields["properties"]["annotations"]["propertyNames"] = ours::names_of_annotations();
        // `kubectl create --dry-run=client -o yaml` writes a null.
        fields["properties"]["creationTimestamp"] = json!({});
    }
    drop_formats(definition);
}

/// Takes out formats, which validators know or not: `int32`, `date-time` and their like.
fn drop_formats(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("format").is_some_and(Value::is_string) {
                fields.remove("format");
            }
            fields.values_mut().for_each(drop_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_formats),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Adds the names of all definitions that `schema` leads to.
fn reach(schema: &Value, definitions: &Map<String, Value>, reached: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let target = fields.get("$ref").and_then(Value::as_str);
            if let Some(name) = target.and_then(|it| it.strip_prefix(REFERENCE))
                && reached.insert(name.to_owned())
            {
                reach(&definitions[name], definitions, reached);
            }
            fields.values().for_each(|value| reach(value, definitions, reached));
        }
        Value::Array(items) => items.iter().for_each(|item| reach(item, definitions, reached)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns the schema as the types have it now.
fn generated() -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let mut kinds: Vec<(&str, String)> =
        ["EdgeDevice", "EdgeWorkload", "ConfigMap", "Secret", "List"]
            .map(|kind| (kind, kind.to_owned()))
            .to_vec();
    kinds.extend([
        add::<Pod>("Pod", &mut generator),
        add::<Deployment>("Deployment", &mut generator),
        add::<DaemonSet>("DaemonSet", &mut generator),
        add::<Job>("Job", &mut generator),
        add::<CronJob>("CronJob", &mut generator),
    ]);
    let mut definitions = generator.take_definitions(true);
    for (_, name) in kinds.iter().skip(5) {
        // Whatever a cluster says of it: nobody writes it.
        definitions[name]["properties"]["status"] = json!({});
    }
    for (name, definition) in &mut definitions {
        fit(name, definition);
    }
    let own = ours::definitions().into_iter().map(|(name, value)| (name.to_owned(), value));
    definitions.extend(own);
    let mut reached = BTreeSet::new();
    reach(&ours::whole(&kinds, &Map::new()), &definitions, &mut reached);
    definitions.retain(|name, _| reached.contains(name));
    ours::whole(&kinds, &definitions)
}

#[test]
fn the_schema_is_that_of_the_types() {
    let schema = format!("{:#}\n", generated());
    if std::env::var_os(WRITE).is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/manifests.schema.json");
        std::fs::write(path, schema).unwrap();
    } else {
        assert!(
            schema == COMMITTED,
            "docs/manifests.schema.json is not that of the types: write it anew by \
             {WRITE}=1 cargo test --test schema, and build again"
        );
    }
}

#[test]
fn the_command_prints_it() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_device-worker-ng"));
    let output = command.arg("schema").env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap() == COMMITTED);
    assert!(output.stderr.is_empty());
}
