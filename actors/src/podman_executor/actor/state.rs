//! The state of an executor: the event stream, observations, and what was reported of podman.

use std::time::Duration;

use actix::prelude::SpawnHandle;

use crate::clock::Monotonic;

/// Shortest time between two observations in a burst of events.
pub(super) const MIN_OBSERVATION_GAP: Duration = Duration::from_millis(250);
/// First wait before a connection is tried again.
pub(super) const MIN_RECONNECT_DELAY: Duration = Duration::from_millis(100);
/// Longest wait while podman answers wrongly or not at all.
pub(super) const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(30);

/// The event stream.
pub(super) enum Link {
    /// A reconnection is on its way or planned.
    Down,
    /// Events flow.
    Up {
        /// The stream.
        stream: SpawnHandle,
        /// Since when.
        since: Monotonic,
    },
}

/// Observations that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// None is under way.
    Idle,
    /// One waits for the gap to the last one to pass.
    Planned,
    /// One is under way.
    Running,
    /// One is under way, and something happened since it began.
    Stale,
}

/// Whether podman answers, as it was last reported.
#[derive(Debug)]
pub(super) enum Availability {
    /// Nothing was reported yet.
    Untold,
    /// It answers.
    Available,
    /// It does not.
    Unavailable {
        /// Why.
        message: String,
        /// When this was reported.
        told_at: Monotonic,
        /// When it was last logged.
        logged_at: Monotonic,
    },
}

/// What podman says of why it does not start, while it does not answer.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    /// Since when it does not answer.
    pub(super) since: Option<Monotonic>,
    /// When they were last looked for.
    pub(super) sought_at: Option<Monotonic>,
    /// They, as last found.
    pub(super) found: Option<String>,
    /// Whether they were not reported yet.
    pub(super) is_news: bool,
}
