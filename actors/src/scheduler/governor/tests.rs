//! The governor over a device whose load is the sum of what its workloads make of it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::search::is_free;
use super::usage::Usage;
use super::*;
use crate::workload::Rungs;

const MINUTE: u64 = 60;

/// A workload, and what it takes of the one thing that is measured.
#[derive(Clone, Debug)]
struct Load {
    candidate: Candidate,
    /// Of CPU, which throttling takes away.
    cpu: f64,
    /// Of memory, which squeezing halves and stopping takes away.
    memory: f64,
}

fn load(name: &str, priority: i32, cpu: f64) -> Load {
    let name = WorkloadName::from(name);
    let rungs = Rungs::default();
    Load {
        candidate: Candidate { name, priority, rungs, runs: true, usage: None },
        cpu,
        memory: 0.0,
    }
}

fn objective(name: &str) -> Objective {
    Objective {
        name: name.into(),
        keep: "load < 1".to_owned(),
        settling: Duration::from_secs(10),
        calm: Duration::from_secs(60),
    }
}

struct Stage {
    governor: Governor,
    loads: Vec<Load>,
    is_measured: bool,
    now: u64,
    log: Vec<String>,
}

impl Stage {
    fn new(loads: Vec<Load>) -> Self {
        let mut governor = Governor::default();
        governor.configure(&[objective("load")]);
        Self { governor, loads, is_measured: true, now: 1_000, log: Vec::new() }
    }

    fn load(&self) -> f64 {
        let of = |load: &Load| {
            let has =
                |rung| self.governor.steps_of(&load.candidate.name).any(|step| step.rung == rung);
            let is_idle = has(Rung::Throttle) || has(Rung::Freeze) || has(Rung::Stop);
            let cpu = if is_idle { 0.0 } else { load.cpu };
            let memory = match (has(Rung::Stop), has(Rung::Squeeze)) {
                (true, _) => 0.0,
                (false, true) => load.memory / 2.0,
                (false, false) => load.memory,
            };
            cpu + memory
        };
        self.loads.iter().map(of).sum()
    }

    fn standing(&self) -> Standing {
        match self.load() {
            _ if !self.is_measured => Standing::Unknown,
            load if load < 1.0 => Standing::Kept,
            load => Standing::Broken {
                shortfall: load - 1.0 + f64::MIN_POSITIVE,
                measured_at: Monotonic::from_start(Duration::from_secs(self.now)),
            },
        }
    }

    /// Lets so many seconds pass, and looks each second. A step is seen to be carried out at the look after it.
    fn pass(&mut self, seconds: u64) -> Vec<News> {
        let mut all = Vec::new();
        for _ in 0..seconds {
            let candidates: Vec<_> = self.loads.iter().map(|it| it.candidate.clone()).collect();
            let standing = self.standing();
            let device = Device {
                candidates: &candidates,
                standing: &|_| standing,
                progress: &|_, _| Progress::Done,
                awaits_usage: false,
            };
            let now = Monotonic::from_start(Duration::from_secs(self.now));
            let news = self.governor.advance(&device, now);
            for news in &news {
                let line = match news {
                    News::Taken(step) => format!("{} {}", step.rung.as_str(), step.workload),
                    News::TakenBack(step, why) => {
                        format!("un{} {}: {why:?}", step.rung.as_str(), step.workload)
                    }
                    News::Exhausted(_) => "exhausted".to_owned(),
                };
                self.log.push(format!("{}s {line}", self.now - 1_000));
            }
            all.extend(news);
            self.now += 1;
        }
        all
    }

    fn told(&mut self, seconds: u64) -> Vec<String> {
        self.pass(seconds);
        std::mem::take(&mut self.log)
    }
}

