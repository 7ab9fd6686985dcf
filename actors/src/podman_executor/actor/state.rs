//! The state of an executor: the event stream, listings, and what was reported of podman.

use std::time::Duration;

use actix::prelude::SpawnHandle;

use crate::clock::Monotonic;

/// Shortest time between two listings in a burst of events.
pub(super) const MIN_LISTING_GAP: Duration = Duration::from_millis(250);
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

/// The executor's own listings, of which one is under way at a time. Those that belong to commands
/// are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listings {
    /// None is under way or due.
    Idle,
    /// The next one waits for the gap after the last one to pass.
    Scheduled,
    /// One is under way.
    Running,
    /// One is under way that may not show what happened since it began: another follows.
    RunningAndWanted,
}

/// The digest of an image that containers run.
#[derive(Debug)]
pub(super) enum Digest {
    /// podman has not answered yet.
    Asked,
    /// What it answered.
    Known(Option<String>),
}

impl Digest {
    pub(super) fn known(&self) -> Option<String> {
        match self {
            Self::Asked => None,
            Self::Known(digest) => digest.clone(),
        }
    }
}

/// Whether podman answers, as it was last reported.
#[derive(Debug)]
pub(super) enum Availability {
    /// Nothing was reported yet.
    Unreported,
    /// It answers.
    Available,
    /// It does not.
    Unavailable {
        /// Why.
        message: String,
        /// When this was reported.
        reported_at: Monotonic,
        /// When it was last logged.
        logged_at: Monotonic,
    },
}

/// Why podman does not start, in its own words. Kept while it does not answer.
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
