//! Which path is answered by what, and what each request passes before.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Poll};

use actix::prelude::Recipient;
use actix_http::{ConnectionType, HttpMessage as _, Request};
use actix_service::boxed::{self, BoxService};
use actix_service::{IntoServiceFactory as _, Service as _, ServiceFactory as _, map_config};
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::Bytes;
use actix_web::{App, HttpRequest, HttpResponse, ResponseError as _, guard, web};
use tokio::task::yield_now;

use super::admission::admit;
use super::answers::{Answers, StatusSources};
use super::connections::{BusyGuard, Connection};
use super::posts::Intake;
use super::refusal::Refusal;
use super::stream::Streams;
use crate::clock::Clock;
use crate::messages::MetricsReceived;
use crate::metrics_ingest::body::content::Target;
use crate::metrics_ingest::listen::OwnHosts;
use crate::metrics_ingest::page;
use crate::metrics_ingest::status::About;

/// What answers requests; shared by all sockets, and kept when the listener restarts.
pub(in crate::metrics_ingest) struct Service {
    pub(super) intake: Rc<Intake>,
    pub(super) answers: Rc<Answers>,
    streams: Rc<Streams>,
    own_hosts: OwnHosts,
}

impl Service {
    pub(in crate::metrics_ingest) fn new(
        evaluator: Recipient<MetricsReceived>,
        sources: StatusSources,
        about: About,
        clock: Clock,
        own_hosts: OwnHosts,
    ) -> Rc<Self> {
        let intake = Rc::new(Intake::new(evaluator));
        let answers = Rc::new(Answers::new(sources, about, clock, Rc::clone(&intake)));
        let streams = Rc::new(Streams::new(Rc::clone(&answers)));
        Rc::new(Self { intake, answers, streams, own_hosts })
    }
}

/// Answers every request of the listener.
pub(super) struct Routes {
    service: Rc<Service>,
    app: BoxService<Request, ServiceResponse, actix_web::Error>,
}

impl Routes {
    /// Builds the routes. `None` is unreachable: no route has an initialiser that could fail.
    pub(super) async fn new(service: Rc<Service>) -> Option<Self> {
        let app = App::new().configure(configure);
        let app = map_config(app.into_factory(), |()| AppConfig::default());
        let app = boxed::service(app.new_service(()).await.ok()?);
        Some(Self { service, app })
    }

    pub(super) async fn answer(
        &self,
        mut request: Request,
        connection: &Rc<Connection>,
    ) -> HttpResponse {
        let busy = connection.state.begin_request();
        let peer = connection.state.peer;
        let is_head = request.method() == Method::HEAD;
        let admitted = admit(&request, peer, &self.service.own_hosts);
        let mut answer = match (admitted, post_target(&request)) {
            (Err(foreign), _) => Refusal::from(foreign).error_response(),
            // Posts, of which there may be a hundred thousand a second, are taken before routing. The
            // router takes those that spell the path in another way.
            (Ok(()), Some(target)) => {
                let payload = request.take_payload();
                let headers = &request.head().headers;
                self.service.intake.post(target, headers, payload, connection).await
            }
            (Ok(()), None) => {
                let (service, connection) = (Rc::clone(&self.service), Rc::clone(connection));
                request.extensions_mut().insert(Context { service, connection });
                let answer = self.app.call(request).await;
                answer.map_or_else(HttpResponse::from_error, HttpResponse::from)
            }
        };
        if answer.status() != StatusCode::NO_CONTENT {
            // A client may have sent many requests at once. Other tasks get their turn between two
            // of them: a stored post has waited for the evaluator, any other answer waits here.
            yield_now().await;
        }
        if connection.state.is_closing() {
            answer.head_mut().set_connection_type(ConnectionType::Close);
        }
        if answer.body().size().is_eof() {
            return answer;
        }
        if is_head {
            // What it holds is given back at once: an answer of `/events` has no end.
            answer = answer.map_body(|_, body| BoxBody::new(NoBody(body.size())));
        }
        let nosniff = header::HeaderValue::from_static("nosniff");
        answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        // The connection stays busy until it has the whole body.
        answer.map_body(|_, body| BoxBody::new(BusyBody { body, _busy: busy }))
    }
}

/// Returns to what a request posts, if its path is spelt in the usual way.
fn post_target(request: &Request) -> Option<Target> {
    /// What the documented `curl -X -H "Content-Type: …" -d … URL` of device-worker-ng sends as its
    /// method: the word behind `-X`.
    const CURLED: &str = "-H";
    let method = request.method();
    match request.path() {
        "/metrics" if method == Method::POST || method.as_str() == CURLED => Some(Target::Metrics),
        "/v1/metrics" if method == Method::POST => Some(Target::Otlp),
        _ => None,
    }
}

/// The size of a body that is not sent.
struct NoBody(BodySize);

impl MessageBody for NoBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// A body, and what it keeps busy until it is sent.
struct BusyBody {
    body: BoxBody,
    _busy: BusyGuard,
}

impl MessageBody for BusyBody {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        task: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(task)
    }
}

/// What a handler works with; [`Routes::answer`] adds it to each request that is routed.
#[derive(Clone)]
struct Context {
    service: Rc<Service>,
    connection: Rc<Connection>,
}

/// How a handler gets it.
type With = web::ReqData<Context>;

/// Adds every route.
fn configure(config: &mut web::ServiceConfig) {
    let only = |allowed| web::to(move || async move { Err::<String, _>(Refusal::Method(allowed)) });
    let read = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    let post = |target| {
        web::post().to(move |with: With, request: HttpRequest, body: web::Payload| async move {
            let intake = &with.service.intake;
            intake.post(target, request.headers(), body.into_inner(), &with.connection).await
        })
    };
    let get_metrics =
        read().to(async |with: With| with.service.answers.metrics(&with.connection).await);
    let get_status =
        read().to(async |with: With| with.service.answers.status(&with.connection).await);
    let get_healthz = read().to(async |with: With| with.service.answers.health().await);
    let get_events = read().to(async |with: With| with.service.streams.open(&with.connection));

    let metrics = web::resource("/metrics").route(post(Target::Metrics)).route(get_metrics);
    let otlp = web::resource("/v1/metrics").route(post(Target::Otlp));
    let status = web::resource("/status").route(get_status);
    let healthz = web::resource("/healthz").route(get_healthz);
    let events = web::resource("/events").route(get_events);
    let mut scope = web::scope("")
        .service(metrics.default_service(only("GET, HEAD, POST")))
        .service(otlp.default_service(only("POST")))
        .service(status.default_service(only("GET, HEAD")))
        .service(healthz.default_service(only("GET, HEAD")))
        .service(events.default_service(only("GET, HEAD")));
    for file in &page::FILES {
        let answer = read().to(move || async { file.answer() });
        let file = web::resource(file.path).route(answer);
        scope = scope.service(file.default_service(only("GET, HEAD")));
    }
    let unknown = web::to(async || Err::<String, _>(Refusal::UnknownPath));
    config.service(scope.default_service(unknown));
}
