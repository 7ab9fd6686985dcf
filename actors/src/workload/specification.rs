//! Workloads as they are wanted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use grammar::{printable, shortened};
use k8s_openapi::api::core::v1::{Container, PodSpec, Probe};
use serde::{Deserialize, Serialize};

use super::{
    ConditionName, Confidential, ExecutorKind, ProfileName, Rung, Rungs, WorkloadId, WorkloadName,
};

/// Longest name of a workload that is reported, in characters: that of a host name.
const MAX_NAME: usize = 253;
/// Time for which a new specification must be ready, where its author does not say.
pub const DEFAULT_PROVING: Duration = Duration::from_secs(60);

/// Time between SIGTERM and SIGKILL for a pod that does not say: podman's default.
pub(crate) const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// Longest reason, in characters: that of an event.
const MAX_REASON: usize = 1_024;

/// A Kubernetes ConfigMap that came with a workload. Authors put passwords into those, too: `Debug`
/// shows no value.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConfigMap {
    /// Its name, as the pod specification refers to it.
    pub name: String,
    /// Contents by key: the decoded bytes of `data` and `binaryData`.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for ConfigMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigMap")
            .field("name", &self.name)
            .field("keys", &self.data.keys())
            .finish_non_exhaustive()
    }
}

/// A Kubernetes Secret that came with the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// One workload of the configuration, validated. `Debug` shows neither the pod, whose variables may
/// be passwords, nor what comes with it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
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
    /// Config maps that the pod refers to. Those that many workloads refer to are in memory once; they
    /// are not written with the workload, but beside all of them.
    #[serde(default, skip_serializing)]
    pub config_maps: Vec<Arc<ConfigMap>>,
    /// Secrets that the pod refers to, likewise.
    #[serde(default, skip_serializing)]
    pub secrets: Vec<Arc<Secret>>,
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
    /// Workloads that must run before this one starts for the first time.
    #[serde(default)]
    pub after: Vec<WorkloadName>,
    /// For how long a pod of a new specification must be ready before what it replaced is given up.
    #[serde(default = "default_proving")]
    pub proving: Duration,
    /// Which goes first where its profiles turn several away, and for how long it runs and rests.
    #[serde(default)]
    pub turn: Turn,
    /// When a new specification may come.
    #[serde(default)]
    pub gate: UpdateGate,
}

/// Which of several workloads goes first where one condition turns them away, and how soon a workload
/// follows its conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Turn {
    /// Those of a lower one are stopped first, and come back last.
    pub priority: i32,
    /// For how long its pod runs at least before a condition stops it.
    pub min_run: Duration,
    /// For how long it rests at least once a condition has stopped it.
    pub min_pause: Duration,
    /// How it may be restrained when the device is short of something, where its author says so; see
    /// [`Workload::rungs`].
    pub rungs: Option<Rungs>,
}

/// When a new specification of a workload may have its images pulled, and take the place of the pod that
/// runs. Profiles mean what they mean for running; none: at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateGate {
    /// Profiles that must allow its images to be pulled.
    pub pull_when: Vec<ProfileRef>,
    /// Profiles that must allow it to replace a pod that runs.
    pub replace_when: Vec<ProfileRef>,
    /// How long either waits at most; `None`: for ever.
    pub deadline: Option<Duration>,
}

const fn default_proving() -> Duration {
    DEFAULT_PROVING
}

impl Workload {
    /// Returns how it may be restrained. By default one that runs by the clock, or to an end, is not stopped:
    /// its run would be lost.
    #[must_use]
    pub fn rungs(&self) -> Rungs {
        let is_service = self.cron.is_none() && self.restart_policy == RestartPolicy::Always;
        let default = || Rungs::default().only(|rung| is_service || rung != Rung::Stop);
        self.turn.rungs.unwrap_or_else(default)
    }

