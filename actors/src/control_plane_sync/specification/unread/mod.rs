//! Keys of a specification that were not read as they are written: which there are, how they are
//! reported, and which of them keep a workload from starting.

mod free_keys;
mod slips;

pub(crate) use free_keys::{unknown_annotations, unknown_resources};
pub(crate) use slips::{GatesAs, lost_guard, refusal, told};
