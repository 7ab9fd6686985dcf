//! The jobs against a small world: runtimes that do what they are told, unless told to fail.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::jobs::Jobs;
use super::run::PodKey;
use super::settings::SchedulerSettings;
use crate::clock::{Moment, Monotonic};
use crate::messages::{
    Action, CommandError, CommandFinished, ExecutorCommand, RuntimeUnavailable,
    WorkloadsConfigured, WorkloadsObserved,
};
use crate::testing::workloads::workload;
use crate::workload::{
    ContainerEnd, CurrentState, ExecutorKind, JobReport, ObservedPod, RejectedWorkload,
    RestartPolicy, RetryPolicy, Verdict, Verdicts, Workload, WorkloadId, WorkloadName,
    WorkloadStatus,
};

pub(super) const ROOTFUL: ExecutorKind = ExecutorKind::PodmanRootful;
pub(super) const RETRY: Duration = Duration::from_secs(20);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Jobs, and the runtimes that they command.
pub(super) struct World {
    pub(super) jobs: Jobs,
    pub(super) now: Moment,
    pub(super) pods: BTreeMap<PodKey, ObservedPod>,
    /// Commands sent and not yet answered.
    pub(super) open: VecDeque<(ExecutorKind, ExecutorCommand)>,
    /// Every command sent: `at seconds: step workload`.
    log: Vec<String>,
    /// Errors for the next commands of a step, by `step workload`.
    failures: BTreeMap<String, VecDeque<CommandError>>,
    started_at: Moment,
}

impl World {
    pub(super) fn new() -> Self {
        Self::at("2026-11-23T10:00:30Z")
    }

    fn at(wall: &str) -> Self {
        let wall: DateTime<Utc> = wall.parse().unwrap();
        let now = Moment { monotonic: Monotonic::from_start(Duration::from_secs(1000)), wall };
        let mut world = Self {
            jobs: Self::deaf_jobs(),
            now,
            pods: BTreeMap::new(),
            open: VecDeque::new(),
            log: Vec::new(),
            failures: BTreeMap::new(),
            started_at: now,
        };
        world.observe(ROOTFUL);
        world.observe(ExecutorKind::PodmanRootless);
        world
    }

    /// Returns jobs that have heard of no runtime.
    fn deaf_jobs() -> Jobs {
        let settings = SchedulerSettings {
            retry: RetryPolicy::Constant { period: RETRY },
            start_budget: 4,
            unconfigured: [(ExecutorKind::K8s, "set KUBECONFIG".to_owned())].into(),
        };
        Jobs::new(settings, 1)
    }

    pub(super) fn observe(&mut self, executor: ExecutorKind) {
        let pods = self.pods.iter().filter(|(key, _)| key.executor == executor);
        let pods = Ok(pods.map(|(_, pod)| pod.clone()).collect());
        self.jobs.observe(WorkloadsObserved { executor, observed_at: self.now, pods });
    }

    pub(super) fn lose(&mut self, executor: ExecutorKind) {
        let pods = Err(RuntimeUnavailable { message: "connection refused".to_owned() });
        self.jobs.observe(WorkloadsObserved { executor, observed_at: self.now, pods });
    }

    /// Sends commands without answering them.
    pub(super) fn plan(&mut self) {
        let elapsed = self.now.monotonic.saturating_since(self.started_at.monotonic);
        for (executor, command) in self.jobs.plan(self.now, &Utc) {
            let action = &command.action;
            let text =
                format!("{}s {} {}", elapsed.as_secs(), action.as_str(), action.workload_name());
            self.log.push(text);
            self.open.push_back((executor, command));
        }
    }

    /// Answers the oldest open command.
    fn answer(&mut self) -> bool {
        let Some((executor, command)) = self.open.pop_front() else { return false };
        let name = command.action.workload_name().clone();
        let what = format!("{} {name}", command.action.as_str());
        let failure = self.failures.get_mut(&what).and_then(VecDeque::pop_front);
        let result = failure.map_or(Ok(()), Err);
        if result.is_ok() {
            self.carry_out(executor, &command.action);
        }
        self.observe(executor);
        self.finish(executor, &command, result);
        true
    }

    pub(super) fn finish(
        &mut self,
        executor: ExecutorKind,
        command: &ExecutorCommand,
        result: Result<(), CommandError>,
    ) {
        let (id, workload) = (command.id, command.action.workload_name().clone());
        let finished = CommandFinished { executor, id, workload, finished_at: self.now, result };
        self.jobs.finish(finished, self.now);
    }

    pub(super) fn carry_out(&mut self, executor: ExecutorKind, action: &Action) {
        match action {
            Action::Pull { .. } | Action::Limit { .. } => {}
            Action::Start { workload, .. } => {
                self.put(executor, workload, CurrentState::Running);
            }
            Action::Stop { id, .. } => {
                self.pods.remove(&PodKey { executor, id: id.clone() });
            }
        }
    }

