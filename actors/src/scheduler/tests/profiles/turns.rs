//! Which workloads go first where one profile turns several away, and how patient each is.

use proptest::prelude::*;

use super::*;

const SETTLING: Duration = Duration::from_secs(10);

fn gated(name: &str, priority: i32) -> Arc<Workload> {
    workload(name).profile("p", &["low"]).priority(priority).build()
}

fn patient(name: &str, min_run: Duration, min_pause: Duration) -> Arc<Workload> {
    let turn = |workload: &mut Workload| {
        workload.turn.min_run = min_run;
        workload.turn.min_pause = min_pause;
    };
    workload(name).profile("p", &["low"]).with(turn).build()
}

/// A world in which all of `workloads` run, a while since.
fn running(workloads: &[Arc<Workload>]) -> World {
    let mut world = World::new();
    world.configure(workloads);
    world.verdict("low", Verdict::True);
    world.pass(MINUTE);
    world.log();
    world.started_at = world.now;
    world
}

fn reason(world: &World, name: &str) -> String {
    world.report(name).reason.unwrap_or_default()
}

#[test]
fn without_priorities_all_go_and_come_back_at_once() {
    let mut world = running(&[gated("a", 0), gated("b", 0), gated("c", 0)]);
    world.verdict("low", Verdict::False);
    assert_eq!(world.log(), ["0s stop a", "0s stop b", "0s stop c"]);
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["0s start a", "0s start b", "0s start c"]);
}

#[test]
fn the_lowest_goes_first_and_the_rest_only_while_the_verdict_stays() {
    let mut world =
        running(&[gated("high", 10), gated("low", -1), gated("mid", 5), gated("mid2", 5)]);
    world.verdict("low", Verdict::False);
    assert_eq!(world.log(), ["0s stop low"]);
    assert_eq!(world.status("high"), WorkloadStatus::Running);
    assert_eq!(
        reason(&world, "mid"),
        "profile p: low is false; it runs on for now: the device is settling: low ended"
    );
    assert!(reason(&world, "high").ends_with("mid of priority 5 goes first"));
    world.pass(SETTLING);
    assert_eq!(world.log(), ["10s stop mid", "10s stop mid2"]);
    world.pass(5 * SECOND);
    world.verdict("low", Verdict::True);
    assert_eq!(world.log(), ["15s start mid", "15s start mid2"], "high never went");
    assert_eq!(reason(&world, "low"), "the device is settling: mid2 came back");
    world.pass(MINUTE);
    assert_eq!(world.log(), ["25s start low"]);
}

#[test]
fn they_come_back_in_reverse_and_not_after_the_verdict_has_turned_again() {
    let mut world = running(&[gated("high", 10), gated("low", 0)]);
    world.verdict("low", Verdict::False);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["0s stop low", "10s stop high"]);
    world.verdict("low", Verdict::True);
    world.pass(5 * SECOND);
    assert_eq!(world.log(), ["60s start high"]);
    world.verdict("low", Verdict::False);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["65s stop high"], "low never came back");
}

#[test]
fn nobody_waits_for_one_that_cannot_go() {
    // Its stop fails, again and again.
    let mut world = running(&[gated("high", 10), gated("low", 0)]);
    let error = CommandError::Stop { message: "container is stuck".to_owned() };
    world.fail("stop low", &vec![error; 1_000]);
    world.verdict("low", Verdict::False);
    assert_eq!(world.log(), ["0s stop low", "0s stop high"]);
    // Its runtime does not answer.
    let rootless = workload("low").profile("p", &["low"]).on(ExecutorKind::PodmanRootless).build();
    let mut world = running(&[gated("high", 10), rootless]);
    world.lose(ExecutorKind::PodmanRootless);
    world.verdict("low", Verdict::False);
    assert_eq!(world.log(), ["0s stop high"]);
    // Its image does not come, when they come back.
    let mut world = running(&[gated("low", 0)]);
    world.verdict("low", Verdict::False);
    world.fail("pull high", &vec![pull_error(); 1_000]);
    world.configure(&[gated("high", 10), gated("low", 0)]);
    world.log();
    world.verdict("low", Verdict::True);
    world.pass(SECOND);
    assert!(world.running().contains(&"low"), "{:?}", world.log());
}

#[test]
fn a_stop_that_a_profile_has_begun_counts_though_the_profile_turns_meanwhile() {
    let mut world = running(&[patient("web", Duration::ZERO, MINUTE)]);
    let verdicts = |low: Verdict| -> Verdicts {
        [("p".into(), Arc::new([("low".into(), low)].into()))].into()
    };
    world.jobs.evaluate(verdicts(Verdict::False), Arc::default());
    world.plan();
    world.now = world.now.after(SECOND);
    world.jobs.evaluate(verdicts(Verdict::True), Arc::default());
    world.plan();
    world.now = world.now.after(5 * SECOND);
    world.run();
    world.pass(2 * MINUTE);
    assert_eq!(world.log(), ["0s stop web", "66s start web"]);
}

#[test]
fn the_way_back_is_not_blocked_by_one_whose_images_may_not_come() {
    let gate = |workload: &mut Workload| {
        let mut profiles = workload.profiles.clone();
        profiles[0].conditions[0].name = "wifi".into();
        workload.gate.pull_when = profiles;
    };
    let high = workload("high").profile("p", &["low"]).priority(10).with(gate).build();
    let mut world = running(&[gated("low", 0)]);
    world.verdict("low", Verdict::False);
    world.configure(&[high, gated("low", 0)]);
    world.log();
    world.verdict("low", Verdict::True);
    assert_eq!(world.running(), ["low"]);
}

