//! EdgeDevice and EdgeWorkload files, the very ones that `kubectl apply` takes, as a configuration.

mod documents;
mod repair;
mod resources;
mod selector;

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::debug;

use documents::Document;
use resources::{Device, EdgeWorkload};

use super::api::Completeness;
use super::specification::{self, Contents, DEFAULT_NAMESPACE, Draft, UNNAMED};
use crate::workload::{
    Confidential, ConfigMap, Configuration, DeviceId, RejectedWorkload, Secret, Workload,
    WorkloadName,
};

/// The texts of a folder's files by file name, or why a file could not be read.
pub(crate) type Files = BTreeMap<String, Result<Confidential<String>, String>>;

/// The documents in force, by file: of each file its last good version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accepted(BTreeMap<String, Arc<[Document]>>);

/// Something about a file that its author should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileProblem {
    /// The file's name within the folder.
    pub(crate) file: String,
    /// What is wrong, what follows from it and how to mend it, in plain words.
    pub(crate) reason: String,
}

/// What the files come to.
#[derive(Debug)]
pub(crate) struct Reading {
    /// What they want of this device.
    pub(crate) configuration: Configuration,
    /// To be handed in at the next reading.
    pub(crate) accepted: Accepted,
    /// In order of file.
    pub(crate) problems: Vec<FileProblem>,
    /// Whether a file without a good version hides what it wants.
    pub(crate) completeness: Completeness,
}

/// Reads the files of a folder. A file that cannot be read, is empty or does not parse keeps its
/// version in `previous` in force; one that is gone is gone.
#[must_use]
pub(crate) fn read(files: &Files, previous: &Accepted, device_id: &DeviceId) -> Reading {
    let mut accepted = Accepted::default();
    let mut problems = Vec::new();
    let mut unknown = Vec::new();
    for (file, text) in files {
        let parsed = text.as_ref().map_err(String::clone);
        match parsed.and_then(|text| documents::parse(text.expose())) {
            Ok(parsed) => {
                problems.extend(parsed.notices.into_iter().map(|reason| problem(file, reason)));
                accepted.0.insert(file.clone(), parsed.documents.into());
            }
            Err(reason) => {
                let before = previous.0.get(file);
                let consequence = match before {
                    Some(_) => "its last good version stays in force",
                    None => {
                        unknown.push(file.as_str());
                        "nothing of it is in force but what ran before the agent started"
                    }
                };
                problems.push(problem(file, format!("{reason}; {consequence}")));
                let before = before.map(|documents| (file.clone(), documents.clone()));
                accepted.0.extend(before);
            }
        }
    }
    let configuration = compose(&accepted, device_id, &mut problems);
    problems.sort();
    let completeness = match (files.is_empty(), unknown.as_slice()) {
        (true, _) => Completeness::Nothing,
        (false, []) => Completeness::Whole,
        (false, unknown) => Completeness::Partial { unread: unknown.join(", ") },
    };
    Reading { configuration, accepted, problems, completeness }
}

/// Puts the documents of all files together.
fn compose(
    accepted: &Accepted,
    device_id: &DeviceId,
    problems: &mut Vec<FileProblem>,
) -> Configuration {
    let mut devices = Vec::new();
    let mut workloads = Vec::new();
    let mut supplies = Supplies::default();
    for (file, documents) in &accepted.0 {
        for document in documents.iter() {
            let doubled = match document {
                Document::Device(device) => {
                    devices.push((file, device));
                    None
                }
                Document::Workload { name, content } => {
                    workloads.push((name, content));
                    None
                }
                Document::ConfigMap { key, content } => supplies
                    .config_maps
                    .insert(key.clone(), content.clone())
                    .map(|_| ("config map", key)),
                Document::Secret { key, content } => {
                    supplies.secrets.insert(key.clone(), content.clone()).map(|_| ("secret", key))
                }
            };
            problems.extend(doubled.map(|(what, (_, name))| {
                let reason = format!("{what} {name:?} is there twice; this one is in force");
                problem(file, reason)
            }));
        }
    }
    let device = this_device(&devices, device_id, problems);
    let mut ready = Vec::new();
    let mut rejected = Vec::new();
    for (name, content) in workloads {
        let built = content.as_ref().map_err(String::clone);
        match built.and_then(|workload| build(name, workload, &device, &supplies)) {
            Ok(Some(workload)) => ready.push(workload),
            Ok(None) => debug!(workload = name, "workload was for another device"),
            Err(reason) => rejected.push(RejectedWorkload {
                name: WorkloadName::from(if name.is_empty() { UNNAMED } else { name }),
                reason,
            }),
        }
    }
    let (workloads, rejected) = specification::each_name_once(ready, rejected);
    let settings = match device {
        ThisDevice::Described(device) => device.clone(),
        ThisDevice::Undescribed | ThisDevice::Foreign(_) => Device::default(),
    };
    Configuration {
        version: None,
        heartbeat_period: settings.heartbeat_period,
        hardware_in_heartbeat: settings.hardware_in_heartbeat,
        profiles: settings.profiles,
        workloads,
        rejected,
    }
}

