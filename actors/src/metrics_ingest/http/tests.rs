//! The routes without a socket.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use actix::prelude::{Actor, AsyncContext as _, Context, Handler, MessageResult, WrapFuture as _};
use actix_web::body::to_bytes;
use actix_web::http::Method;
use actix_web::test::TestRequest;

use super::clients::Seat;
use super::front::Front;
use super::long_answers::MAX_ANSWERS;
use super::peer::Peer;
use super::*;
use crate::messages::{
    ControlPlaneReport, EvaluatorReport, GetControlPlane, GetJobs, GetProfiles, MetricReport,
    MetricsRefused, SchedulerReport,
};
use crate::metrics_ingest::status::without_time;
use crate::workload::Sample;

mod bodies;
mod crowds;
mod streams;

/// Answers as told.
#[derive(Clone, Default)]
struct FakeEvaluator {
    stored: Rc<RefCell<Vec<Sample>>>,
    refuses: bool,
    /// Comes to what is in its mailbox only after this.
    comes_after: Option<Duration>,
    /// Metrics that it knows.
    metrics: usize,
    /// How often it was asked for them.
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

fn service(evaluator: FakeEvaluator) -> web::Data<Service> {
    let address = evaluator.start();
    web::Data::new(Service::new(
        address.clone().recipient(),
        Peers {
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
        Vec::new(),
    ))
}

struct Answer {
    status: u16,
    headers: header::HeaderMap,
    body: String,
}

/// Returns the place of a connection that nobody else shares.
fn alone() -> Seat {
    Clients::new(Clock::system()).enter(Peer::Loopback)
}

/// Answers a request that comes over this connection.
async fn answered_over(
    seat: &Seat,
    service: &web::Data<Service>,
    request: TestRequest,
) -> HttpResponse {
    let front = Front::new(service.clone()).await.unwrap();
    front.answer(request.to_request(), &seat.client).await
}

async fn answered(service: &web::Data<Service>, request: TestRequest) -> HttpResponse {
    answered_over(&alone(), service, request).await
}

async fn read(response: HttpResponse) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = to_bytes(response.into_body()).await.unwrap();
    Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

async fn ask(service: &web::Data<Service>, request: TestRequest) -> Answer {
    read(answered(service, request).await).await
}

fn post(body: &str) -> TestRequest {
    TestRequest::post().uri("/metrics").set_payload(body.to_owned())
}

#[actix::test]
async fn a_post_is_taken_whatever_its_content_type() {
    for content_type in [
        None,
        Some("application/json"),
        Some("application/x-www-form-urlencoded"),
        Some("no such type"),
    ] {
        let evaluator = FakeEvaluator::default();
        let mut request = post(r#"{"value":20,"name":"cpu"}"#);
        if let Some(content_type) = content_type {
            request = request.insert_header((header::CONTENT_TYPE, content_type));
        }
        let answer = ask(&service(evaluator.clone()), request).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(evaluator.stored.borrow()[0].name.as_str(), "cpu");
    }
}

#[actix::test]
async fn a_bad_body_is_refused_with_the_place_and_nothing_is_taken() {
    let evaluator = FakeEvaluator::default();
    let body = r#"[{"name":"a","value":1},{"name":"b","value":null}]"#;
    let answer = ask(&service(evaluator.clone()), post(body)).await;
    assert_eq!(answer.status, 400);
    let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let error = json["error"].as_str().unwrap();
    assert!(error.contains("sample 1, field value"), "{error}");
    assert!(evaluator.stored.borrow().is_empty());
}

#[actix::test]
async fn a_body_over_the_limit_is_refused() {
    let answer = ask(&service(FakeEvaluator::default()), post(&" ".repeat(MAX_BODY + 1))).await;
    assert_eq!(answer.status, 413);
}

#[actix::test]
async fn a_compressed_body_is_refused_by_name() {
    let request = post("x").insert_header((header::CONTENT_ENCODING, "gzip"));
    let answer = ask(&service(FakeEvaluator::default()), request).await;
    assert_eq!(answer.status, 415);
}

#[actix::test]
async fn the_bound_on_names_reaches_the_sender() {
    let evaluator = FakeEvaluator { refuses: true, ..FakeEvaluator::default() };
    let answer = ask(&service(evaluator), post(r#"{"name":"x","value":1}"#)).await;
    assert_eq!(answer.status, 507);
    assert!(answer.body.contains("10000 names"), "{}", answer.body);
}

#[actix::test]
async fn an_evaluator_that_hangs_costs_the_sender_five_seconds_and_holds_its_place() {
    tokio::time::pause();
    let comes_after = Some(Duration::from_secs(3_600));
    let service = service(FakeEvaluator { comes_after, ..FakeEvaluator::default() });
    let answer = ask(&service, post(r#"{"name":"x","value":1}"#)).await;
    assert_eq!(answer.status, 503);
    assert_eq!(service.posts().waiting, 1);
    assert_eq!(service.waiting.available_permits(), MAX_POSTS - 1);
}

/// Else a client that sends it again would be counted twice.
#[actix::test]
async fn a_post_that_was_answered_with_an_error_is_never_stored() {
    tokio::time::pause();
    let comes_after = Some(PEER_TIMEOUT * 3);
    let evaluator = FakeEvaluator { comes_after, ..FakeEvaluator::default() };
    let service = service(evaluator.clone());
    // One of each size: what a large body holds comes back as well.
    let sample = r#"{"name":"x","value":1}"#;
    for body in [sample.to_owned(), " ".repeat(SMALL_BODY) + sample] {
        assert_eq!(ask(&service, post(&body)).await.status, 503);
    }
    tokio::time::sleep(PEER_TIMEOUT * 2).await;
    assert!(evaluator.stored.borrow().is_empty());
    let free = (service.waiting.available_permits(), service.bytes.available_permits());
    assert_eq!((service.posts().waiting, free), (0, (MAX_POSTS, MAX_BYTES)));
    assert_eq!(ask(&service, post(r#"{"name":"y","value":1}"#)).await.status, 204);
    assert_eq!(evaluator.stored.borrow().len(), 1);
}

#[actix::test]
async fn an_evaluator_that_hangs_is_sent_no_more_than_it_may_have_at_work() {
    tokio::time::pause();
    let comes_after = Some(Duration::from_secs(3_600));
    let service = service(FakeEvaluator { comes_after, ..FakeEvaluator::default() });
    let posts = (0..MAX_AT_WORK + 4).map(|_| ask(&service, post(r#"{"name":"x","value":1}"#)));
    let answers = futures_util::future::join_all(posts).await;
    let with = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(503), with(429)), (MAX_AT_WORK, 4));
}

#[actix::test]
async fn too_many_posts_at_one_time_are_sent_away_for_a_second() {
    let service = service(FakeEvaluator::default());
    let small = r#"{"name":"x","value":1}"#;
    let others = u32::try_from(MAX_POSTS - 1).unwrap();
    let _others = service.waiting.try_acquire_many(others).unwrap();
    let last = service.waiting.try_acquire().unwrap();
    let answer = ask(&service, post(small)).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.headers.get(header::RETRY_AFTER).unwrap(), "1");
    drop(last);
    assert_eq!(ask(&service, post(small)).await.status, 204);
    assert_eq!(service.waiting.available_permits(), 1);
}

#[actix::test]
async fn large_bodies_share_what_is_left_and_small_ones_are_always_taken() {
    let service = service(FakeEvaluator::default());
    let sample = r#"{"name":"x","value":1}"#;
    let body = |length: usize| sample.to_owned() + &" ".repeat(length - sample.len());
    let others = u32::try_from(MAX_BYTES - SMALL_BODY).unwrap();
    let _others = service.bytes.try_acquire_many(others).unwrap();
    let last = service.bytes.try_acquire().unwrap();
    for (length, status) in
        [(SMALL_BODY, 204), (SMALL_BODY + 1, 204), (SMALL_BODY * 2, 429), (MAX_BODY, 429)]
    {
        assert_eq!(ask(&service, post(&body(length))).await.status, status, "{length}");
    }
    drop(last);
    assert_eq!(ask(&service, post(&body(SMALL_BODY * 2))).await.status, 204);
    assert_eq!(service.bytes.available_permits(), SMALL_BODY);
}

#[actix::test]
async fn a_post_waits_for_its_turn_but_not_for_ever() {
    tokio::time::pause();
    let evaluator = FakeEvaluator::default();
    let service = service(evaluator.clone());
    let all = service.turns.acquire_many(u32::try_from(MAX_AT_WORK).unwrap()).await.unwrap();
    let answer = ask(&service, post(r#"{"name":"x","value":1}"#)).await;
    assert_eq!((answer.status, evaluator.stored.borrow().len()), (429, 0));
    let end = async {
        tokio::time::sleep(PEER_TIMEOUT / 2).await;
        drop(all);
    };
    let (answer, ()) = tokio::join!(ask(&service, post(r#"{"name":"x","value":1}"#)), end);
    assert_eq!((answer.status, evaluator.stored.borrow().len()), (204, 1));
    assert_eq!(service.turns.available_permits(), MAX_AT_WORK);
}

#[actix::test]
async fn places_are_given_back_when_a_post_is_stored() {
    let service = service(FakeEvaluator::default());
    ask(&service, post(r#"{"name":"x","value":1}"#)).await;
    assert_eq!(service.posts().waiting, 0);
    assert_eq!(service.waiting.available_permits(), MAX_POSTS);
}

#[actix::test]
async fn a_web_page_and_a_foreign_name_are_refused() {
    let service = service(FakeEvaluator::default());
    let body = r#"{"name":"x","value":1}"#;
    for (name, value, status) in [
        (header::ORIGIN, "http://localhost:8080", 403),
        (header::ORIGIN, "null", 403),
        (header::HOST, "evil.example:8080", 403),
        (header::HOST, "localhost:8080", 204),
        (header::HOST, "[::1]:8080", 204),
    ] {
        let answer = ask(&service, post(body).insert_header((name, value))).await;
        assert_eq!(answer.status, status, "{value}");
    }
    for (host, origin, site, status) in [
        ("localhost:8080", "null", "cross-site", 403),
        ("localhost:8080", "http://localhost:8080", "same-origin", 200),
        ("localhost:8080", "http://localhost:3000", "same-site", 403),
        ("localhost:8080", "http://localhost:8080", "cross-site", 403),
        ("evil.example", "http://evil.example", "same-origin", 403),
    ] {
        let request = TestRequest::get().uri("/status").insert_header((header::HOST, host));
        let request = request.insert_header((header::ORIGIN, origin));
        let answer = ask(&service, request.insert_header(("sec-fetch-site", site))).await;
        assert_eq!(answer.status, status, "{host} {origin} {site}");
    }
    for name in [header::HOST, header::ORIGIN] {
        let mut request = post(body);
        for _ in 0..3 {
            request = request.append_header((name.clone(), "localhost:8080"));
        }
        assert_eq!(ask(&service, request).await.status, 403, "{name}");
    }
    // What a picture or a frame of another page asks for comes without an Origin.
    let request = TestRequest::get().uri("/status").insert_header(("sec-fetch-site", "cross-site"));
    assert_eq!(ask(&service, request).await.status, 403);
}

#[actix::test]
async fn the_pages_answer_and_other_paths_and_methods_do_not() {
    let service = service(FakeEvaluator::default());
    for (request, status, words) in [
        (
            TestRequest::get().uri("/healthz"),
            200,
            "degraded\nthe desired state cannot be asked for",
        ),
        (TestRequest::get().uri("/status"), 200, "\"schema\":1"),
        (TestRequest::get().uri("/metrics"), 200, "# TYPE"),
        (TestRequest::get().uri("/"), 200, "<!doctype html>"),
        (TestRequest::get().uri("/page.css"), 200, "prefers-color-scheme: dark"),
        (TestRequest::get().uri("/page.js"), 200, "new EventSource"),
        (TestRequest::get().uri("/icon.svg"), 200, "<svg"),
        (TestRequest::get().uri("/index.html"), 404, "\"error\""),
        (TestRequest::get().uri("/metrics/x"), 404, "/metrics"),
        (TestRequest::put().uri("/metrics"), 405, "GET, POST only"),
        (TestRequest::default().method(Method::HEAD).uri("/metrics"), 405, "GET, POST only"),
        (TestRequest::default().method(Method::OPTIONS).uri("/metrics"), 405, "GET, POST only"),
        (post(r#"{"name":"x","value":1}"#).uri("/metrics?by=hand"), 204, ""),
        (post(r#"{"name":"x","value":1}"#).uri("/%6Detrics"), 204, ""),
        (post("x").uri("/%6Detrics"), 400, "\"error\""),
        (TestRequest::post().uri("/status"), 405, "GET only"),
        (TestRequest::post().uri("/events"), 405, "GET only"),
        (TestRequest::post().uri("/"), 405, "GET only"),
        (TestRequest::delete().uri("/healthz"), 405, "GET only"),
    ] {
        let answer = ask(&service, request).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.body.contains(words), "{}", answer.body);
        assert_eq!(answer.headers.contains_key(header::ALLOW), status == 405);
    }
}

#[actix::test]
async fn the_scrape_counts_posts() {
    let service = service(FakeEvaluator::default());
    ask(&service, post(r#"{"name":"x","value":1}"#)).await;
    ask(&service, post("x")).await;
    let answer = ask(&service, TestRequest::get().uri("/metrics")).await;
    for line in [
        r#"device_worker_metric_posts_total{result="taken"} 1"#,
        r#"device_worker_metric_posts_total{result="refused"} 1"#,
    ] {
        assert!(answer.body.contains(line), "{}", answer.body);
    }
}

#[actix::test]
async fn a_browser_may_do_little_with_the_page_and_guesses_the_type_of_no_answer() {
    let service = service(FakeEvaluator::default());
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let headers = ask(&service, TestRequest::get().uri(path)).await.headers;
        let has = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(has("content-type"), kind);
        let policy = has("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(has("cache-control"), "no-store");
        assert_eq!(has("referrer-policy"), "no-referrer");
        assert_eq!(has("cross-origin-resource-policy"), "same-origin");
    }
    for path in ["/", "/page.js", "/status", "/metrics", "/healthz", "/events", "/nothing"] {
        for host in ["localhost", "evil.example"] {
            let request = TestRequest::get().uri(path).insert_header((header::HOST, host));
            let response = answered(&service, request).await;
            let told = response.headers().get(header::X_CONTENT_TYPE_OPTIONS);
            assert_eq!(told.unwrap(), "nosniff", "{path} {host}");
            assert_eq!(response.status() == 403, host == "evil.example");
        }
    }
    for (body, told) in [(r#"{"name":"x","value":1}"#, false), ("x", true)] {
        let headers = ask(&service, post(body)).await.headers;
        assert_eq!(headers.contains_key(header::X_CONTENT_TYPE_OPTIONS), told, "{body}");
    }
}
