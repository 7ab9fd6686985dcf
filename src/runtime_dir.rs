//! The runtime directories that systemd gives a service: in memory, so what is kept there wears out no
//! flash.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, statfs};

/// The variable by which a service learns of them; several are separated by colons.
const GIVEN: &str = "RUNTIME_DIRECTORY";
/// Name of the directory as the units have it.
const NAME: &str = "device-worker-ng";
/// Ends the name of the directory for volumes in memory. It is one of its own: pods may mount the other,
/// for the listener's socket, and must not reach the volumes of others by that.
const MEMORY: &str = "-memory";
/// What statfs(2) says of a tmpfs.
const TMPFS: FsWord = 0x0102_1994;

/// Returns the directory that this process was given.
#[must_use]
pub fn given() -> Option<PathBuf> {
    all_given().into_iter().find(|path| !is_for_volumes(path))
}

/// Returns the directory that this process was given for volumes in memory, if it is in memory indeed.
#[must_use]
pub fn for_volumes() -> Option<PathBuf> {
    let given = all_given().into_iter().find(|path| is_for_volumes(path))?;
    let is_in_memory = statfs(&given).is_ok_and(|found| found.f_type == TMPFS);
    is_in_memory.then_some(given)
}

fn all_given() -> Vec<PathBuf> {
    let given = env::var(GIVEN).unwrap_or_default();
    given.split(':').filter(|path| path.starts_with('/')).map(PathBuf::from).collect()
}

fn is_for_volumes(path: &Path) -> bool {
    path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.ends_with(MEMORY))
}

/// Returns where the service of this user keeps the logs of failed runs.
#[must_use]
pub fn kept_logs_of_service(is_root: bool) -> Option<PathBuf> {
    of_service(is_root).map(|folder| kept_logs(&folder))
}

/// Returns the directory that the service of this user is given.
fn of_service(is_root: bool) -> Option<PathBuf> {
    let users = || env::var_os("XDG_RUNTIME_DIR").map(|path| Path::new(&path).join(NAME));
    given().or_else(|| if is_root { Some(Path::new("/run").join(NAME)) } else { users() })
}

/// Returns where the logs of failed runs are kept below it.
#[must_use]
pub fn kept_logs(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("kept-logs")
}
