//! Runs workloads as Deployments on a Kubernetes cluster.

mod actor;
mod client;
mod command;
mod deployment;
mod deployment_status;
mod mirror;
mod references;

pub use actor::{K8sDeps, K8sExecutor};
pub use client::{ClusterApi, ClusterError, ClusterEvent, Connect, Refusal, kubernetes};
pub use deployment::Objects;
