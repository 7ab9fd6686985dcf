//! Receives commands for one podman service, and sends what it sees there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use exponential_backoff::Backoff;
use tokio::time::timeout;
use tracing::{Instrument as _, debug, info, info_span, warn};

use super::api::{EventStream, PodmanApi, PodmanError};
use super::events::PodmanEvent;
use super::observer::{Observation, Observer};
use super::workbench::{Workbench, unavailable};
use super::{pull, start, stop};
use crate::clock::{Clock, Monotonic};
use crate::command_ticket::CommandTicket;
use crate::messages::{
    Action, CommandError, CommandFinished, EventRecorded, ExecutorCommand, RuntimeUnavailable,
    WorkloadsObserved, tell,
};
use crate::supervisor::Vitals;
use crate::workload::{DeviceId, Event, EventKind, ExecutorKind, WorkloadId, WorkloadName};

/// A lost event costs so much at most.
const OBSERVATION_PERIOD: Duration = Duration::from_secs(30);
/// Time between two observations in a burst of events.
const MIN_OBSERVATION_GAP: Duration = Duration::from_millis(250);
/// Time to the next look at a process that is gone and that podman has not noted.
const UNSETTLED_PERIOD: Duration = Duration::from_secs(1);
/// First wait before a connection is tried again.
const MIN_RECONNECT_DELAY: Duration = Duration::from_millis(100);
/// Longest wait while nobody listens on the socket: a try costs nothing.
const MAX_ABSENT_DELAY: Duration = Duration::from_secs(1);
/// Longest wait while podman answers wrongly or not at all.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(30);
/// A stream that lived for so long ended by chance, not by habit.
const STEADY_AFTER: Duration = Duration::from_secs(10);
/// Kept from a command's time for the observation that precedes its answer.
const ANSWER_RESERVE: Duration = Duration::from_secs(6);

/// What a [`PodmanExecutor`] is made of.
#[derive(Clone)]
pub struct PodmanDeps {
    /// Rootful or rootless.
    pub kind: ExecutorKind,
    /// podman.
    pub api: Rc<dyn PodmanApi>,
    /// The device's id, given to each container.
    pub device_id: DeviceId,
    /// The kernel's id of this boot; see [`super::boot_id`].
    pub boot_id: String,
    /// The folder below which volumes of pods live; rootless podman's user must reach it.
    pub volumes_root: PathBuf,
    /// Takes the answers to commands.
    pub scheduler_commands: Recipient<CommandFinished>,
    /// Takes what is seen.
    pub observations: Recipient<WorkloadsObserved>,
    /// Takes what people should know.
    pub events: Recipient<EventRecorded>,
    /// The time.
    pub clock: Clock,
    /// Tells the supervisor of deadlines.
    pub vitals: Vitals,
}

/// Runs commands on one podman service and reports what it observes.
pub struct PodmanExecutor {
    deps: PodmanDeps,
    bench: Rc<Workbench>,
    observer: Rc<Observer>,
    link: Link,
    /// The last event's time: a new stream begins there.
    since: Option<i64>,
    reconnects: exponential_backoff::IntoIter,
    /// Nobody listened when last tried: what comes next is another podman.
    absent: bool,
    listing: Listing,
    /// When the youngest observation that was sent had been made.
    observed_at: Option<Monotonic>,
    availability: Availability,
    warned: BTreeMap<WorkloadId, Vec<String>>,
}

/// The event stream.
enum Link {
    /// A reconnection is on its way or planned.
    Down,
    /// Events flow.
    Up {
        /// The stream.
        stream: SpawnHandle,
        /// Since when.
        since: Monotonic,
    },
}

/// Observations that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    /// None is under way.
    Idle,
    /// One waits for the gap to the last one to pass.
    Planned,
    /// One is under way.
    Running,
    /// One is under way, and something happened since it began.
    Stale,
}

/// Whether podman answers, as it was last told.
#[derive(Debug)]
enum Availability {
    /// Nothing was told yet.
    Untold,
    /// It answers.
    Available,
    /// It does not.
    Unavailable {
        /// Why.
        message: String,
        /// When this was told.
        told_at: Monotonic,
    },
}

impl PodmanExecutor {
    /// Returns an executor that has not spoken to podman yet.
    #[must_use]
    pub fn new(deps: PodmanDeps) -> Self {
        let bench = Rc::new(Workbench::new(
            Rc::clone(&deps.api),
            deps.clock.clone(),
            deps.device_id.clone(),
            deps.boot_id.clone(),
            deps.volumes_root.clone(),
        ));
        Self {
            observer: Rc::new(Observer::new(Rc::clone(&bench))),
            bench,
            link: Link::Down,
            since: None,
            reconnects: delays(),
            absent: false,
            listing: Listing::Idle,
            observed_at: None,
            availability: Availability::Untold,
            warned: BTreeMap::new(),
            deps,
        }
    }
}

