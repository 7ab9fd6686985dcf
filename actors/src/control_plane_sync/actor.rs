//! Keeps the device known to its control plane, and tells the agent what shall run.

mod announcements;
mod deps;
mod questions;
mod report;

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;

pub use deps::SyncDeps;

use super::api::Answer;
use super::contact::Contact;
use super::control_plane_error::ControlPlaneError;
use super::desired::Desired;
use super::errands::{Errand, Errands};
use super::membership::Membership;
use super::source::{ConfigurationStore, Source};
use super::status::Status;
use super::wipe_guard::{RECHECK, WipeGuard};
use crate::clock::Clock;
use crate::messages::{
    ActorHealth, ActorHealthChanged, ConfigurationWanted, EventRecorded, JobsReported,
    ProfilesConfigured, WorkloadsConfigured,
};
use crate::supervisor::Vitals;

/// Longer than the client takes for any answer; past it the actor counts as hung.
const ERRAND_DEADLINE: Duration = Duration::from_secs(120);

/// The configuration in force is told so often, whatever period the control plane wants.
const PUBLICATION_PERIOD: Duration = Duration::from_secs(60);

/// Whether a configuration is being written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Keeping {
    #[default]
    Idle,
    Writing,
    /// Another one has come into force meanwhile.
    Outdated,
    /// The one in force is not on the disk, as far as is known: it is tried again each period.
    Missing,
}

/// The actor between the control plane, or a folder of manifests, and the rest of the agent.
pub struct ControlPlaneSync {
    source: Source,
    store: Box<dyn ConfigurationStore>,
    /// Told in this order.
    workloads: Vec<Recipient<WorkloadsConfigured>>,
    evaluator: Recipient<ProfilesConfigured>,
    clock: Clock,
    vitals: Vitals,

    /// None over a folder.
    membership: Option<Membership>,
    desired: Desired,
    status: Status,
    contact: Contact,
    /// Answers that say that the device was deleted.
    deleted: WipeGuard,
    keeping: Keeping,
    /// What was on the disk is known: nothing is asked before.
    has_begun: bool,
    errands: Errands,
    timers: BTreeMap<Errand, SpawnHandle>,
    /// The last failure of each errand, so that it is logged once.
    failures: BTreeMap<Errand, String>,
    /// The last trouble reported for each errand, so that it is one event.
    troubles: BTreeMap<Errand, String>,
    /// What was wrong with the source when it was last asked.
    problems: Vec<String>,
}

impl ControlPlaneSync {
    /// Returns the actor; it reads the stored configuration when it starts.
    #[must_use]
    pub fn new(deps: SyncDeps) -> Self {
        let SyncDeps { source, store, workloads, evaluator, clock, vitals } = deps;
        Self {
            source,
            store,
            workloads,
            evaluator,
            clock,
            vitals,
            membership: None,
            desired: Desired::default(),
            status: Status::default(),
            contact: Contact::default(),
            deleted: WipeGuard::default(),
            keeping: Keeping::Idle,
            has_begun: false,
            errands: Errands::default(),
            timers: BTreeMap::new(),
            failures: BTreeMap::new(),
            troubles: BTreeMap::new(),
            problems: Vec::new(),
        }
    }
}

impl Actor for ControlPlaneSync {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.restore(ctx);
    }
}

impl Supervised for ControlPlaneSync {
    /// Timers and questions are gone with the former life. The configuration in force is kept,
    /// because the disk may hold an older one, and so is what others told (reports, events,
    /// health), because not all of it is told twice.
    fn restarting(&mut self, _ctx: &mut Self::Context) {
        self.membership = None;
        self.deleted = WipeGuard::default();
        self.status.put_back();
        self.keeping = match self.desired.current() {
            Some(_) => Keeping::Missing,
            None => Keeping::Idle,
        };
        self.errands = Errands::default();
        self.timers = BTreeMap::new();
        self.failures = BTreeMap::new();
        self.has_begun = false;
    }
}

impl Handler<JobsReported> for ControlPlaneSync {
    type Result = ();

    fn handle(&mut self, message: JobsReported, ctx: &mut Self::Context) {
        if self.status.report(message) {
            self.hurry(ctx);
        }
    }
}

impl Handler<ConfigurationWanted> for ControlPlaneSync {
    type Result = ();

    fn handle(&mut self, _: ConfigurationWanted, ctx: &mut Self::Context) {
        self.read_identity_again();
        self.want_configuration(ctx);
    }
}

impl Handler<EventRecorded> for ControlPlaneSync {
    type Result = ();

