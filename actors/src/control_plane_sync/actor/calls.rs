//! What the actor asks of its source, and what it does with each answer.

use actix::prelude::*;

use super::ControlPlaneSync;
use crate::control_plane_sync::server::api::{Completeness, ControlAnswer};
use crate::control_plane_sync::server::error::{Call, ControlPlaneError};
use crate::control_plane_sync::source::Source;
use crate::control_plane_sync::state::desired::Adoption;
use crate::control_plane_sync::tasks::Task;
use crate::workload::{Configuration, EventReason};

impl ControlPlaneSync {
    pub(super) fn fetch(&mut self, ctx: &mut Context<Self>) {
        if self.may_ask(Task::Configuration, ctx) {
            let in_force = self.desired.current().map_or(&[][..], |it| &it.workloads);
            let answer = self.source.configurations().configuration(in_force);
            let task = (Task::Configuration, Call::Configuration);
            self.await_answer(task, answer, ctx, Self::fetched);
        }
    }

    pub(super) fn fetched(
        &mut self,
        answer: Result<Configuration, ControlPlaneError>,
        ctx: &mut Context<Self>,
    ) {
        match answer {
            Ok(configuration) => {
                self.accepted(ctx);
                self.note_diagnostics();
                self.adopt(configuration, ctx);
            }
            Err(ControlPlaneError::Unauthorized { .. }) => {
                self.again(Task::Configuration, false, ctx);
                let now = self.clock.now().monotonic;
                if let Some(membership) = &mut self.membership {
                    membership.enrolment.refused(now, fastrand::f64());
                    self.now(Task::Enrolment, ctx);
                }
            }
            Err(ControlPlaneError::DeviceUnknown { .. }) => {
                self.deletion_reported(Task::Configuration, ctx);
            }
            Err(error) => {
                if let ControlPlaneError::Undecodable { .. } = error {
                    self.trouble(
                        Task::Configuration,
                        EventReason::ConfigurationRefused,
                        error.to_string(),
                    );
                }
                self.again(Task::Configuration, false, ctx);
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
            Adoption::Unconfirmed => return self.recheck(Task::Configuration, ctx),
            Adoption::Unchanged => {}
            Adoption::Changed => {
                let wall = self.clock.now().wall;
                self.call_stats.configuration_changed = Some(wall);
                self.desired.date_updates(wall);
                self.keep_and_publish(ctx);
            }
        }
        self.again(Task::Configuration, true, ctx);
        if self.desired.period() != period && self.is_member() {
            self.again(Task::Heartbeat, true, ctx);
            self.again(Task::Control, true, ctx);
        }
    }

    pub(super) fn beat(&mut self, ctx: &mut Context<Self>) {
        if !self.may_ask(Task::Heartbeat, ctx) {
            return;
        }
        let Source::Server { api, .. } = &self.source else {
            return;
        };
        let now = self.clock.now().monotonic;
        let lacks = !self.withheld.missing(self.desired.period(), now).is_empty();
        let heartbeat = self.status.take(self.desired.current(), lacks, now);
        let answer = api.heartbeat(heartbeat);
        let task = (Task::Heartbeat, Call::Heartbeat);
        self.await_answer(task, answer, ctx, move |actor, answer, ctx| {
            match &answer {
                Ok(()) => actor.status.delivered(),
                Err(_) => actor.status.put_back(),
            }
            actor.again(Task::Heartbeat, answer.is_ok(), ctx);
            actor.hurry(ctx);
        });
    }

    pub(super) fn listen(&mut self, ctx: &mut Context<Self>) {
        if !self.may_ask(Task::Control, ctx) {
            return;
        }
        let Source::Server { api, .. } = &self.source else {
            return;
        };
        let answer = api.control();
        let task = (Task::Control, Call::Control);
        self.await_answer(task, answer, ctx, |actor, answer, ctx| match answer {
            Ok(ControlAnswer::Nothing) => {
                actor.deleted.clear();
                actor.again(Task::Control, true, ctx);
            }
            Ok(ControlAnswer::Disconnect) => actor.deletion_reported(Task::Control, ctx),
            Err(_) => actor.again(Task::Control, false, ctx),
        });
    }
}
