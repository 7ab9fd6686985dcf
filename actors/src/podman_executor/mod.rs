//! Runs workloads on one podman service, and reports the pods that it has.
//!
//! `actor` receives commands and sends observations. Each command is a sequence of calls in
//! `commands`, which share a `context`; `libpod` is podman's API and what its answers mean;
//! `disk` holds the volumes of pods and small files. `observer` lists pods, and `pod_table` holds what
//! listings and commands have shown of them.

mod actor;
mod commands;
mod context;
mod disk;
pub mod fuzz_entry;
mod host_writers;
mod image_care;
mod libpod;
mod logged;
mod notices;
mod observer;
mod pod_state;
mod pod_table;
mod probing;

pub use crate::pod_manifest::{Trail, Trails, VolumeFile, VolumeFolder};
pub use actor::PodmanExecutor;
pub use actor::deps::PodmanDeps;
pub use disk::kept_logs::{KeptLog, KeptRun, kept_runs, kept_runs_of};
pub use disk::{
    DiskFuture, Ended, InMemory, PodmanDisk, Turn, Turns, Usage, on_disk, on_disk_and_in_memory,
};
pub use libpod::api::{
    Answer, EventStream, ExecRequest, ExecResult, PlayRequest, PodmanApi, PodmanError, PullRequest,
};
pub use libpod::client::{Survey, boot_id};
pub use libpod::events::PodmanEvent;
pub use libpod::http::{ExpectedPeer, LibpodClient, runtime_dir_owner};
pub use libpod::in_force::{Level, Resource};
pub use libpod::types::{
    ContainerDetail, ContainerRow, DetailHostConfig, DetailNetwork, DetailState, Healthcheck,
    HostInfo, PlayReport, PlayedPod, PodRow, Program, SecurityInfo, UpdateBody, UpdateCpu,
    UpdateMemory, UsageRow,
};
pub use logged::{LoggedContainer, logged_containers};
pub use probing::network::{DeviceNetwork, ProbeNetwork, ProbeRequest};
