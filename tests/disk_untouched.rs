//! Commands that only answer leave the disk as it is, for root and for any other user.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail as the test does")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A user who is not root and owns nothing.
const USER: u32 = 61_234;
/// The state directory of an agent of root, unless another one is named.
const STATE_DIR_OF_ROOT: &str = "/var/lib/device-worker-ng";

/// No agent listens there.
const NOWHERE: &str = "unix:/nonexistent/agent.sock";

const COMMANDS: [&[&str]; 6] = [
    &["check", "--config", "config.yaml"],
    &["--config", "config.yaml", "status"],
    &["status", "web", "--json", "--address", NOWHERE],
    &["eval", "cpu < 5", "--metric", "cpu=3"],
    &["cron", "@daily"],
    &["logs", "web", "--previous"],
];

/// All that a change of a file or folder leaves behind: kind and mode, owner, group, number, times of
/// change, size and content.
type Trace = ([u64; 4], [i64; 4], Vec<u8>);

/// Returns the traces of everything below a folder, if it is there.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Trace> {
    let mut traces = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(found) = path.symlink_metadata() else { continue };
        if found.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten();
            left.extend(entries.map(|entry| entry.unwrap().path()));
        }
        let content = if found.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let about = [found.mode().into(), found.uid().into(), found.gid().into(), found.ino()];
        let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
        traces.insert(path, (about, times, content));
    }
    traces
}

/// A user's home, with a configuration of manifests.
struct Home {
    folder: TempDir,
    user: Option<u32>,
}

impl Home {
    fn of(user: Option<u32>, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        let text = format!("MANIFESTS: manifests\nMETRICS_LISTEN: {NOWHERE}\n{more}");
        fs::write(folder.path().join("config.yaml"), text).unwrap();
        let home = Self { folder, user };
        for (name, mode) in [("", 0o755), ("manifests", 0o755), ("config.yaml", 0o600)] {
            home.own(name, mode);
        }
        home
    }

    fn own(&self, name: &str, mode: u32) {
        let path = self.folder.path().join(name);
        if let Some(user) = self.user {
            chown(&path, Some(user), Some(user)).unwrap();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn answer(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_device-worker-ng"));
        command.args(words).env_clear().current_dir(self.folder.path());
        for name in ["HOME", "TMPDIR", "XDG_RUNTIME_DIR"] {
            command.env(name, self.folder.path());
        }
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.output().unwrap()
    }

    /// Gives every command and finds nothing changed; returns what `check` wrote.
    fn untouched(&self) -> Output {
        let all = || (tree(self.folder.path()), tree(Path::new(STATE_DIR_OF_ROOT)));
        let answers = COMMANDS.map(|words| {
            let before = all();
            let answer = self.answer(words);
            assert_eq!(before, all(), "{words:?} of user {:?}: {answer:?}", self.user);
            answer
        });
        // It was not the command line that kept them from touching anything.
        let codes = answers.each_ref().map(|answer| answer.status.code());
        assert_eq!(codes[1..], [3, 3, 0, 0, 1].map(Some), "{answers:?}");
        let [check, ..] = answers;
        check
    }
}

/// The user of the tests and, if that is root, another one.
fn users() -> Vec<Option<u32>> {
    if rustix::process::geteuid().is_root() { vec![None, Some(USER)] } else { vec![None] }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn commands_that_answer_make_no_state_directory_where_there_is_none() {
    for user in users() {
        for more in ["", "STATE_DIR: state/deeper\n"] {
            let home = Home::of(user, more);
            let check = home.untouched();
            assert_eq!(check.status.code(), Some(0), "{check:?}");
            let said = text(&check.stdout);
            let is_default_of_root = more.is_empty() && user.is_none();
            if !is_default_of_root || !Path::new(STATE_DIR_OF_ROOT).exists() {
                assert!(said.contains("a start makes "), "{said}");
                assert!(said.contains(", for its owner only\n"), "{said}");
            }
        }
    }
}

#[test]
fn commands_that_answer_leave_a_state_directory_as_it_is() {
    for user in users() {
        let home = Home::of(user, "STATE_DIR: state\n");
        fs::create_dir(home.folder.path().join("state")).unwrap();
        home.own("state", 0o700);
        let check = home.untouched();
        assert_eq!(check.status.code(), Some(0), "{check:?}");
        assert!(!text(&check.stdout).contains("a start makes "), "{check:?}");
        fs::write(home.folder.path().join("state/device-id"), "made-before\n").unwrap();
        home.own("state/device-id", 0o600);
        let said = text(&home.untouched().stdout);
        assert!(said.contains(" made-before  (default)"), "{said}");
        // One that others can write to is closed by a start alone.
        home.own("state", 0o777);
        let check = home.untouched();
        assert_eq!(check.status.code(), Some(0), "{check:?}");
        let said = text(&check.stderr);
        assert!(said.contains("is closed to them at a start (mode 755)"), "{said}");
        // What another user may have put there is believed no more than at a start.
        home.own("state/device-id", 0o666);
        let check = home.untouched();
        assert_eq!(check.status.code(), Some(2), "{check:?}");
        assert!(text(&check.stderr).contains("it is not believed"), "{check:?}");
    }
}

#[test]
fn a_check_finds_that_a_start_could_not_make_the_state_directory() {
    for user in users() {
        let home = Home::of(user, "STATE_DIR: manifests/none.yaml/state\n");
        fs::write(home.folder.path().join("manifests/none.yaml"), "").unwrap();
        let check = home.untouched();
        assert_eq!(check.status.code(), Some(2), "{check:?}");
        assert!(text(&check.stderr).contains("state cannot be made: "), "{check:?}");
        if user.is_some() {
            let home = Home::of(user, "STATE_DIR: /var/lib/of-nobody/state\n");
            let check = home.untouched();
            assert_eq!(check.status.code(), Some(2), "{check:?}");
            let said = text(&check.stderr);
            assert!(said.contains("cannot be made: Permission denied"), "{said}");
        }
    }
}
