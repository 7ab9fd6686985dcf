//! One seed from its first fault to its last check.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::System;
use actors::clock::Moment;
use actors::messages::GetProfiles;
use actors::testing::control_plane::FakeControlPlane;
use actors::workload::{DeviceId, ExecutorKind};
use chrono::{DateTime, TimeDelta};
use device_worker_ng::system::Agent;
use tokio::time::{sleep, timeout};

use crate::agent::{self, Site};
use crate::cluster::Cluster;
use crate::control_plane::ControlPlane;
use crate::happenings::{configure, happen, post, post_strain};
use crate::model::{check_twins, discrepancies, returned};
use crate::podman::{Podman, Truth};
use crate::poison;
use crate::slow;
use crate::workloads::{Behaviour, MAX_DEADLINE, STRAIN};
use crate::world::{Start, World};

/// 2026-01-01 00:00:00 UTC.
pub(crate) const EPOCH: i64 = 1_767_225_600;
/// Within this the device must be as it is wanted.
const RECOVERY: Duration = Duration::from_secs(1800);
/// So long it must stay so.
const QUIET: Duration = Duration::from_secs(1800);
const MINUTE: Duration = Duration::from_secs(60);
/// Within this all steps for the device's objective are taken back once it holds.
const MAX_CALM: Duration = Duration::from_secs(4_000);

/// What became of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) violations: Vec<String>,
    pub(crate) trace: u64,
    pub(crate) simulated: Duration,
    pub(crate) calls: BTreeMap<String, u64>,
    pub(crate) recovered_after: Duration,
}

/// Runs one seed.
pub(crate) fn run(seed: u64, verbose: bool) -> Outcome {
    let story = async |world: Rc<World>, path| {
        let site = site(seed, &world, path).await;
        story(seed, &site).await
    };
    tell(seed, verbose, story)
}

/// Tells one story in a world of its own.
pub(crate) fn tell(
    seed: u64,
    verbose: bool,
    story: impl AsyncFnOnce(Rc<World>, std::path::PathBuf) -> Duration,
) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_owned();
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().expect("a runtime")
    };
    let outcome = System::with_tokio_rt(runtime).block_on(async move {
        fastrand::seed(seed);
        let wall = DateTime::from_timestamp(EPOCH, 0).expect("a time");
        let world = World::new(seed, wall, verbose);
        poison::belongs_to(Some(&world));
        let recovered_after = story(Rc::clone(&world), path).await;
        poison::belongs_to(None);
        Outcome {
            violations: world.violations(),
            trace: world.trace(),
            simulated: world.now().since_start(),
            calls: world.calls.borrow().clone(),
            recovered_after,
        }
    });
    drop(folder);
    outcome
}

pub(crate) async fn site(seed: u64, world: &Rc<World>, folder: std::path::PathBuf) -> Site {
    let mut rng = fastrand::Rng::with_seed(seed);
    let device = DeviceId::from("sim");
    let configuration = world.configuration.borrow().clone();
    let inner = FakeControlPlane::new(device.clone(), configuration, world.clock.clone());
    inner.script(|script| script.certificate_lifetime = Duration::from_secs(9 * 365 * 86_400));
    let identity = inner.identity_files(&folder).expect("files");
    let mut kinds = vec![ExecutorKind::PodmanRootful];
    if rng.bool() {
        kinds.push(ExecutorKind::PodmanRootless);
    }
    let cluster = (rng.u8(0..3) == 0).then(|| Cluster::new(world));
    if let Some(cluster) = &cluster {
        cluster.prepare().await;
    }
    Site {
        files: kinds.iter().map(|kind| (*kind, Rc::default())).collect(),
        podmans: kinds.into_iter().map(|kind| (kind, Podman::new(kind, world))).collect(),
        cluster,
        control_plane: ControlPlane { world: Rc::clone(world), inner, is_folder: rng.bool() },
        disk: Rc::default(),
        identity,
        folder,
        device,
        world: Rc::clone(world),
    }
}

async fn story(seed: u64, site: &Site) -> Duration {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0xcafe);
    configure(site, &mut rng);
    if seed % 8 == 5 {
        site.world.slowness.set(slow::FACTOR);
    }
    let minutes = if seed % 250 == 249 { 24 * 60 } else { rng.u64(20..150) };
    let agent = trouble(site, &mut rng, MINUTE * u32::try_from(minutes).expect("small")).await;
    quiet(site, agent).await
}

