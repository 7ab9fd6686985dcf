//! One file of manifests as typed documents.

use k8s_openapi::api::core::v1;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::debug;

use super::repair;
use super::resources::{Device, EdgeDevice, EdgeWorkload};
use crate::control_plane_sync::specification;
use crate::workload::{Confidential, ConfigMap, Secret};
use crate::yaml;

/// Most values of an EdgeWorkload: a container of two values in a file takes a kilobyte in memory.
const MAX_VALUES: usize = 10_000;

/// A config map's or secret's namespace, where it gives one, and name.
pub(super) type Key = (Option<String>, String);

/// A document that concerns us.
#[derive(Clone, Debug)]
pub(super) enum Document {
    /// An EdgeDevice.
    Device(Device),
    /// An EdgeWorkload; one that is not well formed spoils no other.
    Workload { name: String, content: Result<Box<EdgeWorkload>, String> },
    /// A ConfigMap; a broken one concerns those workloads that refer to it.
    ConfigMap { key: Key, content: Result<ConfigMap, String> },
    /// A Secret; a broken one concerns those workloads that refer to it.
    Secret { key: Key, content: Result<Secret, String> },
}

/// A file that parses.
#[derive(Debug)]
pub(super) struct File {
    pub(super) documents: Vec<Document>,
    /// What its author should mend although it could be read.
    pub(super) notices: Vec<String>,
}

/// Reads the text of a file.
///
/// # Errors
/// The file as a whole cannot be used; says why.
pub(super) fn parse(text: &str) -> Result<File, String> {
    if text.trim().is_empty() {
        // What an editor leaves for a moment, or a full disk for longer.
        return Err("it is empty; delete it if its content is no longer wanted".to_owned());
    }
    let parsed = repair::parse(text)?;
    let mut documents = Vec::new();
    for (index, item) in yaml::each_document(&parsed.text).enumerate() {
        let (value, document) = item.map_err(|error| specification::yaml_reason(&error))?;
        add(&mut documents, &value, Source::Document(document))
            .map_err(|reason| format!("document {}: {reason}", index.saturating_add(1)))?;
    }
    Ok(File { documents, notices: parsed.notices })
}

/// From where a resource is read.
enum Source<'a> {
    /// A document of its own, whose mistakes have a line.
    Document(yaml::Document<'a>),
    /// An element of a List.
    Item(&'a Value),
}

impl Source<'_> {
    fn read<T: DeserializeOwned>(self) -> Result<T, String> {
        match self {
            Self::Document(document) => {
                document.read().map_err(|error| specification::yaml_reason(&error))
            }
            Self::Item(value) => specification::json(value.clone()),
        }
    }
}

fn add(documents: &mut Vec<Document>, value: &Value, source: Source<'_>) -> Result<(), String> {
    let metadata = |field: &str| {
        let text = value.get("metadata")?.get(field)?.as_str()?;
        Some(text.to_owned()).filter(|text| !text.is_empty())
    };
    let name = || metadata("name").unwrap_or_default();
    let key = || (metadata("namespace"), name());
    if !value.is_object() {
        return Err("it is not an object with kind, metadata and spec".to_owned());
    }
    match value.get("kind").and_then(Value::as_str).unwrap_or_default() {
        "EdgeDevice" => {
            let device = source.read::<EdgeDevice>().and_then(Device::try_from);
            let device = device.map_err(|reason| format!("the EdgeDevice: {reason}"))?;
            documents.push(Document::Device(device));
        }
        "EdgeWorkload" => {
            let content = match has_more_than(MAX_VALUES, value) {
                true => Err(format!("it holds more than {MAX_VALUES} values")),
                false => source.read().map(Box::new),
            };
            documents.push(Document::Workload { name: name(), content });
        }
        "ConfigMap" => documents.push(Document::ConfigMap {
            key: key(),
            content: source
                .read::<v1::ConfigMap>()
                .and_then(|map| specification::config_map(map).ok_or_else(unnamed))
                .map_err(|reason| format!("config map {:?} is broken: {reason}", name())),
        }),
        "Secret" => documents.push(Document::Secret {
            key: key(),
            content: source
                .read::<v1::Secret>()
                .and_then(|secret| plain(secret).ok_or_else(unnamed))
                .map_err(|reason| format!("secret {:?} is broken: {reason}", name())),
        }),
        "List" => {
            for item in specification::elements(value.get("items"), "items")? {
                add(documents, item, Source::Item(item))?;
            }
        }
        "" => return Err("it has no kind".to_owned()),
        other => debug!(kind = other, "document was ignored"),
    }
    Ok(())
}

/// Returns whether `value` consists of more values than that.
fn has_more_than(limit: usize, value: &Value) -> bool {
    let mut count = 0_usize;
    let mut ahead = vec![value];
    while let Some(value) = ahead.pop() {
        count = count.saturating_add(1);
        match value {
            Value::Array(items) => ahead.extend(items),
            Value::Object(entries) => ahead.extend(entries.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    count > limit
}

fn unnamed() -> String {
    "it has no name".to_owned()
}

/// As in Kubernetes, `stringData` wins over `data`.
fn plain(secret: v1::Secret) -> Option<Secret> {
    let encoded = secret.data.into_iter().flatten();
    let strings = secret.string_data.into_iter().flatten();
    Some(Secret {
        name: secret.metadata.name.filter(|name| !name.is_empty())?,
        data: encoded
            .map(|(key, value)| (key, Confidential::new(value.0)))
            .chain(strings.map(|(key, value)| (key, Confidential::new(value.into_bytes()))))
            .collect(),
    })
}
