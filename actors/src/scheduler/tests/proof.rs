//! A changed specification proves itself, or gives way to the one before it.

use super::*;
use crate::messages::Evidence;
use crate::workload::UpdateState;

fn web(version: u8) -> Arc<Workload> {
    workload("web").image(&format!("localhost/app:{version}")).build()
}

/// A world whose workload proved itself and was given another specification.
fn world_with_an_update(first: &Arc<Workload>, second: &Arc<Workload>) -> World {
    let mut world = World::new();
    world.configure(std::slice::from_ref(first));
    world.pass(MINUTE);
    world.configure(std::slice::from_ref(second));
    world.log();
    world.events();
    world
}

fn not_ready() -> Health {
    Health::NotReady { reason: Some("readinessProbe: HTTP 503".to_owned()) }
}

fn failing() -> Health {
    Health::Failing { reason: "livenessProbe: HTTP 500".to_owned(), grace: None }
}

impl World {
    /// Returns which specification runs.
    fn version(&self) -> Option<WorkloadId> {
        let running = self.pods.values().find(|pod| pod.state == CurrentState::Running);
        running.map(|pod| pod.id.clone())
    }

    /// Lets the probes of the pods of a specification find something else.
    fn find(&mut self, of: &Workload, health: Health) {
        let container = "main".to_owned();
        self.health.insert(of.id.clone(), health.clone());
        for pod in self.pods.values_mut().filter(|pod| pod.id == of.id) {
            pod.health = PodHealth(vec![ContainerHealth {
                container: container.clone(),
                health: health.clone(),
            }]);
        }
        self.observe(ROOTFUL);
        self.run();
    }

    /// Kills the agent and starts it again: it finds the pods that are there, and what was on its disk.
    fn restart_agent(&mut self) {
        self.jobs = Self::deaf_jobs();
        self.open.clear();
        self.observe(ROOTFUL);
        self.observe(ExecutorKind::PodmanRootless);
        self.tell_again();
        self.run();
    }

    /// Restarts the device: what ran lies there.
    fn reboot(&mut self) {
        let message = "from an earlier boot".to_owned();
        for pod in self.pods.values_mut() {
            pod.state = CurrentState::Incomplete { message: message.clone() };
        }
        self.restart_agent();
    }

    fn cause(&self) -> Option<String> {
        let mut stats = crate::scheduler::report::stats::Stats::default();
        let report = self.jobs.details(&mut stats, self.now).workloads.into_iter().next()?;
        let update = report.update.filter(|update| update.state == UpdateState::RolledBack)?;
        assert!(update.until.is_some());
        update.reason
    }

    /// Returns what is reported of the update: its run, and for how many seconds it has been ready.
    fn progress(&self) -> Option<(u32, Option<u64>)> {
        let mut stats = crate::scheduler::report::stats::Stats::default();
        let report = self.jobs.details(&mut stats, self.now).workloads.into_iter().next()?;
        let update = report.update.filter(|update| update.state == UpdateState::Proving)?;
        assert_eq!(update.proving_seconds, Some(60));
        Some((update.run?, update.ready_seconds))
    }
}

#[test]
fn specification_whose_pod_runs_for_a_minute_stays() {
    let mut world = world_with_an_update(&web(1), &web(2));
    world.pass(20 * SECOND);
    assert_eq!(world.progress(), Some((1, Some(20))));
    world.pass(40 * SECOND);
    assert_eq!((world.progress(), world.events()), (None, vec!["UpdateProved"]));
    assert!(world.updates.is_empty());
    for _ in 0..10 {
        world.end("web", 1);
        world.pass(RETRY);
        assert_eq!(world.version(), Some(web(2).id.clone()));
    }
    assert!(!world.events().contains(&"RolledBack"));
}

#[test]
fn specification_that_ends_three_times_within_its_proof_gives_way() {
    let mut world = world_with_an_update(&web(1), &web(2));
    for run in 1..=3 {
        assert_eq!(world.progress(), Some((run, Some(0))));
        world.pass(5 * SECOND);
        world.end("web", run.try_into().unwrap());
        if run < 3 {
            world.pass(RETRY);
        }
    }
    let log = ["85s start web", "110s start web", "115s stop web", "115s start web"];
    assert_eq!(world.log(), log);
    assert_eq!(world.version(), Some(web(1).id.clone()), "at once");
    assert_eq!(world.cause().unwrap(), "container main ended with code 3");
    let reason = world.report("web").reason.unwrap();
    assert!(reason.ends_with("specification: container main ended with code 3"), "{reason}");
    assert!(world.events().contains(&"RolledBack"));
    // It is tried again after 5 min, once; then after 10.
    world.pass(5 * MINUTE);
    assert_eq!(world.version(), Some(web(2).id.clone()));
    world.end("web", 1);
    assert_eq!(world.version(), Some(web(1).id.clone()));
    world.pass(10 * MINUTE);
    assert_eq!(world.version(), Some(web(2).id.clone()));
    world.pass(MINUTE);
    assert!(world.updates.is_empty(), "it has proved itself after all");
}

