//! Where the parts of an `emptyDir` lie that containers mount by `subPath`.
//!
//! A part is a folder beside the volume and not one within it: what lies within, a container that
//! has the whole can replace by a link, and podman would follow that on the host. So that the whole
//! shows its parts all the same, each is mounted into it, in every container that has the whole.
//! The folders above a part are parts as well: a mount point cannot be renamed or removed by those
//! who see it, so no way to one can be bent either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::folder::{READ_MODE, VolumeFolder};

/// Kubernetes' mode of an emptyDir: containers write to it under any user.
const SCRATCH_MODE: u32 = 0o777;

/// The folders of one volume.
pub(super) struct Parts {
    /// Where its parts lie.
    beside: PathBuf,
    /// The folder of each part, by its path within the volume; the whole is that of the empty path.
    folders: BTreeMap<PathBuf, PathBuf>,
}

impl Parts {
    /// Returns a volume whose folder is `whole`, without parts; those will lie in `beside`.
    pub(super) fn new(whole: PathBuf, beside: PathBuf) -> Self {
        Self { beside, folders: BTreeMap::from([(PathBuf::new(), whole)]) }
    }

    /// Adds the part `inner`, a path within the volume, and those above it.
    pub(super) fn add(&mut self, inner: &Path) {
        for inner in inner.ancestors() {
            let next = self.beside.join(self.folders.len().to_string());
            self.folders.entry(inner.to_owned()).or_insert(next);
        }
    }

    /// Returns the folder of a part that was added.
    pub(super) fn folder(&self, inner: &Path) -> Option<&Path> {
        self.folders.get(inner).map(PathBuf::as_path)
    }

    /// Returns the parts of the part `outer`, the outer ones first: where they are within it, and
    /// within the volume.
    pub(super) fn of<'a>(&'a self, outer: &'a Path) -> impl Iterator<Item = (&'a Path, &'a Path)> {
        self.folders.keys().filter_map(move |inner| {
            let relative = inner.strip_prefix(outer).ok()?;
            (!relative.as_os_str().is_empty()).then_some((relative, inner.as_path()))
        })
    }

    /// Returns every folder in the order in which they can be made: the whole, the parts, and where
    /// parts are mounted within others.
    pub(super) fn folders(&self) -> impl Iterator<Item = VolumeFolder> {
        // Those that hold the parts are named, lest they be made with the mode of what is in them.
        let above = [self.beside.parent(), Some(self.beside.as_path())];
        let above = above.into_iter().flatten().filter(|_| self.folders.len() > 1);
        let above = above.map(|path| (path.to_owned(), READ_MODE));
        let mount_points = self.folders.keys().filter_map(|inner| {
            let parent = self.folder(inner.parent()?)?;
            Some(parent.join(inner.file_name()?))
        });
        let all = self.folders.values().cloned().chain(mount_points);
        let all = above.chain(all.map(|path| (path, SCRATCH_MODE)));
        all.map(|(path, mode)| VolumeFolder { path, mode, group: None, files: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(added: &[&str]) -> Parts {
        let mut parts = Parts::new("/v/data".into(), "/v/.parts/data".into());
        for inner in added {
            parts.add(Path::new(inner));
        }
        parts
    }

    #[test]
    fn parts_lie_beside_the_whole_and_are_mounted_into_it() {
        let above = ["755 /v/.parts", "755 /v/.parts/data"];
        for (added, expected) in [
            (&[][..], &["777 /v/data"][..]),
            (&[""], &["777 /v/data"]),
            (&["a", "a"], &["777 /v/data", "777 /v/.parts/data/1", "777 /v/data/a"]),
            (
                // The folder above a part is one, too.
                &["a/b"],
                &[
                    "777 /v/data",
                    "777 /v/.parts/data/2",
                    "777 /v/.parts/data/1",
                    "777 /v/data/a",
                    "777 /v/.parts/data/2/b",
                ],
            ),
            (
                &["c", "", "c/b/a"],
                &[
                    "777 /v/data",
                    "777 /v/.parts/data/1",
                    "777 /v/.parts/data/3",
                    "777 /v/.parts/data/2",
                    "777 /v/data/c",
                    "777 /v/.parts/data/1/b",
                    "777 /v/.parts/data/3/a",
                ],
            ),
        ] {
            let parts = parts(added);
            let folders = parts.folders().map(|it| format!("{:o} {}", it.mode, it.path.display()));
            let expected: Vec<_> = match expected.len() {
                1 => expected.to_vec(),
                _ => [&above, expected].concat(),
            };
            assert_eq!(folders.collect::<Vec<_>>(), expected, "{added:?}");
        }
    }

    #[test]
    fn no_folder_of_a_part_lies_within_another() {
        let parts = parts(&["a", "a/b/c", "ab", "b/a", "1", "data"]);
        for (inner, folder) in &parts.folders {
            for (other, outer) in parts.folders.iter().filter(|(other, _)| *other != inner) {
                assert!(!folder.starts_with(outer), "{inner:?} lies within {other:?}");
            }
        }
    }

    #[test]
    fn a_part_knows_its_own_parts() {
        let parts = parts(&["a/b/c", "d"]);
        for (outer, expected) in [
            ("", &[("a", "a"), ("a/b", "a/b"), ("a/b/c", "a/b/c"), ("d", "d")][..]),
            ("a", &[("b", "a/b"), ("b/c", "a/b/c")]),
            ("a/b/c", &[]),
            ("d", &[]),
        ] {
            let found: Vec<_> = parts.of(Path::new(outer)).collect();
            let expected = expected.iter().map(|(a, b)| (Path::new(*a), Path::new(*b)));
            assert_eq!(found, expected.collect::<Vec<_>>(), "{outer}");
        }
    }
}
