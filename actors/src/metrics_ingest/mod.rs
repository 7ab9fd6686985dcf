//! The local listener: takes posted metrics, and shows the agent's status to people and scrapers.

mod actor;
mod admission;
mod body;
#[cfg(feature = "testing")]
pub mod doors;
mod exposition;
mod http;
mod listen;
mod report;
mod status;

pub use actor::{IngestDeps, MetricsIngest};
pub use http::{PassedSocket, PassedSockets};
pub use listen::{Bound, InvalidListen, Listen};
pub use status::About;
