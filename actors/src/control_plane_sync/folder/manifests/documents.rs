//! One file of manifests as typed documents.

use std::collections::BTreeMap;

use base64::Engine as _;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::kinds::{self, Kind};
use super::plain::{CronJobSpec, JobSpec, Plain, PlainKind, Resource, SetSpec};
use super::repair;
use super::resources::{Device, EdgeDevice, EdgeWorkload};
use crate::control_plane_sync::specification::{self, Draft, GatesAs};
use crate::workload::{Confidential, ConfigMap, EventReason, Secret};
use crate::yaml::{self, MAX_UNREAD, UnreadKey};

/// Most values of an EdgeWorkload: a container of two values in a file takes a kilobyte in memory.
const MAX_VALUES: usize = 10_000;

/// A config map's or secret's namespace, where it gives one, and name.
pub(super) type Key = (Option<String>, String);

/// A document that concerns us.
#[derive(Clone, Debug)]
pub(super) enum Document {
    /// An EdgeDevice.
    Device(Device),
    /// A workload; one that is not well formed spoils no other.
    Workload { name: String, content: Result<Wanted, String> },
    /// A ConfigMap; a broken one concerns those workloads that refer to it.
    ConfigMap { key: Key, content: Result<ConfigMap, String> },
    /// A Secret; a broken one concerns those workloads that refer to it.
    Secret { key: Key, content: Result<Secret, String> },
}

/// A workload as its author wrote it.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// As an EdgeWorkload.
    Edge(Box<EdgeWorkload>),
    /// As one of Kubernetes' own kinds.
    Plain(Box<Draft>),
}

impl Document {
    /// Returns what tells it from others: its kind and its name.
    pub(super) fn identity(&self) -> (&'static str, Key) {
        match self {
            Self::Device(device) => ("EdgeDevice", (None, device.name.clone())),
            // Of all kinds: a name is that of one workload.
            Self::Workload { name, .. } => ("EdgeWorkload", (None, name.clone())),
            Self::ConfigMap { key, .. } => ("ConfigMap", key.clone()),
            Self::Secret { key, .. } => ("Secret", key.clone()),
        }
    }
}

/// A file as far as it can be read.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) documents: Vec<Document>,
    /// Why documents of it are of no use at all: what they want is not known.
    pub(super) broken: Vec<String>,
    /// What its author should know.
    pub(super) remarks: Vec<Remark>,
}

/// Something that a file's author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) reason: EventReason,
    /// Empty where it is about none.
    pub(super) workload: String,
    pub(super) text: String,
}

/// Reads the text of a file.
pub(super) fn parse(text: &str) -> File {
    if text.trim().is_empty() {
        // What an editor leaves for a moment, or a full disk for longer.
        let broken = vec!["it is empty; delete it if its content is no longer wanted".to_owned()];
        return File { broken, ..File::default() };
    }
    let parsed = repair::parse(text);
    let mut file = File::default();
    for notice in parsed.notices {
        file.remark(EventReason::ManifestAdjusted, "", notice);
    }
    for (index, document) in parsed.documents.into_iter().enumerate() {
        let place = format!("document {}", index.saturating_add(1));
        match document {
            Ok(document) => file.add(&document, &place),
            Err(reason) => file.broken.push(reason),
        }
    }
    file
}

impl File {
    fn remark(&mut self, reason: EventReason, workload: &str, text: String) {
        self.remarks.push(Remark { reason, workload: workload.to_owned(), text });
    }

    /// Adds the document at `place`, or why it cannot be read.
    fn add(&mut self, document: &yaml::Document, place: &str) {
        if let Err(reason) = self.try_add(document, place) {
            self.broken.push(format!("{place}: {reason}"));
        }
    }

