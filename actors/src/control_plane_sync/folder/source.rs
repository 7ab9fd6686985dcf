//! A folder of manifests as a source of configurations.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::sync::Mutex;
use tracing::warn;

use crate::blocking::OneAtATime;
use crate::control_plane_sync::diagnostic::Diagnostic;
use crate::control_plane_sync::folder::exposure;
use crate::control_plane_sync::folder::manifests::{self, Accepted, Files};
use crate::control_plane_sync::folder::reader::{FolderWatch, read_folder};
use crate::control_plane_sync::server::api::{Answer, Completeness, ConfigurationSource};
use crate::control_plane_sync::server::error::ControlPlaneError;
use crate::control_plane_sync::specification;
use crate::error_chain::error_chain;
use crate::pod_manifest;
use crate::workload::{Configuration, DeviceId, EventReason, Workload};

/// Time for reading the folder; a disk that takes longer is taken for hung.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the source over `folder`, watched from now on. Needs the reactor of this thread.
#[must_use]
pub fn manifests_in(folder: &Path, device: DeviceId) -> Rc<dyn ConfigurationSource> {
    let watch = Rc::new(Mutex::new(FolderWatch::new(folder.to_owned())));
    Rc::new(ManifestSource {
        folder: folder.to_owned(),
        device,
        watch,
        read: read_folder,
        reading: OneAtATime::default(),
        known: Rc::default(),
        warned: Rc::default(),
    })
}

/// What the manifests of a folder come to.
#[derive(Debug)]
pub struct Manifests {
    /// What they want of the device.
    pub configuration: Configuration,
    /// What their authors should know, by file.
    pub diagnostics: Vec<Diagnostic>,
    /// Which of them others can change, or read secrets from, by file.
    pub warnings: Vec<String>,
}

/// Reads `folder` once, to find out what its manifests want of `device`, and what a start would say.
/// Blocks on the disk.
///
/// # Errors
/// The folder itself cannot be read.
pub fn manifests_once(folder: &Path, device: &DeviceId) -> io::Result<Manifests> {
    let files = read_folder(folder)?;
    let names: Vec<String> = files.keys().cloned().collect();
    let reading = manifests::read(files, &Accepted::default(), device);
    let mut diagnostics = reading.diagnostics;
    diagnostics.extend(rehearsed(&reading.configuration.workloads, device));
    Ok(Manifests {
        configuration: reading.configuration,
        diagnostics,
        warnings: exposure::warnings(folder, names, &reading.with_secrets),
    })
}

/// Returns what podman would refuse or not be given of the workloads when they start.
fn rehearsed(workloads: &[Arc<Workload>], device: &DeviceId) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for workload in workloads.iter().filter(|workload| !workload.executor.is_cluster()) {
        let mut add = |reason, text: &str| {
            let name = workload.name.as_str();
            let place = format!("workload {name}");
            diagnostics.push(Diagnostic::new(reason, &place, text).about(name));
        };
        match pod_manifest::rehearse(workload, device) {
            Ok(warnings) => {
                warnings.iter().for_each(|warning| add(EventReason::SpecificationAdjusted, warning))
            }
            Err(reason) => add(EventReason::WorkloadRejected, &reason),
        }
    }
    diagnostics
}

struct ManifestSource {
    folder: PathBuf,
    device: DeviceId,
    watch: Rc<Mutex<FolderWatch>>,
    read: fn(&Path) -> io::Result<Files>,
    reading: OneAtATime,
    known: Rc<RefCell<Option<Arc<Known>>>>,
    /// What was warned of, so that it is once.
    warned: Rc<RefCell<Vec<String>>>,
}

/// What a reading came to.
struct Known {
    accepted: Accepted,
    configuration: Configuration,
    diagnostics: Vec<Diagnostic>,
    with_secrets: BTreeSet<String>,
    completeness: Completeness,
}

/// Makes a configuration of `files`, unless they are those that `previous` came from.
fn digest(
    files: Files,
    previous: Option<Arc<Known>>,
    in_force: &[Arc<Workload>],
    device: &DeviceId,
) -> Arc<Known> {
    let none = Accepted::default();
    let accepted = match &previous {
        Some(known) if known.accepted.are(&files) => return Arc::clone(known),
        Some(known) => &known.accepted,
        None => &none,
    };
    let mut reading = manifests::read(files, accepted, device);
    specification::share(&mut reading.configuration.workloads, in_force);
    Arc::new(Known {
        accepted: reading.accepted,
        configuration: reading.configuration,
        diagnostics: reading.diagnostics,
        with_secrets: reading.with_secrets,
        completeness: reading.completeness,
    })
}

impl ConfigurationSource for ManifestSource {
    fn configuration(&self, in_force: &[Arc<Workload>]) -> Answer<Configuration> {
        let (folder, device, read) = (self.folder.clone(), self.device.clone(), self.read);
        let (turn, known) = (self.reading.clone(), Rc::clone(&self.known));
        let (in_force, warned) = (in_force.to_vec(), Rc::clone(&self.warned));
        Box::pin(async move {
            let name = folder.display().to_string();
            let refused = |reason| ControlPlaneError::Manifests { folder: name, reason };
            let previous = known.borrow().clone();
            let read = move || {
                let files = read(&folder)?;
                let names: Vec<String> = files.keys().cloned().collect();
                let known = digest(files, previous, &in_force, &device);
                let exposed = exposure::warnings(&folder, names, &known.with_secrets);
                Ok::<_, io::Error>((known, exposed))
            };
            // Off the actors' thread: a disk that hangs, or a thousand files, delay only this answer.
            let reading = turn.run("reading the folder", READ_TIMEOUT, read).await;
            let (reading, exposed) = match reading {
                Ok(Ok(reading)) => reading,
                Ok(Err(error)) => return Err(refused(error.to_string())),
                Err(error) => return Err(refused(error_chain(&error))),
            };
            let before = warned.replace(exposed.clone());
            for error in exposed.into_iter().filter(|warning| !before.contains(warning)) {
                warn!(error, "manifest was open to others");
            }
            let configuration = reading.configuration.clone();
            known.replace(Some(reading));
            Ok(configuration)
        })
    }

