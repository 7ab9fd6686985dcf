//! Runs workloads on one podman service and reports what it sees there.
//!
//! `actor` receives and sends; `client` and `connector` reach podman, `volumes` the disk;
//! `start`, `stop` and `pull` are the sequences of calls that one command comes to; `observer`
//! keeps what an observation needs beyond one listing; `pod_state`, `events`, `libpod` and
//! `words` only decide.

mod client;
mod connector;
mod events;
mod libpod;

pub use client::{
    Answer, EventStream, LibpodClient, PlayRequest, PodmanApi, PodmanError, PullRequest, boot_id,
};
pub use events::PodmanEvent;
pub use libpod::{
    ContainerDetail, ContainerRow, DetailHostConfig, DetailState, ErrorAnswer, HostInfo, PlayReport,
    PlayedPod, PodRow, Program, SecurityInfo, UpdateBody, UpdateCpu, UpdateMemory,
};
