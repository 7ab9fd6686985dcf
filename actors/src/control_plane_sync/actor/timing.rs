//! When the actor runs its errands, and how it waits for their answers.

use std::time::Duration;

use actix::prelude::*;

use super::{ControlPlaneSync, ERRAND_DEADLINE, PUBLICATION_PERIOD};
use crate::control_plane_sync::api::Answer;
use crate::control_plane_sync::control_plane_error::{Call, ControlPlaneError};
use crate::control_plane_sync::errands::Errand;
use crate::control_plane_sync::wipe_guard::RECHECK;

impl ControlPlaneSync {
    pub(super) fn after(&mut self, delay: Duration, errand: Errand, ctx: &mut Context<Self>) {
        let timer = ctx.run_later(delay, move |actor, ctx| actor.run(errand, ctx));
        if let Some(former) = self.timers.insert(errand, timer) {
            ctx.cancel_future(former);
        }
    }

    pub(super) fn now(&mut self, errand: Errand, ctx: &mut Context<Self>) {
        self.after(Duration::ZERO, errand, ctx);
    }

    /// Asks for the configuration; once more after an answer that may be of before.
    pub(super) fn want_configuration(&mut self, ctx: &mut Context<Self>) {
        let progress = self.errands.of(Errand::Configuration);
        progress.is_outdated = progress.is_under_way;
        self.now(Errand::Configuration, ctx);
    }

    /// Starts the questions that only a member may ask.
    pub(super) fn ask_all(&mut self, ctx: &mut Context<Self>) {
        if self.is_member() {
            for errand in [Errand::Configuration, Errand::Heartbeat, Errand::Control] {
                self.now(errand, ctx);
            }
        }
    }

    /// Sends a changed status early, unless the control plane has trouble enough.
    pub(super) fn hurry(&mut self, ctx: &mut Context<Self>) {
        let heartbeat = self.errands.of(Errand::Heartbeat);
        let may_hurry = !heartbeat.is_under_way && heartbeat.failures.count() == 0;
        if let Some(delay) = self.status.early(self.clock.now().monotonic)
            && may_hurry
            && self.is_member()
        {
            self.after(delay, Errand::Heartbeat, ctx);
        }
    }

    pub(super) fn run(&mut self, errand: Errand, ctx: &mut Context<Self>) {
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
    pub(super) fn await_answer<T: 'static>(
        &mut self,
        (errand, call): (Errand, Call),
        answer: Answer<T>,
        ctx: &mut Context<Self>,
        take: impl FnOnce(&mut Self, Result<T, ControlPlaneError>, &mut Context<Self>) + 'static,
    ) {
        self.work(errand, answer, ctx, move |actor, answer, ctx| {
            actor.answered(errand, call, answer.as_ref().err());
            if answer.as_ref().is_err_and(ControlPlaneError::is_about_identity) {
                actor.read_identity_again();
            }
            take(actor, answer, ctx);
            actor.note_missing();
            if std::mem::take(&mut actor.errands.of(errand).is_outdated) {
                actor.now(errand, ctx);
            }
        });
    }

    /// Waits for something that `errand` needs, beside everything else. Questions that waited for the
    /// enrolment are asked afterwards.
    pub(super) fn work<T: 'static>(
        &mut self,
        errand: Errand,
        work: impl Future<Output = T> + 'static,
        ctx: &mut Context<Self>,
        take: impl FnOnce(&mut Self, T, &mut Context<Self>) + 'static,
    ) {
        let due = self.vitals.due_by(self.clock.now().monotonic + ERRAND_DEADLINE);
        self.errands.of(errand).is_under_way = true;
        let work = work.into_actor(self).map(move |done, actor, ctx| {
            drop(due);
            actor.errands.of(errand).is_under_way = false;
            take(actor, done, ctx);
            if !actor.errands.of(Errand::Enrolment).is_under_way {
                for waiting in std::mem::take(&mut actor.waiting) {
                    actor.now(waiting, ctx);
                }
            }
        });
        ctx.spawn(work);
    }

    /// Remembers how a question was answered.
    pub(super) fn answered(
        &mut self,
        errand: Errand,
        call: Call,
        error: Option<&ControlPlaneError>,
    ) {
        let now = self.clock.now();
        self.contact.answered(errand, error, now);
        self.note(call, error.map(ToString::to_string));
        match (error, call) {
            (Some(error), _) => self.withheld.refused(call, error, now.monotonic),
            (None, Call::Configuration | Call::Heartbeat | Call::Control) => {
                self.troubles.remove(&errand);
                self.withheld.given(call);
            }
            // What came of these is yet to be seen.
            (None, Call::Enrolment | Call::Registration) => {}
        }
    }

    /// Plans the next run of `errand`: after a period, or later with each failure.
    pub(super) fn again(&mut self, errand: Errand, is_good: bool, ctx: &mut Context<Self>) {
        let period = self.desired.period();
        let progress = self.errands.of(errand);
        let delay = progress.finished(is_good, period, fastrand::f64());
        self.after(delay, errand, ctx);
    }

    /// Plans the next run while something is said that must be repeated to be believed.
    pub(super) fn recheck(&mut self, errand: Errand, ctx: &mut Context<Self>) {
        self.errands.of(errand).failures.reset();
        self.after(self.desired.period().min(RECHECK), errand, ctx);
    }
}
