//! Runs workloads as Deployments on a Kubernetes cluster.

mod actor;
mod client;
mod command;
mod contents;
mod deployment;
mod deployment_status;
mod mirror;
mod references;
mod seen;

pub use actor::{K8sDeps, K8sExecutor};
pub use client::{
    ClusterAccess, ClusterApi, ClusterContainer, ClusterError, ClusterEvent, ClusterLogs, Connect,
    Refusal, Written, kubernetes,
};
pub use deployment::Objects;
#[cfg(any(test, feature = "testing"))]
pub(crate) use deployment::{WRITTEN_LABEL, objects};
pub use seen::{SeenDeployment, SeenPod, SeenSpec};
