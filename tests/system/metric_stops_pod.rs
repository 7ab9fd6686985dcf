//! A posted metric, or one that became stale, stops and starts pods at that very moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::Recipient;
use actors::clock::Clock;
use actors::messages::{
    Action, ActorHealthChanged, CommandFinished, EventRecorded, ExecutorCommand, JobsReported,
    MetricsReceived, ProfilesConfigured, WorkloadsConfigured, WorkloadsObserved, tell,
};
use actors::profile_evaluator::{EvaluatorDeps, ProfileEvaluator, SharedMetrics};
use actors::scheduler::{Scheduler, SchedulerDeps};
use actors::supervisor::Slot;
use actors::testing::probe::Probe;
use actors::testing::workloads::workload;
use actors::workload::{CurrentState, ExecutorKind, ObservedPod, Profile, Sample, WorkloadStatus};
use tokio::task::JoinSet;

use crate::rig::{Rig, at_once, configuration, in_virtual_time, profile, settings};

const TTL: Duration = Duration::from_secs(10);
/// Timers go by whole milliseconds.
const TICK: Duration = Duration::from_millis(2);

#[test]
fn posted_metric_stops_the_pod_without_a_timer_in_between() {
    in_virtual_time(async {
        let web = workload("web").profile("load", &["calm"]).build();
        let rig = Rig::start(configuration(&[&web], &[profile("load", "calm", "cpu < 50%")]));
        rig.until_profiles_are_known().await;
        rig.post("cpu", 20.0).await;
        rig.until_running(&web).await;

        rig.post("cpu", 90.0).await;
        assert!(rig.at_once(|rig| rig.podman.count("stop_container") == 1).await);
        rig.until_told(&web, WorkloadStatus::Stopped).await;
        let report = rig.report(&web).await.unwrap();
        assert_eq!(report.reason.as_deref(), Some("profile load: calm is false"));

        // A start prepares volumes on the disk, in another thread; virtual time waits for that.
        rig.post("cpu", 30.0).await;
        tokio::time::sleep(TICK).await;
        assert_eq!(rig.plays(), 2, "{:?}", rig.podman.calls());
    });
}

#[test]
fn stale_metric_starts_a_workload_behind_nil_at_that_moment() {
    for (default_ttl, own_ttl) in [(Some(TTL), None), (None, Some(TTL)), (Some(TTL * 9), Some(TTL))]
    {
        in_virtual_time(async move {
            let web = workload("web").profile("idle", &["off"]).build();
            let wanted = configuration(&[&web], &[profile("idle", "off", "x == nil")]);
            let rig = Rig::start_with_ttl(wanted, default_ttl);
            rig.until_running(&web).await;
            rig.post_for("x", 1.0, own_ttl).await;
            assert!(rig.at_once(|rig| rig.podman.count("stop_container") == 1).await);

            tokio::time::sleep(TTL - TICK).await;
            assert_eq!(rig.plays(), 1);
            tokio::time::sleep(TICK * 2).await;
            assert_eq!(rig.plays(), 2);
        });
    }
}

#[test]
fn condition_with_for_stops_the_pod_when_its_time_is_over_though_nothing_is_posted() {
    in_virtual_time(async {
        let web = workload("web").profile("load", &["calm"]).build();
        let calm = profile("load", "calm", "cpu < 50% for 30s");
        let rig = Rig::start(configuration(&[&web], &[calm]));
        rig.post("cpu", 20.0).await;
        let took = rig.until("it runs", |rig| rig.plays() == 1).await;
        assert!(took >= Duration::from_secs(30), "{took:?}");
        rig.until_running(&web).await;
        rig.post("cpu", 90.0).await;
        assert!(rig.at_once(|rig| rig.podman.count("stop_container") == 1).await);
    });
}

#[test]
fn status_explains_a_condition_by_its_values() {
    in_virtual_time(async {
        let rig = Rig::start(configuration(&[], &[profile("load", "calm", "cpu < 50%")]));
        rig.until_profiles_are_known().await;
        let explained = |report: actors::messages::EvaluatorReport| {
            report.conditions.into_iter().map(|it| it.explanation).collect::<Vec<_>>()
        };
        let never = ["cpu < 50% is unknown: never posted"];
        assert_eq!(explained(rig.conditions().await), never);
        rig.post("cpu", 90.0).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let posted = ["cpu < 50% is false: cpu = 90, posted 4 s ago"];
        assert_eq!(explained(rig.conditions().await), posted);
    });
}

