//! All actors as the agent wires them, between a control plane, a podman and a cluster in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::Recipient;
use actors::clock::{Clock, Monotonic};
use actors::control_plane_sync::{
    ConfigurationStore, ControlPlaneSync, Heartbeat, Restored, Source,
};
use actors::k8s_executor::{K8sDeps, K8sExecutor};
use actors::messages::{
    ActorHealthChanged, EvaluatorReport, GetJobs, GetProfiles, MetricsReceived,
};
use actors::metrics_ingest::{About, IngestDeps, MetricsIngest};
use actors::podman_executor::{PodmanDeps, PodmanExecutor, boot_id, on_disk};
use actors::profile_evaluator::{EvaluatorDeps, ProfileEvaluator, SharedMetrics};
use actors::scheduler::{Scheduler, SchedulerDeps, SchedulerSettings};
use actors::supervisor::Slot;
use actors::testing::control_plane::FakeControlPlane;
use actors::testing::fake_cluster::FakeCluster;
use actors::testing::fake_podman::FakePodman;
use actors::workload::{
    Configuration, ExecutorKind, JobReport, Profile, ProfileCondition, RetryPolicy, Sample,
    Workload, WorkloadStatus,
};
use chrono::{DateTime, Utc};
use futures_util::future::LocalBoxFuture;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// The retry of workloads that bring none, as on a device without settings.
pub(crate) const RETRY: Duration = Duration::from_secs(20);

/// Virtual time in which whatever is waited for must have happened.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// How exactly a wait tells when it came to its end.
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
    metrics: Recipient<MetricsReceived>,
    profiles: Recipient<GetProfiles>,
    jobs: Recipient<GetJobs>,
    actors: JoinSet<()>,
    device: Device,
}

/// What outlives a power cut, and what the device talks to.
struct Device {
    clock: Clock,
    folder: TempDir,
    shelf: Shelf,
    podman: FakePodman,
    cluster: FakeCluster,
    server: FakeControlPlane,
}

/// The device's id.
const DEVICE: &str = "cam-01";

impl Rig {
    /// Starts the agent of a device that was never enrolled, under a control plane that admits it
    /// and wants `configuration`.
    pub(crate) fn start(configuration: Configuration) -> Self {
        Self::start_with_ttl(configuration, None)
    }

    /// As [`Self::start`], with a time to live for metrics that bring none.
    pub(crate) fn start_with_ttl(configuration: Configuration, ttl: Option<Duration>) -> Self {
        let clock = Clock::simulated("2026-11-23T12:00:00Z".parse().expect("a time"));
        let server = FakeControlPlane::new(DEVICE.into(), configuration, clock.clone());
        let device = Device {
            clock,
            folder: TempDir::new().expect("a folder"),
            shelf: Shelf::default(),
            podman: FakePodman::new(),
            cluster: FakeCluster::default(),
            server,
        };
        Self::boot(device, ttl)
    }

    /// Cuts the power and boots again: the pods are gone, the disk is as it was, and the wall clock
    /// stands at `wall`.
    pub(crate) async fn reboot(mut self, wall: &str) -> Self {
        self.actors.shutdown().await;
        let wall: DateTime<Utc> = wall.parse().expect("a time");
        self.clock.step(wall - self.clock.now().wall);
        Self::boot(Device { podman: FakePodman::new(), ..self.device }, None)
    }

