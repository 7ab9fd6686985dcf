//! All actors as the agent wires them, between a control plane, a podman and a cluster in memory.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::{Actor, Context, Handler, Recipient};
use actors::clock::{Clock, Monotonic};
use actors::control_plane_sync::{ConfigurationStore, Heartbeat, Restored, Source};
use actors::messages::{
    CommandFinished, EvaluatorReport, ExecutorCommand, GetJobs, GetProfiles, MetricsReceived, tell,
};
use actors::metrics_ingest::PassedSockets;
use actors::podman_executor::on_disk;
use actors::scheduler::{CronClock, SchedulerSettings};
use actors::testing::control_plane::FakeControlPlane;
use actors::testing::fake_clock_witness::FakeClockWitness;
use actors::testing::fake_cluster::FakeCluster;
use actors::testing::fake_podman::FakePodman;
use actors::testing::probe::Probe;
use actors::workload::{
    Configuration, ExecutorKind, JobReport, Profile, ProfileCondition, RetryPolicy, Sample,
    UpdateReport, Workload, WorkloadStatus,
};
use chrono::{DateTime, Utc};
use device_worker_ng::system::{Agent, Direct, Hooks, Outside, Podman, Settings};
use futures_util::future::LocalBoxFuture;
use tempfile::TempDir;

/// The retry of workloads that bring none, as on a device without settings.
pub(crate) const RETRY: Duration = Duration::from_secs(20);

/// Virtual time in which whatever is waited for must have happened.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// Resolution of a wait.
const STEP: Duration = Duration::from_millis(20);
/// The same of a wait for a heartbeat, of which there is one in some seconds.
const HEARTBEAT_STEP: Duration = Duration::from_secs(1);
/// Turns of the event loop in which a message reaches the last actor of any chain.
const TURNS: usize = 1_000;

/// Runs `story` on one thread and a clock that stands still while anything is to do.
pub(crate) fn in_virtual_time(story: impl Future<Output = ()>) {
    let system = actix::System::with_tokio_rt(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().expect("a runtime")
    });
    system.block_on(story);
}

/// An agent among fakes. Dropping it ends it.
pub(crate) struct Rig {
    pub(crate) control_plane: FakeControlPlane,
    pub(crate) podman: FakePodman,
    pub(crate) cluster: FakeCluster,
    pub(crate) clock: Clock,
    pub(crate) witness: FakeClockWitness,
    agent: Agent,
    device: Device,
}

/// What outlives a power cut, and what the device talks to.
struct Device {
    clock: Clock,
    witness: FakeClockWitness,
    folder: TempDir,
    shelf: Shelf,
    podman: FakePodman,
    cluster: FakeCluster,
    server: FakeControlPlane,
}

/// The device's id.
const DEVICE: &str = "cam-01";

impl Device {
    fn new(configuration: Configuration) -> Self {
        let clock = Clock::simulated("2026-11-23T12:00:00Z".parse().expect("a time"));
        let server = FakeControlPlane::new(DEVICE.into(), configuration, clock.clone());
        Self {
            witness: FakeClockWitness::new(clock.clone()),
            clock,
            folder: TempDir::new().expect("a folder"),
            shelf: Shelf::default(),
            podman: FakePodman::new(),
            cluster: FakeCluster::default(),
            server,
        }
    }

    /// Returns the world in which an agent of this device runs. It listens nowhere: virtual time and
    /// a real network do not go together, so posts reach the evaluator as the listener sends them.
    fn outside(&self, metric_ttl: Option<Duration>) -> Outside {
        let identity = self.server.identity_files(self.folder.path());
        let volumes_root = self.folder.path().join("volumes");
        let podman = Podman {
            api: Rc::new(self.podman.clone()),
            network: Rc::new(self.podman.clone()),
            disk: on_disk(&volumes_root, self.folder.path(), ExecutorKind::PodmanRootful),
            volumes_root,
        };
        Outside {
            device_id: DEVICE.into(),
            source: Source::Server {
                api: Rc::new(self.server.clone()),
                identity: identity.expect("a writable folder"),
            },
            place: String::new(),
            store: Box::new(self.shelf.clone()),
            podmans: [(ExecutorKind::PodmanRootful, podman)].into(),
            cluster: Some(self.cluster.connect()),
            listen: Vec::new(),
            passed: PassedSockets::default(),
            clock: self.clock.clone(),
            clock_witness: Rc::new(self.witness.clone()),
            boot_id: "boot-1".to_owned(),
            settings: Settings {
                image_prune_after: None,
                log_max_size: "10mb".to_owned(),
                metrics_hosts: Vec::new(),
                metric_ttl,
                objectives: Vec::new(),
                scheduler: scheduler_settings(),
            },
        }
    }
}

impl Rig {
    /// Starts the agent of a device that was never enrolled, under a control plane that admits it
    /// and wants `configuration`.
    pub(crate) fn start(configuration: Configuration) -> Self {
        Self::start_with_ttl(configuration, None)
    }