    fn put(&mut self, executor: ExecutorKind, workload: &Workload, state: CurrentState) {
        let (id, name) = (workload.id.clone(), workload.name.clone());
        let pod = ObservedPod { id: id.clone(), workload: name, state, started_at: None };
        self.pods.insert(PodKey { executor, id }, pod);
    }

    /// Lets everything happen that happens in no time.
    pub(super) fn run(&mut self) {
        self.plan();
        while self.answer() {
            self.plan();
        }
    }

    /// Lets `span` pass, from alarm to alarm.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(at) = self.jobs.next_alarm().filter(|at| *at <= end.monotonic) {
            self.now = self.now.after(at.saturating_since(self.now.monotonic));
            self.run();
        }
        self.now = end;
        self.run();
    }

    pub(super) fn configure(&mut self, workloads: &[Arc<Workload>]) {
        let configured =
            WorkloadsConfigured { workloads: workloads.to_vec(), rejected: Vec::new() };
        self.jobs.configure(&configured, self.now);
        self.run();
    }

    fn verdict(&mut self, condition: &str, verdict: Verdict) {
        let verdicts: Verdicts =
            [("p".into(), Arc::new([(condition.into(), verdict)].into()))].into();
        self.jobs.evaluate(verdicts);
        self.run();
    }

    /// Ends every container of a workload's pod.
    pub(super) fn end(&mut self, name: &str, exit_code: i32) {
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

    pub(super) fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    fn report(&self, name: &str) -> JobReport {
        let mut reports = self.jobs.reports(self.now).into_iter();
        reports.find(|report| report.workload.as_str() == name).unwrap()
    }

    fn status(&self, name: &str) -> WorkloadStatus {
        self.report(name).status
    }

    fn events(&mut self) -> Vec<&'static str> {
        self.jobs.take_events().into_iter().map(|event| event.reason).collect()
    }

    pub(super) fn running(&self) -> Vec<&str> {
        let running = self.pods.values().filter(|pod| pod.state == CurrentState::Running);
        running.map(|pod| pod.workload.as_str()).collect()
    }
}

pub(super) fn ended(exit_code: i32) -> ContainerEnd {
    ContainerEnd { container: "main".to_owned(), exit_code, oom_killed: false, message: None }
}

fn pull_error() -> CommandError {
    CommandError::Pull { image: "localhost/app:1".to_owned(), message: "no such image".to_owned() }
}

// ---- start, stop, adopt -----------------------------------------------------------------------

#[test]
fn configured_workload_is_pulled_and_started() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
    assert_eq!(world.status("web"), WorkloadStatus::Running);
    world.pass(10 * MINUTE);
    assert!(world.log().is_empty(), "nothing more is to do");
}

#[test]
fn running_pod_is_adopted_untouched() {
    let mut world = World::new();
    let web = workload("web").build();
    world.put(ROOTFUL, &web, CurrentState::Running);
    world.observe(ROOTFUL);
    world.configure(&[web]);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    assert_eq!(world.status("web"), WorkloadStatus::Running);
}

#[test]
fn nothing_starts_before_the_runtime_was_heard() {
    let mut world = World::new();
    world.lose(ROOTFUL);
    world.configure(&[workload("web").build()]);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    let report = world.report("web");
    assert_eq!(report.status, WorkloadStatus::Deploying);
    assert_eq!(report.reason.unwrap(), "podman_rootful is not available: connection refused");
    world.observe(ROOTFUL);
    world.run();
    assert_eq!(world.log(), ["60s pull web", "60s start web"]);
}

#[test]
fn runtime_without_executor_tells_the_way_out() {
    let mut world = World::new();
    world.configure(&[workload("web").on(ExecutorKind::K8s).build()]);
    assert_eq!(world.report("web").reason.unwrap(), "set KUBECONFIG");
    world.configure(&[workload("web").on(ExecutorKind::K8s).build()]);
    assert_eq!(world.events(), ["RuntimeNotConfigured"], "once, not at each repetition");
}

#[test]
fn removed_workload_is_stopped_and_forgotten() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.configure(&[]);
    assert_eq!(world.log(), ["0s stop web"]);
    assert!(world.pods.is_empty());
    assert!(world.jobs.reports(world.now).is_empty());
}

#[test]
fn stranger_is_removed_only_once_a_configuration_is_known() {
    let mut world = World::new();
    world.put(ROOTFUL, &workload("old").build(), CurrentState::Running);
    world.observe(ROOTFUL);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    world.configure(&[]);
    assert_eq!(world.log(), ["60s stop old"]);
}

