//! The wiring: opens the mailboxes, starts the actors under supervision, stops them.
//!
//! The only file that knows all actors. Addresses come first, actors later, so that actors that
//! tell each other things are wired in a straight line.

use std::collections::BTreeMap;
use std::io;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::Recipient;
use actors::clock::Clock;
use actors::control_plane_sync::{
    ControlPlaneError, ControlPlaneSync, HttpsClient, IdentityFiles, ServerSettings, Source,
    manifests_in, stored_in,
};
use actors::k8s_executor::{ClusterAccess, K8sDeps, K8sExecutor, kubernetes};
use actors::messages::{
    ActorHealthChanged, CommandFinished, ConfigurationWanted, Drain, EventRecorded,
    WorkloadsObserved, tell,
};
use actors::metrics_ingest::{IngestDeps, MetricsIngest};
use actors::podman_executor::{LibpodClient, PodmanDeps, PodmanExecutor, boot_id, on_disk};
use actors::profile_evaluator::{EvaluatorDeps, ProfileEvaluator, SharedMetrics};
use actors::scheduler::{Scheduler, SchedulerDeps, SchedulerSettings};
use actors::supervisor::Slot;
use actors::workload::ExecutorKind;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::about::about;
use crate::config::{Config, ControlPlane, Origin};
use crate::logging::LogHandle;
use crate::notify;
use crate::runtimes::{Podman, runtimes};
use crate::signals::{Signal, Signals};
use crate::state_lock::{StateLock, StateLockError};

/// How often a stopping agent looks whether commands are still in flight.
const DRAIN_CHECK: Duration = Duration::from_millis(20);

/// Why the agent cannot run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Signals could not be listened to.
    #[error("failed to listen to signals")]
    Signals(#[source] io::Error),
    /// The kernel does not tell which boot this is.
    #[error("failed to read the boot id")]
    BootId(#[source] io::Error),
    /// The control plane cannot be asked with these settings.
    #[error("failed to prepare the connection to the control plane")]
    ControlPlane(#[source] ControlPlaneError),
    /// Another agent works on the same state.
    #[error(transparent)]
    InUse(StateLockError),
    /// A supervisor ended, which it never should.
    #[error("an actor is no longer supervised")]
    Unsupervised,
}

/// Runs the agent until a signal ends it. Pods are left running.
///
/// # Errors
/// The agent could not start, or lost a supervisor.
pub fn run(config: Config, logging: LogHandle) -> Result<(), RunError> {
    // Never dropped: that waits for threads that block, and a disk or resolver that hangs would hold
    // up the agent's exit. The end of the process ends them.
    let system = ManuallyDrop::new(actix::System::new());
    system.block_on(async {
        let mut signals = Signals::listen().map_err(RunError::Signals)?;
        let _lock = StateLock::guard(&config.state_dir).map_err(RunError::InUse)?;
        let mut agent = Agent::start(&config)?;
        info!(device_id = %config.device_id, "agent started");
        notify::ready();
        let mut alive = std::pin::pin!(notify::keep_alive());
        let mut watched = true;
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Shutdown => break,
                    Signal::Reload => {
                        reload_log_level(&config, &logging);
                        tell(&agent.control_plane, ConfigurationWanted);
                    }
                },
                _ = agent.actors.join_next() => return Err(RunError::Unsupervised),
                () = &mut alive, if watched => watched = false,
            }
        }
        notify::stopping();
        agent.stop(config.graceful_shutdown).await;
        info!("agent stopped");
        Ok(())
    })
}

/// The actors, each under its supervisor.
struct Agent {
    actors: JoinSet<()>,
    control_plane: Recipient<ConfigurationWanted>,
    scheduler: Recipient<Drain>,
}

/// What every executor reports to.
struct Reports {
    commands: Recipient<CommandFinished>,
    observations: Recipient<WorkloadsObserved>,
    events: Recipient<EventRecorded>,
}

