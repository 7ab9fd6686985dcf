//! The wiring: opens the mailboxes, starts the actors under supervision, stops them.
//!
//! The only file that knows all actors, and the only way to make an agent: the binary wires it to the
//! device, tests to fakes in virtual time. Addresses come first, actors later, so that actors that
//! send to each other are wired in a straight line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::Recipient;
use actors::clock::Clock;
use actors::control_plane_sync::{ConfigurationStore, ControlPlaneSync, Source, SyncDeps};
use actors::k8s_executor::{Connect, K8sDeps, K8sExecutor};
use actors::messages::{
    ActorHealthChanged, CommandFinished, ConfigurationWanted, Drain, EventRecorded,
    ExecutorCommand, GetControlPlane, GetJobs, GetProfiles, HaltPods, MetricsReceived,
    WorkloadsObserved,
};
use actors::metrics_ingest::{IngestDeps, Listen, MetricsIngest, PassedSockets};
use actors::podman_executor::{PodmanApi, PodmanDeps, PodmanDisk, PodmanExecutor, ProbeNetwork};
use actors::profile_evaluator::{EvaluatorDeps, ProfileEvaluator, SharedMetrics};
use actors::scheduler::{ClockWitness, Scheduler, SchedulerDeps, SchedulerSettings};
use actors::supervisor::Slot;
use actors::workload::{DeviceId, ExecutorKind, Objective};
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use tokio::task::JoinSet;
use tracing::warn;

use crate::about::about;

/// How often a stopping agent looks whether commands are still in flight.
const DRAIN_CHECK: Duration = Duration::from_millis(20);

/// How often it looks whether pods still run when the machine goes down.
const HALT_CHECK: Duration = Duration::from_millis(100);
/// Longest time until it does that again.
const HALT_PATIENCE: Duration = Duration::from_secs(15);

/// Everything that an agent reaches beyond its own memory, and its settings.
pub struct Outside {
    /// The device's id.
    pub device_id: DeviceId,
    /// Where the desired state comes from.
    pub source: Source,
    /// The URL or folder behind `source`, as the status shows it.
    pub place: String,
    /// Keeps the last good configuration.
    pub store: Box<dyn ConfigurationStore>,
    /// The podman services, by the executor that each gets.
    pub podmans: BTreeMap<ExecutorKind, Podman>,
    /// The cluster, if there is one.
    pub cluster: Option<Connect>,
    /// Where metrics are posted and the status is asked for.
    pub listen: Vec<Listen>,
    /// The sockets of these places that a service manager has opened already.
    pub passed: PassedSockets,
    /// The wall clock and the monotonic one.
    pub clock: Clock,
    /// Says how far the wall clock may be trusted.
    pub clock_witness: Rc<dyn ClockWitness>,
    /// The kernel's id of this boot; see [`actors::podman_executor::boot_id`].
    pub boot_id: String,
    /// How actors behave where neither a workload nor a manifest says it.
    pub settings: Settings,
}

/// One podman service.
pub struct Podman {
    /// Its calls.
    pub api: Rc<dyn PodmanApi>,
    /// The network in which its pods are reached.
    pub network: Rc<dyn ProbeNetwork>,
    /// The folder below which volumes of its pods live.
    pub volumes_root: PathBuf,
    /// Holds those volumes, and the record of pulled images.
    pub disk: Rc<dyn PodmanDisk>,
}

/// The settings that actors are made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long an image that only removed workloads used is kept; `None` is for ever.
    pub image_prune_after: Option<Duration>,
    /// The size at which a container's log is cut, as podman reads it: `10mb`.
    pub log_max_size: String,
    /// What clients may call the listener, besides localhost and its addresses.
    pub metrics_hosts: Vec<String>,
    /// The life of a metric that brings none; `None` is for ever.
    pub metric_ttl: Option<Duration>,
    /// What the device keeps by restraining workloads, beside what its configuration says.
    pub objectives: Vec<Objective>,
    /// The scheduler's own.
    pub scheduler: SchedulerSettings,
}

