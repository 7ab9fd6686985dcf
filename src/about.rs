//! What the status says of the agent before any actor is asked. Pure.

use std::collections::BTreeMap;

use actors::control_plane_sync::Source;
use actors::metrics_ingest::About;
use actors::workload::{DeviceId, ExecutorKind};

/// Returns what the status says of the agent itself; `place` is the URL or folder of `source`.
pub(crate) fn about<T>(
    device_id: DeviceId,
    source: &Source,
    place: String,
    executors: &BTreeMap<ExecutorKind, T>,
) -> About {
    let source = match source {
        Source::Folder(_) => "folder",
        Source::Server { .. } => "server",
    };
    let always = ["control_plane_sync", "metrics_ingest", "profile_evaluator", "scheduler"];
    let executors = executors.keys().map(|kind| kind.as_str());
    About {
        version: env!("CARGO_PKG_VERSION"),
        device_id,
        source,
        place,
        actors: always.into_iter().chain(executors).collect(),
    }
}
