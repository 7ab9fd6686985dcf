//! The jobs against a small world: runtimes that do as commanded, unless a test makes them fail.

mod cluster;
mod commands;
mod cron;
mod dependencies;
mod frozen;
mod governing;
mod halt;
mod listings;
mod model;
mod profiles;
mod proof;
mod replacement;
mod restarts;
mod starting;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::cron::clock_trust::CronClock;
use super::observed::PodKey;
use super::table::{Entry, JobTable, SchedulerSettings};
use crate::clock::{Moment, Monotonic};
use crate::messages::{
    Action, CommandError, CommandFinished, ExecutorCommand, RuntimeUnavailable,
    WorkloadsConfigured, WorkloadsObserved,
};
use crate::testing::workloads::workload;
use crate::workload::{
    ContainerEnd, ContainerHealth, CurrentState, ExecutorKind, Health, JobReport, Limits,
    ObservedPod, PodHealth, RestartPolicy, RetryPolicy, Updates, Verdict, Verdicts, Workload,
    WorkloadId, WorkloadName, WorkloadStatus,
};

const ROOTFUL: ExecutorKind = ExecutorKind::PodmanRootful;
const RETRY: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// JobTable, and the runtimes that they command.
struct World {
    jobs: JobTable,
    now: Moment,
    pods: BTreeMap<PodKey, ObservedPod>,
    /// What the probes of a specification find, where it has some.
    health: BTreeMap<WorkloadId, Health>,
    /// What was brought to the pods.
    limits: BTreeMap<PodKey, Limits>,
    /// Commands sent and not yet answered.
    open: VecDeque<(ExecutorKind, ExecutorCommand)>,
    /// Every command sent: `at seconds: step workload`.
    log: Vec<String>,
    /// Errors for the next commands of a step, by `step workload`.
    failures: BTreeMap<String, VecDeque<CommandError>>,
    started_at: Moment,
    /// What the configuration has, and what its updates are: as the disk keeps them.
    configured: Vec<Arc<Workload>>,
    updates: Updates,
}

impl World {
    fn new() -> Self {
        Self::at("2026-11-23T10:00:30Z")
    }

    fn at(wall: &str) -> Self {
        let wall: DateTime<Utc> = wall.parse().unwrap();
        let now = Moment { monotonic: Monotonic::from_start(Duration::from_secs(1000)), wall };
        let mut world = Self {
            jobs: Self::deaf_jobs(),
            now,
            pods: BTreeMap::new(),
            health: BTreeMap::new(),
            limits: BTreeMap::new(),
            open: VecDeque::new(),
            log: Vec::new(),
            failures: BTreeMap::new(),
            started_at: now,
            configured: Vec::new(),
            updates: Updates::default(),
        };
        world.observe(ROOTFUL);
        world.observe(ExecutorKind::PodmanRootless);
        world
    }

    /// Returns a world with a cluster, too.
    fn with_cluster() -> Self {
        let mut world = Self::new();
        world.jobs =
            JobTable::new(SchedulerSettings { unconfigured: BTreeMap::new(), ..settings() }, 1);
        ExecutorKind::ALL.iter().for_each(|kind| world.observe(*kind));
        world
    }

    /// Returns jobs that have heard of no runtime.
    fn deaf_jobs() -> JobTable {
        JobTable::new(settings(), 1)
    }

    fn observe(&mut self, executor: ExecutorKind) {
        let pods = self.pods.iter().filter(|(key, _)| key.executor == executor);
        let pods = Ok(pods.map(|(_, pod)| pod.clone()).collect());
        self.jobs.observe(WorkloadsObserved { executor, observed_at: self.now, pods, slow: None });
    }

    fn lose(&mut self, executor: ExecutorKind) {
        let pods = Err(RuntimeUnavailable { message: "connection refused".to_owned() });
        self.jobs.observe(WorkloadsObserved { executor, observed_at: self.now, pods, slow: None });
    }

    /// Sends commands without answering them.
    fn plan(&mut self) {
        let elapsed = self.now.monotonic.saturating_since(self.started_at.monotonic);
        for (executor, command) in self.jobs.plan(self.now, &Utc) {
            let action = &command.action;
            let text =
                format!("{}s {} {}", elapsed.as_secs(), action.as_str(), action.workload_name());
            self.log.push(text);
            self.open.push_back((executor, command));
        }
        self.updates.note(&self.jobs.outcomes());
        // Nobody answers what pods use.
        self.jobs.wants_usage(self.now);
    }

    /// Answers the oldest open command.
    fn answer(&mut self) -> bool {
        let Some((executor, command)) = self.open.pop_front() else { return false };
        let name = command.action.workload_name().clone();
        let what = format!("{} {name}", command.action.as_str());
        let failure = self.failures.get_mut(&what).and_then(VecDeque::pop_front);
        // As every executor does: what comes too late touches nothing.
        let expired = command.deadline <= self.now.monotonic;
        let failure = expired.then_some(CommandError::Expired).or(failure);
        let result = failure.map_or(Ok(()), Err);
        if result.is_ok() {
            self.carry_out(executor, &command.action);
        }
        self.observe(executor);
        self.finish(executor, &command, result);
        true
    }

    fn finish(
        &mut self,
        executor: ExecutorKind,
        command: &ExecutorCommand,
        result: Result<(), CommandError>,
    ) {
        let (id, workload) = (command.id, command.action.workload_name().clone());
        let finished = CommandFinished { executor, id, workload, finished_at: self.now, result };
        self.jobs.finish(finished, self.now);
    }

