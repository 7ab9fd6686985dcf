//! What the status says of the agent before any actor is asked. Pure.

use std::collections::BTreeMap;

use actors::metrics_ingest::About;
use actors::workload::ExecutorKind;

use crate::config::{Config, Origin};

/// Returns what the status says of the agent itself.
pub(crate) fn about<T>(config: &Config, executors: &BTreeMap<ExecutorKind, T>) -> About {
    let (source, place) = match &config.origin {
        Origin::Manifests(folder) => ("folder", folder.display().to_string()),
        Origin::ControlPlane(control_plane) => ("server", control_plane.server.to_string()),
    };
    let always = ["control_plane_sync", "metrics_ingest", "profile_evaluator", "scheduler"];
    let executors = executors.keys().map(|kind| kind.as_str());
    About {
        version: env!("CARGO_PKG_VERSION"),
        device_id: config.device_id.clone(),
        source,
        place,
        actors: always.into_iter().chain(executors).collect(),
    }
}