#[test]
fn a_step_that_does_not_help_is_taken_back_before_the_next_is_tried() {
    let mut stage = Stage::new(vec![load("a", 0, 0.1), load("b", 0, 0.1), load("c", 0, 2.0)]);
    let told = stage.told(MINUTE);
    let expected = [
        "0s throttle a",
        "11s unthrottle a: NoEffect",
        "12s throttle b",
        "23s unthrottle b: NoEffect",
        "24s throttle c",
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_lowest_priority_makes_way_first_and_what_is_protected_never() {
    let mut protected = load("a", -5, 2.0);
    protected.candidate.rungs = Rungs::NONE;
    let mut stage = Stage::new(vec![protected, load("b", 1, 2.0), load("c", 0, 0.0)]);
    let told = stage.told(10 * MINUTE);
    // Every step of the lower priority comes before any of the higher one.
    let taken: Vec<_> = told.iter().filter(|it| !it.contains(" un")).collect();
    let taken: Vec<_> = taken.iter().filter_map(|it| it.split_once(' ')).map(|it| it.1).collect();
    let expected =
        ["throttle c", "squeeze c", "freeze c", "stop c", "throttle b", "squeeze b", "freeze b"];
    assert_eq!(taken[..7], expected);
    assert!(!told.iter().any(|line| line.ends_with(" a")), "{told:?}");
    assert!(told.iter().any(|line| line.ends_with("exhausted")), "{told:?}");
}

#[test]
fn a_step_that_helps_in_part_stays_and_the_next_comes_on_top() {
    let mut stage = Stage::new(vec![load("a", 0, 0.8), load("b", 0, 0.8), load("c", 0, 0.8)]);
    assert_eq!(stage.told(MINUTE), ["0s throttle a", "11s throttle b"]);
}

#[test]
fn steps_are_taken_back_in_reverse_once_the_objective_has_held_for_its_calm_time() {
    let mut stage = Stage::new(vec![load("a", 0, 0.8), load("b", 0, 0.8), load("c", 0, 0.8)]);
    stage.told(20);
    stage.loads.iter_mut().for_each(|load| load.cpu = 0.1);
    // It has held since the twelfth second.
    assert_eq!(stage.told(5 * MINUTE), ["72s unthrottle b: Calm", "82s unthrottle a: Calm"]);
    assert_eq!(stage.governor.steps, []);
}

#[test]
fn an_objective_that_breaks_as_soon_as_a_step_is_taken_back_waits_longer_each_time() {
    let mut stage = Stage::new(vec![load("a", 0, 2.0), load("b", 0, 0.1)]);
    let told = stage.told(10 * MINUTE);
    let expected = [
        "0s throttle a",
        "61s unthrottle a: Calm",
        "62s throttle a",
        "183s unthrottle a: Calm",
        "184s throttle a",
        "425s unthrottle a: Calm",
        "426s throttle a",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_helped_last_time_is_tried_first_and_what_did_not_last() {
    let mut stage = Stage::new(vec![load("a", 0, 0.1), load("b", 0, 0.1), load("c", 0, 2.0)]);
    stage.told(MINUTE);
    stage.loads[2].cpu = 0.0;
    stage.told(5 * MINUTE);
    stage.loads[2].cpu = 2.0;
    let told = stage.told(MINUTE);
    assert!(told.len() == 1 && told[0].ends_with("throttle c"), "{told:?}");
}

#[test]
fn memory_that_no_throttle_gives_back_is_squeezed_out_and_in_the_end_the_workload_is_stopped() {
    let mut stage = Stage::new(vec![load("a", 0, 0.0)]);
    stage.loads[0].memory = 4.0;
    let told = stage.told(2 * MINUTE);
    let expected = [
        "0s throttle a",
        "11s unthrottle a: NoEffect",
        "12s squeeze a",
        "23s freeze a",
        "34s unfreeze a: NoEffect",
        "35s stop a",
        "96s unstop a: Calm",
        "97s stop a",
    ];
    assert_eq!(told, expected);
}

#[test]
fn nothing_is_done_while_nothing_is_measured() {
    let mut stage = Stage::new(vec![load("a", 0, 2.0)]);
    stage.is_measured = false;
    assert!(stage.told(10 * MINUTE).is_empty());
    stage.is_measured = true;
    assert_eq!(stage.told(1).len(), 1);
    stage.is_measured = false;
    let told = stage.told(10 * MINUTE);
    assert!(told.len() == 1 && told[0].ends_with("unthrottle a: NoEffect"), "{told:?}");
}

#[test]
fn an_objective_that_nothing_helps_is_told_once_and_tried_again_later() {
    let mut stage = Stage::new(vec![load("a", 0, 0.0)]);
    let mut outside = load("outside", 0, 5.0);
    outside.candidate.rungs = Rungs::NONE;
    stage.loads.push(outside);
    let told = stage.told(4 * MINUTE);
    assert_eq!(told.iter().filter(|line| line.ends_with("exhausted")).count(), 1, "{told:?}");
    assert_eq!(stage.governor.steps, []);
    // A workload that comes meanwhile is tried at once.
    stage.loads.push(load("new", 0, 0.0));
    assert!(stage.told(1)[0].ends_with("throttle new"));
}

#[test]
fn what_nobody_wants_any_more_is_taken_back_at_once() {
    let mut stage = Stage::new(vec![load("a", 0, 2.0), load("b", 0, 0.1)]);
    stage.told(5);
    stage.governor.configure(&[]);
    assert_eq!(stage.told(1), ["5s unthrottle a: Obsolete"]);
    let mut stage = Stage::new(vec![load("a", 0, 2.0), load("b", 0, 0.1)]);
    stage.told(5);
    stage.loads[0].candidate.rungs = Rungs::NONE;
    assert_eq!(stage.told(1)[0], "5s unthrottle a: Obsolete");
    let mut stage = Stage::new(vec![load("a", 0, 2.0)]);
    stage.told(5);
    let name = stage.loads[0].candidate.name.clone();
    assert!(stage.governor.unsupported(&name, Rung::Throttle, Monotonic::default()));
    // Though it is allowed as before, it is not tried again at once.
    assert!(!stage.told(1).iter().any(|line| line.ends_with(" throttle a")));
    assert!(!stage.governor.unsupported(&name, Rung::Throttle, Monotonic::default()));
}

/// A governor of two workloads, one of which it has to be told.
struct Desk {
    governor: Governor,
    candidates: [Candidate; 2],
}

impl Desk {
    fn new() -> Self {
        let mut governor = Governor::default();
        governor.configure(&[objective("load")]);
        Self { governor, candidates: [load("a", 0, 1.0).candidate, load("b", 0, 1.0).candidate] }
    }

    fn look(&mut self, second: u64, progress: Progress, measured: u64) -> Vec<News> {
        let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
        let device = Device {
            candidates: &self.candidates,
            standing: &|_| Standing::Broken { shortfall: 1.0, measured_at: at(measured) },
            progress: &|_, _| progress,
            awaits_usage: false,
        };
        self.governor.advance(&device, at(second))
    }
}

#[test]
fn a_step_is_judged_once_it_has_been_carried_out_and_measured() {
    use Progress::{Done, Pending, UnderWay};
    let mut desk = Desk::new();
    assert_eq!(desk.look(100, Pending, 100).len(), 1);
    assert_eq!(desk.look(115, UnderWay, 115).len(), 0);
    assert_eq!(desk.look(300, UnderWay, 300).len(), 0, "a stop may take its grace period");
    assert_eq!(desk.look(301, Done, 301).len(), 0);
    assert_eq!(desk.look(310, Done, 310).len(), 0);
    assert_eq!(desk.look(311, Done, 300).len(), 0, "nothing was measured since");
    assert_eq!(desk.look(320, Done, 319).len(), 1, "taken back");
    assert_eq!(desk.look(321, Done, 319).len(), 1, "the next one");
    // What is never measured is given up.
    assert_eq!(desk.look(322, Done, 319).len(), 0);
    assert_eq!(desk.look(631, Done, 319).len(), 0);
    assert_eq!(desk.look(632, Done, 319).len(), 1);
}

#[test]
fn a_step_that_nothing_carries_out_is_given_up_and_says_nothing_of_its_effect() {
    use Progress::{Done, Pending};
    let mut desk = Desk::new();
    desk.look(100, Pending, 100);
    assert_eq!(desk.look(159, Pending, 159).len(), 0);
    let news = desk.look(160, Pending, 160);
    assert!(matches!(&news[..], [News::TakenBack(_, Reason::NotDone)]), "{news:?}");
    // Nothing is tried before it is undone.
    assert_eq!(desk.look(170, Pending, 170), []);
    let news = desk.look(171, Done, 171);
    assert!(matches!(&news[..], [News::Taken(step)] if step.workload.as_str() == "b"), "{news:?}");
}

#[test]
fn what_blinds_the_objective_has_not_helped() {
    let mut stage = Stage::new(vec![load("a", 0, 2.0)]);
    stage.told(3);
    stage.is_measured = false;
    assert_eq!(stage.told(MINUTE), ["11s unthrottle a: NoEffect"]);
}

#[test]
fn what_has_only_yet_to_hold_for_its_time_takes_no_step_and_is_no_calm() {
    let mut desk = Desk::new();
    let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
    for (second, shortfall, expected) in
        [(100, 1.0, 1), (101, 1.0, 0), (111, 0.0, 0), (400, 0.0, 0), (401, 1.0, 1)]
    {
        let device = Device {
            candidates: &desk.candidates,
            standing: &|_| Standing::Broken { shortfall, measured_at: at(second) },
            progress: &|_, _| Progress::Done,
            awaits_usage: false,
        };
        let news = desk.governor.advance(&device, at(second));
        assert_eq!(news.len(), expected, "{second}: {news:?}");
    }
}

#[test]
fn an_objective_that_has_only_yet_to_hold_when_its_rest_ends_is_not_looked_at_without_end() {
    let mut desk = Desk::new();
    desk.candidates.iter_mut().for_each(|it| it.runs = false);
    let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
    // Exhausted, then only a matter of time, past the end of its rest; kept for a moment, and broken again.
    for (second, standing) in
        [(100, Some(1.0)), (101, Some(0.0)), (500, Some(0.0)), (501, None), (502, Some(1.0))]
    {
        for awaits_usage in [false, true] {
            let broken = |shortfall| Standing::Broken { shortfall, measured_at: at(second) };
            let device = Device {
                candidates: &desk.candidates,
                standing: &|_| standing.map_or(Standing::Kept, broken),
                progress: &|_, _| Progress::Done,
                awaits_usage,
            };
            desk.governor.advance(&device, at(second));
            let next = desk.governor.next_look();
            assert!(next.is_none_or(|next| next > at(second)), "{second} s: {next:?}");
        }
    }
    desk.candidates[0].runs = true;
    assert_eq!(desk.look(503, Progress::Pending, 503).len(), 1, "what comes is tried at once");
}

#[test]
fn what_is_at_risk_within_seconds_does_not_wait_for_what_is_within_minutes() {
    let mut desk = Desk::new();
    let slow = Objective { settling: Duration::from_secs(600), ..objective("slow") };
    desk.governor.configure(&[slow, objective("load")]);
    let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
    let mut look = |second, is_broken: bool| {
        let broken = Standing::Broken { shortfall: 1.0, measured_at: at(second) };
        let device = Device {
            candidates: &desk.candidates,
            standing: &|name| match name.as_str() {
                "slow" => broken,
                _ if is_broken => broken,
                _ => Standing::Kept,
            },
            progress: &|_, _| Progress::Done,
            awaits_usage: false,
        };
        let news = desk.governor.advance(&device, at(second));
        news.iter()
            .map(|it| match it {
                News::Taken(step) => format!("{} for {}", step.workload, step.objective),
                News::TakenBack(step, why) => format!("{} back: {why:?}", step.workload),
                News::Exhausted(name) => format!("{name} exhausted"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(look(100, false), ["a for slow"]);
    assert_eq!(look(101, false), [""; 0]);
    assert_eq!(look(102, true), ["a back: Interrupted"]);
    assert_eq!(look(103, true), ["a for load"]);
}

#[test]
fn who_takes_most_goes_through_its_ladder_first_and_who_uses_nothing_is_not_throttled() {
    let loads = ["a", "b", "c"].map(|name| load(name, 0, 0.2));
    let mut stage = Stage::new(loads.into());
    let use_ = |stage: &mut Stage, usages: [(u64, u64); 3]| {
        for (load, (cpu, memory)) in stage.loads.iter_mut().zip(usages) {
            load.candidate.usage = Some(Usage { cpu, memory });
        }
    };
    // CPU time is short, and b takes it.
    use_(&mut stage, [(200, 30), (500, 30), (100, 30)]);
    stage.loads[1].cpu = 2.0;
    assert_eq!(stage.told(15), ["0s throttle b"]);
    // Now b takes memory. All others use some CPU time.
    use_(&mut stage, [(100, 30), (100, 300), (100, 30)]);
    stage.loads[1].memory = 5.0;
    let expected = ["15s squeeze b", "26s freeze b", "37s unfreeze b: NoEffect", "38s stop b"];
    assert_eq!(stage.told(30), expected);
    // Who uses nothing is neither throttled nor frozen.
    let mut stage = Stage::new(vec![load("a", 0, 0.0)]);
    stage.loads[0].memory = 5.0;
    stage.loads[0].candidate.usage = Some(Usage { cpu: 0, memory: 5 });
    let told = stage.told(3 * MINUTE);
    let harmless = |line: &String| !line.ends_with("throttle a") && !line.ends_with("freeze a");
    assert!(!told.is_empty() && told.iter().all(harmless), "{told:?}");
}

proptest! {
    /// Whatever the device is like: no step is taken that is not allowed, or while nothing is measured; of those
    /// that have not failed to help none is passed over for one of a higher priority; and once the load is
    /// gone, so are all steps.
    #[test]
    fn whatever_the_device_is_like_order_is_kept_and_steps_end(
        loads in prop::collection::vec((-1..3i32, 0..15u32, 0..8u32, any::<[bool; 4]>()), 1..6),
        story in prop::collection::vec((1..90u64, any::<bool>(), 0..6usize, 0..20u32), 1..12),
    ) {
        let loads = loads.into_iter().enumerate().map(|(index, (priority, cpu, memory, rungs))| {
            let mut load = load(&format!("w{index}"), priority, f64::from(cpu) / 10.0);
            load.memory = f64::from(memory) / 10.0;
            let allowed = Rung::ALL.into_iter().zip(rungs).filter(|(_, is_in)| *is_in);
            load.candidate.rungs = allowed.map(|(rung, _)| rung).collect();
            load
        });
        let mut stage = Stage::new(loads.collect());
        let (mut failed, mut tried) = (BTreeSet::new(), BTreeSet::new());
        for (seconds, is_measured, which, cpu) in story {
            stage.is_measured = is_measured;
            let count = stage.loads.len();
            stage.loads[which % count].cpu = f64::from(cpu) / 10.0;
            for _ in 0..seconds {
                if stage.standing() == Standing::Kept {
                    tried.clear();
                }
                let before = stage.governor.steps.to_vec();
                for news in stage.pass(1) {
                    let step = match news {
                        News::TakenBack(step, Reason::NoEffect) => {
                            failed.insert((step.workload, step.rung));
                            continue;
                        }
                        News::TakenBack(..) | News::Exhausted(_) => continue,
                        News::Taken(step) => step,
                    };
                    prop_assert!(is_measured);
                    let mut all = stage.loads.iter().map(|it| &it.candidate);
                    let own = all.clone().find(|it| it.name == step.workload).unwrap();
                    prop_assert!(own.rungs.contains(step.rung));
                    let is_left = |candidate: &Candidate, rung: Rung| {
                        let key = (candidate.name.clone(), rung);
                        is_free(candidate, rung, &before)
                            && !failed.contains(&key)
                            && !tried.contains(&key)
                    };
                    prop_assert!(!all.any(|it| {
                        it.priority < own.priority && it.rungs.iter().any(|rung| is_left(it, rung))
                    }), "{step:?}");
                    tried.insert((step.workload, step.rung));
                }
                let taken = &stage.governor.steps;
                prop_assert!(taken.len() <= before.len() + 1);
            }
        }
        stage.is_measured = true;
        stage.loads.iter_mut().for_each(|load| (load.cpu, load.memory) = (0.0, 0.0));
        stage.pass(2 * 60 * MINUTE);
        prop_assert_eq!(&stage.governor.steps, &[]);
    }
}
