//! `GET /metrics`, `/status` and `/healthz`: asks the actors, and sends what is made of their reports.
//!
//! Long answers are limited in number and sent in chunks, so that what slow readers have not read yet
//! takes little memory.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix::prelude::{Message, Recipient};
use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use grammar::printable;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::connections::{Connection, Resource};
use super::posts::Intake;
use super::refusal::Refusal;
use crate::clock::{Clock, Moment};
use crate::messages::{GetControlPlane, GetJobs, GetProfiles};
use crate::metrics_ingest::prometheus::exposition;
use crate::metrics_ingest::sockets::PerGroup;
use crate::metrics_ingest::status::{About, PostCounts, Reports, status, to_json};

/// Long answers at one time, from when they are made until they are read, for each group of peers.
pub(super) const MAX_LONG_ANSWERS: usize = 8;
/// Longest wait of a request until it is one of them.
const MAX_SLOT_WAIT: Duration = Duration::from_secs(2);
/// Time between two attempts to close the connection of a reader for it.
const EVICTION_INTERVAL: Duration = Duration::from_millis(10);
/// Bytes handed to a connection at one time.
pub(super) const CHUNK: usize = 16 * 1024;
/// Time for an actor to report; without it, the answer holds the other reports.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// The actors that report what the status consists of.
pub(in crate::metrics_ingest) struct StatusSources {
    pub(in crate::metrics_ingest) profiles: Recipient<GetProfiles>,
    pub(in crate::metrics_ingest) jobs: Recipient<GetJobs>,
    pub(in crate::metrics_ingest) control_plane: Recipient<GetControlPlane>,
}

impl StatusSources {
    async fn reports(&self) -> Reports {
        let (control_plane, scheduler, evaluator) = tokio::join!(
            ask(&self.control_plane, GetControlPlane),
            ask(&self.jobs, GetJobs),
            ask(&self.profiles, GetProfiles),
        );
        Reports { control_plane, scheduler, evaluator }
    }
}

async fn ask<M>(actor: &Recipient<M>, question: M) -> Option<M::Result>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    timeout(REPORT_TIMEOUT, actor.send(question)).await.ok()?.ok()
}

/// Makes the answers.
pub(super) struct Answers {
    sources: StatusSources,
    about: Arc<About>,
    pub(super) clock: Clock,
    intake: Rc<Intake>,
    slots: PerGroup<Slots>,
}

impl Answers {
    pub(super) fn new(
        sources: StatusSources,
        about: About,
        clock: Clock,
        intake: Rc<Intake>,
    ) -> Self {
        Self { sources, about: Arc::new(about), clock, intake, slots: PerGroup::default() }
    }

    /// Answers `GET /metrics`.
    pub(super) async fn metrics(&self, connection: &Connection) -> Result<HttpResponse, Refusal> {
        let slot = self.slot(connection).await.ok_or(Refusal::Crowded)?;
        let (text, slot) = self.write(slot, exposition).await?;
        Ok(HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4; charset=utf-8")
            .body(ChunkedBody::new(text, slot)))
    }

    /// Answers `GET /status`.
    pub(super) async fn status(&self, connection: &Connection) -> Result<HttpResponse, Refusal> {
        let slot = self.slot(connection).await.ok_or(Refusal::Crowded)?;
        let write =
            |about: &_, reports: &_, posts, now| to_json(&status(about, reports, posts, now));
        let (text, slot) = self.write(slot, write).await?;
        Ok(HttpResponse::Ok().content_type("application/json").body(ChunkedBody::new(text, slot)))
    }

    /// Answers `GET /healthz`: a line with the state, then one for each reason. Only `down` is an error
    /// status; supervisors of the agent restart it for that, which helps against nothing else.
    pub(super) async fn health(&self) -> HttpResponse {
        let health = self.sources.reports().await.health(self.clock.now().wall);
        let mut answer = match health.state {
            "down" => HttpResponse::ServiceUnavailable(),
            _ => HttpResponse::Ok(),
        };
        let reasons = health.reasons.iter().map(|reason| printable(reason).into_owned());
        let lines = std::iter::once(health.state.to_owned()).chain(reasons);
        answer.content_type("text/plain; charset=utf-8").body(lines.collect::<Vec<_>>().join("\n"))
    }

    /// Asks the actors, and has `write` make an answer of their reports on another thread. `held` goes
    /// there and comes back: the thread cannot be stopped when the client leaves.
    pub(super) async fn write<T: Send + 'static, H: Send + 'static>(
        &self,
        held: H,
        write: fn(&About, &Reports, PostCounts, Moment) -> T,
    ) -> Result<(T, H), Refusal> {
        let reports = self.sources.reports().await;
        let (about, posts, now) = (Arc::clone(&self.about), self.intake.counts(), self.clock.now());
        let writing = spawn_blocking(move || (write(&about, &reports, posts, now), held));
        writing.await.map_err(|_| Refusal::NoAnswer)
    }

    /// Waits for a slot for a long answer. A connection whose client reads nothing is closed for it.
    async fn slot(&self, connection: &Connection) -> Option<OwnedSemaphorePermit> {
        let slots = self.slots.of(connection.state.peer.group());
        // The one permit future keeps its place in the queue while connections are closed: a client
        // that asks again and again gains nothing.
        let mut free = pin!(Arc::clone(&slots.0).acquire_owned());
        let waiting = async {
            loop {
                match timeout(EVICTION_INTERVAL, free.as_mut()).await {
                    Ok(permit) => return permit.ok(),
                    Err(_) => drop(connection.evict_other(Resource::LongAnswer).await),
                }
            }
        };
        let slot = timeout(MAX_SLOT_WAIT, waiting).await.ok()??;
        connection.state.hold(Resource::LongAnswer);
        Some(slot)
    }

    #[cfg(test)]
    pub(super) fn free_slots(&self, group: crate::metrics_ingest::sockets::Group) -> usize {
        self.slots.of(group).0.available_permits()
    }
}

/// Limits the long answers of a group.
struct Slots(Arc<Semaphore>);

impl Default for Slots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_LONG_ANSWERS)))
    }
}

/// Takes up to [`CHUNK`] bytes off the front of `rest`.
pub(super) fn take_chunk(rest: &mut Bytes) -> Bytes {
    rest.split_to(rest.len().min(CHUNK))
}

/// A body in chunks, which holds its slot until the connection has all of it. A body in one piece
/// would be copied into the connection's buffer as a whole.
struct ChunkedBody {
    rest: Bytes,
    _slot: OwnedSemaphorePermit,
}

impl ChunkedBody {
    fn new(text: String, slot: OwnedSemaphorePermit) -> Self {
        Self { rest: text.into(), _slot: slot }
    }
}

impl MessageBody for ChunkedBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let chunk = take_chunk(&mut self.rest);
        Poll::Ready((!chunk.is_empty()).then_some(Ok(chunk)))
    }
}
