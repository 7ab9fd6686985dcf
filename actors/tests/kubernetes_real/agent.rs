//! The part of an agent that runs workloads on a cluster: scheduler and executor.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::{Actor, Context, Handler, Recipient};
use actors::clock::Clock;
use actors::k8s_executor::{ClusterAccess, K8sDeps, K8sExecutor, kubernetes};
use actors::messages::{
    ActorHealthChanged, EventRecorded, JobsReported, ProfilesEvaluated, WorkloadsConfigured, tell,
};
use actors::scheduler::{CronClock, Scheduler, SchedulerDeps, SchedulerSettings};
use actors::supervisor::Slot;
use actors::testing::fake_clock_witness::FakeClockWitness;
use actors::workload::{
    Event, ExecutorKind, JobReport, RetryPolicy, Verdict, Workload, WorkloadStatus,
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, NAMESPACE, eventually};

/// Lives until it is dropped, which it survives as little as a kill -9.
pub(crate) struct Agent {
    peer: Peer,
    workloads: Recipient<WorkloadsConfigured>,
    verdicts: Recipient<ProfilesEvaluated>,
    _actors: JoinSet<()>,
}

impl Agent {
    pub(crate) fn start(device: &str, cluster: &Cluster) -> Self {
        Self::start_with(device, ClusterAccess::Kubeconfig(cluster.agents_kubeconfig()))
    }

    /// Starts one with an access of its own.
    pub(crate) fn start_with(device: &str, access: ClusterAccess) -> Self {
        let clock = Clock::system();
        let peer = Peer::default();
        let address = peer.clone().start();
        let executor_slot = Slot::<K8sExecutor>::new("k8s", clock.clone());
        let scheduler_slot = Slot::<Scheduler>::new("scheduler", clock.clone());
        let executor = K8sExecutor::new(K8sDeps {
            device_id: device.into(),
            command_results: scheduler_slot.recipient(),
            observations: scheduler_slot.recipient(),
            events: address.clone().recipient(),
            clock: clock.clone(),
            vitals: executor_slot.vitals(),
            connect: kubernetes(access, device.into()),
        });
        let scheduler = Scheduler::new(SchedulerDeps {
            executors: [(ExecutorKind::K8s, executor_slot.recipient())].into(),
            reports: address.clone().recipient(),
            events: address.clone().recipient(),
            clock_witness: Rc::new(FakeClockWitness::new(clock.clone())),
            clock,
            settings: SchedulerSettings {
                retry: RetryPolicy::Constant { period: Duration::from_secs(1) },
                start_budget: 4,
                cron_clock: CronClock::Any,
                unconfigured: BTreeMap::new(),
            },
        });
        let (workloads, verdicts) = (scheduler_slot.recipient(), scheduler_slot.recipient());
        let mut actors = JoinSet::new();
        actors.spawn_local(executor_slot.supervise(executor, address.clone().recipient()));
        actors.spawn_local(scheduler_slot.supervise(scheduler, address.recipient()));
        Self { peer, workloads, verdicts, _actors: actors }
    }

    /// Gives it the whole configuration.
    pub(crate) fn configure(&self, workloads: &[Workload]) {
        let workloads = workloads.iter().cloned().map(Arc::new).collect();
        tell(&self.workloads, WorkloadsConfigured { workloads, ..WorkloadsConfigured::default() });
    }

    /// Gives it the verdicts on the conditions of profile `p`.
    pub(crate) fn judge(&self, conditions: &[(&str, bool)]) {
        let verdict = |is_true| if is_true { Verdict::True } else { Verdict::False };
        let conditions = conditions.iter();
        let conditions = conditions.map(|(name, is_true)| ((*name).into(), verdict(*is_true)));
        let verdicts = [("p".into(), Arc::new(conditions.collect()))].into();
        tell(
            &self.verdicts,
            ProfilesEvaluated { verdicts, profiles: Arc::default(), posted_at: None },
        );
    }

    /// Returns how often it recorded an event until now.
    pub(crate) fn recorded(&self, reason: &str) -> usize {
        self.peer.events.borrow().iter().filter(|event| event.reason.as_str() == reason).count()
    }

    /// Returns the status of a workload by its last report.
    pub(crate) fn status(&self, workload: &str) -> Option<WorkloadStatus> {
        let jobs = self.peer.jobs.borrow();
        jobs.iter().find(|job| job.workload.as_str() == workload).map(|job| job.status)
    }

    /// Returns how often a workload was started again, by its last report.
    pub(crate) fn restarts(&self, workload: &str) -> u32 {
        let jobs = self.peer.jobs.borrow();
        jobs.iter().find(|job| job.workload.as_str() == workload).unwrap().restarts
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
            let jobs = self.peer.jobs.borrow();
            let job = jobs.iter().find(|job| job.workload.as_str() == workload)?;
            let reason = job.reason.clone().unwrap_or_default();
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
            let events = self.peer.events.borrow();
            let mut events = events.iter();
            let event = events
                .find(|event| event.reason.as_str() == reason && event.message.contains(words));
            event.map(|event| event.message.clone())
        })
        .await
    }
}

/// Every peer of the two: remembers what it heard.
#[derive(Clone, Default)]
struct Peer {
    jobs: Rc<RefCell<Arc<[JobReport]>>>,
    events: Rc<RefCell<Vec<Event>>>,
}

impl Actor for Peer {
    type Context = Context<Self>;
}

impl Handler<JobsReported> for Peer {
    type Result = ();

    fn handle(&mut self, message: JobsReported, _: &mut Self::Context) {
        self.jobs.replace(message.jobs);
    }
}

impl Handler<EventRecorded> for Peer {
    type Result = ();

    fn handle(&mut self, message: EventRecorded, _: &mut Self::Context) {
        self.events.borrow_mut().push(message.event);
    }
}

impl Handler<ActorHealthChanged> for Peer {
    type Result = ();

    fn handle(&mut self, message: ActorHealthChanged, _: &mut Self::Context) {
        panic!("{message:?}");
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