    fn carry_out(&mut self, executor: ExecutorKind, action: &Action) {
        match action {
            Action::Pull { .. } => {}
            Action::Limit { workload, limits } => {
                let key = PodKey { executor, id: workload.id.clone() };
                // Written anew on a cluster; podman changes a pod that is there.
                if executor.is_cluster() {
                    self.put(executor, workload, CurrentState::Running);
                }
                if self.pods.contains_key(&key) {
                    self.limits.insert(key, *limits);
                }
            }
            Action::Start { workload, limits } => {
                self.put(executor, workload, CurrentState::Running);
                let key = PodKey { executor, id: workload.id.clone() };
                self.limits.insert(key, *limits);
            }
            Action::Suspend { id, .. } => {
                let key = PodKey { executor, id: id.clone() };
                self.pods.entry(key).and_modify(|pod| {
                    pod.state = CurrentState::Suspended;
                    pod.is_changed = false;
                });
            }
            Action::Freeze { id, .. } | Action::Thaw { id, .. } => {
                let is_frozen = matches!(action, Action::Freeze { .. });
                let state = if is_frozen { CurrentState::Frozen } else { CurrentState::Running };
                let key = PodKey { executor, id: id.clone() };
                self.pods.entry(key).and_modify(|pod| pod.state = state);
            }
            Action::Halt { id, .. } => {
                let ended = CurrentState::Exited { ended: Vec::new() };
                let key = PodKey { executor, id: id.clone() };
                self.pods.entry(key).and_modify(|pod| pod.state = ended);
            }
            Action::Stop { id, .. } => {
                self.pods.remove(&PodKey { executor, id: id.clone() });
            }
        }
    }

    fn put(&mut self, executor: ExecutorKind, workload: &Workload, state: CurrentState) {
        let (id, name) = (workload.id.clone(), workload.name.clone());
        let health = self
            .health
            .get(&id)
            .map(|health| ContainerHealth { container: "main".to_owned(), health: health.clone() });
        let pod = ObservedPod {
            id: id.clone(),
            workload: name,
            state,
            started_at: None,
            restarts: 0,
            is_changed: false,
            health: PodHealth(health.into_iter().collect()),
            containers: Vec::new(),
        };
        self.pods.insert(PodKey { executor, id }, pod);
    }

    /// Lets everything happen that happens in no time.
    fn run(&mut self) {
        self.plan();
        while self.answer() {
            self.plan();
        }
    }

    /// Lets `span` pass, from alarm to alarm.
    fn pass(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(at) = self.jobs.next_alarm().filter(|at| *at <= end.monotonic) {
            self.now = self.now.after(at.saturating_since(self.now.monotonic));
            self.run();
        }
        self.now = end;
        self.run();
    }

    fn configure(&mut self, workloads: &[Arc<Workload>]) {
        self.tell(workloads);
        self.run();
    }

    /// Tells of a configuration, without anything coming of that yet.
    fn tell(&mut self, workloads: &[Arc<Workload>]) {
        self.updates = self.updates.after(&self.configured, workloads);
        self.configured = workloads.to_vec();
        self.tell_again();
    }

    fn tell_again(&mut self) {
        let (workloads, updates) = (self.configured.clone(), self.updates.clone());
        let configured =
            WorkloadsConfigured { workloads, updates, ..WorkloadsConfigured::default() };
        self.jobs.configure(&configured, self.now);
    }

    fn verdict(&mut self, condition: &str, verdict: Verdict) {
        let verdicts: Verdicts =
            [("p".into(), Arc::new([(condition.into(), verdict)].into()))].into();
        self.jobs.evaluate(verdicts, Arc::default());
        self.run();
    }

    /// Ends every container of a workload's pod.
    fn end(&mut self, name: &str, exit_code: i32) {
        self.change(name, CurrentState::Exited { ended: vec![ended(exit_code)] });
    }

    fn change(&mut self, name: &str, state: CurrentState) {
        for pod in self.pods.values_mut().filter(|pod| pod.workload.as_str() == name) {
            pod.state = state.clone();
        }
        self.observe(ROOTFUL);
        self.run();
    }

    fn fail(&mut self, what: &str, errors: &[CommandError]) {
        self.failures.insert(what.to_owned(), errors.iter().cloned().collect());
    }

    fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    fn entry(&self, name: &WorkloadName) -> Option<&Entry> {
        self.jobs.jobs.get(name).map(Box::as_ref)
    }

    fn report(&self, name: &str) -> JobReport {
        let mut reports = self.jobs.reports(self.now).into_iter();
        reports.find(|report| report.workload.as_str() == name).unwrap()
    }

    fn status(&self, name: &str) -> WorkloadStatus {
        self.report(name).status
    }

    fn events(&mut self) -> Vec<&'static str> {
        self.jobs.take_events().into_iter().map(|event| event.reason.as_str()).collect()
    }

    fn running(&self) -> Vec<&str> {
        let running = self.pods.values().filter(|pod| pod.state == CurrentState::Running);
        running.map(|pod| pod.workload.as_str()).collect()
    }
}

fn settings() -> SchedulerSettings {
    SchedulerSettings {
        retry: RetryPolicy::Constant { period: RETRY },
        start_budget: 4,
        settling: Duration::from_secs(10),
        cron_clock: CronClock::Any,
        unconfigured: [(ExecutorKind::K8s, "set KUBECONFIG".to_owned())].into(),
    }
}

fn ended(exit_code: i32) -> ContainerEnd {
    ContainerEnd { container: "main".to_owned(), exit_code, oom_killed: false, message: None }
}

fn pull_error() -> CommandError {
    CommandError::Pull { image: "localhost/app:1".to_owned(), message: "no such image".to_owned() }
}
