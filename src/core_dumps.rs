//! Keeps keys and secrets off the disk when the agent is ended by a fault: it leaves no core dump.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps of this process, and of those that it starts.
///
/// Another process of the same user can no longer look into its memory either, only root.
///
/// # Errors
/// The kernel refuses, which it does for neither unless a filter of system calls is in the way.
pub fn forbid() -> io::Result<()> {
    // Where a program is named that takes dumps, it is handed them whatever the limit.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}
