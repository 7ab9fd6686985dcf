//! What the actor asks of its source, and what it does with each answer.

use std::time::Duration;

use actix::prelude::*;
use tracing::info;

use super::ControlPlaneSync;
use crate::clock::Moment;
use crate::control_plane_sync::api::{Completeness, ControlAnswer};
use crate::control_plane_sync::control_plane_error::ControlPlaneError;
use crate::control_plane_sync::desired::Adoption;
use crate::control_plane_sync::enrolment::{Next, Stage, Step};
use crate::control_plane_sync::errands::Errand;
use crate::control_plane_sync::identity_error::described;
use crate::control_plane_sync::membership::{Progress, Shown};
use crate::control_plane_sync::source::Source;
use crate::workload::{Configuration, EventKind};

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
            Ok(Progress::Enrolment(answer)) => membership.enrolment.enrolled(answer, now, random),
            Ok(Progress::Certificate(pem)) => {
                match membership.adopt(&pem, &**api, identity, now.monotonic) {
                    Ok(()) => {
                        info!("device certificate received");
                        self.status.introduce();
                    }
                    Err(error) => {
                        membership.enrolment.wait(now, random);
                        self.trouble(Errand::Enrolment, "IdentityUnusable", described(&error));
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

    pub(super) fn fetch(&mut self, ctx: &mut Context<Self>) {
        if self.may_ask(Errand::Configuration, ctx) {
            let in_force = self.desired.current().map_or(&[][..], |it| &it.workloads);
            let answer = self.source.configurations().configuration(in_force);
            self.await_answer(Errand::Configuration, answer, ctx, Self::fetched);
        }
    }

    pub(super) fn fetched(
        &mut self,
        answer: Result<Configuration, ControlPlaneError>,
        ctx: &mut Context<Self>,
    ) {
        match answer {
            Ok(configuration) => {
                self.accepted();
                self.note_problems();
                self.adopt(configuration, ctx);
            }
            Err(ControlPlaneError::Unauthorized { .. }) => {
                self.again(Errand::Configuration, false, ctx);
                let now = self.clock.now().monotonic;
                if let Some(membership) = &mut self.membership {
                    membership.enrolment.refused(now, fastrand::f64());
                    self.now(Errand::Enrolment, ctx);
                }
            }
            Err(ControlPlaneError::DeviceUnknown { .. }) => {
                self.hear_of_deletion(Errand::Configuration, ctx);
            }
            Err(error) => {
                if let ControlPlaneError::Undecodable { .. } = error {
                    self.trouble(Errand::Configuration, "ConfigurationRefused", error.to_string());
                }
                self.again(Errand::Configuration, false, ctx);
            }
        }
    }

    pub(super) fn adopt(&mut self, configuration: Configuration, ctx: &mut Context<Self>) {
        let period = self.desired.period();
        let now = self.clock.now().monotonic;
        let adoption = match (&self.source, self.source.configurations().completeness()) {
            (Source::Server { .. }, _) | (Source::Folder(_), Completeness::Nothing) => {
                self.desired.adopt_guarded(configuration, now)
            }
            (Source::Folder(_), Completeness::Whole) => self.desired.adopt(configuration),
            (Source::Folder(_), Completeness::Partial { unread }) => {
                self.desired.adopt_partial(configuration, &unread)
            }
        };
        match adoption {
            Adoption::Doubted => return self.recheck(Errand::Configuration, ctx),
            Adoption::Unchanged => {}
            Adoption::Changed => {
                self.contact.configuration_changed = Some(self.clock.now().wall);
                self.keep_and_publish(ctx);
            }
        }
        self.again(Errand::Configuration, true, ctx);
        if self.desired.period() != period && self.is_member() {
            self.again(Errand::Heartbeat, true, ctx);
            self.again(Errand::Control, true, ctx);
        }
    }

    pub(super) fn beat(&mut self, ctx: &mut Context<Self>) {
        if !self.may_ask(Errand::Heartbeat, ctx) {
            return;
        }
        let Source::Server { api, .. } = &self.source else {
            return;
        };
        let now = self.clock.now().monotonic;
        let heartbeat = self.status.take(self.desired.current(), now);
        let answer = api.heartbeat(heartbeat);
        self.await_answer(Errand::Heartbeat, answer, ctx, move |actor, answer, ctx| {
            match &answer {
                Ok(()) => actor.status.delivered(),
                Err(_) => actor.status.put_back(),
            }
            actor.again(Errand::Heartbeat, answer.is_ok(), ctx);
            actor.hurry(ctx);
        });
    }

    pub(super) fn listen(&mut self, ctx: &mut Context<Self>) {
        if !self.may_ask(Errand::Control, ctx) {
            return;
        }
        let Source::Server { api, .. } = &self.source else {
            return;
        };
        let answer = api.control();
        self.await_answer(Errand::Control, answer, ctx, |actor, answer, ctx| match answer {
            Ok(ControlAnswer::Nothing) => {
                actor.deleted.clear();
                actor.again(Errand::Control, true, ctx);
            }
            Ok(ControlAnswer::Disconnect) => actor.hear_of_deletion(Errand::Control, ctx),
            Err(_) => actor.again(Errand::Control, false, ctx),
        });
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
            Ok(_) => true,
            Err(error) => {
                self.trouble(errand, "IdentityUnusable", described(&error));
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
            self.trouble(Errand::Enrolment, "IdentityUnusable", described(&error));
        }
    }
}
