//! `GET /events`: the status as server-sent events, told again whenever it has changed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BodyStream, MessageBody};
use actix_web::web::Bytes;
use futures_util::stream::unfold;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Service;
use super::long_answers::PIECE;
use super::snapshots::Asking;

/// Streams at one time, for each group of peers. Fewer than the six connections that a browser opens to one place, so that
/// pages in many tabs leave it one for the next page.
pub(super) const MAX_STREAMS: usize = 4;
/// How often a stream looks at the status, and so the least time between two events.
pub(super) const PERIOD: Duration = Duration::from_millis(500);
/// Looks without a change until a comment is sent, 2 s. A reader that has closed its side may still
/// read; that it went away is known by the second write, and only then is its place free.
const QUIET_LOOKS: u32 = 4;
/// Begins a stream: milliseconds until a browser whose stream broke asks again.
const PREAMBLE: &str = "retry: 2000\n\n";
const COMMENT: &str = ":\n\n";

/// Returns the body of an answer that ends only with its connection. It looks at the status when
/// its reader has taken all before: to a slow one the latest is told, and nothing is kept for it.
pub(super) fn body(service: Arc<Service>) -> impl MessageBody {
    let mut looks = interval(PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stream = Stream {
        service,
        looks,
        quiet: 0,
        told: None,
        left: Bytes::from_static(PREAMBLE.as_bytes()),
    };
    let pieces = unfold(stream, async |mut stream| {
        let piece = stream.piece().await;
        Some((Ok::<_, Infallible>(piece), stream))
    });
    BodyStream::new(Box::pin(pieces))
}

/// One reader's stream.
struct Stream {
    service: Arc<Service>,
    looks: Interval,
    /// Looks since something was told.
    quiet: u32,
    /// What was seen last; kept, so that streams which look at about the same time share it.
    told: Option<(u64, Asking)>,
    /// What of an event the connection has not taken yet.
    left: Bytes,
}

impl Stream {
    /// Returns the next bytes, as soon as there are any.
    async fn piece(&mut self) -> Bytes {
        if self.left.is_empty() {
            self.left = self.event().await;
        }
        let length = self.left.len().min(PIECE);
        self.left.split_to(length)
    }

    /// Waits for a status that was not told yet, or for so long that a comment is due.
    async fn event(&mut self) -> Bytes {
        loop {
            self.looks.tick().await;
            let asking = self.service.snapshot();
            let snapshot = asking.clone().await;
            let is_new = self.told.as_ref().is_none_or(|(mark, _)| *mark != snapshot.mark);
            self.told = Some((snapshot.mark, asking));
            self.quiet = if is_new { 0 } else { self.quiet + 1 };
            if is_new {
                return snapshot.event.clone();
            }
            if self.quiet == QUIET_LOOKS {
                self.quiet = 0;
                return Bytes::from_static(COMMENT.as_bytes());
            }
        }
    }
}
