//! `GET /events`: the status as server-sent events, one whenever it has changed.
//!
//! However many streams there are, the actors are asked once for all of them.

use std::cell::RefCell;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::BodyStream;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, Shared, WeakShared};
use futures_util::stream::unfold;
use serde_json::Value;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::answers::{Answers, take_chunk};
use super::connections::Connection;
use super::refusal::Refusal;
use crate::clock::Monotonic;
use crate::metrics_ingest::status::{status, to_json, without_time};

/// How often a stream looks at the status, and so the shortest time between two events.
pub(super) const PERIOD: Duration = Duration::from_millis(500);
/// How long a snapshot serves other streams than the one that asked for it.
const MAX_SNAPSHOT_AGE: Duration = Duration::from_millis(250);
/// Looks without a change until a comment is sent, 2 s. A client that has closed its side of the
/// connection may still be reading; that it has gone is known when the second write fails, and only
/// then can another have its stream.
const QUIET_LOOKS: u32 = 4;
/// Starts a stream: milliseconds until a browser asks again when the stream breaks off.
const PREAMBLE: &str = "retry: 2000\n\n";
const COMMENT: &str = ":\n\n";

/// The status at one moment.
#[derive(Clone, Debug)]
struct Snapshot {
    /// The same for two snapshots between which nothing has changed but the time.
    mark: u64,
    /// The event that is sent.
    event: Bytes,
}

impl From<Value> for Snapshot {
    fn from(status: Value) -> Self {
        // JSON on one line: no text in it can end the event.
        let event = format!("event: status\ndata: {}\n\n", to_json(&status)).into();
        let mut hasher = DefaultHasher::new();
        without_time(status).hash(&mut hasher);
        Self { mark: hasher.finish(), event }
    }
}

/// A snapshot that is being made, or is made. Whichever of its streams is polled moves it on, so a
/// stalled one holds up no other.
type Look = Shared<LocalBoxFuture<'static, Snapshot>>;

/// The latest look, for as long as a stream holds it.
#[derive(Default)]
struct Latest(RefCell<Option<(Monotonic, WeakShared<LocalBoxFuture<'static, Snapshot>>)>>);

impl Latest {
    /// Returns the look that was begun a moment ago, else the one that `begin` begins.
    fn recent_or(
        &self,
        now: Monotonic,
        begin: impl FnOnce() -> LocalBoxFuture<'static, Snapshot>,
    ) -> Look {
        let mut latest = self.0.borrow_mut();
        let is_recent = |begun| now.saturating_since(begun) < MAX_SNAPSHOT_AGE;
        let recent = latest.as_ref().filter(|(begun, _)| is_recent(*begun));
        if let Some(look) = recent.and_then(|(_, look)| look.upgrade()) {
            return look;
        }
        let look = begin().shared();
        *latest = look.downgrade().map(|weak| (now, weak));
        look
    }
}

/// Opens streams.
pub(super) struct Streams {
    answers: Rc<Answers>,
    latest: Latest,
}

impl Streams {
    pub(super) fn new(answers: Rc<Answers>) -> Self {
        Self { answers, latest: Latest::default() }
    }

    /// Answers `GET /events`. The answer ends only with its connection.
    pub(super) fn open(self: &Rc<Self>, connection: &Connection) -> Result<HttpResponse, Refusal> {
        if !connection.take_stream() {
            return Err(Refusal::TooManyStreams);
        }
        let stream = Stream::new(Rc::clone(self));
        let chunks = unfold(stream, async |mut stream| {
            let chunk = stream.next_chunk().await;
            Some((Ok::<_, Infallible>(chunk), stream))
        });
        Ok(HttpResponse::Ok()
            .content_type("text/event-stream")
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(BodyStream::new(Box::pin(chunks))))
    }

    fn look(&self) -> Look {
        self.latest.recent_or(self.answers.clock.monotonic(), || {
            let answers = Rc::clone(&self.answers);
            Box::pin(async move {
                let write =
                    |about: &_, reports: &_, posts, now| status(about, reports, posts, now).into();
                match answers.write((), write).await {
                    Ok((snapshot, ())) => snapshot,
                    Err(_) => Snapshot::from(Value::Null),
                }
            })
        })
    }
}

/// The stream of one reader. The next event is made when the reader has read all before it: a slow
/// one gets the latest status, and nothing is queued for it.
struct Stream {
    streams: Rc<Streams>,
    ticks: Interval,
    /// Looks since something was sent.
    quiet: u32,
    /// What was sent last. The look is kept for streams that look at about the same time.
    sent: Option<(u64, Look)>,
    /// What the connection has not been given yet.
    rest: Bytes,
}

impl Stream {
    fn new(streams: Rc<Streams>) -> Self {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let rest = Bytes::from_static(PREAMBLE.as_bytes());
        Self { streams, ticks, quiet: 0, sent: None, rest }
    }

    async fn next_chunk(&mut self) -> Bytes {
        if self.rest.is_empty() {
            self.rest = self.next_event().await;
        }
        take_chunk(&mut self.rest)
    }

    /// Waits until the status has changed, or for so long that a comment is due.
    async fn next_event(&mut self) -> Bytes {
        loop {
            self.ticks.tick().await;
            let look = self.streams.look();
            let snapshot = look.clone().await;
            let is_new = self.sent.as_ref().is_none_or(|(mark, _)| *mark != snapshot.mark);
            self.sent = Some((snapshot.mark, look));
            self.quiet = if is_new { 0 } else { self.quiet + 1 };
            if is_new {
                return snapshot.event;
            }
            if self.quiet == QUIET_LOOKS {
                self.quiet = 0;
                return Bytes::from_static(COMMENT.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests;
