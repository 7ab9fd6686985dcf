//! What the actor stores, publishes and reports: the configuration in force, and failures.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::error::Elapsed;
use tracing::{info, warn};

use super::{ControlPlaneSync, Keeping, PUBLICATION_PERIOD, TASK_DEADLINE};
use crate::control_plane_sync::diagnostic::Diagnostic;
use crate::control_plane_sync::identity::enrolment::Notice;
use crate::control_plane_sync::server::advice::{MADE_BY_HAND, REGISTERED_BEFORE};
use crate::control_plane_sync::server::error::Call;
use crate::control_plane_sync::source::{Restored, Source};
use crate::control_plane_sync::state::desired::Desired;
use crate::control_plane_sync::tasks::Task;
use crate::error_chain::error_chain;
use crate::messages::{ProfilesConfigured, WorkloadsConfigured, tell};
use crate::workload::{
    Event, EventKind, EventReason, Objective, PROTECTION, Profile, ProfileCondition, ProfileName,
};

/// Time for writing a configuration; past it the agent works on without.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// Events of what one configuration's author should know: more would push all others out.
const MAX_DIAGNOSTICS: usize = 50;

impl ControlPlaneSync {
    /// Reads the stored configuration, unless the actor has one from before its restart; then begins.
    pub(super) fn restore(&mut self, ctx: &mut Context<Self>) {
        if self.desired.current().is_some() {
            return self.begin(ctx);
        }
        let due = self.vitals.due_by(self.clock.now().monotonic + TASK_DEADLINE);
        let loading = self.store.load().into_actor(self).map(move |restored, actor, ctx| {
            drop(due);
            actor.restored(restored);
            actor.begin(ctx);
        });
        ctx.spawn(loading);
    }

    fn restored(&mut self, restored: Restored) {
        self.stored_at = restored.stored_at;
        self.desired = Desired::restored(restored.configuration, restored.is_outdated);
        for problem in restored.problems {
            self.report(EventReason::StoredConfigurationDamaged, problem);
        }
    }