/// Lets things go wrong for a while; returns the agent, which lives.
async fn trouble(site: &Site, rng: &mut fastrand::Rng, span: Duration) -> Agent {
    let world = &site.world;
    let until = world.now() + span;
    let pace = [5, 30, 120, 600][rng.usize(..4)];
    let mut agent = agent::start(site);
    while world.now() < until {
        let wait = Duration::from_millis(rng.u64(1..2000 * pace));
        let killed = tokio::select! {
            biased;
            () = world.kill.notified() => true,
            () = sleep(wait) => happen(site, &agent, rng),
        };
        check(site);
        if !killed && rng.u8(0..4) == 0 {
            post_strain(site, &agent);
        }
        if killed {
            agent::kill(agent, world).await;
            sleep(Duration::from_millis(rng.u64(1..120_000))).await;
            agent = agent::start(site);
        }
    }
    agent
}

fn check(site: &Site) {
    let pods = site.podmans.iter();
    let pods = pods.flat_map(|(kind, podman)| podman.pods().into_iter().map(|pod| (*kind, pod)));
    let pods: Vec<_> = pods.collect();
    check_twins(&site.world, &pods);
    check_volumes(site, &pods);
}

/// Looks for pods that run without the volumes they were given.
fn check_volumes(site: &Site, pods: &[(ExecutorKind, Truth)]) {
    let world = &site.world;
    for (kind, pod) in pods.iter().filter(|(_, pod)| pod.running && !pod.ghost) {
        let has_none = !world.with_volumes.borrow().contains(&pod.id);
        if !has_none && !site.files[kind].borrow().holds(&pod.id) {
            world.violated(format!("{kind} runs {} without its volumes", pod.id));
        }
    }
}

/// Stops all faults; returns how long the device took to recover.
async fn quiet(site: &Site, mut agent: Agent) -> Duration {
    let world = &site.world;
    world.note(|| "all is well from now on".to_owned());
    world.chooser.calm_down();
    world.down.borrow_mut().clear();
    world.control_plane_down.set(false);
    let began = world.now();
    // A kill that was under way.
    sleep(MINUTE).await;
    if timeout(Duration::ZERO, world.kill.notified()).await.is_ok() {
        agent::kill(agent, world).await;
        agent = agent::start(site);
    }
    post(site, &agent, "load", 40.0);
    post(site, &agent, "temp", 50.0);
    post(site, &agent, STRAIN, 0.0);
    // A step that was relapsed into again and again is taken back after an hour at most; of an objective that
    // nobody wants any more, at once.
    if world.chooser.rng("objectives").u8(0..4) > 0 {
        world.configuration.borrow_mut().objectives.clear();
    } else if !world.configuration.borrow().objectives.is_empty() {
        sleep(MAX_CALM).await;
    }
    // An update that waits for its gate comes by its deadline at the latest.
    let has_gates =
        world.configuration.borrow().workloads.iter().any(|it| it.gate.deadline.is_some());
    if has_gates {
        sleep(MAX_DEADLINE).await;
    }
    let mut recovered_after = Duration::ZERO;
    for minute in 1..=30_u32 {
        sleep(MINUTE).await;
        check(site);
        if !discrepancies(site).is_empty() {
            recovered_after = MINUTE * (minute + 1);
        }
        // Stable for long enough: the rest of the time would tell nothing.
        if MINUTE * minute >= recovered_after + MINUTE * 10 {
            break;
        }
    }
    let left = discrepancies(site);
    if !left.is_empty() {
        let took = world.now().saturating_since(began);
        world.violated(format!("after {took:?} of quiet (limit {RECOVERY:?}): {left:#?}"));
        return took;
    }
    world.note(|| "the device has recovered".to_owned());
    stay(site, &agent).await;
    agent::kill(agent, world).await;
    recovered_after
}