#[test]
fn specification_that_is_not_ready_in_time_gives_way_at_once() {
    let mut world = World::new();
    world.configure(&[web(1)]);
    world.pass(MINUTE);
    world.find(&web(2), not_ready());
    world.configure(&[web(2)]);
    world.log();
    world.pass(59 * SECOND);
    assert!(world.log().is_empty());
    assert_eq!(world.progress(), Some((1, None)));
    world.pass(SECOND);
    assert_eq!(world.log(), ["120s stop web", "120s start web"]);
    assert_eq!(world.version(), Some(web(1).id.clone()));
    assert_eq!(
        world.cause().unwrap(),
        "the new specification was not ready within 60s: container main is not ready: readinessProbe: HTTP 503"
    );
}

#[test]
fn stop_says_what_becomes_of_the_log() {
    let evidence = |world: &World| {
        let Action::Stop { evidence, .. } = world.open[0].1.action else {
            panic!("{:?}", world.open)
        };
        evidence
    };
    // The pod of a specification that failed its proof.
    let mut world = World::new();
    world.configure(&[web(1)]);
    world.pass(MINUTE);
    world.find(&web(2), not_ready());
    world.configure(&[web(2)]);
    world.now = world.now.after(MINUTE);
    world.plan();
    assert_eq!(evidence(&world), Evidence::Reported);
    // One that its probes have given up.
    let mut world = World::new();
    world.configure(&[web(1)]);
    world.pass(MINUTE);
    world.health.insert(web(1).id.clone(), failing());
    world.put(ROOTFUL, &web(1), CurrentState::Running);
    world.observe(ROOTFUL);
    world.plan();
    assert_eq!(evidence(&world), Evidence::Kept);
    // One that is wanted no longer.
    let mut world = World::new();
    world.configure(&[web(1)]);
    world.tell(&[]);
    world.plan();
    assert_eq!(evidence(&world), Evidence::OfFailure);
}

#[test]
fn specification_must_be_ready_without_interruption() {
    let mut world = world_with_an_update(&web(1), &web(2));
    world.pass(50 * SECOND);
    world.find(&web(2), not_ready());
    world.pass(5 * SECOND);
    world.find(&web(2), Health::Ready);
    world.pass(59 * SECOND);
    assert!(!world.updates.is_empty());
    world.pass(SECOND);
    assert!(world.updates.is_empty());
}

#[test]
fn specification_whose_probes_give_it_up_again_and_again_gives_way() {
    let mut world = world_with_an_update(&web(1), &web(2));
    for _ in 0..3 {
        world.health.insert(web(2).id.clone(), Health::Ready);
        world.pass(10 * SECOND);
        world.find(&web(2), failing());
        world.health.insert(web(2).id.clone(), Health::Ready);
        world.pass(RETRY);
    }
    assert_eq!(world.version(), Some(web(1).id.clone()));
    assert!(world.cause().unwrap().contains("livenessProbe: HTTP 500"));
}

#[test]
fn agent_that_dies_during_a_proof_goes_on_with_it() {
    for reboots in [false, true] {
        let mut world = world_with_an_update(&web(1), &web(2));
        world.pass(50 * SECOND);
        if reboots {
            world.reboot()
        } else {
            world.restart_agent()
        }
        for _ in 0..3 {
            world.pass(10 * SECOND);
            world.end("web", 1);
            world.pass(RETRY);
        }
        assert_eq!(world.version(), Some(web(1).id.clone()), "{reboots}");
    }
}

#[test]
fn agent_that_dies_after_a_proof_puts_nothing_in_doubt() {
    for reboots in [false, true] {
        let mut world = world_with_an_update(&web(1), &web(2));
        world.pass(MINUTE);
        if reboots {
            world.reboot()
        } else {
            world.restart_agent()
        }
        for _ in 0..5 {
            world.end("web", 1);
            world.pass(RETRY);
        }
        assert_eq!(world.version(), Some(web(2).id.clone()), "{reboots}");
    }
}

#[test]
fn specification_that_failed_is_not_the_first_that_runs_after_a_restart() {
    for reboots in [false, true] {
        let mut world = world_with_an_update(&web(1), &web(2));
        for _ in 0..3 {
            world.end("web", 1);
            world.pass(RETRY);
        }
        world.pass(4 * MINUTE);
        world.log();
        if reboots {
            world.reboot()
        } else {
            world.restart_agent()
        }
        let log = world.log();
        assert!(
            log.iter()
                .all(|line| reboots && line.ends_with("start web") || line.ends_with("pull web")),
            "{log:?}"
        );
        assert_eq!(world.version(), Some(web(1).id.clone()), "{reboots}");
        assert_eq!(world.cause().unwrap(), "container main ended with code 1");
        world.pass(5 * MINUTE);
        assert_eq!(world.version(), Some(web(2).id.clone()), "it has another attempt");
    }
}

