//! Receives commands for one podman service, and sends what it sees there.

mod availability;
pub(super) mod deps;
mod health;
mod images;
mod running;
mod state;
mod usage;
mod watch;
mod work;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tracing::{Instrument as _, debug, info, info_span};

use crate::backoff::Backoff;
use crate::command_ticket::CommandTicket;
use crate::messages::{CommandError, EventRecorded, ExecutorCommand, tell};
use crate::podman_executor::context::PodmanContext;
use crate::podman_executor::libpod::api::PodmanError;
use crate::podman_executor::libpod::events::PodmanEvent;
use crate::podman_executor::libpod::pacing::paced::Paced;
use crate::podman_executor::notices::{Notes, Notices};
use crate::podman_executor::observer::Observer;
use crate::podman_executor::probing::health::{HealthMonitor, RunKey};
use crate::workload::{Event, EventReason, WorkloadId, WorkloadName};
use deps::PodmanDeps;
use state::{
    Availability, Digest, LastWords, Link, Listings, MAX_RECONNECT_DELAY, MIN_LISTING_GAP,
    MIN_RECONNECT_DELAY,
};
use work::{Done, News, work};

/// Full listing interval; bounds how long a missed event goes unnoticed.
const LISTING_PERIOD: Duration = Duration::from_secs(30);

/// Runs commands on one podman service and reports what it observes.
pub struct PodmanExecutor {
    deps: PodmanDeps,
    context: Rc<PodmanContext>,
    observer: Rc<Observer>,
    link: Link,
    /// The last event's time, in Unix seconds: a new stream begins there.
    since: Option<i64>,
    reconnects: Backoff,
    /// Nothing listened on the socket when last tried: what listens next was just started, and is worth
    /// short delays again.
    was_unreachable: bool,
    listings: Listings,
    /// Least time from the beginning of one listing to that of the next.
    listing_gap: Duration,
    /// The limits that an earlier process of the agent left were looked at, after the first listing.
    has_mended_limits: bool,
    availability: Availability,
    last_words: LastWords,
    /// It was reported that podman is too slow.
    is_slow: bool,
    notices: Notices,
    health: HealthMonitor,
    /// The containers whose probes are run.
    probing: BTreeMap<RunKey, SpawnHandle>,
    /// By the ids of the images.
    digests: BTreeMap<String, Digest>,
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
            link: Link::Down,
            since: None,
            reconnects: Backoff::new(MIN_RECONNECT_DELAY, MAX_RECONNECT_DELAY),
            was_unreachable: false,
            listings: Listings::Idle,
            listing_gap: MIN_LISTING_GAP,
            has_mended_limits: false,
            availability: Availability::Unreported,
            last_words: LastWords::default(),
            is_slow: false,
            notices: Notices::default(),
            health: HealthMonitor::new(
                Rc::clone(&context.api),
                Rc::clone(&deps.network),
                context.volumes.clone(),
                deps.clock.clone(),
            ),
            probing: BTreeMap::new(),
            digests: BTreeMap::new(),
            context,
            deps,
        }
    }
}

impl Actor for PodmanExecutor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(Rc::clone(&self.context.api).drive_abandoned().into_actor(self));
        self.connect(ctx);
        self.look_for_partial_pods(ctx);
        self.tick(ctx);
        self.care_for_images(ctx);
        self.care_for_volumes(ctx);
        self.await_health(ctx);
    }
}

impl Supervised for PodmanExecutor {
    /// Drops what was observed: commands in flight were answered, and podman is asked afresh. What podman
    /// still works on, and what containers can write on the host, the hooks of pods that are no
    /// longer configured, and which pods a command ended could not be found out again.
    fn restarting(&mut self, _: &mut Self::Context) {
        let writers = self.context.writers.take();
        let configured = self.context.configured.take();
        let cut_short = self.context.cut_short.take();
        let mut hooks = self.context.hooks.take();
        let has_mended_limits = self.has_mended_limits;
        hooks.give_starts_up();
        *self = Self::over(Rc::clone(&self.context.api), self.deps.clone());
        self.has_mended_limits = has_mended_limits;
        self.context.writers.replace(writers);
        self.context.configured.replace(configured);
        self.context.hooks.replace(hooks);
        self.context.cut_short.replace(cut_short);
    }
}

impl Handler<ExecutorCommand> for PodmanExecutor {
    type Result = ();

    fn handle(&mut self, command: ExecutorCommand, ctx: &mut Self::Context) {
        self.learn_probes_to_start(&command.action);
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
        let (context, observer) = (Rc::clone(&self.context), Rc::clone(&self.observer));
        let work = work(context, observer, command, left);
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
                // A listing of all pods while podman works on one would only hold that up.
                if event.changes_state() && !self.context.is_expected(&event) {
                    self.list_soon(ctx);
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

    /// Answers a command after its outcome was sent as an observation, so that the next decision rests on it.
    fn answer(&mut self, ticket: CommandTicket, done: Done, ctx: &mut Context<Self>) {
        match done.news {
            News::Nothing => {}
            News::Pods(pods) => self.send(pods, ctx),
            News::Listing(listing) => self.listed(listing, ctx),
        }
        let (id, workload) = (done.action.workload_id(), done.action.workload_name());
        let (job_id, executor) = (id.as_str(), self.deps.kind.as_str());
        let step = done.action.as_str();
        match &done.result {
            Ok(_) => info!(job_id, %workload, executor, step, "command finished"),
            // The scheduler warns of it, once for each change.
            Err(error) => debug!(job_id, %workload, executor, step, %error, "command failed"),
        }
        let failed_hooks = self.context.hooks.borrow_mut().take_news(id);
        for message in failed_hooks {
            self.record(EventReason::HookFailed, Some(workload.clone()), message);
        }
        let result = done.result.map(|notes| self.notice(id, workload, notes));
        ticket.finish(result);
        // What changed meanwhile is seen without waiting for its event, but not at the cost of commands
        // that are under way.
        if !self.context.is_changing_pods() {
            self.list_soon(ctx);
        }
    }

    /// Reports once what could not be done as the specification says.
    fn notice(&mut self, id: &WorkloadId, workload: &WorkloadName, notes: Notes) {
        for (reason, message) in self.notices.news(id, notes) {
            self.record(reason, Some(workload.clone()), message);
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(LISTING_PERIOD, |actor, ctx| {
            actor.look_for_partial_pods(ctx);
            actor.list_soon(ctx);
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