impl Agent {
    fn start(config: &Config) -> Result<Self, RunError> {
        let clock = Clock::system();
        let control_plane = Slot::<ControlPlaneSync>::new("control_plane_sync", clock.clone());
        let evaluator = Slot::<ProfileEvaluator>::new("profile_evaluator", clock.clone());
        let scheduler = Slot::<Scheduler>::new("scheduler", clock.clone());
        let rootful = Slot::<PodmanExecutor>::new("podman_rootful", clock.clone());
        let rootless = Slot::<PodmanExecutor>::new("podman_rootless", clock.clone());
        let k8s = Slot::<K8sExecutor>::new("k8s", clock.clone());
        let ingest = Slot::<MetricsIngest>::new("metrics_ingest", clock.clone());

        let health = control_plane.recipient::<ActorHealthChanged>();
        let events = control_plane.recipient();
        let refresh = control_plane.recipient();
        let drain = scheduler.recipient();
        let reports = Reports {
            commands: scheduler.recipient(),
            observations: scheduler.recipient(),
            events: events.clone(),
        };
        let mut actors = JoinSet::new();
        let mut executors = BTreeMap::new();
        let mut configured = Vec::new();
        let available = runtimes(config);

        for (slot, kind, podman) in [
            (rootful, ExecutorKind::PodmanRootful, available.rootful),
            (rootless, ExecutorKind::PodmanRootless, available.rootless),
        ] {
            let Some(podman) = podman else { continue };
            executors.insert(kind, slot.recipient());
            configured.push(slot.recipient());
            let executor = podman_executor(&slot, kind, podman, config, &clock, &reports)?;
            actors.spawn_local(slot.supervise(executor, health.clone()));
        }
        if let Some(cluster) = available.cluster {
            executors.insert(ExecutorKind::K8s, k8s.recipient());
            let executor = k8s_executor(&k8s, cluster, config, &clock, &reports);
            actors.spawn_local(k8s.supervise(executor, health.clone()));
        }

        let listener = MetricsIngest::new(IngestDeps {
            listen: config.metrics_listen.clone(),
            evaluator: evaluator.recipient(),
            profiles: evaluator.recipient(),
            jobs: scheduler.recipient(),
            control_plane: control_plane.recipient(),
            about: about(config, &executors),
            events: events.clone(),
            clock: clock.clone(),
        });
        let profiles = ProfileEvaluator::new(EvaluatorDeps {
            scheduler: scheduler.recipient(),
            events: events.clone(),
            clock: clock.clone(),
            metrics: SharedMetrics::default(),
            default_ttl: config.metric_ttl,
        });
        configured.push(scheduler.recipient());
        let sync = ControlPlaneSync::new(
            source(config, &clock)?,
            stored_in(&config.state_dir),
            configured,
            evaluator.recipient(),
            clock.clone(),
            control_plane.vitals(),
        );
        let jobs = Scheduler::new(SchedulerDeps {
            executors,
            reports: control_plane.recipient(),
            events,
            clock,
            settings: SchedulerSettings {
                retry: config.retry,
                start_budget: config.start_budget,
                unconfigured: available.unconfigured,
            },
        });
        actors.spawn_local(ingest.supervise(listener, health.clone()));
        actors.spawn_local(evaluator.supervise(profiles, health.clone()));
        actors.spawn_local(scheduler.supervise(jobs, health.clone()));
        actors.spawn_local(control_plane.supervise(sync, health));
        Ok(Self { actors, control_plane: refresh, scheduler: drain })
    }

    /// Sends no more commands, and lets those in flight end within `limit`.
    async fn stop(mut self, limit: Duration) {
        let drained = async {
            while self.scheduler.send(Drain).await.is_ok_and(|in_flight| in_flight > 0) {
                tokio::time::sleep(DRAIN_CHECK).await;
            }
        };
        if tokio::time::timeout(limit, drained).await.is_err() {
            warn!(delay = ?limit, "commands were still in flight");
        }
        self.actors.shutdown().await;
    }
}

/// Returns where the desired state comes from.
fn source(config: &Config, clock: &Clock) -> Result<Source, RunError> {
    match &config.origin {
        Origin::Manifests(folder) => {
            Ok(Source::Folder(manifests_in(folder, config.device_id.clone())))
        }
        Origin::ControlPlane(ControlPlane { server, ca_root, cert, key }) => {
            let settings = ServerSettings {
                url: server.to_string(),
                ca_root: ca_root.clone(),
                device: config.device_id.clone(),
                namespace: config.namespace.clone(),
            };
            let api = HttpsClient::new(settings, clock.clone()).map_err(RunError::ControlPlane)?;
            let identity = IdentityFiles::new(
                cert.clone(),
                key.clone(),
                &config.state_dir,
                config.device_id.clone(),
            );
            Ok(Source::Server { api: Rc::new(api), identity })
        }
    }
}

fn podman_executor(
    slot: &Slot<PodmanExecutor>,
    kind: ExecutorKind,
    podman: Podman,
    config: &Config,
    clock: &Clock,
    reports: &Reports,
) -> Result<PodmanExecutor, RunError> {
    Ok(PodmanExecutor::new(PodmanDeps {
        kind,
        api: Rc::new(LibpodClient::new(podman.socket)),
        device_id: config.device_id.clone(),
        boot_id: boot_id().map_err(RunError::BootId)?,
        disk: on_disk(&podman.volumes_root, &config.state_dir, kind),
        volumes_root: podman.volumes_root,
        image_prune_after: config.image_prune_after,
        log_max_size: config.container_log_size.clone(),
        scheduler_commands: reports.commands.clone(),
        observations: reports.observations.clone(),
        events: reports.events.clone(),
        clock: clock.clone(),
        vitals: slot.vitals(),
    }))
}

fn k8s_executor(
    slot: &Slot<K8sExecutor>,
    cluster: ClusterAccess,
    config: &Config,
    clock: &Clock,
    reports: &Reports,
) -> K8sExecutor {
    K8sExecutor::new(K8sDeps {
        device_id: config.device_id.clone(),
        scheduler_commands: reports.commands.clone(),
        observations: reports.observations.clone(),
        events: reports.events.clone(),
        clock: clock.clone(),
        vitals: slot.vitals(),
        connect: kubernetes(cluster, config.device_id.clone()),
    })
}

/// Takes over the log level that the configuration file holds now; a wrong one changes nothing.
fn reload_log_level(config: &Config, logging: &LogHandle) {
    match config.reload_log_level() {
        Ok(level) => match logging.set_level(&level) {
            Ok(()) => info!(level = %level, "log level was read again"),
            Err(error) => warn!(%error, "log level was not changed"),
        },
        Err(error) => warn!(%error, "log level was not changed"),
    }
}
