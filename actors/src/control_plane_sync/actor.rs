//! Keeps the device known to its control plane, and tells the agent what shall run.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::error::Elapsed;
use tracing::{info, warn};

use super::client::{Answer, ControlAnswer, Heartbeat};
use super::control_plane_error::ControlPlaneError;
use super::desired::{Adoption, Desired};
use super::enrolment::{Next, Notice, Stage, Step};
use super::errands::{Errand, Errands};
use super::identity::described;
use super::membership::{Membership, Progress, Shown};
use super::source::{ConfigurationStore, Source};
use super::status::Status;
use super::wipe_guard::{RECHECK, WipeGuard};
use crate::clock::{Clock, Moment};
use crate::messages::{
    ActorHealthChanged, EventRecorded, JobsReported, ProfilesConfigured, WorkloadsConfigured, tell,
};
use crate::supervisor::Vitals;
use crate::workload::{Configuration, Event, EventKind};

/// Longer than the client takes for any answer; past it the actor counts as hung.
const ERRAND_DEADLINE: Duration = Duration::from_secs(120);

/// Time for writing a configuration; past it the agent works on without.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a configuration is being written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Keeping {
    #[default]
    Idle,
    Writing,
    /// Another one has come into force meanwhile.
    Outdated,
}

/// The actor between the control plane, or a folder of manifests, and the rest of the agent.
pub struct ControlPlaneSync {
    source: Source,
    store: Box<dyn ConfigurationStore>,
    scheduler: Recipient<WorkloadsConfigured>,
    evaluator: Recipient<ProfilesConfigured>,
    clock: Clock,
    vitals: Vitals,

    /// None over a folder.
    membership: Option<Membership>,
    desired: Desired,
    status: Status,
    /// Answers that say that the device was deleted.
    deleted: WipeGuard,
    keeping: Keeping,
    errands: Errands,
    timers: BTreeMap<Errand, SpawnHandle>,
    /// The last failure of each errand, so that it is logged once.
    failures: BTreeMap<Errand, String>,
    /// The last trouble reported for each errand, so that it is one event.
    troubles: BTreeMap<Errand, String>,
}

impl ControlPlaneSync {
    /// Returns the actor; it reads the stored configuration when it starts.
    #[must_use]
    pub fn new(
        source: Source,
        store: Box<dyn ConfigurationStore>,
        scheduler: Recipient<WorkloadsConfigured>,
        evaluator: Recipient<ProfilesConfigured>,
        clock: Clock,
        vitals: Vitals,
    ) -> Self {
        Self {
            source,
            store,
            scheduler,
            evaluator,
            clock,
            vitals,
            membership: None,
            desired: Desired::default(),
            status: Status::default(),
            deleted: WipeGuard::default(),
            keeping: Keeping::Idle,
            errands: Errands::default(),
            timers: BTreeMap::new(),
            failures: BTreeMap::new(),
            troubles: BTreeMap::new(),
        }
    }
}

impl Actor for ControlPlaneSync {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.restore();
        self.publish();
        self.after(self.desired.period(), Errand::Publication, ctx);
        match &self.source {
            Source::Server { identity, .. } => {
                let (membership, findings) = Membership::begin(identity, fastrand::f64());
                self.membership = Some(membership);
                for finding in findings {
                    self.report(EventKind::Warn, "IdentityNeedsAttention", finding);
                }
                self.now(Errand::Enrolment, ctx);
                self.ask_all(ctx);
            }
            Source::Folder(_) => {
                self.now(Errand::Configuration, ctx);
                self.watch(ctx);
            }
        }
    }
}

impl Supervised for ControlPlaneSync {
    /// Timers and questions are gone with the former life. What others told (reports, events,
    /// health) is kept, because not all of it is told twice.
    fn restarting(&mut self, _ctx: &mut Self::Context) {
        self.membership = None;
        self.deleted = WipeGuard::default();
        self.keeping = Keeping::Idle;
        self.errands = Errands::default();
        self.timers = BTreeMap::new();
        self.failures = BTreeMap::new();
    }
}

impl Handler<JobsReported> for ControlPlaneSync {
    type Result = ();