impl Actor for PodmanExecutor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.connect(ctx);
        self.look_for_half_made_pods(ctx);
        self.tick(ctx);
    }
}

impl Supervised for PodmanExecutor {
    /// Drops all that was seen: commands in flight were answered, and podman is asked afresh.
    fn restarting(&mut self, _: &mut Self::Context) {
        *self = Self::new(self.deps.clone());
    }
}

impl Handler<ExecutorCommand> for PodmanExecutor {
    type Result = ();

    fn handle(&mut self, command: ExecutorCommand, ctx: &mut Self::Context) {
        let ticket = self.ticket(&command);
        let left = self.bench.left(command.deadline);
        if left.is_zero() {
            return ticket.finish(Err(CommandError::Expired));
        }
        let span = info_span!(
            "command",
            job_id = %command.action.workload_id(),
            workload = %command.action.workload_name(),
            executor = %self.deps.kind,
        );
        let work = work(Rc::clone(&self.bench), Rc::clone(&self.observer), command, left);
        let work = work.instrument(span).into_actor(self);
        ctx.spawn(work.map(|done, actor, ctx| actor.answer(ticket, done, ctx)));
    }
}

impl StreamHandler<Result<PodmanEvent, PodmanError>> for PodmanExecutor {
    fn handle(&mut self, event: Result<PodmanEvent, PodmanError>, ctx: &mut Self::Context) {
        match event {
            Ok(event) => {
                self.since = self.since.max(Some(event.time));
                if event.changes_state() {
                    self.observe_soon(ctx);
                }
            }
            Err(error) => self.stream_ended(Some(&error), ctx),
        }
    }

    /// The stream ends when podman does. Without it the actor goes on.
    fn finished(&mut self, ctx: &mut Self::Context) {
        self.stream_ended(None, ctx);
    }
}

/// How a command ended.
struct Done {
    action: Action,
    result: Result<Vec<String>, CommandError>,
    seen: Option<Result<Observation, PodmanError>>,
}

/// Does what `command` asks, then looks at what it came to, all before its deadline.
async fn work(
    bench: Rc<Workbench>,
    observer: Rc<Observer>,
    command: ExecutorCommand,
    left: Duration,
) -> Done {
    let reserve = ANSWER_RESERVE.min(left / 4);
    let allowed = left.saturating_sub(reserve);
    let until = bench.clock.now().monotonic + allowed;
    let action = command.action;
    let result = timeout(allowed, execute(&bench, &action, until)).await;
    let result = result.unwrap_or_else(|_| {
        let error = PodmanError::Timeout { call: "finish the command", after: allowed };
        Err(unavailable(&error))
    });
    observer.forget_pod(action.workload_id().as_str());
    let seen = timeout(reserve * 3 / 4, observer.observe()).await.ok();
    Done { action, result, seen }
}

async fn execute(
    bench: &Workbench,
    action: &Action,
    until: Monotonic,
) -> Result<Vec<String>, CommandError> {
    match action {
        Action::Pull { workload } => pull::pull(bench, workload, until).await,
        Action::Start { workload, limits } => start::start(bench, workload, *limits, until).await,
        Action::Stop { id, grace, .. } => {
            let stopped = stop::stop(bench, id, *grace, until).await;
            stopped.map(|()| Vec::new())
        }
    }
}

impl PodmanExecutor {
    fn ticket(&self, command: &ExecutorCommand) -> CommandTicket {
        CommandTicket::new(
            self.deps.kind,
            command,
            self.deps.scheduler_commands.clone(),
            self.deps.clock.clone(),
            &self.deps.vitals,
        )
    }

    /// Answers a command after what it came to was told, so that the scheduler decides on it.
    fn answer(&mut self, ticket: CommandTicket, done: Done, ctx: &mut Context<Self>) {
        if let Some(seen) = done.seen {
            self.seen(seen, ctx);
        }
        let (id, workload) = (done.action.workload_id(), done.action.workload_name());
        let (job_id, executor) = (id.as_str(), self.deps.kind.as_str());
        match &done.result {
            Ok(_) => info!(job_id, %workload, executor, "command finished"),
            Err(error) => warn!(job_id, %workload, executor, %error, "command failed"),
        }
        let result = done.result.map(|warnings| self.warn(id, workload, warnings));
        ticket.finish(result);
        // A state that changed since that look is seen without waiting for its event.
        self.observe_soon(ctx);
    }

