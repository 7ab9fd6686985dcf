//! apt's locks, in a system of apt's own below a temporary folder, held by another program: this test.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};
use tempfile::TempDir;

use crate::stage::project;

/// Longer than anything takes here: apt waits in steps of five seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A system without packages, that has none to get either.
struct System {
    folder: TempDir,
}

impl System {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for below in [
            "dpkg/updates",
            "lists/partial",
            "cache/archives/partial",
            "etc/apt.conf.d",
            "etc/sources.list.d",
        ] {
            fs::create_dir_all(at(below)).unwrap();
        }
        fs::write(at("dpkg/status"), "").unwrap();
        let path = |name: &str| at(name).display().to_string();
        let config = format!(
            "Dir::State \"{}\";\nDir::State::status \"{}\";\nDir::State::lists \"{}\";\n\
             Dir::Cache \"{}\";\nDir::Etc \"{}\";\nAPT::Sandbox::User \"\";\n",
            path(""),
            path("dpkg/status"),
            path("lists"),
            path("cache"),
            path("etc"),
        );
        fs::write(at("apt.conf"), config).unwrap();
        Self { folder }
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Holds the lock of this path for as long as the file is open.
    fn hold(&self, lock: &str) -> File {
        let file = File::options().create(true).append(true).open(self.at(lock)).unwrap();
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        file
    }

    /// Starts the tests' apt-get upon this system.
    fn apt(&self, arguments: &[&str], patience: &str) -> Child {
        Command::new(project("tests/environment/apt.sh"))
            .args(arguments)
            .env("APT_CONFIG", self.at("apt.conf"))
            .env("APT_PATIENCE", patience)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// Whether this machine has apt at all: elsewhere nothing calls it.
fn has_apt() -> bool {
    Path::new("/usr/bin/apt-get").exists()
}

fn ends_within(child: &mut Child, patience: Duration) -> Option<i32> {
    let start = Instant::now();
    while start.elapsed() < patience {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    child.kill().unwrap();
    None
}

#[test]
fn apt_waits_for_whoever_holds_a_lock_and_then_does_its_work() {
    if !has_apt() {
        return;
    }
    for (lock, arguments) in [
        ("dpkg/lock-frontend", &["install", "-y"][..]),
        ("dpkg/lock", &["install", "-y"]),
        ("cache/archives/lock", &["install", "-y"]),
        ("lists/lock", &["update", "-q"]),
    ] {
        let system = System::new();
        let held = system.hold(lock);
        let mut apt = system.apt(arguments, "600");
        let mut said = BufReader::new(apt.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.starts_with("waiting for another program to release apt's lock"), "{line}");
        let place = if lock == "dpkg/lock" { "dpkg/" } else { lock };
        assert!(line.contains(place), "{line}");
        assert_eq!(apt.try_wait().unwrap(), None, "{lock}: it waits");
        drop(held);
        assert_eq!(ends_within(&mut apt, PATIENCE), Some(0), "{lock}");
    }
}

#[test]
fn apt_gives_a_lock_up_in_the_end_and_says_what_apt_says() {
    if !has_apt() {
        return;
    }
    let system = System::new();
    let _held = system.hold("lists/lock");
    let mut apt = system.apt(&["update", "-q"], "0");
    let mut said = String::new();
    apt.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(ends_within(&mut apt, PATIENCE), Some(100));
    assert!(said.contains("Could not get lock") && !said.contains("waiting"), "{said}");
}

#[test]
fn apt_waits_for_nothing_that_is_no_lock() {
    if !has_apt() {
        return;
    }
    let system = System::new();
    for (what, arguments) in [
        ("Unable to locate package", &["install", "-y", "no-such-package"][..]),
        ("Invalid operation", &["no-such-operation"]),
    ] {
        let mut apt = system.apt(arguments, "600");
        let mut said = String::new();
        apt.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(ends_within(&mut apt, PATIENCE), Some(100));
        assert!(said.contains(what) && !said.contains("waiting"), "{said}");
    }
    // A lock that only root may take is no lock of another program.
    let folder = system.at("dpkg");
    let mut apt = Command::new("setpriv");
    apt.args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(project("tests/environment/apt.sh"))
        .args(["install", "-y"])
        .env("APT_CONFIG", system.at("apt.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if rustix::process::geteuid().is_root() {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(system.folder.path(), open).unwrap();
        let mut apt = apt.spawn().unwrap();
        let mut said = String::new();
        apt.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(ends_within(&mut apt, PATIENCE), Some(100), "{folder:?}");
        assert!(said.contains("are you root") && !said.contains("waiting"), "{said}");
    }
}