#[test]
fn offline_device_falls_back_after_a_reboot_too() {
    let mut world = world_with_an_update(&web(1), &web(2));
    world.fail("pull web", &vec![pull_error(); 5]);
    world.reboot();
    world.pass(MINUTE);
    assert_eq!(world.version(), Some(web(1).id.clone()));
}

#[test]
fn configuration_that_changes_again_ends_the_proof() {
    for (next, comes_back) in [(web(1), web(1)), (web(3), web(1))] {
        let mut world = world_with_an_update(&web(1), &web(2));
        world.pass(30 * SECOND);
        world.configure(std::slice::from_ref(&next));
        for _ in 0..3 {
            world.end("web", 1);
            world.pass(RETRY);
        }
        assert_eq!(world.version(), Some(comes_back.id.clone()), "{}", next.id);
    }
}

#[test]
fn stop_by_a_profile_is_neither_a_failure_nor_a_proof() {
    let of = |version: u8| {
        let image = format!("localhost/app:{version}");
        workload("web").image(&image).profile("p", &["low"]).build()
    };
    let mut world = World::new();
    world.verdict("low", Verdict::True);
    world.configure(&[of(1)]);
    world.pass(MINUTE);
    world.configure(&[of(2)]);
    for _ in 0..5 {
        world.pass(50 * SECOND);
        world.verdict("low", Verdict::False);
        world.pass(50 * SECOND);
        world.verdict("low", Verdict::True);
    }
    assert_eq!(world.version(), Some(of(2).id.clone()));
    assert_eq!(world.progress(), Some((1, Some(0))));
    world.pass(MINUTE);
    assert_eq!(world.progress(), None);
}

#[test]
fn pod_that_others_remove_is_no_failure() {
    let mut world = world_with_an_update(&web(1), &web(2));
    for _ in 0..5 {
        world.pass(10 * SECOND);
        world.pods.clear();
        world.observe(ROOTFUL);
        world.run();
        world.pass(RETRY);
        assert_eq!(world.version(), Some(web(2).id.clone()));
    }
}

#[test]
fn silent_runtime_proves_nothing() {
    let mut world = world_with_an_update(&web(1), &web(2));
    world.pass(30 * SECOND);
    world.lose(ROOTFUL);
    world.pass(10 * MINUTE);
    assert!(!world.updates.is_empty());
    world.observe(ROOTFUL);
    world.run();
    world.pass(MINUTE);
    assert!(world.updates.is_empty());
}

#[test]
fn trusted_specification_has_proved_itself_once_it_starts() {
    let at_once = |version: u8| {
        let image = format!("localhost/app:{version}");
        workload("web").image(&image).with(|it| it.proving = Duration::ZERO).build()
    };
    let mut world = world_with_an_update(&at_once(1), &at_once(2));
    assert!(world.updates.is_empty());
    for _ in 0..5 {
        world.end("web", 1);
        world.pass(RETRY);
    }
    assert_eq!(world.version(), Some(at_once(2).id.clone()));
}

#[test]
fn run_that_ends_as_it_should_proves_its_specification() {
    for policy in [RestartPolicy::Never, RestartPolicy::OnFailure] {
        let of = |version: u8| {
            let image = format!("localhost/app:{version}");
            workload("web").image(&image).restarts(policy).build()
        };
        let mut world = world_with_an_update(&of(1), &of(2));
        world.pass(SECOND);
        world.end("web", 0);
        assert!(world.updates.is_empty(), "{policy:?}");
    }
}

#[test]
fn run_of_which_there_is_only_one_brings_nothing_back() {
    let of = |version: u8| {
        let image = format!("localhost/app:{version}");
        workload("web").image(&image).restarts(RestartPolicy::Never).build()
    };
    let mut world = world_with_an_update(&of(1), &of(2));
    world.end("web", 1);
    world.pass(20 * MINUTE);
    assert_eq!((world.version(), world.status("web")), (None, WorkloadStatus::Stopped));
}

#[test]
fn cron_proves_itself_by_the_exit_code_of_its_runs() {
    let of = |version: u8| {
        let image = format!("localhost/app:{version}");
        workload("web").image(&image).cron("*/5 * * * *").build()
    };
    let mut world = World::new();
    world.configure(&[of(1)]);
    let run = |world: &mut World, exit_code| {
        world.pass(5 * MINUTE);
        let ran = world.version();
        world.end("web", exit_code);
        ran
    };
    assert_eq!(run(&mut world, 0), Some(of(1).id.clone()));
    assert!(world.updates.is_empty());
    world.configure(&[of(2)]);
    for _ in 0..3 {
        assert_eq!(run(&mut world, 1), Some(of(2).id.clone()));
    }
    assert_eq!(run(&mut world, 0), Some(of(1).id.clone()), "the previous one has a run");
    assert_eq!(run(&mut world, 0), Some(of(2).id.clone()), "the new one another attempt");
    assert!(world.updates.is_empty());
}