    fn changed(&self) -> LocalBoxFuture<'static, ()> {
        let watch = Rc::clone(&self.watch);
        Box::pin(async move { watch.lock().await.changed().await })
    }

    fn diagnostics(&self) -> Vec<Diagnostic> {
        self.known.borrow().as_ref().map(|known| known.diagnostics.clone()).unwrap_or_default()
    }

    fn completeness(&self) -> Completeness {
        self.known.borrow().as_ref().map(|known| known.completeness.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use tempfile::TempDir;

    use super::*;

    /// Hangs for as long as `gate` in the folder is a pipe without a writer.
    fn read_through_gate(folder: &Path) -> io::Result<Files> {
        std::fs::read(folder.join("gate"))?;
        read_folder(folder)
    }

    fn source(folder: &TempDir) -> ManifestSource {
        let path = folder.path().to_owned();
        ManifestSource {
            watch: Rc::new(Mutex::new(FolderWatch::new(path.clone()))),
            folder: path,
            device: DeviceId::from("cam-01"),
            read: read_through_gate,
            reading: OneAtATime::default(),
            known: Rc::default(),
            warned: Rc::default(),
        }
    }

    fn plain(folder: &TempDir) -> ManifestSource {
        ManifestSource { read: read_folder, ..source(folder) }
    }

    fn workload(name: &str, image: &str) -> String {
        format!(
            "kind: EdgeWorkload\nmetadata: {{name: {name}}}\n\
             spec: {{pod: {{spec: {{containers: [{{name: a, image: {image}}}]}}}}}}\n"
        )
    }

    #[actix::test]
    async fn what_stays_as_it_was_is_the_very_same_workload() {
        let folder = TempDir::new().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.yaml", &workload("a", "x:1"));
        write("b.yaml", &workload("b", "x:1"));
        // Another run of the agent, or its store, had it in force.
        let in_force = plain(&folder).configuration(&[]).await.unwrap().workloads;
        let source = plain(&folder);
        let first = source.configuration(&in_force).await.unwrap().workloads;
        let is_kept = |new: &[Arc<Workload>], old: &[Arc<Workload>]| -> Vec<bool> {
            new.iter().zip(old).map(|(new, old)| Arc::ptr_eq(new, old)).collect()
        };
        assert_eq!(is_kept(&first, &in_force), [true, true]);
        // Nothing changed: it is not even read again as what it is.
        let second = source.configuration(&[]).await.unwrap().workloads;
        assert_eq!(is_kept(&second, &in_force), [true, true]);
        write("b.yaml", &workload("b", "x:2"));
        let third = source.configuration(&in_force).await.unwrap().workloads;
        assert_eq!(is_kept(&third, &in_force), [true, false]);
        assert_ne!(third[1], in_force[1]);
    }

    #[actix::test]
    async fn a_problem_ends_when_the_file_is_what_it_was_before() {
        let folder = TempDir::new().unwrap();
        let write = |text: &str| std::fs::write(folder.path().join("a.yaml"), text).unwrap();
        let source = plain(&folder);
        let good = workload("a", "x:1");
        for (text, problems) in [(&*good, 0), ("kind: [", 1), ("kind: [", 1), (&good, 0)] {
            write(text);
            assert_eq!(source.configuration(&[]).await.unwrap().workloads.len(), 1);
            assert_eq!(source.diagnostics().len(), problems, "{text}");
        }
        std::fs::remove_file(folder.path().join("a.yaml")).unwrap();
        for _ in 0..2 {
            assert!(source.configuration(&[]).await.unwrap().workloads.is_empty());
            assert_eq!(source.completeness(), Completeness::Nothing);
        }
    }

    #[actix::test]
    async fn a_folder_that_hangs_is_given_up_in_time_and_read_again_once_it_answers() {
        tokio::time::pause();
        let folder = TempDir::new().unwrap();
        let gate = folder.path().join("gate");
        mknodat(CWD, &gate, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let source = source(&folder);

        let mut hung = pin!(source.configuration(&[]));
        assert!(poll!(&mut hung).is_pending());
        // Time does not pass by itself while a thread is at work.
        tokio::time::advance(2 * READ_TIMEOUT).await;
        let told = hung.await.unwrap_err().to_string();
        assert!(told.contains("failed to end reading the folder within 30s"), "{told}");
        let mut queued = pin!(source.configuration(&[]));
        assert!(poll!(&mut queued).is_pending());
        tokio::time::advance(2 * READ_TIMEOUT).await;
        let told = queued.await.unwrap_err().to_string();
        assert!(told.contains("the work before it has not ended"), "{told}");

        std::fs::write(&gate, "").unwrap();
        std::fs::remove_file(&gate).unwrap();
        std::fs::write(&gate, "").unwrap();
        assert_eq!(source.configuration(&[]).await.unwrap().workloads, []);
    }
}
