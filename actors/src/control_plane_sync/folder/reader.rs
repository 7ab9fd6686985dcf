//! Reads a folder of manifests and notices when it changes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use inotify::{EventMask, EventStream, Inotify, WatchMask};
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::control_plane_sync::folder::manifests::Files;
use crate::private_file::{self, Kept};
use crate::workload::Confidential;

/// The folder is read again after this even if nothing was noticed: links to files elsewhere, a
/// folder that appears later, a kernel out of watches.
const RE_READ_PERIOD: Duration = Duration::from_secs(30);

/// A change is over when nothing happened for this long.
const QUIET: Duration = Duration::from_millis(200);

/// A change that never ends is looked at after this.
const MAX_DEBOUNCE: Duration = Duration::from_secs(2);

/// A larger file is no manifest.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Room for some dozens of events with long names.
const EVENT_BUFFER: usize = 4096;

/// Reads the manifests in `folder`: files named `*.yaml`, `*.yml` and `*.json`, in any case, hidden
/// ones left out. Blocks on the disk: call it on a thread of its own, never in a handler.
///
/// # Errors
/// The folder itself cannot be read; all that is known of it stays in force then.
pub(crate) fn read_folder(folder: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && is_manifest(&name)
        {
            match read_file(&entry.path()) {
                Ok(Some(text)) => drop(files.insert(name, Ok(text))),
                Ok(None) => {}
                Err(error) => {
                    drop(files.insert(name, Err(format!("it could not be read: {error}"))));
                }
            }
        }
    }
    Ok(files)
}

fn is_manifest(name: &str) -> bool {
    let hidden = name.starts_with('.');
    let name = name.to_ascii_lowercase();
    !hidden && [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end))
}

/// Returns `None` for what is no file: a folder, or one that was deleted meanwhile.
fn read_file(path: &Path) -> io::Result<Option<Confidential<String>>> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return gone_or_dangling(path),
        Err(error) => return Err(error),
    };
    if !found.is_file() {
        return Ok(None);
    }
    let content = match private_file::read(path, MAX_FILE, Kept::ByAdministrator) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return gone_or_dangling(path),
        Err(error) => return Err(error),
    };
    match decoded(&content.bytes) {
        Ok(text) => Ok(Some(Confidential::new(text.to_owned()))),
        Err(reason) => Err(io::Error::new(io::ErrorKind::InvalidData, reason)),
    }
}

/// Returns the text of a file, or which encoding it seems to have.
fn decoded(bytes: &[u8]) -> Result<&str, String> {
    // With its mark, or as the first letter of any manifest looks.
    if matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..]) {
        return Err("it is UTF-16, which > of PowerShell writes; save it as UTF-8".to_owned());
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let before = String::from_utf8_lossy(before);
        let line = before.matches('\n').count().saturating_add(1);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        format!(
            "it is not UTF-8 at line {line} column {}, but Latin-1 perhaps; save it as UTF-8",
            column.saturating_add(1)
        )
    })
}

/// A link whose target is away (a volume that is not mounted yet) is not a deletion.
fn gone_or_dangling(path: &Path) -> io::Result<Option<Confidential<String>>> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::NotFound, "the link leads nowhere")),
        Err(_) => Ok(None),
    }
}

/// Notices changes of a folder.
///
/// An actor uses it in a chain of futures:
///
/// ```text
/// ctx.spawn(async move { watch.changed().await; watch }
///     .into_actor(self)
///     .map(|watch, actor, ctx| { actor.read_manifests(ctx); actor.watch(watch, ctx) }));
/// ```
pub(crate) struct FolderWatch {
    folder: PathBuf,
    /// Absent while the folder cannot be watched.
    events: Option<EventStream<[u8; EVENT_BUFFER]>>,
    /// Something changed and [`FolderWatch::changed`] has not said so yet.
    changing: bool,
    /// Whether the present failure to watch has been logged.
    complained: bool,
}

impl FolderWatch {
    /// Watches `folder` from now on: make it before the first reading, and no change is missed.
    /// Needs the reactor of the thread that it is made on.
    #[must_use]
    pub(crate) fn new(folder: PathBuf) -> Self {
        let mut watch = Self { folder, events: None, changing: false, complained: false };
        watch.renew();
        watch
    }

    /// Waits until the folder should be read again: something changed in it and then was quiet, or
    /// it can be watched again, or the slow period has passed. A call that is dropped loses nothing.
    pub(crate) async fn changed(&mut self) {
        let still_watched = match &mut self.events {
            Some(events) => {
                let first = match self.changing {
                    true => Noticed::Change,
                    false => notice(events).await,
                };
                self.changing = true;
                match first {
                    Noticed::Change => settle(events).await,
                    // After the slow period the name may be that of another folder.
                    Noticed::End | Noticed::Nothing => false,
                }
            }
            None => {
                sleep(RE_READ_PERIOD).await;
                false
            }
        };
        if !still_watched {
            self.renew();
        }
        self.changing = false;
    }

    /// Watches the folder that now has the name.
    fn renew(&mut self) {
        match watch(&self.folder) {
            Ok(events) => {
                self.events = Some(events);
                self.complained = false;
            }
            Err(error) => {
                self.events = None;
                if !self.complained {
                    warn!(%error, "manifest folder could not be watched");
                }
                self.complained = true;
            }
        }
    }
}

fn watch(folder: &Path) -> io::Result<EventStream<[u8; EVENT_BUFFER]>> {
    let inotify = Inotify::init()?;
    let changes = WatchMask::CREATE
        | WatchMask::CLOSE_WRITE
        | WatchMask::MODIFY
        | WatchMask::ATTRIB
        | WatchMask::MOVE
        | WatchMask::DELETE
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR;
    inotify.watches().add(folder, changes)?;
    inotify.into_event_stream([0; EVENT_BUFFER])
}

/// What became of waiting for a change.
enum Noticed {
    Change,
    /// The watch is of no more use.
    End,
    /// The slow period passed.
    Nothing,
}

async fn notice(events: &mut EventStream<[u8; EVENT_BUFFER]>) -> Noticed {
    match timeout(RE_READ_PERIOD, events.next()).await {
        Ok(Some(Ok(event))) if is_end(event.mask) => {
            // What replaces the folder may need a moment to appear.
            sleep(QUIET).await;
            Noticed::End
        }
        Ok(Some(Ok(_))) => Noticed::Change,
        Ok(Some(Err(_)) | None) => {
            sleep(QUIET).await;
            Noticed::End
        }
        Err(_elapsed) => Noticed::Nothing,
    }
}

/// Waits until nothing happens any more; says whether the folder is still watched.
async fn settle(events: &mut EventStream<[u8; EVENT_BUFFER]>) -> bool {
    let quiet = async {
        while let Ok(Some(event)) = timeout(QUIET, events.next()).await {
            if event.map_or(true, |event| is_end(event.mask)) {
                return false;
            }
        }
        true
    };
    timeout(MAX_DEBOUNCE, quiet).await.unwrap_or(true)
}

/// The folder was deleted, moved or unmounted.
fn is_end(mask: EventMask) -> bool {
    mask.intersects(
        EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::IGNORED | EventMask::UNMOUNT,
    )
}

#[cfg(test)]
mod tests;
