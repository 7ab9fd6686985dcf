//! The agent with a cluster for its only runtime, configured from memory.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::{Message, Recipient};
use actors::clock::Clock;
use actors::control_plane_sync::{Call, ControlPlaneError, Source, stored_in};
use actors::k8s_executor::{ClusterAccess, kubernetes};
use actors::messages::{ConfigurationWanted, GetControlPlane, GetJobs, MetricsReceived, tell};
use actors::metrics_ingest::PassedSockets;
use actors::scheduler::{CronClock, SchedulerSettings};
use actors::testing::control_plane::FakeControlPlane;
use actors::testing::fake_clock_witness::FakeClockWitness;
use actors::workload::{
    Configuration, DeviceId, Event, ExecutorKind, JobReport, Profile, ProfileCondition,
    RetryPolicy, Sample, Workload, WorkloadStatus,
};
use device_worker_ng::system::{self, Direct, Outside, Settings};
use serde_json::json;
use tempfile::TempDir;

use crate::cluster::{Cluster, NAMESPACE, eventually};

/// Conditions of profile `p`, which every configuration has. Each is true while the metric of its name
/// is 1.
const CONDITIONS: [&str; 2] = ["on", "hot"];

/// An agent of its own. Dropping it ends it as a kill -9 does.
pub(crate) struct Agent {
    source: FakeControlPlane,
    running: system::Agent,
    _state_dir: TempDir,
}

impl Agent {
    pub(crate) fn start(device: &str, cluster: &Cluster) -> Self {
        Self::start_with(device, ClusterAccess::Kubeconfig(cluster.agents_kubeconfig()))
    }

    /// As [`Self::start`], with `access` to the cluster.
    pub(crate) fn start_with(device: &str, access: ClusterAccess) -> Self {
        let (device, clock) = (DeviceId::from(device), Clock::system());
        let source = FakeControlPlane::new(device.clone(), configuration(&[]), clock.clone());
        // An empty configuration would remove what an earlier agent left: there is none at first.
        source.script(|script| {
            let reason = "not configured yet".to_owned();
            let call = Call::Configuration;
            script.configuration = Err(ControlPlaneError::Unreachable { call, reason });
        });
        let state_dir = TempDir::new().unwrap();
        let outside = Outside {
            device_id: device.clone(),
            source: Source::Folder(Rc::new(source.clone())),
            place: String::new(),
            store: stored_in(state_dir.path()),
            podmans: [].into(),
            cluster: Some(kubernetes(access, device)),
            listen: Vec::new(),
            passed: PassedSockets::default(),
            clock_witness: Rc::new(FakeClockWitness::new(clock.clone())),
            clock,
            boot_id: "boot-1".to_owned(),
            settings: settings(),
        };
        let running = system::Agent::start(outside, &Direct);
        Self { source, running, _state_dir: state_dir }
    }

    /// Gives it the whole configuration.
    pub(crate) fn configure(&self, workloads: &[Workload]) {
        self.source.script(|script| script.configuration = Ok(configuration(workloads)));
        tell(&self.running.refresh, ConfigurationWanted);
    }

    /// Posts the metrics that make conditions of profile `p` true or false.
    pub(crate) async fn judge(&self, conditions: &[(&str, bool)]) {
        let sample = |(name, is_true): &(&str, bool)| Sample {
            name: (*name).into(),
            value: f64::from(u8::from(*is_true)),
            unit: None,
            ttl: None,
        };
        let samples = conditions.iter().map(sample).collect();
        let message = MetricsReceived { samples, permits: Vec::new() };
        self.running.metrics.send(message).await.unwrap().unwrap();
    }

    /// Returns how often it recorded an event until now.
    pub(crate) async fn recorded(&self, reason: &str) -> usize {
        self.events().await.iter().filter(|event| event.reason.as_str() == reason).count()
    }

    async fn events(&self) -> Vec<Event> {
        let report = ask(&self.running.control_plane, GetControlPlane).await;
        for (actor, report) in report.actors {
            assert_eq!(report.failures, 0, "{actor} was restarted");
        }
        report.events
    }