    /// Starts all tasks, once what was on the disk is known.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        self.has_begun = true;
        self.publish();
        self.after(PUBLICATION_PERIOD, Task::Publication, ctx);
        match &self.source {
            Source::Server { .. } => self.begin_membership(ctx),
            Source::Folder(_) => {
                self.now(Task::Configuration, ctx);
                self.watch(ctx);
            }
        }
    }

    /// Keeps the configuration in force, then publishes it. Without a disk the agent works on. One
    /// is written at a time; a newer one follows.
    pub(super) fn keep_and_publish(&mut self, ctx: &mut Context<Self>) {
        let Some(configuration) = self.desired.current() else {
            return;
        };
        let was_missing = match self.keeping {
            Keeping::Idle => false,
            Keeping::Missing => true,
            Keeping::Writing | Keeping::Outdated => {
                self.keeping = Keeping::Outdated;
                return;
            }
        };
        self.keeping = Keeping::Writing;
        let save = tokio::time::timeout(STORE_TIMEOUT, self.store.save(configuration));
        let saved = save.into_actor(self);
        ctx.spawn(saved.map(move |saved, actor, ctx| actor.kept(saved, was_missing, ctx)));
    }

    /// Publishes the configuration again, and stores it if the disk refused it before.
    pub(super) fn publish_each_period(&mut self, ctx: &mut Context<Self>) {
        self.publish();
        self.note_missing();
        if self.keeping == Keeping::Missing {
            self.keep_and_publish(ctx);
        }
    }

    pub(super) fn kept(
        &mut self,
        saved: Result<Result<(), String>, Elapsed>,
        was_missing: bool,
        ctx: &mut Context<Self>,
    ) {
        let saved = saved.unwrap_or_else(|_| Err("the disk does not answer".to_owned()));
        let is_outdated = self.keeping == Keeping::Outdated;
        self.keeping = if saved.is_ok() { Keeping::Idle } else { Keeping::Missing };
        // Once for each disk that refuses, not once a period.
        if let (Err(error), false) = (saved, was_missing) {
            self.report(EventReason::ConfigurationNotStored, error);
        }
        if is_outdated {
            self.keep_and_publish(ctx);
        } else {
            self.publish();
        }
    }

    /// Publishes the configuration in force, if there is one.
    pub(super) fn publish(&self) {
        let Some(configuration) = self.desired.current() else {
            return;
        };
        let objectives = self.objectives_with(&configuration.objectives);
        let profiles = configuration.profiles.iter().cloned().chain(protection(&objectives));
        let profiles: Arc<[Profile]> = profiles.collect();
        tell(&self.evaluator, ProfilesConfigured { profiles: Arc::clone(&profiles) });
        let workloads = WorkloadsConfigured {
            workloads: configuration.workloads.clone(),
            rejected: configuration.rejected.clone(),
            profiles,
            objectives: objectives.into(),
            updates: configuration.updates.clone(),
            is_outdated: self.desired.is_outdated(),
        };
        for recipient in &self.workloads {
            tell(recipient, workloads.clone());
        }
    }

    /// Returns the objectives of a configuration, and those of the device's own settings.
    fn objectives_with(&self, configured: &[Objective]) -> Vec<Objective> {
        let is_new = |own: &&Objective| configured.iter().all(|it| it.name != own.name);
        configured.iter().chain(self.objectives.iter().filter(is_new)).cloned().collect()
    }

    /// Reads the folder again when it changes.
    pub(super) fn watch(&mut self, ctx: &mut Context<Self>) {
        let changed = self.source.configurations().changed().into_actor(self);
        ctx.spawn(changed.map(|(), actor, ctx| {
            actor.want_configuration(ctx);
            actor.watch(ctx);
        }));
    }

    pub(super) fn announce(&mut self, notice: Notice) {
        let (reason, text) = match notice {
            Notice::RegistrationForbidden => {
                (EventReason::RegistrationForbidden, REGISTERED_BEFORE)
            }
            Notice::MadeByHand => (EventReason::DeviceNotEnrolled, MADE_BY_HAND),
            Notice::IdentityRefused => (
                EventReason::IdentityRefused,
                "the control plane no longer accepts the device's certificate: \
                 the registration certificate is tried instead",
            ),
        };
        self.trouble(Task::Enrolment, reason, text.to_owned());
    }

    /// Logs how a question was answered, once for each change.
    pub(super) fn note(&mut self, call: Call, failure: Option<String>) {
        match failure {
            None => {
                if self.failures.remove(&call).is_some() {
                    info!(%call, "control plane answered again");
                }
            }
            Some(error) => {
                if self.failures.get(&call) != Some(&error) {
                    warn!(%call, %error, "control plane gave no usable answer");
                    self.failures.insert(call, error);
                }
            }
        }
    }

    /// Reports what the control plane has not given for three periods, each thing once.
    pub(super) fn note_missing(&mut self) {
        let now = self.clock.now().monotonic;
        for text in self.withheld.news(self.desired.period(), now) {
            let is_reported = |trouble: &String| {
                trouble.split_once(": ").is_some_and(|(_, advice)| text.ends_with(advice))
            };
            if !self.troubles.values().any(is_reported) {
                self.report(EventReason::ControlPlaneWithholds, text);
            }
        }
    }

    /// Reports once why the device cannot show who it is, whatever it wants to ask.
    pub(super) fn identity_trouble(&mut self, call: Call, error: &dyn std::error::Error) {
        let message = error_chain(error);
        self.withheld.unable(call, message.clone(), self.clock.now().monotonic);
        if self.unusable.as_ref() != Some(&message) {
            self.unusable = Some(message.clone());
            self.report(EventReason::IdentityUnusable, message);
        }
    }

    /// Reports what the author of the configuration should know, each thing once.
    pub(super) fn note_diagnostics(&mut self) {
        let diagnostics = self.source.configurations().diagnostics();
        let known = std::mem::replace(&mut self.diagnostics, diagnostics.clone());
        let new = diagnostics.into_iter().filter(|it| !known.contains(it));
        for Diagnostic { message, reason, workload } in new.take(MAX_DIAGNOSTICS) {
            match reason.kind() {
                EventKind::Warn => {
                    warn!(reason = reason.as_str(), error = %message, "control plane trouble recorded");
                }
                EventKind::Normal => {
                    info!(reason = reason.as_str(), detail = %message, "part of the configuration was not used");
                }
            }
            self.status.record(Event::new(reason, workload, message, self.clock.now().wall));
        }
    }

    /// Returns what of that needs attention, in words.
    pub(super) fn problems(&self) -> Vec<String> {
        let diagnostics = self.diagnostics.iter();
        let problems = diagnostics.filter(|it| it.reason.kind() == EventKind::Warn);
        problems.map(|it| it.message.clone()).collect()
    }

    /// Reports what stands in the way of a task, once for each change.
    pub(super) fn trouble(&mut self, task: Task, reason: EventReason, message: String) {
        let key = format!("{reason}: {message}");
        if self.troubles.get(&task) != Some(&key) {
            self.troubles.insert(task, key);
            self.report(reason, message);
        }
    }

    pub(super) fn report(&mut self, reason: EventReason, message: String) {
        warn!(reason = reason.as_str(), error = %message, "control plane trouble recorded");
        self.status.record(Event::new(reason, None, message, self.clock.now().wall));
    }
}

/// Returns the profile as which `objectives` are evaluated, if there are any.
fn protection(objectives: &[Objective]) -> Option<Profile> {
    let condition = |objective: &Objective| ProfileCondition {
        name: objective.name.clone(),
        expression: objective.keep.clone(),
    };
    let conditions: Vec<_> = objectives.iter().map(condition).collect();
    let name = ProfileName::from(PROTECTION);
    (!conditions.is_empty()).then_some(Profile { name, conditions })
}