/// Looks whether a device that recovered stays so without being busy.
async fn stay(site: &Site, agent: &Agent) {
    let world = &site.world;
    let starts = || {
        let starts = world.starts.borrow();
        let by_agent = |starts: &Vec<Start>| starts.iter().filter(|start| !start.ghost).count();
        starts.iter().map(|(id, starts)| (id.clone(), by_agent(starts))).collect::<BTreeMap<_, _>>()
    };
    let (before, calls, from) = (starts(), world.total_calls(), world.clock.now());
    let returned_before = returned(site);
    for _ in 0..6 {
        sleep(QUIET / 6).await;
        let left = discrepancies(site);
        if !left.is_empty() {
            world.violated(format!("it did not stay as it was: {left:#?}"));
        }
    }
    let (after, to) = (starts(), world.clock.now());
    let total: usize = after.values().sum::<usize>() - before.values().sum::<usize>();
    for workload in &world.configuration.borrow().workloads {
        let id = &workload.id;
        let since = |id| after.get(id).copied().unwrap_or(0) - before.get(id).copied().unwrap_or(0);
        let count = since(id);
        // One that has failed its proof is tried again, and its predecessor runs before and after that.
        let model = world.model.borrow();
        let gave_way = world.failed.borrow().contains_key(id)
            || model.previous_of(&workload.name).any(|previous| since(previous) > 0)
            || returned_before.contains_key(&workload.name);
        if gave_way {
            continue;
        }
        let behaviour = world.behaviours.borrow().get(id).copied();
        let fails = match behaviour {
            Some(Behaviour::Ends { code, .. }) => code != 0,
            Some(Behaviour::FallsIll { .. }) => true,
            Some(Behaviour::Steady) | None => false,
        };
        if workload.cron.is_some() && workload.executor != ExecutorKind::K8s {
            // A tick waits for images that may not come yet.
            if !workload.gate.pull_when.is_empty() {
                continue;
            }
            let allowed = model.allows(workload);
            check_cron(world, id, allowed, fails, (from, to));
        } else if count > 0 && !fails {
            world.violated(format!("{id} was started {count} times although all was well"));
        }
    }
    let made = world.total_calls() - calls;
    let count = |count| u64::try_from(count).unwrap_or(0);
    // A volume is measured every ten seconds.
    let budget = 2200 + 60 * count(total) + 180 * count(volumes(world));
    if made > budget {
        world.violated(format!("{made} calls in {QUIET:?} of quiet, with {total} starts"));
    }
    check_metrics(world, agent).await;
}

/// Returns how many of the configured workloads have volumes.
fn volumes(world: &World) -> usize {
    let with_volumes = world.with_volumes.borrow();
    let configuration = world.configuration.borrow();
    configuration.workloads.iter().filter(|it| with_volumes.contains(&it.id)).count()
}

/// Compares the starts of a cron job with the ticks between two moments.
fn check_cron(
    world: &World,
    id: &actors::workload::WorkloadId,
    allowed: bool,
    fails: bool,
    (from, to): (Moment, Moment),
) {
    // A slow podman takes longer than a minute to remove the last run and to make the next one.
    let slack = TimeDelta::seconds(if world.slowness.get() > 1 { 120 } else { 60 });
    // Where the clock was put back, the same wall time was there before.
    let mut starts = world.starts_of(id);
    starts.retain(|start| start.at >= from.monotonic);
    let (from, to) = (from.wall, to.wall);
    // What a slow podman was asked before takes its time.
    let settled = if world.slowness.get() > 1 { TimeDelta::seconds(600) } else { slack };
    let is_late = |start: &&Start| {
        let since_tick = start.wall.timestamp().rem_euclid(300);
        start.wall > from + settled && since_tick >= slack.num_seconds() && start.wall <= to
    };
    if let Some(start) = starts.iter().find(is_late)
        && !fails
    {
        world.violated(format!("cron job {id} was started at {}, which is no tick", start.wall));
    }
    let is_set = from.timestamp() >= 1_577_836_800;
    let mut tick = DateTime::from_timestamp(from.timestamp() / 300 * 300 + 300, 0).unwrap_or(to);
    while tick + slack < to {
        let near = |start: &Start| start.wall >= tick && start.wall < tick + slack;
        let ran = starts.iter().any(near);
        if ran != (allowed && is_set) && !fails {
            world.violated(format!("cron job {id}: tick {tick}, allowed {allowed}, ran {ran}"));
        }
        tick += TimeDelta::seconds(300);
    }
}

/// Looks whether every metric that was answered Ok is there.
async fn check_metrics(world: &World, agent: &Agent) {
    let answer = timeout(MINUTE, agent.profiles.send(GetProfiles)).await;
    let Ok(Ok(report)) = answer else {
        return world.violated("the evaluator does not answer".to_owned());
    };
    for (name, value) in world.model.borrow().metrics() {
        let there = report
            .metrics
            .iter()
            .any(|metric| metric.name == *name && (metric.value - value).abs() < f64::EPSILON);
        if !there {
            world.violated(format!("metric {name} was taken as {value} and is lost"));
        }
    }
}
