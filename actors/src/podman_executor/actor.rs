//! Receives commands for one podman service, and sends what it sees there.

mod availability;
pub(super) mod deps;
mod images;
mod state;
mod watch;
mod work;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tracing::{Instrument as _, debug, info, info_span};

use crate::backoff::Backoff;
use crate::clock::Monotonic;
use crate::command_ticket::CommandTicket;
use crate::messages::{CommandError, EventRecorded, ExecutorCommand, tell};
use crate::podman_executor::context::PodmanContext;
use crate::podman_executor::libpod::api::PodmanError;
use crate::podman_executor::libpod::events::PodmanEvent;
use crate::podman_executor::libpod::pacing::paced::Paced;
use crate::podman_executor::notices::{Notes, Notices};
use crate::podman_executor::observer::Observer;
use crate::workload::{Event, EventReason, ObservedPod, WorkloadId, WorkloadName};
use deps::PodmanDeps;
use state::{
    Availability, LastWords, Link, Listing, MAX_RECONNECT_DELAY, MIN_OBSERVATION_GAP,
    MIN_RECONNECT_DELAY,
};
use work::{Done, Seen, work};

/// Full listing interval; bounds how long a missed event goes unnoticed.
const OBSERVATION_PERIOD: Duration = Duration::from_secs(30);

/// Runs commands on one podman service and reports what it observes.
pub struct PodmanExecutor {
    deps: PodmanDeps,
    context: Rc<PodmanContext>,
    observer: Rc<Observer>,
    link: Link,
    /// The last event's time: a new stream begins there.
    since: Option<i64>,
    reconnects: Backoff,
    /// Nobody listened when last tried: what comes next is another podman.
    absent: bool,
    listing: Listing,
    /// Whether podman was ever seen.
    has_seen: bool,
    /// When the youngest observation that was sent had been made.
    observed_at: Option<Monotonic>,
    /// Time between two observations in a burst of events.
    gap: Duration,
    /// Every pod, as last sent.
    told: Option<Vec<ObservedPod>>,
    /// Pods that a command made or removed, and when, as long as a look may be under way that
    /// began before.
    touched: BTreeMap<WorkloadId, Monotonic>,
    availability: Availability,
    last_words: LastWords,
    /// It was reported that podman is too slow.
    is_slow: bool,
    notices: Notices,
}

impl PodmanExecutor {
    /// Returns an executor that has not spoken to podman yet.
    #[must_use]
    pub fn new(deps: PodmanDeps) -> Self {
        let podman = Paced::new(Rc::clone(&deps.api), deps.clock.clone());
        Self::over(Rc::new(podman), deps)
    }

    fn over(podman: Rc<Paced>, deps: PodmanDeps) -> Self {
        let context = Rc::new(PodmanContext::new(&deps, podman));
        Self {
            observer: Rc::new(Observer::new(Rc::clone(&context))),
            context,
            link: Link::Down,
            since: None,
            reconnects: Backoff::new(MIN_RECONNECT_DELAY, MAX_RECONNECT_DELAY),
            absent: false,
            listing: Listing::Idle,
            has_seen: false,
            observed_at: None,
            gap: MIN_OBSERVATION_GAP,
            told: None,
            touched: BTreeMap::new(),
            availability: Availability::Untold,
            last_words: LastWords::default(),
            is_slow: false,
            notices: Notices::default(),
            deps,
        }
    }
}

impl Actor for PodmanExecutor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(Rc::clone(&self.context.api).hear_out().into_actor(self));
        self.connect(ctx);
        self.look_for_partial_pods(ctx);
        self.tick(ctx);
        self.care_for_images(ctx);
        self.care_for_volumes(ctx);
    }
}

impl Supervised for PodmanExecutor {
    /// Drops all that was seen: commands in flight were answered, and podman is asked afresh. What
    /// podman still works on, and what containers can write on the host, would not be found out again.
    fn restarting(&mut self, _: &mut Self::Context) {
        let writers = self.context.writers.take();
        *self = Self::over(Rc::clone(&self.context.api), self.deps.clone());
        self.context.writers.replace(writers);
    }
}

