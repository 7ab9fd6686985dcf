//! What must hold: a second, much simpler opinion on what shall run.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actors::clock::Monotonic;
use actors::workload::{
    Configuration, ExecutorKind, ProfileRef, RestartPolicy, Rung, Workload, WorkloadId,
    WorkloadName,
};

use crate::agent::Site;
use crate::cluster::Cluster;
use crate::podman::{Podman, Truth};
use crate::workloads::{Behaviour, STRAIN, TOO_MUCH_STRAIN, holds};
use crate::world::World;

/// So long the agent may go on starting what is forbidden by now: a start under way has 5 minutes,
/// and an actor that failed is back after 30 s.
const TOLERANCE: Duration = Duration::from_secs(600);
/// So long a stop that was under way when a gate closed may come after that.
const GATE_TOLERANCE: Duration = Duration::from_secs(120);
/// So long a configuration that has arrived may not be in force: it is stored first, and a disk that hangs is
/// given up after ten seconds.
const STORING: Duration = Duration::from_secs(15);

/// So long a step may be in force after the strain: calm times that have grown, and a command on top.
const MAX_RESTRAINT: Duration = Duration::from_secs(4_200);

/// What the present life of the agent has received.
#[derive(Default)]
pub(crate) struct Model {
    configuration: Option<Configuration>,
    /// Those before it, and until when: the agent may have one of them, while it is not known whether the last
    /// answer has arrived, and while it is stored.
    in_doubt: Vec<(Configuration, Option<Monotonic>)>,
    /// The specifications of each workload that were started, in earlier lives, too.
    ran: BTreeMap<WorkloadName, BTreeSet<WorkloadId>>,
    /// Those that ran before the present one came: the last of them that proved itself may run for one that
    /// does not. That both run is what `check_twins` looks for.
    previous: BTreeMap<WorkloadName, BTreeSet<WorkloadId>>,
    /// Until then everything was allowed, for want of an answer.
    undecided_until: Monotonic,
    metrics: BTreeMap<String, f64>,
    /// Metrics of which a post is not answered: it may count all the same.
    doubtful: BTreeSet<String>,
    last_allowed: BTreeMap<WorkloadId, Monotonic>,
    /// When the device was last known to be under too much strain.
    strained_at: Option<Monotonic>,
    /// Since when each workload that may run now may do so, as far as the agent knows for sure.
    settled_since: BTreeMap<WorkloadId, Monotonic>,
    /// Since when each specification may not replace another one, likewise.
    gated_since: BTreeMap<WorkloadId, Monotonic>,
    /// When each specification came that no earlier life has heard of.
    came: BTreeMap<WorkloadId, Monotonic>,
    /// Those that one has: how long they waited is known by a wall clock that is stepped.
    known_before: BTreeSet<WorkloadId>,
}

impl Model {
    /// A life begins.
    pub(crate) fn begins(&mut self, now: Monotonic) {
        self.note_cluster();
        let Self { ran, previous, came, mut known_before, .. } = std::mem::take(self);
        known_before.extend(came.into_keys());
        *self = Self { undecided_until: now, ran, previous, known_before, ..Self::default() };
    }

    pub(crate) fn delivered(&mut self, configuration: &Configuration, now: Monotonic) {
        self.remember(now);
        if self.configuration.is_none() {
            self.undecided_until = now;
        }
        self.note_cluster();
        for workload in &configuration.workloads {
            let ran = self.ran.get(&workload.name).into_iter().flatten();
            let others = ran.filter(|id| **id != workload.id).cloned();
            self.previous.entry(workload.name.clone()).or_default().extend(others);
        }
        for workload in &configuration.workloads {
            self.came.entry(workload.id.clone()).or_insert(now);
        }
        let before = self.configuration.replace(configuration.clone());
        self.in_doubt.extend(before.map(|before| (before, None)));
        // Whether the answer arrives is not known yet.
        self.unsettle();
    }

