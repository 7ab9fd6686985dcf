//! Reads from the kernel which limits are in force.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};

use super::control_group::{ROOT, is_control_groups};
use super::procfs::Procfs;
use crate::blocking::OneAtATime;
use crate::podman_executor::libpod::http::{Mounts, Peer, open_beneath};
use crate::podman_executor::libpod::in_force::{Level, Places, Resource, files, limit_in, places};

/// The kernel answers at once.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// More than any of these files holds.
const MAX_LENGTH: u64 = 64 * 1_024;

/// Returns what limits `container` on each level, outermost first; `process` is one of its processes, by
/// the number that `peer` gives it. `None` when that cannot be seen.
pub(super) async fn levels(
    kernel: &OneAtATime,
    peer: Peer,
    process: i64,
    container: &str,
    resource: Resource,
) -> Option<Vec<Level>> {
    let container = container.to_owned();
    let look = move || {
        let membership = Procfs::of(peer).ok()?.file(&format!("{process}/cgroup"), OFlags::RDONLY);
        let places = places(&text_of(membership.ok()?).ok()?, &container, resource)?;
        read_levels(places, resource).ok()
    };
    kernel.run("reading the limits", READ_TIMEOUT, look).await.ok().flatten()
}

fn read_levels(places: Places, resource: Resource) -> io::Result<Vec<Level>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(Path::new(ROOT).join(places.hierarchy), flags, Mode::empty())?;
    if !is_control_groups(&root)? {
        return Err(io::Error::other("no control groups are mounted there"));
    }
    let names = files(resource, places.is_unified);
    let levels = places.levels.into_iter().map(|place| {
        let group = open_beneath(&root, &place.folder, flags, Mounts::Same)?;
        let texts = names.iter().map(|name| read(&group, name));
        let text = texts.collect::<io::Result<Vec<_>>>()?.join(" ");
        Ok(Level { limit: limit_in(resource, &text), ..place.level })
    });
    levels.collect()
}

/// Returns what a file of `group` holds: nothing where its controller is not at work on this level, which
/// limits nothing there.
pub(super) fn read(group: &OwnedFd, name: &str) -> io::Result<String> {
    match open_beneath(group, Path::new(name), OFlags::RDONLY, Mounts::Same) {
        Ok(file) => text_of(file.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

pub(super) fn text_of(file: File) -> io::Result<String> {
    let mut text = String::new();
    file.take(MAX_LENGTH).read_to_string(&mut text)?;
    Ok(text)
}
