//! The names of things, each a type of its own.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Makes a string newtype with the traits that every identifier needs.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

identifier! {
    /// The device's id: lower-case, RFC 1123 label characters.
    DeviceId
}
identifier! {
    /// The name that the author of an EdgeWorkload gave it; the key of a job.
    WorkloadName
}
identifier! {
    /// Name and hash of one specification of a workload, `web-1f0c…`; the name of its pod, and of
    /// its Deployment. At most 63 characters. Made by [`crate::workload_id`] only.
    WorkloadId
}
identifier! {
    /// The name of a device profile.
    ProfileName
}
identifier! {
    /// The name of a condition within its profile.
    ConditionName
}
identifier! {
    /// The name of a metric as posted.
    MetricName
}

/// Which runtime runs a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorKind {
    /// The podman service of root.
    PodmanRootful,
    /// The podman service of an unprivileged user.
    PodmanRootless,
    /// The Kubernetes cluster named by KUBECONFIG.
    K8s,
}

impl ExecutorKind {
    /// All kinds, in a fixed order.
    pub const ALL: [Self; 3] = [Self::PodmanRootful, Self::PodmanRootless, Self::K8s];

    /// Returns the name used in logs and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PodmanRootful => "podman_rootful",
            Self::PodmanRootless => "podman_rootless",
            Self::K8s => "k8s",
        }
    }

    /// Returns whether it keeps what makes a pod, and restarts the pod by itself: a Deployment.
    #[must_use]
    pub const fn is_cluster(self) -> bool {
        match self {
            Self::PodmanRootful | Self::PodmanRootless => false,
            Self::K8s => true,
        }
    }
}

impl fmt::Display for ExecutorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
