//! How a post is taken.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix_http::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{HttpResponse, ResponseError as _};
use futures_util::StreamExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::client::{Client, Scarce};
use super::refusal::Refusal;
use super::{MAX_BODY, PEER_TIMEOUT, REQUEST_TIMEOUT, SMALL_BODY, Service, beside};
use crate::messages::MetricsReceived;
use crate::metrics_ingest::body;
use crate::workload::Sample;

/// Largest body that is read on the thread of the actors, in bytes: less than half a millisecond.
const MAX_AT_ONCE: usize = 32 * 1024;

/// What a post has of the memory for bodies.
pub(super) struct Share {
    post: OwnedSemaphorePermit,
    /// Bytes beyond [`SMALL_BODY`].
    large: Option<OwnedSemaphorePermit>,
}

impl Share {
    fn bytes(&self) -> usize {
        SMALL_BODY + self.large.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    fn permits(self) -> impl Iterator<Item = OwnedSemaphorePermit> {
        [self.post].into_iter().chain(self.large)
    }
}

impl Service {
    /// Takes a post of metrics, and answers once the evaluator has stored them.
    pub(super) async fn post(
        &self,
        headers: &HeaderMap,
        payload: Payload,
        client: &Client,
    ) -> HttpResponse {
        match self.take(headers, payload, client).await {
            Ok(()) => {
                self.taken.fetch_add(1, Ordering::Relaxed);
                HttpResponse::NoContent().finish()
            }
            Err(refusal) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                refusal.error_response()
            }
        }
    }

    async fn take(
        &self,
        headers: &HeaderMap,
        payload: Payload,
        client: &Client,
    ) -> Result<(), Refusal> {
        if headers.contains_key(header::CONTENT_ENCODING) {
            return Err(Refusal::Encoded);
        }
        client.sends();
        let received = timeout(REQUEST_TIMEOUT, self.receive(payload, client)).await;
        client.has_sent();
        let (body, share) = received.map_err(|_| Refusal::Slow)??;
        let turn = timeout(PEER_TIMEOUT, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(Refusal::Busy)?;
        let samples = parsed(body).await?;
        let permits = share.permits().chain([turn]).collect();
        self.forward(MetricsReceived { samples, permits }).await
    }

    /// Reads a body, and a share of the memory set aside for bodies with it.
    async fn receive(
        &self,
        mut payload: Payload,
        client: &Client,
    ) -> Result<(Bytes, Share), Refusal> {
        let (mut body, mut share) = (Bytes::new(), self.share()?);
        // Most bodies are one chunk, which is as good as a copy of it.
        let mut joined = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Refusal::Cut)?;
            let length = body.len() + joined.len() + chunk.len();
            if length > MAX_BODY {
                return Err(Refusal::TooLarge);
            }
            if length > share.bytes() {
                self.enlarge(&mut share, length, client).await?;
            }
            if body.is_empty() && joined.is_empty() {
                body = chunk;
            } else {
                joined.extend_from_slice(&std::mem::take(&mut body));
                joined.extend_from_slice(&chunk);
            }
        }
        Ok((if joined.is_empty() { body } else { joined.freeze() }, share))
    }

    /// Returns the share of a body that may yet turn out to be small.
    fn share(&self) -> Result<Share, Refusal> {
        let post = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        Ok(Share { post, large: None })
    }

    /// Makes a share large enough for `length` bytes. A body that arrives too slowly makes way.
    async fn enlarge(
        &self,
        share: &mut Share,
        length: usize,
        client: &Client,
    ) -> Result<(), Refusal> {
        let missing = u32::try_from(length.saturating_sub(share.bytes())).unwrap_or(u32::MAX);
        let more = || Arc::clone(&self.bytes).try_acquire_many_owned(missing).ok();
        let more = loop {
            if let Some(more) = more() {
                break more;
            }
            if !client.displaces(Scarce::Body).await {
                return Err(Refusal::Busy);
            }
        };
        client.holds(Scarce::Body);
        match &mut share.large {
            Some(large) => large.merge(more),
            large => *large = Some(more),
        }
        Ok(())
    }

    /// Returns once the evaluator has stored the samples. Past the time for that they are never stored:
    /// the mailbox drops a message whose answer is no longer awaited, with its permits.
    async fn forward(&self, message: MetricsReceived) -> Result<(), Refusal> {
        match timeout(PEER_TIMEOUT, self.evaluator.send(message)).await {
            Ok(Ok(stored)) => Ok(stored?),
            Ok(Err(_)) | Err(_) => Err(Refusal::NoAnswer),
        }
    }
}

/// Reads the samples of a body; beside the actors when it would hold them up.
async fn parsed(body: Bytes) -> Result<Vec<Sample>, Refusal> {
    if body.len() <= MAX_AT_ONCE {
        return Ok(body::parse(&body)?);
    }
    Ok(beside(move || body::parse(&body)).await??)
}
