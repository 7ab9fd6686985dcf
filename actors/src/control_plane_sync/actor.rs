//! Keeps the device registered at its control plane, and publishes the configuration in force.

mod calls;
mod membership;
mod publication;
mod report;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actix::prelude::*;
use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::control_plane_sync::call_stats::CallStats;
use crate::control_plane_sync::diagnostic::Diagnostic;
use crate::control_plane_sync::identity::membership::Membership;
use crate::control_plane_sync::server::error::Call;
use crate::control_plane_sync::source::{ConfigurationStore, Source};
use crate::control_plane_sync::state::deletion_guard::DeletionGuard;
use crate::control_plane_sync::state::desired::Desired;
use crate::control_plane_sync::status::Status;
use crate::control_plane_sync::tasks::{Task, Tasks};
use crate::control_plane_sync::withheld::Withheld;
use crate::messages::{
    ActorHealth, ActorHealthChanged, ConfigurationWanted, EventRecorded, JobsReported,
    ProfilesConfigured, WorkloadsConfigured,
};
use crate::supervisor::Vitals;
use crate::workload::Objective;

/// Longer than the client takes for any answer; past it the actor counts as hung.
const TASK_DEADLINE: Duration = Duration::from_secs(120);

/// Interval at which the configuration in force is published again, whatever the heartbeat period.
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

/// What [`ControlPlaneSync`] needs.
pub struct SyncDeps {
    /// The control plane or the folder.
    pub source: Source,
    /// Keeps the last good configuration.
    pub store: Box<dyn ConfigurationStore>,
    /// Receive each configuration in this order: the executors, which look after images, before the
    /// scheduler.
    pub workloads: Vec<Recipient<WorkloadsConfigured>>,
    /// Receives the profiles of each configuration.
    pub evaluator: Recipient<ProfilesConfigured>,
    /// What the device is to keep by its own settings.
    pub objectives: Vec<Objective>,
    /// The wall clock and the monotonic one.
    pub clock: Clock,
    /// Announces deadlines to the supervisor.
    pub vitals: Vitals,
}

/// The actor between the control plane, or a folder of manifests, and the rest of the agent.
pub struct ControlPlaneSync {
    source: Source,
    store: Box<dyn ConfigurationStore>,
    /// They receive the configuration in this order.
    workloads: Vec<Recipient<WorkloadsConfigured>>,
    evaluator: Recipient<ProfilesConfigured>,
    objectives: Vec<Objective>,
    clock: Clock,
    vitals: Vitals,

    /// None over a folder.
    membership: Option<Membership>,
    /// A certificate that came and is not on the disk yet, in PEM form.
    certificate: Option<String>,
    desired: Desired,
    status: Status,
    call_stats: CallStats,
    withheld: Withheld,
    /// When the configuration on the disk was written, if one was read there.
    stored_at: Option<DateTime<Utc>>,
    /// Answers that say that the device was deleted.
    deleted: DeletionGuard,
    keeping: Keeping,
    /// What was on the disk is known: nothing is asked before.
    has_begun: bool,
    tasks: Tasks,
    /// Wait for the enrolment to end what it does: it may show another identity.
    waiting: BTreeSet<Task>,
    timers: BTreeMap<Task, SpawnHandle>,
    /// The last failure of each question, so that it is logged once.
    failures: BTreeMap<Call, String>,
    /// The last trouble reported for each task, so that it is one event.
    troubles: BTreeMap<Task, String>,
    /// Why the device cannot show who it is, as it was reported.
    unusable: Option<String>,
    /// What the author of the configuration should know, as the source last said.
    diagnostics: Vec<Diagnostic>,
}

impl ControlPlaneSync {
    /// Returns the actor; it reads the stored configuration when it starts.
    #[must_use]
    pub fn new(deps: SyncDeps) -> Self {
        let SyncDeps { source, store, workloads, evaluator, objectives, clock, vitals } = deps;
        Self {
            source,
            store,
            workloads,
            evaluator,
            objectives,
            clock,
            vitals,
            membership: None,
            certificate: None,
            desired: Desired::default(),
            status: Status::default(),
            call_stats: CallStats::default(),
            withheld: Withheld::default(),
            stored_at: None,
            deleted: DeletionGuard::default(),
            keeping: Keeping::Idle,
            has_begun: false,
            tasks: Tasks::default(),
            waiting: BTreeSet::new(),
            timers: BTreeMap::new(),
            failures: BTreeMap::new(),
            troubles: BTreeMap::new(),
            unusable: None,
            diagnostics: Vec::new(),
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
    /// Timers and requests ended with the failure. The configuration in force is kept, because the
    /// disk may hold an older one, and so are reports, events and health, because not all of them
    /// are sent twice.
    fn restarting(&mut self, _ctx: &mut Self::Context) {
        self.membership = None;
        self.deleted = DeletionGuard::default();
        self.status.put_back();
        self.keeping = match self.desired.current() {
            Some(_) => Keeping::Missing,
            None => Keeping::Idle,
        };
        self.tasks = Tasks::default();
        self.waiting = BTreeSet::new();
        self.timers = BTreeMap::new();
        self.failures = BTreeMap::new();
        self.has_begun = false;
    }
}

impl Handler<JobsReported> for ControlPlaneSync {
    type Result = ();

    fn handle(&mut self, message: JobsReported, ctx: &mut Self::Context) {
        // Kept at once: an agent that is killed must neither doubt what has proved itself nor try first
        // what has failed.
        if self.desired.note(&message.outcomes) {
            self.keep_and_publish(ctx);
        }
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
        // An actor that was restarted has no configuration.
        if message.health == ActorHealth::Up {
            self.publish();
        }
        self.status.actor_health(message.actor, message.health, now);
    }
}

#[cfg(test)]
mod tests;
