//! The listener in virtual time: routes without a socket, and connections on real ones.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::mpsc;

use actix::prelude::{Actor, AsyncContext as _, Context, Handler, MessageResult, WrapFuture as _};
use actix_web::HttpResponse;
use actix_web::body::to_bytes;
use actix_web::http::header;
use actix_web::test::TestRequest;

use super::*;
use crate::clock::Clock;
use crate::messages::{
    ControlPlaneReport, EvaluatorReport, GetControlPlane, GetJobs, GetProfiles, MetricReport,
    MetricsReceived, MetricsRefused, SchedulerReport,
};
use crate::metrics_ingest::listen::OwnHosts;
use crate::metrics_ingest::sockets::Peer;
use crate::metrics_ingest::status::About;
use crate::workload::Sample;

mod connections;
mod formats;
mod posts;
mod routes;
mod server;
mod streams;

/// Plays the evaluator, and every other actor that reports to the status.
#[derive(Clone, Default)]
struct FakeEvaluator {
    stored: Rc<RefCell<Vec<Sample>>>,
    refuses: bool,
    /// Handles its mailbox only after this.
    comes_after: Option<Duration>,
    /// Metrics that it knows.
    metrics: usize,
    /// How often it was asked for its report.
    asked: Rc<Cell<usize>>,
}

impl Actor for FakeEvaluator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(delay) = self.comes_after {
            #[allow(clippy::disallowed_methods, reason = "plays an actor that is at work")]
            ctx.wait(tokio::time::sleep(delay).into_actor(self));
        }
    }
}

impl Handler<MetricsReceived> for FakeEvaluator {
    type Result = Result<(), MetricsRefused>;

    fn handle(&mut self, message: MetricsReceived, _: &mut Self::Context) -> Self::Result {
        if self.refuses {
            return Err(MetricsRefused::TooManyNames { name: "x".into(), limit: 10_000 });
        }
        self.stored.borrow_mut().extend(message.samples);
        Ok(())
    }
}

impl Handler<GetProfiles> for FakeEvaluator {
    type Result = MessageResult<GetProfiles>;

    fn handle(&mut self, _: GetProfiles, _: &mut Self::Context) -> Self::Result {
        self.asked.set(self.asked.get() + 1);
        let metric = |number| MetricReport {
            name: format!("metric-{number}"),
            value: 1.0,
            unit: None,
            age: Duration::ZERO,
            stale: false,
        };
        let metrics = (0..self.metrics).map(metric).collect();
        MessageResult(EvaluatorReport { conditions: Vec::new(), metrics, samples_taken: 0 })
    }
}

impl Handler<GetJobs> for FakeEvaluator {
    type Result = MessageResult<GetJobs>;

    fn handle(&mut self, _: GetJobs, _: &mut Self::Context) -> Self::Result {
        MessageResult(SchedulerReport::default())
    }
}

impl Handler<GetControlPlane> for FakeEvaluator {
    type Result = MessageResult<GetControlPlane>;

    fn handle(&mut self, _: GetControlPlane, _: &mut Self::Context) -> Self::Result {
        MessageResult(ControlPlaneReport::default())
    }
}

fn service(evaluator: FakeEvaluator) -> Rc<Service> {
    let address = evaluator.start();
    Service::new(
        address.clone().recipient(),
        StatusSources {
            profiles: address.clone().recipient(),
            jobs: address.clone().recipient(),
            control_plane: address.recipient(),
        },
        About {
            version: "0",
            device_id: "cam-01".into(),
            source: "folder",
            place: "/manifests".to_owned(),
            actors: vec!["scheduler"],
        },
        Clock::system(),
        OwnHosts::default(),
    )
}

struct Answer {
    status: u16,
    headers: header::HeaderMap,
    body: String,
}

/// Returns the only connection of a listener.
fn alone() -> Rc<Connection> {
    Connections::new(Clock::system()).enter(Peer::Loopback)
}

/// Answers a request that comes over this connection.
async fn answered_over(
    connection: &Rc<Connection>,
    service: &Rc<Service>,
    request: TestRequest,
) -> HttpResponse {
    let routes = Routes::new(Rc::clone(service)).await.unwrap();
    routes.answer(request.to_request(), connection).await
}

async fn answered(service: &Rc<Service>, request: TestRequest) -> HttpResponse {
    answered_over(&alone(), service, request).await
}

async fn read(response: HttpResponse) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = to_bytes(response.into_body()).await.unwrap();
    Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

async fn ask(service: &Rc<Service>, request: TestRequest) -> Answer {
    read(answered(service, request).await).await
}

fn post(body: &str) -> TestRequest {
    TestRequest::post().uri("/metrics").set_payload(body.to_owned())
}

/// Runs `story` while the only thread for blocking work is taken, until it drops what it is given.
fn while_other_threads_are_busy(story: impl AsyncFnOnce(mpsc::Sender<()>)) {
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().max_blocking_threads(1).build().unwrap()
    };
    actix::System::with_tokio_rt(runtime).block_on(async {
        let (busy, end) = mpsc::channel::<()>();
        let work = tokio::task::spawn_blocking(move || end.recv());
        story(busy).await;
        work.await.unwrap().unwrap_err();
    });
}
