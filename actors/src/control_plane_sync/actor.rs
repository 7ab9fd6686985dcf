//! Keeps the device known to its control plane, and tells the agent what shall run.

mod announcements;
mod belonging;
mod deps;
mod questions;
mod report;
mod timing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actix::prelude::*;
use chrono::{DateTime, Utc};

pub use deps::SyncDeps;

use super::contact::Contact;
use super::control_plane_error::Call;
use super::desired::Desired;
use super::errands::{Errand, Errands};
use super::membership::Membership;
use super::source::{ConfigurationStore, Source};
use super::status::Status;
use super::wipe_guard::WipeGuard;
use super::withheld::Withheld;
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
    withheld: Withheld,
    /// When the configuration on the disk was written, if one was read there.
    stored_at: Option<DateTime<Utc>>,
    /// Answers that say that the device was deleted.
    deleted: WipeGuard,
    keeping: Keeping,
    /// What was on the disk is known: nothing is asked before.
    has_begun: bool,
    errands: Errands,
    /// Wait for the enrolment to end what it does: it may show another identity.
    waiting: BTreeSet<Errand>,
    timers: BTreeMap<Errand, SpawnHandle>,
    /// The last failure of each question, so that it is logged once.
    failures: BTreeMap<Call, String>,
    /// The last trouble reported for each errand, so that it is one event.
    troubles: BTreeMap<Errand, String>,
    /// Why the device cannot show who it is, as it was reported.
    unusable: Option<String>,
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
            withheld: Withheld::default(),
            stored_at: None,
            deleted: WipeGuard::default(),
            keeping: Keeping::Idle,
            has_begun: false,
            errands: Errands::default(),
            waiting: BTreeSet::new(),
            timers: BTreeMap::new(),
            failures: BTreeMap::new(),
            troubles: BTreeMap::new(),
            unusable: None,
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
        self.waiting = BTreeSet::new();
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

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
