//! The files that an access was made from, and whether they are as they were.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use kube::config::Kubeconfig;

/// Files, each as it was when it was added: before it was read.
#[derive(Default)]
pub(super) struct Sources(Vec<(PathBuf, Option<Stamp>)>);

impl Sources {
    pub(super) fn add(&mut self, path: impl Into<PathBuf>) {
        let path = path.into();
        let stamp = Stamp::of(&path);
        self.0.push((path, stamp));
    }

    /// Adds the certificates and keys that `kubeconfig` names. Of a token's file the client takes
    /// note itself.
    pub(super) fn add_files_of(&mut self, kubeconfig: &Kubeconfig) {
        let clusters = kubeconfig.clusters.iter().filter_map(|it| it.cluster.as_ref());
        let users = kubeconfig.auth_infos.iter().filter_map(|it| it.auth_info.as_ref());
        let users = users.flat_map(|it| [&it.client_certificate, &it.client_key]);
        for path in clusters.map(|it| &it.certificate_authority).chain(users).flatten() {
            self.add(path);
        }
    }

    /// Returns whether no file was replaced. One that is not there may be on its way.
    pub(super) fn are_current(&self) -> bool {
        let mut files = self.0.iter();
        files.all(|(path, stamp)| Stamp::of(path).is_none_or(|now| Some(now) == *stamp))
    }
}

/// What differs between two versions of a file.
#[derive(PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            length: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
        })
    }
}
