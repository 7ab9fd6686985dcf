//! How a post is taken.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix_http::{Payload, Request};
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError as _, web};
use futures_util::StreamExt as _;
use tokio::sync::OwnedSemaphorePermit;
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
        let (body, bytes) = timeout(REQUEST_TIMEOUT, self.receive(request.take_payload()))
            .await
            .map_err(|_| Refusal::Slow)??;
        let turn = timeout(PEER_TIMEOUT, self.turns.acquire()).await;
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
    ) -> Result<(web::BytesMut, Option<OwnedSemaphorePermit>), Refusal> {
        let (mut body, mut share) = (web::BytesMut::new(), None::<OwnedSemaphorePermit>);
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Refusal::Cut)?;
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Refusal::TooLarge);
            }
            let more = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            let more = Arc::clone(&self.bytes).try_acquire_many_owned(more);
            let more = more.map_err(|_| Refusal::Busy)?;
            match &mut share {
                Some(share) => share.merge(more),
                None => share = Some(more),
            }
            body.extend_from_slice(&chunk);
        }
        Ok((body, share))
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

/// Reads the samples of a body; beside the actors when it would hold them up.
async fn parsed(body: web::BytesMut) -> Result<Vec<Sample>, Refusal> {
    if body.len() <= MAX_AT_ONCE {
        return Ok(body::parse(&body)?);
    }
    Ok(beside(move || body::parse(&body)).await??)
}