#[test]
fn changed_workload_is_pulled_before_the_old_pod_stops() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.configure(&[workload("web").image("localhost/app:2").build()]);
    assert_eq!(world.log(), ["0s pull web", "0s stop web", "0s start web"]);
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn old_pod_runs_on_while_the_new_image_cannot_be_pulled() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.fail("pull web", &[pull_error(), pull_error()]);
    world.configure(&[workload("web").image("localhost/app:2").build()]);
    assert_eq!(world.log(), ["0s pull web"]);
    assert_eq!(world.running(), ["web"]);
    let report = world.report("web");
    assert_eq!(report.status, WorkloadStatus::Deploying);
    assert!(report.reason.unwrap().contains("no such image"));
    world.pass(2 * RETRY);
    assert_eq!(world.log(), ["20s pull web", "40s pull web", "40s stop web", "40s start web"]);
}

#[test]
fn change_of_profiles_alone_keeps_the_pod() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.verdict("low", Verdict::True);
    world.log();
    world.configure(&[workload("web").profile("p", &["low"]).build()]);
    assert!(world.log().is_empty());
}

#[test]
fn moved_to_another_runtime_it_runs_there_alone() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.configure(&[workload("web").on(ExecutorKind::PodmanRootless).build()]);
    let runtimes: Vec<_> = world.pods.keys().map(|key| key.executor).collect();
    assert_eq!(runtimes, [ExecutorKind::PodmanRootless]);
}

#[test]
fn refused_workload_is_reported_with_its_reason() {
    let mut world = World::new();
    let reason = "kind vm is unknown".to_owned();
    let rejected = vec![RejectedWorkload { name: WorkloadName::from("bad"), reason }];
    let configured = WorkloadsConfigured { workloads: Vec::new(), rejected };
    world.jobs.configure(&configured, world.now);
    world.jobs.configure(&configured, world.now);
    assert_eq!(world.report("bad").reason.unwrap(), "kind vm is unknown");
    assert_eq!(world.events(), ["WorkloadRejected"], "once, not at each repetition");
}

#[test]
fn pod_on_a_podman_that_was_not_heard_yet_is_not_doubled() {
    let mut world = World::new();
    world.jobs = World::deaf_jobs();
    world.now.monotonic = Monotonic::from_start(SECOND);
    world.started_at = world.now;
    world.put(ROOTFUL, &workload("web").build(), CurrentState::Running);
    world.observe(ExecutorKind::PodmanRootless);
    let moved = workload("web").on(ExecutorKind::PodmanRootless).build();
    world.configure(&[moved]);
    world.pass(3 * SECOND);
    assert_eq!(world.log(), ["0s pull web"]);
    world.observe(ROOTFUL);
    world.run();
    assert_eq!(world.log(), ["3s stop web", "3s start web"]);
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn podman_that_never_speaks_holds_the_other_up_for_a_minute_at_most() {
    let mut world = World::new();
    world.jobs = World::deaf_jobs();
    world.now.monotonic = Monotonic::from_start(SECOND);
    world.observe(ROOTFUL);
    world.configure(&[workload("web").build()]);
    world.pass(MINUTE);
    assert_eq!(world.running(), ["web"]);
}

// ---- profiles ---------------------------------------------------------------------------------

#[test]
fn false_condition_stops_the_pod_and_true_starts_it() {
    let mut world = World::new();
    world.configure(&[workload("web").profile("p", &["low"]).build()]);
    assert!(world.log().is_empty(), "no verdict yet");
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
    world.verdict("low", Verdict::False);
    assert_eq!(world.log(), ["0s stop web"]);
    let report = world.report("web");
    assert_eq!(report.status, WorkloadStatus::Stopped);
    assert_eq!(report.reason.unwrap(), "profile p: low is false");
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["0s start web"], "at once, and the image is known to be there");
}

#[test]
fn adopted_pod_is_kept_while_its_metrics_have_not_come_again() {
    let mut world = World::new();
    world.now.monotonic = Monotonic::from_start(SECOND);
    world.started_at = world.now;
    let web = workload("web").profile("p", &["low"]).build();
    world.put(ROOTFUL, &web, CurrentState::Running);
    world.observe(ROOTFUL);
    world.configure(&[web]);
    world.verdict("low", Verdict::Unknown);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    world.pass(MINUTE);
    assert_eq!(world.log(), ["119s stop web"], "but not for ever");
}

#[test]
fn adopted_pod_is_stopped_at_once_when_a_metric_forbids_it() {
    let mut world = World::new();
    world.now.monotonic = Monotonic::from_start(SECOND);
    let web = workload("web").profile("p", &["low"]).build();
    world.put(ROOTFUL, &web, CurrentState::Running);
    world.observe(ROOTFUL);
    world.configure(&[web]);
    world.verdict("low", Verdict::False);
    assert_eq!(world.running(), [""; 0]);
}

