//! EdgeDevice and EdgeWorkload files, the very ones that `kubectl apply` takes, as a configuration.

mod documents;
mod kinds;
mod plain;
mod repair;
mod resources;
mod selector;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use documents::{Document, Remark, Wanted};
use resources::{Device, EdgeWorkload};

use crate::control_plane_sync::diagnostic::Diagnostic;
use crate::control_plane_sync::server::api::Completeness;
use crate::control_plane_sync::specification::{
    self, Contents, DEFAULT_NAMESPACE, Draft, Supply, UNNAMED,
};
use crate::workload::{
    Confidential, ConfigMap, Configuration, DeviceId, EventReason, RejectedWorkload, Secret,
    Updates, Workload,
};

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

/// What the files come to.
#[derive(Debug)]
pub(crate) struct Reading {
    /// What they want of this device.
    pub(crate) configuration: Configuration,
    /// To be handed in at the next reading.
    pub(crate) accepted: Accepted,
    /// What their authors should know, in order of file.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The files that hold a Secret.
    pub(crate) with_secrets: BTreeSet<String>,
    /// Whether a file without a good version hides what it wants.
    pub(crate) completeness: Completeness,
}

/// Reads the files of a folder. A file that cannot be read, is empty or does not parse keeps its
/// version in `previous` in force; one that is gone is gone. A document that cannot be read takes none of
/// the others of its file with it.
#[must_use]
pub(crate) fn read(files: Files, previous: &Accepted, device_id: &DeviceId) -> Reading {
    let mut completeness = match files.is_empty() {
        true => Completeness::Nothing,
        false => Completeness::Whole,
    };
    let mut accepted = Accepted { texts: BTreeMap::new(), is_present: true };
    let (mut parsed, mut diagnostics, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (file, text) in files {
        let mut content = match &text {
            Ok(text) => documents::parse(text.expose()),
            Err(reason) => documents::File { broken: vec![reason.clone()], ..Default::default() },
        };
        for Remark { reason, workload, text } in &content.remarks {
            diagnostics.push(Diagnostic::new(*reason, &file, text).about(workload));
        }
        match (text, content.broken.is_empty(), previous.texts.get(&file)) {
            (Ok(text), true, _) => drop(accepted.texts.insert(file.clone(), Arc::new(text))),
            (Ok(_) | Err(_), _, Some(before)) => {
                accepted.is_present = false;
                accepted.texts.insert(file.clone(), Arc::clone(before));
                complement(&mut content.documents, documents::parse(before.expose()).documents);
            }
            (Ok(_) | Err(_), _, None) => {
                accepted.is_present = false;
                unknown.push(file.clone());
            }
        }
        let consequence = match previous.texts.contains_key(&file) {
            true => "its last good version stays in force",
            false => "nothing of it is in force but what ran before the agent started",
        };
        for reason in content.broken {
            let text = format!("{reason}; {consequence}");
            diagnostics.push(Diagnostic::new(EventReason::ManifestRefused, &file, &text));
        }
        parsed.push((file, content.documents));
    }
    if !unknown.is_empty() {
        completeness = Completeness::Partial { unread: unknown.join(", ") };
    }
    let holds_secret = |documents: &[Document]| {
        documents.iter().any(|document| matches!(document, Document::Secret { .. }))
    };
    let with_secrets = parsed.iter().filter(|(_, documents)| holds_secret(documents));
    let with_secrets = with_secrets.map(|(file, _)| file.clone()).collect();
    let configuration = compose(parsed, device_id, &mut diagnostics);
    diagnostics.sort();
    Reading { configuration, accepted, diagnostics, with_secrets, completeness }
}

/// Adds what of `former` may be what cannot be read of its file now.
fn complement(documents: &mut Vec<Document>, former: Vec<Document>) {
    let present: Vec<_> = documents.iter().map(Document::identity).collect();
    documents.extend(former.into_iter().filter(|it| !present.contains(&it.identity())));
}

/// Puts the documents of all files together.
fn compose(
    files: Vec<(String, Vec<Document>)>,
    device_id: &DeviceId,
    diagnostics: &mut Vec<Diagnostic>,
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
                    workloads.push((file.clone(), name, content));
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
            diagnostics.extend(doubled.map(|(what, name)| {
                let reason = format!("{what} {name:?} is there twice; this one is in force");
                Diagnostic::new(EventReason::ManifestRefused, &file, &reason)
            }));
        }
    }
    let device = this_device(&devices, device_id, diagnostics);
    let mut ready = Vec::new();
    let mut rejected = Vec::new();
    let mut contents_left = specification::MAX_CONTENTS;
    for (file, name, content) in workloads {
        let built = content.and_then(|wanted| build(&name, wanted, &device, &supplies));
        match built.and_then(|built| within(built, &mut contents_left)) {
            Ok(Built::Ready(workload)) => ready.push(*workload),
            Ok(Built::Foreign(lacking)) => {
                let text = format!("workload {name:?} is for other devices: {lacking}");
                let diagnostic = Diagnostic::new(EventReason::ManifestIgnored, &file, &text);
                diagnostics.push(diagnostic.about(&name));
            }
            Err(reason) => {
                let name = if name.is_empty() { UNNAMED } else { &name };
                rejected.push(RejectedWorkload::new(name, &format!("{file}: {reason}")));
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
        objectives: settings.objectives,
        workloads,
        rejected,
        updates: Updates::default(),
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
    diagnostics: &mut Vec<Diagnostic>,
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
            diagnostics.push(Diagnostic::new(EventReason::ManifestRefused, file, &reason));
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

/// What a workload's document comes to.
enum Built {
    Ready(Box<Workload>),
    /// It is for other devices; what this one lacks.
    Foreign(String),
}

fn build(
    name: &str,
    wanted: Wanted,
    device: &ThisDevice<'_>,
    supplies: &Supplies,
) -> Result<Built, String> {
    let contents = Contents { config_maps: &supplies.config_maps, secrets: &supplies.secrets };
    match wanted {
        Wanted::Edge(source) => build_edge(name, *source, device, contents),
        // It has no deviceSelector: it is for every device that has the folder.
        Wanted::Plain(draft) => {
            Ok(Built::Ready(Box::new(specification::workload(*draft, contents)?)))
        }
    }
}

fn build_edge(
    name: &str,
    source: EdgeWorkload,
    device: &ThisDevice<'_>,
    contents: Contents<'_>,
) -> Result<Built, String> {
    let foreign = match device {
        ThisDevice::Undescribed => None,
        ThisDevice::Described(device) => source.foreign(&device.name, &device.labels)?,
        ThisDevice::Foreign(device_id) => source.foreign(device_id.as_str(), &BTreeMap::new())?,
    };
    if let Some(lacking) = foreign {
        return Ok(Built::Foreign(lacking));
    }
    let namespace = source.metadata.as_ref().and_then(|metadata| metadata.namespace.clone());
    let seen_by = namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let registries = source.registries(seen_by, contents.secrets)?;
    let draft = Draft { namespace, ..source.draft(name)? };
    let mut workload = specification::workload(draft, contents)?;
    workload.registries.extend(registries);
    Ok(Built::Ready(Box::new(workload)))
}

/// Returns the workload if what it refers to is not too much beside that of those before it.
fn within(built: Built, left: &mut usize) -> Result<Built, String> {
    let size = match &built {
        Built::Ready(workload) => workload.contents_size(),
        Built::Foreign(_) => 0,
    };
    *left = left.checked_sub(size).ok_or_else(|| {
        let limit = specification::MAX_CONTENTS;
        format!(
            "config maps and secrets, counted for each workload that refers to them, are more than \
             {limit} bytes with this one"
        )
    })?;
    Ok(built)
}

#[cfg(test)]
mod tests;
