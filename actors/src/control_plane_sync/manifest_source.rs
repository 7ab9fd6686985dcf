//! A folder of manifests as a source of configurations.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::api::{Answer, Completeness, ConfigurationSource};
use super::control_plane_error::ControlPlaneError;
use super::manifest_folder::{FolderWatch, read_folder};
use super::manifests::{self, Accepted, Files};
use crate::workload::{Configuration, DeviceId};

/// Time for reading the folder; a disk that takes longer is taken for hung.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the source over `folder`, watched from now on. Needs the reactor of this thread.
#[must_use]
pub fn manifests_in(folder: &Path, device: DeviceId) -> Rc<dyn ConfigurationSource> {
    let watch = Rc::new(Mutex::new(FolderWatch::new(folder.to_owned())));
    let disk = Disk { read: read_folder, is_busy: Arc::default() };
    Rc::new(ManifestSource { folder: folder.to_owned(), device, watch, disk, known: Rc::default() })
}

struct ManifestSource {
    folder: PathBuf,
    device: DeviceId,
    watch: Rc<Mutex<FolderWatch>>,
    disk: Disk,
    known: Rc<RefCell<Known>>,
}

/// Reads a folder on a thread of its own, one at a time.
#[derive(Clone)]
struct Disk {
    read: fn(&Path) -> io::Result<Files>,
    /// A thread reads, whether its answer is still awaited or not.
    is_busy: Arc<AtomicBool>,
}

/// Held by the reading thread; let go even by a panic.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Disk {
    async fn read(&self, folder: PathBuf) -> Result<Files, String> {
        let Self { read, is_busy } = self.clone();
        if is_busy.swap(true, Ordering::AcqRel) {
            return Err("an earlier reading still hangs".to_owned());
        }
        let busy = Busy(is_busy);
        let reading = tokio::task::spawn_blocking(move || {
            let _busy = busy;
            read(&folder)
        });
        match timeout(READ_TIMEOUT, reading).await {
            Ok(Ok(files)) => files.map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err(format!("the disk gave no answer within {READ_TIMEOUT:?}")),
        }
    }
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
        let (folder, device, disk, known) =
            (self.folder.clone(), self.device.clone(), self.disk.clone(), Rc::clone(&self.known));
        Box::pin(async move {
            let name = folder.display().to_string();
            // A disk that hangs must hold up nothing but this answer.
            let files = disk.read(folder).await;
            let files =
                files.map_err(|reason| ControlPlaneError::Manifests { folder: name, reason })?;
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

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use tempfile::TempDir;
    use tokio::task::yield_now;

    use super::*;

    /// Hangs for as long as `gate` in the folder is a pipe that nobody writes to.
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
            disk: Disk { read: read_through_gate, is_busy: Arc::default() },
            known: Rc::default(),
        }
    }

    #[actix::test]
    async fn a_folder_that_hangs_is_given_up_in_time_and_read_again_once_it_answers() {
        tokio::time::pause();
        let folder = TempDir::new().unwrap();
        let gate = folder.path().join("gate");
        mknodat(CWD, &gate, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let source = source(&folder);

        let mut hung = pin!(source.configuration());
        assert!(poll!(&mut hung).is_pending());
        // Time does not pass by itself while a thread is at work.
        tokio::time::advance(2 * READ_TIMEOUT).await;
        let told = hung.await.unwrap_err().to_string();
        assert!(told.contains("gave no answer within 30s"), "{told}");
        let told = source.configuration().await.unwrap_err().to_string();
        assert!(told.contains("an earlier reading still hangs"), "{told}");

        std::fs::write(&gate, "").unwrap();
        while source.disk.is_busy.load(Ordering::Acquire) {
            yield_now().await;
        }
        std::fs::remove_file(&gate).unwrap();
        std::fs::write(&gate, "").unwrap();
        assert_eq!(source.configuration().await.unwrap().workloads, []);
    }
}
