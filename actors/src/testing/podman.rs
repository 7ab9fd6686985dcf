//! Real podman for tests: services that share nothing with the machine's own, and a registry.
//!
//! Each service has its own storage, namespaces and socket in a temporary folder; dropping it ends
//! every process in it and removes what it left. It needs root and Debian's packages; what is
//! missing ends the test with the name of the package, never in silence. The rootless service runs
//! as the user `dwtest`, which is made (with 65,536 subordinate ids) where it does not exist.
//! `PODMAN_ROOT` names the root of another Debian system whose podman is run instead.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a fixture of tests, which waits for real processes in real time"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The service's script; see its head.
const SCRIPT: &str = include_str!("hermetic_podman.sh");
/// The user of the rootless service.
const ROOTLESS_USER: &str = "dwtest";
/// The image that each service has from the start: busybox with `sh`, `sleep` and the like.
pub const IMAGE: &str = "localhost/busybox:test";
/// The user that [`PrivateRegistry`] lets in.
pub const REGISTRY_USER: &str = "bob";
/// The password of [`REGISTRY_USER`].
pub const REGISTRY_PASSWORD: &str = "planted-s3cret";
/// `bob:planted-s3cret` for the registry.
const HTPASSWD: &str = "bob:$2y$05$nprtT0aYfuf8opTTEBtWVu.j3V3D2gICm9lDQG/JU9BOV9eoKXoQy\n";
/// Where the registry listens, in the service's own network.
const REGISTRY: &str = "127.0.0.1:5000";
/// Begins the name of a service's folder.
const PREFIX: &str = "dw";
/// Holds the process id of the test that a folder belongs to.
const OWNER: &str = "owner";
/// A slow service goes on for so long at a time.
const AWAKE: Duration = Duration::from_millis(5);
/// Time for anything here to come up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Programs and the Debian packages that bring them.
const PROGRAMS: [(&str, &str); 9] = [
    ("podman", "podman"),
    ("runc", "runc"),
    ("conmon", "conmon"),
    ("netavark", "netavark"),
    ("catatonit", "catatonit"),
    ("slirp4netns", "slirp4netns"),
    ("newuidmap", "uidmap"),
    ("busybox", "busybox-static"),
    ("unshare", "util-linux"),
];

/// A podman service of its own.
pub struct HermeticPodman {
    wrapper: Child,
    directory: TempDir,
}

impl HermeticPodman {
    /// Starts a service as root, with [`IMAGE`] in its storage.
    #[must_use]
    pub fn rootful() -> Self {
        Self::start(None, None)
    }

    /// Starts a service as root whose storage holds so many megabytes.
    #[must_use]
    pub fn rootful_with_storage(megabytes: u32) -> Self {
        Self::start(None, Some(megabytes))
    }

    /// Starts a service as an unprivileged user, with [`IMAGE`] in its storage.
    #[must_use]
    pub fn rootless() -> Self {
        make_rootless_user();
        Self::start(Some(ROOTLESS_USER), None)
    }

