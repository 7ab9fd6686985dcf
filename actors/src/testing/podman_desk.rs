//! A supervised podman executor with every message that it sends in reach of a test.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "a fixture of tests")]

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::clock::Clock;
use crate::messages::{
    Action, ActorHealthChanged, CommandError, CommandFinished, CommandId, EventRecorded, Evidence,
    ExecutorCommand, WorkloadsConfigured, WorkloadsObserved, tell,
};
use crate::podman_executor::{
    DeviceNetwork, PodmanApi, PodmanDeps, PodmanExecutor, boot_id, on_disk,
};
use crate::supervisor::Slot;
use crate::workload::{
    CurrentState, DeviceId, ExecutorKind, Limits, Workload, WorkloadId, WorkloadName,
};

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(90);

/// Passes each message on to a test.
struct Outbox<M>(UnboundedSender<M>);

impl<M: 'static + Unpin> Actor for Outbox<M> {
    type Context = Context<Self>;
}

impl<M: Message<Result = ()> + Unpin + Send + 'static> Handler<M> for Outbox<M> {
    type Result = ();

    fn handle(&mut self, message: M, _: &mut Context<Self>) {
        let _ = self.0.send(message);
    }
}

fn outbox<M>() -> (Recipient<M>, UnboundedReceiver<M>)
where
    M: Message<Result = ()> + Unpin + Send + 'static,
{
    let (sender, receiver) = unbounded_channel();
    (Outbox(sender).start().recipient(), receiver)
}

/// The scheduler's side of one podman executor.
pub struct PodmanDesk {
    /// Takes commands.
    pub executor: Recipient<ExecutorCommand>,
    /// Takes configurations.
    pub configured: Recipient<WorkloadsConfigured>,
    /// Answers to commands.
    pub finished: UnboundedReceiver<CommandFinished>,
    /// What was seen.
    pub observed: UnboundedReceiver<WorkloadsObserved>,
    /// What people should know.
    pub events: UnboundedReceiver<EventRecorded>,
    /// What the supervisor says.
    pub health: UnboundedReceiver<ActorHealthChanged>,
    /// The executor's clock.
    pub clock: Clock,
    commands: Cell<u64>,
    _state: TempDir,
}

impl PodmanDesk {
    /// Starts an executor over `api`.
    #[must_use]
    pub fn start(kind: ExecutorKind, api: Rc<dyn PodmanApi>, volumes_root: PathBuf) -> Self {
        Self::start_with(kind, api, volumes_root, |_| {})
    }

    /// Starts an executor over `api` with other settings than the usual ones.
    #[must_use]
    pub fn start_with(
        kind: ExecutorKind,
        api: Rc<dyn PodmanApi>,
        volumes_root: PathBuf,
        adjust: impl FnOnce(&mut PodmanDeps),
    ) -> Self {
        let state = tempfile::tempdir().expect("a temporary folder");
        let clock = Clock::system();
        let slot = Slot::<PodmanExecutor>::new(kind.as_str(), clock.clone());
        let (command_results, finished) = outbox();
        let (observations, observed) = outbox();
        let (usage, _) = outbox();
        let (events_sender, events) = outbox();
        let (health_sender, health) = outbox();
        let executor = slot.recipient();
        let configured = slot.recipient();
        let mut deps = PodmanDeps {
            kind,
            api,
            network: Rc::new(DeviceNetwork),
            device_id: DeviceId::from("device-1"),
            boot_id: boot_id().expect("Linux shows its boot id"),
            disk: on_disk(&volumes_root, state.path(), kind),
            volumes_root,
            image_prune_after: Some(Duration::from_secs(24 * 60 * 60)),
            log_max_size: "10mb".to_owned(),
            command_results,
            observations,
            usage,
            events: events_sender,
            clock: clock.clone(),
            vitals: slot.vitals(),
        };
        adjust(&mut deps);
        actix::spawn(slot.supervise(PodmanExecutor::new(deps), health_sender));
        let commands = Cell::new(0);
        Self {
            executor,
            configured,
            finished,
            observed,
            events,
            health,
            clock,
            commands,
            _state: state,
        }
    }

