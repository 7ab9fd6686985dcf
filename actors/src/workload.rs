//! The nouns that all actors share: workloads, profiles, pod states, verdicts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::PodSpec;
use serde::{Deserialize, Serialize};

/// Makes a string newtype with the traits that every identifier needs.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

identifier! {
    /// The device's id: lower-case, RFC 1123 label characters.
    DeviceId
}
identifier! {
    /// The name that the author of an EdgeWorkload gave it; the key of a job.
    WorkloadName
}
identifier! {
    /// Name and hash of one specification of a workload, `web-1f0c…`; the name of its pod, and of
    /// its Deployment. At most 63 characters. Made by [`crate::workload_id`] only.
    WorkloadId
}
identifier! {
    /// The name of a device profile.
    ProfileName
}
identifier! {
    /// The name of a condition within its profile.
    ConditionName
}
identifier! {
    /// The name of a metric as posted.
    MetricName
}

/// Which runtime runs a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorKind {
    /// The podman service of root.
    PodmanRootful,
    /// The podman service of an unprivileged user.
    PodmanRootless,
    /// The Kubernetes cluster named by KUBECONFIG.
    K8s,
}

impl ExecutorKind {
    /// All kinds, in a fixed order.
    pub const ALL: [Self; 3] = [Self::PodmanRootful, Self::PodmanRootless, Self::K8s];

    /// Returns the name used in logs and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PodmanRootful => "podman_rootful",
            Self::PodmanRootless => "podman_rootless",
            Self::K8s => "k8s",
        }
    }
}

impl fmt::Display for ExecutorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value that never appears in a log or in `Debug` output, and is wiped from memory when dropped.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confidential<T: zeroize::Zeroize>(zeroize::Zeroizing<T>);

impl<T: zeroize::Zeroize> Confidential<T> {
    /// Wraps `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(zeroize::Zeroizing::new(value))
    }

    /// Returns the value; the caller must not log it.
    #[must_use]
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: zeroize::Zeroize> fmt::Debug for Confidential<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[confidential]")
    }
}

/// A Kubernetes ConfigMap that came with a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigMap {
    /// Its name, as the pod specification refers to it.
    pub name: String,
    /// Contents by key: the decoded bytes of `data` and `binaryData`.
    pub data: BTreeMap<String, Vec<u8>>,
}

/// A Kubernetes Secret that came with the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its name, as the pod specification refers to it.
    pub name: String,
    /// Contents by key, decoded.
    pub data: BTreeMap<String, Confidential<Vec<u8>>>,
}

/// Credentials for one image registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryCredentials {
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: Confidential<String>,
}

/// A condition of a profile that a workload refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionRef {
    /// The condition's name within the profile.
    pub name: ConditionName,
    /// CPU limit while the condition is true: microseconds of CPU time in each period of 100 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u64>,
    /// Memory limit in bytes while the condition is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

/// A profile that a workload refers to. It allows the workload to run while at least one of the
/// listed conditions is true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRef {
    /// The device profile's name.
    pub name: ProfileName,
    /// The conditions that count; empty means any condition of the profile.
    pub conditions: Vec<ConditionRef>,
}

/// When a failed run is followed by the next one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryPolicy {
    /// The same delay each time.
    Constant {
        /// The delay.
        period: Duration,
    },
    /// A delay that grows with each failure in a row.
    Exponential {
        /// The first delay.
        initial: Duration,
        /// The factor from each delay to the next; at least 1.
        multiplier: f64,
        /// The share by which a delay varies at random, 0 to 1.
        randomization: f64,
    },
}

/// Whether a run that ended is followed by another; the PodSpec's `restartPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// After any end.
    #[default]
    Always,
    /// When a container ended with a code other than zero.
    OnFailure,
    /// Never.
    Never,
}

/// One workload of the configuration, validated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Identity of this specification; see [`crate::workload_id`].
    pub id: WorkloadId,
    /// The EdgeWorkload's name.
    pub name: WorkloadName,
    /// The Kubernetes namespace, of the EdgeWorkload and of its Deployment.
    pub namespace: String,
    /// Which runtime runs it.
    pub executor: ExecutorKind,
    /// The pod as its author wrote it.
    pub pod: PodSpec,
    /// Labels for the pod.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations for the pod, without the prefix `podman/`.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Config maps that the pod refers to.
    #[serde(default)]
    pub config_maps: Vec<ConfigMap>,
    /// Secrets that the pod refers to.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    /// Registry credentials, by registry (`quay.io`, `127.0.0.1:5000`, `quay.io/team`).
    #[serde(default)]
    pub registries: BTreeMap<String, RegistryCredentials>,
    /// Profiles that must allow the workload; empty means that it always runs.
    #[serde(default)]
    pub profiles: Vec<ProfileRef>,
    /// Five-field cron expression or macro, as written.
    #[serde(default)]
    pub cron: Option<String>,
    /// The workload's own retry; `None` means the agent's.
    #[serde(default)]
    pub retry: Option<RetryPolicy>,
    /// Whether an ended run is followed by another.
    #[serde(default)]
    pub restart_policy: RestartPolicy,
}

/// A workload of the configuration that cannot be run as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedWorkload {
    /// The EdgeWorkload's name, as far as it could be read.
    pub name: WorkloadName,
    /// What is wrong and how to mend it, in plain words.
    pub reason: String,
}

/// A condition of a device profile, as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileCondition {
    /// Its name.
    pub name: ConditionName,
    /// The expression, in the language of the crate `grammar`.
    pub expression: String,
}

/// A device profile: named conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// Its conditions.
    pub conditions: Vec<ProfileCondition>,
}

