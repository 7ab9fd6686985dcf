//! The local listener: accepts posted metrics, and serves the agent's status to browsers and scrapers.

mod actor;
mod body;
#[cfg(feature = "testing")]
pub mod fuzz_entry;
mod http;
mod listen;
mod page;
mod prometheus;
mod sockets;
mod status;

pub use actor::{IngestDeps, MetricsIngest};
pub use listen::{Bound, InvalidListen, Listen};
pub use sockets::{PassedSocket, PassedSockets};
pub use status::About;