#[test]
fn flapping_profile_does_not_bypass_the_retry_delay() {
    let mut world = World::new();
    world.configure(&[workload("web").profile("p", &["low"]).build()]);
    world.verdict("low", Verdict::True);
    world.log();
    world.end("web", 1);
    world.pass(SECOND);
    world.verdict("low", Verdict::False);
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["1s stop web"], "the ended pod is removed, none is started yet");
    world.pass(RETRY);
    assert_eq!(world.running(), ["web"]);
}

#[test]
fn verdict_that_names_another_profile_plans_nothing() {
    let mut world = World::new();
    world.configure(&[workload("web").profile("q", &["low"]).build()]);
    world.verdict("low", Verdict::True);
    assert!(world.log().is_empty());
    assert_eq!(world.report("web").reason.unwrap(), "the device does not define profile q");
}

#[test]
fn limit_comes_with_its_condition_and_goes_with_it() {
    let mut world = World::new();
    let limited = |workload: &mut Workload| {
        workload.profiles[0].conditions[0].cpu = Some(20_000);
    };
    let web = workload("web").profile("p", &["low", "any"]).with(limited).build();
    world.configure(&[web]);
    let verdicts = |low: Verdict| -> Verdicts {
        let conditions = [("low".into(), low), ("any".into(), Verdict::True)].into();
        [("p".into(), Arc::new(conditions))].into()
    };
    world.jobs.evaluate(verdicts(Verdict::False));
    world.run();
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
    world.jobs.evaluate(verdicts(Verdict::True));
    world.run();
    assert_eq!(world.log(), ["0s limit web"], "the limit is brought to the running pod");
    assert_eq!(world.report("web").restarts, 0);
    world.jobs.evaluate(verdicts(Verdict::False));
    world.run();
    assert_eq!(world.log(), ["0s limit web"], "and lifted");
    world.pass(10 * MINUTE);
    assert!(world.log().is_empty());
}

#[test]
fn limit_that_cannot_be_applied_is_said_once_and_harms_nobody() {
    let mut world = World::new();
    let limited = |workload: &mut Workload| {
        workload.profiles[0].conditions[0].cpu = Some(20_000);
    };
    let web = workload("web").profile("p", &["low"]).with(limited).build();
    world.put(ROOTFUL, &web, CurrentState::Running);
    world.observe(ROOTFUL);
    world.fail("limit web", &[CommandError::Unsupported { message: "cgroup v1".to_owned() }]);
    world.verdict("low", Verdict::True);
    world.configure(&[web]);
    world.pass(10 * MINUTE);
    assert_eq!(world.log(), ["0s limit web"]);
    assert_eq!(world.events(), ["LimitNotApplied"]);
    assert_eq!(world.status("web"), WorkloadStatus::Running);
}

#[test]
fn profile_that_the_device_does_not_define_is_told_once() {
    let mut world = World::new();
    world.configure(&[workload("web").profile("q", &["low"]).build()]);
    world.verdict("low", Verdict::True);
    world.verdict("low", Verdict::False);
    assert_eq!(world.events(), ["ProfileUnknown"]);
}

// ---- replacement ------------------------------------------------------------------------------

/// A world whose workload ran well and was given a specification that cannot start.
fn world_with_a_bad_successor(failures: usize) -> World {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.pass(MINUTE);
    world.log();
    let error = CommandError::Start { message: "exec: \"/nope\": not found".to_owned() };
    world.fail("start web", &vec![error; failures]);
    world.configure(&[workload("web").image("localhost/app:2").build()]);
    world
}

fn image_running(world: &World) -> Option<WorkloadId> {
    let running = world.pods.values().find(|pod| pod.state == CurrentState::Running);
    running.map(|pod| pod.id.clone())
}

#[test]
fn specification_that_does_not_start_in_three_attempts_is_rolled_back() {
    let mut world = world_with_a_bad_successor(3);
    assert!(world.running().is_empty());
    world.pass(2 * RETRY);
    assert_eq!(image_running(&world), Some(workload("web").build().id.clone()));
    assert!(world.events().contains(&"RolledBack"));
    let report = world.report("web");
    assert_eq!(report.status, WorkloadStatus::Running);
    let reason = report.reason.unwrap();
    assert!(reason.starts_with("rolled back to the previous specification:"), "{reason}");
}

#[test]
fn rolled_back_specification_is_tried_again_and_stays_when_it_starts() {
    let mut world = world_with_a_bad_successor(3);
    world.pass(2 * RETRY);
    world.log();
    world.fail("start web", &[CommandError::Start { message: "still not".to_owned() }]);
    world.pass(5 * MINUTE);
    let again = ["400s pull web", "400s stop web", "400s start web", "400s start web"];
    assert_eq!(world.log(), again, "the new one is tried once, then the old one is back");
    assert_eq!(image_running(&world), Some(workload("web").build().id.clone()), "in vain");
    world.pass(10 * MINUTE);
    let new = workload("web").image("localhost/app:2").build();
    assert_eq!(image_running(&world), Some(new.id.clone()));
    world.pass(20 * MINUTE);
    assert_eq!(image_running(&world), Some(new.id.clone()));
}

