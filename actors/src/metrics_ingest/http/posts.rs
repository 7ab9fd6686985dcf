//! `POST /metrics` and `/v1/metrics`: receives a body within the limits on memory, and hands its samples to the evaluator.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::Recipient;
use actix_http::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{HttpResponse, ResponseError as _};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::timeout;
use tracing::info;

use super::connections::{Connection, REQUEST_TIMEOUT, Resource};
use super::inflate::{Inflating, PIECE, STATE};
use super::refusal::Refusal;
use crate::messages::MetricsReceived;
use crate::metrics_ingest::body::batch::{Batch, Ignored, Remarks};
use crate::metrics_ingest::body::content::{Format, Target};
use crate::metrics_ingest::body::otlp::{self, Encoding};
use crate::metrics_ingest::body::{self, MAX_BODY};
use crate::metrics_ingest::status::{PostCounts, to_json};

/// Posts that the evaluator has, or is sent, at one time; more wait in order of arrival. The actors'
/// other work gets its turn between posts on the same thread: of a thousand posts that wait, only
/// this many come before it.
pub(super) const MAX_AT_WORK: usize = 16;
/// Bytes of each body that need no share of [`MAX_LARGE_BYTES`]: slow senders of large bodies do not
/// hold up small ones.
pub(super) const SMALL_BODY: usize = 16 * 1024;
/// Bytes of all bodies beyond their first [`SMALL_BODY`], those being received included.
pub(super) const MAX_LARGE_BYTES: usize = 16 * MAX_BODY;
/// Posts at one time, from the first byte of a body until the evaluator has handled it, or has dropped
/// it unread because its client got an error. More than there are connections.
pub(super) const MAX_POSTS: usize = 1024;
/// Largest body that is parsed on the thread of the actors, in bytes; it takes less than half a
/// millisecond.
pub(super) const MAX_PARSED_AT_ONCE: usize = 32 * 1024;
/// Time for a post's turn to come, and again for the evaluator to store it.
pub(super) const EVALUATOR_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes posts.
pub(super) struct Intake {
    evaluator: Recipient<MetricsReceived>,
    // Shared, because their permits go with a message into the evaluator's mailbox.
    pub(super) turns: Arc<Semaphore>,
    pub(super) posts: Arc<Semaphore>,
    pub(super) large_bytes: Arc<Semaphore>,
    taken: Cell<u64>,
    refused: Cell<u64>,
    /// Why values were not taken that could be read: each reason is logged once.
    ignored: RefCell<BTreeSet<Ignored>>,
}

/// The permits of a body.
struct Share {
    post: OwnedSemaphorePermit,
    /// One for each byte beyond [`SMALL_BODY`].
    large: Option<OwnedSemaphorePermit>,
}