/// Evaluator and scheduler under supervision; the test is the executor.
struct Pair {
    clock: Clock,
    profiles: Recipient<ProfilesConfigured>,
    metrics: Recipient<MetricsReceived>,
    workloads: Recipient<WorkloadsConfigured>,
    finished: Recipient<CommandFinished>,
    observed: Recipient<WorkloadsObserved>,
    commands: Probe<ExecutorCommand>,
    _actors: JoinSet<()>,
}

impl Pair {
    fn start() -> Self {
        let clock = Clock::simulated("2026-11-23T12:00:00Z".parse().unwrap());
        let evaluator = Slot::<ProfileEvaluator>::new("profile_evaluator", clock.clone());
        let scheduler = Slot::<Scheduler>::new("scheduler", clock.clone());
        let (commands, executor) = Probe::<ExecutorCommand>::start();
        let (_, events) = Probe::<EventRecorded>::start();
        let (_, reports) = Probe::<JobsReported>::start();
        let (_, health) = Probe::<ActorHealthChanged>::start();
        let verdicts = ProfileEvaluator::new(EvaluatorDeps {
            scheduler: scheduler.recipient(),
            events: events.clone(),
            clock: clock.clone(),
            metrics: SharedMetrics::default(),
            default_ttl: None,
        });
        let planning = Scheduler::new(SchedulerDeps {
            executors: BTreeMap::from([(ExecutorKind::PodmanRootful, executor)]),
            reports,
            events,
            clock: clock.clone(),
            settings: settings(),
        });
        let (profiles, metrics) = (evaluator.recipient(), evaluator.recipient());
        let (workloads, finished, observed) =
            (scheduler.recipient(), scheduler.recipient(), scheduler.recipient());
        let mut actors = JoinSet::new();
        actors.spawn_local(evaluator.supervise(verdicts, health.clone()));
        actors.spawn_local(scheduler.supervise(planning, health));
        Self { clock, profiles, metrics, workloads, finished, observed, commands, _actors: actors }
    }

    fn observe(&self, pods: Vec<ObservedPod>) {
        let observed_at = self.clock.now();
        let executor = ExecutorKind::PodmanRootful;
        tell(&self.observed, WorkloadsObserved { executor, observed_at, pods: Ok(pods) });
    }

    async fn post(&self, name: &str, value: f64) {
        let sample = Sample { name: name.into(), value, unit: None, ttl: None };
        let answer = self.metrics.send(MetricsReceived { samples: vec![sample] }).await;
        answer.unwrap().unwrap();
    }

    /// Takes the next command, which must come at once, and answers that it is done.
    async fn do_next(&self) -> &'static str {
        let mut taken = Vec::new();
        let came = at_once(&self.clock, || {
            taken.extend(self.commands.take());
            !taken.is_empty()
        });
        assert!(came.await, "no command came");
        let [command] = <[_; 1]>::try_from(taken).unwrap();
        let ExecutorCommand { id, action, .. } = command;
        if let Action::Start { workload, .. } = &action {
            let (id, workload) = (workload.id.clone(), workload.name.clone());
            let state = CurrentState::Running;
            let (started_at, restarts, is_changed) = (None, 0, false);
            let pod = ObservedPod { id, workload, state, started_at, restarts, is_changed };
            self.observe(vec![pod]);
        }
        tell(
            &self.finished,
            CommandFinished {
                executor: ExecutorKind::PodmanRootful,
                id,
                workload: action.workload_name().clone(),
                finished_at: self.clock.now(),
                result: Ok(()),
            },
        );
        action.as_str()
    }
}

#[test]
fn verdict_becomes_a_command_in_the_moment_of_the_post() {
    in_virtual_time(async {
        let web = workload("web").profile("load", &["calm"]).build();
        let pair = Pair::start();
        pair.observe(Vec::new());
        let profiles: Arc<[Profile]> = [profile("load", "calm", "cpu < 50%")].into();
        let configured = WorkloadsConfigured {
            workloads: vec![web],
            profiles: Arc::clone(&profiles),
            ..WorkloadsConfigured::default()
        };
        tell(&pair.workloads, configured);
        tell(&pair.profiles, ProfilesConfigured { profiles });
        pair.post("cpu", 20.0).await;
        let mut steps = Vec::new();
        while steps.last() != Some(&"start") {
            steps.push(pair.do_next().await);
        }
        tokio::time::sleep(TTL).await;
        pair.post("cpu", 90.0).await;
        assert_eq!(pair.do_next().await, "stop");
    });
}
