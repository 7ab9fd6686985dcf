//! What the actor is made with.

use actix::prelude::Recipient;

use crate::clock::Clock;
use crate::control_plane_sync::source::{ConfigurationStore, Source};
use crate::messages::{ProfilesConfigured, WorkloadsConfigured};
use crate::supervisor::Vitals;

/// What [`super::ControlPlaneSync`] needs.
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
    /// The time.
    pub clock: Clock,
    /// Announces deadlines to the supervisor.
    pub vitals: Vitals,
}