#[test]
fn mended_specification_ends_the_rollback_at_once() {
    let mut world = world_with_a_bad_successor(3);
    world.pass(2 * RETRY);
    let mended = workload("web").image("localhost/app:3").build();
    world.configure(std::slice::from_ref(&mended));
    assert_eq!(image_running(&world), Some(mended.id.clone()));
}

#[test]
fn first_specification_has_nothing_to_roll_back_to() {
    let mut world = World::new();
    let error = CommandError::Start { message: "no".to_owned() };
    world.fail("start web", &vec![error; 5]);
    world.configure(&[workload("web").build()]);
    world.pass(5 * RETRY);
    assert_eq!(world.running(), ["web"]);
    assert!(!world.events().contains(&"RolledBack"));
}

#[test]
fn rollback_that_ends_during_a_command_waits_for_it() {
    let mut world = world_with_a_bad_successor(3);
    world.pass(2 * RETRY);
    assert!(world.report("web").reason.unwrap().starts_with("rolled back"));
    // The rollback lasts 5 min; 4 s before its end a retry sends a command that nobody answers yet.
    world.pass(5 * MINUTE - RETRY - 5 * SECOND);
    world.end("web", 1);
    world.log();
    world.now = world.now.after(RETRY + SECOND);
    world.plan();
    assert_eq!(world.log(), ["396s pull web"]);
    world.now = world.now.after(10 * SECOND);
    world.plan();
    assert!(world.log().is_empty());
    let alarm = world.jobs.next_alarm().unwrap();
    let next = alarm.saturating_since(world.now.monotonic);
    assert!(next > MINUTE, "the command's deadline comes next, not the rollback's end: {next:?}");
    world.run();
    let attempt = ["406s pull web", "406s stop web", "406s start web"];
    assert_eq!(world.log(), attempt, "the ended pod goes, and the new one has its attempt");
}

#[test]
fn profile_that_comes_with_its_reference_stops_nothing() {
    let mut world = World::new();
    world.configure(&[workload("web").profile("p", &["low"]).build()]);
    world.verdict("low", Verdict::True);
    world.log();
    // The configuration arrives before the verdicts on its new profile.
    world.configure(&[workload("web").profile("p", &["high"]).build()]);
    assert!(world.log().is_empty());
    world.verdict("high", Verdict::True);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    world.verdict("high", Verdict::False);
    assert_eq!(world.log(), ["60s stop web"]);
}

#[test]
fn scheduler_that_was_reset_stops_nothing_for_want_of_verdicts() {
    let mut world = World::new();
    let web = workload("web").profile("p", &["low"]).build();
    world.configure(std::slice::from_ref(&web));
    world.verdict("low", Verdict::True);
    world.log();
    world.jobs.reset();
    world.observe(ROOTFUL);
    world.configure(&[web]);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
}

// ---- restarts ---------------------------------------------------------------------------------

#[test]
fn ended_pod_restarts_after_the_retry_delay() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.end("web", 3);
    let report = world.report("web");
    assert_eq!(report.status, WorkloadStatus::Crashed);
    assert_eq!(report.reason.unwrap(), "container main ended with code 3");
    assert!(report.next_start.is_some());
    world.pass(RETRY - SECOND);
    assert!(world.log().is_empty());
    world.pass(SECOND);
    assert_eq!(world.log(), ["20s pull web", "20s start web"]);
    assert_eq!(world.report("web").restarts, 1);
}

#[test]
fn restart_policy_decides_whether() {
    for (policy, exit_code, restarts) in [
        (RestartPolicy::Always, 0, true),
        (RestartPolicy::Always, 1, true),
        (RestartPolicy::OnFailure, 0, false),
        (RestartPolicy::OnFailure, 1, true),
        (RestartPolicy::Never, 0, false),
        (RestartPolicy::Never, 1, false),
    ] {
        let mut world = World::new();
        world.configure(&[workload("web").restarts(policy).build()]);
        world.end("web", exit_code);
        let status = if restarts { WorkloadStatus::Crashed } else { WorkloadStatus::Stopped };
        assert_eq!(world.status("web"), status, "{policy:?} {exit_code}");
        world.pass(MINUTE);
        assert_eq!(!world.running().is_empty(), restarts, "{policy:?} {exit_code}");
    }
}

