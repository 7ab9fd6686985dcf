//! EdgeDevice and EdgeWorkload files, the very ones that `kubectl apply` takes, as a configuration.

mod documents;
mod repair;
mod resources;
mod selector;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grammar::shortened;
use tracing::debug;

use documents::Document;
use resources::{Device, EdgeWorkload};

use crate::control_plane_sync::server::api::Completeness;
use crate::control_plane_sync::specification::{
    self, Contents, DEFAULT_NAMESPACE, Draft, Supply, UNNAMED,
};
use crate::workload::{
    Confidential, ConfigMap, Configuration, DeviceId, RejectedWorkload, Secret, Workload,
};

/// Longest reason that is reported for a file, in characters: it repeats words of the file.
const MAX_REASON: usize = 1_024;

/// The texts of a folder's files by file name, or why a file could not be read.
pub(crate) type Files = BTreeMap<String, Result<Confidential<String>, String>>;

/// The texts in force, by file: of each file its last good version. What they came to would take
/// ten times the memory.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    texts: BTreeMap<String, Arc<Confidential<String>>>,
    /// Each is the file's present version.
    is_present: bool,
}

impl Accepted {
    /// Returns whether `files` can come to nothing but what these texts came to.
    pub(crate) fn are(&self, files: &Files) -> bool {
        let mut pairs = self.texts.iter().zip(files);
        self.is_present
            && self.texts.len() == files.len()
            && pairs.all(|((name, text), (new_name, new_text))| {
                name == new_name && new_text.as_ref().is_ok_and(|new_text| *new_text == **text)
            })
    }
}

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
    /// The files that hold a Secret.
    pub(crate) with_secrets: BTreeSet<String>,
    /// Whether a file without a good version hides what it wants.
    pub(crate) completeness: Completeness,
}

/// Reads the files of a folder. A file that cannot be read, is empty or does not parse keeps its
/// version in `previous` in force; one that is gone is gone.
#[must_use]
pub(crate) fn read(files: Files, previous: &Accepted, device_id: &DeviceId) -> Reading {
    let mut completeness = match files.is_empty() {
        true => Completeness::Nothing,
        false => Completeness::Whole,
    };
    let mut accepted = Accepted { texts: BTreeMap::new(), is_present: true };
    let (mut parsed, mut problems, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (file, text) in files {
        match text.and_then(|text| Ok((documents::parse(text.expose())?, text))) {
            Ok((content, text)) => {
                problems.extend(content.notices.into_iter().map(|reason| problem(&file, reason)));
                parsed.push((file.clone(), content.documents));
                accepted.texts.insert(file, Arc::new(text));
            }
            Err(reason) => {
                accepted.is_present = false;
                let before = previous.texts.get(&file);
                let consequence = match before {
                    Some(_) => "its last good version stays in force",
                    None => {
                        unknown.push(file.clone());
                        "nothing of it is in force but what ran before the agent started"
                    }
                };
                problems.push(problem(&file, format!("{reason}; {consequence}")));
                if let Some(text) = before {
                    // It parsed before.
                    let content = documents::parse(text.expose()).map(|it| it.documents);
                    parsed.push((file.clone(), content.unwrap_or_default()));
                    accepted.texts.insert(file, Arc::clone(text));
                }
            }
        }
    }
    if !unknown.is_empty() {
        completeness = Completeness::Partial { unread: unknown.join(", ") };
    }
    let holds_secret = |documents: &[Document]| {
        documents.iter().any(|document| matches!(document, Document::Secret { .. }))
    };
    let with_secrets = parsed.iter().filter(|(_, documents)| holds_secret(documents));
    let with_secrets = with_secrets.map(|(file, _)| file.clone()).collect();
    let configuration = compose(parsed, device_id, &mut problems);
    problems.sort();
    Reading { configuration, accepted, problems, with_secrets, completeness }
}

/// Puts the documents of all files together.
fn compose(
    files: Vec<(String, Vec<Document>)>,
    device_id: &DeviceId,
    problems: &mut Vec<FileProblem>,
) -> Configuration {
    let mut devices = Vec::new();
    let mut workloads = Vec::new();
    let mut supplies = Supplies::default();
    for (file, documents) in files {
        for document in documents {
            let doubled = match document {
                Document::Device(device) => {
                    devices.push((file.clone(), device));
                    None
                }
                Document::Workload { name, content } => {
                    workloads.push((name, content));
                    None
                }
                Document::ConfigMap { key: (namespace, name), content } => {
                    let content = content.map(Arc::new);
                    let doubled = supplies.config_maps.add(namespace, name.clone(), content);
                    doubled.then_some(("config map", name))
                }
                Document::Secret { key: (namespace, name), content } => {
                    let content = content.map(Arc::new);
                    let doubled = supplies.secrets.add(namespace, name.clone(), content);
                    doubled.then_some(("secret", name))
                }
            };
            problems.extend(doubled.map(|(what, name)| {
                let reason = format!("{what} {name:?} is there twice; this one is in force");
                problem(&file, reason)
            }));
        }
    }
    let device = this_device(&devices, device_id, problems);
    let mut ready = Vec::new();
    let mut rejected = Vec::new();
    let mut contents_left = specification::MAX_CONTENTS;
    for (name, content) in workloads {
        let built = content.and_then(|workload| build(&name, *workload, &device, &supplies));
        match built.and_then(|workload| within(workload, &mut contents_left)) {
            Ok(Some(workload)) => ready.push(workload),
            Ok(None) => debug!(workload = name, "workload was for another device"),
            Err(reason) => {
                let name = if name.is_empty() { UNNAMED } else { &name };
                rejected.push(RejectedWorkload::new(name, &reason));
            }
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
    devices: &'a [(String, Device)],
    device_id: &'a DeviceId,
    problems: &mut Vec<FileProblem>,
) -> ThisDevice<'a> {
    let named = |name: &str| {
        devices.iter().find(|(_, device)| device.name == name).map(|(_, device)| device)
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

/// Config maps and secrets of all files.
#[derive(Default)]
struct Supplies {
    config_maps: Supply<ConfigMap>,
    secrets: Supply<Secret>,
}

/// Returns the workload, or `None` when it is for another device.
fn build(
    name: &str,
    source: EdgeWorkload,
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
    let contents = Contents { config_maps: &supplies.config_maps, secrets: &supplies.secrets };
    let seen_by = namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let registries = source.registries(seen_by, contents.secrets)?;
    let draft = source.draft(name)?;
    let mut workload = specification::workload(Draft { namespace, ..draft }, contents)?;
    workload.registries.extend(registries);
    Ok(Some(workload))
}

/// Returns the workload if what it refers to is not too much beside that of those before it.
fn within(workload: Option<Workload>, left: &mut usize) -> Result<Option<Workload>, String> {
    let size = workload.as_ref().map_or(0, Workload::contents_size);
    *left = left.checked_sub(size).ok_or_else(|| {
        let limit = specification::MAX_CONTENTS;
        format!(
            "config maps and secrets, counted for each workload that refers to them, are more than \
             {limit} bytes with this one"
        )
    })?;
    Ok(workload)
}

fn problem(file: &str, reason: String) -> FileProblem {
    FileProblem { file: file.to_owned(), reason: shortened(&reason, MAX_REASON).into_owned() }
}

#[cfg(test)]
mod tests;