/// Sees what passes between actors, and may stand in the way. The agent itself has [`Direct`].
pub trait Hooks {
    /// Returns where the scheduler sends commands for `kind` and where its executor sends results,
    /// given where each would go by itself.
    fn executor(
        &self,
        _kind: ExecutorKind,
        commands: Recipient<ExecutorCommand>,
        results: Recipient<CommandFinished>,
    ) -> (Recipient<ExecutorCommand>, Recipient<CommandFinished>) {
        (commands, results)
    }

    /// Returns the future to run for the supervised actor `name`.
    fn actor(
        &self,
        _name: &'static str,
        supervised: LocalBoxFuture<'static, ()>,
    ) -> LocalBoxFuture<'static, ()> {
        supervised
    }
}

/// Nothing stands between the actors.
pub struct Direct;

impl Hooks for Direct {}

/// The running actors, each under its supervisor. Dropping it ends them at once.
pub struct Agent {
    /// Makes the source of the configuration be asked now.
    pub refresh: Recipient<ConfigurationWanted>,
    /// Takes samples, as the listener sends them.
    pub metrics: Recipient<MetricsReceived>,
    /// Says which conditions there are, and what they say.
    pub profiles: Recipient<GetProfiles>,
    /// Says which jobs there are, and how they do.
    pub jobs: Recipient<GetJobs>,
    /// Says how the control plane and the actors do, and which events were recorded.
    pub control_plane: Recipient<GetControlPlane>,
    scheduler: Recipient<Drain>,
    halter: Recipient<HaltPods>,
    actors: JoinSet<()>,
}

impl Agent {
    /// Starts an agent in the world `outside`. Call it inside an actix system.
    #[must_use]
    pub fn start(outside: Outside, hooks: &dyn Hooks) -> Self {
        let Outside { clock, settings, device_id, .. } = outside;
        let control_plane = Slot::<ControlPlaneSync>::new("control_plane_sync", clock.clone());
        let evaluator = Slot::<ProfileEvaluator>::new("profile_evaluator", clock.clone());
        let scheduler = Slot::<Scheduler>::new("scheduler", clock.clone());
        let ingest = Slot::<MetricsIngest>::new("metrics_ingest", clock.clone());

        let health = control_plane.recipient::<ActorHealthChanged>();
        let events = control_plane.recipient::<EventRecorded>();
        let observations = scheduler.recipient::<WorkloadsObserved>();
        let mut agent = Self {
            refresh: control_plane.recipient(),
            metrics: evaluator.recipient(),
            profiles: evaluator.recipient(),
            jobs: scheduler.recipient(),
            control_plane: control_plane.recipient(),
            scheduler: scheduler.recipient(),
            halter: scheduler.recipient(),
            actors: JoinSet::new(),
        };
        let mut executors = BTreeMap::new();
        let mut usage = Vec::new();
        // Executors before the scheduler: they look after images, which it may want at once.
        let mut configured = Vec::new();

        for (kind, podman) in outside.podmans {
            let slot = Slot::<PodmanExecutor>::new(kind.as_str(), clock.clone());
            let (commands, results) = hooks.executor(kind, slot.recipient(), scheduler.recipient());
            executors.insert(kind, commands);
            configured.push(slot.recipient());
            usage.push(slot.recipient());
            let executor = PodmanExecutor::new(PodmanDeps {
                kind,
                api: podman.api,
                network: podman.network,
                device_id: device_id.clone(),
                boot_id: outside.boot_id.clone(),
                volumes_root: podman.volumes_root,
                disk: podman.disk,
                image_prune_after: settings.image_prune_after,
                log_max_size: settings.log_max_size.clone(),
                command_results: results,
                observations: observations.clone(),
                usage: scheduler.recipient(),
                events: events.clone(),
                clock: clock.clone(),
                vitals: slot.vitals(),
            });
            agent.run(hooks, slot, executor, &health);
        }
        if let Some(connect) = outside.cluster {
            let kind = ExecutorKind::K8s;
            let slot = Slot::<K8sExecutor>::new(kind.as_str(), clock.clone());
            let (commands, results) = hooks.executor(kind, slot.recipient(), scheduler.recipient());
            executors.insert(kind, commands);
            let executor = K8sExecutor::new(K8sDeps {
                device_id: device_id.clone(),
                command_results: results,
                observations,
                events: events.clone(),
                clock: clock.clone(),
                vitals: slot.vitals(),
                connect,
            });
            agent.run(hooks, slot, executor, &health);
        }
        configured.push(scheduler.recipient());

        let listener = MetricsIngest::new(IngestDeps {
            listen: outside.listen,
            hosts: settings.metrics_hosts,
            passed: outside.passed,
            evaluator: evaluator.recipient(),
            profiles: evaluator.recipient(),
            jobs: scheduler.recipient(),
            control_plane: control_plane.recipient(),
            about: about(device_id, &outside.source, outside.place, &executors),
            events: events.clone(),
            clock: clock.clone(),
        });
        let profiles = ProfileEvaluator::new(EvaluatorDeps {
            scheduler: scheduler.recipient(),
            events: events.clone(),
            clock: clock.clone(),
            metrics: SharedMetrics::default(),
            default_ttl: settings.metric_ttl,
        });
        let sync = ControlPlaneSync::new(SyncDeps {
            source: outside.source,
            store: outside.store,
            workloads: configured,
            evaluator: evaluator.recipient(),
            objectives: settings.objectives,
            clock: clock.clone(),
            vitals: control_plane.vitals(),
        });
        let jobs = Scheduler::new(SchedulerDeps {
            executors,
            usage,
            reports: control_plane.recipient(),
            events,
            evaluator: evaluator.recipient(),
            clock,
            clock_witness: outside.clock_witness,
            settings: settings.scheduler,
        });
        agent.run(hooks, ingest, listener, &health);
        agent.run(hooks, evaluator, profiles, &health);
        agent.run(hooks, scheduler, jobs, &health);
        agent.run(hooks, control_plane, sync, &health);
        agent
    }