    /// Sends a command without waiting for its answer.
    pub fn send(&self, action: Action, within: Duration) -> CommandId {
        self.commands.set(self.commands.get() + 1);
        let id = CommandId(self.commands.get());
        let deadline = self.clock.now().monotonic + within;
        let command = ExecutorCommand { id, deadline, action };
        tell(&self.executor, command);
        id
    }

    /// Tells the executor that these workloads are configured, and no others.
    pub fn configure(&self, workloads: &[&Arc<Workload>]) {
        let workloads = workloads.iter().map(|workload| Arc::clone(workload)).collect();
        tell(&self.configured, WorkloadsConfigured { workloads, ..WorkloadsConfigured::default() });
    }

    /// Returns the reasons of the events so far that were not returned yet.
    pub fn reasons(&mut self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|recorded| recorded.event.reason.as_str())
            .collect()
    }

    /// Sends a command and waits for its answer; earlier observations stay to be read.
    pub async fn run(&mut self, action: Action) -> Result<(), CommandError> {
        let id = self.send(action, PATIENCE);
        loop {
            let finished = tokio::time::timeout(PATIENCE * 2, self.finished.recv()).await;
            let finished = finished.expect("every command is answered").expect("it lives");
            if finished.id == id {
                return finished.result;
            }
        }
    }

    /// Starts the pod of `workload`.
    pub async fn run_start(&mut self, workload: &Arc<Workload>) -> Result<(), CommandError> {
        self.run(start_of(workload)).await
    }

    /// Stops the pod of `workload` with a grace period of 2 s.
    pub async fn run_stop(&mut self, workload: &Workload) -> Result<(), CommandError> {
        self.run(stop_of(workload)).await
    }

    /// Waits until an observation fits.
    pub async fn observe(&mut self, mut fits: impl FnMut(&WorkloadsObserved) -> bool) {
        let seen = tokio::time::timeout(PATIENCE, async {
            while let Some(observed) = self.observed.recv().await {
                if fits(&observed) {
                    return true;
                }
            }
            false
        });
        assert!(seen.await.unwrap_or(false), "what was expected was not seen");
    }

    /// Waits until the pod of `id` is seen in a state that fits.
    pub async fn observe_state(
        &mut self,
        id: &WorkloadId,
        mut fits: impl FnMut(&CurrentState) -> bool,
    ) {
        let fits = |seen: &WorkloadsObserved| state_in(seen, id).is_some_and(&mut fits);
        self.observe(fits).await;
    }
}

/// Returns the state of the pod `id` in an observation.
#[must_use]
pub fn state_in<'a>(seen: &'a WorkloadsObserved, id: &WorkloadId) -> Option<&'a CurrentState> {
    let pods = seen.pods.as_ref().ok()?;
    pods.iter().find(|pod| pod.id == *id).map(|pod| &pod.state)
}

/// Returns a command to start `workload` without limits.
#[must_use]
pub fn start_of(workload: &Arc<Workload>) -> Action {
    Action::Start { workload: Arc::clone(workload), limits: Limits::default() }
}

/// Returns a command to stop `workload` with a grace period of 2 s.
#[must_use]
pub fn stop_of(workload: &Workload) -> Action {
    Action::Stop {
        id: workload.id.clone(),
        workload: workload.name.clone(),
        grace: Duration::from_secs(2),
        evidence: Evidence::default(),
    }
}

/// Returns a workload called `name` whose pod specification is `pod`.
#[must_use]
pub fn workload(name: &str, pod: Value) -> Workload {
    let pod: PodSpec = serde_json::from_value(pod).expect("a pod specification");
    Workload {
        id: WorkloadId::from(format!("{name}-0123456789ab")),
        name: WorkloadName::from(name),
        namespace: "default".to_owned(),
        executor: ExecutorKind::PodmanRootful,
        pod,
        labels: Default::default(),
        annotations: Default::default(),
        config_maps: Vec::new(),
        secrets: Vec::new(),
        registries: Default::default(),
        profiles: Vec::new(),
        cron: None,
        retry: None,
        restart_policy: Default::default(),
        after: Vec::new(),
        proving: crate::workload::DEFAULT_PROVING,
        turn: crate::workload::Turn::default(),
        gate: crate::workload::UpdateGate::default(),
    }
}
