//! The command in flight of a job. Pure.

use std::time::Duration;

use super::super::observed::PodKey;
use crate::clock::Monotonic;
use crate::messages::{ActionKind, CommandId};
use crate::workload::Limits;

/// A command is given up this long after its deadline, at which the executor's supervisor acts.
const GIVE_UP_MARGIN: Duration = Duration::from_secs(5);
/// The command in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) command: CommandId,
    pub(crate) kind: ActionKind,
    pub(crate) pod: PodKey,
    /// The limits that it brings about; none for those that touch no limits.
    pub(crate) limits: Limits,
    pub(crate) sent_at: Monotonic,
    /// When the job gives the command up.
    pub(crate) until: Monotonic,
}

/// Returns when a job gives up a command of that deadline.
pub(crate) fn given_up_at(deadline: Monotonic) -> Monotonic {
    deadline + GIVE_UP_MARGIN
}