impl Handler<ExecutorCommand> for PodmanExecutor {
    type Result = ();

    fn handle(&mut self, command: ExecutorCommand, ctx: &mut Self::Context) {
        let ticket = self.ticket(&command);
        let left = self.context.left(command.deadline);
        if left.is_zero() {
            return ticket.finish(Err(CommandError::Expired));
        }
        let span = info_span!(
            "command",
            job_id = %command.action.workload_id(),
            workload = %command.action.workload_name(),
            executor = %self.deps.kind,
        );
        let is_absent = self.is_absent(command.action.workload_id());
        let (context, observer) = (Rc::clone(&self.context), Rc::clone(&self.observer));
        let work = work(context, observer, command, left, is_absent);
        let work = work.instrument(span).into_actor(self);
        ctx.spawn(work.map(|done, actor, ctx| actor.answer(ticket, done, ctx)));
    }
}

impl StreamHandler<Result<PodmanEvent, PodmanError>> for PodmanExecutor {
    fn handle(&mut self, event: Result<PodmanEvent, PodmanError>, ctx: &mut Self::Context) {
        match event {
            Ok(event) => {
                // One that is dated after now would hide all that comes before it.
                let time = event.time.min(self.deps.clock.now().wall.timestamp());
                self.since = self.since.max(Some(time));
                // Looking at all pods while podman works on one would only hold that up.
                if event.changes_state() && !self.context.causes(&event) {
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
            self.deps.command_results.clone(),
            self.deps.clock.clone(),
            &self.deps.vitals,
        )
    }

    /// Returns whether the last look, and what commands did since, show no pod `id`.
    fn is_absent(&self, id: &WorkloadId) -> bool {
        let told = self.told.as_ref().filter(|_| self.observer.sees());
        told.is_some_and(|pods| pods.iter().all(|pod| pod.id != *id))
    }

    /// Answers a command after its outcome was sent as an observation, so that the next decision rests on it.
    fn answer(&mut self, ticket: CommandTicket, done: Done, ctx: &mut Context<Self>) {
        match done.seen {
            Seen::Nothing => {}
            Seen::All(seen) => self.seen(seen, ctx),
            Seen::Pod(at, pod) => self.seen_one(at, &pod.id.clone(), Some(pod)),
            Seen::Gone(at, id) => self.seen_one(at, &id, None),
        }
        let (id, workload) = (done.action.workload_id(), done.action.workload_name());
        let (job_id, executor) = (id.as_str(), self.deps.kind.as_str());
        let step = done.action.as_str();
        match &done.result {
            Ok(_) => info!(job_id, %workload, executor, step, "command finished"),
            // The scheduler warns of it, once for each change.
            Err(error) => debug!(job_id, %workload, executor, step, %error, "command failed"),
        }
        let result = done.result.map(|notes| self.notice(id, workload, notes));
        ticket.finish(result);
        // A state that changed since that look is seen without waiting for its event, but not at
        // the cost of what is under way.
        if !self.context.is_changing_pods() {
            self.observe_soon(ctx);
        }
    }

    /// Reports once what could not be done as the specification says.
    fn notice(&mut self, id: &WorkloadId, workload: &WorkloadName, notes: Notes) {
        for (reason, message) in self.notices.news(id, notes) {
            self.record(reason, Some(workload.clone()), message);
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(OBSERVATION_PERIOD, |actor, ctx| {
            actor.look_for_partial_pods(ctx);
            actor.observe_soon(ctx);
            actor.tick(ctx);
        });
    }

    fn record(&self, reason: EventReason, workload: Option<WorkloadName>, message: String) {
        let event = Event::new(reason, workload, message, self.deps.clock.now().wall);
        tell(&self.deps.events, EventRecorded { event });
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