#[test]
fn degraded_pod_is_restarted_whole_after_the_delay() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.change("web", CurrentState::Degraded { ended: vec![ended(1)] });
    assert_eq!(world.status("web"), WorkloadStatus::Crashed);
    world.pass(RETRY);
    assert_eq!(world.log(), ["20s stop web", "20s pull web", "20s start web"]);
}

#[test]
fn degraded_pod_that_shall_not_repeat_is_left_alone() {
    let mut world = World::new();
    world.configure(&[workload("web").restarts(RestartPolicy::OnFailure).build()]);
    world.log();
    world.change("web", CurrentState::Degraded { ended: vec![ended(0)] });
    world.pass(10 * MINUTE);
    assert!(world.log().is_empty());
}

#[test]
fn pod_that_vanished_comes_back() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.pods.clear();
    world.observe(ROOTFUL);
    world.run();
    world.pass(RETRY);
    assert_eq!(world.log(), ["20s pull web", "20s start web"]);
}

#[test]
fn runtime_that_is_gone_for_a_while_costs_no_healthy_pod() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    world.lose(ROOTFUL);
    world.pass(10 * MINUTE);
    world.observe(ROOTFUL);
    world.pass(10 * MINUTE);
    assert!(world.log().is_empty());
}

#[test]
fn leftover_of_an_earlier_boot_is_started_at_once() {
    let mut world = World::new();
    let web = workload("web").build();
    let message = "from an earlier boot".to_owned();
    world.put(ROOTFUL, &web, CurrentState::Incomplete { message });
    world.observe(ROOTFUL);
    world.configure(&[web]);
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
}

#[test]
fn exponential_retry_grows_and_resets_after_health() {
    let retry = RetryPolicy::Exponential {
        initial: Duration::from_secs(2),
        multiplier: 2.0,
        randomization: 0.0,
    };
    let mut world = World::new();
    world.configure(&[workload("web").retries(retry).build()]);
    world.log();
    for (run, delay) in [2, 4, 8, 16].into_iter().enumerate() {
        world.end("web", 1);
        world.pass(Duration::from_secs(delay) - SECOND);
        assert!(world.running().is_empty(), "run {run} started too early");
        world.pass(SECOND);
        assert_eq!(world.running(), ["web"], "run {run} did not start");
    }
    world.pass(Duration::from_secs(33));
    world.end("web", 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.running(), ["web"], "the first delay again");
}

#[test]
fn failure_that_repeats_itself_is_told_once() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    let mut fails = |code| {
        world.end("web", code);
        world.pass(RETRY);
        world.events().iter().filter(|it| **it == "WorkloadFailed").count()
    };
    assert_eq!([3, 3, 4, 3].map(&mut fails), [1, 0, 1, 1]);
}

#[test]
fn failed_start_counts_as_a_failed_run() {
    let mut world = World::new();
    let error = CommandError::Start { message: "exec: \"/nope\": not found".to_owned() };
    world.fail("start web", &[error]);
    world.configure(&[workload("web").build()]);
    assert_eq!(world.status("web"), WorkloadStatus::Deploying);
    assert!(world.report("web").reason.unwrap().contains("/nope"));
    world.pass(RETRY);
    assert_eq!(world.running(), ["web"]);
}

#[test]
fn runtime_failure_is_not_the_workloads_fault() {
    let mut world = World::new();
    let error = CommandError::Unavailable { message: "timed out".to_owned() };
    world.fail("start web", &[error, CommandError::Abandoned]);
    world.configure(&[workload("web").build()]);
    world.pass(2 * SECOND);
    assert_eq!(world.log(), ["0s pull web", "0s start web", "1s start web"]);
    world.pass(SECOND);
    assert_eq!(world.log(), ["3s start web"], "the wait doubles");
}

#[test]
fn start_that_was_given_up_is_not_told_as_running() {
    for error in
        [CommandError::Abandoned, CommandError::Unavailable { message: "timed out".to_owned() }]
    {
        let mut world = World::new();
        world.fail("start web", &[error]);
        world.configure(&[workload("web").build()]);
        assert_eq!(world.status("web"), WorkloadStatus::Deploying);
        world.pass(2 * SECOND);
        assert_eq!(world.status("web"), WorkloadStatus::Running);
    }
}

#[test]
fn pod_that_does_not_stop_is_tried_again_with_growing_waits() {
    let mut world = World::new();
    world.configure(&[workload("web").build()]);
    world.log();
    let error = CommandError::Stop { message: "device busy".to_owned() };
    world.fail("stop web", &[error.clone(), error.clone(), error]);
    world.configure(&[]);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["0s stop web", "1s stop web", "3s stop web", "7s stop web"]);
    assert_eq!(world.events().iter().filter(|reason| **reason == "StopFailed").count(), 1);
}

// ---- commands ---------------------------------------------------------------------------------

