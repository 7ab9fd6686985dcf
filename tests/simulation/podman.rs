//! podman as a state machine that outlives the agent, and goes on when its caller is gone.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use actors::clock::Monotonic;
use actors::podman_executor::{
    Answer, ContainerDetail, ContainerRow, DetailNetwork, DetailState, EventStream, ExecRequest,
    ExecResult, Healthcheck, HostInfo, Level, PlayReport, PlayRequest, PlayedPod, PodRow,
    PodmanApi, PodmanError, PodmanEvent, ProbeNetwork, ProbeRequest, PullRequest, Resource,
    UpdateBody,
};
use actors::workload::{ExecutorKind, WorkloadId};
use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, ready};
use futures_util::stream::{StreamExt as _, unfold};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::board::{Board, cost_of};
use crate::faults::Fate;
use crate::model::check_freeze;
use crate::workloads::{Behaviour, HOOK};
use crate::world::World;

/// A client hears a call out for so long; how long the agent waits is its own affair.
/// Microseconds of CPU time in 100 ms of a pod that is throttled.
const THROTTLED: i64 = 10_000;
const LIST: Duration = Duration::from_secs(300);
/// The names of labels that the agent gives its pods.
const ID: &str = "device-worker-ng/id";
const WORKLOAD: &str = "device-worker-ng/workload";

#[derive(Default)]
struct State {
    containers: Vec<ContainerRow>,
    pods: BTreeMap<String, PodRow>,
    /// Pods that were made when no call waited for them any more.
    ghosts: BTreeSet<String>,
    images: BTreeSet<String>,
    /// When each container was started.
    began: BTreeMap<String, Monotonic>,
    streams: Vec<UnboundedSender<PodmanEvent>>,
    next: i64,
}

/// One podman service. Clones share it.
#[derive(Clone)]
pub(crate) struct Podman {
    kind: ExecutorKind,
    world: Rc<World>,
    state: Rc<RefCell<State>>,
    pub(crate) board: Board,
}

/// A pod as the world sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) id: WorkloadId,
    pub(crate) workload: String,
    pub(crate) running: bool,
    pub(crate) whole: bool,
    pub(crate) codes: Vec<i32>,
    pub(crate) ghost: bool,
}

impl Podman {
    pub(crate) fn new(kind: ExecutorKind, world: &Rc<World>) -> Self {
        let board = Board::of(world, kind);
        Self { kind, world: Rc::clone(world), state: Rc::default(), board }
    }

    /// Returns how many pods work: they run, and are neither frozen nor throttled.
    pub(crate) fn working(&self) -> usize {
        let state = self.state.borrow();
        let works = |row: &&ContainerRow| row.state == "running";
        let pods = state.containers.iter().filter(works).map(|row| &row.pod_name);
        let throttled = self.world.throttled.borrow();
        let pods: BTreeSet<_> = pods.filter(|name| !throttled.contains(name.as_str())).collect();
        pods.len()
    }

    /// Returns every pod.
    pub(crate) fn pods(&self) -> Vec<Truth> {
        let state = self.state.borrow();
        let truth = |(name, pod): (&String, &PodRow)| {
            let rows = || state.containers.iter().filter(|row| row.pod_name == *name);
            Truth {
                id: name.as_str().into(),
                workload: pod.labels.get(WORKLOAD).cloned().unwrap_or_default(),
                running: rows().any(|row| row.state == "running"),
                whole: rows().count() > 0
                    && rows()
                        .all(|row| row.state == "running" && self.fate_of(row) == ProbeFate::Well),
                codes: rows().filter(|row| row.state == "exited").map(|r| r.exit_code).collect(),
                ghost: state.ghosts.contains(name),
            }
        };
        state.pods.iter().map(truth).collect()
    }

    /// Freezes a pod as an administrator does.
    pub(crate) fn pause_by_hand(&self, id: &WorkloadId) {
        let rows: Vec<_> = {
            let state = self.state.borrow();
            let rows = state.containers.iter().filter(|row| row.pod_name == id.as_str());
            rows.map(|row| row.id.clone()).collect()
        };
        rows.iter().for_each(|row| self.set_state(row, "running", "paused"));
        self.world.note(|| format!("{} pod {id} is paused by hand", self.kind));
    }

