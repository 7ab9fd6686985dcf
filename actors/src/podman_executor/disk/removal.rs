//! Removes a tree that others have filled, however deep, wide or hostile it is.
//!
//! - Nothing recurses, and no more than [`MAX_LEVELS`] folders are open at one time: what lies deeper
//!   is moved to the top of the tree, and removed from there.
//! - Each step names an entry of a folder that is open. No path is resolved and no link followed, so
//!   who moves folders about meanwhile has nothing removed but what he put there himself.
//! - What is mounted within the tree stays, with all that is in it.

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, StatxFlags, Uid, chmodat, fchmod, fchown,
    openat, renameat, statx, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

/// So many folders are open at one time.
const MAX_LEVELS: usize = 32;
/// Most passes over a folder into which others go on writing.
const MAX_PASSES: u32 = 16;
/// Longest path within the tree that is reported, in characters.
const MAX_TOLD: usize = 120;

/// Why something of a tree stays: what the kernel said, and of what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entry}: {error}")]
pub(in crate::podman_executor) struct Stays {
    entry: String,
    error: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Refused(Errno),
    Mounted,
    Written,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "{error}"),
            Self::Mounted => f.write_str("another file system is mounted there"),
            Self::Written => f.write_str("new entries come as fast as they are removed"),
        }
    }
}

/// Removes the entry `name` of the folder `parent` with all that is in it, and counts each step. One
/// that is absent is a success.
///
/// # Errors
/// Something stays; everything else is gone.
pub(in crate::podman_executor) fn remove_tree(
    parent: BorrowedFd<'_>,
    name: &str,
    steps: &AtomicU64,
) -> Result<(), Stays> {
    let top = CString::new(name).unwrap_or_default();
    let whole = |error| Stays { entry: name.to_owned(), error: Reason::Refused(error) };
    let mount = Mount::of(parent).map_err(whole)?;
    let mut removal = Removal {
        parent,
        mount,
        steps,
        levels: Vec::new(),
        // Not what an earlier removal called them, of which some may be left.
        prefix: format!(".moved-{:016x}-", fastrand::u64(..)),
        moved: 0,
        stays: None,
    };
    removal.entry(top, FileType::Unknown);
    if let Some(top) = removal.levels.first() {
        shut(&top.folder);
    }
    removal.run();
    removal.stays.map_or(Ok(()), Err)
}

/// From here on nothing can be put into the tree by a path.
fn shut(top: &Dir) {
    // Only root may, and only against others it is of use.
    if geteuid().is_root()
        && let Ok(top) = top.fd()
    {
        let _ = fchown(top, Some(Uid::ROOT), Some(Gid::ROOT));
        let _ = fchmod(top, Mode::RWXU);
    }
}

/// Which mounted file system something is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mount {
    device: (u32, u32),
    /// The same for all on a kernel before 5.8.
    id: u64,
}

impl Mount {
    fn of(folder: impl AsFd) -> Result<Self, Errno> {
        let found = statx(folder, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
        let device = (found.stx_dev_major, found.stx_dev_minor);
        Ok(Self { device, id: found.stx_mnt_id })
    }
}

/// A folder that is being emptied.
struct Level {
    folder: Dir,
    /// Its name in the folder above.
    name: CString,
    /// Something was taken out since its entries were last read from the first one on.
    has_changed: bool,
    /// Something was moved in meanwhile.
    has_more: bool,
    /// Something in it cannot be removed.
    is_stuck: bool,
    passes: u32,
}

struct Removal<'a> {
    parent: BorrowedFd<'a>,
    mount: Mount,
    steps: &'a AtomicU64,
    /// The open folders, from the top down.
    levels: Vec<Level>,
    /// Begins the names of what was moved to the top.
    prefix: String,
    /// How many were.
    moved: u64,
    /// The first that stays.
    stays: Option<Stays>,
}

