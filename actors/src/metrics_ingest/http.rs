//! The local HTTP interface: routes, their answers, and the sockets that they are served on.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::prelude::Recipient;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use grammar::printable;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use self::client::Client;
pub(super) use self::clients::Clients;
use self::long_answers::Places;
pub use self::passed::{PassedSocket, PassedSockets};
pub(super) use self::peers::Peers;
use self::refusal::Refusal;
pub(super) use self::serving::serve;
use self::snapshots::{Asking, Snapshots};
pub(super) use self::sockets::{Opening, Socket, bind};
use super::report::{Posts, exposition};
use super::status::{About, Answers, status, written};
use crate::clock::{Clock, Moment};
use crate::messages::MetricsReceived;

mod client;
mod clients;
mod front;
mod guard;
mod long_answers;
mod page;
mod passed;
mod peer;
mod peers;
mod posts;
mod refusal;
mod serving;
mod snapshots;
mod sockets;
mod stream;

/// Largest body of a post, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// Posts that are handed to the evaluator at one time; more wait in order of arrival. What the actors
/// do takes its turns between posts on the same thread: of a thousand waiting ones only so many come
/// before the next turn.
const MAX_AT_WORK: usize = 16;
/// Bytes of bodies that may be in memory at one time, those being received included, beyond the
/// [`SMALL_BODY`] that each may have.
const MAX_BYTES: usize = 16 * MAX_BODY;
/// What each body may take whatever others take: who sends large ones slowly holds up no small ones.
const SMALL_BODY: usize = 16 * 1024;
/// Posts that may be there at one time, from the first byte of a body until the evaluator has it, or
/// has dropped it because its client was answered before. More than there are connections.
const MAX_POSTS: usize = 1024;
/// Time for a client to send its request's head, and again its body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Time for a peer to answer.
const PEER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the routes work with; shared by all listeners.
pub(super) struct Service {
    evaluator: Recipient<MetricsReceived>,
    peers: Peers,
    about: About,
    clock: Clock,
    own_addresses: Vec<IpAddr>,
    answers: Places,
    snapshots: Snapshots,
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    taken: AtomicU64,
    refused: AtomicU64,
}

impl Service {
    /// `own_addresses` are those by which clients may call the listener, besides the loopback ones.
    pub(super) fn new(
        evaluator: Recipient<MetricsReceived>,
        peers: Peers,
        about: About,
        clock: Clock,
        own_addresses: Vec<IpAddr>,
    ) -> Self {
        Self {
            evaluator,
            peers,
            about,
            clock,
            own_addresses,
            answers: Places::default(),
            snapshots: Snapshots::default(),
            turns: Arc::new(Semaphore::new(MAX_AT_WORK)),
            waiting: Arc::new(Semaphore::new(MAX_POSTS)),
            bytes: Arc::new(Semaphore::new(MAX_BYTES)),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Asks the actors, and writes what `write` makes of their answers.
    async fn answer<T: Send + 'static>(
        self: &Arc<Self>,
        write: fn(&About, &Answers, Posts, Moment) -> T,
    ) -> Result<T, Refusal> {
        let answers = self.peers.ask().await;
        let (service, posts) = (Arc::clone(self), self.posts());
        beside(move || write(&service.about, &answers, posts, service.clock.now())).await
    }

    /// Returns the status for a stream; one that was asked for a moment ago is as good.
    fn snapshot(self: &Arc<Self>) -> Asking {
        let now = self.clock.now().monotonic;
        self.snapshots.recent(now, || {
            let service = Arc::clone(self);
            Box::pin(async move { service.answer(status).await.unwrap_or_default() })
        })
    }

    fn posts(&self) -> Posts {
        Posts {
            taken: self.taken.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            waiting: MAX_AT_WORK.saturating_sub(self.turns.available_permits()),
        }
    }
}

/// Does what would hold the actors up on another thread, which is there for as long as it is used.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    // None comes of a panic only.
    spawn_blocking(work).await.map_err(|_| Refusal::NoAnswer)
}

/// Adds every route; needs a `web::Data<Service>` beside it.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let only = |allowed| web::to(move || async move { Err::<String, _>(Refusal::Method(allowed)) });
    let metrics = web::resource("/metrics")
        .route(web::post().to(post_metrics))
        .route(web::get().to(get_metrics));
    let healthz = web::resource("/healthz").route(web::get().to(get_healthz));
    let get_status = web::resource("/status").route(web::get().to(get_status));
    let events = web::resource("/events").route(web::get().to(get_events));
    let mut scope = web::scope("")
        .service(metrics.default_service(only("GET, POST")))
        .service(healthz.default_service(only("GET")))
        .service(get_status.default_service(only("GET")))
        .service(events.default_service(only("GET")));
    for file in &page::FILES {
        let answer = web::get().to(move || async { file.answer() });
        let file = web::resource(file.path).route(answer);
        scope = scope.service(file.default_service(only("GET")));
    }
    let unknown = web::to(async || Err::<String, _>(Refusal::UnknownPath));
    config.service(scope.default_service(unknown));
}

/// Who asks; every request has passed [`front::Front`], which says so.
type Asker = web::ReqData<Rc<Client>>;

async fn post_metrics(
    service: web::Data<Service>,
    request: HttpRequest,
    client: Asker,
    payload: web::Payload,
) -> HttpResponse {
    service.post(request.headers(), payload.into_inner(), &client).await
}

async fn get_metrics(service: web::Data<Service>, client: Asker) -> Result<HttpResponse, Refusal> {
    let place = service.answers.place(&client).await.ok_or(Refusal::Crowded)?;
    let text = service.answer(exposition).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(place.fill(text)))
}

async fn get_status(service: web::Data<Service>, client: Asker) -> Result<HttpResponse, Refusal> {
    let place = service.answers.place(&client).await.ok_or(Refusal::Crowded)?;
    let status = |about: &_, answers: &_, posts, now| written(&status(about, answers, posts, now));
    let text = service.answer(status).await?;
    Ok(HttpResponse::Ok().content_type("application/json").body(place.fill(text)))
}

async fn get_events(service: web::Data<Service>, client: Asker) -> Result<HttpResponse, Refusal> {
    if !client.takes_stream() {
        return Err(Refusal::TooManyStreams);
    }
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(stream::body(service.into_inner())))
}

/// One line with the state, then one for each reason. Only an agent that cannot decide is an error:
/// restarting it is of no use against anything else.
async fn get_healthz(service: web::Data<Service>) -> HttpResponse {
    let health = service.peers.ask().await.health(service.clock.now().wall);
    let mut answer = match health.state {
        "down" => HttpResponse::ServiceUnavailable(),
        _ => HttpResponse::Ok(),
    };
    let reasons = health.reasons.iter().map(|reason| printable(reason).into_owned());
    let lines = std::iter::once(health.state.to_owned()).chain(reasons);
    answer.content_type("text/plain; charset=utf-8").body(lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests;
