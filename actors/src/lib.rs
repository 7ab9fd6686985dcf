//! The six supervised actors of device-worker-ng.
//!
//! ```text
//!                    WorkloadsConfigured              ExecutorCommand
//!  ControlPlaneSync ────────────────────▶ Scheduler ─────────────────▶ PodmanExecutor ×2
//!     │      ▲   ▲        JobsReported        │ ▲ ▲                    K8sExecutor
//!     │      │   └────────────────────────────┘ │ └─────────────────────────┘
//!     │      │ EventRecorded                    │       WorkloadsObserved, CommandFinished
//!     │      └── (any actor)                    │ ProfilesEvaluated
//!     │ ProfilesConfigured                      │
//!     └────────────────────────────▶ ProfileEvaluator ◀───────────────── MetricsIngest
//!                                                        MetricsReceived
//! ```
//!
//! The podman executors hear `WorkloadsConfigured`, too: they look after images and volumes.
//!
//! Reading order: [`messages`], [`workload`], then one actor's folder. In every folder `actor.rs`
//! receives and sends, `client.rs` and its like touch the world, every other file only decides.

pub mod messages;
pub mod workload;

mod backoff;
mod blocking;
mod command_ticket;
mod digest;
mod latency;
mod local_time;
mod log_query;
mod pod_manifest;
mod quantity;
#[cfg(test)]
mod test_zone;
mod url_path;
mod workload_id;

pub mod clock;
pub mod clock_witness;
pub mod error_chain;
pub mod path_trust;
pub mod private_file;
pub mod program;
pub mod supervisor;
pub mod yaml;

pub use blocking::BlockingError;

pub mod control_plane_sync;
pub mod k8s_executor;
pub mod metrics_ingest;
pub mod podman_executor;
pub mod profile_evaluator;
pub mod scheduler;

#[cfg(feature = "testing")]
pub mod testing;

pub use latency::Latencies;
pub use log_query::{LogLines, LogQuery};
pub use workload_id::{PodIdentity, workload_id};
