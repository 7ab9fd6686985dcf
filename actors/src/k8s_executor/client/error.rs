//! Why a cluster did not do as it was asked, in plain words.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{InClusterError, KubeconfigError};
use kube::core::Status;
use kube::runtime::watcher;

type Source = Box<dyn Error + Send + Sync>;

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
    /// The agent runs in no cluster, and no kubeconfig is configured.
    #[error("failed to find a cluster: KUBECONFIG is not set and the agent runs in no cluster")]
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

    pub(super) fn call(call: &str, error: kube::Error) -> Self {
        if let kube::Error::Api(status) = error {
            Self::refused(call, &status)
        } else {
            Self::unreachable(call, error)
        }
    }

    pub(super) fn watch(call: &str, error: watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => Self::call(call, error),
            watcher::Error::WatchError(status) => Self::refused(call, &status),
            error @ watcher::Error::NoResourceVersion => Self::unreachable(call, error),
        }
    }

    pub(super) fn unreachable(call: &str, error: impl Into<Source>) -> Self {
        Self::Unreachable { call: call.to_owned(), source: error.into() }
    }

    pub(super) fn timed_out(call: &str, after: Duration) -> Self {
        Self::TimedOut { call: call.to_owned(), after }
    }

    fn refused(call: &str, status: &Status) -> Self {
        Self::Refused { call: call.to_owned(), refusal: status.into() }
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
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let words = error.to_string();
            // Some errors of the client's layers repeat their cause.
            if !text.ends_with(&words) {
                text = format!("{text}: {words}");
            }
            cause = error.source();
        }
        text
    }
}
