//! A machine of its own: a Debian that systemd has booted, in a container.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything that is expected to happen.
const PATIENCE: Duration = Duration::from_secs(90);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// The package's name, and its unit's.
pub const NAME: &str = "device-worker-ng";

/// A booted machine. Dropping it ends it, and leaves nothing behind.
pub struct Machine {
    process: Child,
    folder: TempDir,
    /// Its systemd, as this machine numbers it.
    init: u32,
}

impl Machine {
    /// Boots one upon the root that PACKAGE_ROOT names.
    pub fn boot() -> Self {
        let root = std::env::var("PACKAGE_ROOT").expect("PACKAGE_ROOT: run make test-package");
        let folder = tempfile::Builder::new().prefix("dwp").tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/package/machine.sh");
        let log = fs::File::create(folder.path().join("log")).unwrap();
        // A test that is killed takes its machine along.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "bash"])
            .arg(script)
            .arg(folder.path().join("machine"))
            .arg(root)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut machine = Self { process, folder, init: 0 };
        machine.init = machine.wait_until_up();
        // Of the controllers of cgroup v1 systemd-nspawn lets a machine only read.
        machine.run("for group in /sys/fs/cgroup/*; do mount -o remount,rw,bind $group || :; done");
        machine
    }

    /// Returns its systemd; fails at once where no machine can be booted.
    fn wait_until_up(&mut self) -> u32 {
        let start = Instant::now();
        loop {
            let init = self.first_process();
            let state =
                init.map(|init| enter(init, "systemctl is-system-running").output().unwrap());
            if state.is_some_and(|state| state.stdout.trim_ascii() == b"running") {
                return init.unwrap();
            }
            let ended = self.process.try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < PATIENCE,
                "no machine: these tests need root, and a kernel that lets systemd-nspawn boot one \
                 (cgroups, namespaces, overlayfs). It said:{}",
                self.journal()
            );
            thread::park_timeout(LOOK);
        }
    }

    /// The script waits for a shell, that for systemd-nspawn, and that for the machine's first process.
    fn first_process(&self) -> Option<u32> {
        first_child(first_child(first_child(self.process.id())?)?)
    }

    /// Runs a shell command in it, as root.
    pub fn try_run(&self, command: &str) -> Output {
        enter(self.init, command).output().unwrap()
    }

    /// Runs a shell command that must succeed; returns what it wrote, trimmed.
    pub fn run(&self, command: &str) -> String {
        let output = self.try_run(command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {said}{}", self.journal());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Returns whether a shell command succeeds.
    pub fn can(&self, command: &str) -> bool {
        self.try_run(command).status.success()
    }

    /// Writes a file, with the folders that it needs.
    pub fn write(&self, path: &str, content: &[u8]) {
        let script = format!("mkdir -p $(dirname {path}) && cat > {path}");
        let mut writer = enter(self.init, &script).stdin(Stdio::piped()).spawn().unwrap();
        writer.stdin.take().unwrap().write_all(content).unwrap();
        assert!(writer.wait().unwrap().success(), "{path}");
    }

    /// Copies a file of the project.
    pub fn copy(&self, from: &Path, to: &str) {
        self.write(to, &fs::read(from).unwrap_or_else(|error| panic!("{from:?}: {error}")));
    }

    /// Installs a package as an administrator does.
    pub fn install(&self, package: &Path) {
        self.copy(package, "/root/package.deb");
        self.apt("install -y --no-install-recommends -qq /root/package.deb");
    }

    /// Runs apt-get in it, once whatever else of the machine holds its locks has ended.
    pub fn apt(&self, arguments: &str) {
        self.run(&format!("apt-get -o DPkg::Lock::Timeout=60 {arguments}"));
    }

    /// Waits until `condition` holds.
    pub fn eventually<T>(&self, what: &str, condition: impl Fn(&Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = condition(self) {
                return value;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain: {what}{}", self.journal());
            thread::park_timeout(LOOK);
        }
    }

    /// Waits until the agent's status fulfils `condition`, and returns it.
    pub fn status(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.eventually(what, |machine| {
            let answer = machine.try_run(&format!("{NAME} status --json"));
            let status = serde_json::from_slice(&answer.stdout).ok()?;
            condition(&status).then_some(status)
        })
    }

    /// Waits until the agent's status gives a workload this one.
    pub fn wait_for(&self, workload: &str, status: &str) -> Value {
        let status = self.status(&format!("{workload} is {status}"), |all| {
            find_workload(all, workload).is_some_and(|it| it["status"] == status)
        });
        find_workload(&status, workload).cloned().unwrap()
    }

    /// Returns the id of the container of a workload that runs.
    pub fn container(&self, workload: &str) -> String {
        self.run(&format!("podman ps --quiet --no-trunc --filter name=^{workload}-"))
    }

    /// Gives podman an image with a shell, `localhost/busybox:test`.
    pub fn import_busybox(&self) {
        self.run(
            "mkdir -p /root/image/bin && cp /bin/busybox /root/image/bin && cd /root/image && \
             for name in sh sleep echo; do ln -s busybox bin/$name; done && \
             tar -c . | podman import --quiet --change 'ENV PATH=/bin' - localhost/busybox:test",
        );
    }

    /// The last lines of the agent, and of the machine, for a message.
    fn journal(&self) -> String {
        let mut text = String::from("\n");
        if self.init > 0 {
            let lines = self.try_run("journalctl --no-pager --lines 60 --output cat");
            let _ = write!(text, "{}", String::from_utf8_lossy(&lines.stdout));
        }
        let boot = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let tail: Vec<_> = boot.lines().rev().take(10).collect();
        tail.into_iter().rev().fold(text, |text, line| text + line + "\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The shell is the first process of a namespace: the kernel ends all others before it has
        // ended, and the script waits for that.
        let shell = first_child(self.process.id()).and_then(|shell| i32::try_from(shell).ok());
        match shell.and_then(Pid::from_raw) {
            Some(shell) => drop(kill_process(shell, Signal::KILL)),
            None => drop(self.process.kill()),
        }
        let _ = self.process.wait();
    }
}

fn first_child(process: u32) -> Option<u32> {
    let children = format!("/proc/{process}/task/{process}/children");
    fs::read_to_string(children).ok()?.split_whitespace().next()?.parse().ok()
}

/// Returns a shell command as root of the machine with this first process.
fn enter(init: u32, command: &str) -> Command {
    let mut enter = Command::new("nsenter");
    enter
        .args(["--target", &init.to_string(), "--all", "env", "-i", "HOME=/root"])
        .args(["LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
        .args(["DEBIAN_FRONTEND=noninteractive", "sh", "-c", command])
        .stdin(Stdio::null());
    enter
}

/// Returns what a status says of a workload.
pub fn find_workload<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["workloads"].as_array()?.iter().find(|workload| workload["workload"] == name)
}

/// Returns the folder that cargo builds into.
pub fn target() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().find(|path| path.ends_with("debug")).unwrap().parent().unwrap().to_owned()
}

/// Returns the one file of a folder below the target whose name starts and ends so.
pub fn built(folder: &str, start: &str, end: &str) -> PathBuf {
    let folder = target().join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let files = entries.map(|entry| entry.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(start) && name.ends_with(end)
    });
    let files: Vec<_> = files.collect();
    assert_eq!(files.len(), 1, "{start}*{end} in {folder:?}: {files:?}; run make test-package");
    files.into_iter().next().unwrap()
}

/// Returns the package for Debian.
pub fn deb() -> PathBuf {
    built("packages", &format!("{NAME}_{}-1_", env!("CARGO_PKG_VERSION")), ".deb")
}

/// Returns the same package, of a later version.
pub fn later_deb() -> PathBuf {
    built("package-test", &format!("{NAME}_"), ".deb")
}

/// Returns the path of a file of the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