    /// Ends one container of a pod, or all.
    pub(crate) fn crash(&self, id: &WorkloadId, code: i32, all: bool) {
        let ids: Vec<_> = {
            let state = self.state.borrow();
            let rows = state.containers.iter().filter(|row| row.pod_name == id.as_str());
            rows.map(|row| row.id.clone()).take(if all { 9 } else { 1 }).collect()
        };
        ids.iter().for_each(|container| self.end(container, code));
    }

    /// Removes a pod outside the agent.
    pub(crate) fn remove(&self, id: &WorkloadId) {
        remove(&mut self.state.borrow_mut(), id.as_str());
        self.tell(id.as_str(), "remove");
    }

    /// Ends every stream, as a restart of the service does.
    pub(crate) fn hang_up(&self) {
        self.state.borrow_mut().streams.clear();
    }

    /// The device was switched off and on.
    pub(crate) fn reboot(&self) {
        let mut state = self.state.borrow_mut();
        state.streams.clear();
        for row in state.containers.iter_mut().filter(|row| row.state == "running") {
            row.state = "exited".to_owned();
            row.pid = 0;
        }
    }

    /// Returns the pod of a container, or with that name.
    fn truth(&self, name: &str) -> Option<Truth> {
        let state = self.state.borrow();
        let row = state.containers.iter().find(|row| row.id == name);
        let pod = row.map_or(name, |row| &row.pod_name).to_owned();
        drop(state);
        self.pods().into_iter().find(|truth| truth.id.as_str() == pod)
    }

    /// Looks whether a pod that is stopped at the agent's wish had better run on.
    fn check_stop(&self, name: &str, is_late: bool) {
        if let Some(pod) = self.truth(name).filter(|_| !is_late) {
            crate::model::check_stop(&self.world, self.kind, &pod);
            if pod.running {
                self.world.stopped.borrow_mut().insert(pod.id);
            }
        }
    }

    fn end(&self, container: &str, code: i32) {
        let now = self.world.clock.now().wall.timestamp();
        let pod = {
            let mut state = self.state.borrow_mut();
            let mut rows = state.containers.iter_mut();
            let row = rows.find(|row| row.id == container && row.state == "running");
            let Some(row) = row else { return };
            row.state = "exited".to_owned();
            row.exit_code = code;
            row.exited_at = now;
            row.pid = 0;
            let name = row.pod_name.clone();
            self.world.note(|| format!("{} container of {name} ended with {code}", self.kind));
            name
        };
        self.tell(&pod, "died");
    }

    fn pod_of(&self, container: &str) -> Option<String> {
        let state = self.state.borrow();
        let row = state.containers.iter().find(|row| row.id == container);
        row.map(|row| row.pod_name.clone())
    }

    fn is_paused(&self, container: &str) -> bool {
        let state = self.state.borrow();
        state.containers.iter().any(|row| row.id == container && row.state == "paused")
    }

    fn set_state(&self, container: &str, from: &str, to: &str) {
        let mut state = self.state.borrow_mut();
        let mut rows = state.containers.iter_mut();
        if let Some(row) = rows.find(|row| row.id == container && row.state == from) {
            row.state = to.to_owned();
        }
    }

    fn tell(&self, pod: &str, action: &str) {
        let time = self.world.clock.now().wall.timestamp();
        let copies = self.world.chooser.copies_of_event(&format!("{}/{action}", self.kind));
        let event = PodmanEvent::of(&format!("{pod}-main"), action, time);
        for _ in 0..copies {
            let streams = &mut self.state.borrow_mut().streams;
            streams.retain(|stream| stream.send(event.clone()).is_ok());
        }
    }