    /// A cluster does not say which pods came to be: what was wanted of it counts as having run.
    fn note_cluster(&mut self) {
        let wanted = self.configuration.iter().flat_map(|before| &before.workloads);
        let on_cluster = wanted.filter(|it| it.executor == ExecutorKind::K8s);
        for it in on_cluster {
            self.ran.entry(it.name.clone()).or_default().insert(it.id.clone());
        }
    }

    /// The agent has the answer that was delivered last.
    pub(crate) fn arrived(&mut self, now: Monotonic) {
        self.remember(now);
        for (_, until) in &mut self.in_doubt {
            until.get_or_insert(now + STORING);
        }
        self.settle(now);
    }

    /// A metric is posted; whether it is taken is not known yet.
    pub(crate) fn doubt(&mut self, metric: &str) {
        self.doubtful.insert(metric.to_owned());
        self.unsettle();
    }

    /// The agent may know something that nobody knows of.
    fn unsettle(&mut self) {
        self.settled_since.clear();
        self.gated_since.clear();
    }

    fn settle(&mut self, now: Monotonic) {
        if !self.doubtful.is_empty() {
            return;
        }
        let all = self.configuration.iter().flat_map(|all| &all.workloads);
        let allowed = all.filter(|workload| self.allows(workload));
        let since = |workload: &Arc<Workload>| {
            let id = workload.id.clone();
            let since = self.settled_since.get(&id).copied().unwrap_or(now);
            (id, since)
        };
        self.settled_since = allowed.map(since).collect();
        let all = self.configuration.iter().flat_map(|all| &all.workloads);
        let gated = all.filter(|workload| self.allows(workload) && self.is_gated(workload, now));
        let since = |workload: &Arc<Workload>| {
            let id = workload.id.clone();
            let since = self.gated_since.get(&id).copied().unwrap_or(now);
            (id, since)
        };
        self.gated_since = gated.map(since).collect();
    }

    /// Returns whether a specification may not replace another one, by what is posted and by its deadline.
    fn is_gated(&self, workload: &Workload, now: Monotonic) -> bool {
        let Some(all) = &self.configuration else { return false };
        if self.all_allow(all, &workload.gate.replace_when) {
            return false;
        }
        let came =
            self.came.get(&workload.id).filter(|_| !self.known_before.contains(&workload.id));
        match workload.gate.deadline {
            Some(deadline) => came.is_some_and(|came| now < *came + deadline),
            None => true,
        }
    }

    pub(crate) fn posted(&mut self, metric: &str, value: f64, now: Monotonic) {
        self.remember(now);
        self.metrics.insert(metric.to_owned(), value);
        if metric == STRAIN && value >= TOO_MUCH_STRAIN {
            self.strained_at = Some(now);
        }
        self.doubtful.remove(metric);
        self.settle(now);
    }

    pub(crate) fn metrics(&self) -> &BTreeMap<String, f64> {
        &self.metrics
    }

    fn remember(&mut self, now: Monotonic) {
        self.in_doubt.retain(|(_, until)| until.is_none_or(|until| until > now));
        let allowed: Vec<_> = self.allowed().cloned().collect();
        self.last_allowed.extend(allowed.into_iter().map(|id| (id, now)));
    }

    /// A pod came to be.
    pub(crate) fn started(&mut self, workload: &str, id: &WorkloadId) {
        self.ran.entry(workload.into()).or_default().insert(id.clone());
    }

    /// Returns what may run now: of each workload that may, the present and the previous
    /// specifications.
    fn allowed(&self) -> impl Iterator<Item = &WorkloadId> {
        let in_doubt = self.in_doubt.iter().map(|(configuration, _)| configuration);
        let all = self.configuration.iter().chain(in_doubt);
        let allowed = all
            .flat_map(|all| all.workloads.iter().filter(|workload| self.allows_of(all, workload)));
        allowed.flat_map(|workload| {
            std::iter::once(&workload.id).chain(self.previous_of(&workload.name))
        })
    }

