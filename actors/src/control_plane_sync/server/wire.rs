//! The JSON of the control plane and its conversion to and from our types.

mod answer;
mod configuration;
mod envelope;
mod error;
mod known;
mod request;
mod unread;

pub(crate) use answer::{ControlCommand, control_command, registration_answer};
pub(crate) use error::WireError;
pub(crate) use known::Known;
pub use request::AgentStatus;
pub(crate) use request::{Heartbeat, Stamp, enrolment, heartbeat, registration};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
