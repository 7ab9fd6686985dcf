//! The agent as a process: the device that it is wired to, signals, and its end.

use std::collections::BTreeMap;
use std::io;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use actors::clock::Clock;
use actors::clock_witness::MachineWitness;
use actors::control_plane_sync::{
    ControlPlaneError, HttpsClient, IdentityFiles, ServerSettings, Source, manifests_in,
    objectives_of, stored_in,
};
use actors::k8s_executor::kubernetes;
use actors::messages::{ConfigurationWanted, tell};
use actors::podman_executor::{
    DeviceNetwork, InMemory, LibpodClient, boot_id, on_disk_and_in_memory,
};
use actors::scheduler::SchedulerSettings;
use actors::workload::ExecutorKind;
use tracing::{info, warn};

use crate::config::{Config, ControlPlane, Origin};
use crate::logging::LogHandle;
use crate::notify;
use crate::passed_sockets::Passed;
use crate::runtime_dir;
use crate::runtimes::{self, runtimes};
use crate::shutdown;
use crate::signals::{Signal, Signals};
use crate::state_lock::{StateLock, StateLockError};
use crate::system::{Agent, Direct, Outside, Podman, Settings};

/// Why the agent cannot run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Signals could not be listened to.
    #[error("failed to listen to signals")]
    Signals(#[source] io::Error),
    /// The kernel does not say which boot this is.
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

/// Runs the agent until a signal ends it. Pods are left running, unless the machine goes down: then they are
/// ended in order.
///
/// # Errors
/// The agent could not start, or lost a supervisor.
pub fn run(config: Config, logging: LogHandle, passed: Passed) -> Result<(), RunError> {
    // Never dropped: that waits for threads that block, and a disk or resolver that hangs would hold
    // up the agent's exit. The end of the process ends them.
    let system = ManuallyDrop::new(actix::System::new());
    system.block_on(async {
        let mut signals = Signals::listen().map_err(RunError::Signals)?;
        let _lock = StateLock::guard(&config.state_dir).map_err(RunError::InUse)?;
        let mut agent = Agent::start(device(&config, passed)?, &Direct);
        info!(device_id = %config.device_id, "agent started");
        if runtime_dir::given().is_none() {
            info!("logs of failed runs are not kept");
        }
        notify::ready();
        let mut alive = std::pin::pin!(notify::keep_alive());
        let mut watched = true;
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Shutdown => break,
                    Signal::Reload => {
                        reload_log_level(&config, &logging);
                        tell(&agent.refresh, ConfigurationWanted);
                    }
                },
                () = agent.unsupervised() => return Err(RunError::Unsupervised),
                () = &mut alive, if watched => watched = false,
            }
        }
        notify::stopping();
        if shutdown::ends_all().await {
            agent.halt_pods(notify::needs_time).await;
        }
        agent.stop(config.graceful_shutdown).await;
        info!("agent stopped");
        Ok(())
    })
}

/// Returns the device as `config` describes it.
fn device(config: &Config, passed: Passed) -> Result<Outside, RunError> {
    let clock = Clock::system();
    let (source, place) = source(config, &clock)?;
    let available = runtimes(config);
    let podmans = [
        (ExecutorKind::PodmanRootful, available.rootful),
        (ExecutorKind::PodmanRootless, available.rootless),
    ];
    let podmans = podmans.into_iter().filter_map(|(kind, service)| Some((kind, service?)));
    let memory = InMemory {
        kept_logs: runtime_dir::given().map(|folder| runtime_dir::kept_logs(&folder)),
        volumes: runtime_dir::for_volumes(),
    };
    let podman = |(kind, service)| (kind, podman(kind, service, config, &memory));
    let podmans: BTreeMap<_, _> = podmans.map(podman).collect();
    Ok(Outside {
        device_id: config.device_id.clone(),
        source,
        place,
        store: stored_in(&config.state_dir),
        podmans,
        cluster: available.cluster.map(|access| kubernetes(access, config.device_id.clone())),
        listen: config.metrics_listen.clone(),
        passed: passed.named(&config.metrics_listen),
        clock,
        clock_witness: Rc::new(MachineWitness::new(&config.state_dir)),
        boot_id: boot_id().map_err(RunError::BootId)?,
        settings: Settings {
            image_prune_after: config.image_prune_after,
            log_max_size: config.container_log_size.clone(),
            metrics_hosts: config.metrics_hosts.clone(),
            metric_ttl: config.metric_ttl,
            objectives: objectives_of(&config.protect),
            scheduler: SchedulerSettings {
                retry: config.retry,
                start_budget: config.start_budget,
                settling: config.settling_time,
                cron_clock: config.cron_clock,
                unconfigured: available.unconfigured,
            },
        },
    })
}

fn podman(
    kind: ExecutorKind,
    service: runtimes::Podman,
    config: &Config,
    memory: &InMemory,
) -> Podman {
    Podman {
        api: Rc::new(LibpodClient::new(service.socket, service.expected)),
        network: Rc::new(DeviceNetwork),
        disk: on_disk_and_in_memory(&service.volumes_root, &config.state_dir, kind, memory),
        volumes_root: service.volumes_root,
    }
}

/// Returns where the desired state comes from, and how the status names it.
fn source(config: &Config, clock: &Clock) -> Result<(Source, String), RunError> {
    match &config.origin {
        Origin::Manifests(folder) => {
            let source = Source::Folder(manifests_in(folder, config.device_id.clone()));
            Ok((source, folder.display().to_string()))
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
            Ok((Source::Server { api: Rc::new(api), identity }, server.to_string()))
        }
    }
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