    /// Returns the specifications that may come back for the present one of a workload.
    pub(crate) fn previous_of(&self, name: &WorkloadName) -> impl Iterator<Item = &WorkloadId> {
        self.previous.get(name).into_iter().flatten()
    }

    /// Returns whether the profiles of a workload allow it to run.
    pub(crate) fn allows(&self, workload: &Workload) -> bool {
        self.configuration.as_ref().is_some_and(|all| self.allows_of(all, workload))
            || workload.profiles.is_empty()
    }

    /// Returns the same of a workload of `configuration`.
    fn allows_of(&self, configuration: &Configuration, workload: &Workload) -> bool {
        self.all_allow(configuration, &workload.profiles)
    }

    fn all_allow(&self, configuration: &Configuration, profiles: &[ProfileRef]) -> bool {
        let value = |name: &str| self.metrics.get(name).copied();
        let (load, temp) = (value("load"), value("temp"));
        let defined = !configuration.profiles.is_empty();
        profiles.iter().all(|profile| {
            let mut conditions = profile.conditions.iter();
            defined
                && profile.name.as_str() == "p"
                && conditions.any(|condition| holds(condition.name.as_str(), load, temp))
        })
    }

    /// Returns whether a workload may be restrained so for what the device keeps.
    fn may_be_restrained(&self, workload: &str, rung: Rung, now: Monotonic) -> bool {
        let in_doubt = self.in_doubt.iter().map(|(configuration, _)| configuration);
        let mut all = self.configuration.iter().chain(in_doubt);
        let is_strained = self.doubtful.contains(STRAIN)
            || self.strained_at.is_some_and(|at| now.saturating_since(at) < MAX_RESTRAINT);
        is_strained
            && all.any(|all| {
                let own = all.workloads.iter().find(|it| it.name.as_str() == workload);
                !all.objectives.is_empty() && own.is_some_and(|it| it.rungs().contains(rung))
            })
    }

    fn is_allowed(&self, id: &WorkloadId) -> bool {
        self.configuration.is_none() || self.allowed().any(|allowed| allowed == id)
    }
}

/// Looks at a pod that was just started because somebody waits for it.
pub(crate) fn check_start(world: &Rc<World>, kind: ExecutorKind, id: &WorkloadId) {
    let now = world.now();
    world.model.borrow_mut().remember(now);
    let model = world.model.borrow();
    if model.is_allowed(id) || !model.doubtful.is_empty() {
        return;
    }
    let last = model.last_allowed.get(id).copied().unwrap_or_default().max(model.undecided_until);
    let since = now.saturating_since(last);
    if since > TOLERANCE {
        world.violated(format!("{kind} started {id}, which is forbidden since {since:?}"));
    }
}

/// Looks whether a specification that failed its proof has no more than its share: one run in five minutes. One
/// more is borne, as the outcome of a start may be unknown.
pub(crate) fn check_share(world: &World, id: &WorkloadId) {
    const INTERVAL: Duration = Duration::from_secs(290);
    let Some(failed) = world.failed.borrow().get(id).copied() else { return };
    // Of one that is slowed down for the device nothing is held against it.
    let (model, now) = (world.model.borrow(), world.now());
    let slow = [Rung::Throttle, Rung::Squeeze, Rung::Freeze];
    if slow.into_iter().any(|rung| model.may_be_restrained(workload_of(id), rung, now)) {
        return;
    }
    let mut starts = world.starts_of(id);
    starts.retain(|start| !start.ghost && start.at >= failed);
    if let [.., first, _, last] = &starts[..]
        && last.at.saturating_since(first.at) < INTERVAL
    {
        world.violated(format!("{id} failed its proof and is started again and again"));
    }
}