    /// Returns its containers, those that run before the others among them.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &Container> {
        self.pod.init_containers.iter().flatten().chain(&self.pod.containers)
    }

    /// Returns how many bytes the config maps and secrets hold that it refers to.
    pub(crate) fn contents_size(&self) -> usize {
        let maps = self.config_maps.iter().flat_map(|map| map.data.values()).map(Vec::len);
        let secrets = self.secrets.iter().flat_map(|secret| secret.data.values());
        maps.chain(secrets.map(|value| value.expose().len())).sum()
    }

    /// Returns whether its pod is ready as soon as it has started: no probe says when, and no cluster.
    pub(crate) fn is_ready_once_started(&self) -> bool {
        let waits = |it: &Container| it.startup_probe.is_some() || it.readiness_probe.is_some();
        !self.executor.is_cluster() && !self.pod.containers.iter().any(waits)
    }

    /// Returns the time that its probes give its containers until they are ready: those of a startup probe, and
    /// the delay before the first look.
    pub(crate) fn start_up_time(&self) -> Duration {
        let seconds = |value: Option<i32>, default: u64| {
            value.and_then(|it| u64::try_from(it).ok()).unwrap_or(default)
        };
        let of = |container: &Container| {
            let delay = |probe: &Option<Probe>| {
                probe.as_ref().map_or(0, |it| seconds(it.initial_delay_seconds, 0))
            };
            let start_up = container.startup_probe.as_ref().map_or(0, |it| {
                let period = seconds(it.period_seconds, 10);
                period.saturating_mul(seconds(it.failure_threshold, 3))
            });
            let delays =
                delay(&container.startup_probe).saturating_add(delay(&container.readiness_probe));
            Duration::from_secs(start_up.saturating_add(delays))
        };
        self.pod.containers.iter().map(of).max().unwrap_or_default()
    }

    /// Returns the time between SIGTERM and SIGKILL for its pod, and for the hooks before: its
    /// `terminationGracePeriodSeconds`.
    pub(crate) fn grace_period(&self) -> Duration {
        let seconds = self.pod.termination_grace_period_seconds;
        // Kubernetes reads a negative one so, too.
        let seconds = seconds.map(|seconds| u64::try_from(seconds).unwrap_or(1));
        seconds.map_or(DEFAULT_GRACE, Duration::from_secs)
    }

    /// Returns whether containers run to their end before the others start. A cluster answers
    /// before they do.
    pub(crate) fn has_init_containers(&self) -> bool {
        let init = self.pod.init_containers.as_ref();
        !self.executor.is_cluster() && init.is_some_and(|containers| !containers.is_empty())
    }
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workload")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .field("executor", &self.executor)
            .field("profiles", &self.profiles)
            .field("cron", &self.cron)
            .field("retry", &self.retry)
            .field("restart_policy", &self.restart_policy)
            .field("after", &self.after)
            .field("proving", &self.proving)
            .field("turn", &self.turn)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}

/// A workload of the configuration that cannot be run as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedWorkload {
    /// The EdgeWorkload's name, as far as it could be read.
    pub name: WorkloadName,
    /// What is wrong and how to mend it, in plain words.
    pub reason: String,
}

