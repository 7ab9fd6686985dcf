//! Image garbage collection: records the images that the agent pulled, and removes unused ones.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::clock::Moment;
use crate::podman_executor::disk::image_ledger::ImageLedger;
use crate::podman_executor::disk::{DiskFuture, PodmanDisk};
use crate::podman_executor::libpod::api::PodmanApi;

/// Deadline for reading or writing the record; pulls are serialised on it and must not hang.
const DISK_TIMEOUT: Duration = Duration::from_secs(10);

/// The images that the agent brought to one podman.
pub(in crate::podman_executor) struct ImageCare {
    disk: Rc<dyn PodmanDisk>,
    book: Mutex<Book>,
    /// What the configuration names; `None` before the first.
    wanted: RefCell<Option<Rc<BTreeSet<String>>>>,
}

#[derive(Default)]
struct Book {
    /// `None` until it was read.
    ledger: Option<ImageLedger>,
    /// The disk refused the last change.
    unwritten: bool,
}

impl ImageCare {
    /// Returns the care for the images of one podman; nothing is read yet.
    pub(in crate::podman_executor) fn new(disk: Rc<dyn PodmanDisk>) -> Self {
        Self { disk, book: Mutex::default(), wanted: RefCell::default() }
    }

    /// Notes which images the configuration names; returns whether that is news.
    pub(in crate::podman_executor) fn want(&self, names: BTreeSet<String>) -> bool {
        let is_news = self.wanted.borrow().as_deref() != Some(&names);
        if is_news {
            self.wanted.replace(Some(Rc::new(names)));
        }
        is_news
    }

    /// Notes that `image` was pulled and is `now`; `before` is what the device had under that name.
    pub(in crate::podman_executor) async fn pulled(
        &self,
        image: &str,
        now: &str,
        before: Option<&str>,
    ) {
        self.change(|ledger| ledger.pulled(image, now, before)).await;
    }

    /// Notes that `image` is on the device.
    pub(in crate::podman_executor) async fn seen(&self, image: &str) {
        self.change(|ledger| ledger.seen(image)).await;
    }

    /// Returns whether `image` was on the device when a workload last asked for it.
    pub(in crate::podman_executor) async fn was_here(&self, image: &str) -> bool {
        self.change(|ledger| ledger.was_here(image)).await
    }

    /// Removes the images that the agent brought and that were not wanted for `after`. What fails
    /// is tried again next time.
    pub(in crate::podman_executor) async fn prune(
        &self,
        podman: &dyn PodmanApi,
        now: Moment,
        after: Duration,
    ) {
        let Some(wanted) = self.wanted.borrow().clone() else { return };
        let due = self.change(|ledger| {
            ledger.mark(&wanted, now);
            ledger.due(after, now)
        });
        for (image, id) in due.await {
            if self.is_wanted(podman, &id).await {
                continue;
            }
            let removed = match podman.image_id(&image).await {
                Ok(Some(found)) if found == id => podman.remove_image(&image).await,
                // It is gone, or the name means another image by now.
                Ok(_) => {
                    self.change(|ledger| ledger.forget(&image)).await;
                    continue;
                }
                Err(error) => Err(error),
            };
            match removed {
                Ok(()) => {
                    info!(image, "image pruned");
                    self.change(|ledger| ledger.forget(&image)).await;
                }
                // Most likely another container uses it.
                Err(error) => debug!(image, error = error.chain(), "image was not pruned"),
            }
        }
    }

    /// Returns whether a name that is wanted by now, however it is spelled, means the image `id`; so
    /// it is said while podman does not answer.
    async fn is_wanted(&self, podman: &dyn PodmanApi, id: &str) -> bool {
        let wanted = self.wanted.borrow().clone().unwrap_or_default();
        for name in wanted.iter() {
            if podman.image_id(name).await.map_or(true, |found| found.as_deref() == Some(id)) {
                return true;
            }
        }
        false
    }

    /// Changes the ledger, and the disk if there is news.
    async fn change<T>(&self, change: impl FnOnce(&mut ImageLedger) -> T) -> T {
        let mut book = self.book.lock().await;
        let mut ledger = match book.ledger.take() {
            Some(ledger) => ledger,
            None => self.read().await,
        };
        let before = ledger.clone();
        let outcome = change(&mut ledger);
        if ledger != before || book.unwritten {
            let written = self.write(&ledger).await;
            if let Err(error) = &written
                && !book.unwritten
            {
                warn!(error, "list of images was not written");
            }
            book.unwritten = written.is_err();
        }
        book.ledger = Some(ledger);
        outcome
    }

    /// Reads the list. One that cannot be read is taken as empty: images stay, none is removed by
    /// mistake.
    async fn read(&self) -> ImageLedger {
        let content = in_time(self.disk.read_images()).await;
        let ledger = content.and_then(|content| match content.is_empty() {
            true => Ok(ImageLedger::default()),
            false => serde_json::from_slice(&content).map_err(|error| error.to_string()),
        });
        ledger.unwrap_or_else(|error| {
            warn!(error, "list of images was not readable");
            ImageLedger::default()
        })
    }

    async fn write(&self, ledger: &ImageLedger) -> Result<(), String> {
        let content = serde_json::to_vec(ledger).map_err(|error| error.to_string())?;
        in_time(self.disk.write_images(content)).await
    }
}

async fn in_time<T>(work: DiskFuture<T>) -> Result<T, String> {
    let done = timeout(DISK_TIMEOUT, work).await;
    done.unwrap_or_else(|_| Err("the disk does not answer".to_owned()))
}

#[cfg(all(test, feature = "testing"))]
mod tests;
