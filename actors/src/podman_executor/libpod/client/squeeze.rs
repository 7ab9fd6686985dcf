//! Has the kernel take memory back from a container: cgroup v2's `memory.high`, in the container's own
//! control group.
//!
//! What is above it is taken back as if memory were short, and the container is slowed down, but never
//! killed for it. podman sets none, so that one that is set is the agent's.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;

use super::control_group::{ANOTHER_USERS, ROOT, is_control_groups, is_of};
use super::kernel_limits::{read, text_of};
use super::procfs::Procfs;
use crate::blocking::OneAtATime;
use crate::podman_executor::libpod::http::{Mounts, Peer, open_beneath};
use crate::podman_executor::libpod::in_force::{Resource, places};

/// The least that is left to a container, in bytes.
const LEAST: u64 = 16 << 20;
/// What the file says where nothing is set.
const UNSET: &str = "max";
const FILE: &str = "memory.high";
/// The kernel answers once it has taken the memory back, which it may first have to write to the disk.
const SQUEEZE_TIMEOUT: Duration = Duration::from_secs(20);
const V1: &str = "cgroup v1 has no memory.high; boot the device with cgroup v2 (systemd.unified_cgroup_hierarchy=1)";
const WAY_OUT: &str = "run the workload on root's podman, or an agent as that user";

/// Squeezes `container`, or no longer; `process` is one of its processes, by the number that `peer` gives it.
///
/// # Errors
/// It is to be squeezed and cannot be, or what is set cannot be lifted.
pub(super) async fn squeeze(
    kernel: &OneAtATime,
    peer: Option<Peer>,
    process: i64,
    container: &str,
    squeezed: bool,
) -> io::Result<()> {
    let Some(peer) = peer.filter(|peer| !peer.is_of_another_user()) else {
        return impossible(squeezed, format!("{ANOTHER_USERS}; {WAY_OUT}"));
    };
    let container = container.to_owned();
    let squeezing = move || {
        let membership = Procfs::of(peer)?.file(&format!("{process}/cgroup"), OFlags::RDONLY)?;
        match own_group(&text_of(membership)?, &container) {
            Ok(group) => apply(Path::new(ROOT), &group, squeezed),
            Err(why) => impossible(squeezed, why.to_owned()),
        }
    };
    let done = kernel.run("squeezing the container", SQUEEZE_TIMEOUT, squeezing).await;
    match done.map_err(io::Error::other)? {
        // It ended meanwhile: so says the kernel of a process, of a group, and of a group that is open.
        Err(error)
            if matches!(
                Errno::from_io_error(&error),
                Some(Errno::NOENT | Errno::SRCH | Errno::NODEV)
            ) =>
        {
            Ok(())
        }
        done => done,
    }
}

/// Where nothing can be set, nothing has to be lifted.
fn impossible(squeezed: bool, why: String) -> io::Result<()> {
    match squeezed {
        true => Err(io::Error::new(io::ErrorKind::Unsupported, why)),
        false => Ok(()),
    }
}

/// Returns the container's own group, below where control groups are mounted, by the `/proc/PID/cgroup` of one
/// of its processes; or why there is none that can be squeezed.
fn own_group(membership: &str, container: &str) -> Result<PathBuf, &'static str> {
    const NONE: &str = "its process is in no control group of its own";
    let places = places(membership, container, Resource::Memory).ok_or(NONE)?;
    if !places.is_unified {
        return Err(V1);
    }
    let own = places.levels.into_iter().find(|place| place.level.is_own);
    let own = own.map(|place| place.folder).ok_or(NONE)?;
    let name = own.file_name().and_then(|name| name.to_str());
    match name.is_some_and(|name| is_of(name, container)) {
        true => Ok(own),
        false => Err(NONE),
    }
}