#[test]
fn nobody_waits_for_long_for_one_that_podman_never_stops() {
    let mut world = running(&[gated("high", 10), gated("low", 0)]);
    let error = CommandError::Unavailable { message: "podman hangs".to_owned() };
    world.fail("stop low", &vec![error; 1_000]);
    world.verdict("low", Verdict::False);
    world.pass(MINUTE);
    assert_eq!(world.running(), ["low"]);
}

#[test]
fn who_waits_asks_again_when_the_configuration_changes_who_goes_first() {
    let mut world = running(&[gated("a", 5), gated("b", 0), gated("x", -1)]);
    world.verdict("low", Verdict::False);
    world.pass(5 * SECOND);
    assert_eq!(world.log(), ["0s stop x"]);
    world.configure(&[gated("a", 5), gated("b", 7), gated("x", -1)]);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["10s stop a", "20s stop b"]);
}

#[test]
fn a_pod_runs_and_rests_for_as_long_as_its_author_wants() {
    let mut world = World::new();
    world.configure(&[patient("web", MINUTE, 2 * MINUTE)]);
    world.verdict("low", Verdict::True);
    world.pass(20 * SECOND);
    world.verdict("low", Verdict::False);
    assert_eq!(world.log(), ["0s pull web", "0s start web"]);
    let said = "profile p: low is false; it runs on for now: it has not run for its minRunSeconds";
    assert_eq!(reason(&world, "web"), said);
    world.pass(MINUTE);
    assert_eq!(world.log(), ["60s stop web"]);
    world.verdict("low", Verdict::True);
    assert_eq!(reason(&world, "web"), "it rests for its minPauseSeconds");
    assert_eq!(world.status("web"), WorkloadStatus::Stopped);
    world.pass(5 * MINUTE);
    assert_eq!(world.log(), ["180s start web"]);
    // Neither holds up what is not a verdict's doing.
    world.configure(&[]);
    assert_eq!(world.log(), ["380s stop web"]);
}

#[test]
fn an_ended_pod_and_an_update_wait_for_no_pause() {
    let mut world = running(&[patient("web", MINUTE, 10 * MINUTE)]);
    world.end("web", 1);
    world.pass(RETRY);
    assert_eq!(world.log(), ["20s start web"]);
    let turn = |workload: &mut Workload| workload.turn.min_pause = 10 * MINUTE;
    let new = workload("web").image("localhost/app:2").profile("p", &["low"]).with(turn).build();
    world.configure(&[new]);
    assert_eq!(world.log(), ["20s pull web", "20s stop web", "20s start web"]);
}

#[test]
fn a_pod_of_an_older_specification_has_no_time_that_it_runs_at_least() {
    let mut world = running(&[workload("web").profile("p", &["low"]).build()]);
    let turn = |workload: &mut Workload| {
        workload.turn.min_run = MINUTE;
        workload.gate.replace_when = workload.profiles.clone();
    };
    let new = workload("web").image("localhost/app:2").profile("p", &["low"]).with(turn).build();
    world.verdict("low", Verdict::Unknown);
    world.log();
    world.tell(&[new]);
    world.run();
    assert!(world.running().is_empty(), "{:?}", world.log());
}

#[test]
fn a_metric_that_oscillates_for_an_hour_stops_a_pod_once_in_each_of_its_times() {
    let mut world = World::new();
    world.configure(&[patient("web", 5 * MINUTE, Duration::ZERO)]);
    let mut verdict = Verdict::True;
    for _ in 0..3_600 {
        world.verdict("low", verdict.clone());
        world.pass(SECOND);
        verdict = if verdict == Verdict::True { Verdict::False } else { Verdict::True };
    }
    let log = world.log();
    let stops: Vec<u64> =
        log.iter().filter_map(|line| line.strip_suffix("s stop web")?.parse().ok()).collect();
    assert!(stops.windows(2).all(|pair| pair[1] - pair[0] >= 300), "{stops:?}");
    assert!((11..=12).contains(&stops.len()), "{stops:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the metric does: of those that run, none of a higher priority was stopped while a lower
    /// one ran on, and none of a lower one came back before a higher one.
    #[test]
    fn the_order_by_priority_holds_always(
        priorities in prop::collection::vec(0..4i32, 2..6),
        story in prop::collection::vec((any::<bool>(), 0..25u64), 1..30),
    ) {
        let names: Vec<String> = (0..priorities.len()).map(|index| format!("w{index}")).collect();
        let workloads: Vec<_> =
            names.iter().zip(&priorities).map(|(name, it)| gated(name, *it)).collect();
        let mut world = running(&workloads);
        for (is_low, seconds) in story {
            world.verdict("low", if is_low { Verdict::True } else { Verdict::False });
            for _ in 0..seconds {
                let running = world.running();
                let lowest = names.iter().zip(&priorities)
                    .filter(|(name, _)| running.contains(&name.as_str()))
                    .map(|(_, it)| it).min();
                let highest_away = names.iter().zip(&priorities)
                    .filter(|(name, _)| !running.contains(&name.as_str()))
                    .map(|(_, it)| it).max();
                prop_assert!(lowest >= highest_away || lowest.is_none(), "{:?}", world.log());
                world.pass(SECOND);
            }
        }
        world.verdict("low", Verdict::False);
        world.pass(MINUTE);
        prop_assert!(world.running().is_empty());
        world.verdict("low", Verdict::True);
        world.pass(MINUTE);
        prop_assert_eq!(world.running().len(), names.len());
    }
}