/// Looks at a pod that runs well and is about to be stopped because somebody waits for that.
pub(crate) fn check_stop(world: &Rc<World>, kind: ExecutorKind, pod: &Truth) {
    if pod.ghost || !pod.whole {
        return;
    }
    let (model, now) = (world.model.borrow(), world.now());
    let successor = |it: &&Arc<Workload>| it.name.as_str() == pod.workload && it.id != pod.id;
    let mut all = model.configuration.iter().flat_map(|all| &all.workloads);
    if let Some(new) = all.find(successor)
        && let Some(since) = model.gated_since.get(&new.id)
        && now.saturating_since(*since) > GATE_TOLERANCE
        && model.is_gated(new, now)
    {
        world.violated(format!("{kind} stops {} for {}, which may not come yet", pod.id, new.id));
    }
    // What its volume holds ends its run, rightly.
    if world.overfull.borrow().contains(&pod.id) {
        return;
    }
    if model.may_be_restrained(&pod.workload, Rung::Stop, now) {
        return;
    }
    let Some(since) = model.settled_since.get(&pod.id) else { return };
    let mut all = model.configuration.iter().flat_map(|all| &all.workloads);
    let runs_by_clock = |workload: &Arc<Workload>| workload.cron.is_some();
    let here = |it: &&Arc<Workload>| it.id == pod.id && it.executor == kind && !runs_by_clock(it);
    let settled = now.saturating_since(*since);
    if all.any(|workload| here(&workload)) && settled > TOLERANCE {
        world.violated(format!("{kind} stops {}, which runs well", pod.id));
    }
}

/// Returns the name of the workload of a pod.
fn workload_of(id: &WorkloadId) -> &str {
    id.as_str().rsplit_once('-').map_or(id.as_str(), |(name, _)| name)
}

/// Checks that a pod which podman is asked to freeze may be frozen.
pub(crate) fn check_freeze(world: &Rc<World>, kind: ExecutorKind, id: &WorkloadId) {
    let (model, now) = (world.model.borrow(), world.now());
    let may_be = model.may_be_restrained(workload_of(id), Rung::Freeze, now);
    if model.configuration.is_some() && !may_be {
        world.violated(format!("{kind} freezes {id}, which nothing asks for"));
    }
}

/// Looks for two running pods of one workload on one runtime, ghosts aside. On two runtimes they are
/// borne while things go wrong: of a runtime that is silent when the agent starts nobody knows what
/// it runs.
pub(crate) fn check_twins(world: &World, pods: &[(ExecutorKind, Truth)]) {
    let mut seen = BTreeMap::new();
    let running = pods.iter().filter(|(_, pod)| pod.running && !pod.ghost);
    for (kind, pod) in running {
        if let Some(other) = seen.insert((kind, pod.workload.clone()), &pod.id) {
            world.violated(format!("{kind}: {} and {} run at the same time", pod.id, other));
        }
    }
}

/// Returns what is not as it should be once all is well for a while.
pub(crate) fn discrepancies(site: &Site) -> Vec<String> {
    let world = &site.world;
    let configuration = world.configuration.borrow();
    let model = world.model.borrow();
    let mut found = Vec::new();
    if world.hanging.get() > 0 {
        found.push("podman is still waited for".to_owned());
    }
    let returned = returned(site);
    for (kind, podman) in &site.podmans {
        let pods = podman.pods();
        for pod in &pods {
            let mut wanted = configuration.workloads.iter();
            let is_wanted = wanted.any(|it| it.id == pod.id && it.executor == *kind);
            // Made by podman long after it was given up, or left: its successor may not replace it yet.
            let mut all = configuration.workloads.iter();
            let is_protected =
                all.any(|it| it.name.as_str() == pod.workload && model.is_gated(it, world.now()));
            let is_returned = returned.contains_key(pod.workload.as_str());
            if !is_wanted && !is_returned && !is_protected {
                found.push(format!("{kind} has the unwanted pod {}", pod.id));
            }
        }
        let here = configuration.workloads.iter().filter(|it| it.executor == *kind);
        for workload in here.filter(|it| !returned.contains_key(&it.name)) {
            let pod = pods.iter().find(|pod| pod.id == workload.id);
            found.extend(discrepancy(world, workload, model.allows(workload), pod));
        }
    }
    let disk = site.disk.borrow();
    // A damaged generation is read at the next start only.
    if !disk.is_torn() && !disk.holds(&configuration) {
        found.push("the disk does not hold the configuration".to_owned());
    }
    if let Some(cluster) = &site.cluster {
        let wanted = configuration.workloads.iter();
        let wanted = wanted.filter(|it| it.executor == ExecutorKind::K8s && model.allows(it));
        let wanted = wanted.filter(|it| !returned.contains_key(&it.name));
        let wanted: BTreeSet<_> = wanted.map(|it| it.id.clone()).collect();
        let mut there = cluster.running();
        there.retain(|id| !returned.values().any(|returned| returned == id));
        // One that waits for its successor's gate is left as it is.
        let mut changed = cluster.changed();
        changed.retain(|id| !returned.values().any(|returned| returned == id));
        if !changed.is_empty() {
            found.push(format!("the cluster runs {changed:?} as somebody changed them"));
        }
        if wanted != there {
            found.push(format!("the cluster runs {there:?} instead of {wanted:?}"));
        }
    }
    found
}