    fn try_add(&mut self, document: &yaml::Document, place: &str) -> Result<(), String> {
        let root = document.root();
        let at = root.at();
        let metadata = |field: &str| {
            let text = root.get("metadata")?.get(field)?.text()?;
            Some(text.to_owned()).filter(|text| !text.is_empty())
        };
        let name = metadata("name").unwrap_or_default();
        let key = || (metadata("namespace"), name.clone());
        if !root.is_map() {
            return Err(format!("it is not an object with kind, metadata and spec, at {at}"));
        }
        match kinds::kind(root)? {
            Kind::EdgeDevice => {
                let device = self.read::<EdgeDevice>(document, "").and_then(|device| {
                    self.unused("", &device.unused());
                    if device.has_misplaced_name() {
                        let text = "metadata.labels.name is read as metadata.name; write it so";
                        self.remark(EventReason::ManifestAdjusted, "", text.to_owned());
                    }
                    Device::try_from(device)
                });
                let device = device.map_err(|reason| format!("the EdgeDevice: {reason}"))?;
                self.documents.push(Document::Device(device));
            }
            Kind::EdgeWorkload => {
                let content = self.workload(document, &name);
                self.documents.push(Document::Workload { name, content });
            }
            Kind::Plain(kind) => {
                let content = self.plain(kind, document, &name).transpose();
                let document = content.map(|content| Document::Workload { name, content });
                self.documents.extend(document);
            }
            Kind::ConfigMap => {
                let content = self.read::<ConfigMapSource>(document, "").and_then(config_map);
                let content =
                    content.map_err(|reason| format!("config map {name:?} is broken: {reason}"));
                self.documents.push(Document::ConfigMap { key: key(), content });
            }
            Kind::Secret => {
                let content = self.read::<SecretSource>(document, "").and_then(secret);
                let content =
                    content.map_err(|reason| format!("secret {name:?} is broken: {reason}"));
                self.documents.push(Document::Secret { key: key(), content });
            }
            Kind::List => {
                let items = document.elements("items").map_err(|error| error.to_string())?;
                for (index, item) in items.iter().enumerate() {
                    self.add(item, &format!("{place}: items[{index}]"));
                }
            }
            Kind::Other(other) => {
                let (reason, text) = kinds::ignored(&other, &name, at);
                self.remark(reason, "", text);
            }
        }
        Ok(())
    }

    fn workload(&mut self, document: &yaml::Document, name: &str) -> Result<Wanted, String> {
        let workload: EdgeWorkload =
            self.guarded(document, name, &["spec", "pod"], GatesAs::Fields)?;
        if name.is_empty() {
            return Err(unnamed("EdgeWorkload", document));
        }
        self.unused(name, &workload.unused());
        if workload.has_misplaced_profiles() {
            let text = "spec.deviceSelector.profiles is read as spec.profiles; write it so";
            self.remark(EventReason::ManifestAdjusted, name, text.to_owned());
        }
        Ok(Wanted::Edge(Box::new(workload)))
    }

    /// Reads one of Kubernetes' own kinds; none where its author lets it rest.
    fn plain(
        &mut self,
        kind: PlainKind,
        document: &yaml::Document,
        name: &str,
    ) -> Result<Option<Wanted>, String> {
        let (pod, gates) = (kind.pod(), GatesAs::Annotations);
        let plain: Plain = match kind {
            PlainKind::Pod => self.guarded::<Resource<PodSpec>>(document, name, pod, gates)?.into(),
            PlainKind::Deployment | PlainKind::DaemonSet => {
                self.guarded::<Resource<SetSpec>>(document, name, pod, gates)?.into()
            }
            PlainKind::Job => self.guarded::<Resource<JobSpec>>(document, name, pod, gates)?.into(),
            PlainKind::CronJob => {
                self.guarded::<Resource<CronJobSpec>>(document, name, pod, gates)?.into()
            }
        };
        for (reason, text) in plain.told {
            self.remark(reason, name, format!("{} {name:?}: {text}", kind.as_str()));
        }
        if let Some(why) = plain.rests {
            let text = format!("{} {name:?} is not run: {why}", kind.as_str());
            self.remark(EventReason::ManifestIgnored, name, text);
            return Ok(None);
        }
        if plain.draft.name.is_empty() {
            return Err(unnamed(kind.as_str(), document));
        }
        plain.wrong.map_or_else(|| Ok(Some(Wanted::Plain(Box::new(plain.draft)))), Err)
    }

    /// Reads a document with a workload, whose pod is below the keys of `pod`. Unknown keys are
    /// reported; one that may be a gate or a security setting rejects the workload.
    fn guarded<T: DeserializeOwned>(
        &mut self,
        document: &yaml::Document,
        name: &str,
        pod: &[&str],
        gates: GatesAs,
    ) -> Result<T, String> {
        if document.root().count(MAX_VALUES) > MAX_VALUES {
            return Err(format!("it holds more than {MAX_VALUES} values"));
        }
        let read = document.read::<T>();
        let mut unread = free_keys(document.root(), pod);
        if let Ok((_, keys)) = &read {
            unread.extend_from_slice(keys);
        }
        self.unread(name, &unread, gates);
        let (workload, _) = read.map_err(|error| error.to_string())?;
        if unread.len() >= MAX_UNREAD {
            return Err(format!("{MAX_UNREAD} keys of it or more are not known"));
        }
        for key in &unread {
            if let Some(guard) = specification::lost_guard(key) {
                return Err(specification::refusal(key, guard, gates));
            }
        }
        Ok(workload)
    }