    fn handle(&mut self, message: EventRecorded, _ctx: &mut Self::Context) {
        self.status.record(message.event);
    }
}

impl Handler<ActorHealthChanged> for ControlPlaneSync {
    type Result = ();

    fn handle(&mut self, message: ActorHealthChanged, _ctx: &mut Self::Context) {
        let now = self.clock.now().wall;
        // A new life knows nothing of what shall run.
        if message.health == ActorHealth::Up {
            self.publish();
        }
        self.status.actor_health(message.actor, message.health, now);
    }
}

// ---- errands: when ----------------------------------------------------------------------------

impl ControlPlaneSync {
    fn after(&mut self, delay: Duration, errand: Errand, ctx: &mut Context<Self>) {
        let timer = ctx.run_later(delay, move |actor, ctx| actor.run(errand, ctx));
        if let Some(former) = self.timers.insert(errand, timer) {
            ctx.cancel_future(former);
        }
    }

    fn now(&mut self, errand: Errand, ctx: &mut Context<Self>) {
        self.after(Duration::ZERO, errand, ctx);
    }

    /// Asks for the configuration; once more after an answer that may be of before.
    fn want_configuration(&mut self, ctx: &mut Context<Self>) {
        let progress = self.errands.of(Errand::Configuration);
        progress.is_outdated = progress.is_under_way;
        self.now(Errand::Configuration, ctx);
    }

    /// Starts the questions that only a member may ask.
    fn ask_all(&mut self, ctx: &mut Context<Self>) {
        if self.is_member() {
            for errand in [Errand::Configuration, Errand::Heartbeat, Errand::Control] {
                self.now(errand, ctx);
            }
        }
    }

    /// Sends a changed status early, unless the control plane has trouble enough.
    fn hurry(&mut self, ctx: &mut Context<Self>) {
        let heartbeat = self.errands.of(Errand::Heartbeat);
        let may_hurry = !heartbeat.is_under_way && heartbeat.failures.count() == 0;
        if let Some(delay) = self.status.early(self.clock.now().monotonic)
            && may_hurry
            && self.is_member()
        {
            self.after(delay, Errand::Heartbeat, ctx);
        }
    }

    fn run(&mut self, errand: Errand, ctx: &mut Context<Self>) {
        self.timers.remove(&errand);
        if !self.has_begun || self.errands.of(errand).is_under_way {
            return;
        }
        match errand {
            Errand::Publication => {
                self.publish_each_period(ctx);
                self.after(PUBLICATION_PERIOD, errand, ctx);
            }
            Errand::Enrolment => self.pursue_membership(ctx),
            Errand::Configuration => self.fetch(ctx),
            Errand::Heartbeat => self.beat(ctx),
            Errand::Control => self.listen(ctx),
        }
    }

    /// Waits for an answer beside everything else.
    fn await_answer<T: 'static>(
        &mut self,
        errand: Errand,
        answer: Answer<T>,
        ctx: &mut Context<Self>,
        take: impl FnOnce(&mut Self, Result<T, ControlPlaneError>, &mut Context<Self>) + 'static,
    ) {
        let due = self.vitals.due_by(self.clock.now().monotonic + ERRAND_DEADLINE);
        self.errands.of(errand).is_under_way = true;
        let answer = answer.into_actor(self).map(move |answer, actor, ctx| {
            drop(due);
            actor.errands.of(errand).is_under_way = false;
            let now = actor.clock.now().wall;
            actor.contact.answered(errand, answer.as_ref().err(), now);
            actor.note(errand, answer.as_ref().err().map(ToString::to_string));
            if answer.as_ref().is_err_and(ControlPlaneError::is_about_identity) {
                actor.read_identity_again();
            }
            take(actor, answer, ctx);
            if std::mem::take(&mut actor.errands.of(errand).is_outdated) {
                actor.now(errand, ctx);
            }
        });
        ctx.spawn(answer);
    }

    /// Plans the next run of `errand`: after a period, or later with each failure.
    fn again(&mut self, errand: Errand, is_good: bool, ctx: &mut Context<Self>) {
        let period = self.desired.period();
        let progress = self.errands.of(errand);
        let delay = progress.finished(is_good, period, fastrand::f64());
        self.after(delay, errand, ctx);
    }

    /// Plans the next run while something is said that must be repeated to be believed.
    fn recheck(&mut self, errand: Errand, ctx: &mut Context<Self>) {
        self.errands.of(errand).failures.reset();
        self.after(self.desired.period().min(RECHECK), errand, ctx);
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
