//! Why a path of the host is not mounted, and what to do instead.

use std::fmt;
use std::path::PathBuf;

use crate::workload::WorkloadName;

/// What a container mounts of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The container's name.
    pub(super) container: String,
    /// The volume's name.
    pub(super) volume: String,
    /// The path within the volume; empty for all of it.
    pub(super) part: PathBuf,
    /// The path on the host.
    pub(super) path: PathBuf,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {} mounts ", self.container)?;
        if !self.part.as_os_str().is_empty() {
            write!(f, "subPath {} of ", self.part.display())?;
        }
        write!(f, "volume {}, {} on the host", self.volume, self.path.display())
    }
}

/// Why a path of the host is not mounted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostPathError {
    /// It does not say by itself where it leads.
    #[error("volume {volume} names the host path {path}, which must be absolute and without ..")]
    NotPlain { volume: String, path: String },
    /// A container can put a link on the way to it.
    #[error(
        "{place}, which leads through {}, and {} can write there: it could put a link in the way \
         that leads anywhere on the device; mark that mount readOnly: true, or mount {} itself here, \
         too",
        folder.display(), written(writer.as_ref()), folder.display()
    )]
    Writable {
        place: Place,
        /// The folder that a container can write.
        folder: PathBuf,
        /// Whose container, if not of this pod.
        writer: Option<WorkloadName>,
    },
    /// A link leads it out of its volume.
    #[error(
        "{place}, but a link there leads to {}; remove the link, or mount that folder as a volume \
         of its own",
        end.display()
    )]
    Link {
        place: Place,
        /// Where the link leads.
        end: PathBuf,
    },
    /// It is not known whether a link leads it elsewhere.
    #[error(
        "{place}, but the agent cannot see {} and whether a link leads out of it; mount {} as a \
         volume of its own",
        base.display(), place.path.display()
    )]
    Unseen { place: Place, base: PathBuf },
}

fn written(writer: Option<&WorkloadName>) -> String {
    match writer {
        Some(workload) => format!("workload {workload}"),
        None => "a container of this pod".to_owned(),
    }
}
