//! One life of the agent: all actors under their real supervisors, and how it is killed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use actix::prelude::{Actor, Context, Handler, Recipient};
use actors::clock::{Clock, Monotonic};
use actors::control_plane_sync::{ControlPlaneSync, IdentityFiles, Source};
use actors::k8s_executor::{K8sDeps, K8sExecutor};
use actors::messages::{
    Action, ActorHealthChanged, CommandFinished, CommandId, EventRecorded, ExecutorCommand,
    GetProfiles, MetricsReceived, WorkloadsObserved, tell,
};
use actors::podman_executor::{PodmanDeps, PodmanExecutor, Turns};
use actors::profile_evaluator::{EvaluatorDeps, ProfileEvaluator, SharedMetrics};
use actors::scheduler::{Scheduler, SchedulerDeps, SchedulerSettings};
use actors::supervisor::Slot;
use actors::workload::{DeviceId, ExecutorKind, RetryPolicy};
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::control_plane::{ControlPlane, Disk, Store};
use crate::disk::{Files, LocalDisk};
use crate::faults::Mortality;
use crate::podman::Podman;
use crate::world::World;

/// A job gives a command up so long after its deadline.
const GIVE_UP: Duration = Duration::from_secs(5);

/// What every life of the agent runs against.
pub(crate) struct Site {
    pub(crate) world: Rc<World>,
    pub(crate) podmans: BTreeMap<ExecutorKind, Podman>,
    pub(crate) files: BTreeMap<ExecutorKind, Rc<RefCell<Files>>>,
    pub(crate) cluster: Option<Cluster>,
    pub(crate) control_plane: ControlPlane,
    pub(crate) disk: Rc<RefCell<Disk>>,
    pub(crate) identity: IdentityFiles,
    pub(crate) folder: PathBuf,
    pub(crate) device: DeviceId,
}

/// A life of the agent.
pub(crate) struct Agent {
    actors: JoinSet<()>,
    pub(crate) metrics: Recipient<MetricsReceived>,
    pub(crate) profiles: Recipient<GetProfiles>,
}

impl Agent {
    /// Starts it, as the wiring of the binary does.
    pub(crate) fn start(site: &Site) -> Self {
        let world = &site.world;
        let clock = Clock::simulated(world.clock.now().wall);
        *world.agent_clock.borrow_mut() = Some(clock.clone());
        world.note(|| "agent starts".to_owned());
        let now = world.now();
        world.model.borrow_mut().begins(now);

        let control_plane = Slot::<ControlPlaneSync>::new("control_plane_sync", clock.clone());
        let evaluator = Slot::<ProfileEvaluator>::new("profile_evaluator", clock.clone());
        let scheduler = Slot::<Scheduler>::new("scheduler", clock.clone());
        let health = control_plane.recipient::<ActorHealthChanged>();
        let events: Recipient<EventRecorded> = control_plane.recipient();
        let mut actors = JoinSet::new();
        let mut executors = BTreeMap::new();
        let mut configured = vec![scheduler.recipient()];

        for (kind, files) in &site.files {
            let Some(podman) = site.podmans.get(kind) else { continue };
            let slot = Slot::<PodmanExecutor>::new(kind.as_str(), clock.clone());
            let (commands, answers) = tap(*kind, world, slot.recipient(), scheduler.recipient());
            executors.insert(*kind, commands);
            configured.push(slot.recipient());
            let executor = PodmanExecutor::new(PodmanDeps {
                kind: *kind,
                api: Rc::new(podman.clone()),
                device_id: site.device.clone(),
                boot_id: format!("boot-{}", world.boot.get()),
                volumes_root: site.folder.join("volumes").join(kind.as_str()),
                disk: Rc::new(LocalDisk {
                    world: Rc::clone(world),
                    name: kind.as_str(),
                    turns: Turns::default(),
                    files: Rc::clone(files),
                }),
                image_prune_after: None,
                log_max_size: "10mb".to_owned(),
                scheduler_commands: answers,
                observations: scheduler.recipient::<WorkloadsObserved>(),
                events: events.clone(),
                clock: clock.clone(),
                vitals: slot.vitals(),
            });
            let life = slot.supervise(executor, health.clone());
            actors.spawn_local(mortal(Rc::clone(world), kind.as_str(), life));
        }
        if let Some(cluster) = &site.cluster {
            let slot = Slot::<K8sExecutor>::new("k8s", clock.clone());
            let kind = ExecutorKind::K8s;
            let (commands, answers) = tap(kind, world, slot.recipient(), scheduler.recipient());
            executors.insert(kind, commands);
            let executor = K8sExecutor::new(K8sDeps {
                device_id: site.device.clone(),
                scheduler_commands: answers,
                observations: scheduler.recipient(),
                events: events.clone(),
                clock: clock.clone(),
                vitals: slot.vitals(),
                connect: cluster.connect(),
            });
            let life = slot.supervise(executor, health.clone());
            actors.spawn_local(mortal(Rc::clone(world), "k8s", life));
        }
        let absent = ExecutorKind::ALL.into_iter().filter(|kind| !executors.contains_key(kind));
        let unconfigured = absent.map(|kind| (kind, "not here".to_owned())).collect();

        let profiles = ProfileEvaluator::new(EvaluatorDeps {
            scheduler: scheduler.recipient(),
            events: events.clone(),
            clock: clock.clone(),
            metrics: SharedMetrics::default(),
            default_ttl: None,
        });
        let api = Rc::new(site.control_plane.clone());
        let source = if site.control_plane.is_folder {
            Source::Folder(api)
        } else {
            Source::Server { api, identity: site.identity.clone() }
        };
        let store = Store { world: Rc::clone(world), disk: Rc::clone(&site.disk) };
        let sync = ControlPlaneSync::new(
            source,
            Box::new(store),
            configured,
            evaluator.recipient(),
            clock.clone(),
            control_plane.vitals(),
        );
        let jobs = Scheduler::new(SchedulerDeps {
            executors,
            reports: control_plane.recipient(),
            events,
            clock,
            settings: SchedulerSettings {
                retry: RetryPolicy::Constant { period: Duration::from_secs(20) },
                start_budget: 4,
                unconfigured,
            },
        });
        let this = Self {
            actors: JoinSet::new(),
            metrics: evaluator.recipient(),
            profiles: evaluator.recipient(),
        };
        let mut bear = |name, life: LocalBoxFuture<'static, ()>| {
            actors.spawn_local(mortal(Rc::clone(world), name, life));
        };
        bear("evaluator", evaluator.supervise(profiles, health.clone()).boxed_local());
        bear("scheduler", scheduler.supervise(jobs, health.clone()).boxed_local());
        bear("sync", control_plane.supervise(sync, health).boxed_local());
        Self { actors, ..this }
    }

    /// Ends it as kill -9 does: wherever each of its futures is.
    pub(crate) async fn kill(mut self, world: &World) {
        world.note(|| "agent is killed".to_owned());
        self.actors.shutdown().await;
        *world.agent_clock.borrow_mut() = None;
    }
}

