//! A user of the device, whose podman runs rootless pods, against the agent of root that drives it.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use actors::testing::podman::{HermeticPodman, rootless_user};
use serde_json::json;

use crate::agent::{Agent, eventually_or};
use crate::device::Device;
use crate::hostile_podman::{Attack, CONTAINER, HostilePodman};
use crate::pods::{device_with_condition, manifest, one_container, pods, serving};

/// Longest time in which the agent may answer, whatever a user's podman does.
const PROMPT: Duration = Duration::from_secs(2);
/// More than the agent needs, and less than what a listing without bounds took.
const MAX_MEMORY: u64 = 160 * 1024 * 1024;

/// A device whose agent, root's, runs the rootless workload `bait` on the attacker's podman.
fn device_of(podman: &HostilePodman) -> Device {
    let device = device_with_runtime_dir(&podman.runtime_dir());
    device.apply("bait", &manifest("bait", &serving(), json!({"rootless": true})));
    device
}

fn device_with_runtime_dir(directory: &Path) -> Device {
    let mut device = Device::with_manifests();
    device.settings.set("XDG_RUNTIME_DIR", directory.display().to_string());
    // At `trace` each byte of an answer is a line of the log.
    device.settings.set("LOG_LEVEL", "debug");
    device
}

/// Lets the agent start the attacker's pod, and then act on it for a while.
fn take_the_bait(agent: &Agent) {
    agent.wait_for_status("bait", "running");
    stays_prompt(agent, Duration::from_secs(3));
}

