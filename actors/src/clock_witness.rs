//! Looks for what speaks for the machine's wall clock.
//!
//! The kernel's own word is adjtimex(2), which no safe function gives, and which ProtectClock= of the
//! agent's unit forbids. systemd's timedated passes it on, whichever time service it is: timesyncd, chrony,
//! ntpd. Where there is no systemd, only the disk and the time since boot speak.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::DateTime;
use futures_util::future::LocalBoxFuture;

use crate::blocking::OneAtATime;
use crate::program::{self, Bounds};
use crate::scheduler::{ClockEvidence, ClockWitness, Written};

/// Longer than a call over D-Bus takes to fail.
const LIMIT: Duration = Duration::from_secs(40);
/// What systemd's program may take: as long as that call, and a word.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(30), answer: 64 };
/// systemd-timesyncd makes it when it has set the clock for the first time since boot.
const SYNCHRONIZED: &str = "run/systemd/timesync/synchronized";
/// systemd's own program, which asks timedated.
const TIMEDATECTL: &str = "usr/bin/timedatectl";
/// What was written when the system was, or while its clock was right.
const WRITTEN: [&str; 3] =
    ["proc/self/exe", "usr/lib/clock-epoch", "var/lib/systemd/timesync/clock"];
/// Folders of the state directory besides itself.
const FOLDERS: [&str; 3] = ["", "configuration", "identity"];

/// The machine that the agent runs on.
pub struct MachineWitness {
    root: PathBuf,
    state_dir: PathBuf,
    /// What was written last when the agent started: what it writes later has the time that is in doubt.
    newest: Arc<OnceLock<Option<Written>>>,
    turn: OneAtATime,
}

impl MachineWitness {
    /// Returns a witness for an agent that keeps its state in `state_dir`. Touches nothing yet.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self::below(Path::new("/"), state_dir)
    }

    fn below(root: &Path, state_dir: &Path) -> Self {
        Self {
            root: root.to_owned(),
            state_dir: state_dir.to_owned(),
            newest: Arc::default(),
            turn: OneAtATime::default(),
        }
    }
}

impl ClockWitness for MachineWitness {
    fn look(&self) -> LocalBoxFuture<'static, Option<ClockEvidence>> {
        let (root, state_dir) = (self.root.clone(), self.state_dir.clone());
        let (newest, turn) = (Arc::clone(&self.newest), self.turn.clone());
        Box::pin(async move {
            let look = move || ClockEvidence {
                newest: newest.get_or_init(|| newest_in(&root, &state_dir)).clone(),
                is_synchronized: is_synchronized(&root),
                uptime: uptime(),
            };
            turn.run("looking at the clock", LIMIT, look).await.ok()
        })
    }
}

fn is_synchronized(root: &Path) -> bool {
    if root.join(SYNCHRONIZED).exists() {
        return true;
    }
    let words = ["show", "--property=NTPSynchronized", "--value"];
    let answer = program::answer(&root.join(TIMEDATECTL), words, &[], BOUNDS);
    answer.is_ok_and(|answer| answer.trim_ascii() == b"yes")
}

fn uptime() -> Duration {
    Duration::from_secs(u64::try_from(rustix::system::sysinfo().uptime).unwrap_or_default())
}

/// Returns what was written last of the agent's state, the agent itself and the system's marks.
fn newest_in(root: &Path, state_dir: &Path) -> Option<Written> {
    let folders = FOLDERS.iter().map(|name| state_dir.join(name));
    let entries = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let marks = WRITTEN.iter().map(|path| root.join(path));
    let written = entries.map(|entry| entry.path()).chain(marks).filter_map(|path| {
        let found = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let at = DateTime::from(found.modified().ok()?);
        Some(Written { at, what: path.display().to_string() })
    });
    written.max_by_key(|written| written.at)
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::SystemTime;

    use super::*;

    /// Puts `text` into a file that was written so many seconds after 1970.
    fn put(root: &Path, path: &str, text: &str, seconds: u64) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_times(FileTimes::new().set_modified(at))
            .unwrap();
    }

    async fn look(root: &Path) -> ClockEvidence {
        MachineWitness::below(root, &root.join("state")).look().await.unwrap()
    }

    #[actix::test]
    async fn a_machine_without_systemd_has_no_time_service_and_a_time_since_boot() {
        let root = tempfile::tempdir().unwrap();
        let seen = look(root.path()).await;
        assert!(!seen.is_synchronized && seen.newest.is_none(), "{seen:?}");
        assert!(seen.uptime > Duration::ZERO);
    }

    #[actix::test]
    async fn timesyncd_leaves_a_file_and_timedated_speaks_for_every_other_service() {
        let root = tempfile::tempdir().unwrap();
        let answers = |script: &str| {
            put(root.path(), TIMEDATECTL, &format!("#!/bin/sh\n{script}\n"), 0);
            let path = root.path().join(TIMEDATECTL);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let asked = r#"[ "$*" = "show --property=NTPSynchronized --value" ] || exit 3"#;
        for (script, expected) in [
            (format!("{asked}; echo yes"), true),
            (format!("{asked}; echo no"), false),
            // One that has no end is no word either.
            ("exec yes yes".to_owned(), false),
            ("echo Failed to query server: no such service >&2; exit 1".to_owned(), false),
        ] {
            answers(&script);
            assert_eq!(look(root.path()).await.is_synchronized, expected, "{script}");
        }
        put(root.path(), SYNCHRONIZED, "", 0);
        assert!(look(root.path()).await.is_synchronized);
    }

    #[actix::test]
    async fn what_was_written_last_is_found_in_the_state_and_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let newest = async || look(root.path()).await.newest.unwrap();
        for (path, seconds) in [
            ("usr/lib/clock-epoch", 1_600_000_000),
            ("state/images.json", 1_600_000_001),
            ("state/identity/key.pem", 1_600_000_002),
            ("state/configuration/previous", 1_600_000_003),
            ("var/lib/systemd/timesync/clock", 1_600_000_004),
        ] {
            put(root.path(), path, "x", seconds);
            let found = newest().await;
            assert_eq!(found.what, root.path().join(path).display().to_string());
            assert_eq!(found.at.timestamp(), i64::try_from(seconds).unwrap());
        }
    }

    #[actix::test]
    async fn what_the_agent_writes_by_a_clock_in_doubt_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "state/configuration/current", "x", 1_700_000_000);
        let witness = MachineWitness::below(root.path(), &root.path().join("state"));
        let first = witness.look().await.unwrap().newest;
        put(root.path(), "state/configuration/current", "y", 1_800_000_000);
        assert_eq!(witness.look().await.unwrap().newest, first);
    }
}
