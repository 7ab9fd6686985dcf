//! podman as a table in memory, which fails on demand.

#![allow(clippy::panic, reason = "one of the faults that a test can order is a panic")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, ready};
use futures_util::stream::{StreamExt as _, unfold};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::podman_executor::{
    Answer, ContainerDetail, ContainerRow, DetailNetwork, DetailState, EventStream, ExecRequest,
    ExecResult, Healthcheck, HostInfo, Level, PlayReport, PlayRequest, PodRow, PodmanApi,
    PodmanError, PodmanEvent, ProbeNetwork, ProbeRequest, PullRequest, Resource, SecurityInfo,
    UpdateBody,
};

/// What a call does instead of its work.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing listens on the socket.
    Absent,
    /// podman refuses, with this cause.
    Refused(&'static str),
    /// podman refuses to make a pod, with this cause, and some of it runs all the same.
    Made(&'static str),
    /// The answer is not libpod's.
    Garbled,
    /// podman hangs up in the middle of the answer.
    Cut,
    /// The whole process stands still for so long, as a suspended one does; then podman is slow.
    Freeze(Duration),
    /// The answer never comes; the call ends by the client's deadline, given here.
    Hang(Duration),
    /// The call does its work, so much later.
    Delay(Duration),
    /// The caller panics.
    Panic,
    /// The caller waits for ever, past every deadline.
    Stuck,
}

/// A container's control group under crun, and the one within it: CPU and memory of each.
#[derive(Clone, Debug, Default)]
struct ControlGroup {
    scope: [Option<u64>; 2],
    inner: [Option<u64>; 2],
}

/// What a probe meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// This status, or exit code.
    Code(u16),
    /// The connection is refused.
    Refused,
    /// No answer ever comes.
    Silence,
}

#[derive(Default)]
struct State {
    containers: Vec<ContainerRow>,
    pods: Vec<PodRow>,
    images: BTreeMap<String, String>,
    /// Images that a container uses.
    used: BTreeSet<String>,
    dead_processes: BTreeSet<i64>,
    faults: BTreeMap<&'static str, VecDeque<Fault>>,
    lasting: BTreeMap<&'static str, Fault>,
    /// How long the next listing of containers takes to arrive once it is made.
    on_the_way: Option<Duration>,
    cgroup_manager: String,
    last_words: Option<&'static str>,
    /// Containers whose memory the kernel takes back.
    squeezed: BTreeSet<String>,
    /// It is rootless, on cgroup v1.
    is_rootless_on_v1: bool,
    /// What holds each container to its limits, if that can be seen.
    groups: Option<BTreeMap<String, ControlGroup>>,
    /// What a probe of this port or command meets; all is well where nothing is said.
    probed: BTreeMap<String, ProbeAnswer>,
    healthcheck: Option<Healthcheck>,
    calls: Vec<String>,
    /// Calls whose answers are waited for now, and the most there ever were.
    at_once: (usize, usize),
    streams: Vec<UnboundedSender<PodmanEvent>>,
}

/// A podman service in memory. Clones share it.
#[derive(Clone, Default)]
pub struct FakePodman(Rc<RefCell<State>>);

impl FakePodman {
    /// Returns a service without pods.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next call of `method` fail.
    pub fn fail_once(&self, method: &'static str, fault: Fault) {
        let faults = &mut self.0.borrow_mut().faults;
        faults.entry(method).or_default().push_back(fault);
    }

    /// Makes the next listing of containers arrive so much later than it was made.
    pub fn list_late(&self, on_the_way: Duration) {
        self.0.borrow_mut().on_the_way = Some(on_the_way);
    }

    /// Lets the service say this as the reason why it does not start; `None`: nothing.
    pub fn end_with(&self, last_words: Option<&'static str>) {
        self.0.borrow_mut().last_words = last_words;
    }

    /// Makes every call of `method` fail until [`Self::mend`].
    pub fn fail(&self, method: &'static str, fault: Fault) {
        self.0.borrow_mut().lasting.insert(method, fault);
    }

    /// Lets limits be seen in control groups as crun and systemd make them, with what they get wrong: a
    /// CPU quota of -1 lifts the inner one, and makes the shortest possible of the outer one. `manager`
    /// is who makes them by podman's word.
    pub fn limit_as_crun_does(&self, manager: &str) {
        let mut state = self.0.borrow_mut();
        state.cgroup_manager = manager.to_owned();
        state.groups = Some(BTreeMap::new());
    }

