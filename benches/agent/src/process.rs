//! A process under measurement, and what the kernel knows of it.

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::Connection;

/// Longest wait for anything that is expected to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `ready`; panics with `what` after [`PATIENCE`].
pub(crate) fn wait_for<T>(what: &str, period: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < until, "waited in vain: {what}");
        std::thread::sleep(period);
    }
}

/// Returns an address that nothing listens at.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}

/// What the agent's units set for the C library: what is free goes back to the system.
const MALLOC: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
];

/// A process that ends with this value.
pub(crate) struct Process {
    child: Child,
    /// Where it takes metrics.
    pub(crate) address: SocketAddr,
    /// Just before it was started.
    pub(crate) started: Instant,
}

impl Process {
    /// Starts `command`, which shall listen at `address`. Killed with this process.
    fn start(program: &Path, arguments: &[&str], folder: &Path, address: SocketAddr) -> Self {
        let started = Instant::now();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(arguments)
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("KUBECONFIG")
            .envs(MALLOC)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("setpriv starts");
        Self { child, address, started }
    }

    /// Starts the agent with the manifests and the state in `folder`.
    pub(crate) fn agent(program: &Path, folder: &Path, podman: &Path) -> Self {
        let address = free_address();
        let config = folder.join("config.yaml");
        let lines = [
            ("MANIFESTS", folder.join("manifests").display().to_string()),
            ("STATE_DIR", folder.join("state").display().to_string()),
            ("PODMAN_SOCKET", podman.display().to_string()),
            ("METRICS_LISTEN", address.to_string()),
            ("DEVICE_ID", crate::manifests::DEVICE.to_owned()),
        ];
        let lines = lines.map(|(key, value)| format!("{key}: {value:?}\n"));
        fs::write(&config, lines.concat()).expect("the configuration is written");
        Self::start(program, &["--config", &config.display().to_string()], folder, address)
    }

    /// Starts the server that only parses.
    pub(crate) fn baseline(program: &Path) -> Self {
        let address = free_address();
        let process = Self::start(program, &[&address.to_string()], Path::new("/"), address);
        process.wait_until_open();
        process
    }

    /// Waits until its listener takes connections.
    pub(crate) fn wait_until_open(&self) {
        wait_for("the listener", Duration::from_millis(2), || Connection::open(self.address).ok());
    }

    /// Waits until it says that all `count` workloads run.
    pub(crate) fn wait_until_running(&self, count: usize) {
        self.wait_until_open();
        wait_for("all workloads run", Duration::from_millis(200), || {
            (self.running() == count).then_some(())
        });
    }

    /// Returns how many workloads run, by the shortest page that says so.
    pub(crate) fn running(&self) -> usize {
        let sample = "device_worker_workloads{status=\"running\"} ";
        let page = self.get("/metrics").unwrap_or_default();
        let count = page.lines().find_map(|line| line.strip_prefix(sample)?.parse().ok());
        count.unwrap_or_default()
    }

    /// Returns a page of its listener.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut connection = Connection::open(self.address).ok()?;
        connection.get(path).ok()
    }

    /// Returns the samples that its evaluator has taken.
    pub(crate) fn samples_taken(&self) -> u64 {
        let page = self.get("/metrics").expect("the scrape is answered");
        let line = page.lines().find(|line| line.starts_with("device_worker_metric_samples_total"));
        let value = line.and_then(|line| line.rsplit(' ').next()).expect("the counter is there");
        value.parse().expect("a number")
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Returns its memory.
    pub(crate) fn memory(&self) -> Memory {
        let rollup = self.proc("smaps_rollup");
        let field = |name: &str| field(&rollup, name).unwrap_or_default();
        Memory { pss: field("Pss:"), private_dirty: field("Private_Dirty:") }
    }

    /// Returns what it has used so far.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        let tasks = format!("/proc/{}/task", self.child.id());
        for task in fs::read_dir(tasks).into_iter().flatten().flatten() {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            usage.wakeups += field(&status, "voluntary_ctxt_switches:").unwrap_or_default();
            usage.threads += 1;
        }
        usage.written = field(&self.proc("io"), "write_bytes:").unwrap_or_default();
        usage.cpu = self.cpu();
        usage
    }

    /// Returns its CPU time, user and system, ended threads included; exact to 10 ms.
    fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        // The name before the parenthesis may hold anything.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Memory in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// What is its own, and its share of the rest.
    pub(crate) pss: u64,
    /// What it has written and no other process shares.
    pub(crate) private_dirty: u64,
}

/// What a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// How often its threads have waited for something.
    pub(crate) wakeups: u64,
    /// Bytes that it had the disk write.
    pub(crate) written: u64,
    /// Its threads now.
    pub(crate) threads: u64,
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Returns the first line that a program writes.
pub(crate) fn first_line(program: &str, arguments: &[&str]) -> String {
    let spawned =
        Command::new(program).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = spawned else { return format!("{program}: not found") };
    let mut text = String::new();
    if let Some(mut output) = child.stdout.take() {
        let _ = output.read_to_string(&mut text);
    }
    let _ = child.wait();
    text.lines().next().unwrap_or_default().to_owned()
}
