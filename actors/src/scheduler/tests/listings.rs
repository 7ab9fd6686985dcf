//! Listings that arrive after the answer to a command though they were taken before it ended.

use super::*;

impl World {
    /// Returns what `executor` lists now, to be delivered later.
    fn listing(&self, executor: ExecutorKind) -> WorkloadsObserved {
        let pods = self.pods.iter().filter(|(key, _)| key.executor == executor);
        let pods = Ok(pods.map(|(_, pod)| pod.clone()).collect());
        WorkloadsObserved { executor, observed_at: self.now, pods, slow: None }
    }

    fn deliver(&mut self, listing: WorkloadsObserved) {
        self.jobs.observe(listing);
        self.run();
    }
}

#[test]
fn listing_taken_before_a_stop_ended_brings_no_pod_back() {
    let mut world = World::new();
    let web = workload("web").profile("p", &["x"]).build();
    for is_forgotten in [false, true] {
        world.configure(std::slice::from_ref(&web));
        world.verdict("x", Verdict::True);
        assert_eq!(world.running(), ["web"]);
        let late = world.listing(ROOTFUL);
        world.pass(SECOND);
        if is_forgotten {
            world.configure(&[])
        } else {
            world.verdict("x", Verdict::False)
        }
        world.log();
        world.events();
        world.deliver(late);
        assert_eq!(world.log(), [""; 0], "forgotten: {is_forgotten}");
        assert_eq!(world.events(), [""; 0], "forgotten: {is_forgotten}");
        if !is_forgotten {
            assert_eq!(world.status("web"), WorkloadStatus::Stopped);
        }
    }
}

#[test]
fn pod_of_a_start_of_unknown_outcome_is_not_doubled_for_a_listing_from_before_its_end() {
    let mut world = World::new();
    world.fail("start web", &[CommandError::Abandoned]);
    let late = world.listing(ROOTFUL);
    world.pass(SECOND);
    world.configure(&[workload("web").build()]);
    world.deliver(late);
    world.log();
    world.configure(&[workload("web").on(ExecutorKind::PodmanRootless).build()]);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["1s pull web", "1s stop web", "1s start web"]);
}

#[test]
fn listing_that_is_late_for_one_workload_holds_for_the_others_and_the_next_holds_for_all() {
    let mut world = World::new();
    let exited = CurrentState::Exited { ended: vec![ended(1)] };
    let [web, other] = ["web", "other"].map(|name| workload(name).build());
    world.configure(&[web.clone(), other]);
    for pod in world.pods.values_mut() {
        pod.state = exited.clone();
    }
    let late = world.listing(ROOTFUL);
    for pod in world.pods.values_mut() {
        pod.state = CurrentState::Running;
    }
    world.pass(SECOND);
    let changed = workload("web").image("localhost/app:2").build();
    world.configure(&[changed, workload("other").build()]);
    world.log();
    world.deliver(late);
    assert_eq!(world.status("web"), WorkloadStatus::Running);
    assert_eq!(world.status("other"), WorkloadStatus::Crashed);
    let web = world.pods.values_mut().find(|pod| pod.workload.as_str() == "web").unwrap();
    web.state = exited;
    world.observe(ROOTFUL);
    world.run();
    assert_eq!(world.status("web"), WorkloadStatus::Crashed);
    assert_eq!(world.status("other"), WorkloadStatus::Running);
}
