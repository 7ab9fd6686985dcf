//! How the actor gets the device known to its control plane, keeps it so, and takes it out.

use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tracing::info;

use super::ControlPlaneSync;
use crate::clock::Moment;
use crate::control_plane_sync::identity::enrolment::{Next, Stage, Step};
use crate::control_plane_sync::identity::error::IdentityError;
use crate::control_plane_sync::identity::membership::{
    Adopted, Identity, Membership, MembershipError, Prepared, Progress,
};
use crate::control_plane_sync::server::api::EnrolmentAnswer;
use crate::control_plane_sync::server::error::{Call, ControlPlaneError};
use crate::control_plane_sync::source::Source;
use crate::control_plane_sync::tasks::Task;
use crate::error_chain::error_chain;
use crate::workload::EventReason;

/// Time until a disk that did not answer is asked again.
const DISK_RETRY_DELAY: Duration = Duration::from_secs(10);

impl ControlPlaneSync {
    /// Reads the identity, and with it begins to ask. A disk that does not answer is asked again.
    pub(super) fn begin_membership(&mut self, ctx: &mut Context<Self>) {
        let Source::Server { api, identity } = &self.source else {
            return;
        };
        let reading = Membership::begin(Rc::clone(api), identity.clone(), fastrand::f64());
        self.work(Task::Enrolment, reading, ctx, |actor, found, ctx| {
            let (membership, findings) = match found {
                Ok(found) => found,
                Err(error) => {
                    actor.identity_trouble(Call::Enrolment, &error);
                    ctx.run_later(DISK_RETRY_DELAY, Self::begin_membership);
                    return;
                }
            };
            actor.membership = Some(membership);
            for finding in findings {
                actor.report(EventReason::IdentityNeedsAttention, finding);
            }
            actor.now(Task::Enrolment, ctx);
        });
    }

    pub(super) fn pursue_membership(&mut self, ctx: &mut Context<Self>) {
        let Some(membership) = &mut self.membership else {
            return;
        };
        if let Some(pem) = self.certificate.clone() {
            let adopting = membership.adopt(pem);
            return self.work(Task::Enrolment, adopting, ctx, Self::adopted_identity);
        }
        match membership.enrolment.next(self.clock.now()) {
            Next::After(delay) => self.after(delay, Task::Enrolment, ctx),
            Next::Now(step) => {
                let preparing = membership.prepare(step);
                self.work(Task::Enrolment, preparing, ctx, move |actor, prepared, ctx| {
                    actor.ask_for(step, prepared, ctx);
                });
            }
        }
    }

    fn ask_for(
        &mut self,
        step: Step,
        prepared: Result<Prepared, MembershipError>,
        ctx: &mut Context<Self>,
    ) {
        let Some(membership) = &mut self.membership else {
            return;
        };
        match prepared {
            Ok(prepared) => {
                membership.now_shows(prepared.shown);
                self.unusable = None;
                let task = (Task::Enrolment, call_of(step));
                self.await_answer(task, prepared.answer, ctx, move |actor, answer, ctx| {
                    actor.advance(step, answer, ctx);
                });
            }
            Err(error) => {
                membership.enrolment.wait(self.clock.now(), fastrand::f64());
                self.identity_trouble(call_of(step), &error);
                self.now(Task::Enrolment, ctx);
            }
        }
    }

    fn advance(
        &mut self,
        step: Step,
        answer: Result<Progress, ControlPlaneError>,
        ctx: &mut Context<Self>,
    ) {
        let (now, random) = (self.clock.now(), fastrand::f64());
        let Some(membership) = &mut self.membership else {
            return;
        };
        match answer {
            Ok(Progress::Enrolment(answer)) => {
                if membership.enrolment.enrolled(answer, now, random) {
                    info!("device enrolled");
                }
                match answer {
                    EnrolmentAnswer::Pending => self.withheld.not_approved(now.monotonic),
                    EnrolmentAnswer::Approved => self.withheld.given(Call::Enrolment),
                }
            }
            Ok(Progress::Certificate(pem)) => self.certificate = Some(pem),
            Err(error) => {
                if let Some(notice) = membership.enrolment.failed(step, &error, now, random) {
                    self.announce(notice);
                }
            }
        }
        self.now(Task::Enrolment, ctx);
    }

    fn adopted_identity(
        &mut self,
        adopted: Result<Adopted, MembershipError>,
        ctx: &mut Context<Self>,
    ) {
        let now = self.clock.now();
        let Some(membership) = &mut self.membership else {
            return;
        };
        if let Err(MembershipError::Identity(
            error @ (IdentityError::Disk(_) | IdentityError::Write { .. }),
        )) = &adopted
        {
            // The control plane gives a certificate once: it is kept until the disk takes it.
            let message = error_chain(error);
            self.trouble(Task::Enrolment, EventReason::IdentityUnusable, message);
            self.after(DISK_RETRY_DELAY, Task::Enrolment, ctx);
            return;
        }
        self.certificate = None;
        match adopted.and_then(|adopted| membership.adopted(adopted, now.monotonic)) {
            Ok(()) => {
                info!("device certificate received");
                self.status.introduce();
                self.troubles.remove(&Task::Enrolment);
                self.withheld.given(Call::Registration);
            }
            Err(error) => {
                membership.enrolment.wait(now, fastrand::f64());
                let message = error_chain(&error);
                self.withheld.unable(Call::Registration, message.clone(), now.monotonic);
                self.trouble(Task::Enrolment, EventReason::IdentityUnusable, message);
            }
        }
        self.now(Task::Enrolment, ctx);
    }