    async fn job(&self, workload: &str) -> Option<JobReport> {
        let jobs = ask(&self.running.jobs, GetJobs).await.workloads.into_iter();
        jobs.map(|report| report.job).find(|job| job.workload.as_str() == workload)
    }

    /// Returns the status of a workload, if it has one.
    pub(crate) async fn status(&self, workload: &str) -> Option<WorkloadStatus> {
        self.job(workload).await.map(|job| job.status)
    }

    /// Returns how often a workload was restarted.
    pub(crate) async fn restarts(&self, workload: &str) -> u32 {
        self.job(workload).await.unwrap().restarts
    }

    /// Waits until it reports `status`, and returns its reason.
    pub(crate) async fn reports(&self, workload: &str, status: WorkloadStatus) -> String {
        self.reports_reason(workload, status, "").await
    }

    /// Waits until it reports `status` with `words` in its reason, which it returns.
    pub(crate) async fn reports_reason(
        &self,
        workload: &str,
        status: WorkloadStatus,
        words: &str,
    ) -> String {
        let what = format!("{workload} {} {words}", status.as_str());
        eventually(&what, async || {
            let job = self.job(workload).await?;
            let reason = job.reason.unwrap_or_default();
            (job.status == status && reason.contains(words)).then_some(reason)
        })
        .await
    }

    /// Waits until it records an event, and returns its message.
    pub(crate) async fn records(&self, reason: &str) -> String {
        self.records_words(reason, "").await
    }

    /// Waits until it records an event with `words` in its message, which it returns.
    pub(crate) async fn records_words(&self, reason: &str, words: &str) -> String {
        eventually(&format!("{reason} {words}"), async || {
            let mut events = self.events().await.into_iter();
            let event = events
                .find(|event| event.reason.as_str() == reason && event.message.contains(words));
            event.map(|event| event.message)
        })
        .await
    }
}

/// Returns the answer to one of the status page's queries.
async fn ask<M>(recipient: &Recipient<M>, query: M) -> M::Result
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    recipient.send(query).await.expect("the actor answers")
}

fn settings() -> Settings {
    let podmans = [ExecutorKind::PodmanRootful, ExecutorKind::PodmanRootless];
    Settings {
        image_prune_after: None,
        log_max_size: "10mb".to_owned(),
        metrics_hosts: Vec::new(),
        metric_ttl: None,
        objectives: Vec::new(),
        scheduler: SchedulerSettings {
            retry: RetryPolicy::Constant { period: Duration::from_secs(1) },
            start_budget: 4,
            settling: Duration::from_secs(10),
            cron_clock: CronClock::Any,
            unconfigured: podmans.map(|kind| (kind, "not here".to_owned())).into(),
        },
    }
}

fn configuration(workloads: &[Workload]) -> Configuration {
    let conditions = CONDITIONS
        .map(|name| ProfileCondition { name: name.into(), expression: format!("{name} == 1") });
    Configuration {
        version: None,
        heartbeat_period: Duration::from_secs(60),
        hardware_in_heartbeat: false,
        objectives: Vec::new(),
        profiles: vec![Profile { name: "p".into(), conditions: conditions.into() }],
        workloads: workloads.iter().cloned().map(Arc::new).collect(),
        rejected: Vec::new(),
        updates: actors::workload::Updates::default(),
    }
}

/// A workload that brings a secret, with an id as [`actors::workload_id`] makes them.
pub(crate) fn workload(name: &str, id: &str) -> Workload {
    serde_json::from_value(json!({
        "id": id, "name": name, "namespace": NAMESPACE, "executor": ExecutorKind::K8s,
        "pod": {
            "containers": [{"name": "c", "image": "nginx", "ports": [{"containerPort": 80}]}],
            "volumes": [{"name": "v", "secret": {"secretName": "key"}}],
        },
        "secrets": [{"name": "key", "data": {"k": [1, 2, 3]}}],
    }))
    .unwrap()
}
