//! What is observed: the pods of a workload, and which runtimes answer. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Monotonic;
use crate::workload::{
    CurrentState, ExecutorKind, ObservedPod, PodHealth, Workload, WorkloadId, WorkloadName,
};

/// Where a pod is and which specification it runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodKey {
    pub(crate) executor: ExecutorKind,
    pub(crate) id: WorkloadId,
}

impl PodKey {
    /// Returns the key of the pod of `workload`.
    pub(crate) fn of(workload: &Workload) -> Self {
        Self { executor: workload.executor, id: workload.id.clone() }
    }
}

/// The pods of one workload, of whatever specification: as they were last listed, and as commands
/// have changed them since.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    // Boxed: a BTreeMap node has room for 11 entries and there is usually one.
    pods: BTreeMap<PodKey, Box<ObservedPod>>,
}

impl Observed {
    /// Returns the pods, in order of key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PodKey, &ObservedPod)> {
        self.pods.iter().map(|(key, pod)| (key, &**pod))
    }

    /// Returns the keys of the pods, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &PodKey> {
        self.pods.keys()
    }

    /// Returns the pod of that key.
    pub(crate) fn get(&self, key: &PodKey) -> Option<&ObservedPod> {
        self.pods.get(key).map(Box::as_ref)
    }

    /// Returns whether containers of the pod run. `is_started` says whether it was started, which
    /// decides where the runtime does not say.
    pub(crate) fn is_alive(&self, key: &PodKey, is_started: bool) -> bool {
        self.get(key).is_some_and(|pod| is_alive(pod, is_started))
    }

    /// Returns whether containers of the pod may run, whatever is known of it: some of one that was not
    /// started to its end do.
    pub(crate) fn may_run(&self, key: &PodKey) -> bool {
        self.get(key).is_some_and(|pod| {
            is_alive(pod, true) || matches!(pod.state, CurrentState::Incomplete { .. })
        })
    }

    /// Returns whether containers of any pod run.
    pub(crate) fn is_any_alive(&self, is_started: bool) -> bool {
        self.pods.values().any(|pod| is_alive(pod, is_started))
    }

    /// Returns how many pods are on `executor`.
    pub(crate) fn count_on(&self, executor: ExecutorKind) -> usize {
        self.keys().filter(|key| key.executor == executor).count()
    }

    /// Replaces the pods on `executor` by those that it listed.
    pub(crate) fn replace(&mut self, executor: ExecutorKind, listed: &[ObservedPod]) {
        self.pods.retain(|key, _| key.executor != executor);
        self.pods.extend(
            listed
                .iter()
                .map(|pod| (PodKey { executor, id: pod.id.clone() }, Box::new(pod.clone()))),
        );
    }

    /// Notes that a command removed the pod.
    pub(crate) fn removed(&mut self, key: &PodKey) {
        self.pods.remove(key);
    }

    /// Notes that a command suspended the pod.
    pub(crate) fn suspended(&mut self, key: &PodKey) {
        if let Some(pod) = self.pods.get_mut(key) {
            pod.state = CurrentState::Suspended;
        }
    }

    /// Notes that a command froze the pod.
    pub(crate) fn frozen(&mut self, key: &PodKey) {
        if let Some(pod) = self.pods.get_mut(key) {
            pod.state = CurrentState::Frozen;
        }
    }

    /// Notes that a command thawed the pod. What its containers have come to is listed with the answer; where
    /// it was not, they run.
    pub(crate) fn thawed(&mut self, key: &PodKey) {
        if let Some(pod) = self.pods.get_mut(key).filter(|pod| pod.state == CurrentState::Frozen) {
            pod.state = CurrentState::Running;
        }
    }

    /// Returns the first pod that is frozen, of those for which `fits`.
    pub(crate) fn first_frozen(&self, fits: impl Fn(&PodKey) -> bool) -> Option<&PodKey> {
        let mut frozen = self.iter().filter(|(_, pod)| pod.state == CurrentState::Frozen);
        frozen.find_map(|(key, _)| fits(key).then_some(key))
    }

    /// Notes that the pod may exist, for all that is known: it counts as one until the next listing,
    /// since it must not run beside another of this workload.
    pub(crate) fn may_exist(&mut self, key: &PodKey, workload: &WorkloadName) {
        self.pods.entry(key.clone()).or_insert_with(|| {
            Box::new(ObservedPod {
                id: key.id.clone(),
                workload: workload.clone(),
                state: CurrentState::Unknown,
                started_at: None,
                restarts: 0,
                is_changed: false,
                health: PodHealth::default(),
                containers: Vec::new(),
            })
        });
    }
}

fn is_alive(pod: &ObservedPod, is_started: bool) -> bool {
    match &pod.state {
        CurrentState::Starting
        | CurrentState::Running
        | CurrentState::Frozen
        | CurrentState::Degraded { .. }
        | CurrentState::Crashing { .. } => true,
        CurrentState::Unknown => is_started,
        CurrentState::Exited { .. } | CurrentState::Incomplete { .. } | CurrentState::Suspended => {
            false
        }
    }
}

/// What every executor listed last, pods of workloads that have no job yet among them.
#[derive(Debug, Default)]
pub(crate) struct Listings {
    by_executor: BTreeMap<ExecutorKind, ListedPods>,
    /// When the last command for a workload ended, until a later listing of its executor.
    commands_ended: BTreeMap<ExecutorKind, BTreeMap<WorkloadName, Monotonic>>,
}

/// The pods of one listing, by their workloads.
pub(crate) type ListedPods = BTreeMap<WorkloadName, Vec<ObservedPod>>;