    /// As [`Self::start`], with a time to live for metrics that bring none.
    pub(crate) fn start_with_ttl(configuration: Configuration, ttl: Option<Duration>) -> Self {
        Self::boot(Device::new(configuration), ttl, &Direct)
    }

    /// As [`Self::start`]; also returns the commands that the scheduler sends to podman's executor.
    pub(crate) fn start_watched(configuration: Configuration) -> (Self, Probe<ExecutorCommand>) {
        let (probe, copies) = Probe::start();
        let rig = Self::boot(Device::new(configuration), None, &Watch(copies));
        (rig, probe)
    }

    /// Cuts the power and boots again: the pods are gone, the disk is as it was, and the wall clock
    /// stands at `wall`.
    pub(crate) async fn reboot(self, wall: &str) -> Self {
        self.agent.kill().await;
        let wall: DateTime<Utc> = wall.parse().expect("a time");
        self.clock.step(wall - self.clock.now().wall);
        Self::boot(Device { podman: FakePodman::new(), ..self.device }, None, &Direct)
    }

    /// Ends the agent as kill -9 does, and starts it again: its pods run on meanwhile.
    pub(crate) async fn restart(self) -> Self {
        self.agent.kill().await;
        Self::boot(self.device, None, &Direct)
    }

    fn boot(device: Device, ttl: Option<Duration>, hooks: &dyn Hooks) -> Self {
        let agent = Agent::start(device.outside(ttl), hooks);
        Self {
            control_plane: device.server.clone(),
            podman: device.podman.clone(),
            cluster: device.cluster.clone(),
            clock: device.clock.clone(),
            witness: device.witness.clone(),
            agent,
            device,
        }
    }

    /// Lets the control plane want something else from now on.
    pub(crate) fn configure(&self, configuration: Configuration) {
        self.control_plane.script(|script| script.configuration = Ok(configuration));
    }

    /// Posts a metric and returns when it was taken.
    pub(crate) async fn post(&self, name: &str, value: f64) {
        self.post_for(name, value, None).await;
    }

    /// As [`Self::post`], with a time to live.
    pub(crate) async fn post_for(&self, name: &str, value: f64, ttl: Option<Duration>) {
        let sample = Sample { name: name.into(), value, unit: None, ttl };
        let posted = self
            .agent
            .metrics
            .send(MetricsReceived { samples: vec![sample], permits: Vec::new() })
            .await;
        posted.expect("the evaluator answers").expect("it takes the sample");
    }

    /// Returns what the status page says about the conditions.
    pub(crate) async fn conditions(&self) -> EvaluatorReport {
        self.agent.profiles.send(GetProfiles).await.expect("the evaluator answers")
    }

    /// Returns what the status page says about `workload`, if the scheduler knows it.
    pub(crate) async fn report(&self, workload: &Workload) -> Option<JobReport> {
        let jobs = self.agent.jobs.send(GetJobs).await.expect("the scheduler answers");
        let mut jobs = jobs.workloads.into_iter().map(|report| report.job);
        jobs.find(|job| job.workload == workload.name)
    }

    /// Returns what the status page says about the update of `workload`.
    pub(crate) async fn update(&self, workload: &Workload) -> Option<UpdateReport> {
        let jobs = self.agent.jobs.send(GetJobs).await.expect("the scheduler answers");
        jobs.workloads.into_iter().find(|it| it.job.workload == workload.name)?.update
    }

    /// Returns the time since the start.
    pub(crate) fn now(&self) -> Monotonic {
        self.clock.now().monotonic
    }

    /// Returns how often a configuration was written to the disk.
    pub(crate) fn writes(&self) -> usize {
        self.device.shelf.0.borrow().writes
    }

    /// Returns how often podman was asked to run a pod of any workload.
    pub(crate) fn plays(&self) -> usize {
        self.podman.count("play")
    }

    /// Waits until `happened`, and returns how long that took.
    pub(crate) async fn until(&self, what: &str, happened: impl FnMut(&Self) -> bool) -> Duration {
        self.until_every(STEP, what, happened).await
    }

    async fn until_every(
        &self,
        step: Duration,
        what: &str,
        mut happened: impl FnMut(&Self) -> bool,
    ) -> Duration {
        let began = self.now();
        while !happened(self) {
            let waited = self.now().saturating_since(began);
            assert!(waited < PATIENCE, "never: {what}; calls: {:?}", self.podman.calls());
            tokio::time::sleep(step).await;
        }
        self.now().saturating_since(began)
    }

    /// Waits until the last heartbeat fits.
    pub(crate) async fn until_heartbeat(&self, what: &str, fits: impl Fn(&Heartbeat) -> bool) {
        let fits = |rig: &Self| rig.control_plane.record().heartbeats.last().is_some_and(&fits);
        self.until_every(HEARTBEAT_STEP, what, fits).await;
    }