    /// Makes a call meet its fate. `work` learns whether its caller waits no longer.
    fn call<T: 'static>(
        &self,
        method: &'static str,
        argument: &str,
        limit: Duration,
        work: impl FnOnce(&Self, bool) -> Result<T, PodmanError> + 'static,
    ) -> Answer<'static, T> {
        let (this, key) = (self.clone(), format!("{} {method} {argument}", self.kind));
        Box::pin(async move {
            let world = Rc::clone(&this.world);
            // Probes go on while all is quiet.
            if method != "exec" {
                world.called(&format!("{} {method}", this.kind));
            }
            let mut rng = world.chooser.rng(&key);
            let fate = world.chooser.fate(&mut rng);
            let before = world.chooser.delay(&mut rng, limit);
            let after = world.chooser.delay(&mut rng, limit);
            world.note(|| format!("{key} {fate:?}"));
            if world.is_down(this.kind) {
                sleep(Duration::from_millis(1)).await;
                let source = "connection refused".into();
                return Err(PodmanError::Connect { socket: "/sim/podman.sock".into(), source });
            }
            let board = this.board.clone();
            let begin = move |wait: Duration, is_late: bool| {
                let (sender, receiver) = oneshot::channel();
                // What the agent no longer knows of is not its fault.
                // Two probes of one container are two questions.
                let asked = (!is_late && method != "exec").then(|| board.asked(method, &key));
                spawn_local(async move {
                    sleep(wait).await;
                    board.work(cost_of(method)).await;
                    drop(asked);
                    let ghost = is_late || sender.is_closed();
                    let _ = sender.send(work(&this, ghost));
                });
                receiver
            };
            let cut = || PodmanError::Cut { call: method, source: "end of file".into() };
            match fate {
                Fate::Fine | Fate::Lost | Fate::KillAfter => {
                    let done = timeout(limit, begin(before, false));
                    let Ok(done) = done.await else {
                        return Err(PodmanError::Timeout { call: method, after: limit });
                    };
                    sleep(after).await;
                    match fate {
                        Fate::Fine => done.unwrap_or_else(|_| Err(cut())),
                        Fate::KillAfter => {
                            world.kill.notify_one();
                            std::future::pending().await
                        }
                        Fate::Refused
                        | Fate::Silent
                        | Fate::Lost
                        | Fate::Late
                        | Fate::Panic
                        | Fate::KillBefore => Err(cut()),
                    }
                }
                Fate::Late => {
                    let late = limit.min(Duration::from_secs(30));
                    drop(begin(limit + late.mul_f64(rng.f64()), true));
                    world.hang(limit).await;
                    Err(PodmanError::Timeout { call: method, after: limit })
                }
                Fate::Silent => {
                    world.hang(limit).await;
                    Err(PodmanError::Timeout { call: method, after: limit })
                }
                Fate::Refused => {
                    sleep(before).await;
                    Err(refused(method, "the simulation refuses"))
                }
                Fate::Panic => {
                    sleep(before).await;
                    panic!("ordered by the simulation")
                }
                Fate::KillBefore => {
                    drop(begin(before * 2, true));
                    sleep(before).await;
                    world.kill.notify_one();
                    std::future::pending().await
                }
            }
        })
    }

    /// Returns what a probe of the container meets that is `meant`.
    fn health(&self, meant: impl Fn(&ContainerRow) -> bool) -> ProbeFate {
        let state = self.state.borrow();
        let Some(row) = state.containers.iter().find(|row| row.state == "running" && meant(row))
        else {
            return ProbeFate::Sick;
        };
        self.fate_of(row)
    }

    /// Returns what a probe of a container that runs meets.
    fn fate_of(&self, row: &ContainerRow) -> ProbeFate {
        let id = row.labels.get(ID).map_or(row.pod_name.as_str(), String::as_str);
        let behaviour = self.world.behaviours.borrow().get(&WorkloadId::from(id)).copied();
        let began = self.state.borrow().began.get(&row.id).copied().unwrap_or_default();
        let lived = self.world.now().saturating_since(began);
        match behaviour {
            Some(Behaviour::FallsIll { after, hangs }) if lived >= after => {
                if hangs {
                    ProbeFate::Hangs
                } else {
                    ProbeFate::Sick
                }
            }
            _ => ProbeFate::Well,
        }
    }

    /// Answers a probe over the network, which knows no faults but those of the containers.
    async fn probe(&self, address: SocketAddr) -> io::Result<u16> {
        sleep(Duration::from_millis(1)).await;
        match self.health(|row| address.ip() == IpAddr::V4(address_of(row))) {
            ProbeFate::Well => Ok(200),
            ProbeFate::Sick => Ok(503),
            ProbeFate::Hangs => std::future::pending().await,
        }
    }

    fn make(&self, manifest: &[u8], ghost: bool) -> Result<PlayReport, PodmanError> {
        let pod: Pod = serde_json::from_slice(manifest).expect("the agent writes a pod");
        let name = pod.metadata.name.unwrap_or_default();
        let labels = pod.metadata.labels.unwrap_or_default();
        if self.state.borrow().pods.contains_key(&name) {
            return Err(refused("play", "pod already exists"));
        }
        let mut rng = self.world.chooser.rng(&format!("{} make {name}", self.kind));
        let half = !self.world.chooser.is_quiet() && rng.u8(0..40) == 0;
        let id = WorkloadId::from(labels.get(ID).map_or(name.as_str(), String::as_str));
        let status = "Running".to_owned();
        let row = PodRow { name: name.clone(), status, labels: labels.clone() };
        {
            let mut state = self.state.borrow_mut();
            state.pods.insert(name.clone(), row);
            if ghost {
                state.ghosts.insert(name.clone());
            }
        }
        if half && rng.bool() {
            return Err(refused("play", "no space left on device"));
        }
        let behaviour = self.world.behaviours.borrow().get(&id).copied();
        for container in pod.spec.unwrap_or_default().containers {
            let mut state = self.state.borrow_mut();
            state.next += 1;
            let number = state.next;
            let row = ContainerRow {
                id: format!("{}-{number}", self.kind),
                names: vec![format!("{name}-{}", container.name)],
                state: if half { "created" } else { "running" }.to_owned(),
                started_at: self.world.clock.now().wall.timestamp(),
                pid: if half { 0 } else { number },
                pod_name: name.clone(),
                labels: labels.clone(),
                ..ContainerRow::default()
            };
            let container = row.id.clone();
            state.began.insert(container.clone(), self.world.now());
            state.containers.push(row);
            if let (Some(Behaviour::Ends { after, code }), false) = (behaviour, half) {
                let this = self.clone();
                spawn_local(async move {
                    sleep(after).await;
                    // What is frozen comes to its end later.
                    while this.is_paused(&container) {
                        sleep(Duration::from_secs(1)).await;
                    }
                    this.end(&container, code);
                });
            }
        }
        self.tell(&name, "start");
        if half {
            let container_errors = vec!["address already in use".to_owned()];
            return Ok(PlayReport { pods: vec![PlayedPod { container_errors }] });
        }
        self.world.note(|| {
            format!("{} pod {name} runs{}", self.kind, if ghost { " as a ghost" } else { "" })
        });
        self.world.started(&id, ghost);
        if !ghost {
            crate::model::check_start(&self.world, self.kind, &id);
            crate::model::check_share(&self.world, &id);
        }
        let workload = labels.get(WORKLOAD).map_or("", String::as_str);
        self.world.model.borrow_mut().started(workload, &id);
        Ok(PlayReport::default())
    }
}

