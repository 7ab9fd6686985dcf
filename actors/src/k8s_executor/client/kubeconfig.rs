//! A client by the words of a kubeconfig.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{CALL_TIMEOUT, ClusterError};

/// Time for a connection to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which a connection counts as dead; longer than a quiet watch is silent.
const READ_TIMEOUT: Duration = Duration::from_secs(75);

/// Reads a kubeconfig, one time after the other.
#[derive(Clone)]
pub(super) struct Reader {
    kubeconfig: Option<PathBuf>,
    /// Held by a read until it ends, however long ago it was given up.
    turn: Arc<Semaphore>,
}

impl Reader {
    pub(super) fn new(kubeconfig: Option<PathBuf>) -> Self {
        Self { kubeconfig, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Returns a client for the cluster that the kubeconfig names, or, without one, for that which
    /// the agent runs in.
    ///
    /// # Errors
    /// There is no such file, or it is none; reading it takes too long, or an earlier read still
    /// hangs: each read would hold a thread more.
    pub(super) async fn client(&self) -> Result<Client, ClusterError> {
        let call = "read the kubeconfig";
        let turn = Arc::clone(&self.turn).try_acquire_owned().map_err(|_| {
            ClusterError::unreachable(call, "an earlier read of it, or a program it names, hangs")
        })?;
        let kubeconfig = self.kubeconfig.clone();
        // Off the actors' thread: files are read, and a kubeconfig may name a program to run.
        let making = tokio::task::spawn_blocking(move || {
            let made = make(kubeconfig.as_deref());
            drop(turn);
            made
        });
        let made = timeout(CALL_TIMEOUT, making).await;
        let made = made.map_err(|_| ClusterError::timed_out(call, CALL_TIMEOUT))?;
        made.map_err(|error| ClusterError::unreachable(call, error))?
    }
}

fn make(kubeconfig: Option<&Path>) -> Result<Client, ClusterError> {
    let mut config = match kubeconfig {
        Some(path) => read_kubeconfig(path)?,
        None => Config::incluster().map_err(ClusterError::in_cluster)?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    // The scheduler retries, and knows how often.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| ClusterError::call("make a client", error))
}

fn read_kubeconfig(path: &Path) -> Result<Config, ClusterError> {
    let unreadable = |error| ClusterError::kubeconfig(path, error);
    let kubeconfig = Kubeconfig::read_from(path).map_err(unreadable)?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options);
    tokio::runtime::Handle::current().block_on(config).map_err(unreadable)
}