fn apply(root: &Path, group: &Path, squeezed: bool) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(root, flags, Mode::empty())?;
    if !is_control_groups(&root)? {
        return Err(io::Error::other("no control groups are mounted there"));
    }
    let group = open_beneath(&root, group, flags, Mounts::Same)?;
    let high = read(&group, FILE)?;
    if high.is_empty() {
        return impossible(squeezed, "the memory controller is not at work for it".to_owned());
    }
    match setting(squeezed, &high, &read(&group, "memory.current")?)? {
        Some(value) => write(&group, &value),
        None => Ok(()),
    }
}

/// Returns what is to be set where `high` is set and the container holds `current`; `None` if nothing is.
fn setting(squeezed: bool, high: &str, current: &str) -> io::Result<Option<String>> {
    let is_set = high.trim() != UNSET;
    Ok(match (squeezed, is_set) {
        (true, false) => {
            let current: u64 = current.trim().parse().map_err(io::Error::other)?;
            Some((current / 4 * 3).max(LEAST).to_string())
        }
        (false, true) => Some(UNSET.to_owned()),
        (true, true) | (false, false) => None,
    })
}

fn write(group: &OwnedFd, value: &str) -> io::Result<()> {
    // Without O_NONBLOCK, with which newer kernels leave the memory where it is.
    let file = open_beneath(group, Path::new(FILE), OFlags::WRONLY | OFlags::NOCTTY, Mounts::Same)?;
    if !FileType::from_raw_mode(fstat(&file)?.st_mode).is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    File::from(file).write_all(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "10a910a910a910a910a910a910a910a910a910a910a910a910a910a910a910a9";
    const MIB: u64 = 1 << 20;

    #[test]
    fn a_quarter_of_what_a_container_holds_is_taken_back_once() {
        let held = |mib: u64| format!("{}\n", mib * MIB);
        let high = |mib: u64| Some((mib * MIB).to_string());
        for (squeezed, set, current, expected) in [
            (true, "max\n", held(400), high(300)),
            (true, "max\n", held(4), high(16)),
            // Again and again would leave nothing.
            (true, "314572800\n", held(300), None),
            (false, "314572800\n", held(300), Some("max".to_owned())),
            (false, "max\n", held(300), None),
        ] {
            let found = setting(squeezed, set, &current).unwrap();
            assert_eq!(found, expected, "{squeezed} {set} {current}");
        }
        assert!(setting(true, "max", "much").is_err());
    }

    #[test]
    fn only_a_group_that_is_surely_the_containers_own_is_squeezed() {
        let slice = "machine.slice/machine-libpod_pod_58.slice";
        for (membership, expected) in [
            (
                format!("0::/{slice}/libpod-{ID}.scope/container\n"),
                Ok(format!("{slice}/libpod-{ID}.scope")),
            ),
            (
                format!("0::/libpod_parent/58/libpod-{ID}\n"),
                Ok(format!("libpod_parent/58/libpod-{ID}")),
            ),
            (format!("9:memory:/libpod_parent/58/libpod-{ID}\n0::/\n"), Err("cgroup v1 has no")),
            (format!("0::/{slice}/my-libpod-{ID}.scope\n"), Err("its process is in no")),
            (format!("0::/libpod-conmon-{ID}\n"), Err("its process is in no")),
            (format!("0::/../../libpod-{ID}\n"), Err("its process is in no")),
            ("0::/user.slice\n".to_owned(), Err("its process is in no")),
            (String::new(), Err("its process is in no")),
        ] {
            match (own_group(&membership, ID), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, PathBuf::from(expected)),
                (Err(found), Err(expected)) => assert!(found.starts_with(expected), "{found}"),
                (found, _) => panic!("{membership}: {found:?}"),
            }
        }
    }

    #[test]
    fn nothing_is_written_but_control_groups() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        for kept in ["max", "1"] {
            std::fs::write(&file, kept).unwrap();
            assert!(apply(folder.path(), Path::new("."), kept == UNSET).is_err());
            assert_eq!(std::fs::read_to_string(&file).unwrap(), kept);
        }
    }

    #[test]
    fn nothing_has_to_be_lifted_where_nothing_can_be_set() {
        assert!(impossible(false, V1.to_owned()).is_ok());
        let error = impossible(true, V1.to_owned()).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::Unsupported, V1.to_owned()));
    }
}