    /// Waits until the last heartbeat says that `workload` has this status.
    pub(crate) async fn until_reported(&self, workload: &Workload, status: WorkloadStatus) {
        self.until_heartbeat(
            &format!("{} is reported as {status:?}", workload.name),
            |heartbeat| {
                let mut jobs = heartbeat.jobs.iter();
                jobs.any(|job| job.workload == workload.name && job.status == status)
            },
        )
        .await;
    }

    /// Waits until the agent knows that the pod of `workload` runs.
    pub(crate) async fn until_running(&self, workload: &Workload) {
        let began = self.now();
        loop {
            let report = self.report(workload).await;
            if report.as_ref().is_some_and(|report| report.status == WorkloadStatus::Running) {
                return;
            }
            assert!(self.now().saturating_since(began) < PATIENCE, "never runs: {report:?}");
            tokio::time::sleep(STEP).await;
        }
    }

    /// Waits until the evaluator knows its conditions.
    pub(crate) async fn until_profiles_are_known(&self) {
        let began = self.now();
        while self.conditions().await.conditions.is_empty() {
            assert!(self.now().saturating_since(began) < PATIENCE, "no profile is configured");
            tokio::time::sleep(STEP).await;
        }
    }

    /// Returns whether `happened` comes true without any timer: nothing here waits, so that the
    /// clock has no chance to move.
    pub(crate) async fn at_once(&self, mut happened: impl FnMut(&Self) -> bool) -> bool {
        at_once(&self.clock, || happened(self)).await
    }
}

/// See [`Rig::at_once`].
pub(crate) async fn at_once(clock: &Clock, mut happened: impl FnMut() -> bool) -> bool {
    let began = clock.now();
    for _ in 0..TURNS {
        if happened() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(clock.now(), began, "no time has passed");
    happened()
}

/// Returns the scheduler's settings of a device without settings.
fn scheduler_settings() -> SchedulerSettings {
    let retry = RetryPolicy::Constant { period: RETRY };
    // No rootless podman here: no job may wait for its pods.
    let unconfigured = [(ExecutorKind::PodmanRootless, "not here".to_owned())].into();
    let cron_clock = CronClock::Plausible { grace: Duration::from_secs(300) };
    let settling = Duration::from_secs(10);
    SchedulerSettings { retry, start_budget: 4, settling, cron_clock, unconfigured }
}

/// Returns a configuration of these workloads and profiles, asked for every few seconds.
pub(crate) fn configuration(workloads: &[&Arc<Workload>], profiles: &[Profile]) -> Configuration {
    Configuration {
        version: Some("1".to_owned()),
        heartbeat_period: Duration::from_secs(5),
        hardware_in_heartbeat: false,
        objectives: Vec::new(),
        profiles: profiles.to_vec(),
        workloads: workloads.iter().map(|workload| Arc::clone(workload)).collect(),
        rejected: Vec::new(),
        updates: actors::workload::Updates::default(),
    }
}

/// Returns a profile of one condition.
pub(crate) fn profile(name: &str, condition: &str, expression: &str) -> Profile {
    let condition = ProfileCondition { name: condition.into(), expression: expression.to_owned() };
    Profile { name: name.into(), conditions: vec![condition] }
}

/// Copies commands on their way to podman's executor.
struct Watch(Recipient<ExecutorCommand>);

impl Hooks for Watch {
    fn executor(
        &self,
        kind: ExecutorKind,
        commands: Recipient<ExecutorCommand>,
        results: Recipient<CommandFinished>,
    ) -> (Recipient<ExecutorCommand>, Recipient<CommandFinished>) {
        if kind != ExecutorKind::PodmanRootful {
            return (commands, results);
        }
        let copier = Copier { copies: self.0.clone(), executor: commands };
        (copier.start().recipient(), results)
    }
}

struct Copier {
    copies: Recipient<ExecutorCommand>,
    executor: Recipient<ExecutorCommand>,
}

impl Actor for Copier {
    type Context = Context<Self>;
}

impl Handler<ExecutorCommand> for Copier {
    type Result = ();

    fn handle(&mut self, command: ExecutorCommand, _: &mut Context<Self>) {
        tell(&self.copies, command.clone());
        tell(&self.executor, command);
    }
}

/// Keeps the configuration in memory: a disk takes real time.
#[derive(Clone, Default)]
struct Shelf(Rc<RefCell<Kept>>);

#[derive(Default)]
struct Kept {
    configuration: Option<Configuration>,
    writes: usize,
}

impl ConfigurationStore for Shelf {
    fn load(&self) -> LocalBoxFuture<'static, Restored> {
        let configuration = self.0.borrow().configuration.clone();
        Box::pin(async { Restored { configuration, ..Restored::default() } })
    }

    fn save(&self, configuration: &Configuration) -> LocalBoxFuture<'static, Result<(), String>> {
        let mut kept = self.0.borrow_mut();
        kept.configuration = Some(configuration.clone());
        kept.writes += 1;
        Box::pin(async { Ok(()) })
    }
}
