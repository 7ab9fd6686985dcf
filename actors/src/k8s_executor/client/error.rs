//! Why a cluster did not do as it was asked, in plain words.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{InClusterError, KubeconfigError};
use kube::core::Status;
use kube::runtime::watcher;
use tower::timeout::error::Elapsed;

use super::timeouts::CALL_TIMEOUT;
use crate::error_chain::error_chain;

type Source = Box<dyn Error + Send + Sync>;

/// The longest pause that a cluster may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Why a call to a cluster failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig is absent, or not one.
    #[error("failed to read the kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Source,
    },
    /// The agent runs in no cluster.
    #[error("failed to find the cluster that the agent runs in")]
    InCluster {
        /// What is missing.
        #[source]
        source: Source,
    },
    /// The cluster answered, and refused.
    #[error("failed to {call}: {refusal}")]
    Refused {
        /// Verb and resource.
        call: String,
        /// Its reason.
        refusal: Refusal,
        /// How long the cluster wants no more requests.
        retry_after: Option<Duration>,
    },
    /// The cluster did not answer, or not sensibly.
    #[error("failed to {call}")]
    Unreachable {
        /// Verb and resource.
        call: String,
        /// What happened instead.
        #[source]
        source: Source,
    },
    /// The cluster took too long.
    #[error("failed to {call}: no answer within {} s", after.as_secs())]
    TimedOut {
        /// Verb and resource.
        call: String,
        /// The time it had.
        after: Duration,
    },
}

/// Why a cluster refused a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 401.
    #[error("the cluster does not accept the credentials of the kubeconfig (401): {0}")]
    Unauthorized(String),
    /// 403.
    #[error("the credentials of the kubeconfig do not allow it (403): {0}")]
    Forbidden(String),
    /// 404.
    #[error("it does not exist (404): {0}")]
    NotFound(String),
    /// 409.
    #[error("it conflicts with what is there (409): {0}")]
    Conflict(String),
    /// 422.
    #[error("the specification is not valid (422): {0}")]
    Invalid(String),
    /// 429.
    #[error("the cluster is asked too much (429): {0}")]
    TooManyRequests(String),
    /// Any other status.
    #[error("the cluster answered {code}: {message}")]
    Other {
        /// The HTTP status.
        code: u16,
        /// The cluster's words.
        message: String,
    },
}

impl From<&Status> for Refusal {
    fn from(status: &Status) -> Self {
        let message =
            if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
        match status.code {
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden(message),
            404 => Self::NotFound(message),
            409 => Self::Conflict(message),
            422 => Self::Invalid(message),
            429 => Self::TooManyRequests(message),
            code => Self::Other { code, message },
        }
    }
}

impl ClusterError {
    pub(super) fn kubeconfig(path: &Path, error: KubeconfigError) -> Self {
        Self::Kubeconfig { path: path.to_owned(), source: error.into() }
    }

    pub(super) fn in_cluster(error: InClusterError) -> Self {
        Self::InCluster { source: error.into() }
    }

    /// `retry_after` is that of the answer, if it had one.
    pub(super) fn call(call: &str, error: kube::Error, retry_after: Option<Duration>) -> Self {
        if let kube::Error::Api(status) = error {
            Self::refused(call, &status, retry_after)
        } else if matches!(&error, kube::Error::Service(error) if error.is::<Elapsed>()) {
            Self::timed_out(call, CALL_TIMEOUT)
        } else {
            Self::unreachable(call, error)
        }
    }

    pub(super) fn watch(call: &str, error: watcher::Error, retry_after: Option<Duration>) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Self::call(call, error, retry_after),
            watcher::Error::WatchError(status) => Self::refused(call, &status, retry_after),
            error @ watcher::Error::NoResourceVersion => Self::unreachable(call, error),
        }
    }

    pub(super) fn unreachable(call: &str, error: impl Into<Source>) -> Self {
        Self::Unreachable { call: call.to_owned(), source: error.into() }
    }

    pub(super) fn timed_out(call: &str, after: Duration) -> Self {
        Self::TimedOut { call: call.to_owned(), after }
    }

    fn refused(call: &str, status: &Status, retry_after: Option<Duration>) -> Self {
        let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        let in_words = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        let retry_after = retry_after.or(in_words).map(|after| after.min(MAX_RETRY_AFTER));
        Self::Refused { call: call.to_owned(), refusal: status.into(), retry_after }
    }

    /// Returns for how long the cluster wants no requests.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Kubeconfig { .. }
            | Self::InCluster { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. } => None,
        }
    }

    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            Self::Kubeconfig { .. }
            | Self::InCluster { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. } => None,
        }
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self.refusal(), Some(Refusal::NotFound(_)))
    }

    pub(super) fn is_missing_namespace(&self, namespace: &str) -> bool {
        let quoted = format!("namespaces \"{namespace}\"");
        matches!(self.refusal(), Some(Refusal::NotFound(message)) if message.contains(&quoted))
    }

    /// Returns whether the workload is without fault: the cluster cannot be used at all just now.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self.refusal() {
            None | Some(Refusal::Unauthorized(_) | Refusal::TooManyRequests(_)) => true,
            Some(Refusal::Other { code, .. }) => *code >= 500,
            Some(
                Refusal::Forbidden(_)
                | Refusal::NotFound(_)
                | Refusal::Conflict(_)
                | Refusal::Invalid(_),
            ) => false,
        }
    }

    /// Returns the error with its causes in one line.
    #[must_use]
    pub fn in_full(&self) -> String {
        error_chain(self)
    }
}
