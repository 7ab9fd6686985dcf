//! A virtual machine of its own: booted, talked to, rebooted, and unplugged.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything that is expected to happen: the machine is emulated, ten times slower
/// than the one that it runs on.
const PATIENCE: Duration = Duration::from_secs(400);
/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Follows what a command wrote, with its exit code.
const END: &str = "__ended_with=";
/// The image that root's podman has.
pub const IMAGE: &str = "localhost/busybox:test";
/// The package's name, and its unit's.
pub const NAME: &str = "device-worker-ng";

/// A machine. Dropping it ends it, and leaves nothing behind.
pub struct Machine {
    qemu: Option<Child>,
    folder: TempDir,
    /// The port of this machine by which the shell of that one is reached.
    port: u16,
}

/// What a command came to.
pub struct Ended {
    /// Its exit code; `None` where the machine did not answer.
    pub code: Option<i32>,
    /// What it wrote, on either stream, trimmed.
    pub text: String,
}

impl Ended {
    /// Returns whether it succeeded.
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }
}

impl Machine {
    /// Boots a machine on which the package was installed, as an administrator does, and whose
    /// podman has an image.
    pub fn boot() -> Self {
        Self::boot_from(&installed(), "qcow2")
    }

    fn boot_from(disk: &Path, format: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("dwm").tempdir().unwrap();
        let made = Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", format, "-b"])
            .arg(disk)
            .arg(folder.path().join("disk"))
            .status();
        assert!(made.expect("qemu-img: run make test-machine").success(), "no disk");
        let mut machine = Self { qemu: None, folder, port: free_port() };
        machine.start();
        machine
    }

    /// Switches it off in good order, and keeps its disk.
    fn keep_as(mut self, disk: &Path) {
        // It may be gone before it has answered.
        self.try_run("systemctl poweroff --no-block");
        let ended = self.qemu.take().unwrap().wait().unwrap();
        assert!(ended.success(), "{ended}");
        fs::copy(self.folder.path().join("disk"), disk).unwrap();
    }

