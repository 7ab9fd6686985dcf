//! Runs workloads on one podman service, and reports the pods that it has.
//!
//! `actor` receives commands and sends observations. Each command is a sequence of calls in
//! `commands`, which share a `context`; `libpod` is podman's API and what its answers mean;
//! `disk` holds the volumes of pods and small files. `observer` makes observations of listings.

mod actor;
mod commands;
mod context;
mod disk;
pub mod fuzz_entry;
mod host_writers;
mod image_care;
mod libpod;
mod notices;
mod observer;
mod pod_state;

pub use crate::pod_manifest::{Trail, Trails, VolumeFile, VolumeFolder};
pub use actor::PodmanExecutor;
pub use actor::deps::PodmanDeps;
pub use disk::{DiskFuture, PodmanDisk, Turn, Turns, on_disk};
pub use libpod::api::{Answer, EventStream, PlayRequest, PodmanApi, PodmanError, PullRequest};
pub use libpod::client::boot_id;
pub use libpod::events::PodmanEvent;
pub use libpod::http::{ExpectedPeer, LibpodClient, runtime_dir_owner};
pub use libpod::in_force::{Level, Resource};
pub use libpod::types::{
    ContainerDetail, ContainerRow, DetailHostConfig, DetailState, HostInfo, PlayReport, PlayedPod,
    PodRow, Program, SecurityInfo, UpdateBody, UpdateCpu, UpdateMemory,
};
