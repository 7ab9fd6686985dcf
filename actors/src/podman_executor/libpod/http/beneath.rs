//! Opens what lies below a folder, and never what a link leads to.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;

/// Whether another file system may be mounted on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::podman_executor) enum Mounts {
    /// It may.
    Any,
    /// It may not: what is opened is of the folder's own file system.
    Same,
}

/// Opens `path` below `folder`. No part of it may be a link, of whatever kind, or lead upwards.
///
/// # Errors
/// `ELOOP` for a link, `EXDEV` for a path that leads elsewhere, and what opening a file may meet with.
pub(in crate::podman_executor) fn open(
    folder: impl AsFd,
    path: &Path,
    flags: OFlags,
    mounts: Mounts,
) -> io::Result<OwnedFd> {
    let mut resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    if mounts == Mounts::Same {
        resolve |= ResolveFlags::NO_XDEV;
    }
    let flags = flags | OFlags::CLOEXEC;
    match openat2(&folder, path, flags, Mode::empty(), resolve) {
        // Before Linux 5.6, or under a filter that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => step_by_step(folder, path, flags, mounts),
        opened => Ok(opened?),
    }
}

/// Does the same with older means: each part is opened by itself, as what it is.
fn step_by_step(
    folder: impl AsFd,
    path: &Path,
    flags: OFlags,
    mounts: Mounts,
) -> io::Result<OwnedFd> {
    let parts: Option<Vec<&OsStr>> = path.components().map(plain).collect();
    let parts = parts.ok_or(Errno::XDEV)?;
    let (last, parents) = parts.split_last().ok_or(Errno::NOENT)?;
    let device = fstat(&folder)?.st_dev;
    let step = |folder: OwnedFd, name: &OsStr, flags: OFlags| {
        let opened = openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
        let found = fstat(&opened)?;
        if mounts == Mounts::Same && found.st_dev != device {
            return Err(Errno::XDEV);
        }
        // Opened as a path, a link is no error of itself.
        match rustix::fs::FileType::from_raw_mode(found.st_mode).is_symlink() {
            true => Err(Errno::LOOP),
            false => Ok(opened),
        }
    };
    let mut folder = folder.as_fd().try_clone_to_owned()?;
    for parent in parents {
        folder = step(folder, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC)?;
    }
    Ok(step(folder, last, flags)?)
}

fn plain(part: Component<'_>) -> Option<&OsStr> {
    match part {
        Component::Normal(name) => Some(name),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    type Opener = fn(&fs::File, &Path, OFlags, Mounts) -> io::Result<OwnedFd>;

    #[test]
    fn only_what_lies_below_is_opened_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("base/inner")).unwrap();
        fs::write(at("base/inner/file"), "").unwrap();
        fs::write(at("outside"), "").unwrap();
        symlink(at("outside"), at("base/link")).unwrap();
        symlink("inner", at("base/folder")).unwrap();
        symlink(at("base/inner/file"), at("base/absolute")).unwrap();
        let base = fs::File::open(at("base")).unwrap();
        let by_kernel: Opener = |base, path, flags, mounts| open(base, path, flags, mounts);
        let by_hand: Opener = |base, path, flags, mounts| step_by_step(base, path, flags, mounts);
        for opener in [by_kernel, by_hand] {
            for flags in [OFlags::PATH, OFlags::RDONLY] {
                let opened = |path: &str| opener(&base, Path::new(path), flags, Mounts::Same);
                assert!(opened("inner/file").is_ok() && opened("inner").is_ok());
                for path in [
                    "link",
                    "folder/file",
                    "absolute",
                    "../outside",
                    "inner/../../outside",
                    "/etc/passwd",
                    "",
                    "inner/absent",
                ] {
                    assert!(opened(path).is_err(), "{path} {flags:?}");
                }
                assert!(
                    opener(&base, Path::new("folder"), flags, Mounts::Any).is_err(),
                    "{flags:?}"
                );
            }
        }
    }

    #[test]
    fn a_magic_link_and_another_file_system_are_refused() {
        let proc = fs::File::open("/proc").unwrap();
        let root = fs::File::open("/").unwrap();
        let by_kernel: Opener = |base, path, flags, mounts| open(base, path, flags, mounts);
        let by_hand: Opener = |base, path, flags, mounts| step_by_step(base, path, flags, mounts);
        for opener in [by_kernel, by_hand] {
            let opened =
                |base, path: &str, mounts| opener(base, Path::new(path), OFlags::PATH, mounts);
            let me = std::process::id();
            assert!(opened(&proc, &format!("{me}/root/etc"), Mounts::Same).is_err());
            assert!(opened(&proc, "self/stat", Mounts::Same).is_err());
            assert!(opened(&proc, &format!("{me}/stat"), Mounts::Same).is_ok());
            assert!(opened(&root, &format!("proc/{me}/stat"), Mounts::Same).is_err());
            assert!(opened(&root, &format!("proc/{me}/stat"), Mounts::Any).is_ok());
        }
    }
}
