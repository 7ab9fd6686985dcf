//! How long the cluster wants no requests, as the header `Retry-After` of its answers says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Response, StatusCode};

/// Remembers the header of the last answer that had one, until it is taken. The client does not
/// expose an answer's headers. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct RetryAfter(Arc<AtomicU32>);

impl RetryAfter {
    /// Notes the header of an answer that refuses for now. A date, which no cluster writes, is none.
    pub(super) fn note<B>(&self, answer: &Response<B>) {
        let refuses = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        if refuses.contains(&answer.status())
            && let Some(value) = answer.headers().get(RETRY_AFTER)
            && let Some(seconds) = value.to_str().ok().and_then(|text| text.parse().ok())
        {
            self.0.store(seconds, Ordering::Relaxed);
        }
    }

    /// Returns what was noted, and forgets it.
    pub(super) fn take(&self) -> Option<Duration> {
        let seconds = self.0.swap(0, Ordering::Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }
}