    /// Makes it a service without root on cgroup v1.
    pub fn be_rootless_on_v1(&self) {
        self.0.borrow_mut().is_rootless_on_v1 = true;
    }

    /// Returns whether the kernel takes memory back from a container.
    #[must_use]
    pub fn is_squeezed(&self, container: &str) -> bool {
        self.0.borrow().squeezed.contains(container)
    }

    /// Pauses the containers of `pod`, or lets them go on, as an administrator would.
    pub fn pause_by_hand(&self, pod: &str, paused: bool) {
        let (state, event) = if paused { ("paused", "pause") } else { ("running", "unpause") };
        self.change(pod, |row| row.state = state.to_owned());
        self.tell_of(pod, event);
    }

    /// Changes the state of the container with this id from `from` to `to`; returns what else it is in.
    fn change_state(&self, container: &str, from: &str, to: &str) -> Option<String> {
        let rows = &mut self.0.borrow_mut().containers;
        let row = rows.iter_mut().find(|row| row.id == container && row.state != to)?;
        if row.state != from {
            return Some(row.state.clone());
        }
        row.state = to.to_owned();
        None
    }

    /// Returns the CPU limits of a container, from the outside in.
    #[must_use]
    pub fn cpu_limits(&self, container: &str) -> [Option<u64>; 2] {
        let state = self.0.borrow();
        let group = state.groups.as_ref().and_then(|groups| groups.get(container));
        let group = group.cloned().unwrap_or_default();
        [group.scope[0], group.inner[0]]
    }

    /// Writes limits into what holds a container; `wrongly`: as crun does.
    fn write_limits(&self, container: &str, limits: UpdateBody, wrongly: bool) {
        let mut state = self.0.borrow_mut();
        let Some(groups) = state.groups.as_mut() else { return };
        let group = groups.entry(container.to_owned()).or_default();
        if let Some(cpu) = limits.cpu {
            let quota = u64::try_from(cpu.quota).ok().filter(|quota| *quota < 100_000_000);
            let scope = if cpu.quota < 0 && wrongly { Some(1_000) } else { quota };
            group.scope[0] = scope;
            if wrongly {
                group.inner[0] = quota;
            }
        }
        if let Some(memory) = limits.memory {
            (group.scope[1], group.inner[1]) =
                (u64::try_from(memory.limit).ok(), u64::try_from(memory.limit).ok());
        }
    }

    /// Lets probes of `what`, a port or the first word of a command, meet `answer` from now on.
    pub fn answer_probes(&self, what: &str, answer: ProbeAnswer) {
        self.0.borrow_mut().probed.insert(what.to_owned(), answer);
    }

    /// Lets every image have this `HEALTHCHECK`, and containers tell their image.
    pub fn check_health_with(&self, command: &[&str]) {
        let command = std::iter::once("CMD").chain(command.iter().copied());
        let test = command.map(str::to_owned).collect();
        let seconds = 1_000_000_000;
        let (interval, timeout) = (5 * seconds, seconds);
        self.0.borrow_mut().healthcheck =
            Some(Healthcheck { test, interval, timeout, ..Healthcheck::default() });
    }

    async fn probe(&self, what: &str) -> ProbeAnswer {
        let answer = self.0.borrow().probed.get(what).copied();
        match answer {
            Some(ProbeAnswer::Silence) => std::future::pending().await,
            Some(answer) => answer,
            None => ProbeAnswer::Code(200),
        }
    }

    /// Ends every fault.
    pub fn mend(&self) {
        let mut state = self.0.borrow_mut();
        state.faults.clear();
        state.lasting.clear();
    }

    /// Ends every event stream, as the end of the service does.
    pub fn hang_up(&self) {
        self.0.borrow_mut().streams.clear();
    }

    /// Ends each container of `pod` with `exit_code`, and reports it in the event stream.
    pub fn end_containers(&self, pod: &str, exit_code: i32) {
        self.change(pod, |row| {
            row.state = "exited".to_owned();
            row.exit_code = exit_code;
            row.exited_at += 1;
            row.pid = 0;
        });
        self.tell_of(pod, "died");
    }