    /// Puts the plug in.
    pub fn start(&mut self) {
        assert!(self.qemu.is_none(), "it runs already");
        let log = fs::File::create(self.folder.path().join("qemu.log")).unwrap();
        let disk = self.folder.path().join("disk");
        let console = self.folder.path().join("console");
        // no_timer_check: on a busy machine the emulated timer is late, and the kernel would panic.
        // cache=none: what the machine has not flushed is lost with it. A machine whose test was
        // killed goes along.
        let qemu = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
            .args(["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem-v1"])
            .args(["-smp", "2", "-m", "1536", "-nodefaults", "-no-user-config", "-display", "none"])
            .arg("-kernel")
            .arg(part("vmlinuz"))
            .arg("-initrd")
            .arg(part("initrd"))
            .args([
                "-append",
                "root=/dev/vda ro console=ttyS0 net.ifnames=0 panic=5 \
                mitigations=off nokaslr no_timer_check audit=0 systemd.gpt_auto=0 systemd.firstboot=off quiet",
            ])
            .arg("-drive")
            .arg(format!("file={},format=qcow2,if=virtio,cache=none,discard=unmap", disk.display()))
            .arg("-netdev")
            .arg(format!("user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{}-10.0.2.15:23", self.port))
            .args(["-device", "virtio-net-pci,netdev=n,romfile=", "-device", "virtio-rng-pci"])
            .arg("-chardev")
            .arg(format!("file,id=c,path={},append=on", console.display()))
            .args(["-device", "isa-serial,chardev=c"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.qemu = Some(qemu.unwrap());
        self.wait_until_up("");
    }

    /// Pulls the plug.
    pub fn cut(&mut self) {
        let mut qemu = self.qemu.take().expect("it runs");
        qemu.kill().unwrap();
        qemu.wait().unwrap();
    }

    /// Lets systemd reboot, and waits for the next boot. Returns how long the shutdown took, from
    /// the order to the moment when the shell was gone.
    pub fn reboot(&mut self) -> Duration {
        let boot = self.boot_id().expect("it runs");
        self.try_run("systemctl reboot --no-block");
        let start = Instant::now();
        while self.boot_id().as_ref() == Some(&boot) {
            assert!(start.elapsed() < PATIENCE, "it does not shut down{}", self.journal());
            thread::park_timeout(LOOK);
        }
        let took = start.elapsed();
        self.wait_until_up(&boot);
        took
    }

    /// What was said of the shutdown before this boot, for a message.
    pub fn last_shutdown(&self) -> String {
        self.try_run("journalctl -b -1 --no-pager --lines 60 --output short-monotonic").text
    }

    fn boot_id(&mut self) -> Option<String> {
        let ended = self.ask("cat /proc/sys/kernel/random/boot_id", Duration::from_secs(4));
        ended.is_success().then_some(ended.text)
    }

    /// Waits until every job of a boot other than `last` is done.
    fn wait_until_up(&mut self, last: &str) {
        let start = Instant::now();
        loop {
            let boot = self.boot_id();
            if boot.is_some_and(|boot| boot != last) {
                break;
            }
            let ended = self.qemu.as_mut().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < PATIENCE,
                "no machine. It said:{}",
                self.journal()
            );
            thread::park_timeout(LOOK);
        }
        let state = self.try_run("systemctl is-system-running --wait");
        assert_eq!(
            state.text,
            "running",
            "{}{}",
            self.try_run("systemctl --failed").text,
            self.journal()
        );
    }

    /// Runs a shell command in it, as root.
    pub fn try_run(&self, command: &str) -> Ended {
        self.ask(command, PATIENCE)
    }

    /// Runs a shell command that must succeed; returns what it wrote, trimmed.
    pub fn run(&self, command: &str) -> String {
        let ended = self.try_run(command);
        assert!(ended.is_success(), "{command}: {:?} {}{}", ended.code, ended.text, self.journal());
        ended.text
    }

    /// Returns whether a shell command succeeds.
    pub fn can(&self, command: &str) -> bool {
        self.try_run(command).is_success()
    }

    fn ask(&self, command: &str, patience: Duration) -> Ended {
        let script = format!("{{ {command}\n}} </dev/null 2>&1; echo; echo {END}$?; exit\n");
        self.exchange(script.as_bytes(), patience)
    }

    /// Gives the shell its input, and reads what it writes to the end.
    fn exchange(&self, input: &[u8], patience: Duration) -> Ended {
        let mut text = Vec::new();
        // Without the machine the connection ends early, or nothing comes.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).and_then(|mut shell| {
            shell.set_read_timeout(Some(patience))?;
            shell.write_all(input)?;
            shell.read_to_end(&mut text)
        });
        let text = String::from_utf8_lossy(&text);
        match text.rsplit_once(END) {
            Some((text, code)) => {
                Ended { code: code.trim().parse().ok(), text: text.trim().to_owned() }
            }
            None => Ended { code: None, text: text.trim().to_owned() },
        }
    }

    /// Writes a file, with the folders that it needs.
    pub fn write(&self, path: &str, content: &[u8]) {
        let count = content.len();
        let mut input =
            format!("mkdir -p $(dirname {path}); head -c {count} >{path}\n").into_bytes();
        input.extend(content);
        write!(input, "\necho {END}$?; exit\n").unwrap();
        assert!(self.exchange(&input, PATIENCE).is_success(), "{path}");
        let written = self.run(&format!("stat --format %s {path}"));
        assert_eq!(written, count.to_string(), "{path}");
    }

    /// Copies a file of this machine.
    pub fn copy(&self, from: &Path, to: &str) {
        self.write(to, &fs::read(from).unwrap_or_else(|error| panic!("{from:?}: {error}")));
    }

    /// Gives root's podman an image with a shell under this name; of each name there is another one.
    pub fn import_image(&self, name: &str) {
        self.run(&format!(
            "rm -rf /root/image && mkdir -p /root/image/bin && cp /bin/busybox /root/image/bin && \
             cd /root/image && echo {name} >name && \
             for name in sh sleep echo date cat; do ln -s busybox bin/$name; done && \
             tar -c . | podman import --quiet --change 'ENV PATH=/bin' - {name}",
        ));
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
            let status = serde_json::from_str(&answer.text).ok()?;
            condition(&status).then_some(status)
        })
    }

    /// What the machine has to say, for a message: warnings of the agent, then the last lines of all.
    fn journal(&self) -> String {
        let patience = Duration::from_secs(30);
        let warnings = format!("journalctl -u {NAME} -p warning --no-pager -o cat | cut -c 1-500");
        let lines = "journalctl --no-pager --lines 60 --output short-monotonic | grep -v shell@";
        let ask = |command: &str| self.ask(command, patience).text;
        let mut text = format!("\n{}\n{}\n", ask(&warnings), ask(lines));
        for log in ["console", "qemu.log"] {
            let said = fs::read(self.folder.path().join(log)).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let tail: Vec<_> = said.lines().rev().take(15).collect();
            for line in tail.iter().rev() {
                let _ = writeln!(text, "{log}: {line}");
            }
        }
        text
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut qemu) = self.qemu.take() {
            let _ = qemu.kill();
            let _ = qemu.wait();
        }
    }
}

/// Returns the disk of a machine with the package. The first story makes it; as each has a process of
/// its own, the others wait for a lock.
fn installed() -> PathBuf {
    let deb = std::env::var_os("MACHINE_DEB").expect("MACHINE_DEB: run make test-machine");
    let deb = PathBuf::from(deb);
    let disk = part("installed.qcow2");
    let lock = fs::File::create(part("installed.lock")).unwrap();
    lock.lock().unwrap();
    let made_at = |path: &Path| fs::metadata(path).and_then(|file| file.modified());
    let newest = made_at(&deb).unwrap().max(made_at(&part("disk.raw")).unwrap());
    if made_at(&disk).is_ok_and(|at| at > newest) {
        return disk;
    }
    let machine = Machine::boot_from(&part("disk.raw"), "raw");
    machine.copy(&deb, "/root/package.deb");
    machine.run("dpkg --install /root/package.deb && rm /root/package.deb");
    machine.status("the agent answers", |_| true);
    machine.import_image(IMAGE);
    let partial = part("installed.partial");
    machine.keep_as(&partial);
    fs::rename(partial, &disk).unwrap();
    disk
}

/// Returns a port that nothing listens on.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Returns the path of a part of the machine.
fn part(name: &str) -> PathBuf {
    let folder = std::env::var_os("MACHINE").expect("MACHINE: run make test-machine");
    Path::new(&folder).join(name)
}
