//! A device with a podman of its own, what is wanted of it, and what it has come to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use actors::testing::podman::{HermeticPodman, Slowness};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::census::{Census, Seen, running, workload_of};
use crate::device::Device;
use crate::pods::{device_with_condition, manifest, serving_after, while_low};
use crate::small_disk::SmallDisk;

/// Room for podman's storage, in megabytes.
const STORAGE: u32 = 96;
/// Longest time from the end of the faults to the wanted state.
const BOUND: Duration = Duration::from_secs(90);
/// The same while podman is slow; and how many times slower it is.
const SLOW_BOUND: Duration = Duration::from_secs(300);
const SLOWER: u32 = 30;
/// The state must last for so long to count.
const STEADY: Duration = Duration::from_secs(1);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Workloads at the start, and at most.
const WORKLOADS: (usize, usize) = (6, 9);

/// A workload as it is wanted.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// Identified by what its container says.
    version: u32,
    /// Whether it runs only while `cpu` is low.
    has_profile: bool,
}

/// All of it.
pub struct World {
    pub podman: Arc<HermeticPodman>,
    /// Where STATE_DIR is.
    pub disk: SmallDisk,
    census: Census,
    device: Device,
    agent: Option<Agent>,
    wanted: BTreeMap<String, Wanted>,
    cpu: f64,
    made: u32,
    /// The containers before this round, by workload.
    before: BTreeMap<String, Seen>,
    /// Their conmons, those that live.
    conmons: BTreeMap<String, i64>,
    /// Workloads whose containers may be others after this round.
    touched: BTreeSet<String>,
    /// Pods of specifications that were changed.
    outdated: BTreeSet<String>,
    /// While podman is slow.
    slowness: Option<Slowness>,
}

impl World {
    pub fn new() -> Self {
        let podman = Arc::new(HermeticPodman::rootful_with_storage(STORAGE));
        let mut device = Device::with_manifests().on(&podman);
        let disk = SmallDisk::at(&device.path("state"));
        device.settings.through(&disk.enter());
        device.apply("device", &device_with_condition("cpu < 50"));
        let mut world = Self {
            census: Census::of(&podman),
            podman,
            disk,
            device,
            agent: None,
            wanted: BTreeMap::new(),
            cpu: 20.0,
            made: 0,
            before: BTreeMap::new(),
            conmons: BTreeMap::new(),
            touched: BTreeSet::new(),
            outdated: BTreeSet::new(),
            slowness: None,
        };
        while world.wanted.len() < WORKLOADS.0 {
            world.make_workload();
        }
        world.start_agent();
        world.recover("the start");
        world
    }

    /// Remembers what runs now.
    pub fn begin_round(&mut self) {
        self.slowness = None;
        self.touched.clear();
        self.before = running(&self.podman).expect("podman answers between two rounds");
        // Asked now: a podman that is killed or halted would not answer.
        let conmons = self.before.iter().filter_map(|(name, seen)| {
            let pid = conmon_of(&self.podman, &seen.id)?;
            Some((name.clone(), pid))
        });
        self.conmons = conmons.collect();
    }

    // ---- what befalls it ----------------------------------------------------------------------

    pub fn kill_agent(&mut self) {
        let mut agent = self.agent.take().expect("the agent runs");
        agent.signal("KILL");
        assert_eq!(agent.exit_code(), None, "it was killed");
    }

    /// Starts the agent; whoever posts the metric does so again, as it does all the time.
    pub fn start_agent(&mut self) {
        let agent = self.device.settings.start();
        agent.post("cpu", self.cpu);
        self.agent = Some(agent);
    }

    /// Kills the process of a container, or its conmon, or first this and then that.
    pub fn kill_container(&mut self, random: &mut Rng, conmon: bool, process: bool) {
        // One that another fault of the round has hit already is spared.
        let fits = |name: &&String| {
            !self.touched.contains(*name) && (!conmon || self.conmons.contains_key(*name))
        };
        let names: Vec<_> = self.before.keys().filter(fits).cloned().collect();
        let Some(name) = random.choice(names) else { return };
        if conmon && let Some(pid) = self.conmons.remove(&name) {
            self.podman.kill_inside(pid);
        }
        if process {
            self.podman.kill_inside(self.before[&name].pid);
            self.touched.insert(name);
        }
    }

    pub fn toggle_metric(&mut self) {
        self.cpu = if self.cpu < 50.0 { 80.0 } else { 20.0 };
        if let Some(agent) = &self.agent {
            agent.post("cpu", self.cpu);
        }
        let moved = self.wanted.iter().filter(|(_, wanted)| wanted.has_profile);
        self.touched.extend(moved.map(|(name, _)| name.clone()));
    }

    pub fn add_workload(&mut self, random: &mut Rng) {
        if self.wanted.len() >= WORKLOADS.1 {
            return self.remove_workload(random);
        }
        self.make_workload();
    }

    /// Makes podman slow, and gives it much to do.
    pub fn slow_down(&mut self) {
        for name in self.wanted.keys().cloned().collect::<Vec<_>>() {
            self.change(name);
        }
        self.slowness = Some(self.podman.slow_down(SLOWER));
    }

    pub fn change_workload(&mut self, random: &mut Rng) {
        if let Some(name) = random.choice(self.wanted.keys().cloned().collect::<Vec<_>>()) {
            self.change(name);
        }
    }

    fn change(&mut self, name: String) {
        self.made += 1;
        self.outdated.extend(self.before.get(&name).map(|seen| seen.pod.clone()));
        let wanted = self.wanted.get_mut(&name).unwrap();
        wanted.version = self.made;
        let wanted = *wanted;
        self.apply(&name, wanted);
    }

