//! How the actor gets the device known to its control plane, keeps it so, and takes it out.

use std::time::Duration;

use actix::prelude::*;
use tracing::info;

use super::ControlPlaneSync;
use crate::clock::Moment;
use crate::control_plane_sync::api::EnrolmentAnswer;
use crate::control_plane_sync::control_plane_error::{Call, ControlPlaneError};
use crate::control_plane_sync::enrolment::{Next, Stage, Step};
use crate::control_plane_sync::errands::Errand;
use crate::control_plane_sync::identity_error::described;
use crate::control_plane_sync::membership::{Progress, Shown};
use crate::control_plane_sync::source::Source;
use crate::workload::EventReason;

impl ControlPlaneSync {
    pub(super) fn pursue_membership(&mut self, ctx: &mut Context<Self>) {
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
                    self.unusable = None;
                    let errand = (Errand::Enrolment, call_of(step));
                    self.await_answer(errand, answer, ctx, move |actor, answer, ctx| {
                        actor.advance(step, answer, ctx);
                    })
                }
                Err(error) => {
                    membership.enrolment.wait(now, fastrand::f64());
                    self.identity_trouble(call_of(step), &error);
                    self.now(Errand::Enrolment, ctx);
                }
            },
        }
    }

    pub(super) fn advance(
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
            Ok(Progress::Enrolment(answer)) => {
                if membership.enrolment.enrolled(answer, now, random) {
                    info!("device enrolled");
                }
                match answer {
                    EnrolmentAnswer::Pending => self.withheld.not_approved(now.monotonic),
                    EnrolmentAnswer::Approved => self.withheld.given(Call::Enrolment),
                }
            }
            Ok(Progress::Certificate(pem)) => {
                match membership.adopt(&pem, &**api, identity, now.monotonic) {
                    Ok(()) => {
                        info!("device certificate received");
                        self.status.introduce();
                        self.troubles.remove(&Errand::Enrolment);
                        self.withheld.given(Call::Registration);
                    }
                    Err(error) => {
                        membership.enrolment.wait(now, random);
                        let message = described(&error);
                        self.withheld.unable(Call::Registration, message.clone(), now.monotonic);
                        self.trouble(Errand::Enrolment, EventReason::IdentityUnusable, message);
                    }
                }
            }
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

    /// Takes an answer that says that the device was deleted.
    pub(super) fn hear_of_deletion(&mut self, errand: Errand, ctx: &mut Context<Self>) {
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
    pub(super) fn leave(&mut self, now: Moment, ctx: &mut Context<Self>) {
        self.deleted.clear();
        self.withheld.clear();
        self.desired.clear();
        self.keep_and_publish(ctx);
        let text = "the control plane has deleted this device: its workloads are removed, and it enrols again";
        self.report(EventReason::DeviceDeleted, text.to_owned());
        let (Source::Server { identity, .. }, Some(membership)) =
            (&self.source, &mut self.membership)
        else {
            return;
        };
        membership.enrolment.expelled(now, fastrand::f64());
        if let Err(error) = membership.forget(identity) {
            self.trouble(Errand::Enrolment, EventReason::IdentityUnusable, described(&error));
        }
    }

    pub(super) const fn read_identity_again(&mut self) {
        if let Some(membership) = &mut self.membership {
            membership.show_again();
        }
    }

    pub(super) fn is_member(&self) -> bool {
        let stage = self.membership.as_ref().map(|it| it.enrolment.stage());
        stage == Some(Stage::Registered)
    }

    /// Returns whether the errand may ask its question now, with the right identity shown. Without
    /// membership it rests; without a usable identity it tries again later.
    pub(super) fn may_ask(&mut self, errand: Errand, ctx: &mut Context<Self>) -> bool {
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
            Ok(_) => {
                self.unusable = None;
                true
            }
            Err(error) => {
                self.identity_trouble(call_of_errand(errand), &error);
                self.again(errand, false, ctx);
                false
            }
        }
    }

    /// Takes note that the device's own identity was accepted, and that the device exists.
    pub(super) fn accepted(&mut self) {
        self.deleted.clear();
        let (Source::Server { identity, .. }, Some(membership)) =
            (&self.source, &mut self.membership)
        else {
            return;
        };
        if let Err(error) = membership.accepted(identity) {
            self.trouble(Errand::Enrolment, EventReason::IdentityUnusable, described(&error));
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

/// Returns what a member's errand asks.
const fn call_of_errand(errand: Errand) -> Call {
    match errand {
        Errand::Enrolment => Call::Enrolment,
        Errand::Heartbeat => Call::Heartbeat,
        Errand::Control => Call::Control,
        Errand::Configuration | Errand::Publication => Call::Configuration,
    }
}
