//! Reads the files of the host. What is not there, or cannot be read, is left out.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// The kernel's `/proc`, whose files about the whole host are the same in every container.
    pub proc: PathBuf,
    /// The kernel's `/sys`.
    pub sys: PathBuf,
    /// A path on the file system whose room is read.
    pub disk: PathBuf,
}

impl Default for Folders {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), disk: "/".into() }
    }
}

/// What was read, as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `/proc/stat`.
    pub stat: Option<String>,
    /// `/proc/meminfo`.
    pub meminfo: Option<String>,
    /// `/proc/pressure/cpu`.
    pub cpu_pressure: Option<String>,
    /// `/proc/pressure/memory`.
    pub memory_pressure: Option<String>,
    /// `/proc/pressure/io`.
    pub io_pressure: Option<String>,
    /// `temp` of each thermal zone that tells one.
    pub zones: Vec<String>,
    /// The room on the disk.
    pub disk: Option<Disk>,
}

/// The room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// What is taken.
    pub used: u64,
    /// What a user other than root may still take.
    pub free: u64,
}

/// Reads the host once.
#[must_use]
pub fn read(folders: &Folders) -> Facts {
    let proc = |name: &str| fs::read_to_string(folders.proc.join(name)).ok();
    Facts {
        stat: proc("stat"),
        meminfo: proc("meminfo"),
        cpu_pressure: proc("pressure/cpu"),
        memory_pressure: proc("pressure/memory"),
        io_pressure: proc("pressure/io"),
        zones: zones(&folders.sys.join("class/thermal")),
        disk: disk(&folders.disk),
    }
}

/// Beside the zones the folder has cooling devices, which have no `temp`. A zone whose sensor sleeps
/// gives an error when read.
fn zones(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_to_string(entry.path().join("temp")).ok()).collect()
}

fn disk(path: &Path) -> Option<Disk> {
    let room = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
    Some(Disk {
        used: bytes(room.f_blocks.saturating_sub(room.f_bfree)),
        free: bytes(room.f_bavail),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes files below a folder, and returns it as the host's.
    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Folders) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let folders = Folders {
            proc: root.path().join("proc"),
            sys: root.path().join("sys"),
            disk: root.path().to_owned(),
        };
        (root, folders)
    }

    #[test]
    fn each_source_is_read_from_its_file() {
        let (_root, folders) = host(&[
            ("proc/stat", "s"),
            ("proc/meminfo", "m"),
            ("proc/pressure/cpu", "pc"),
            ("proc/pressure/memory", "pm"),
            ("proc/pressure/io", "pi"),
            ("sys/class/thermal/thermal_zone0/temp", "41000"),
            ("sys/class/thermal/thermal_zone1/type", "sleeps"),
            ("sys/class/thermal/cooling_device0/cur_state", "0"),
        ]);
        let facts = read(&folders);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            Facts { disk: None, ..facts.clone() },
            Facts {
                stat: text("s"),
                meminfo: text("m"),
                cpu_pressure: text("pc"),
                memory_pressure: text("pm"),
                io_pressure: text("pi"),
                zones: vec!["41000".to_owned()],
                disk: None,
            }
        );
        assert!(facts.disk.is_some_and(|disk| disk.used > 0), "{facts:?}");
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let (root, folders) = host(&[]);
        let nowhere = Folders { disk: root.path().join("none"), ..folders };
        assert_eq!(read(&nowhere), Facts::default());
    }
}