    pub fn remove_workload(&mut self, random: &mut Rng) {
        // Never the last: a folder without any is doubted for half a minute, rightly.
        if self.wanted.len() < 3 {
            return self.make_workload();
        }
        let names: Vec<_> = self.wanted.keys().cloned().collect();
        let name = random.choice(names).unwrap();
        self.wanted.remove(&name);
        self.device.withdraw(&name);
        self.touched.insert(name);
    }

    fn make_workload(&mut self) {
        self.made += 1;
        let wanted = Wanted { version: self.made, has_profile: self.made.is_multiple_of(2) };
        let name = format!("w{}", self.made);
        self.apply(&name, wanted);
        self.wanted.insert(name, wanted);
    }

    fn apply(&mut self, name: &str, wanted: Wanted) {
        let mut pod = serving_after(&format!("echo version {}", wanted.version));
        pod["terminationGracePeriodSeconds"] = json!(2);
        let more = if wanted.has_profile { while_low() } else { json!({}) };
        self.device.apply(name, &manifest(name, &pod, more));
        self.touched.insert(name.to_owned());
    }

    // ---- what it comes to ---------------------------------------------------------------------

    /// Waits until all is as it is wanted and stays so; returns how long the first took.
    pub fn recover(&mut self, story: &str) -> Duration {
        let start = Instant::now();
        let mut right_since = None;
        loop {
            let now = Instant::now();
            if let Some(twice) = self.census.twice() {
                self.fail(story, &format!("two containers ran at once: {twice}"));
            }
            match self.fault(story) {
                None => {
                    let since = *right_since.get_or_insert(now);
                    if now.duration_since(since) >= STEADY {
                        return since.duration_since(start);
                    }
                }
                Some(fault) => {
                    right_since = None;
                    let bound = if self.slowness.is_some() { SLOW_BOUND } else { BOUND };
                    if start.elapsed() > bound {
                        self.fail(story, &format!("after {bound:?} still: {fault}"));
                    }
                }
            }
            thread::park_timeout(LOOK);
        }
    }

    /// Returns what is not as it is wanted. What can never be right again ends the test.
    fn fault(&self, story: &str) -> Option<String> {
        let agent = self.agent.as_ref().expect("the agent runs");
        let Some(pods) = self.pods() else { return Some("podman does not answer".to_owned()) };
        let Some(running) = running(&self.podman) else {
            return Some("podman does not answer".to_owned());
        };
        for (name, seen) in &self.before {
            let is_other = running
                .get(name)
                .is_some_and(|now| (&now.id, &now.started_at) != (&seen.id, &seen.started_at));
            let is_gone = !running.contains_key(name);
            if !self.touched.contains(name) && (is_other || is_gone) {
                self.fail(story, &format!("{name} ran well and was stopped or restarted"));
            }
        }
        let shall_run =
            self.wanted.iter().filter(|(_, wanted)| !wanted.has_profile || self.cpu < 50.0);
        let shall_run: BTreeMap<_, _> = shall_run.collect();
        let names: BTreeSet<_> = shall_run.keys().map(|name| (*name).clone()).collect();
        let pods: Vec<_> = pods.iter().map(|pod| workload_of(pod)).collect();
        if pods.len() != names.len() || pods.iter().any(|pod| !names.contains(*pod)) {
            return Some(format!("pods of {pods:?} are there, wanted are {names:?}"));
        }
        for (name, wanted) in shall_run {
            if running.get(name).is_none_or(|seen| self.outdated.contains(&seen.pod)) {
                return Some(format!("{name} does not run, or not in version {}", wanted.version));
            }
        }
        let status = agent.status();
        let metrics = status.as_ref().and_then(|status| status["metrics"].as_array());
        let cpu = metrics.into_iter().flatten().find(|metric| metric["name"] == "cpu");
        if cpu.and_then(|metric| metric["value"].as_f64()) != Some(self.cpu) {
            return Some(format!("cpu was posted as {} and is {cpu:?}", self.cpu));
        }
        agent.has_logged(&["actor failed"]).then(|| "an actor failed".to_owned())
    }

    fn fail(&self, story: &str, what: &str) -> ! {
        let answer = self.podman.ask("GET", "containers/json?all=true", &[], &[]);
        let containers = answer.map(|(_, body)| String::from_utf8_lossy(&body).into_owned());
        panic!(
            "{story}: {what}\nwanted {:?}, cpu {}\nbefore {:?}\ntouched {:?}\n\
             podman has {containers:?}\nits events:\n{}",
            self.wanted,
            self.cpu,
            self.before,
            self.touched,
            self.podman.events()
        );
    }

    fn list(&self, path: &str) -> Option<Vec<Value>> {
        let (status, body) = self.podman.ask("GET", path, &[], &[]).ok()?;
        let list: Value = serde_json::from_slice(&body).ok()?;
        (status == 200).then(|| list.as_array().cloned().unwrap_or_default())
    }

    /// Returns the names of all pods, running or not.
    fn pods(&self) -> Option<Vec<String>> {
        let pods = self.list("pods/json")?;
        Some(pods.iter().filter_map(|pod| pod["Name"].as_str().map(str::to_owned)).collect())
    }

    /// Returns how often the census was taken.
    pub fn looks(&self) -> usize {
        self.census.looks()
    }

    pub fn podman_version(&self) -> String {
        self.podman.json("info")["version"]["Version"].as_str().unwrap_or_default().to_owned()
    }
}

fn conmon_of(podman: &HermeticPodman, container: &str) -> Option<i64> {
    let path = format!("containers/{container}/json");
    let (_, body) = podman.ask("GET", &path, &[], &[]).ok()?;
    let detail: Value = serde_json::from_slice(&body).ok()?;
    // podman reports that of one that was killed, too.
    detail["State"]["ConmonPid"].as_i64().filter(|pid| podman.lives_inside(*pid))
}
