//! What one command comes to: a sequence of calls.

pub(super) mod evidence;
mod failed_start;
pub(super) mod freeze;
pub(super) mod hook_record;
mod hooks;
pub(super) mod limits;
pub(super) mod mending;
pub(super) mod pull;
pub(super) mod repairs;
pub(super) mod start;
pub(super) mod stop;
