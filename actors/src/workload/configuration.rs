//! The configuration that workloads come in.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Objective, Profile, RejectedWorkload, Updates, Workload};

/// What a control plane, or a directory of manifests, wants of this device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The server's version of it, opaque; echoed in heartbeats.
    pub version: Option<String>,
    /// Time between heartbeats.
    pub heartbeat_period: Duration,
    /// Which hardware facts the heartbeats carry.
    pub hardware_in_heartbeat: bool,
    /// Device profiles.
    pub profiles: Vec<Profile>,
    /// What the device is to keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objectives: Vec<Objective>,
    /// Workloads, in order of name.
    pub workloads: Vec<Arc<Workload>>,
    /// Workloads that cannot be run.
    pub rejected: Vec<RejectedWorkload>,
    /// Those of its workloads that have not proved themselves: what a source never says, and the agent
    /// keeps with it.
    #[serde(default, skip_serializing_if = "Updates::is_empty")]
    pub updates: Updates,
}
