//! How long the cluster asks to be left alone, as its answers' headers say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Response, StatusCode};

/// Remembers what the last answer that asked for it said, until it is taken. The client gives
/// an answer's headers to nobody. Clones share it.
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