/// Runs an actor, until the agent is killed between two of its steps.
async fn mortal(world: Rc<World>, name: &'static str, actor: impl Future<Output = ()>) {
    let mut actor = pin!(actor);
    let mut mortality = Mortality::of(name);
    poll_fn(|context| {
        if mortality.strikes(&world.chooser, world.now().since_start()) {
            world.note(|| format!("{name} is about to go on"));
            world.kill.notify_one();
            return Poll::Pending;
        }
        actor.as_mut().poll(context)
    })
    .await;
}

/// Sits between the scheduler and one executor, and watches.
struct Tap {
    kind: ExecutorKind,
    world: Rc<World>,
    executor: Recipient<ExecutorCommand>,
    scheduler: Recipient<CommandFinished>,
    in_flight: BTreeMap<String, (CommandId, Monotonic)>,
}

fn tap(
    kind: ExecutorKind,
    world: &Rc<World>,
    executor: Recipient<ExecutorCommand>,
    scheduler: Recipient<CommandFinished>,
) -> (Recipient<ExecutorCommand>, Recipient<CommandFinished>) {
    let world = Rc::clone(world);
    let tap = Tap { kind, world, executor, scheduler, in_flight: BTreeMap::new() }.start();
    (tap.clone().recipient(), tap.recipient())
}

impl Actor for Tap {
    type Context = Context<Self>;
}

impl Handler<ExecutorCommand> for Tap {
    type Result = ();

    fn handle(&mut self, command: ExecutorCommand, _: &mut Context<Self>) {
        let (kind, name) = (self.kind, command.action.workload_name().to_string());
        let what = command.action.as_str();
        self.world.note(|| format!("{kind} commanded to {what} {}", command.action.workload_id()));
        let changes_pods = match command.action {
            // A pull may be given up while it is under way.
            Action::Pull { .. } => false,
            Action::Start { .. }
            | Action::Limit { .. }
            | Action::Stop { .. }
            | Action::Suspend { .. } => true,
        };
        let now = self.world.agent_clock.borrow().as_ref().map(|clock| clock.now().monotonic);
        if let (true, Some(now)) = (changes_pods, now) {
            let until = command.deadline + GIVE_UP;
            let other = self.in_flight.insert(name.clone(), (command.id, until));
            if other.is_some_and(|(_, until)| until > now) {
                self.world.violated(format!("{kind} has two commands for {name} in flight"));
            }
        }
        tell(&self.executor, command);
    }
}

impl Handler<CommandFinished> for Tap {
    type Result = ();

    fn handle(&mut self, finished: CommandFinished, _: &mut Context<Self>) {
        let name = finished.workload.to_string();
        self.world.note(|| format!("{} answered for {name}: {:?}", self.kind, finished.result));
        if self.in_flight.get(&name).is_some_and(|(id, _)| *id == finished.id) {
            self.in_flight.remove(&name);
        }
        tell(&self.scheduler, finished);
    }
}
