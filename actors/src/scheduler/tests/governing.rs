//! What the governor's steps come to for pods.

use super::*;
use crate::messages::Shortfall;
use crate::workload::{Objective, PROTECTION, ProfileName, Rung, Rungs};

fn objective() -> Objective {
    Objective {
        name: "calm".into(),
        keep: "load < 1".to_owned(),
        settling: 10 * SECOND,
        calm: MINUTE,
    }
}

/// A workload that may be restrained so.
fn yielding(name: &str, rungs: &[Rung]) -> Arc<Workload> {
    let mut workload = workload(name).build();
    if let Some(workload) = Arc::get_mut(&mut workload) {
        workload.turn.rungs = Some(rungs.iter().copied().collect());
    }
    workload
}

impl World {
    /// Configures workloads on a device that keeps the objective.
    fn govern(&mut self, workloads: &[Arc<Workload>]) {
        self.jobs.configure(
            &WorkloadsConfigured {
                workloads: workloads.to_vec(),
                objectives: [objective()].into(),
                ..WorkloadsConfigured::default()
            },
            self.now,
        );
        self.run();
    }

    /// Says how the objective stands, each second for so long.
    fn stands(&mut self, verdict: &Verdict, shortfall: f64, span: Duration) {
        for _ in 0..span.as_secs() {
            let verdicts = Arc::new([("calm".into(), verdict.clone())].into());
            let verdicts = [(ProfileName::from(PROTECTION), verdicts)].into();
            self.jobs.evaluate(verdicts, Arc::default());
            let measured_at = self.now.monotonic;
            self.jobs.measure([("calm".into(), Shortfall { by: shortfall, measured_at })].into());
            self.run();
            self.pass(SECOND);
        }
    }

    fn breaks(&mut self, span: Duration) {
        self.stands(&Verdict::False, 1.0, span);
    }

    fn holds(&mut self, span: Duration) {
        self.stands(&Verdict::True, 0.0, span);
    }

    fn limit_of(&self, name: &str) -> Option<u64> {
        let limits = self.limits.iter().find(|(key, _)| key.id.as_str().starts_with(name));
        limits.and_then(|(_, limits)| limits.cpu)
    }
}

#[test]
fn each_step_is_one_command_and_is_taken_back_by_another() {
    for (rung, there, back) in [
        (Rung::Throttle, "limit web", "limit web"),
        (Rung::Squeeze, "limit web", "limit web"),
        (Rung::Freeze, "freeze web", "thaw web"),
        (Rung::Stop, "stop web", "start web"),
    ] {
        let mut world = World::new();
        world.govern(&[yielding("web", &[rung])]);
        world.holds(SECOND);
        // What an agent before this one may have left is put right once.
        world.log();
        world.events();
        world.breaks(5 * SECOND);
        let log: Vec<_> =
            world.log().iter().map(|it| it.split_once(' ').unwrap().1.to_owned()).collect();
        assert_eq!(log, [there], "{rung:?}");
        let report = world.report("web");
        let why = report.reason.unwrap();
        assert!(why.contains(rung.done()) && why.contains("objective calm, load < 1"), "{why}");
        assert_eq!(report.status == WorkloadStatus::Stopped, rung == Rung::Stop);
        world.holds(3 * MINUTE);
        let log: Vec<_> =
            world.log().iter().map(|it| it.split_once(' ').unwrap().1.to_owned()).collect();
        assert_eq!(log, [back], "{rung:?}");
        assert_eq!(world.running(), ["web"]);
        assert_eq!(world.report("web").reason, None);
        let reasons = world.events();
        assert!(reasons.contains(&"WorkloadRestrained"), "{reasons:?}");
        assert!(reasons.contains(&"RestraintLifted"), "{reasons:?}");
    }
}

#[test]
fn a_throttled_workload_has_a_tenth_of_a_core_also_after_its_restart() {
    let mut world = World::new();
    world.govern(&[yielding("web", &[Rung::Throttle])]);
    world.breaks(2 * SECOND);
    assert_eq!(world.limit_of("web"), Some(10_000));
    world.holds(15 * SECOND);
    world.end("web", 1);
    world.pass(30 * SECOND);
    assert_eq!(world.running(), ["web"]);
    assert_eq!(world.limit_of("web"), Some(10_000));
    world.holds(2 * MINUTE);
    assert_eq!(world.limit_of("web"), None);
}

#[test]
fn a_step_that_the_runtime_cannot_do_is_told_once_and_tried_nowhere_else() {
    let mut world = World::new();
    let message = "rootless podman cannot freeze".to_owned();
    world.fail("freeze a", &[CommandError::Unsupported { message }]);
    let both = [Rung::Freeze, Rung::Stop];
    world.govern(&[yielding("a", &both), yielding("b", &both)]);
    world.holds(SECOND);
    world.log();
    world.breaks(15 * SECOND);
    let log = world.log();
    assert_eq!(log[0].split_once(' ').unwrap().1, "freeze a");
    assert!(!log.iter().any(|line| line.ends_with("freeze b")), "{log:?}");
    assert!(log[1].ends_with("stop a"), "{log:?}");
    let lifted = world.events().into_iter().filter(|reason| *reason == "RestraintLifted");
    // The freeze, and the stop, which did not help.
    assert_eq!(lifted.count(), 2);
}

#[test]
fn what_is_frozen_is_replaced_and_removed_all_the_same() {
    let mut world = World::new();
    let old = yielding("web", &[Rung::Freeze]);
    world.govern(&[Arc::clone(&old)]);
    world.breaks(2 * SECOND);
    assert_eq!(world.running(), [""; 0]);
    let mut new = workload("web").image("localhost/app:2").build();
    Arc::get_mut(&mut new).unwrap().turn.rungs = Some([Rung::Freeze].into_iter().collect());
    world.log();
    world.govern(&[Arc::clone(&new)]);
    world.holds(2 * SECOND);
    let log: Vec<_> =
        world.log().iter().map(|it| it.split_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(log, ["pull web", "stop web", "start web", "freeze web"]);
    world.govern(&[]);
    world.pass(SECOND);
    assert!(world.pods.is_empty());
}

#[test]
fn what_is_protected_or_on_a_cluster_is_not_restrained_so() {
    let mut world = World::with_cluster();
    let mut of_cluster = workload("far").on(ExecutorKind::K8s).build();
    Arc::get_mut(&mut of_cluster).unwrap().turn.rungs =
        Some(Rungs::default().only(|rung| rung != Rung::Stop));
    world.govern(&[yielding("web", &[]), of_cluster]);
    world.holds(SECOND);
    world.log();
    world.breaks(2 * MINUTE);
    assert!(world.log().is_empty());
    assert!(world.events().contains(&"ObjectiveBroken"));
}

#[test]
fn without_objectives_nothing_is_left_restrained() {
    let mut world = World::new();
    let web = yielding("web", &[Rung::Freeze]);
    world.govern(std::slice::from_ref(&web));
    world.breaks(2 * SECOND);
    world.log();
    world.configure(&[web]);
    world.pass(SECOND);
    let log = world.log();
    assert!(log[0].ends_with("thaw web"), "{log:?}");
    // Nor is anything looked at any more.
    let alarm = world.jobs.next_alarm();
    assert!(alarm.is_none_or(|at| at > world.now.monotonic), "{alarm:?}");
}