    fn handle(&mut self, message: JobsReported, ctx: &mut Self::Context) {
        if self.status.report(message.jobs) {
            self.hurry(ctx);
        }
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
        self.status.actor_health(message.actor, &message.health);
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
        if self.errands.of(errand).is_under_way {
            return;
        }
        match errand {
            Errand::Publication => {
                self.publish();
                self.after(self.desired.period(), errand, ctx);
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
        let due = self
            .vitals
            .due_by(self.clock.now().monotonic + ERRAND_DEADLINE);
        self.errands.of(errand).is_under_way = true;
        let answer = answer.into_actor(self).map(move |answer, actor, ctx| {
            drop(due);
            actor.errands.of(errand).is_under_way = false;
            actor.note(errand, answer.as_ref().err().map(ToString::to_string));
            take(actor, answer, ctx);
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

// ---- errands: what ----------------------------------------------------------------------------

impl ControlPlaneSync {
    fn pursue_membership(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let (Source::Server { api, identity }, Some(membership)) =
            (&self.source, &mut self.membership)
        else {
            return;
        };
        match membership.enrolment.next(now) {
            Next::After(delay) => self.after(delay, Errand::Enrolment, ctx),
            Next::Now(step) => match membership.ask(step, &**api, identity) {
                Ok(answer) => {
                    self.await_answer(Errand::Enrolment, answer, ctx, move |actor, answer, ctx| {
                        actor.advance(step, answer, ctx);
                    })
                }
                Err(error) => {
                    membership.enrolment.wait(now, fastrand::f64());
                    self.trouble(Errand::Enrolment, "IdentityUnusable", described(&error));
                    self.now(Errand::Enrolment, ctx);
                }
            },
        }
    }

    fn advance(
        &mut self,
        step: Step,
        answer: Result<Progress, ControlPlaneError>,
        ctx: &mut Context<Self>,
    ) {
        let (now, random) = (self.clock.now(), fastrand::f64());
        let was_member = self.is_member();
        let (Source::Server { api, identity }, Some(membership)) =
            (&self.source, &mut self.membership)
        else {
            return;
        };
        match answer {
            Ok(Progress::Enrolment(answer)) => membership.enrolment.enrolled(answer, now, random),
            Ok(Progress::Certificate(pem)) => match membership.adopt(&pem, &**api, identity) {
                Ok(()) => {
                    info!("device certificate received");
                    self.status.introduce();
                }
                Err(error) => {
                    membership.enrolment.wait(now, random);
                    self.trouble(Errand::Enrolment, "IdentityUnusable", described(&error));
                }
            },
            Err(error) => {
                if let Some(notice) = membership.enrolment.failed(step, &error, now, random) {
                    self.announce(notice);
                }
            }
        }
        if !was_member {
            self.ask_all(ctx);
        }
        self.now(Errand::Enrolment, ctx);
    }

    fn fetch(&mut self, ctx: &mut Context<Self>) {
        if self.may_ask(Errand::Configuration, ctx) {
            let answer = self.source.configurations().configuration();
            self.await_answer(Errand::Configuration, answer, ctx, Self::fetched);
        }
    }

    fn fetched(
        &mut self,
        answer: Result<Configuration, ControlPlaneError>,
        ctx: &mut Context<Self>,
    ) {
        match answer {
            Ok(configuration) => {
                self.accepted();
                self.adopt(configuration, ctx);
            }
            Err(ControlPlaneError::Unauthorized { .. }) => {
                self.again(Errand::Configuration, false, ctx);
                if let Some(membership) = &mut self.membership {
                    membership.enrolment.refused();
                    self.now(Errand::Enrolment, ctx);
                }
            }
            Err(ControlPlaneError::DeviceUnknown { .. }) => {
                self.hear_of_deletion(Errand::Configuration, ctx);
            }
            Err(error) => {
                if let ControlPlaneError::Undecodable { .. } = error {
                    self.trouble(
                        Errand::Configuration,
                        "ConfigurationRefused",
                        error.to_string(),
                    );
                }
                self.again(Errand::Configuration, false, ctx);
            }
        }
    }

    fn adopt(&mut self, configuration: Configuration, ctx: &mut Context<Self>) {
        let period = self.desired.period();
        let now = self.clock.now().monotonic;
        let adoption = match &self.source {
            Source::Server { .. } => self.desired.adopt_guarded(configuration, now),
            Source::Folder(_) => self.desired.adopt(configuration),
        };
        match adoption {
            Adoption::Doubted => return self.recheck(Errand::Configuration, ctx),
            Adoption::Unchanged => {}
            Adoption::Changed => {
                self.keep_and_publish(ctx);
            }
        }
        self.again(Errand::Configuration, true, ctx);
        if self.desired.period() != period {
            self.after(self.desired.period(), Errand::Publication, ctx);
            if self.is_member() {
                self.again(Errand::Heartbeat, true, ctx);
                self.again(Errand::Control, true, ctx);
            }
        }
    }

    fn beat(&mut self, ctx: &mut Context<Self>) {
        if !self.may_ask(Errand::Heartbeat, ctx) {
            return;
        }
        let Source::Server { api, .. } = &self.source else {
            return;
        };
        let now = self.clock.now().monotonic;
        let heartbeat = self.status.take(self.desired.current(), now);
        let Heartbeat { events, .. } = heartbeat.clone();
        let answer = api.heartbeat(heartbeat);
        self.await_answer(Errand::Heartbeat, answer, ctx, move |actor, answer, ctx| {
            match &answer {
                Ok(()) => actor.status.delivered(),
                Err(_) => actor.status.put_back(events),
            }
            actor.again(Errand::Heartbeat, answer.is_ok(), ctx);
            actor.hurry(ctx);
        });
    }

    fn listen(&mut self, ctx: &mut Context<Self>) {
        if !self.may_ask(Errand::Control, ctx) {
            return;
        }
        let Source::Server { api, .. } = &self.source else {
            return;
        };
        let answer = api.control();
        self.await_answer(
            Errand::Control,
            answer,
            ctx,
            |actor, answer, ctx| match answer {
                Ok(ControlAnswer::Nothing) => {
                    actor.deleted.clear();
                    actor.again(Errand::Control, true, ctx);
                }
                Ok(ControlAnswer::Disconnect) => actor.hear_of_deletion(Errand::Control, ctx),
                Err(_) => actor.again(Errand::Control, false, ctx),
            },
        );
    }

    /// Takes an answer that says that the device was deleted.
    fn hear_of_deletion(&mut self, errand: Errand, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        if !self.is_member() {
            return;
        }
        if !self.deleted.doubts(now.monotonic) {
            return self.recheck(errand, ctx);
        }
        self.leave(now, ctx);
        self.now(Errand::Enrolment, ctx);
    }

    /// Removes all workloads and the identity, because the control plane deleted the device.
    fn leave(&mut self, now: Moment, ctx: &mut Context<Self>) {
        self.deleted.clear();
        self.desired.clear();
        self.keep_and_publish(ctx);
        let text = "the control plane has deleted this device: its workloads are removed, and it enrols again";
        self.report(EventKind::Warn, "DeviceDeleted", text.to_owned());
        let (Source::Server { identity, .. }, Some(membership)) =
            (&self.source, &mut self.membership)
        else {
            return;
        };
        membership.enrolment.expelled(now, fastrand::f64());
        if let Err(error) = membership.forget(identity) {
            self.trouble(Errand::Enrolment, "IdentityUnusable", described(&error));
        }
    }
}

// ---- helpers ----------------------------------------------------------------------------------

impl ControlPlaneSync {
    fn is_member(&self) -> bool {
        let stage = self.membership.as_ref().map(|it| it.enrolment.stage());
        stage == Some(Stage::Registered)
    }

    /// Returns whether the errand may ask its question now, with the right identity shown. Without
    /// membership it rests; without a usable identity it tries again later.
    fn may_ask(&mut self, errand: Errand, ctx: &mut Context<Self>) -> bool {
        let (Source::Server { api, identity }, Some(membership)) =
            (&self.source, &mut self.membership)
        else {
            return true;
        };
        if membership.enrolment.stage() != Stage::Registered {
            return false;
        }
        if self.errands.of(Errand::Enrolment).is_under_way {
            // The client may be about to show another identity; the answer comes within a minute.
            self.after(Duration::from_secs(1), errand, ctx);
            return false;
        }
        match membership.show(Shown::Device, &**api, identity) {
            Ok(_) => true,
            Err(error) => {
                self.trouble(errand, "IdentityUnusable", described(&error));
                self.again(errand, false, ctx);
                false
            }
        }
    }

    /// Takes note that the device's own identity was accepted, and that the device exists.
    fn accepted(&mut self) {
        self.deleted.clear();
        let (Source::Server { identity, .. }, Some(membership)) =
            (&self.source, &mut self.membership)
        else {
            return;
        };
        if let Err(error) = membership.accepted(identity) {
            self.trouble(Errand::Enrolment, "IdentityUnusable", described(&error));
        }
    }

    fn restore(&mut self) {
        let restored = self.store.load();
        self.desired = Desired::restored(restored.configuration);
        for problem in restored.problems {
            self.report(EventKind::Warn, "StoredConfigurationDamaged", problem);
        }
    }

    /// Keeps the configuration in force, then publishes it. Without a disk the agent works on. One
    /// is written at a time; a newer one follows.
    fn keep_and_publish(&mut self, ctx: &mut Context<Self>) {
        let Some(configuration) = self.desired.current() else {
            return;
        };
        if self.keeping != Keeping::Idle {
            self.keeping = Keeping::Outdated;
            return;
        }
        self.keeping = Keeping::Writing;
        let save = tokio::time::timeout(STORE_TIMEOUT, self.store.save(configuration));
        ctx.spawn(
            save.into_actor(self)
                .map(|saved, actor, ctx| actor.kept(saved, ctx)),
        );
    }

    fn kept(&mut self, saved: Result<Result<(), String>, Elapsed>, ctx: &mut Context<Self>) {
        let saved = saved.unwrap_or_else(|_| Err("the disk does not answer".to_owned()));
        if let Err(error) = saved {
            self.report(EventKind::Warn, "ConfigurationNotStored", error);
        }
        let is_outdated = self.keeping == Keeping::Outdated;
        self.keeping = Keeping::Idle;
        if is_outdated {
            self.keep_and_publish(ctx);
        } else {
            self.publish();
        }
    }

    /// Tells what shall run, once it is known.
    fn publish(&self) {
        let Some(configuration) = self.desired.current() else {
            return;
        };
        let profiles = configuration.profiles.clone();
        tell(&self.evaluator, ProfilesConfigured { profiles });
        let workloads = WorkloadsConfigured {
            workloads: configuration.workloads.clone(),
            rejected: configuration.rejected.clone(),
        };
        tell(&self.scheduler, workloads);
    }

    /// Reads the folder again when it changes.
    fn watch(&mut self, ctx: &mut Context<Self>) {
        let changed = self.source.configurations().changed().into_actor(self);
        ctx.spawn(changed.map(|(), actor, ctx| {
            actor.now(Errand::Configuration, ctx);
            actor.watch(ctx);
        }));
    }

    fn announce(&mut self, notice: Notice) {
        let (reason, text) = match notice {
            Notice::RegistrationForbidden => (
                "RegistrationForbidden",
                "the control plane gave this device a certificate before and refuses another: \
                 ask the administrator to delete the EdgeDevice",
            ),
            Notice::IdentityRefused => (
                "IdentityRefused",
                "the control plane no longer accepts the device's certificate: \
                 the registration certificate is tried instead",
            ),
        };
        self.trouble(Errand::Enrolment, reason, text.to_owned());
    }

    /// Logs how an errand went, once for each change.
    fn note(&mut self, errand: Errand, failure: Option<String>) {
        match failure {
            None => {
                self.troubles.remove(&errand);
                if self.failures.remove(&errand).is_some() {
                    info!(errand = ?errand, "control plane answered again");
                }
            }
            Some(error) => {
                if self.failures.get(&errand) != Some(&error) {
                    warn!(errand = ?errand, %error, "control plane gave no usable answer");
                    self.failures.insert(errand, error);
                }
            }
        }
    }

    /// Reports what stands in the way of an errand, once for each change.
    fn trouble(&mut self, errand: Errand, reason: &'static str, message: String) {
        let key = format!("{reason}: {message}");
        if self.troubles.get(&errand) != Some(&key) {
            self.troubles.insert(errand, key);
            self.report(EventKind::Warn, reason, message);
        }
    }

    fn report(&mut self, kind: EventKind, reason: &'static str, message: String) {
        warn!(reason, error = %message, "control plane trouble recorded");
        self.status.record(Event {
            kind,
            reason,
            workload: None,
            message,
            at: self.clock.now().wall,
        });
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