/// Returns the workloads of which a former specification is in place of the present one, and which: that did
/// not prove itself, or could not be started.
pub(crate) fn returned(site: &Site) -> BTreeMap<WorkloadName, WorkloadId> {
    let world = &site.world;
    let model = world.model.borrow();
    // Its run may have ended, too.
    let pods = site.podmans.values().flat_map(Podman::pods).map(|pod| pod.id);
    let there: BTreeSet<_> = pods.chain(site.cluster.iter().flat_map(Cluster::running)).collect();
    let of = |workload: &Arc<Workload>| {
        let mut previous = model.previous_of(&workload.name);
        let previous = previous.find(|id| **id != workload.id && there.contains(*id))?;
        let is_there = there.contains(&workload.id);
        (model.allows(workload) && !is_there).then(|| (workload.name.clone(), previous.clone()))
    };
    world.configuration.borrow().workloads.iter().filter_map(of).collect()
}

fn discrepancy(
    world: &World,
    workload: &Workload,
    allowed: bool,
    pod: Option<&Truth>,
) -> Option<String> {
    let id = &workload.id;
    let running = pod.is_some_and(|pod| pod.running);
    let whole = pod.is_some_and(|pod| pod.whole);
    let behaviour = world.behaviours.borrow().get(id).copied();
    let last = world.starts_of(id).last().map(|start| start.at);
    // What its volume held has ended its run, though the agent stopped the pod.
    let is_over = world.overfull.borrow().contains(id);
    let has_run = last.is_some() && (is_over || !world.stopped.borrow().contains(id));
    if !allowed {
        return running.then(|| format!("{id} runs although its profiles forbid it"));
    }
    if workload.cron.is_some() {
        // When it runs is judged by its starts.
        return None;
    }
    let may_have_finished = match workload.restart_policy {
        RestartPolicy::Always => false,
        RestartPolicy::OnFailure => pod.is_none_or(|pod| pod.codes.iter().all(|code| *code == 0)),
        RestartPolicy::Never => true,
    };
    if may_have_finished && has_run {
        return None;
    }
    match behaviour {
        Some(Behaviour::Steady) => (!whole).then(|| format!("{id} does not run: {pod:?}")),
        // It fails again and again: what counts is that it is tried again.
        Some(Behaviour::Ends { .. } | Behaviour::FallsIll { .. }) | None => {
            let since = world.now().saturating_since(last.unwrap_or_default());
            // One that failed its proof waits longer each time, be there a predecessor that runs or not.
            let model = world.model.borrow();
            let is_given_time = world.failed.borrow().contains_key(id)
                || last.is_some() && model.previous_of(&workload.name).next().is_some();
            (since > TOLERANCE && !is_given_time)
                .then(|| format!("{id} was not tried for {since:?}"))
        }
    }
}
