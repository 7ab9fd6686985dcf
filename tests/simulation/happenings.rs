//! What happens to the device of its own accord.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actors::messages::MetricsReceived;
use actors::workload::{ExecutorKind, Sample, Workload};
use chrono::TimeDelta;
use device_worker_ng::system::Agent;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::agent::Site;
use crate::podman::Podman;
use crate::workloads::{
    Behaviour, METRICS, NAMES, SHARE_OF_STRAIN, STRAIN, any_workload, objective, profiles,
};
use crate::world::World;

/// Lets one thing happen. Returns whether the agent is killed by it.
pub(crate) fn happen(site: &Site, agent: &Agent, rng: &mut fastrand::Rng) -> bool {
    match rng.u8(0..100) {
        0..25 => post_any(site, agent, rng),
        25..45 => configure(site, rng),
        45..63 => trouble_a_pod(site, rng),
        63..70 => interrupt(site, rng),
        70..78 => outage(site, rng),
        78..84 => step_clock(site, rng),
        84..87 => {
            // What the damaged one says of failures is forgotten with it.
            site.world.failed.borrow_mut().clear();
            site.disk.borrow_mut().tear();
        }
        87..89 => {
            reboot(site);
            return true;
        }
        89..93 => return true,
        _ => {}
    }
    false
}

/// Posts what the pods that work make of the device.
pub(crate) fn post_strain(site: &Site, agent: &Agent) {
    let working = site.podmans.values().map(Podman::working).sum::<usize>();
    let working = u32::try_from(working).unwrap_or(u32::MAX);
    post(site, agent, STRAIN, f64::from(working) * SHARE_OF_STRAIN);
}

fn post_any(site: &Site, agent: &Agent, rng: &mut fastrand::Rng) {
    let value = f64::from(rng.u8(0..100));
    post(site, agent, METRICS[rng.usize(..METRICS.len())], value);
}

/// Posts a metric as the listener does; what is answered Ok is known to the model.
pub(crate) fn post(site: &Site, agent: &Agent, metric: &'static str, value: f64) {
    let sample = Sample { name: metric.into(), value, unit: None, ttl: None };
    let answer = agent.metrics.send(MetricsReceived { samples: vec![sample], permits: Vec::new() });
    let world = Rc::clone(&site.world);
    world.model.borrow_mut().doubt(metric);
    spawn_local(async move {
        let answer = timeout(Duration::from_secs(60), answer).await;
        if matches!(answer, Ok(Ok(Ok(())))) && world.agent_clock.borrow().is_some() {
            world.note(|| format!("{metric} is {value}"));
            let now = world.now();
            world.model.borrow_mut().posted(metric, value, now);
        }
    });
}

/// Changes what the control plane wants.
pub(crate) fn configure(site: &Site, rng: &mut fastrand::Rng) {
    let world = &site.world;
    let mut kinds: Vec<_> = site.podmans.keys().copied().collect();
    kinds.extend(site.cluster.iter().map(|_| ExecutorKind::K8s));
    let mut configuration = world.configuration.borrow_mut();
    for _ in 0..rng.u8(1..4) {
        let name = NAMES[rng.usize(..NAMES.len())];
        configuration.workloads.retain(|workload| workload.name.as_str() != name);
        if rng.u8(0..4) > 0 {
            let (workload, behaviour) = any_workload(name, &kinds, rng);
            note_workload(world, &workload, behaviour);
            configuration.workloads.push(workload);
        }
    }
    if configuration.workloads.is_empty() {
        let (workload, behaviour) = any_workload(NAMES[0], &kinds, rng);
        note_workload(world, &workload, behaviour);
        configuration.workloads.push(workload);
    }
    configuration.workloads.sort_by(|a, b| a.name.cmp(&b.name));
    configuration.heartbeat_period = Duration::from_secs([10, 30, 60][rng.usize(..3)]);
    configuration.objectives = if rng.bool() { vec![objective()] } else { Vec::new() };
    configuration.profiles = if rng.u8(0..15) == 0 { Vec::new() } else { profiles() };
    world.note(|| {
        let describe = |workload: &Arc<Workload>| {
            let Workload { id, executor, cron, restart_policy, profiles, .. } = &**workload;
            format!("{id} on {executor} cron {cron:?} {restart_policy:?} {profiles:?}")
        };
        let ids: Vec<_> = configuration.workloads.iter().map(describe).collect();
        format!("configured {ids:#?}")
    });
}