/// The agent answers for so long, each time promptly.
fn stays_prompt(agent: &Agent, time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        let asked = Instant::now();
        let answer = agent.http("GET", "/healthz", "");
        let took = asked.elapsed();
        assert!(answer.is_some() && took < PROMPT, "{answer:?} after {took:?}\n{}", agent.tail());
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// The most memory that the agent has had.
fn peak_memory(agent: &Agent) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A file that only root may read or write, with what an oom score looks like.
fn file_of_root(device: &Device, content: &str) -> PathBuf {
    let file = device.write("of-root", content);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

// ---- the user's /proc -----------------------------------------------------------------------

/// Starts the attacker's podman with a /proc in which there is `file` as the oom score of its process.
fn podman_with(attack: &Attack, file: &str) -> HostilePodman {
    let plant = "mount -t tmpfs tmpfs /proc; mkdir -p /proc/1 /proc/$$/task/$$; cd /proc/$$";
    HostilePodman::start(attack, &format!("{plant}\n{file}"))
}

#[test]
fn a_link_in_the_users_proc_leads_root_to_no_file() {
    let scratch = Device::with_manifests();
    let file = file_of_root(&scratch, "0\n");
    let plant = format!("ln -s {} oom_score_adj", file.display());
    let podman = podman_with(&Attack::None, &plant);
    let device = device_of(&podman);
    take_the_bait(&device.settings.start());
    assert_eq!(fs::read_to_string(&file).unwrap(), "0\n");
}

#[test]
fn a_link_that_comes_and_goes_leads_root_to_no_file() {
    let scratch = Device::with_manifests();
    let content = "root:x:0:0:root:/root:/bin/sh\n";
    let file = file_of_root(&scratch, content);
    let plant = format!("echo 0 > oom_score_adj; ln -s {} link", file.display());
    let podman = podman_with(&Attack::Twins, &plant);
    let device = device_of(&podman);
    take_the_bait(&device.settings.start());
    assert_eq!(fs::read_to_string(&file).unwrap(), content);
}

#[test]
fn a_pipe_in_the_users_proc_does_not_hold_up_the_agent() {
    let podman = podman_with(&Attack::None, "mkfifo oom_score_adj");
    let device = device_of(&podman);
    take_the_bait(&device.settings.start());
}

#[test]
fn a_process_that_is_its_own_child_does_not_end_the_agent() {
    let podman =
        podman_with(&Attack::None, "echo 0 > oom_score_adj; echo \"$$ \" > task/$$/children");
    let device = device_of(&podman);
    take_the_bait(&device.settings.start());
}

#[test]
fn a_file_without_an_end_in_the_users_proc_does_not_fill_the_memory() {
    let podman = podman_with(&Attack::None, "ln -s /dev/zero oom_score_adj");
    let mut device = device_of(&podman);
    device.settings.through(&["prlimit", "--data=1000000000"]);
    let agent = device.settings.start();
    take_the_bait(&agent);
    assert!(peak_memory(&agent) < MAX_MEMORY, "{}", peak_memory(&agent));
}

#[test]
fn a_process_of_root_that_the_user_names_is_not_offered_to_the_kernel() {
    let mut victim = Command::new("sleep").arg("600").spawn().unwrap();
    let score = || fs::read_to_string(format!("/proc/{}/oom_score_adj", victim.id())).unwrap();
    let before = score();
    let podman = HostilePodman::start(&Attack::Process(victim.id()), "");
    let device = device_of(&podman);
    take_the_bait(&device.settings.start());
    let after = score();
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_eq!(after, before);
}

#[test]
fn a_container_of_the_user_whose_process_is_gone_is_noticed_without_the_users_proc() {
    let podman = podman_with(&Attack::Process(gone()), "touch oom_score_adj");
    let device = device_of(&podman);
    let agent = device.settings.start();
    // Its podman says all the time that it runs.
    eventually_or(
        "it is started again",
        || (podman.requests().matches("/play/kube?").count() > 1).then_some(()),
        || agent.tail(),
    );
}

/// A process that is no more.
fn gone() -> u32 {
    let mut process = Command::new("true").spawn().unwrap();
    process.wait().unwrap();
    process.id()
}

// ---- the user's answers ---------------------------------------------------------------------

/// The agent stays prompt and small under `attack`; its log holds a line with all of `said`.
fn bears(attack: &Attack, said: &[&str]) {
    let podman = HostilePodman::start(attack, "");
    let device = device_of(&podman);
    let agent = device.settings.start();
    agent.wait_for_log(said);
    stays_prompt(&agent, Duration::from_secs(8));
    let peak = peak_memory(&agent);
    println!("{attack:?}: a peak of {} MB", peak >> 20);
    assert!(peak < MAX_MEMORY, "{peak}");
}

#[test]
fn a_listing_of_too_many_rows_is_refused() {
    bears(&Attack::ManyRows, &["runtime did not answer", "it is over 8192 kB"]);
}

#[test]
fn a_listing_of_nothing_but_brackets_is_refused() {
    bears(&Attack::Brackets, &["runtime did not answer", "it is over 8192 kB"]);
}

#[test]
fn a_text_of_megabytes_in_a_listing_is_refused() {
    bears(&Attack::LongText, &["runtime did not answer", "it is over 8192 kB"]);
}

#[test]
fn a_listing_that_comes_byte_by_byte_is_given_up() {
    bears(&Attack::Drip, &["runtime did not answer", "failed to list containers within 5 s"]);
}

#[test]
fn half_a_listing_is_given_up() {
    bears(&Attack::Half, &["runtime did not answer", "failed to list containers within 5 s"]);
}

#[test]
fn a_head_without_an_end_is_refused() {
    bears(&Attack::EndlessHead, &["runtime did not answer", "message head is too large"]);
}

#[test]
fn a_podman_that_says_for_ever_that_it_goes_on_is_given_up() {
    bears(&Attack::Continue, &["runtime did not answer", "failed to list containers within 5 s"]);
}

#[test]
fn a_refusal_without_an_end_is_cut() {
    bears(&Attack::EndlessError, &["runtime did not answer", "podman answered 500"]);
}

#[test]
fn an_event_without_an_end_is_no_event() {
    bears(&Attack::EndlessEvent, &["runtime answered"]);
}

#[test]
fn four_thousand_pods_that_nobody_wants_do_not_stop_the_agent() {
    bears(&Attack::ManyPods, &["workload changed", "it is no longer configured"]);
}

#[test]
fn a_container_is_asked_for_by_its_id_and_nothing_else_is() {
    let podman = HostilePodman::start(&Attack::LeadingId, "");
    let device = device_of(&podman);
    let agent = device.settings.start();
    agent.wait_for_status("bait", "running");
    device.withdraw("bait");
    let stop = "POST /v4.0.0/libpod/containers/..%2F..%2Fpods%2Fothers%3Fforce%3Dtrue%26timeout\
                %3D0%23/stop?";
    eventually_or(
        "it is stopped",
        || podman.requests().contains(stop).then_some(()),
        || podman.requests(),
    );
    assert!(!podman.requests().contains("pods/others"), "{}", podman.requests());
}

/// The agent's other runtime does as if there were no attack.
fn leaves_root_alone(attack: &Attack, baits: usize) {
    let podman = HermeticPodman::rootful();
    let hostile = HostilePodman::start(attack, "");
    let device = device_of(&hostile).on(&podman);
    for n in 0..baits {
        let bait = manifest(&format!("bait{n}"), &serving(), json!({"rootless": true}));
        device.apply(&format!("bait{n}"), &bait);
    }
    let agent = device.settings.start();
    agent.wait_for_log(&["listener opened"]);
    // The attack is under way before root's pod is wanted.
    stays_prompt(&agent, Duration::from_secs(3));
    device.apply("web", &manifest("web", &serving(), json!({})));
    let web = one_container(&podman, "web");
    podman.kill_inside(web.pid);
    eventually_or(
        "root's pod is started again",
        || (one_container(&podman, "web").pid != web.pid).then_some(()),
        || agent.tail(),
    );
    stays_prompt(&agent, Duration::from_secs(3));
}

#[test]
fn a_flood_of_events_holds_up_no_other_runtime() {
    leaves_root_alone(&Attack::EventFlood, 1);
}

#[test]
fn pulls_that_never_end_take_no_place_of_another_runtime() {
    // More than START_BUDGET.
    leaves_root_alone(&Attack::SilentPull, 6);
}

// ---- control groups -------------------------------------------------------------------------

/// A control group of root's, with the name that podman would give that of the attacker's container.
struct Group {
    path: PathBuf,
    named: String,
    quota: PathBuf,
}

impl Group {
    fn new() -> Self {
        let name = format!("/dw-victim-{}/libpod-{CONTAINER}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let is_v2 = root.join("cgroup.controllers").exists();
        let path = root.join(if is_v2 { "." } else { "cpu" }).join(&name[1..]);
        fs::create_dir_all(&path).unwrap();
        if is_v2 {
            for folder in [root, path.parent().unwrap()] {
                fs::write(folder.join("cgroup.subtree_control"), "+cpu").unwrap();
            }
        }
        let quota = path.join(if is_v2 { "cpu.max" } else { "cpu.cfs_quota_us" });
        Self { path, named: name, quota }
    }

    fn quota(&self) -> String {
        fs::read_to_string(&self.quota).unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
        let _ = fs::remove_dir(self.path.parent().unwrap());
    }
}

#[test]
fn a_control_group_that_the_user_names_is_not_written() {
    let group = Group::new();
    let before = group.quota();
    let podman = HostilePodman::start(&Attack::Group(group.named.clone()), "");
    let device = device_of(&podman);
    let mut profiles = device_with_condition("x < 5");
    let conditions = &mut profiles["spec"]["heartbeat"]["profiles"][0]["conditions"];
    conditions.as_array_mut().unwrap().push(json!({"name": "high", "expression": "x >= 5"}));
    device.apply("device", &profiles);
    let limited = json!([{"name": "low"}, {"name": "high", "cpu": 20_000}]);
    let limited = json!({"rootless": true, "profiles": [{"name": "test", "conditions": limited}]});
    device.apply("bait", &manifest("bait", &serving(), limited));
    let agent = device.settings.start();
    agent.post("x", 1.0);
    agent.wait_for_status("bait", "running");
    agent.post("x", 9.0);
    let is_reported = || {
        let events = agent.status()?["events"].clone();
        let event = events.as_array()?.iter().find(|event| event["reason"] == "LimitNotApplied")?;
        let message = event["message"].as_str()?.to_owned();
        message.contains("the limit holds from the pod's next start").then_some(())
    };
    eventually_or("the limit is reported as not in force", is_reported, || agent.tail());
    assert!(podman.requests().contains("/update\n"), "{}", podman.requests());
    assert_eq!(group.quota(), before);
}

// ---- the user's socket ----------------------------------------------------------------------

/// The runtime directory of a user, with whatever the user puts there.
struct RuntimeDir {
    folder: tempfile::TempDir,
    user: (u32, u32),
}

impl RuntimeDir {
    fn new() -> Self {
        let user = rootless_user();
        let folder = tempfile::Builder::new().prefix("dwx").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        chown(folder.path(), Some(user.0), Some(user.1)).unwrap();
        Self { folder, user }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn folder(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir(&path).unwrap();
        chown(&path, Some(self.user.0), Some(self.user.1)).unwrap();
        path
    }

    fn link(&self, to: &Path, name: &str) {
        symlink(to, self.path().join(name)).unwrap();
        lchown(self.path().join(name), Some(self.user.0), Some(self.user.1)).unwrap();
    }
}

/// The bait of a device with these settings is not run, for a reason with this in it.
fn is_refused(device: &Device, reason: &str) {
    device.apply("bait", &manifest("bait", &serving(), json!({"rootless": true})));
    let agent = device.settings.start();
    agent.wait_for_log(&["runtime did not answer", "podman_rootless", reason]);
    let job = agent.wait_for_reason("bait", reason);
    assert_ne!(job["status"], "running");
    stays_prompt(&agent, Duration::from_secs(2));
}

#[test]
fn a_users_socket_that_is_a_link_to_roots_runs_nothing_as_root() {
    let podman = HermeticPodman::rootful();
    let runtime_dir = RuntimeDir::new();
    runtime_dir.folder("podman");
    runtime_dir.link(&podman.socket(), "podman/podman.sock");
    is_refused(&device_with_runtime_dir(runtime_dir.path()), "is a link");
    assert_eq!(pods(&podman).unwrap(), Vec::<String>::new());
}

#[test]
fn a_users_socket_behind_a_link_runs_nothing_as_root() {
    let podman = HermeticPodman::rootful();
    let runtime_dir = RuntimeDir::new();
    runtime_dir.link(podman.socket().parent().unwrap(), "podman");
    is_refused(&device_with_runtime_dir(runtime_dir.path()), "lies behind one");
    assert_eq!(pods(&podman).unwrap(), Vec::<String>::new());
}

#[test]
fn roots_socket_in_the_place_of_a_users_runs_nothing() {
    let podman = HermeticPodman::rootful();
    let runtime_dir = RuntimeDir::new();
    let mut device = device_with_runtime_dir(runtime_dir.path());
    device.settings.set("PODMAN_ROOTLESS_SOCKET", podman.socket().display().to_string());
    is_refused(&device, "the socket is another user's: root (uid 0) listens on it");
    assert_eq!(pods(&podman).unwrap(), Vec::<String>::new());
}

#[test]
fn a_runtime_directory_that_is_not_a_users_is_refused() {
    let podman = HostilePodman::start(&Attack::None, "");
    let of_root = tempfile::tempdir().unwrap();
    let mut device = device_with_runtime_dir(of_root.path());
    device.settings.set("PODMAN_ROOTLESS_SOCKET", podman.socket().display().to_string());
    is_refused(&device, "is root's, and rootless pods are a user's");
    let link = of_root.path().join("link");
    symlink(podman.runtime_dir(), &link).unwrap();
    is_refused(&device_with_runtime_dir(&link), "is a link");
    assert_eq!(podman.requests(), "", "nothing was sent");
}

#[test]
fn a_runtime_directory_that_others_can_replace_is_refused() {
    let podman = HostilePodman::start(&Attack::None, "");
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let inner = open.path().join("run");
    fs::create_dir(&inner).unwrap();
    chown(&inner, Some(rootless_user().0), None).unwrap();
    let mut device = device_with_runtime_dir(&inner);
    device.settings.set("PODMAN_ROOTLESS_SOCKET", podman.socket().display().to_string());
    is_refused(&device, "can write to");
    assert_eq!(podman.requests(), "", "nothing was sent");
}

#[test]
fn no_socket_that_only_root_may_use_is_sent_a_byte() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("of-root.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let runtime_dir = RuntimeDir::new();
    runtime_dir.folder("podman");
    runtime_dir.link(&socket, "podman/podman.sock");
    is_refused(&device_with_runtime_dir(runtime_dir.path()), "is a link");
    assert!(listener.accept().is_err(), "a link below the user's folder is not even connected to");
    let mut device = device_with_runtime_dir(runtime_dir.path());
    device.settings.set("PODMAN_ROOTLESS_SOCKET", socket.display().to_string());
    is_refused(&device, "another user's");
    let mut received = Vec::new();
    while let Ok((mut stream, _)) = listener.accept() {
        stream.set_nonblocking(false).unwrap();
        stream.read_to_end(&mut received).unwrap();
    }
    assert_eq!(received, b"");
}

#[test]
fn a_users_podman_in_the_place_of_roots_is_sent_nothing() {
    let podman = HostilePodman::start(&Attack::None, "");
    let mut device = Device::with_manifests();
    device.settings.set("PODMAN_SOCKET", podman.socket().display().to_string());
    device.apply("web", &manifest("web", &serving(), json!({})));
    let agent = device.settings.start();
    let job = agent.wait_for_reason("web", "another user's");
    assert_ne!(job["status"], "running");
    assert_eq!(podman.requests(), "");
}

// ---- names ----------------------------------------------------------------------------------

#[test]
fn an_image_whose_name_leads_to_another_call_is_refused_by_name() {
    let podman = HermeticPodman::rootful();
    let device = Device::with_manifests().on(&podman);
    for (name, image) in [
        ("query", "localhost/box:3/../../x?y=1#z"),
        ("force", "localhost/busybox:test?force=true"),
        ("dots", "../containers/prune"),
        ("escape", "localhost/busybox%2e%2e"),
    ] {
        let mut pod = serving();
        pod["containers"][0]["image"] = json!(image);
        device.apply(name, &manifest(name, &pod, json!({})));
    }
    let agent = device.settings.start();
    for name in ["query", "force", "dots", "escape"] {
        agent.wait_for_log(&["the name of one", name, "container \\\"main\\\""]);
    }
}