    /// Tells people once what could not be done as the author wished.
    fn warn(&mut self, id: &WorkloadId, workload: &WorkloadName, warnings: Vec<String>) {
        let known = self.warned.get(id).cloned().unwrap_or_default();
        for message in warnings.iter().filter(|warning| !known.contains(warning)) {
            let workload = Some(workload.clone());
            let message = message.clone();
            self.record(EventKind::Warn, "SpecificationAdjusted", workload, message);
        }
        // One entry for each workload that is or was here: bounded by its other versions' removal.
        self.warned.retain(|other, _| other == id || !same_workload(other, id));
        self.warned.entry(id.clone()).or_default().extend(warnings);
        if let Some(known) = self.warned.get_mut(id) {
            known.sort();
            known.dedup();
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(OBSERVATION_PERIOD, |actor, ctx| {
            actor.look_for_half_made_pods(ctx);
            actor.observe_soon(ctx);
            actor.tick(ctx);
        });
    }

    // ---- the event stream ---------------------------------------------------------------------

    /// Opens the stream before the first look, so that nothing happens unseen between the two.
    fn connect(&mut self, ctx: &mut Context<Self>) {
        let (api, since) = (Rc::clone(&self.deps.api), self.since);
        let opening = async move { api.events(since).await };
        ctx.spawn(opening.into_actor(self).map(|opened, actor, ctx| match opened {
            Ok(stream) => actor.connected(stream, ctx),
            Err(error) => actor.not_connected(&error, ctx),
        }));
    }

    fn connected(&mut self, stream: EventStream, ctx: &mut Context<Self>) {
        debug!("event stream opened");
        if std::mem::take(&mut self.absent) {
            self.reconnects = delays();
        }
        self.bench.forget_host();
        let stream = ctx.add_stream(stream);
        let since = self.deps.clock.now().monotonic;
        self.link = Link::Up { stream, since };
        self.observe_soon(ctx);
    }

    fn not_connected(&mut self, error: &PodmanError, ctx: &mut Context<Self>) {
        match error {
            PodmanError::Connect { .. } => self.unavailable(error),
            // The listing decides: without events it is only later.
            PodmanError::Timeout { .. }
            | PodmanError::Cut { .. }
            | PodmanError::Garbled { .. }
            | PodmanError::Refused { .. } => self.observe_soon(ctx),
        }
        self.reconnect_later(error, ctx);
    }

    fn stream_ended(&mut self, error: Option<&PodmanError>, ctx: &mut Context<Self>) {
        let Link::Up { stream, since } = std::mem::replace(&mut self.link, Link::Down) else {
            return;
        };
        ctx.cancel_future(stream);
        let lived = self.deps.clock.now().monotonic.saturating_since(since);
        if lived >= STEADY_AFTER {
            self.reconnects = delays();
        }
        debug!(error = error.map(PodmanError::chain), "event stream ended");
        let delay = self.next_delay(MAX_RECONNECT_DELAY);
        ctx.run_later(delay, Self::connect);
    }

    fn reconnect_later(&mut self, error: &PodmanError, ctx: &mut Context<Self>) {
        let longest = match error {
            PodmanError::Connect { .. } => {
                self.absent = true;
                MAX_ABSENT_DELAY
            }
            PodmanError::Timeout { .. }
            | PodmanError::Cut { .. }
            | PodmanError::Garbled { .. }
            | PodmanError::Refused { .. } => MAX_RECONNECT_DELAY,
        };
        let delay = self.next_delay(longest);
        ctx.run_later(delay, Self::connect);
    }

    fn next_delay(&mut self, longest: Duration) -> Duration {
        let delay = self.reconnects.next().flatten();
        delay.unwrap_or(longest).min(longest)
    }

    // ---- observations -------------------------------------------------------------------------

    /// Looks at once, or as soon as the gap to the last look has passed.
    fn observe_soon(&mut self, ctx: &mut Context<Self>) {
        match self.listing {
            Listing::Planned | Listing::Stale => {}
            Listing::Running => self.listing = Listing::Stale,
            Listing::Idle => {
                let (observer, now) = (Rc::clone(&self.observer), self.deps.clock.now());
                let last = self.observed_at.unwrap_or_default();
                let gap = MIN_OBSERVATION_GAP.saturating_sub(now.monotonic.saturating_since(last));
                if self.observed_at.is_some() && !gap.is_zero() {
                    return self.observe_after(gap, ctx);
                }
                self.listing = Listing::Running;
                let look = async move { observer.observe().await };
                ctx.spawn(look.into_actor(self).map(Self::looked));
            }
        }
    }

    fn observe_after(&mut self, delay: Duration, ctx: &mut Context<Self>) {
        self.listing = Listing::Planned;
        ctx.run_later(delay, |actor, ctx| {
            actor.listing = Listing::Idle;
            actor.observe_soon(ctx);
        });
    }

    fn looked(seen: Result<Observation, PodmanError>, actor: &mut Self, ctx: &mut Context<Self>) {
        let again = actor.listing == Listing::Stale;
        actor.listing = Listing::Idle;
        let unsettled = seen.as_ref().is_ok_and(|seen| seen.unsettled);
        actor.seen(seen, ctx);
        if again {
            actor.observe_after(MIN_OBSERVATION_GAP, ctx);
        } else if unsettled {
            actor.observe_after(UNSETTLED_PERIOD, ctx);
        }
    }

    /// Tells what was seen, unless something younger was told.
    fn seen(&mut self, seen: Result<Observation, PodmanError>, ctx: &mut Context<Self>) {
        match seen {
            Ok(seen) if self.observed_at.is_some_and(|last| last > seen.at.monotonic) => {}
            Ok(seen) => {
                self.observed_at = Some(seen.at.monotonic);
                self.available();
                let observed = WorkloadsObserved {
                    executor: self.deps.kind,
                    observed_at: seen.at,
                    pods: Ok(seen.pods),
                };
                tell(&self.deps.observations, observed);
            }
            Err(error) => {
                self.unavailable(&error);
                // A podman that does not list does not tell events either.
                self.stream_ended(Some(&error), ctx);
            }
        }
    }

    fn look_for_half_made_pods(&mut self, ctx: &mut Context<Self>) {
        let observer = Rc::clone(&self.observer);
        let look = async move { observer.look_for_half_made_pods().await };
        ctx.spawn(look.into_actor(self).map(|looked, actor, ctx| match looked {
            Ok(()) => actor.observe_soon(ctx),
            // A pod is being stopped, or podman is away: the next period does.
            Err(error) => debug!(error = error.chain(), "pods were not listed"),
        }));
    }

    // ---- availability -------------------------------------------------------------------------

    fn available(&mut self) {
        let before = std::mem::replace(&mut self.availability, Availability::Available);
        match before {
            Availability::Available => {}
            Availability::Untold => info!(executor = %self.deps.kind, "runtime answered"),
            Availability::Unavailable { .. } => {
                info!(executor = %self.deps.kind, "runtime answered again");
                let message = format!("{} answers again", self.deps.kind);
                self.record(EventKind::Normal, "RuntimeAvailable", None, message);
            }
        }
    }

    /// Tells that podman does not answer: at each change, and once a period.
    fn unavailable(&mut self, error: &PodmanError) {
        let now = self.deps.clock.now();
        let message = error.chain();
        match &self.availability {
            Availability::Unavailable { message: told, told_at } if *told == message => {
                if now.monotonic.saturating_since(*told_at) < OBSERVATION_PERIOD {
                    return;
                }
            }
            Availability::Untold | Availability::Available | Availability::Unavailable { .. } => {
                warn!(executor = %self.deps.kind, error = message, "runtime did not answer");
                self.record(EventKind::Warn, "RuntimeUnavailable", None, message.clone());
            }
        }
        self.availability =
            Availability::Unavailable { message: message.clone(), told_at: now.monotonic };
        let observed = WorkloadsObserved {
            executor: self.deps.kind,
            observed_at: now,
            pods: Err(RuntimeUnavailable { message }),
        };
        tell(&self.deps.observations, observed);
    }

    fn record(
        &self,
        kind: EventKind,
        reason: &'static str,
        workload: Option<WorkloadName>,
        message: String,
    ) {
        let event = Event { kind, reason, workload, message, at: self.deps.clock.now().wall };
        tell(&self.deps.events, EventRecorded { event });
    }
}

/// Returns whether two ids are versions of one workload.
fn same_workload(a: &WorkloadId, b: &WorkloadId) -> bool {
    let name = |id: &WorkloadId| id.as_str().rsplit_once('-').map(|(name, _)| name.to_owned());
    name(a) == name(b)
}

fn delays() -> exponential_backoff::IntoIter {
    let mut backoff = Backoff::new(u32::MAX, MIN_RECONNECT_DELAY, MAX_RECONNECT_DELAY);
    backoff.set_factor(2);
    backoff.set_jitter(0.1);
    backoff.iter()
}