    fn read<T: DeserializeOwned>(
        &mut self,
        document: &yaml::Document,
        workload: &str,
    ) -> Result<T, String> {
        let (value, unread) = document.read::<T>().map_err(|error| error.to_string())?;
        self.unread(workload, &unread, GatesAs::Fields);
        Ok(value)
    }

    fn unread(&mut self, workload: &str, keys: &[UnreadKey], gates: GatesAs) {
        for key in keys {
            let (reason, text) = specification::told(key, gates);
            self.remark(reason, workload, text);
        }
    }

    fn unused(&mut self, workload: &str, fields: &[&'static str]) {
        for field in fields {
            let text = format!("{field} is for other agents, and not used");
            self.remark(EventReason::ManifestIgnored, workload, text);
        }
    }
}

/// Returns what is not known among the keys of a workload that no type lists; its pod is below the keys
/// of `pod`.
fn free_keys(root: &yaml::Node, pod: &[&str]) -> Vec<UnreadKey> {
    let mut unknown = Vec::new();
    let (mut owner, mut path) = (root, Vec::new());
    for &key in pod.iter().chain(&["spec"]) {
        if let Some(metadata) = owner.get("metadata") {
            unknown.extend(specification::unknown_annotations(metadata, &path.join(".")));
        }
        path.push(key);
        let Some(inner) = owner.get(key) else { return unknown };
        owner = inner;
    }
    unknown.extend(specification::unknown_resources(owner, &path.join(".")));
    unknown
}

/// Says that a workload has no name.
fn unnamed(kind: &str, document: &yaml::Document) -> String {
    let at = document.root().at();
    format!("the {kind} at {at} has no metadata.name (generateName is for clusters); write one")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "what is known but not used must be listed to be known")]
struct ConfigMapSource {
    api_version: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    metadata: Option<ObjectMeta>,
    data: Option<BTreeMap<String, String>>,
    binary_data: Option<BTreeMap<String, String>>,
    immutable: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "what is known but not used must be listed to be known")]
struct SecretSource {
    api_version: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    metadata: Option<ObjectMeta>,
    data: Option<BTreeMap<String, Confidential<String>>>,
    string_data: Option<BTreeMap<String, Confidential<String>>>,
    #[serde(rename = "type")]
    sort: Option<String>,
    immutable: Option<bool>,
}

fn config_map(source: ConfigMapSource) -> Result<ConfigMap, String> {
    let name = name_of(source.metadata)?;
    let text = source.data.into_iter().flatten().map(|(key, text)| Ok((key, text.into_bytes())));
    let binary = source.binary_data.into_iter().flatten();
    let binary = binary.map(|(key, text)| Ok((key.clone(), decoded(&key, &text)?)));
    let data = text.chain(binary).collect::<Result<_, String>>()?;
    Ok(ConfigMap { name, data })
}

/// As in Kubernetes, `stringData` wins over `data`.
fn secret(source: SecretSource) -> Result<Secret, String> {
    let name = name_of(source.metadata)?;
    let encoded = source.data.into_iter().flatten();
    let encoded = encoded.map(|(key, text)| Ok((key.clone(), decoded(&key, text.expose())?)));
    let strings = source.string_data.into_iter().flatten();
    let strings = strings.map(|(key, text)| Ok((key, text.expose().clone().into_bytes())));
    let data = encoded.chain(strings).map(|read: Result<(String, Vec<u8>), String>| {
        read.map(|(key, value)| (key, Confidential::new(value)))
    });
    Ok(Secret { name, data: data.collect::<Result<_, _>>()? })
}

fn name_of(metadata: Option<ObjectMeta>) -> Result<String, String> {
    let name = metadata.and_then(|metadata| metadata.name).filter(|name| !name.is_empty());
    name.ok_or_else(|| "it has no name".to_owned())
}

/// Reads base64, in lines or in one.
fn decoded(key: &str, text: &str) -> Result<Vec<u8>, String> {
    let text: String = text.split_ascii_whitespace().collect();
    let decoded = specification::BASE64.decode(text);
    decoded.map_err(|_| {
        format!("the value of its key {key:?} is not base64; stringData takes plain text")
    })
}

#[cfg(test)]
mod tests;