impl Share {
    fn bytes(&self) -> usize {
        SMALL_BODY + self.large.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

impl Intake {
    pub(super) fn new(evaluator: Recipient<MetricsReceived>) -> Self {
        Self {
            evaluator,
            turns: Arc::new(Semaphore::new(MAX_AT_WORK)),
            posts: Arc::new(Semaphore::new(MAX_POSTS)),
            large_bytes: Arc::new(Semaphore::new(MAX_LARGE_BYTES)),
            taken: Cell::default(),
            refused: Cell::default(),
            ignored: RefCell::default(),
        }
    }

    pub(super) fn counts(&self) -> PostCounts {
        PostCounts {
            taken: self.taken.get(),
            refused: self.refused.get(),
            waiting: MAX_AT_WORK.saturating_sub(self.turns.available_permits()),
        }
    }

    /// Answers a post, once the evaluator has stored its samples.
    pub(super) async fn post(
        &self,
        target: Target,
        headers: &HeaderMap,
        payload: Payload,
        connection: &Connection,
    ) -> HttpResponse {
        let encoding = Encoding::of(target, content_type(headers));
        match self.take(target, headers, payload, connection).await {
            Ok(remarks) => {
                self.taken.update(|taken| taken + 1);
                self.log_ignored(&remarks);
                answer(encoding, &remarks)
            }
            Err(refusal) => {
                self.refused.update(|refused| refused + 1);
                encoding.map_or_else(|| refusal.error_response(), |it| refusal.otlp_response(it))
            }
        }
    }

    fn log_ignored(&self, remarks: &Remarks) {
        for (series, why) in remarks.reasons() {
            if self.ignored.borrow_mut().insert(why) {
                let detail = format!("{series}: {}", why.as_str());
                info!(detail, "posted value was ignored");
            }
        }
    }

    async fn take(
        &self,
        target: Target,
        headers: &HeaderMap,
        payload: Payload,
        connection: &Connection,
    ) -> Result<Remarks, Refusal> {
        let is_gzip = is_gzip(headers)?;
        connection.state.begin_body(length_of(headers));
        let received = timeout(REQUEST_TIMEOUT, self.receive(payload, is_gzip, connection)).await;
        connection.state.end_body();
        let (body, share) = received.map_err(|_| Refusal::Slow)??;
        let turn = timeout(EVALUATOR_TIMEOUT, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(Refusal::Busy)?;
        // From here on the permits go where the post goes: to the thread that parses it, which goes
        // on when the client leaves, and through the evaluator's mailbox. What they stand for is
        // there for exactly as long as they are.
        let permits = [share.post, turn].into_iter().chain(share.large).collect();
        let format = Format::of(target, content_type(headers), &body)?;
        let (message, remarks) = parse(format, body, permits).await?;
        if !message.samples.is_empty() {
            self.forward(message).await?;
        }
        Ok(remarks)
    }

    /// Receives a body, and takes its share of the memory for bodies as it grows.
    async fn receive(
        &self,
        mut payload: Payload,
        is_gzip: bool,
        connection: &Connection,
    ) -> Result<(Bytes, Share), Refusal> {
        let post = Arc::clone(&self.posts).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let mut share = Share { post, large: None };
        // Most bodies are one chunk, which need not be copied.
        let mut only = Bytes::new();
        let mut joined = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Refusal::Cut)?;
            let length = only.len() + joined.len() + chunk.len();
            if length > MAX_BODY {
                return Err(Refusal::TooLarge);
            }
            if length > share.bytes() {
                self.enlarge(&mut share, length, connection).await?;
            }
            if only.is_empty() && joined.is_empty() {
                only = chunk;
            } else {
                joined.extend_from_slice(&std::mem::take(&mut only));
                joined.extend_from_slice(&chunk);
            }
        }
        connection.state.end_body();
        let body = if joined.is_empty() { only } else { joined.freeze() };
        let body = match is_gzip {
            true => self.inflate(body, &mut share, connection).await?,
            false => body,
        };
        Ok((body, share))
    }

    /// Inflates a body, whose share grows to hold it in both forms.
    async fn inflate(
        &self,
        body: Bytes,
        share: &mut Share,
        connection: &Connection,
    ) -> Result<Bytes, Refusal> {
        let compressed = body.len();
        let mut inflating = Inflating::new(body);
        let mut plain = BytesMut::new();
        loop {
            let length = compressed + STATE + plain.len() + PIECE;
            if length > share.bytes() {
                self.enlarge(share, length, connection).await?;
            }
            match inflating.append_to(&mut plain) {
                Ok(true) if plain.len() > MAX_BODY => return Err(Refusal::Inflated),
                Ok(true) => yield_now().await,
                Ok(false) => return Ok(plain.freeze()),
                Err(error) => return Err(Refusal::NotGzip(error.to_string())),
            }
        }
    }

    /// Enlarges a share to `length` bytes. If there are not enough, a connection whose body arrives
    /// too slowly is closed for it.
    async fn enlarge(
        &self,
        share: &mut Share,
        length: usize,
        connection: &Connection,
    ) -> Result<(), Refusal> {
        let missing = u32::try_from(length.saturating_sub(share.bytes())).unwrap_or(u32::MAX);
        let more = || Arc::clone(&self.large_bytes).try_acquire_many_owned(missing).ok();
        let more = loop {
            if let Some(more) = more() {
                break more;
            }
            if !connection.evict_other(Resource::LargeBody).await {
                return Err(Refusal::Busy);
            }
        };
        connection.state.hold(Resource::LargeBody);
        match &mut share.large {
            Some(large) => large.merge(more),
            large => *large = Some(more),
        }
        Ok(())
    }

    /// Returns once the evaluator has stored the samples. After the timeout they are never stored: a
    /// message whose answer is no longer awaited is dropped unread, so a client may send them again.
    async fn forward(&self, message: MetricsReceived) -> Result<(), Refusal> {
        match timeout(EVALUATOR_TIMEOUT, self.evaluator.send(message)).await {
            Ok(Ok(stored)) => Ok(stored?),
            Ok(Err(_)) | Err(_) => Err(Refusal::NoAnswer),
        }
    }
}

/// Returns the length of the body; `None` where only its end says so.
fn length_of(headers: &HeaderMap) -> Option<usize> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    // One that is no number was refused with the head.
    Some(length.map_or(0, |length| length.parse().unwrap_or(usize::MAX)))
}

async fn parse(
    format: Format,
    body: Bytes,
    permits: Vec<OwnedSemaphorePermit>,
) -> Result<(MetricsReceived, Remarks), Refusal> {
    let length = body.len();
    let parse = move || -> Result<_, Refusal> {
        let Batch { samples, remarks, .. } = body::parse(format, &body)?;
        Ok((MetricsReceived { samples, permits }, remarks))
    };
    if length <= MAX_PARSED_AT_ONCE {
        return parse();
    }
    spawn_blocking(parse).await.map_err(|_| Refusal::NoAnswer)?
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Returns whether a body is compressed.
fn is_gzip(headers: &HeaderMap) -> Result<bool, Refusal> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).map(|value| value.as_bytes());
    match (codings.next().map(<[u8]>::to_ascii_lowercase).as_deref(), codings.next()) {
        (None | Some(b"identity"), None) => Ok(false),
        (Some(b"gzip" | b"x-gzip"), None) => Ok(true),
        (_, _) => Err(Refusal::Encoded),
    }
}

/// Answers a post that was taken: with nothing, unless there is something to know.
fn answer(encoding: Option<Encoding>, remarks: &Remarks) -> HttpResponse {
    if let Some(encoding) = encoding {
        let body = otlp::response(encoding, remarks);
        return HttpResponse::Ok().content_type(encoding.content_type()).body(body);
    }
    match remarks.answer() {
        Some(answer) => HttpResponse::Ok().content_type("application/json").body(to_json(&answer)),
        None => HttpResponse::NoContent().finish(),
    }
}