    fn start(user: Option<&str>, megabytes: Option<u32>) -> Self {
        let root = rustix::process::geteuid().is_root();
        assert!(root, "tests of real podman need root");
        require(&PROGRAMS);
        sweep();
        // Short: the path of a unix socket has at most 107 bytes.
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let script = directory.path().join("hermetic_podman.sh");
        fs::write(&script, SCRIPT).unwrap();
        fs::write(directory.path().join(OWNER), std::process::id().to_string()).unwrap();
        let log = directory.path().join("log");
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        // A test that is killed takes its service along.
        let wrapper = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "bash"])
            .arg(&script)
            .arg(directory.path().join("d"))
            .arg(user.unwrap_or_default())
            .args(megabytes.map(|megabytes| megabytes.to_string()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // Ctrl-C is for its owner, which then ends it in good order.
            .process_group(0)
            .spawn()
            .expect("setpriv starts");
        let podman = Self { wrapper, directory };
        podman.wait_until_ready();
        podman.import(IMAGE);
        podman
    }

    /// Returns the service's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("d/podman.sock")
    }

    /// Returns a folder for the agent's volumes, which does not exist yet.
    #[must_use]
    pub fn volumes_root(&self) -> PathBuf {
        self.directory.path().join("volumes")
    }

    /// Returns the folder of images and layers.
    #[must_use]
    pub fn storage(&self) -> PathBuf {
        self.directory.path().join("d/graph")
    }

    /// Kills the service, not its containers; another one takes its place at once.
    pub fn kill_service(&self) {
        self.signal_service(Signal::KILL);
    }

    /// Kills the service, and lets no other one start until [`Self::restart`].
    pub fn shut_down(&self) {
        fs::write(self.directory.path().join("d/pause"), "").unwrap();
        self.signal_service(Signal::KILL);
    }

    /// Starts the service that [`Self::shut_down`] ended and waits until it answers.
    pub fn restart(&self) {
        self.try_restart();
        self.wait_until_ready();
    }

    /// Starts the service that [`Self::shut_down`] ended, which may end at once, again and again.
    pub fn try_restart(&self) {
        fs::remove_file(self.directory.path().join("d/pause")).unwrap();
    }

    /// Returns the file that holds what the service wrote. Empty it to forget that.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Returns a file of the service's settings, `storage.conf` say.
    #[must_use]
    pub fn settings(&self, name: &str) -> PathBuf {
        self.directory.path().join("d").join(name)
    }

    /// Halts the service: it takes connections and answers none, until [`Self::resume`].
    pub fn hang(&self) {
        self.signal_service(Signal::STOP);
    }

    /// Lets a halted service go on.
    pub fn resume(&self) {
        self.signal_service(Signal::CONT);
    }

    /// Makes the service so many times slower, until what is returned is dropped: it is halted most
    /// of the time, and goes on with everything that it was asked.
    #[must_use]
    pub fn slow_down(self: &Arc<Self>, times: u32) -> Slowness {
        let (podman, (stop, stopped)) = (Arc::clone(self), channel());
        let thread = std::thread::spawn(move || {
            use std::sync::mpsc::RecvTimeoutError::Timeout;
            let waits = |time: Duration| stopped.recv_timeout(time) == Err(Timeout);
            loop {
                // Looked for each time: it may have been killed meanwhile.
                let service = podman.service();
                podman.signal(&service, Signal::CONT);
                let goes_on = waits(AWAKE);
                podman.signal(&service, Signal::STOP);
                if !goes_on || !waits(AWAKE * (times - 1)) {
                    return podman.resume();
                }
            }
        });
        Slowness { stop: Some(stop), thread: Some(thread) }
    }

    /// Kills the process that the service knows as `pid`: a container's, or its conmon.
    pub fn kill_inside(&self, pid: i64) {
        let init = self.init().to_string();
        let killed = Command::new("nsenter")
            // The shell's own: a small system has no program of that name.
            .args(["-t", &init, "-p", "-m", "sh", "-c", &format!("kill -9 {pid}")])
            .status();
        assert!(killed.unwrap().success(), "process {pid} was not there");
    }

    /// Leaves no room in storage that [`Self::rootful_with_storage`] bounds; again when some was freed.
    pub fn fill_storage(&self) {
        let ballast = fs::OpenOptions::new().create(true).append(true).open(self.ballast());
        let mut ballast = ballast.unwrap();
        let full = (0..1_000_000).find_map(|_| ballast.write_all(&[0; 4096]).err());
        assert!(full.is_some(), "storage has no bounds");
    }

    /// Undoes [`Self::fill_storage`].
    pub fn empty_storage(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    /// A file in storage, as the service's mount namespace has it.
    fn ballast(&self) -> PathBuf {
        let inside = self.directory.path().join("d/graph/ballast");
        let inside = inside.strip_prefix("/").unwrap();
        Path::new("/proc").join(self.init().to_string()).join("root").join(inside)
    }

    /// Asks the service directly; `path` begins after `/v4.0.0/libpod/`.
    ///
    /// # Errors
    /// Nothing listens, or the answer is cut short.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<(u16, Vec<u8>)> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // HTTP/1.0: the answer comes in one piece and ends with the connection.
        let mut head = format!("{method} /v4.0.0/libpod/{path} HTTP/1.0\r\nHost: podman\r\n");
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let split = answer.windows(4).position(|end| end == b"\r\n\r\n").ok_or_else(cut)?;
        let head = String::from_utf8_lossy(&answer[..split]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or_else(cut)?, answer[split + 4..].to_vec()))
    }

    /// Asks the service for JSON.
    #[must_use]
    pub fn json(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, &[], &[]).expect("podman answers");
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(status < 300, "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Returns what the container wrote, framing bytes left out.
    #[must_use]
    pub fn logs(&self, container: &str) -> String {
        let path = format!("containers/{container}/logs?stdout=true&stderr=true");
        let (_, body) = self.ask("GET", &path, &[], &[]).expect("podman answers");
        let text = String::from_utf8_lossy(&body).into_owned();
        text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
    }

    /// Returns the path of the /proc that the service sees.
    #[must_use]
    pub fn proc(&self) -> String {
        format!("/proc/{}/root/proc", self.init())
    }

    /// Returns what podman has logged of its containers and pods, a line of JSON for each event.
    #[must_use]
    pub fn events(&self) -> String {
        events(self.directory.path())
    }

    /// Returns whether the process that the service knows as `pid` is there and no zombie.
    #[must_use]
    pub fn lives_inside(&self, pid: i64) -> bool {
        let stat = fs::read_to_string(format!("{}/{pid}/stat", self.proc())).unwrap_or_default();
        // The name, in parentheses, may hold anything.
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
    }

    fn wait_until_ready(&self) {
        wait_for("podman's socket", || matches!(self.ask("GET", "_ping", &[], &[]), Ok((200, _))));
    }

    /// Brings an image with a shell under this name, `localhost/busybox:test`; of each name there is
    /// another one.
    pub fn import(&self, reference: &str) {
        let root = self.directory.path().join("rootfs");
        for folder in ["bin", "tmp", "etc"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::copy(find("busybox").unwrap(), root.join("bin/busybox")).unwrap();
        let applets = run(Command::new("busybox").arg("--list"));
        let applets = String::from_utf8_lossy(&applets).into_owned();
        for applet in applets.lines().filter(|applet| *applet != "busybox") {
            let link = root.join("bin").join(applet);
            let _ = std::os::unix::fs::symlink("busybox", link);
        }
        fs::write(root.join("etc/image"), reference).unwrap();
        let mut tar = Command::new("tar");
        let tar = tar.arg("-C").arg(&root).args(["--owner=0", "--group=0", "-cf", "-", "."]);
        let tar = run(tar);
        let changes =
            "changes=CMD%20%5B%22sleep%22%2C%22infinity%22%5D&changes=ENV%20PATH%3D%2Fbin";
        let path = format!("images/import?reference={reference}&{changes}");
        let kind = [("Content-Type", "application/x-tar")];
        let (status, body) = self.ask("POST", &path, &kind, &tar).unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    }

    /// The first process of the service's pid namespace, as the machine numbers it.
    fn init(&self) -> i32 {
        *children(pid_of(&self.wrapper)).first().expect("the namespace lives")
    }

    fn signal_service(&self, signal: Signal) {
        self.signal(&self.service(), signal);
    }

    /// Returns the processes of the service.
    fn service(&self) -> Vec<i32> {
        let is_service = |pid: &i32| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
            arguments.contains("podman system service") && !arguments.contains("while")
        };
        descendants(pid_of(&self.wrapper)).into_iter().filter(is_service).collect()
    }

    fn signal(&self, processes: &[i32], signal: Signal) {
        for pid in processes {
            let _ = kill_process(Pid::from_raw(*pid).unwrap(), signal);
        }
    }
}

