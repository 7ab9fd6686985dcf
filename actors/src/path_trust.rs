//! Whether anybody but root and the agent's user can change what a path leads to.
//!
//! A folder's owner, and each user who may write to it, can put another file, folder or link in the place
//! of what lies in it. So what the agent makes, removes or believes is only as safe as every folder
//! on the way there: the path is walked from `/`, and each of its parts looked at by the descriptor
//! that leads to the next one. Once that has succeeded nobody else can replace a part.

mod fault;
mod group;
mod walk;

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, Stat, fstat, getxattr};
use rustix::io::Errno;

pub use fault::{PathFault, Writers};
use walk::walk_for;

/// The bit by which only its owner removes or renames what lies in a folder.
const STICKY: u32 = 0o1000;
/// Everybody may write.
const OTHERS_WRITE: u32 = 0o002;
/// The group, or a user whom an access control list names, may write.
const GROUP_WRITE: u32 = 0o020;
/// Where an access control list is kept.
const ACL: &str = "system.posix_acl_access";

/// What a path may end in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What only root and the agent's user may write to.
    Closed,
    /// A folder to which others may add something, too, if they cannot replace what is there: `/tmp`.
    Shared,
}

/// What was found at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Whether all of it is there.
    pub is_whole: bool,
    /// Whether others than root and the agent's user may read what is at its end.
    pub is_readable_by_others: bool,
}

/// Walks an absolute path as far as it exists.
///
/// Each part must be root's or the agent's own, and closed to the writing of others; only a folder
/// with the sticky bit, `/tmp`, may be open to it. A group in which there is nobody else is as good
/// as its owner. A link is followed if it is root's or the agent's own: nobody else can have made it.
///
/// # Errors
/// The first part that others can change, or that cannot be looked at.
pub fn walk(path: &Path, end: End) -> Result<Walked, PathFault> {
    walk_for(Keeper::agent(), path, end)
}

/// Looks at an open file or folder itself.
///
/// # Errors
/// Others can change it, or it cannot be looked at.
pub(crate) fn judge(opened: impl AsFd, place: &Path, end: End) -> Result<Stat, PathFault> {
    Keeper::agent().judge(opened.as_fd(), place, end)
}

/// Whose word counts, besides root's.
#[derive(Clone, Copy, Debug)]
struct Keeper(u32);

impl Keeper {
    fn agent() -> Self {
        Self(rustix::process::geteuid().as_raw())
    }

    fn is_trusted(self, user: u32) -> bool {
        user == 0 || user == self.0
    }

    fn judge(self, opened: BorrowedFd<'_>, place: &Path, end: End) -> Result<Stat, PathFault> {
        let unknown =
            |source: Errno| PathFault::Unknown { place: place.to_owned(), source: source.into() };
        let found = fstat(opened).map_err(unknown)?;
        let (owner, mode) = (found.st_uid, found.st_mode & 0o7777);
        if !self.is_trusted(owner) {
            return Err(PathFault::Owner { place: place.to_owned(), owner, mode });
        }
        let writers = if mode & OTHERS_WRITE != 0 {
            Some(Writers::Everybody)
        } else if mode & GROUP_WRITE != 0 && !self.is_alone_in(found.st_gid, opened) {
            Some(Writers::Group(found.st_gid))
        } else {
            None
        };
        let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        let is_sticky = is_folder && mode & STICKY != 0 && end == End::Shared;
        match writers {
            Some(writers) if !is_sticky => {
                Err(PathFault::Writable { place: place.to_owned(), owner, mode, writers })
            }
            Some(_) | None => Ok(found),
        }
    }

    /// Returns whether the rights of a group are those of root and the agent's user. With an access
    /// control list they are the most that anybody in it has.
    fn is_alone_in(self, group: u32, opened: BorrowedFd<'_>) -> bool {
        let by_number = format!("/proc/self/fd/{}", opened.as_raw_fd());
        let has_no_list = matches!(
            getxattr(by_number, ACL, &mut [0_u8; 0][..]),
            Err(Errno::NODATA | Errno::OPNOTSUPP)
        );
        has_no_list
            && group::members(group)
                .is_some_and(|users| users.into_iter().all(|user| self.is_trusted(user)))
    }
}

#[cfg(test)]
mod tests;
