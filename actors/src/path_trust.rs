//! Whether any user but root and the agent's own can change what a path leads to.
//!
//! A folder's owner, and each user who may write to it, can put another file, folder or link in the place
//! of what lies in it. So what the agent makes, removes or believes is only as safe as every folder
//! on the way there: the path is walked from `/`, and each of its parts looked at by the descriptor
//! that leads to the next one. Once that has succeeded no other user can replace a part.

mod fault;
mod group;
mod keeper;
mod walk;

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::Stat;

pub use fault::{PathFault, Writers};
pub use keeper::End;
use keeper::Keeper;
pub use walk::Walked;
use walk::walk_for;

/// Walks an absolute path as far as it exists.
///
/// Each part must be root's or the agent's own, and closed to the writing of others; only a folder
/// with the sticky bit, `/tmp`, may be open to it. A group without other members is as good
/// as its owner. A link is followed if it is root's or the agent's own: no other user can have made it.
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

#[cfg(test)]
mod tests;