/// A service that is slower than usual, while this lives.
pub struct Slowness {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Slowness {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for HermeticPodman {
    fn drop(&mut self) {
        let all = descendants(pid_of(&self.wrapper));
        let _ = self.wrapper.kill();
        let _ = self.wrapper.wait();
        let gone = Instant::now() + PATIENCE;
        let lives = |pid: &i32| Path::new(&format!("/proc/{pid}")).exists();
        while all.iter().any(lives) && Instant::now() < gone {
            std::thread::sleep(Duration::from_millis(10));
        }
        remove_control_groups(self.directory.path());
    }
}

/// A registry that wants credentials, in the network of one service.
pub struct PrivateRegistry {
    process: Child,
    _directory: TempDir,
}

impl PrivateRegistry {
    /// Starts the registry beside `podman` and pushes [`IMAGE`] to it as [`Self::image`].
    #[must_use]
    pub fn beside(podman: &HermeticPodman) -> Self {
        Self::of_image(podman, IMAGE)
    }

    /// Does the same with another image than [`IMAGE`].
    #[must_use]
    pub fn of_image(podman: &HermeticPodman, image: &str) -> Self {
        // Debian's name for it, and Fedora's.
        let program = ["docker-registry", "registry"].into_iter().find(|it| find(it).is_some());
        let program = program.expect("docker-registry is missing: install it");
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("htpasswd"), HTPASSWD).unwrap();
        let settings = json!({
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": at("storage")}},
            "http": {"addr": REGISTRY},
            "auth": {"htpasswd": {"realm": "test", "path": at("htpasswd")}},
        });
        // JSON is YAML.
        fs::write(at("config.yml"), settings.to_string()).unwrap();
        let log = fs::File::create(at("log")).unwrap();
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "nsenter"])
            .args(["-t", &podman.init().to_string(), "-n", program, "serve"])
            .arg(at("config.yml"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("setpriv starts");
        let registry = Self { process, _directory: directory };
        wait_for("the registry", || registry.push(podman, image));
        registry
    }

    /// Returns the image that the registry has.
    #[must_use]
    pub fn image(&self) -> String {
        format!("{REGISTRY}/edge/busybox:1")
    }

    /// Returns the key of its credentials.
    #[must_use]
    pub fn address(&self) -> &'static str {
        REGISTRY
    }