impl Removal<'_> {
    fn run(&mut self) {
        while let Some(level) = self.levels.last_mut() {
            match level.folder.read() {
                Some(Ok(entry)) => {
                    let name = entry.file_name();
                    if name != c"." && name != c".." {
                        self.entry(name.to_owned(), entry.file_type());
                    }
                }
                Some(Err(error)) => {
                    self.stuck(c"", Reason::Refused(error));
                    self.leave();
                }
                None => self.leave(),
            }
        }
    }

    /// Removes an entry of the lowest open folder, or goes down into it.
    fn entry(&mut self, name: CString, kind: FileType) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        // What the listing said of it may not hold any more, and not every file system says it.
        let first = match kind == FileType::Directory {
            true => AtFlags::REMOVEDIR,
            false => AtFlags::empty(),
        };
        for flags in [first, first ^ AtFlags::REMOVEDIR] {
            match unlinkat(self.folder(), &name, flags) {
                Ok(()) => return self.changed(),
                Err(Errno::NOENT) => return,
                // A folder that is none, or the reverse.
                Err(Errno::NOTDIR | Errno::ISDIR) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) => return self.descend(name),
                Err(Errno::BUSY) => return self.stuck(&name, Reason::Mounted),
                Err(error) => return self.stuck(&name, Reason::Refused(error)),
            }
        }
        self.stuck(&name, Reason::Written);
    }

    fn descend(&mut self, name: CString) {
        let folder = match self.open(&name) {
            Ok(Some(folder)) => folder,
            Ok(None) => return self.stuck(&name, Reason::Mounted),
            // It has gone, or is none any more: the next pass sees.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return self.changed(),
            Err(error) => return self.stuck(&name, Reason::Refused(error)),
        };
        if self.levels.len() < MAX_LEVELS {
            return self.levels.push(Level {
                folder,
                name,
                has_changed: false,
                has_more: false,
                is_stuck: false,
                passes: 0,
            });
        }
        let free = format!("{}{}", self.prefix, self.moved);
        self.moved += 1;
        match renameat(self.folder(), &name, self.top(), free.as_str()) {
            Ok(()) => {
                self.changed();
                if let Some(top) = self.levels.first_mut() {
                    top.has_more = true;
                }
            }
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => self.changed(),
            Err(error) => self.stuck(&name, Reason::Refused(error)),
        }
    }

    /// Opens a folder to be emptied; `None` for one on another file system. That is not even
    /// listed: its server may never answer.
    fn open(&self, name: &CString) -> Result<Option<Dir>, Errno> {
        let folder = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found: OwnedFd = openat(self.folder(), name, folder | OFlags::PATH, Mode::empty())?;
        if Mount::of(&found)? != self.mount {
            return Ok(None);
        }
        let here = || openat(&found, c".", folder | OFlags::RDONLY, Mode::empty());
        // Whose it is may give himself the right to empty it. Root has that already, mostly.
        let grant = || {
            let link = format!("/proc/self/fd/{}", found.as_raw_fd());
            let _ = chmodat(CWD, link, Mode::RWXU, AtFlags::empty());
        };
        if !geteuid().is_root() {
            grant();
        }
        let opened = match here() {
            Err(Errno::ACCESS) => {
                grant();
                here()
            }
            opened @ (Ok(_) | Err(_)) => opened,
        };
        Dir::new(opened?).map(Some)
    }

    /// Removes the lowest open folder once it is empty.
    fn leave(&mut self) {
        let Some(mut level) = self.levels.pop() else { return };
        match unlinkat(self.folder(), &level.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => self.changed(),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                // What was removed while it was read may have hidden others.
                let is_worth_it = level.has_changed && !level.is_stuck && level.passes < MAX_PASSES;
                if is_worth_it || level.has_more {
                    level.folder.rewind();
                    level.passes += u32::from(!level.has_more);
                    (level.has_changed, level.has_more) = (false, false);
                    self.levels.push(level);
                } else if level.is_stuck {
                    self.mark_stuck();
                } else {
                    self.stuck(&level.name, Reason::Written);
                }
            }
            Err(error) => self.stuck(&level.name, Reason::Refused(error)),
        }
    }

    fn changed(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.has_changed = true;
        }
    }

    fn mark_stuck(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.is_stuck = true;
        }
    }

    /// Notes that the entry `name` of the lowest open folder stays.
    fn stuck(&mut self, name: &CStr, error: Reason) {
        self.mark_stuck();
        if self.stays.is_none() {
            let above = self.levels.iter().skip(1).map(|level| level.name.as_c_str());
            let names = above.chain([name]).filter(|name| !name.is_empty());
            let names: Vec<_> = names.map(CStr::to_string_lossy).collect();
            // Containers choose these names.
            let path = names.join("/").escape_debug().to_string();
            let cut = path.chars().count().saturating_sub(MAX_TOLD);
            let dots = if cut > 0 { "…" } else { "" };
            let entry = format!("{dots}{}", path.chars().skip(cut).collect::<String>());
            self.stays = Some(Stays { entry, error });
        }
    }

    fn folder(&self) -> BorrowedFd<'_> {
        self.levels.last().and_then(|level| level.folder.fd().ok()).unwrap_or(self.parent)
    }

    fn top(&self) -> BorrowedFd<'_> {
        self.levels.first().and_then(|level| level.folder.fd().ok()).unwrap_or(self.parent)
    }
}

#[cfg(test)]
mod tests;