impl Listings {
    /// Notes when a command for `workload` ended.
    pub(crate) fn command_ended(
        &mut self,
        executor: ExecutorKind,
        workload: &WorkloadName,
        at: Monotonic,
    ) {
        self.commands_ended.entry(executor).or_default().insert(workload.clone(), at);
    }

    /// Takes over a listing that was taken at `at`; returns the one before. It says nothing of a
    /// workload whose last command ended later: it may show the pods from before that command, or
    /// in between. For those the pods that were listed before stay, see [`Self::last`].
    pub(crate) fn replace(
        &mut self,
        executor: ExecutorKind,
        at: Monotonic,
        pods: Vec<ObservedPod>,
    ) -> ListedPods {
        let mut listed = ListedPods::new();
        for pod in pods {
            listed.entry(pod.workload.clone()).or_default().push(pod);
        }
        let before = self.by_executor.remove(&executor).unwrap_or_default();
        let later = self.commands_ended.entry(executor).or_default();
        later.retain(|_, ended_at| *ended_at > at);
        for name in later.keys() {
            match before.get(name) {
                Some(pods) => drop(listed.insert(name.clone(), pods.clone())),
                None => drop(listed.remove(name)),
            }
        }
        self.by_executor.insert(executor, listed);
        before
    }

    /// Returns the last listing of `executor`, and the workloads that it came too late for, with when
    /// their commands ended.
    pub(crate) fn last(
        &self,
        executor: ExecutorKind,
    ) -> Option<(&ListedPods, &BTreeMap<WorkloadName, Monotonic>)> {
        self.by_executor.get(&executor).zip(self.commands_ended.get(&executor))
    }

    /// Returns the pods of `workload` on `executor`.
    pub(crate) fn pods(&self, executor: ExecutorKind, workload: &WorkloadName) -> &[ObservedPod] {
        let listed = self.by_executor.get(&executor).and_then(|listed| listed.get(workload));
        listed.map_or(&[], Vec::as_slice)
    }

    /// Returns the workloads that have pods.
    pub(crate) fn workloads(&self) -> BTreeSet<WorkloadName> {
        self.by_executor.values().flat_map(BTreeMap::keys).cloned().collect()
    }
}

/// What is known of one runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// The agent's settings give it none; says which setting would.
    Unconfigured { hint: String },
    /// It has not reported since the agent started.
    Unknown,
    /// It answers.
    Available,
    /// It answers too late to serve well; says how late.
    Slow { message: String },
    /// It does not answer; says why.
    Unavailable { message: String },
}

/// What is known of every runtime.
#[derive(Clone, Debug)]
pub(crate) struct Runtimes(BTreeMap<ExecutorKind, Runtime>);

impl Runtimes {
    /// Returns the state at start: every runtime unknown but for those that have no executor.
    pub(crate) fn new(unconfigured: &BTreeMap<ExecutorKind, String>) -> Self {
        let at_start = |kind: ExecutorKind| {
            let hint = unconfigured.get(&kind).cloned();
            (kind, hint.map_or(Runtime::Unknown, |hint| Runtime::Unconfigured { hint }))
        };
        Self(ExecutorKind::ALL.map(at_start).into())
    }

    /// Notes what an executor reported of its runtime; returns whether that is news.
    pub(crate) fn note(&mut self, kind: ExecutorKind, runtime: Runtime) -> bool {
        self.0.insert(kind, runtime.clone()) != Some(runtime)
    }

    /// Returns what is known of `kind`.
    pub(crate) fn get(&self, kind: ExecutorKind) -> Option<&Runtime> {
        self.0.get(&kind)
    }

    /// Returns whether commands to `kind` make sense.
    pub(crate) fn is_available(&self, kind: ExecutorKind) -> bool {
        matches!(self.get(kind), Some(Runtime::Available | Runtime::Slow { .. }))
    }

    /// Returns whether `kind` was asked and did not answer, or too late to serve well.
    pub(crate) fn is_unresponsive(&self, kind: ExecutorKind) -> bool {
        matches!(self.get(kind), Some(Runtime::Unavailable { .. } | Runtime::Slow { .. }))
    }

    /// Returns whether some podman has not reported yet, so that its pods are unknown.
    pub(crate) fn has_unknown_podman(&self) -> bool {
        let podmans = [ExecutorKind::PodmanRootful, ExecutorKind::PodmanRootless];
        podmans.iter().any(|kind| self.get(*kind) == Some(&Runtime::Unknown))
    }

    /// Returns what is wrong with `kind` though it can be used, in plain words.
    pub(crate) fn slowness(&self, kind: ExecutorKind) -> Option<String> {
        match self.get(kind) {
            Some(Runtime::Slow { message }) => Some(format!("{kind}: {message}")),
            Some(Runtime::Available)
            | Some(Runtime::Unconfigured { .. } | Runtime::Unavailable { .. } | Runtime::Unknown)
            | None => None,
        }
    }

    /// Returns why `kind` cannot be used, in plain words.
    pub(crate) fn obstacle(&self, kind: ExecutorKind) -> Option<String> {
        match self.get(kind) {
            Some(Runtime::Available | Runtime::Slow { .. }) => None,
            Some(Runtime::Unconfigured { hint }) => Some(hint.clone()),
            Some(Runtime::Unavailable { message }) => {
                Some(format!("{kind} is not available: {message}"))
            }
            Some(Runtime::Unknown) | None => Some(format!("{kind} has not answered yet")),
        }
    }
}
