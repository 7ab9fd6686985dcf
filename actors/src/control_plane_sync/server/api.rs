//! The interface to a source of configurations: a control plane, or a folder of manifests.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use crate::control_plane_sync::diagnostic::Diagnostic;
use crate::control_plane_sync::identity::certificate::ClientIdentity;
use crate::control_plane_sync::server::error::ControlPlaneError;
use crate::control_plane_sync::server::wire::AgentStatus;
use crate::workload::{Configuration, Event, JobReport, Workload};

/// An answer to come. Everything runs on one thread.
pub type Answer<T> = LocalBoxFuture<'static, Result<T, ControlPlaneError>>;

/// Where the device's configuration comes from.
pub trait ConfigurationSource {
    /// Reads the configuration, whole. What of it equals one of the workloads `in_force` may be that
    /// very one, so that it is in memory once.
    fn configuration(&self, in_force: &[Arc<Workload>]) -> Answer<Configuration>;

    /// Returns what the author of the last configuration should know, while the rest of it is used.
    fn diagnostics(&self) -> Vec<Diagnostic> {
        Vec::new()
    }

    /// Returns how complete the last configuration was.
    fn completeness(&self) -> Completeness {
        Completeness::Whole
    }

    /// Resolves when the configuration may have changed; never, where only another request can show it.
    fn changed(&self) -> LocalBoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// How complete a configuration is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Completeness {
    /// All of it.
    #[default]
    Whole,
    /// A part could not be read and never was: what it would say is unknown.
    Partial {
        /// The names of what could not be read.
        unread: String,
    },
    /// There is nothing that could say anything.
    Nothing,
}

/// A control plane's server.
pub trait ControlPlaneApi: ConfigurationSource {
    /// Shows `identity` from now on. An error says that no connection can be made with it at all.
    fn present(&self, identity: ClientIdentity) -> Answer<()>;

    /// Asks to be enrolled.
    fn enrol(&self) -> Answer<EnrolmentAnswer>;

    /// Sends a request for a certificate, in PEM form; answers the certificate, in PEM form.
    fn register(&self, request: String) -> Answer<String>;

    /// Tells how the device is.
    fn heartbeat(&self, heartbeat: Heartbeat) -> Answer<()>;

    /// Asks whether the device is still wanted.
    fn control(&self) -> Answer<ControlAnswer>;
}

/// The answer to an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolmentAnswer {
    /// It waits for approval.
    Pending,
    /// It is approved: the device may register.
    Approved,
}

/// What the control channel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlAnswer {
    /// Nothing: the device is wanted.
    Nothing,
    /// The device is deleted or never was.
    Disconnect,
}

/// How the device is.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// Whether the agent is whole.
    pub status: AgentStatus,
    /// The version of the configuration in force, as the server gave it.
    pub configuration_version: Option<String>,
    /// The reports on all workloads.
    pub jobs: Arc<[JobReport]>,
    /// What happened since the last heartbeat.
    pub events: Vec<Event>,
    /// Whether the hardware facts go along.
    pub with_hardware: bool,
}