/// What a probe meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeFate {
    Well,
    Sick,
    Hangs,
}

/// Returns the address of a container's pod: it follows from the container's number.
fn address_of(row: &ContainerRow) -> Ipv4Addr {
    let number = row.id.rsplit('-').next().and_then(|number| number.parse::<u32>().ok());
    Ipv4Addr::from(0x0a00_0000 | number.unwrap_or_default())
}

fn remove(state: &mut State, name: &str) {
    state.containers.retain(|row| row.pod_name != name);
    state.pods.remove(name);
    state.ghosts.remove(name);
}

fn refused(call: &'static str, cause: &str) -> PodmanError {
    PodmanError::Refused { call, status: 500, cause: cause.to_owned(), message: cause.to_owned() }
}

fn events_of(receiver: UnboundedReceiver<PodmanEvent>) -> EventStream {
    let next = |mut receiver: UnboundedReceiver<PodmanEvent>| async move {
        let event = receiver.recv().await?;
        Some((Ok(event), receiver))
    };
    unfold(receiver, next).boxed_local()
}

impl PodmanApi for Podman {
    fn host(&self) -> Answer<'_, HostInfo> {
        self.call("host", "", LIST, |_, _| Ok(HostInfo::default()))
    }

    fn events(&self, _: Option<i64>) -> Answer<'_, EventStream> {
        self.call("events", "", LIST, |this, _| {
            let (sender, receiver) = unbounded_channel();
            this.state.borrow_mut().streams.push(sender);
            Ok(events_of(receiver))
        })
    }

    fn containers(&self) -> Answer<'_, Vec<ContainerRow>> {
        self.call("containers", "", LIST, |this, _| Ok(this.state.borrow().containers.clone()))
    }

    fn containers_of<'a>(&'a self, pod: &'a str) -> Answer<'a, Vec<ContainerRow>> {
        let name = pod.to_owned();
        self.call("containers_of", pod, LIST, move |this, _| {
            let mut rows = this.state.borrow().containers.clone();
            rows.retain(|row| row.pod_name == name);
            Ok(rows)
        })
    }

    fn pods(&self) -> Answer<'_, Vec<PodRow>> {
        self.call("pods", "", LIST, |this, _| {
            Ok(this.state.borrow().pods.values().cloned().collect())
        })
    }

    fn pod<'a>(&'a self, name: &'a str) -> Answer<'a, Option<PodRow>> {
        let wanted = name.to_owned();
        self.call("pod", name, LIST, move |this, _| {
            let state = this.state.borrow();
            let live = |row: &ContainerRow| row.pod_name == wanted && row.state == "running";
            let status = if state.containers.iter().any(live) { "Running" } else { "Exited" };
            let found = state.pods.get(&wanted).cloned();
            Ok(found.map(|pod| PodRow { status: status.to_owned(), ..pod }))
        })
    }

    fn inspect<'a>(&'a self, container: &'a str) -> Answer<'a, ContainerDetail> {
        let id = container.to_owned();
        self.call("inspect", container, LIST, move |this, _| {
            let state = this.state.borrow();
            let row = state.containers.iter().find(|row| row.id == id);
            let row = row.ok_or_else(|| refused("inspect", "no such container"))?;
            let state = DetailState { exit_code: row.exit_code, ..DetailState::default() };
            let network_settings = DetailNetwork { ip_address: address_of(row).to_string() };
            Ok(ContainerDetail { state, network_settings, ..ContainerDetail::default() })
        })
    }

    fn exec(&self, request: ExecRequest) -> Answer<'_, ExecResult> {
        let id = request.container.clone();
        let is_hook = request.command.iter().any(|word| word == HOOK);
        let answer = self.call("exec", &request.container, LIST, move |this, _| {
            Ok(match this.health(|row| row.id == id) {
                ProbeFate::Well => ExecResult::Ended { exit_code: 0, output: String::new() },
                ProbeFate::Sick => ExecResult::Ended { exit_code: 1, output: "sick".to_owned() },
                ProbeFate::Hangs => ExecResult::TimedOut,
            })
        });
        Box::pin(async move {
            let result = answer.await?;
            if is_hook && result == ExecResult::TimedOut {
                sleep(request.limit).await;
            }
            Ok(result)
        })
    }

    fn healthcheck<'a>(&'a self, image: &'a str) -> Answer<'a, Option<Healthcheck>> {
        self.call("healthcheck", image, LIST, |_, _| Ok(None))
    }

    fn play(&self, request: PlayRequest) -> Answer<'_, PlayReport> {
        let pod: Pod = serde_json::from_slice(&request.manifest).expect("the agent writes a pod");
        let name = pod.metadata.name.unwrap_or_default();
        self.call("play", &name, request.timeout, move |this, ghost| {
            this.make(&request.manifest, ghost)
        })
    }

    fn stop_container<'a>(&'a self, container: &'a str, grace: Duration) -> Answer<'a, ()> {
        let id = container.to_owned();
        self.call("stop_container", container, grace + LIST, move |this, is_late| {
            this.check_stop(&id, is_late);
            if this.is_paused(&id) {
                return Err(refused("stop_container", "container state improper"));
            }
            this.end(&id, 143);
            Ok(())
        })
    }

    fn pause<'a>(&'a self, container: &'a str) -> Answer<'a, ()> {
        let id = container.to_owned();
        self.call("pause", container, LIST, move |this, is_late| {
            // What nobody waits for any more was once asked for.
            if !is_late && let Some(pod) = this.pod_of(&id) {
                check_freeze(&this.world, this.kind, &pod.as_str().into());
            }
            this.set_state(&id, "running", "paused");
            Ok(())
        })
    }

    fn unpause<'a>(&'a self, container: &'a str) -> Answer<'a, ()> {
        let id = container.to_owned();
        self.call("unpause", container, LIST, move |this, _| {
            this.set_state(&id, "paused", "running");
            Ok(())
        })
    }

    fn remove_pod<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        let id = name.to_owned();
        self.call("remove_pod", name, LIST, move |this, is_late| {
            this.check_stop(&id, is_late);
            this.world.note(|| format!("{} pod {id} removed", this.kind));
            remove(&mut this.state.borrow_mut(), &id);
            this.world.throttled.borrow_mut().remove(&id);
            this.tell(&id, "remove");
            Ok(())
        })
    }

    fn update<'a>(&'a self, container: &'a str, limits: UpdateBody) -> Answer<'a, ()> {
        let id = container.to_owned();
        self.call("update", container, LIST, move |this, _| {
            if let (Some(cpu), Some(pod)) = (limits.cpu, this.pod_of(&id)) {
                let mut throttled = this.world.throttled.borrow_mut();
                match (0..=THROTTLED).contains(&cpu.quota) {
                    true => drop(throttled.insert(pod)),
                    false => drop(throttled.remove(&pod)),
                }
            }
            Ok(())
        })
    }

    fn limit_group<'a>(&'a self, container: &'a str, _: UpdateBody) -> Answer<'a, ()> {
        self.call("limit_group", container, LIST, |_, _| Ok(()))
    }

    /// The kernel of this world squeezes nothing.
    fn squeeze<'a>(&'a self, _: &'a str, _: i64, _: bool) -> LocalBoxFuture<'a, io::Result<()>> {
        ready(Ok(())).boxed_local()
    }

    /// The kernel of this world shows nothing.
    fn limits_in_force<'a>(
        &'a self,
        _: &'a str,
        _: i64,
        _: Resource,
    ) -> LocalBoxFuture<'a, Option<Vec<Level>>> {
        ready(None).boxed_local()
    }

    fn image_id<'a>(&'a self, image: &'a str) -> Answer<'a, Option<String>> {
        let name = image.to_owned();
        self.call("image_id", image, LIST, move |this, _| {
            Ok(this.state.borrow().images.contains(&name).then_some(name))
        })
    }

    fn unnamed_twins<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<String>> {
        ready(Ok(Vec::new())).boxed_local()
    }

    fn image_fault<'a>(&'a self, _: &'a str) -> Answer<'a, Option<String>> {
        ready(Ok(None)).boxed_local()
    }

    fn pull(&self, request: PullRequest) -> Answer<'_, String> {
        let image = request.image.clone();
        self.call("pull", &image, request.timeout, move |this, _| {
            this.state.borrow_mut().images.insert(request.image.clone());
            Ok(request.image)
        })
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> Answer<'a, ()> {
        let name = image.to_owned();
        self.call("remove_image", image, LIST, move |this, _| {
            this.state.borrow_mut().images.remove(&name);
            Ok(())
        })
    }

    fn living(&self, pids: Vec<i64>) -> LocalBoxFuture<'_, Option<BTreeSet<i64>>> {
        ready(Some(pids.into_iter().collect())).boxed_local()
    }

    fn raise_oom_score(&self, _: i64) -> LocalBoxFuture<'_, std::io::Result<()>> {
        ready(Ok(())).boxed_local()
    }

    fn last_words(&self) -> LocalBoxFuture<'_, Option<String>> {
        // Often they were not kept.
        let key = format!("{} last words", self.kind);
        let is_kept = self.world.is_down(self.kind) && self.world.chooser.rng(&key).bool();
        ready(is_kept.then(|| "beginning transaction: file is not a database".to_owned()))
            .boxed_local()
    }

    fn owner(&self) -> Option<(u32, u32)> {
        None
    }
}

impl ProbeNetwork for Podman {
    fn connect(&self, address: SocketAddr) -> LocalBoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            match self.probe(address).await? {
                200 => Ok(()),
                _ => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }

    fn get(&self, request: ProbeRequest) -> LocalBoxFuture<'_, io::Result<u16>> {
        Box::pin(async move { self.probe(request.address).await })
    }
}
