//! The configuration: typed, checked as a whole, every problem reported at once.

mod addresses;
mod credentials;
mod device;
mod exposure;
mod file;
mod log_level;
mod origin;
mod problems;
mod reader;
mod rootless;
mod sources;
mod state_dir;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use actors::k8s_executor::ClusterAccess;
use actors::metrics_ingest::Listen;
use actors::scheduler::CronClock;
use actors::workload::{DeviceId, RetryPolicy};

pub use addresses::ServerUrl;
pub use log_level::{LogFormat, LogLevel};
pub use problems::{ConfigErrors, Problem, Source, Warning};
pub use sources::Sources;
pub use values::ValueError;
pub(crate) use values::duration;

use reader::Reader;

/// Where the workloads come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A control plane.
    ControlPlane(ControlPlane),
    /// A directory of manifests.
    Manifests(PathBuf),
}

/// How to reach a control plane. The files were there and fitted each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlane {
    /// Its address.
    pub server: ServerUrl,
    /// Certificates of the authorities that it is checked against.
    pub ca_root: PathBuf,
    /// Certificate for the first registration.
    pub cert: PathBuf,
    /// Private key of `cert`.
    pub key: PathBuf,
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the workloads come from.
    pub origin: Origin,
    /// The device's id.
    pub device_id: DeviceId,
    /// The Kubernetes namespace in which it enrols.
    pub namespace: String,
    /// Where state is kept: there, and writable, unless the disk is at fault; then a warning says so.
    pub state_dir: PathBuf,
    /// Whether the agent runs as root.
    pub is_root: bool,
    /// Whether it may use root's podman: as root, or because a socket was named.
    pub may_use_rootful_podman: bool,
    /// Socket of root's podman; may be absent.
    pub podman_socket: PathBuf,
    /// Socket of the user's podman, may be absent; `None` when no user was named.
    pub podman_rootless_socket: Option<PathBuf>,
    /// Runtime directory of that user.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// Access to the cluster; `None` when there is none.
    pub cluster: Option<ClusterAccess>,
    /// Starts and pulls at the same time.
    pub start_budget: usize,
    /// Time between stops, or starts, of different priorities that one profile asks for.
    pub settling_time: Duration,
    /// Conditions that the device keeps by restraining workloads.
    pub protect: Vec<String>,
    /// How long an image that only removed workloads used is kept; `None` is for ever.
    pub image_prune_after: Option<Duration>,
    /// Size at which podman cuts a container's log, in podman's words.
    pub container_log_size: String,
    /// Retry of workloads that bring none of their own.
    pub retry: RetryPolicy,
    /// When cron follows the wall clock.
    pub cron_clock: CronClock,
    /// Where metrics are taken; at least one.
    pub metrics_listen: Vec<Listen>,
    /// What clients may call the listener, besides localhost and its addresses.
    pub metrics_hosts: Vec<String>,
    /// Life of a metric that brings none of its own; `None` is for ever.
    pub metric_ttl: Option<Duration>,
    /// What is logged.
    pub log_level: LogLevel,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Time for work under way to end when the agent stops.
    pub graceful_shutdown: Duration,
    sources: Sources,
}

/// Where the agent's workloads run: what a command needs that only looks at them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether the agent runs as root.
    pub is_root: bool,
    /// Socket of root's podman, if the agent may use it.
    pub podman_socket: Option<PathBuf>,
    /// Socket of the user's podman; `None` when no user was named.
    pub podman_rootless_socket: Option<PathBuf>,
    /// Runtime directory of that user.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// Access to the cluster, where others than this device have workloads, too.
    pub cluster: Option<(ClusterAccess, DeviceId)>,
}

/// A configuration that can be used, and what is to be said about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is doubtful.
    pub warnings: Vec<Warning>,
    /// Every setting in the table's order, for people.
    pub effective: Vec<Effective>,
    /// What a start of the agent would make on the disk first, one text for each file or directory.
    /// Empty after [`Config::load`], which has made it.
    pub would_make: Vec<String>,
}

/// A setting as it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// Its key in the table of settings.
    pub key: &'static str,
    /// Its value; `None` when it is not set.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: Source,
}

/// What the configuration is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// The agent is to run with it.
    Run,
    /// It is only shown: nothing on the disk changes.
    Check,
}

/// What the configuration depends on besides its sources.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Whether the agent runs as root.
    pub is_root: bool,
    /// The file with the machine's id.
    pub machine_id: PathBuf,
}

impl Machine {
    /// Returns the machine that the agent runs on.
    #[must_use]
    pub fn this() -> Self {
        Self {
            is_root: rustix::process::geteuid().is_root(),
            machine_id: PathBuf::from("/etc/machine-id"),
        }
    }
}

impl Config {
    /// Reads and checks all settings: flag beats environment beats file beats default.
    /// Makes the state directory, and a device id when there is no other.
    ///
    /// # Errors
    /// Anything is wrong; every problem is in the answer.
    pub fn load(sources: &Sources, machine: &Machine) -> Result<Loaded, ConfigErrors> {
        Self::load_for(Purpose::Run, sources, machine)
    }

    /// As [`Self::load`], but makes and changes nothing on the disk: what a start would make is in
    /// [`Loaded::would_make`]. A device that has no id yet has one that stands for it.
    ///
    /// # Errors
    /// Anything is wrong, or would be when the agent starts; every problem is in the answer.
    pub fn examine(sources: &Sources, machine: &Machine) -> Result<Loaded, ConfigErrors> {
        Self::load_for(Purpose::Check, sources, machine)
    }

    fn load_for(
        purpose: Purpose,
        sources: &Sources,
        machine: &Machine,
    ) -> Result<Loaded, ConfigErrors> {
        let mut reader = Reader::new(sources);
        let config = reader.config(machine, purpose);
        if let Some(config) = &config {
            reader.warn_of_exposure(config);
        }
        reader.finish(config)
    }

    /// Reads the log level anew, from the file as it is now.
    ///
    /// # Errors
    /// The file, or the log level in it, is wrong.
    pub fn reload_log_level(&self) -> Result<LogLevel, ConfigErrors> {
        Reader::new(&self.sources).only_log_level()
    }

    /// Reads only where an agent of these sources listens; makes nothing on the disk.
    ///
    /// # Errors
    /// The file, or the addresses in it, are wrong.
    pub fn only_listen(sources: &Sources) -> Result<Vec<Listen>, ConfigErrors> {
        Reader::new(sources).only_listen()
    }

    /// Reads only where the workloads of an agent of these sources run; makes nothing on the disk.
    ///
    /// # Errors
    /// The file, or a setting of a runtime in it, is wrong.
    pub fn only_access(sources: &Sources, machine: &Machine) -> Result<Access, ConfigErrors> {
        Reader::new(sources).only_access(machine)
    }

    /// Returns the configuration file, if one was named.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.sources.file.as_deref()
    }
}

#[cfg(test)]
mod tests;
