//! Receives commands for one podman service, and sends what it sees there.

mod watch;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tracing::{Instrument as _, debug, info, info_span};

use super::api::{PodmanApi, PodmanError};
use super::events::PodmanEvent;
use super::observer::Observer;
use super::workbench::Workbench;
use crate::clock::{Clock, Monotonic};
use crate::command_ticket::CommandTicket;
use crate::messages::{
    CommandError, CommandFinished, EventRecorded, ExecutorCommand, WorkloadsObserved, tell,
};
use crate::supervisor::Vitals;
use crate::workload::{DeviceId, Event, EventKind, ExecutorKind, WorkloadId, WorkloadName};
use watch::delays;
use work::{Done, work};

/// A lost event costs so much at most.
const OBSERVATION_PERIOD: Duration = Duration::from_secs(30);
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
            // The scheduler tells people, once for each change.
            Err(error) => debug!(job_id, %workload, executor, %error, "command failed"),
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
