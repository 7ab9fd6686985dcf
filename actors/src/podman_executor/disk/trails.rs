//! How paths of the host run on this device.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::pod_manifest::host_paths::Trail;

/// So many links the kernel follows in one path.
const MAX_LINKS: u32 = 40;
/// The folder above.
const ABOVE: &str = "..";

/// Returns how the absolute `path` runs. What cannot be looked at is taken for plain folders.
pub(in crate::podman_executor) fn trail(path: &Path) -> Trail {
    let mut trail = Trail { folders: Vec::new(), end: PathBuf::from("/"), is_there: true };
    let mut links = 0;
    let mut left = names(path);
    while let Some(name) = left.pop() {
        if name == ABOVE {
            trail.end.pop();
            continue;
        }
        trail.folders.push(trail.end.clone());
        let next = trail.end.join(name);
        match fs::read_link(&next) {
            Ok(target) if links < MAX_LINKS => {
                links += 1;
                if target.is_absolute() {
                    trail.end = PathBuf::from("/");
                }
                left.extend(names(&target));
            }
            found @ (Ok(_) | Err(_)) => {
                // Reading as a link what is none fails as well.
                trail.is_there &= found.is_err() && fs::symlink_metadata(&next).is_ok();
                trail.end = next;
            }
        }
    }
    trail
}

/// Returns the names in `path`, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(ABOVE.into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_trail_names_every_folder_that_a_path_runs_through() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("real/data/sub")).unwrap();
        fs::create_dir(root.join("way")).unwrap();
        symlink("../real", root.join("way/up")).unwrap();
        symlink(root.join("way/up/data"), root.join("way/far")).unwrap();
        symlink("round", root.join("round")).unwrap();
        let above = |path: &Path| path.ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>();
        for (path, through, end, is_there) in [
            ("real/data", &["", "real"][..], "real/data", true),
            ("way/up/data", &["", "way", "", "real"], "real/data", true),
            // An absolute link begins at the root again.
            (
                "way/far/sub",
                &["", "way", "/", "", "way", "", "real", "real/data"],
                "real/data/sub",
                true,
            ),
            ("real/none/deeper", &["", "real", "real/none"], "real/none/deeper", false),
            ("round", &[], "round", false),
        ] {
            let trail = trail(&root.join(path));
            assert_eq!((trail.end, trail.is_there), (root.join(end), is_there), "{path}");
            let mut expected: Vec<_> = above(&root).into_iter().rev().collect();
            for folder in through {
                match *folder {
                    "/" => expected.extend(above(&root).into_iter().rev()),
                    folder => expected.push(root.join(folder).components().collect()),
                }
            }
            if !through.is_empty() {
                assert_eq!(trail.folders, expected, "{path}");
            }
        }
    }
}