#[test]
fn job_has_one_command_in_flight() {
    let mut world = World::new();
    let configured =
        WorkloadsConfigured { workloads: vec![workload("web").build()], rejected: Vec::new() };
    world.jobs.configure(&configured, world.now);
    world.plan();
    world.jobs.configure(&WorkloadsConfigured { workloads: vec![], rejected: vec![] }, world.now);
    world.plan();
    world.observe(ROOTFUL);
    world.plan();
    assert_eq!(world.log(), ["0s pull web"]);
}

#[test]
fn command_that_is_never_answered_is_given_up() {
    let mut world = World::new();
    let configured =
        WorkloadsConfigured { workloads: vec![workload("web").build()], rejected: Vec::new() };
    world.jobs.configure(&configured, world.now);
    world.plan();
    world.open.clear();
    world.pass(16 * MINUTE);
    assert_eq!(world.running(), ["web"]);
}

#[test]
fn pull_that_is_no_longer_wanted_holds_nobody_up() {
    let mut world = World::new();
    let of = |image: &str| WorkloadsConfigured {
        workloads: vec![workload("web").image(image).build()],
        rejected: Vec::new(),
    };
    world.jobs.configure(&of("slow:1"), world.now);
    world.plan();
    let slow = world.open.pop_front().unwrap();
    world.jobs.configure(&of("fast:1"), world.now);
    world.run();
    assert_eq!(world.running(), ["web"]);
    world.open.push_back(slow);
    world.run();
    assert_eq!(world.log(), ["0s pull web", "0s pull web", "0s start web"]);
}

#[test]
fn starts_pass_through_the_budget_and_all_come_to_pass() {
    let mut world = World::new();
    let workloads: Vec<_> = (0..50).map(|n| workload(&format!("w{n:02}")).build()).collect();
    let configured = WorkloadsConfigured { workloads, rejected: Vec::new() };
    world.jobs.configure(&configured, world.now);
    world.plan();
    assert_eq!(world.open.len(), 4);
    while world.answer() {
        world.plan();
        assert!(world.open.len() <= 4);
    }
    assert_eq!(world.running().len(), 50);
}

#[test]
fn scheduler_that_was_reset_waits_for_the_command_in_flight() {
    let mut world = World::new();
    let web = workload("web").build();
    let configured = WorkloadsConfigured { workloads: vec![web], rejected: Vec::new() };
    world.jobs.configure(&configured, world.now);
    world.plan();
    world.answer();
    world.plan();
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
    world.jobs.reset();
    world.observe(ROOTFUL);
    world.jobs.configure(&configured, world.now);
    world.plan();
    assert!(world.log().is_empty(), "the start is still under way");
    world.run();
    assert_eq!(world.running(), ["web"]);
    assert!(world.log().is_empty());
}

#[test]
fn stopping_agent_sends_no_more_commands_and_leaves_pods_alone() {
    let mut world = World::new();
    let workloads = vec![workload("a").build(), workload("b").build()];
    let configured = WorkloadsConfigured { workloads, rejected: Vec::new() };
    world.jobs.configure(&configured, world.now);
    world.plan();
    assert_eq!(world.jobs.drain(), 2);
    world.run();
    world.pass(10 * MINUTE);
    assert_eq!(world.log(), ["0s pull a", "0s pull b"]);
    assert_eq!(world.jobs.drain(), 0);
}

// ---- dependencies -----------------------------------------------------------------------------

fn after(name: &str, others: &[&str]) -> Arc<Workload> {
    let others = others.iter().map(|other| WorkloadName::from(*other)).collect();
    workload(name).with(|workload| workload.after = others).build()
}

#[test]
fn workload_starts_once_those_that_it_names_run() {
    let mut world = World::new();
    let error = CommandError::Start { message: "no".to_owned() };
    world.fail("start z", &[error]);
    world.configure(&[after("a", &["z"]), after("z", &[])]);
    assert_eq!(world.log(), ["0s pull a", "0s pull z", "0s start z"]);
    assert_eq!(world.report("a").reason.unwrap(), "waits until z runs");
    world.pass(RETRY);
    assert_eq!(world.log(), ["20s pull z", "20s start z", "20s start a"]);
}

#[test]
fn one_that_has_finished_holds_nobody_up() {
    let mut world = World::new();
    let migrate = workload("migrate").restarts(RestartPolicy::Never).build();
    world.configure(&[migrate]);
    world.end("migrate", 0);
    let migrate = workload("migrate").restarts(RestartPolicy::Never).build();
    world.configure(&[after("a", &["migrate"]), migrate]);
    assert_eq!(world.running(), ["a"]);
}

