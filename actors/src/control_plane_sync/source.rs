//! What the actor is given: a source of configurations, and a place to keep the last good one.

use std::error::Error;
use std::rc::Rc;

use super::client::{ConfigurationSource, ControlPlaneApi};
use super::identity::IdentityFiles;
use crate::workload::Configuration;

/// Where the desired state comes from.
pub enum Source {
    /// A control plane, of which the device must be a member.
    Server {
        /// How to ask it.
        api: Rc<dyn ControlPlaneApi>,
        /// As whom.
        identity: IdentityFiles,
    },
    /// A folder of manifests, for a device that no operator manages.
    Folder(Rc<dyn ConfigurationSource>),
}

impl Source {
    pub(crate) fn configurations(&self) -> &dyn ConfigurationSource {
        match self {
            Self::Server { api, .. } => &**api,
            Self::Folder(folder) => &**folder,
        }
    }
}

/// Keeps the last good configuration over restarts of the agent and of the device.
pub trait ConfigurationStore {
    /// Returns the configuration kept last, none when there never was one.
    ///
    /// # Errors
    ///
    /// When one was kept and cannot be read.
    fn load(&mut self) -> Result<Option<Configuration>, Box<dyn Error>>;

    /// Keeps `configuration`.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the former one is still kept then.
    fn save(&mut self, configuration: &Configuration) -> Result<(), Box<dyn Error>>;
}
