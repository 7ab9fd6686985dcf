//! A folder of manifests as a source of configurations.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use tokio::sync::Mutex;

use super::api::{Answer, Completeness, ConfigurationSource};
use super::control_plane_error::ControlPlaneError;
use super::manifest_folder::{FolderWatch, read_folder};
use super::manifests::{self, Accepted};
use crate::workload::{Configuration, DeviceId};

/// Returns the source over `folder`, watched from now on. Needs the reactor of this thread.
#[must_use]
pub fn manifests_in(folder: &Path, device: DeviceId) -> Rc<dyn ConfigurationSource> {
    let watch = Rc::new(Mutex::new(FolderWatch::new(folder.to_owned())));
    Rc::new(ManifestSource { folder: folder.to_owned(), device, watch, known: Rc::default() })
}

struct ManifestSource {
    folder: PathBuf,
    device: DeviceId,
    watch: Rc<Mutex<FolderWatch>>,
    known: Rc<RefCell<Known>>,
}

/// What the last reading came to.
#[derive(Default)]
struct Known {
    accepted: Accepted,
    problems: Vec<String>,
    completeness: Completeness,
}

impl ConfigurationSource for ManifestSource {
    fn configuration(&self) -> Answer<Configuration> {
        let (folder, device, known) =
            (self.folder.clone(), self.device.clone(), Rc::clone(&self.known));
        Box::pin(async move {
            let unreadable = |reason: String| ControlPlaneError::Manifests {
                folder: folder.display().to_string(),
                reason,
            };
            let path = folder.clone();
            // A disk that hangs must hold up nothing but this answer.
            let files = tokio::task::spawn_blocking(move || read_folder(&path))
                .await
                .map_err(|error| unreadable(error.to_string()))?
                .map_err(|error| unreadable(error.to_string()))?;
            let mut known = known.borrow_mut();
            let reading = manifests::read(&files, &known.accepted, &device);
            known.accepted = reading.accepted;
            known.completeness = reading.completeness;
            let told =
                |problem: &manifests::FileProblem| format!("{}: {}", problem.file, problem.reason);
            known.problems = reading.problems.iter().map(told).collect();
            Ok(reading.configuration)
        })
    }

    fn changed(&self) -> LocalBoxFuture<'static, ()> {
        let watch = Rc::clone(&self.watch);
        Box::pin(async move { watch.lock().await.changed().await })
    }

    fn problems(&self) -> Vec<String> {
        self.known.borrow().problems.clone()
    }

    fn completeness(&self) -> Completeness {
        self.known.borrow().completeness.clone()
    }
}
