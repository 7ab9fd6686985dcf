//! What the actor is given: a source of configurations, and a place to keep the last good one.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use tokio::sync::oneshot;

use super::api::{ConfigurationSource, ControlPlaneApi};
use super::identity::IdentityFiles;
use super::identity_error::described;
use super::store::Store;
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
    /// Returns what was kept. Called once, when the actor starts.
    fn load(&self) -> Restored;

    /// Keeps `configuration`. On a failure the former one is still kept.
    fn save(&self, configuration: &Configuration) -> LocalBoxFuture<'static, Result<(), String>>;
}

/// What a store has kept.
#[derive(Debug, Default)]
pub struct Restored {
    /// The configuration kept last, none when there never was one that can be read.
    pub configuration: Option<Configuration>,
    /// The one before it, if that can be read, too.
    pub former: Option<Configuration>,
    /// Whether a newer one was there and is damaged.
    pub is_outdated: bool,
    /// What is wrong with the files, in plain words.
    pub problems: Vec<String>,
}

/// Returns a store in the agent's state directory.
#[must_use]
pub fn stored_in(state_dir: &Path) -> Box<dyn ConfigurationStore> {
    Box::new(Arc::new(Store::new(state_dir)))
}

impl ConfigurationStore for Arc<Store> {
    fn load(&self) -> Restored {
        let loaded = Store::load(self);
        Restored {
            configuration: loaded.configuration,
            former: loaded.former,
            is_outdated: !loaded.problems.is_empty(),
            problems: loaded.problems.iter().map(|it| described(it)).collect(),
        }
    }

    fn save(&self, configuration: &Configuration) -> LocalBoxFuture<'static, Result<(), String>> {
        let (store, configuration) = (Self::clone(self), configuration.clone());
        let (sender, receiver) = oneshot::channel();
        // A thread of its own: a disk that hangs must hold up nothing but this answer.
        let writer = std::thread::Builder::new().name("store".to_owned());
        let spawned = writer.spawn(move || {
            let saved = Store::save(&store, &configuration);
            drop(sender.send(saved.map(drop).map_err(|error| described(&error))));
        });
        Box::pin(async move {
            spawned.map_err(|error| format!("failed to start a thread: {error}"))?;
            let answer = receiver.await;
            answer.unwrap_or_else(|_| Err("the writing thread ended early".to_owned()))
        })
    }
}
