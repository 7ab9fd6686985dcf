//! When the actor runs its tasks, and how it awaits their answers.

use std::time::Duration;

use actix::prelude::*;

use super::{ControlPlaneSync, PUBLICATION_PERIOD, TASK_DEADLINE};
use crate::control_plane_sync::server::api::Answer;
use crate::control_plane_sync::server::error::{Call, ControlPlaneError};
use crate::control_plane_sync::state::deletion_guard::RECHECK;
use crate::control_plane_sync::tasks::Task;

impl ControlPlaneSync {
    pub(super) fn after(&mut self, delay: Duration, task: Task, ctx: &mut Context<Self>) {
        let timer = ctx.run_later(delay, move |actor, ctx| actor.run(task, ctx));
        if let Some(former) = self.timers.insert(task, timer) {
            ctx.cancel_future(former);
        }
    }

    pub(super) fn now(&mut self, task: Task, ctx: &mut Context<Self>) {
        self.after(Duration::ZERO, task, ctx);
    }

    /// Asks for the configuration; once more if an answer that may be outdated is under way.
    pub(super) fn want_configuration(&mut self, ctx: &mut Context<Self>) {
        let progress = self.tasks.of(Task::Configuration);
        progress.is_outdated = progress.is_under_way;
        self.now(Task::Configuration, ctx);
    }

    /// Starts the questions that only a member may ask.
    pub(super) fn ask_all(&mut self, ctx: &mut Context<Self>) {
        if self.is_member() {
            for task in [Task::Configuration, Task::Heartbeat, Task::Control] {
                self.now(task, ctx);
            }
        }
    }

    /// Sends a changed status early, unless the control plane has trouble enough.
    pub(super) fn hurry(&mut self, ctx: &mut Context<Self>) {
        let heartbeat = self.tasks.of(Task::Heartbeat);
        let may_hurry = !heartbeat.is_under_way && heartbeat.failures.count() == 0;
        if let Some(delay) = self.status.early(self.clock.now().monotonic)
            && may_hurry
            && self.is_member()
        {
            self.after(delay, Task::Heartbeat, ctx);
        }
    }

    pub(super) fn run(&mut self, task: Task, ctx: &mut Context<Self>) {
        self.timers.remove(&task);
        if !self.has_begun || self.tasks.of(task).is_under_way {
            return;
        }
        match task {
            Task::Publication => {
                self.publish_each_period(ctx);
                self.after(PUBLICATION_PERIOD, task, ctx);
            }
            Task::Enrolment => self.pursue_membership(ctx),
            Task::Configuration => self.fetch(ctx),
            Task::Heartbeat => self.beat(ctx),
            Task::Control => self.listen(ctx),
        }
    }

    /// Waits for an answer beside everything else.
    pub(super) fn await_answer<T: 'static>(
        &mut self,
        (task, call): (Task, Call),
        answer: Answer<T>,
        ctx: &mut Context<Self>,
        take: impl FnOnce(&mut Self, Result<T, ControlPlaneError>, &mut Context<Self>) + 'static,
    ) {
        self.work(task, answer, ctx, move |actor, answer, ctx| {
            actor.answered(task, call, answer.as_ref().err());
            if answer.as_ref().is_err_and(ControlPlaneError::is_about_identity) {
                actor.read_identity_again();
            }
            take(actor, answer, ctx);
            actor.note_missing();
            if std::mem::take(&mut actor.tasks.of(task).is_outdated) {
                actor.now(task, ctx);
            }
        });
    }

    /// Waits for something that `task` needs, beside everything else. Questions that waited for the
    /// enrolment are asked afterwards.
    pub(super) fn work<T: 'static>(
        &mut self,
        task: Task,
        work: impl Future<Output = T> + 'static,
        ctx: &mut Context<Self>,
        take: impl FnOnce(&mut Self, T, &mut Context<Self>) + 'static,
    ) {
        let due = self.vitals.due_by(self.clock.now().monotonic + TASK_DEADLINE);
        self.tasks.of(task).is_under_way = true;
        let work = work.into_actor(self).map(move |done, actor, ctx| {
            drop(due);
            actor.tasks.of(task).is_under_way = false;
            let was_member = actor.is_member();
            take(actor, done, ctx);
            // Whatever made it one, also the return to an identity that was refused: tasks of a member
            // rest meanwhile and plan nothing.
            if !was_member {
                actor.ask_all(ctx);
            }
            if !actor.tasks.of(Task::Enrolment).is_under_way {
                for waiting in std::mem::take(&mut actor.waiting) {
                    actor.now(waiting, ctx);
                }
            }
        });
        ctx.spawn(work);
    }

    /// Remembers how a question was answered.
    pub(super) fn answered(&mut self, task: Task, call: Call, error: Option<&ControlPlaneError>) {
        let now = self.clock.now();
        self.call_stats.answered(task, error, now);
        self.note(call, error.map(ToString::to_string));
        match (error, call) {
            (Some(error), _) => self.withheld.refused(call, error, now.monotonic),
            (None, Call::Configuration | Call::Heartbeat | Call::Control) => {
                self.troubles.remove(&task);
                self.withheld.given(call);
            }
            // What came of these is yet to be seen.
            (None, Call::Enrolment | Call::Registration) => {}
        }
    }

    /// Plans the next run of `task`: after a period, or later with each failure.
    pub(super) fn again(&mut self, task: Task, is_good: bool, ctx: &mut Context<Self>) {
        let period = self.desired.period();
        let progress = self.tasks.of(task);
        let delay = progress.finished(is_good, period, fastrand::f64());
        self.after(delay, task, ctx);
    }

    /// Plans the next run while something is said that must be repeated to be believed.
    pub(super) fn recheck(&mut self, task: Task, ctx: &mut Context<Self>) {
        self.tasks.of(task).failures.reset();
        self.after(self.desired.period().min(RECHECK), task, ctx);
    }
}