    fn boot(device: Device, ttl: Option<Duration>) -> Self {
        let Device { clock, folder, shelf, podman, cluster, server } = &device;

        let control_plane = Slot::<ControlPlaneSync>::new("control_plane_sync", clock.clone());
        let evaluator = Slot::<ProfileEvaluator>::new("profile_evaluator", clock.clone());
        let scheduler = Slot::<Scheduler>::new("scheduler", clock.clone());
        let rootful = Slot::<PodmanExecutor>::new("podman_rootful", clock.clone());
        let k8s = Slot::<K8sExecutor>::new("k8s", clock.clone());
        let ingest = Slot::<MetricsIngest>::new("metrics_ingest", clock.clone());

        let health = control_plane.recipient::<ActorHealthChanged>();
        let (metrics, profiles, jobs) =
            (evaluator.recipient(), evaluator.recipient(), scheduler.recipient());
        let executors = BTreeMap::from([
            (ExecutorKind::PodmanRootful, rootful.recipient()),
            (ExecutorKind::K8s, k8s.recipient()),
        ]);
        let mut actors = JoinSet::new();
        let sync = ControlPlaneSync::new(
            Source::Server {
                api: Rc::new(server.clone()),
                identity: server.identity_files(folder.path()).expect("a writable folder"),
            },
            Box::new(shelf.clone()),
            vec![scheduler.recipient()],
            evaluator.recipient(),
            clock.clone(),
            control_plane.vitals(),
        );
        let podman_rootful = PodmanExecutor::new(PodmanDeps {
            kind: ExecutorKind::PodmanRootful,
            api: Rc::new(podman.clone()),
            device_id: DEVICE.into(),
            boot_id: boot_id().expect("linux tells its boot id"),
            disk: on_disk(
                &folder.path().join("volumes"),
                folder.path(),
                ExecutorKind::PodmanRootful,
            ),
            volumes_root: folder.path().join("volumes"),
            image_prune_after: None,
            log_max_size: "10mb".to_owned(),
            scheduler_commands: scheduler.recipient(),
            observations: scheduler.recipient(),
            events: control_plane.recipient(),
            clock: clock.clone(),
            vitals: rootful.vitals(),
        });
        let deployments = K8sExecutor::new(K8sDeps {
            device_id: DEVICE.into(),
            scheduler_commands: scheduler.recipient(),
            observations: scheduler.recipient(),
            events: control_plane.recipient(),
            clock: clock.clone(),
            vitals: k8s.vitals(),
            connect: cluster.connect(),
        });
        // Without sockets: virtual time and a real network do not go together. Posts reach the
        // evaluator as its server sends them.
        let listener = MetricsIngest::new(IngestDeps {
            listen: Vec::new(),
            evaluator: evaluator.recipient(),
            profiles: evaluator.recipient(),
            jobs: scheduler.recipient(),
            control_plane: control_plane.recipient(),
            about: About {
                version: "0",
                device_id: DEVICE.into(),
                source: "server",
                place: String::new(),
                actors: Vec::new(),
            },
            events: control_plane.recipient(),
            clock: clock.clone(),
        });
        let verdicts = ProfileEvaluator::new(EvaluatorDeps {
            scheduler: scheduler.recipient(),
            events: control_plane.recipient(),
            clock: clock.clone(),
            metrics: SharedMetrics::default(),
            default_ttl: ttl,
        });
        let planning = Scheduler::new(SchedulerDeps {
            executors,
            reports: control_plane.recipient(),
            events: control_plane.recipient(),
            clock: clock.clone(),
            settings: settings(),
        });
        actors.spawn_local(rootful.supervise(podman_rootful, health.clone()));
        actors.spawn_local(k8s.supervise(deployments, health.clone()));
        actors.spawn_local(ingest.supervise(listener, health.clone()));
        actors.spawn_local(evaluator.supervise(verdicts, health.clone()));
        actors.spawn_local(scheduler.supervise(planning, health.clone()));
        actors.spawn_local(control_plane.supervise(sync, health));
        Self {
            control_plane: server.clone(),
            podman: podman.clone(),
            cluster: cluster.clone(),
            clock: clock.clone(),
            metrics,
            profiles,
            jobs,
            actors,
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
        let posted = self.metrics.send(MetricsReceived { samples: vec![sample] }).await;
        posted.expect("the evaluator answers").expect("it takes the sample");
    }

    /// Returns what the status page says about the conditions.
    pub(crate) async fn conditions(&self) -> EvaluatorReport {
        self.profiles.send(GetProfiles).await.expect("the evaluator answers")
    }

    /// Returns what the status page says about `workload`, if the scheduler knows it.
    pub(crate) async fn report(&self, workload: &Workload) -> Option<JobReport> {
        let jobs = self.jobs.send(GetJobs).await.expect("the scheduler answers");
        let mut jobs = jobs.workloads.into_iter().map(|report| report.job);
        jobs.find(|job| job.workload == workload.name)
    }

    /// Returns the time since the start.
    pub(crate) fn now(&self) -> Monotonic {
        self.clock.now().monotonic
    }

    /// Returns how often podman was told to run a pod of any workload.
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
        let told = |rig: &Self| rig.control_plane.record().heartbeats.last().is_some_and(&fits);
        self.until_every(HEARTBEAT_STEP, what, told).await;
    }

    /// Waits until the last heartbeat says that `workload` has this status.
    pub(crate) async fn until_told(&self, workload: &Workload, status: WorkloadStatus) {
        self.until_heartbeat(&format!("{} is told to be {status:?}", workload.name), |told| {
            let mut jobs = told.jobs.iter();
            jobs.any(|job| job.workload == workload.name && job.status == status)
        })
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
pub(crate) fn settings() -> SchedulerSettings {
    let retry = RetryPolicy::Constant { period: RETRY };
    // No rootless podman here: nobody shall wait to hear of its pods.
    let unconfigured = [(ExecutorKind::PodmanRootless, "not here".to_owned())].into();
    SchedulerSettings { retry, start_budget: 4, unconfigured }
}

/// Returns a configuration of these workloads and profiles, asked for every few seconds.
pub(crate) fn configuration(workloads: &[&Arc<Workload>], profiles: &[Profile]) -> Configuration {
    Configuration {
        version: Some("1".to_owned()),
        heartbeat_period: Duration::from_secs(5),
        hardware_in_heartbeat: false,
        profiles: profiles.to_vec(),
        workloads: workloads.iter().map(|workload| Arc::clone(workload)).collect(),
        rejected: Vec::new(),
    }
}

/// Returns a profile of one condition.
pub(crate) fn profile(name: &str, condition: &str, expression: &str) -> Profile {
    let condition = ProfileCondition { name: condition.into(), expression: expression.to_owned() };
    Profile { name: name.into(), conditions: vec![condition] }
}

/// Keeps the configuration in memory: a disk takes real time.
#[derive(Clone, Default)]
struct Shelf(Rc<RefCell<Option<Configuration>>>);

impl ConfigurationStore for Shelf {
    fn load(&self) -> Restored {
        Restored { configuration: self.0.borrow().clone(), ..Restored::default() }
    }

    fn save(&self, configuration: &Configuration) -> LocalBoxFuture<'static, Result<(), String>> {
        *self.0.borrow_mut() = Some(configuration.clone());
        Box::pin(async { Ok(()) })
    }
}
