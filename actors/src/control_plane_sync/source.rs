//! What the actor is given: a source of configurations, and a place to keep the last good one.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::LocalBoxFuture;

use crate::blocking::OneAtATime;
use crate::control_plane_sync::identity::files::IdentityFiles;
use crate::control_plane_sync::server::api::{ConfigurationSource, ControlPlaneApi};
use crate::control_plane_sync::state::store::Store;
use crate::error_chain::error_chain;
use crate::workload::Configuration;

/// Time for reading what was kept; past it the agent starts without.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for writing a configuration; past it the agent works on without.
const SAVE_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// Returns what was kept. Called once, when the actor starts; the answer comes in any case.
    fn load(&self) -> LocalBoxFuture<'static, Restored>;

    /// Keeps `configuration`. On a failure the former one is still kept.
    fn save(&self, configuration: &Configuration) -> LocalBoxFuture<'static, Result<(), String>>;
}

/// What a store has kept.
#[derive(Debug, Default)]
pub struct Restored {
    /// The configuration kept last, none when there never was one that can be read.
    pub configuration: Option<Configuration>,
    /// Whether a newer one was there and is damaged.
    pub is_outdated: bool,
    /// When `configuration` was kept, by the wall clock of then.
    pub stored_at: Option<DateTime<Utc>>,
    /// What is wrong with the files, in plain words.
    pub problems: Vec<String>,
}

/// Returns a store in the agent's state directory.
#[must_use]
pub fn stored_in(state_dir: &Path) -> Box<dyn ConfigurationStore> {
    let store = Arc::new(Store::new(state_dir));
    Box::new(Disk { store, loading: OneAtATime::default(), saving: OneAtATime::default() })
}

/// A [`Store`] beside the actors: a disk that hangs must hold up nothing but this answer.
struct Disk {
    store: Arc<Store>,
    loading: OneAtATime,
    saving: OneAtATime,
}

impl ConfigurationStore for Disk {
    fn load(&self) -> LocalBoxFuture<'static, Restored> {
        let (store, turn) = (Arc::clone(&self.store), self.loading.clone());
        let what = "reading the stored configuration";
        Box::pin(async move {
            match turn.run(what, LOAD_TIMEOUT, move || store.load()).await {
                Ok(loaded) => Restored {
                    configuration: loaded.configuration,
                    is_outdated: !loaded.problems.is_empty(),
                    stored_at: loaded.stored_at,
                    problems: loaded.problems.iter().map(|it| error_chain(it)).collect(),
                },
                // What is there is not known: nothing may go for not being in it.
                Err(error) => Restored {
                    is_outdated: true,
                    problems: vec![error_chain(&error)],
                    ..Restored::default()
                },
            }
        })
    }

    fn save(&self, configuration: &Configuration) -> LocalBoxFuture<'static, Result<(), String>> {
        let (store, turn) = (Arc::clone(&self.store), self.saving.clone());
        let configuration = configuration.clone();
        let what = "writing the configuration";
        Box::pin(async move {
            match turn.run(what, SAVE_TIMEOUT, move || store.save(&configuration)).await {
                Ok(saved) => saved.map(drop).map_err(|error| error_chain(&error)),
                Err(error) => Err(error_chain(&error)),
            }
        })
    }
}