    fn run<A>(
        &mut self,
        hooks: &dyn Hooks,
        slot: Slot<A>,
        actor: A,
        health: &Recipient<ActorHealthChanged>,
    ) where
        A: actix::Actor<Context = actix::Context<A>> + actix::Supervised,
    {
        let name = slot.name();
        let supervised = slot.supervise(actor, health.clone()).boxed_local();
        self.actors.spawn_local(hooks.actor(name, supervised));
    }

    /// Waits until a supervisor ends, which none should.
    pub async fn unsupervised(&mut self) {
        self.actors.join_next().await;
    }

    /// Ends all pods of this machine, each in its grace period and before those that it started after;
    /// `needs_time` is called again and again with the time that may pass until its next call.
    pub async fn halt_pods(&self, needs_time: impl Fn(Duration)) {
        loop {
            needs_time(HALT_PATIENCE);
            match tokio::time::timeout(HALT_PATIENCE, self.halter.send(HaltPods)).await {
                Ok(Ok(0)) => return,
                Ok(Ok(_)) => tokio::time::sleep(HALT_CHECK).await,
                Ok(Err(_)) | Err(_) => return warn!("pods were not ended in order"),
            }
        }
    }

    /// Sends no more commands, lets those in flight end within `limit`, and ends all actors.
    pub async fn stop(self, limit: Duration) {
        let drained = async {
            while self.scheduler.send(Drain).await.is_ok_and(|in_flight| in_flight > 0) {
                tokio::time::sleep(DRAIN_CHECK).await;
            }
        };
        if tokio::time::timeout(limit, drained).await.is_err() {
            warn!(delay = ?limit, "commands were still in flight");
        }
        self.kill().await;
    }

    /// Ends all actors wherever they are, as the end of the process does.
    pub async fn kill(mut self) {
        self.actors.shutdown().await;
    }
}
