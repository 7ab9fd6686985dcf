//! The agent on a real API server with real controllers, with no more rights
//! than `packaging/kubernetes/rbac.yaml` gives. Only the kubelet is played, by what it
//! writes and the logs that it serves.
//!
//! Run by `make test-kubernetes`, because it needs `KUBEBUILDER_ASSETS`, a folder with etcd, kube-apiserver
//! and kube-controller-manager; `build-apiserver.sh` makes one.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the whole file is a test"
)]

mod access;
mod agent;
mod cluster;
mod credentials;
mod drift;
mod expiry;
mod kubelet;
mod life;
mod logs;
mod neighbours;
mod network;
mod outages;
mod profiles;
mod rights;
mod updates;