    fn push(&self, podman: &HermeticPodman, image: &str) -> bool {
        let credentials = json!({REGISTRY: {
            "username": REGISTRY_USER,
            "password": REGISTRY_PASSWORD,
        }});
        let credentials = URL_SAFE.encode(credentials.to_string());
        let path = format!("images/{image}/push?destination={}&tlsVerify=false", self.image());
        let header = [("X-Registry-Auth", credentials.as_str())];
        let pushed = podman.ask("POST", &path, &header, &[]);
        pushed.is_ok_and(|(status, body)| {
            status == 200 && !String::from_utf8_lossy(&body).contains("error")
        })
    }
}

impl Drop for PrivateRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits, not for ever, until `ready`.
fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < until, "{what} did not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ends the test unless every program is there.
fn require(programs: &[(&str, &str)]) {
    let missing = programs.iter().filter(|(program, _)| find(program).is_none());
    let packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    assert!(
        packages.is_empty(),
        "packages are missing: apt-get install --no-install-recommends {}",
        packages.join(" ")
    );
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let helpers = ["/usr/sbin", "/sbin", "/usr/lib/podman", "/usr/libexec/podman"];
    let helpers = helpers.iter().map(PathBuf::from);
    let mut folders = std::env::split_paths(&path).chain(helpers);
    folders.find_map(|folder| Some(folder.join(program)).filter(|path| path.exists()))
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

/// Makes sure of the user of the rootless service, who shares nothing with other users; returns its
/// user and group ids.
#[must_use]
pub fn rootless_user() -> (u32, u32) {
    make_rootless_user();
    let id = |flag: &str| {
        let printed = run(Command::new("id").args([flag, ROOTLESS_USER]));
        String::from_utf8_lossy(&printed).trim().parse().unwrap()
    };
    (id("-u"), id("-g"))
}

fn make_rootless_user() {
    let lock = fs::File::create(std::env::temp_dir().join("dw-rootless-user.lock")).unwrap();
    lock.lock().unwrap();
    let known = Command::new("id").arg(ROOTLESS_USER).output().unwrap();
    if !known.status.success() {
        let mut add = Command::new("useradd");
        run(add.args(["--no-create-home", "--shell", "/usr/sbin/nologin", ROOTLESS_USER]));
    }
    for file in ["/etc/subuid", "/etc/subgid"] {
        let mut ids = fs::read_to_string(file).unwrap_or_default();
        if !ids.lines().any(|line| line.starts_with(&format!("{ROOTLESS_USER}:"))) {
            let _ = writeln!(ids, "{ROOTLESS_USER}:100000:65536");
            fs::write(file, ids).unwrap();
        }
    }
}

fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

fn children(pid: i32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    children.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

fn descendants(pid: i32) -> Vec<i32> {
    let children = children(pid).into_iter();
    children.flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

fn events(directory: &Path) -> String {
    fs::read_to_string(directory.join("d/tmp/events/events.log")).unwrap_or_default()
}

/// Removes the empty control groups of pods that the service in `directory` made, and no others.
fn remove_control_groups(directory: &Path) {
    let log = events(directory);
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let pods = events.filter(|event| event["Type"] == "pod");
    let ids = pods.filter_map(|event| event["ID"].as_str().map(str::to_owned));
    let mut pods: Vec<_> = ids.filter(|id| !id.is_empty()).collect();
    pods.sort_unstable();
    pods.dedup();
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let mut parents: Vec<_> = hierarchies.map(|entry| entry.path()).collect();
    parents.push(PathBuf::from("/sys/fs/cgroup"));
    for parent in parents {
        for pod in &pods {
            remove_group(&parent.join("libpod_parent").join(pod));
        }
    }
}

/// Clears up behind tests that were killed: their folders, and the control groups of their pods.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let folder = entry.path();
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let owner = fs::read_to_string(folder.join(OWNER)).unwrap_or_default();
        if ours && owner.parse::<u32>().is_ok() && !Path::new("/proc").join(&owner).exists() {
            remove_control_groups(&folder);
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

/// Removes a control group; the kernel lets go of one a moment after its last process.
fn remove_group(group: &Path) {
    for inner in fs::read_dir(group).into_iter().flatten().flatten() {
        if inner.path().is_dir() {
            remove_group(&inner.path());
        }
    }
    let until = Instant::now() + Duration::from_secs(2);
    while group.exists() && fs::remove_dir(group).is_err() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
}