/// The outcome of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The expression holds.
    True,
    /// The expression does not hold.
    False,
    /// A metric that decides was never posted or is stale.
    Unknown,
    /// The expression does not parse, or units do not fit; says why.
    Failed(Arc<str>),
}

impl Verdict {
    /// Returns whether workloads may run by this verdict.
    #[must_use]
    pub fn is_true(&self) -> bool {
        matches!(self, Self::True)
    }
}

/// The verdicts on every condition of one profile.
pub type ProfileVerdicts = BTreeMap<ConditionName, Verdict>;

/// The verdicts on every condition of every profile. A profile whose verdicts did not change keeps
/// its `Arc`, so that a reader can tell cheaply what changed.
pub type Verdicts = BTreeMap<ProfileName, Arc<ProfileVerdicts>>;

/// How one container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEnd {
    /// The container's name in the pod specification.
    pub container: String,
    /// Its exit code; -1 when the runtime does not know it.
    pub exit_code: i32,
    /// Killed for want of memory.
    pub oom_killed: bool,
    /// What the runtime says about it, if anything.
    pub message: Option<String>,
}

impl ContainerEnd {
    /// Returns whether the container ended as a failure.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.exit_code != 0 || self.oom_killed
    }
}

impl fmt::Display for ContainerEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {} ended with code {}", self.container, self.exit_code)?;
        if self.oom_killed {
            f.write_str(" (out of memory)")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        Ok(())
    }
}

/// What an executor sees of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CurrentState {
    /// The pod exists and is on its way, without our help: a Deployment that makes progress.
    Starting,
    /// Every container runs.
    Running,
    /// Some containers ended, others run.
    Degraded {
        /// Those that ended.
        ended: Vec<ContainerEnd>,
    },
    /// Every container ended.
    Exited {
        /// All of them.
        ended: Vec<ContainerEnd>,
    },
    /// The pod is a leftover that will not run by itself: half created, or from before a reboot.
    Incomplete {
        /// What was seen.
        message: String,
    },
    /// The cluster itself retries a pod that fails (CrashLoopBackOff, ImagePullBackOff).
    Crashing {
        /// Reason and message as the cluster gives them.
        message: String,
    },
    /// The runtime gives no clear answer about it.
    Unknown,
}

/// A pod (or Deployment) of ours that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedPod {
    /// Which specification it runs.
    pub id: WorkloadId,
    /// Of which workload.
    pub workload: WorkloadName,
    /// How it is.
    pub state: CurrentState,
    /// When its youngest container started, by the wall clock, where the runtime tells.
    pub started_at: Option<DateTime<Utc>>,
}

/// Resource limits in force by condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Microseconds of CPU time in each period of 100 ms; `None` is no limit of ours.
    pub cpu: Option<u64>,
    /// Bytes of memory; `None` is no limit of ours.
    pub memory: Option<u64>,
}

/// What the scheduler wants for a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// It shall run.
    Running,
    /// It is configured but shall not run now: its profiles forbid it, or its cron waits.
    Inactive,
    /// It is no longer configured.
    Removed,
}

/// The status of a workload as the control plane knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkloadStatus {
    /// No pod yet, or pulling, or waiting for its first run.
    Deploying,
    /// Runs.
    Running,
    /// Ended or degraded, waits for a retry.
    Crashed,
    /// Inactive, or finished by its restart policy.
    Stopped,
}

impl WorkloadStatus {
    /// Returns the protocol's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deploying => "deploying",
            Self::Running => "running",
            Self::Crashed => "crashed",
            Self::Stopped => "stopped",
        }
    }
}

/// All that is to be said about one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobReport {
    /// The EdgeWorkload's name.
    pub workload: WorkloadName,
    /// Identity of the specification in force; absent when none could be accepted.
    pub id: Option<WorkloadId>,
    /// Which runtime runs it; absent when the kind is unknown.
    pub executor: Option<ExecutorKind>,
    /// Its status.
    pub status: WorkloadStatus,
    /// Why it is so, in plain words.
    pub reason: Option<String>,
    /// Runs that the agent started again, since the agent started.
    pub restarts: u32,
    /// The next planned start: a retry or a cron run.
    pub next_start: Option<DateTime<Utc>>,
}

/// Severity of an [`Event`], in Kubernetes' terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// Something happened as it should.
    Normal,
    /// Something needs attention.
    Warn,
}

/// Something that happened once and that the control plane and people should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Severity.
    pub kind: EventKind,
    /// A short word in camel case, `ImagePullFailed`.
    pub reason: &'static str,
    /// The workload that it is about.
    pub workload: Option<WorkloadName>,
    /// What happened, in plain words; at most 1,024 characters reach the control plane.
    pub message: String,
    /// When, by the wall clock.
    pub at: DateTime<Utc>,
}

/// A posted metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric.
    pub name: MetricName,
    /// Its value; always finite.
    pub value: f64,
    /// The unit that the sender gave.
    pub unit: Option<String>,
    /// How long the value counts; `None` means the agent's default.
    pub ttl: Option<Duration>,
}

/// What a control plane, or a directory of manifests, wants of this device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The server's version of it, opaque; echoed in heartbeats.
    pub version: Option<String>,
    /// Time between heartbeats.
    pub heartbeat_period: Duration,
    /// Which hardware facts the heartbeats carry.
    pub hardware_in_heartbeat: bool,
    /// Device profiles.
    pub profiles: Vec<Profile>,
    /// Workloads, in order of name.
    pub workloads: Vec<Arc<Workload>>,
    /// Workloads that cannot be run.
    pub rejected: Vec<RejectedWorkload>,
}