impl RejectedWorkload {
    /// Keeps of the name and of the reason, which repeats words of the author's, no more than can be
    /// shown, and no more than a name could be long.
    #[must_use]
    pub fn new(name: &str, reason: &str) -> Self {
        let shown = |text: &str, limit| {
            // Before, too: what is escaped is six times as long.
            shortened(&printable(&shortened(text, limit)), limit).into_owned()
        };
        Self { name: shown(name, MAX_NAME).into(), reason: shown(reason, MAX_REASON) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::messages::{Action, CommandId, ExecutorCommand, WorkloadsConfigured};
    use crate::workload::{Configuration, Updates};
    use crate::workload_id::{PodIdentity, workload_id};

    const PLANTED: &str = "planted-hunter2";

    #[test]
    fn a_rejected_workload_is_reported_in_few_and_printable_characters() {
        for (name, shown) in [
            ("Web".to_owned(), "Web".to_owned()),
            ("a\u{1b}[2J\n\u{202e}".to_owned(), r"a\u{1b}[2J\n\u{202e}".to_owned()),
            ("ü".repeat(253), "ü".repeat(253)),
            ("ü".repeat(254), format!("{}…", "ü".repeat(252))),
            ("\u{9b}".repeat(3_000_000), format!("{}…", r"\u{9b}".repeat(42))),
        ] {
            let rejected = RejectedWorkload::new(&name, &format!("{name} is not a name"));
            assert_eq!(rejected.name.as_str(), shown);
            assert!(rejected.name.as_str().chars().count() <= 253);
            assert!(rejected.reason.chars().count() <= 1_024);
            assert!(
                (rejected.name.as_str().chars())
                    .chain(rejected.reason.chars())
                    .all(grammar::is_printable)
            );
        }
    }

    /// A workload with a password wherever one fits.
    fn full_of_secrets() -> Workload {
        let planted = |key: &str| BTreeMap::from([(key.to_owned(), PLANTED.to_owned())]);
        let pod: PodSpec = serde_json::from_value(serde_json::json!({"containers": [{
            "name": "main",
            "image": "i:1",
            "args": ["--password", PLANTED],
            "env": [{"name": "PASSWORD", "value": PLANTED}],
        }]}))
        .unwrap();
        let secret = Arc::new(Secret {
            name: "login".to_owned(),
            data: [("key".to_owned(), Confidential::new(PLANTED.into()))].into(),
        });
        let data = [("key".into(), PLANTED.into())].into();
        let map = Arc::new(ConfigMap { name: "map".to_owned(), data });
        let credentials = RegistryCredentials {
            username: "user".to_owned(),
            password: Confidential::new(PLANTED.to_owned()),
        };
        let id = workload_id(&PodIdentity {
            name: "web",
            namespace: "default",
            executor: ExecutorKind::PodmanRootful,
            pod: &pod,
            labels: &planted("label"),
            annotations: &planted("annotation"),
            config_maps: std::slice::from_ref(&map),
            secrets: std::slice::from_ref(&secret),
        });
        Workload {
            id,
            name: WorkloadName::from("web"),
            namespace: "default".to_owned(),
            executor: ExecutorKind::PodmanRootful,
            pod,
            labels: planted("label"),
            annotations: planted("annotation"),
            config_maps: vec![map],
            secrets: vec![secret],
            registries: [("quay.io".to_owned(), credentials)].into(),
            profiles: Vec::new(),
            cron: None,
            retry: None,
            restart_policy: RestartPolicy::Always,
            after: Vec::new(),
            proving: DEFAULT_PROVING,
            turn: Turn::default(),
            gate: UpdateGate::default(),
        }
    }

    #[test]
    fn no_message_that_carries_a_workload_shows_its_secrets() {
        let workload = Arc::new(full_of_secrets());
        let configuration = Configuration {
            version: None,
            heartbeat_period: Duration::from_secs(60),
            hardware_in_heartbeat: false,
            objectives: Vec::new(),
            profiles: Vec::new(),
            workloads: vec![Arc::clone(&workload)],
            rejected: Vec::new(),
            updates: Updates::default(),
        };
        let configured = WorkloadsConfigured {
            workloads: vec![Arc::clone(&workload)],
            ..WorkloadsConfigured::default()
        };
        let command =
            |action| ExecutorCommand { id: CommandId(1), deadline: Monotonic::default(), action };
        let pull = command(Action::Pull { workload: Arc::clone(&workload) });
        let limits = super::super::Limits::default();
        let start = command(Action::Start { workload: Arc::clone(&workload), limits });
        // Bytes are shown as numbers: their beginning is looked for, too.
        let bytes = format!("{:?}", &PLANTED.as_bytes()[..6]);
        let bytes = bytes.trim_matches(['[', ']']);
        for shown in [
            format!("{workload:?}"),
            format!("{workload:#?}"),
            format!("{configuration:?}"),
            format!("{configured:?}"),
            format!("{pull:?} {start:?}"),
            format!("{:?} {:?}", workload.config_maps, workload.secrets),
            format!("{:?}", workload.registries),
        ] {
            assert!(!shown.contains(PLANTED) && !shown.contains(bytes), "{shown}");
            assert!(shown.len() > 20, "something is shown: {shown}");
        }
    }
}