    /// Ends one container of `pod` with this code.
    pub fn end_container(&self, pod: &str, container: &str, exit_code: i32) {
        self.change(pod, |row| {
            if row.names.iter().any(|name| *name == format!("{pod}-{container}")) {
                row.state = "exited".to_owned();
                row.exit_code = exit_code;
                row.exited_at += 1;
                row.pid = 0;
            }
        });
        self.tell_of(pod, "died");
    }

    /// Makes the process of each container of `pod` disappear without a word.
    pub fn lose_processes(&self, pod: &str) {
        let mut state = self.0.borrow_mut();
        let rows = state.containers.iter().filter(|row| row.pod_name == pod);
        let pids: Vec<_> = rows.map(|row| row.pid).collect();
        state.dead_processes.extend(pids);
    }

    /// Sends an event that names no container to every stream.
    pub fn tell(&self, action: &str) {
        self.send(&PodmanEvent::of("", action, 1));
    }

    /// Sends an event of a container of `pod` to every stream.
    pub fn tell_of(&self, pod: &str, action: &str) {
        self.send(&PodmanEvent::of(&format!("{pod}-main"), action, 1));
    }

    fn send(&self, event: &PodmanEvent) {
        let streams = &mut self.0.borrow_mut().streams;
        streams.retain(|stream| stream.send(event.clone()).is_ok());
    }

    /// Returns the calls so far, `method argument`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.0.borrow().calls.clone()
    }

    /// Returns how often `method` was called.
    #[must_use]
    pub fn count(&self, method: &str) -> usize {
        let calls = &self.0.borrow().calls;
        calls.iter().filter(|call| call.split(' ').next() == Some(method)).count()
    }

    /// Returns how many calls were under way at once at most.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.0.borrow().at_once.1
    }

    /// Puts an image on the device, as another program would.
    pub fn bring_image(&self, image: &str, id: &str) {
        self.0.borrow_mut().images.insert(image.to_owned(), id.to_owned());
    }

    /// Says that a container uses the image, or no longer does.
    pub fn use_image(&self, image: &str, used: bool) {
        let known = &mut self.0.borrow_mut().used;
        if used {
            known.insert(image.to_owned())
        } else {
            known.remove(image)
        };
    }

    /// Returns the id of an image on the device.
    #[must_use]
    pub fn image(&self, name: &str) -> Option<String> {
        self.0.borrow().images.get(name).cloned()
    }

    /// Returns the images on the device.
    #[must_use]
    pub fn images(&self) -> Vec<String> {
        self.0.borrow().images.keys().cloned().collect()
    }

    fn change(&self, pod: &str, mut change: impl FnMut(&mut ContainerRow)) {
        let rows = &mut self.0.borrow_mut().containers;
        rows.iter_mut().filter(|row| row.pod_name == pod).for_each(&mut change);
    }

    fn next_fault(&self, method: &'static str) -> Option<Fault> {
        self.0.borrow().faults.get(method)?.front().cloned()
    }

    /// Notes the call and does what was ordered for it.
    async fn enter(&self, method: &'static str, argument: &str) -> Result<(), PodmanError> {
        let fault = {
            let mut state = self.0.borrow_mut();
            state.calls.push(format!("{method} {argument}"));
            state.at_once.0 += 1;
            state.at_once.1 = state.at_once.1.max(state.at_once.0);
            let once = state.faults.get_mut(method).and_then(VecDeque::pop_front);
            once.or_else(|| state.lasting.get(method).cloned())
        };
        let _under_way = UnderWay(Rc::clone(&self.0));
        match fault {
            None => Ok(()),
            Some(Fault::Absent) => Err(PodmanError::Connect {
                socket: "/fake/podman.sock".into(),
                source: "no such file or directory".into(),
            }),
            Some(Fault::Garbled) => {
                Err(PodmanError::Garbled { call: method, source: "expected value".into() })
            }
            Some(Fault::Cut) => {
                Err(PodmanError::Cut { call: method, source: "connection reset".into() })
            }
            Some(Fault::Freeze(time)) => {
                tokio::time::advance(time).await;
                std::future::pending().await
            }
            Some(Fault::Refused(cause) | Fault::Made(cause)) => Err(PodmanError::Refused {
                call: method,
                status: 500,
                cause: cause.to_owned(),
                message: cause.to_owned(),
            }),
            Some(Fault::Hang(after)) => {
                tokio::time::sleep(after).await;
                let call = method;
                Err(PodmanError::Timeout { call, after })
            }
            Some(Fault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                Ok(())
            }
            Some(Fault::Panic) => panic!("ordered by the test"),
            Some(Fault::Stuck) => std::future::pending().await,
        }
    }

    fn make(&self, manifest: &[u8]) -> String {
        let pod: Pod = serde_json::from_slice(manifest).unwrap_or_default();
        let name = pod.metadata.name.unwrap_or_default();
        let labels = pod.metadata.labels.unwrap_or_default();
        let mut state = self.0.borrow_mut();
        let image_id = state.healthcheck.as_ref().map_or("", |_| "an image").to_owned();
        for container in pod.spec.unwrap_or_default().containers {
            let number = i64::try_from(state.calls.len()).unwrap_or(0);
            state.containers.push(ContainerRow {
                id: format!("id-{number}-{}", container.name),
                names: vec![format!("{name}-{}", container.name)],
                state: "running".to_owned(),
                started_at: number,
                pid: number,
                image_id: image_id.clone(),
                image: container.image.unwrap_or_default(),
                pod_name: name.clone(),
                labels: labels.clone(),
                ..ContainerRow::default()
            });
        }
        let status = "Running".to_owned();
        state.pods.push(PodRow { name: name.clone(), status, labels });
        name
    }
}