#[test]
fn restart_does_not_wait_for_others_again() {
    let mut world = World::new();
    world.configure(&[after("a", &["z"]), after("z", &[])]);
    world.end("z", 1);
    world.end("a", 1);
    world.log();
    world.fail("start z", &[CommandError::Start { message: "no".to_owned() }]);
    world.pass(RETRY);
    assert_eq!(world.running(), ["a"]);
}

#[test]
fn circle_is_reported_once_and_runs_unordered() {
    let mut world = World::new();
    let circle = [after("a", &["b"]), after("b", &["a"])];
    world.configure(&circle);
    world.configure(&circle);
    assert_eq!(world.running(), ["a", "b"]);
    let circles = world.events().iter().filter(|reason| **reason == "DependencyCircle").count();
    assert_eq!(circles, 2, "one for each member");
}

#[test]
fn workload_that_is_not_configured_is_not_waited_for() {
    let mut world = World::new();
    world.configure(&[after("a", &["nobody"])]);
    assert_eq!(world.running(), ["a"]);
    assert!(world.events().contains(&"DependencyUnknown"));
}

// ---- cron -------------------------------------------------------------------------------------

#[test]
fn cron_workload_runs_at_each_tick() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    world.configure(&[workload("job").cron("* * * * *").build()]);
    assert_eq!(world.status("job"), WorkloadStatus::Deploying);
    world.pass(29 * SECOND);
    assert!(world.log().is_empty());
    world.pass(SECOND);
    assert_eq!(world.log(), ["30s pull job", "30s start job"]);
    world.end("job", 0);
    assert_eq!(world.status("job"), WorkloadStatus::Stopped);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["90s start job"], "the image is known to be there");
}

#[test]
fn cron_run_that_lasts_over_a_tick_skips_it() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    world.configure(&[workload("job").cron("* * * * *").build()]);
    world.pass(100 * SECOND);
    assert_eq!(world.log(), ["30s pull job", "30s start job"]);
    assert!(world.events().contains(&"CronSkipped"));
    world.end("job", 0);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["150s start job"], "and runs at the next");
}

#[test]
fn cron_run_is_retried_between_ticks_only_on_failure() {
    for (policy, exit_code, runs) in [
        (RestartPolicy::Always, 1, 1),
        (RestartPolicy::OnFailure, 1, 2),
        (RestartPolicy::OnFailure, 0, 1),
        (RestartPolicy::Never, 1, 1),
    ] {
        let mut world = World::at("2026-11-23T10:59:30Z");
        world.configure(&[workload("job").cron("0 * * * *").restarts(policy).build()]);
        world.pass(31 * SECOND);
        world.end("job", exit_code);
        world.pass(MINUTE);
        let starts = world.log().iter().filter(|line| line.contains("start")).count();
        assert_eq!(starts, runs, "{policy:?} {exit_code}");
    }
}

#[test]
fn cron_run_needs_its_profile_at_the_tick() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    world.configure(&[workload("job").cron("* * * * *").profile("p", &["low"]).build()]);
    world.verdict("low", Verdict::False);
    world.pass(MINUTE);
    world.verdict("low", Verdict::True);
    world.pass(SECOND);
    assert!(world.log().is_empty(), "a missed tick is not made up");
    world.pass(MINUTE);
    assert_eq!(world.running(), ["job"]);
    world.verdict("low", Verdict::False);
    assert!(world.running().is_empty());
}

#[test]
fn cron_that_cannot_be_read_never_runs_and_says_why() {
    let mut world = World::new();
    world.configure(&[workload("job").cron("61 * * * *").build()]);
    world.pass(100 * MINUTE);
    assert!(world.log().is_empty());
    assert!(world.report("job").reason.unwrap().contains("61 * * * *"));
    assert_eq!(world.events(), ["CronInvalid"]);
}

#[test]
fn cron_is_ignored_for_k8s_with_a_warning() {
    let mut world = World::new();
    world.observe(ExecutorKind::K8s);
    world.configure(&[workload("job").on(ExecutorKind::K8s).cron("0 0 * * *").build()]);
    assert_eq!(world.log(), ["0s pull job", "0s start job"]);
    assert!(world.events().contains(&"CronIgnored"));
}

#[test]
fn clock_that_jumps_a_year_runs_no_tick() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    world.configure(&[workload("job").cron("30 * * * *").build()]);
    world.now.wall += TimeDelta::days(365);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    world.pass(30 * MINUTE);
    assert_eq!(world.log().len(), 2);
}

#[test]
fn cron_run_of_a_previous_life_is_adopted() {
    let mut world = World::at("2026-11-23T10:00:30Z");
    let job = workload("job").cron("0 0 1 1 *").build();
    world.put(ROOTFUL, &job, CurrentState::Running);
    world.observe(ROOTFUL);
    world.configure(&[job]);
    world.pass(MINUTE);
    assert!(world.log().is_empty());
    assert_eq!(world.status("job"), WorkloadStatus::Running);
}
