//! Who may own and write to a part of a path.

use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, Stat, fstat, getxattr};
use rustix::io::Errno;

use super::fault::{PathFault, Writers};
use super::group;

/// The bit by which only its owner removes or renames what lies in a folder.
const STICKY: u32 = 0o1000;
/// Every user may write.
const OTHERS_WRITE: u32 = 0o002;
/// The group, or a user whom an access control list names, may write.
const GROUP_WRITE: u32 = 0o020;
/// Where an access control list is kept.
pub(super) const ACL: &str = "system.posix_acl_access";

/// What a path may end in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What only root and the agent's user may write to.
    Closed,
    /// A folder to which others may add something, too, if they cannot replace what is there: `/tmp`.
    Shared,
}

/// Whose word counts, besides root's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeper(pub(super) u32);

impl Keeper {
    pub(super) fn agent() -> Self {
        Self(rustix::process::geteuid().as_raw())
    }

    pub(super) fn is_trusted(self, user: u32) -> bool {
        user == 0 || user == self.0
    }

    pub(super) fn judge(
        self,
        opened: BorrowedFd<'_>,
        place: &Path,
        end: End,
    ) -> Result<Stat, PathFault> {
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
    /// control list they are the most that any entry of it grants.
    pub(super) fn is_alone_in(self, group: u32, opened: BorrowedFd<'_>) -> bool {
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
