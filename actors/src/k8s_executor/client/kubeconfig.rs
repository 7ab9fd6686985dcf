//! A client by the words of a kubeconfig, or of the cluster that the agent runs in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::timeout::TimeoutLayer;
use tower::util::MapResponseLayer;

use super::error::ClusterError;
use super::retry_after::RetryAfter;
use super::sources::Sources;
use super::timeouts::{CALL_TIMEOUT, CONNECT_TIMEOUT, READ_TIMEOUT};

/// Time for the answer about a log, which may begin with its first line.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Where the access to the cluster stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterAccess {
    /// In this file, which may appear and change while the agent runs.
    Kubeconfig(PathBuf),
    /// In what the cluster that the agent runs in gives to each of its pods.
    InCluster,
}

/// Reads a kubeconfig, one time after the other.
#[derive(Clone)]
pub(super) struct Reader {
    access: ClusterAccess,
    /// Held by a read until it ends, however long ago it was given up.
    turn: Arc<Semaphore>,
    /// Silence after which a connection counts as dead; `None` is never.
    silence: Option<Duration>,
}

impl Reader {
    pub(super) fn new(access: ClusterAccess) -> Self {
        Self { access, turn: Arc::new(Semaphore::new(1)), silence: Some(READ_TIMEOUT) }
    }

    /// Returns a reader whose connections may be silent for ever: a log may be.
    pub(super) fn patient(access: ClusterAccess) -> Self {
        Self { silence: None, ..Self::new(access) }
    }

    /// Opens the access.
    ///
    /// # Errors
    /// There is no such file, or it is none; reading it takes too long, or an earlier read still
    /// hangs: each read would hold a thread more.
    pub(super) async fn open(&self) -> Result<Access, ClusterError> {
        let call = "read the kubeconfig";
        let turn = Arc::clone(&self.turn).try_acquire_owned().map_err(|_| {
            ClusterError::unreachable(call, "an earlier read of it, or a program it names, hangs")
        })?;
        let (access, silence) = (self.access.clone(), self.silence);
        // Off the actors' thread: files are read, and a kubeconfig may name a program to run.
        let making = tokio::task::spawn_blocking(move || {
            let made = open(&access, silence);
            drop(turn);
            made
        });
        let made = timeout(CALL_TIMEOUT, making).await;
        let made = made.map_err(|_| ClusterError::timed_out(call, CALL_TIMEOUT))?;
        made.map_err(|error| ClusterError::unreachable(call, error))?
    }

    /// Returns whether what an access was made from is as it was, as far as that is known.
    pub(super) async fn is_current(&self, sources: Arc<Sources>) -> bool {
        let Ok(turn) = Arc::clone(&self.turn).try_acquire_owned() else {
            return true;
        };
        let looking = tokio::task::spawn_blocking(move || {
            let are_current = sources.are_current();
            drop(turn);
            are_current
        });
        !matches!(timeout(CALL_TIMEOUT, looking).await, Ok(Ok(false)))
    }
}

/// An access to a cluster that is open.
pub(super) struct Access {
    pub(super) client: Client,
    pub(super) retry_after: RetryAfter,
    pub(super) sources: Arc<Sources>,
}

fn open(access: &ClusterAccess, silence: Option<Duration>) -> Result<Access, ClusterError> {
    let mut sources = Sources::default();
    let mut config = match access {
        ClusterAccess::Kubeconfig(path) => read_kubeconfig(path, &mut sources)?,
        ClusterAccess::InCluster => Config::incluster().map_err(ClusterError::in_cluster)?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = silence;
    config.reset_reader_on_write = true;
    // The scheduler retries, and knows how often.
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config);
    let builder = builder.map_err(|error| ClusterError::call("make a client", error, None))?;
    let retry_after = RetryAfter::default();
    let noted = retry_after.clone();
    let note = MapResponseLayer::new(move |answer: http::Response<_>| {
        noted.note(&answer);
        answer
    });
    // A watch, too, is answered at once, if only with its first line.
    let limit = TimeoutLayer::new(if silence.is_some() { CALL_TIMEOUT } else { FOR_EVER });
    let client = builder.with_layer(&note).with_layer(&limit).build();
    Ok(Access { client, retry_after, sources: Arc::new(sources) })
}

fn read_kubeconfig(path: &Path, sources: &mut Sources) -> Result<Config, ClusterError> {
    let unreadable = |error| ClusterError::kubeconfig(path, error);
    sources.add(path);
    let kubeconfig = Kubeconfig::read_from(path).map_err(unreadable)?;
    sources.add_files_of(&kubeconfig);
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options);
    tokio::runtime::Handle::current().block_on(config).map_err(unreadable)
}
