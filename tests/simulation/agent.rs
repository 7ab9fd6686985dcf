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
use actors::control_plane_sync::{IdentityFiles, Source};
use actors::messages::{Action, CommandFinished, CommandId, Effect, ExecutorCommand, tell};
use actors::metrics_ingest::PassedSockets;
use actors::podman_executor::Turns;
use actors::scheduler::{CronClock, SchedulerSettings};
use actors::workload::{DeviceId, ExecutorKind, RestartPolicy, RetryPolicy};
use device_worker_ng::system::{self, Agent, Hooks, Outside, Settings};
use futures_util::future::{FutureExt as _, LocalBoxFuture};

use crate::cluster::Cluster;
use crate::control_plane::{ControlPlane, Disk, Store};
use crate::disk::{Files, LocalDisk};
use crate::faults::Mortality;
use crate::podman::Podman;
use crate::witness::{GRACE, Witness};
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

/// Starts a life of the agent.
pub(crate) fn start(site: &Site) -> Agent {
    let world = &site.world;
    let clock = Clock::simulated(world.clock.now().wall);
    *world.agent_clock.borrow_mut() = Some(clock.clone());
    world.note(|| "agent starts".to_owned());
    world.life.set(world.life.get() + 1);
    world.may_follow_clock.set(false);
    let now = world.now();
    world.model.borrow_mut().begins(now);
    Agent::start(site.outside(clock), &Life(Rc::clone(world)))
}

/// Ends it as kill -9 does: wherever each of its futures is.
pub(crate) async fn kill(agent: Agent, world: &World) {
    world.note(|| "agent is killed".to_owned());
    agent.kill().await;
    *world.agent_clock.borrow_mut() = None;
}

impl Site {
    fn outside(&self, clock: Clock) -> Outside {
        let kinds = self.files.iter();
        let podmans = kinds.filter_map(|(kind, files)| {
            let disk = LocalDisk {
                world: Rc::clone(&self.world),
                name: kind.as_str(),
                turns: Turns::default(),
                files: Rc::clone(files),
            };
            let podman = system::Podman {
                api: Rc::new(self.podmans.get(kind)?.clone()),
                network: Rc::new(self.podmans.get(kind)?.clone()),
                volumes_root: self.folder.join("volumes").join(kind.as_str()),
                disk: Rc::new(disk),
            };
            Some((*kind, podman))
        });
        let podmans: BTreeMap<_, _> = podmans.collect();
        let has_cluster = self.cluster.is_some();
        let is_unconfigured = |kind: &ExecutorKind| match kind {
            ExecutorKind::PodmanRootful | ExecutorKind::PodmanRootless => {
                !podmans.contains_key(kind)
            }
            ExecutorKind::K8s => !has_cluster,
        };
        let missing = ExecutorKind::ALL.into_iter().filter(is_unconfigured);
        let unconfigured = missing.map(|kind| (kind, "not here".to_owned())).collect();
        let api = Rc::new(self.control_plane.clone());
        let source = if self.control_plane.is_folder {
            Source::Folder(api)
        } else {
            Source::Server { api, identity: self.identity.clone() }
        };
        let store = Store { world: Rc::clone(&self.world), disk: Rc::clone(&self.disk) };
        Outside {
            device_id: self.device.clone(),
            source,
            place: String::new(),
            store: Box::new(store),
            podmans,
            cluster: self.cluster.as_ref().map(Cluster::connect),
            // Virtual time and a real network do not go together.
            listen: Vec::new(),
            passed: PassedSockets::default(),
            clock,
            clock_witness: Rc::new(Witness(Rc::clone(&self.world))),
            boot_id: format!("boot-{}", self.world.boot.get()),
            settings: Settings {
                image_prune_after: None,
                log_max_size: "10mb".to_owned(),
                metrics_hosts: Vec::new(),
                metric_ttl: None,
                objectives: Vec::new(),
                scheduler: SchedulerSettings {
                    retry: RetryPolicy::Constant { period: Duration::from_secs(20) },
                    start_budget: 4,
                    settling: Duration::from_secs(10),
                    cron_clock: CronClock::Plausible { grace: GRACE },
                    unconfigured,
                },
            },
        }
    }
}

/// Watches commands, and lets any actor be the one at whose step the agent is killed.
struct Life(Rc<World>);

impl Hooks for Life {
    fn executor(
        &self,
        kind: ExecutorKind,
        commands: Recipient<ExecutorCommand>,
        results: Recipient<CommandFinished>,
    ) -> (Recipient<ExecutorCommand>, Recipient<CommandFinished>) {
        tap(kind, &self.0, commands, results)
    }

    fn actor(
        &self,
        name: &'static str,
        supervised: LocalBoxFuture<'static, ()>,
    ) -> LocalBoxFuture<'static, ()> {
        mortal(Rc::clone(&self.0), name, supervised).boxed_local()
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

impl Tap {
    /// Cron starts nothing before this life of the agent knows that it may follow the clock. A run of
    /// a former life may be tried again.
    fn check_clock(&self, action: &Action) {
        if let Action::Start { workload, .. } = action
            && self.kind != ExecutorKind::K8s
            && workload.cron.is_some()
            && workload.restart_policy != RestartPolicy::OnFailure
            && !self.world.may_follow_clock.get()
        {
            self.world.violated(format!("cron starts {} by a clock in doubt", workload.name));
        }
    }
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
        self.check_clock(&command.action);
        // A pull may be given up while it is under way.
        let changes_pods = command.action.kind().effect() != Effect::ImagesPresent;
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
