//! Runs workloads on one podman service and reports what it sees there.
//!
//! `actor` receives and sends; `http`, `client` and `connector` reach podman, `disk` the disk, with
//! `volumes` and `store`; `paced` asks podman no faster than it answers, by its `queue`; `start`, `stop` and `pull` are the sequences of calls that one command comes to, on the
//! `workbench` that they share, `limits` for a pod that runs; `observer` keeps what an observation
//! needs beyond one listing; `image_care` removes images that the agent brought and nobody wants, `mending`
//! those that a power cut damaged; `pod_state`, `pace`, `events`, `libpod`, `bounds`, `image_ledger`, `image_rows`, `in_force`,
//! `damage`, `refusal`, `notices` and `words` only decide.

mod actor;
#[cfg(all(test, feature = "testing"))]
mod actor_tests;
mod api;
mod bounds;
mod client;
mod damage;
mod disk;
pub mod doors;
mod events;
mod host_writers;
mod http;
mod image_care;
mod image_ledger;
mod image_rows;
#[cfg(all(test, feature = "testing"))]
mod image_tests;
mod in_force;
mod libpod;
mod limits;
mod mending;
mod notices;
mod observer;
mod pace;
mod paced;
#[cfg(all(test, feature = "testing"))]
mod paced_tests;
mod pod_state;
mod pull;
mod queue;
mod refusal;
mod removal;
mod remover;
mod start;
mod stop;
mod store;
mod trails;
mod volumes;
mod words;
mod workbench;

pub use crate::pod_manifest::{Trail, Trails, VolumeFile, VolumeFolder};
pub use actor::{PodmanDeps, PodmanExecutor};
pub use api::{Answer, EventStream, PlayRequest, PodmanApi, PodmanError, PullRequest};
pub use client::boot_id;
pub use disk::{Kept, PodmanDisk, Turn, Turns, on_disk};
pub use events::PodmanEvent;
pub use http::{ExpectedPeer, LibpodClient, runtime_dir_owner};
pub use in_force::{Level, Resource};
pub use libpod::{
    ContainerDetail, ContainerRow, DetailHostConfig, DetailState, HostInfo, PlayReport, PlayedPod,
    PodRow, Program, SecurityInfo, UpdateBody, UpdateCpu, UpdateMemory,
};