    /// Takes an answer that says that the device was deleted.
    pub(super) fn deletion_reported(&mut self, task: Task, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        if !self.is_member() {
            return;
        }
        // An identity that is being read or written now must not come back after it was removed.
        let is_busy = self.tasks.of(Task::Enrolment).is_under_way;
        if is_busy || !self.deleted.confirms(now.monotonic) {
            return self.recheck(task, ctx);
        }
        self.leave_control_plane(now, ctx);
        self.now(Task::Enrolment, ctx);
    }

    /// Removes all workloads and the identity, because the control plane deleted the device.
    pub(super) fn leave_control_plane(&mut self, now: Moment, ctx: &mut Context<Self>) {
        self.deleted.clear();
        self.withheld.clear();
        self.desired.clear();
        self.keep_and_publish(ctx);
        let text = "the control plane has deleted this device: its workloads are removed, and it enrols again";
        self.report(EventReason::DeviceDeleted, text.to_owned());
        let Some(membership) = &mut self.membership else {
            return;
        };
        membership.enrolment.expelled(now, fastrand::f64());
        self.certificate = None;
        let forgetting = membership.forget();
        self.work(Task::Enrolment, forgetting, ctx, |actor, forgotten, ctx| {
            if let Err(error) = forgotten {
                actor.identity_unusable(&error);
            } else if let Some(membership) = &mut actor.membership {
                membership.forgotten();
            }
            actor.now(Task::Enrolment, ctx);
        });
    }

    fn identity_unusable(&mut self, error: &MembershipError) {
        self.trouble(Task::Enrolment, EventReason::IdentityUnusable, error_chain(error));
    }

    pub(super) const fn read_identity_again(&mut self) {
        let is_being_read = self.tasks.of(Task::Enrolment).is_under_way;
        if let Some(membership) = &mut self.membership {
            membership.show_again(is_being_read);
        }
    }

    pub(super) fn is_member(&self) -> bool {
        let stage = self.membership.as_ref().map(|it| it.enrolment.stage());
        stage == Some(Stage::Registered)
    }

    /// Returns whether the task may ask its question now, with the right identity shown. Without
    /// membership it rests; while the identity is read it waits; without a usable one it tries again
    /// later.
    pub(super) fn may_ask(&mut self, task: Task, ctx: &mut Context<Self>) -> bool {
        if matches!(self.source, Source::Folder(_)) {
            return true;
        }
        let Some(membership) = self.membership.as_ref().filter(|_| self.is_member()) else {
            return false;
        };
        let showing = membership.show(Identity::Device);
        let shows_own = membership.shows_own();
        if self.tasks.of(Task::Enrolment).is_under_way {
            self.waiting.insert(task);
            return false;
        }
        if shows_own {
            self.unusable = None;
            return true;
        }
        self.work(Task::Enrolment, showing, ctx, move |actor, shown, ctx| {
            match shown {
                Ok(shown) => {
                    if let Some(membership) = &mut actor.membership {
                        membership.now_shows(shown);
                    }
                    actor.now(task, ctx);
                }
                Err(error) => {
                    actor.identity_trouble(call_of_task(task), &error);
                    actor.again(task, false, ctx);
                }
            }
            // Its own timer may have run out meanwhile.
            actor.now(Task::Enrolment, ctx);
        });
        false
    }

    /// Takes note that the device's own identity was accepted, and that the device exists.
    pub(super) fn accepted(&mut self, ctx: &mut Context<Self>) {
        self.deleted.clear();
        if let Some(confirming) = self.membership.as_mut().and_then(Membership::accepted) {
            ctx.spawn(confirming.into_actor(self).map(|confirmed, actor, _| {
                if let Some(membership) = &mut actor.membership {
                    membership.confirmed(confirmed.is_ok());
                }
                if let Err(error) = confirmed {
                    actor.identity_unusable(&error);
                }
            }));
        }
    }
}

/// Returns what a step asks.
const fn call_of(step: Step) -> Call {
    match step {
        Step::Enrol => Call::Enrolment,
        Step::Register | Step::Renew => Call::Registration,
    }
}

/// Returns what a member's task asks.
const fn call_of_task(task: Task) -> Call {
    match task {
        Task::Enrolment => Call::Enrolment,
        Task::Heartbeat => Call::Heartbeat,
        Task::Control => Call::Control,
        Task::Configuration | Task::Publication => Call::Configuration,
    }
}