/// What the files say about this device.
enum ThisDevice<'a> {
    /// They hold its EdgeDevice.
    Described(&'a Device),
    /// They hold no EdgeDevice at all: every workload is for this device.
    Undescribed,
    /// They hold only other devices.
    Foreign(&'a DeviceId),
}

fn this_device<'a>(
    devices: &[(&String, &'a Device)],
    device_id: &'a DeviceId,
    problems: &mut Vec<FileProblem>,
) -> ThisDevice<'a> {
    let named = |name: &str| {
        devices.iter().find(|(_, device)| device.name == name).map(|(_, device)| *device)
    };
    match (named(device_id.as_str()), devices) {
        (Some(device), _) => ThisDevice::Described(device),
        (None, []) => ThisDevice::Undescribed,
        (None, [(_, device)]) if device.name.is_empty() => ThisDevice::Described(device),
        (None, [(file, device), ..]) => {
            let reason = format!(
                "it describes device {:?}, and no file describes this one, {device_id}; rename \
                 the EdgeDevice or set DEVICE_ID",
                device.name
            );
            problems.push(problem(file, reason));
            ThisDevice::Foreign(device_id)
        }
    }
}

type Supply<T> = BTreeMap<(Option<String>, String), Result<T, String>>;

/// Config maps and secrets by namespace, where one is given, and name.
#[derive(Default)]
struct Supplies {
    config_maps: Supply<ConfigMap>,
    secrets: Supply<Secret>,
}

impl Supplies {
    /// Returns those that a workload of `namespace` sees: its own, and those without a namespace,
    /// which would be created in any.
    fn of_namespace(&self, namespace: &str) -> Contents {
        Contents {
            config_maps: visible(&self.config_maps, namespace),
            secrets: visible(&self.secrets, namespace),
        }
    }
}

fn visible<T: Clone>(all: &Supply<T>, namespace: &str) -> BTreeMap<String, Result<T, String>> {
    // In order of namespace, so that those of the workload's own overwrite those of none.
    all.iter()
        .filter(|((of, _), _)| of.as_deref().is_none_or(|of| of == namespace))
        .map(|((_, name), item)| (name.clone(), item.clone()))
        .collect()
}

/// Returns the workload, or `None` when it is for another device.
fn build(
    name: &str,
    source: &EdgeWorkload,
    device: &ThisDevice<'_>,
    supplies: &Supplies,
) -> Result<Option<Workload>, String> {
    let wanted = match device {
        ThisDevice::Undescribed => true,
        ThisDevice::Described(device) => source.selects(&device.name, &device.labels)?,
        ThisDevice::Foreign(device_id) => source.selects(device_id.as_str(), &BTreeMap::new())?,
    };
    if !wanted {
        return Ok(None);
    }
    let namespace = source.metadata.namespace.clone();
    let contents = supplies.of_namespace(namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE));
    let draft = source.draft(name)?;
    let registries = source.registries(&contents)?;
    let mut workload = specification::workload(Draft { namespace, ..draft }, &contents)?;
    workload.registries.extend(registries);
    Ok(Some(workload))
}

fn problem(file: &str, reason: String) -> FileProblem {
    FileProblem { file: file.to_owned(), reason }
}

#[cfg(test)]
mod tests;
