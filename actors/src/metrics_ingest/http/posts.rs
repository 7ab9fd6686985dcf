//! How a post is taken.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_http::{Payload, Request};
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{HttpResponse, ResponseError as _};
use futures_util::StreamExt as _;
use futures_util::future::poll_immediate;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::refusal::Refusal;
use super::{Held, MAX_BODY, PEER_TIMEOUT, REQUEST_TIMEOUT, Service, beside};
use crate::messages::MetricsReceived;
use crate::metrics_ingest::body;
use crate::workload::Sample;

/// Largest body that is read on the thread of the actors, in bytes: less than half a millisecond.
const MAX_AT_ONCE: usize = 32 * 1024;

impl Service {
    /// Takes a post of metrics, and answers once the evaluator has stored them.
    pub(super) async fn post(&self, mut request: Request) -> HttpResponse {
        match self.take(&mut request).await {
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

    async fn take(&self, request: &mut Request) -> Result<(), Refusal> {
        if request.head().headers.contains_key(header::CONTENT_ENCODING) {
            return Err(Refusal::Encoded);
        }
        let received = within(REQUEST_TIMEOUT, self.receive(request.take_payload())).await;
        let (body, bytes) = received.map_err(|_| Refusal::Slow)??;
        let turn = within(PEER_TIMEOUT, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| Refusal::Busy)?;
        let samples = parsed(body).await?;
        self.abandoned.sweep();
        let slot = Arc::clone(&self.bodies).try_acquire_owned();
        let slot = slot.map_err(|_| Refusal::Busy)?;
        self.forward(samples, (slot, bytes)).await
    }

    /// Reads a body, and a share of the memory set aside for bodies with it.
    async fn receive(
        &self,
        mut payload: Payload,
    ) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal> {
        let (mut body, mut share) = (Bytes::new(), None::<OwnedSemaphorePermit>);
        // Most bodies are one chunk, which is as good as a copy of it.
        let mut joined = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Refusal::Cut)?;
            if body.len() + joined.len() + chunk.len() > MAX_BODY {
                return Err(Refusal::TooLarge);
            }
            let more = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            let more = Arc::clone(&self.bytes).try_acquire_many_owned(more);
            let more = more.map_err(|_| Refusal::Busy)?;
            match &mut share {
                Some(share) => share.merge(more),
                None => share = Some(more),
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

    /// Returns once the evaluator has stored the samples. `held` is given back when it has, or has
    /// died, not when the client or we lose patience.
    async fn forward(&self, samples: Vec<Sample>, held: Held) -> Result<(), Refusal> {
        let request = self.evaluator.send(MetricsReceived { samples });
        match timeout(PEER_TIMEOUT, self.abandoned.guard(request, held)).await {
            Ok(Ok(stored)) => Ok(stored?),
            Ok(Err(_)) | Err(_) => Err(Refusal::NoAnswer),
        }
    }
}

/// Waits for a future, and sets a timer only if there is something to wait for.
async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    match poll_immediate(future.as_mut()).await {
        Some(output) => Ok(output),
        None => timeout(limit, future).await,
    }
}

/// Reads the samples of a body; beside the actors when it would hold them up.
async fn parsed(body: Bytes) -> Result<Vec<Sample>, Refusal> {
    if body.len() <= MAX_AT_ONCE {
        return Ok(body::parse(&body)?);
    }
    Ok(beside(move || body::parse(&body)).await??)
}
