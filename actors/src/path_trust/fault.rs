//! What is wrong with a part of a path.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A part of a path that another user can change, or that could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum PathFault {
    /// It is another user's.
    #[error(
        "{} belongs to user {owner} (mode {mode:03o}), who can change what lies there",
        place.display()
    )]
    Owner {
        /// The file, folder or link.
        place: PathBuf,
        /// Its owner's id.
        owner: u32,
        /// Its permissions.
        mode: u32,
    },
    /// Others may write to it.
    #[error(
        "{} belongs to user {owner} and can be written by {writers} (mode {mode:03o})",
        place.display()
    )]
    Writable {
        /// The file or folder.
        place: PathBuf,
        /// Its owner's id.
        owner: u32,
        /// Its permissions.
        mode: u32,
        /// Who may.
        writers: Writers,
    },
    /// It could not be looked at.
    #[error("{} cannot be looked at: {source}", place.display())]
    Unknown {
        /// The part of the path.
        place: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Who may write besides the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// The members of a group, or of an access control list.
    Group(u32),
    /// Every user.
    Everybody,
}

impl fmt::Display for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(id) => write!(f, "group {id}"),
            Self::Everybody => f.write_str("every user"),
        }
    }
}

impl PathFault {
    /// Returns the part of the path that it is about.
    #[must_use]
    pub fn place(&self) -> &Path {
        match self {
            Self::Owner { place, .. }
            | Self::Writable { place, .. }
            | Self::Unknown { place, .. } => place,
        }
    }
}

impl From<PathFault> for io::Error {
    fn from(fault: PathFault) -> Self {
        match fault {
            PathFault::Unknown { source, .. } => source,
            fault @ (PathFault::Owner { .. } | PathFault::Writable { .. }) => {
                Self::new(io::ErrorKind::PermissionDenied, fault)
            }
        }
    }
}
