//! How long a cluster may take.

use std::time::Duration;

/// Time for one call.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a connection to open.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which a connection counts as dead; longer than a quiet watch is silent.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(75);