fn note_workload(world: &World, workload: &Workload, behaviour: Behaviour) {
    world.behaviours.borrow_mut().insert(workload.id.clone(), behaviour);
    if workload.pod.volumes.is_some() {
        world.with_volumes.borrow_mut().insert(workload.id.clone());
    }
}

fn trouble_a_pod(site: &Site, rng: &mut fastrand::Rng) {
    if let Some(cluster) = &site.cluster
        && rng.u8(0..3) == 0
    {
        return cluster.meddle(rng);
    }
    let podmans: Vec<_> = site.podmans.values().collect();
    let podman = podmans[rng.usize(..podmans.len())];
    let pods = podman.pods();
    let Some(pod) = pods.get(rng.usize(..pods.len().max(1))) else { return };
    match rng.u8(0..6) {
        5 => podman.pause_by_hand(&pod.id),
        0 => podman.remove(&pod.id),
        1 => podman.crash(&pod.id, 0, true),
        2 => podman.crash(&pod.id, 1, false),
        _ => podman.crash(&pod.id, 137, true),
    }
}

fn interrupt(site: &Site, rng: &mut fastrand::Rng) {
    match &site.cluster {
        Some(cluster) if rng.bool() => cluster.hang_up(),
        _ => site.podmans.values().for_each(Podman::hang_up),
    }
}

fn outage(site: &Site, rng: &mut fastrand::Rng) {
    let span = Duration::from_secs(rng.u64(1..900));
    let world = Rc::clone(&site.world);
    let kind = ExecutorKind::ALL[rng.usize(..3)];
    if rng.u8(0..4) == 0 {
        world.control_plane_down.set(true);
        spawn_local(async move {
            sleep(span).await;
            world.control_plane_down.set(false);
        });
        return;
    }
    world.note(|| format!("{kind} is down for {span:?}"));
    world.down.borrow_mut().insert(kind, true);
    match (kind, &site.cluster) {
        (ExecutorKind::K8s, Some(cluster)) => cluster.hang_up(),
        _ => site.podmans.get(&kind).into_iter().for_each(Podman::hang_up),
    }
    spawn_local(async move {
        sleep(span).await;
        world.down.borrow_mut().insert(kind, false);
    });
}

fn step_clock(site: &Site, rng: &mut fastrand::Rng) {
    let wall = site.world.clock.now().wall;
    let step = match rng.u8(0..8) {
        0..4 => TimeDelta::seconds(rng.i64(-90..90)),
        4 => TimeDelta::minutes(rng.i64(-300..300)),
        5 => TimeDelta::hours(rng.i64(-72..72)),
        6 => -TimeDelta::seconds(wall.timestamp()),
        // The right time, known at last.
        _ => TimeDelta::seconds(crate::story::EPOCH - wall.timestamp()),
    };
    site.world.note(|| format!("the clock is stepped by {step}"));
    site.world.step(step);
}

fn reboot(site: &Site) {
    site.world.note(|| "the device reboots".to_owned());
    site.world.boot.set(site.world.boot.get() + 1);
    site.podmans.values().for_each(Podman::reboot);
    let mut rng = site.world.chooser.rng("boot");
    let service = match rng.u8(0..3) {
        0 => Some(Duration::ZERO),
        1 => Some(Duration::from_secs(rng.u64(1..900))),
        _ => None,
    };
    crate::witness::boot(&site.world, service);
}
