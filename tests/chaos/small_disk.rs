//! A small filesystem that only the agent sees, so that nothing is left when the test is killed.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::agent::eventually;

/// Its size: room for the state of a few workloads.
const SIZE: &str = "size=256k";

/// A mount namespace with the filesystem in it.
pub struct SmallDisk {
    holder: Child,
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts it at `folder`, which is made.
    pub fn at(folder: &Path) -> Self {
        fs::create_dir(folder).unwrap();
        let script =
            format!("mount -t tmpfs -o {SIZE},mode=700 small \"$0\" && exec sleep infinity");
        let holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "sh", "-c", &script])
            .arg(folder)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let disk = Self { holder, folder: folder.to_owned() };
        let mounts = format!("/proc/{}/mounts", disk.holder.id());
        eventually("the small filesystem is mounted", || {
            let mounts = fs::read_to_string(&mounts).ok()?;
            mounts.lines().any(|mount| mount.starts_with("small ")).then_some(())
        });
        disk
    }

    /// Returns the words before a command that shall see it.
    pub fn enter(&self) -> Vec<String> {
        ["nsenter", "--mount", "--target", &self.holder.id().to_string()].map(str::to_owned).into()
    }

    /// Leaves no room in it.
    pub fn fill(&self) {
        let mut ballast = fs::File::create(self.ballast()).unwrap();
        let full = (0..100_000).find_map(|_| ballast.write_all(&[0; 512]).err());
        assert!(full.is_some(), "the filesystem has no bounds");
    }

    /// Undoes [`Self::fill`].
    pub fn empty(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        let inside = self.folder.join("ballast");
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(inside.strip_prefix("/").unwrap())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