/// Ends with a call.
struct UnderWay(Rc<RefCell<State>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.borrow_mut().at_once.0 -= 1;
    }
}

fn improper_state(call: &'static str, state: &str) -> PodmanError {
    PodmanError::Refused {
        call,
        status: 500,
        cause: "container state improper".to_owned(),
        message: format!("the container is in state {state}: container state improper"),
    }
}

fn events_of(receiver: UnboundedReceiver<PodmanEvent>) -> EventStream {
    let next = |mut receiver: UnboundedReceiver<PodmanEvent>| async move {
        let event = receiver.recv().await?;
        Some((Ok(event), receiver))
    };
    unfold(receiver, next).boxed_local()
}

impl PodmanApi for FakePodman {
    fn host(&self) -> Answer<'_, HostInfo> {
        Box::pin(async move {
            self.enter("host", "").await?;
            let state = self.0.borrow();
            let cgroup_manager = state.cgroup_manager.clone();
            let security = SecurityInfo { rootless: state.is_rootless_on_v1 };
            Ok(HostInfo { cgroup_manager, security, ..HostInfo::default() })
        })
    }

    fn events(&self, _: Option<i64>) -> Answer<'_, EventStream> {
        Box::pin(async move {
            self.enter("events", "").await?;
            let (sender, receiver) = unbounded_channel();
            self.0.borrow_mut().streams.push(sender);
            Ok(events_of(receiver))
        })
    }

    fn containers(&self) -> Answer<'_, Vec<ContainerRow>> {
        Box::pin(async move {
            self.enter("containers", "").await?;
            let rows = self.0.borrow().containers.clone();
            let on_the_way = self.0.borrow_mut().on_the_way.take();
            if let Some(time) = on_the_way {
                tokio::time::sleep(time).await;
            }
            Ok(rows)
        })
    }

    fn containers_of<'a>(&'a self, pod: &'a str) -> Answer<'a, Vec<ContainerRow>> {
        Box::pin(async move {
            self.enter("containers_of", pod).await?;
            let mut rows = self.0.borrow().containers.clone();
            rows.retain(|row| row.pod_name == pod);
            Ok(rows)
        })
    }

    fn pods(&self) -> Answer<'_, Vec<PodRow>> {
        Box::pin(async move {
            self.enter("pods", "").await?;
            Ok(self.0.borrow().pods.clone())
        })
    }

    fn pod<'a>(&'a self, name: &'a str) -> Answer<'a, Option<PodRow>> {
        Box::pin(async move {
            self.enter("pod", name).await?;
            let state = self.0.borrow();
            let found = state.pods.iter().find(|pod| pod.name == name);
            let live = |row: &ContainerRow| row.pod_name == name && row.state == "running";
            Ok(found.cloned().map(|pod| PodRow {
                status: match state.containers.iter().any(live) {
                    true => "Running".to_owned(),
                    false => "Exited".to_owned(),
                },
                ..pod
            }))
        })
    }

    fn inspect<'a>(&'a self, container: &'a str) -> Answer<'a, ContainerDetail> {
        Box::pin(async move {
            self.enter("inspect", container).await?;
            let rows = &self.0.borrow().containers;
            let row = rows.iter().find(|row| row.id == container);
            let exit_code = row.map_or(0, |row| row.exit_code);
            let state = DetailState { exit_code, ..DetailState::default() };
            let network_settings = DetailNetwork { ip_address: "10.88.0.2".to_owned() };
            Ok(ContainerDetail { state, network_settings, ..ContainerDetail::default() })
        })
    }

    fn exec(&self, request: ExecRequest) -> Answer<'_, ExecResult> {
        Box::pin(async move {
            let command = request.command.join(" ");
            self.enter("exec", &format!("{} {command}", request.container)).await?;
            let word = request.command.first().cloned().unwrap_or_default();
            let answer = tokio::time::timeout(request.limit, self.probe(&word)).await;
            Ok(match answer {
                Ok(ProbeAnswer::Code(200)) => {
                    ExecResult::Ended { exit_code: 0, output: String::new() }
                }
                Ok(ProbeAnswer::Code(code)) => {
                    ExecResult::Ended { exit_code: i32::from(code), output: "no".to_owned() }
                }
                Ok(ProbeAnswer::Refused | ProbeAnswer::Silence) | Err(_) => ExecResult::TimedOut,
            })
        })
    }

    fn healthcheck<'a>(&'a self, image: &'a str) -> Answer<'a, Option<Healthcheck>> {
        Box::pin(async move {
            self.enter("healthcheck", image).await?;
            Ok(self.0.borrow().healthcheck.clone())
        })
    }

    fn image_digest<'a>(&'a self, image: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            self.enter("image_digest", image).await?;
            Ok(Some(format!("digest of {image}")))
        })
    }

    fn log_end<'a>(&'a self, container: &'a str, _: usize) -> Answer<'a, Vec<u8>> {
        Box::pin(async move {
            self.enter("log_end", container).await?;
            Ok(format!("2027-01-15T08:00:00Z last words of {container}\n").into_bytes())
        })
    }

    fn play(&self, request: PlayRequest) -> Answer<'_, PlayReport> {
        Box::pin(async move {
            let is_made = matches!(self.next_fault("play"), Some(Fault::Made(_)));
            let entered = self.enter("play", "").await;
            if is_made || entered.is_ok() {
                let pod = self.make(&request.manifest);
                self.tell_of(&pod, "start");
            }
            entered.map(|()| PlayReport::default())
        })
    }

    fn stop_container<'a>(&'a self, container: &'a str, _: Duration) -> Answer<'a, ()> {
        Box::pin(async move {
            self.enter("stop_container", container).await?;
            if self
                .0
                .borrow()
                .containers
                .iter()
                .any(|row| row.id == container && row.state == "paused")
            {
                return Err(improper_state("stop_container", "paused"));
            }
            let rows = &mut self.0.borrow_mut().containers;
            for row in rows.iter_mut().filter(|row| row.id == container) {
                row.state = "exited".to_owned();
            }
            Ok(())
        })
    }

    fn pause<'a>(&'a self, container: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            self.enter("pause", container).await?;
            let other = self.change_state(container, "running", "paused");
            other.map_or(Ok(()), |state| Err(improper_state("pause", &state)))
        })
    }

    fn unpause<'a>(&'a self, container: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            self.enter("unpause", container).await?;
            self.change_state(container, "paused", "running");
            Ok(())
        })
    }

    fn remove_pod<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            self.enter("remove_pod", name).await?;
            let mut state = self.0.borrow_mut();
            state.containers.retain(|row| row.pod_name != name);
            state.pods.retain(|pod| pod.name != name);
            Ok(())
        })
    }

    fn update<'a>(&'a self, container: &'a str, limits: UpdateBody) -> Answer<'a, ()> {
        let json = serde_json::json!(limits);
        Box::pin(async move {
            self.enter("update", &format!("{container} {json}")).await?;
            self.write_limits(container, limits, true);
            Ok(())
        })
    }

    fn limit_group<'a>(&'a self, container: &'a str, limits: UpdateBody) -> Answer<'a, ()> {
        let json = serde_json::json!(limits);
        Box::pin(async move {
            self.enter("limit_group", &format!("{container} {json}")).await?;
            self.write_limits(container, limits, false);
            Ok(())
        })
    }

    fn limits_in_force<'a>(
        &'a self,
        container: &'a str,
        _: i64,
        resource: Resource,
    ) -> LocalBoxFuture<'a, Option<Vec<Level>>> {
        Box::pin(async move {
            let state = self.0.borrow();
            let group = state.groups.as_ref()?.get(container).cloned().unwrap_or_default();
            let of = usize::from(resource == Resource::Memory);
            let level = |name: &str, limit: [Option<u64>; 2]| Level {
                group: format!("/{container}.scope{name}"),
                is_own: true,
                limit: limit.get(of).copied().flatten(),
            };
            Some(vec![level("", group.scope), level("/container", group.inner)])
        })
    }

    fn squeeze<'a>(
        &'a self,
        container: &'a str,
        _: i64,
        squeezed: bool,
    ) -> LocalBoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            let entered = self.enter("squeeze", &format!("{container} {squeezed}")).await;
            entered.map_err(|error| match error.is_refusal() {
                true => io::Error::new(io::ErrorKind::Unsupported, error.chain()),
                false => io::Error::other(error.chain()),
            })?;
            let known = &mut self.0.borrow_mut().squeezed;
            if squeezed {
                known.insert(container.to_owned())
            } else {
                known.remove(container)
            };
            Ok(())
        })
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            self.enter("remove_image", image).await?;
            let mut state = self.0.borrow_mut();
            if state.used.contains(image) {
                let cause = "image is in use by a container".to_owned();
                let message = cause.clone();
                return Err(PodmanError::Refused {
                    call: "remove_image",
                    status: 409,
                    cause,
                    message,
                });
            }
            state.images.remove(image);
            Ok(())
        })
    }

    fn image_id<'a>(&'a self, image: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(async move {
            self.enter("image_id", image).await?;
            Ok(self.0.borrow().images.get(image).cloned())
        })
    }

    fn unnamed_twins<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<String>> {
        ready(Ok(Vec::new())).boxed_local()
    }

    fn image_fault<'a>(&'a self, _: &'a str) -> Answer<'a, Option<String>> {
        ready(Ok(None)).boxed_local()
    }

    fn pull(&self, request: PullRequest) -> Answer<'_, String> {
        Box::pin(async move {
            self.enter("pull", &request.image).await?;
            let id = format!("id of {}", request.image);
            self.0.borrow_mut().images.insert(request.image, id.clone());
            Ok(id)
        })
    }

    fn living(&self, pids: Vec<i64>) -> LocalBoxFuture<'_, Option<BTreeSet<i64>>> {
        let dead = &self.0.borrow().dead_processes;
        ready(Some(pids.into_iter().filter(|pid| !dead.contains(pid)).collect())).boxed_local()
    }

    fn raise_oom_score(&self, _: i64) -> LocalBoxFuture<'_, std::io::Result<()>> {
        ready(Ok(())).boxed_local()
    }

    fn last_words(&self) -> LocalBoxFuture<'_, Option<String>> {
        Box::pin(ready(self.0.borrow().last_words.map(str::to_owned)))
    }

    fn owner(&self) -> Option<(u32, u32)> {
        None
    }
}

impl ProbeNetwork for FakePodman {
    fn connect(&self, address: SocketAddr) -> LocalBoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.enter("connect", &address.to_string())
                .await
                .map_err(|error| io::Error::other(error.chain()))?;
            match self.probe(&address.port().to_string()).await {
                ProbeAnswer::Code(_) => Ok(()),
                ProbeAnswer::Refused | ProbeAnswer::Silence => {
                    Err(io::ErrorKind::ConnectionRefused.into())
                }
            }
        })
    }

    fn get(&self, request: ProbeRequest) -> LocalBoxFuture<'_, io::Result<u16>> {
        Box::pin(async move {
            let asked = format!("{}{}", request.address, request.path);
            self.enter("get", &asked).await.map_err(|error| io::Error::other(error.chain()))?;
            match self.probe(&request.address.port().to_string()).await {
                ProbeAnswer::Code(status) => Ok(status),
                ProbeAnswer::Refused | ProbeAnswer::Silence => {
                    Err(io::ErrorKind::ConnectionRefused.into())
                }
            }
        })
    }
}
