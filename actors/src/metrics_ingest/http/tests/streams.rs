//! The status as a stream, in virtual time.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;

use actix_web::body::BoxBody;
use actix_web::body::MessageBody as _;
use serde_json::Value;

use super::*;
use crate::metrics_ingest::http::answers::CHUNK;
use crate::metrics_ingest::http::connections::MAX_STREAMS;
use crate::metrics_ingest::http::stream::PERIOD;
use crate::metrics_ingest::status::without_time;

/// Who reads a stream, over a connection of its own.
struct Reader {
    body: BoxBody,
    _connection: Rc<Connection>,
}

impl Reader {
    /// Returns the next bytes.
    async fn chunk(&mut self) -> String {
        let chunk = poll_fn(|task| Pin::new(&mut self.body).poll_next(task)).await;
        String::from_utf8(chunk.unwrap().unwrap().to_vec()).unwrap()
    }

    /// Returns the status of the next event, past the stream's head.
    async fn status(&mut self) -> Value {
        let mut text = self.chunk().await;
        if text == "retry: 2000\n\n" {
            text = self.chunk().await;
        }
        while !text.ends_with("\n\n") {
            text += &self.chunk().await;
        }
        let data = text.strip_prefix("event: status\ndata: ").unwrap_or_else(|| panic!("{text}"));
        serde_json::from_str(data).unwrap()
    }
}

/// Opens a stream over this connection, or says why there is none.
async fn open(connection: Rc<Connection>, service: &Rc<Service>) -> Result<Reader, Answer> {
    let response = answered_over(&connection, service, TestRequest::get().uri("/events")).await;
    if response.status() != 200 {
        return Err(read(response).await);
    }
    let headers = response.headers();
    assert_eq!(headers.get(header::CONTENT_TYPE).unwrap(), "text/event-stream");
    assert_eq!(headers.get(header::CACHE_CONTROL).unwrap(), "no-store");
    Ok(Reader { body: response.into_body(), _connection: connection })
}

async fn opened(service: &Rc<Service>) -> Reader {
    open(alone(), service).await.unwrap_or_else(|answer| panic!("{}", answer.body))
}

async fn post_one(service: &Rc<Service>) {
    assert_eq!(ask(service, post(r#"{"name":"x","value":1}"#)).await.status, 204);
}

#[actix::test]
async fn a_stream_sends_the_status_at_once_and_again_when_something_has_happened() {
    tokio::time::pause();
    let service = service(FakeEvaluator::default());
    let mut reader = opened(&service).await;
    let first = reader.status().await;
    assert_eq!((&first["schema"], &first["posts"]["taken"]), (&1.into(), &0.into()));
    post_one(&service).await;
    let second = reader.status().await;
    assert_eq!(second["posts"]["taken"], 1);
    // Field for field what the other path answers.
    let asked: Value =
        serde_json::from_str(&ask(&service, TestRequest::get().uri("/status")).await.body).unwrap();
    assert_eq!(without_time(second), without_time(asked));
}

#[actix::test]
async fn while_nothing_happens_a_stream_sends_a_sign_of_life_every_two_seconds() {
    tokio::time::pause();
    let service = service(FakeEvaluator::default());
    let mut reader = opened(&service).await;
    reader.status().await;
    for _ in 0..3 {
        let before = service.answers.clock.now().monotonic;
        assert_eq!(reader.chunk().await, ":\n\n");
        let waited = service.answers.clock.now().monotonic.saturating_since(before);
        assert_eq!(waited.as_secs(), 2);
    }
}

#[actix::test]
async fn nobody_is_asked_while_nobody_listens_and_once_however_many_do() {
    tokio::time::pause();
    let evaluator = FakeEvaluator::default();
    let service = service(evaluator.clone());
    let asked = || evaluator.asked.replace(0);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(asked(), 0);
    let mut readers = Vec::new();
    for _ in 0..MAX_STREAMS {
        readers.push(opened(&service).await);
    }
    for reader in &mut readers {
        reader.status().await;
    }
    assert_eq!(asked(), 1);
    post_one(&service).await;
    let statuses = futures_util::future::join_all(readers.iter_mut().map(Reader::status)).await;
    assert!(statuses.iter().all(|status| status["posts"]["taken"] == 1));
    assert_eq!(asked(), 1);
    drop(readers);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(asked(), 0);
}

#[actix::test]
async fn events_are_half_a_second_apart_however_much_happens() {
    tokio::time::pause();
    let service = service(FakeEvaluator::default());
    let mut reader = opened(&service).await;
    reader.status().await;
    let start = service.answers.clock.now().monotonic;
    for events in 1..=4 {
        for _ in 0..3 {
            post_one(&service).await;
        }
        assert_eq!(reader.status().await["posts"]["taken"], events * 3);
    }
    assert!(service.answers.clock.now().monotonic.saturating_since(start) >= PERIOD * 4);
}

#[actix::test]
async fn a_slow_reader_is_sent_the_latest_and_nothing_is_kept_for_it() {
    tokio::time::pause();
    let service = service(FakeEvaluator::default());
    let (mut slow, mut quick) = (opened(&service).await, opened(&service).await);
    slow.status().await;
    quick.status().await;
    for taken in 1..=5 {
        post_one(&service).await;
        assert_eq!(quick.status().await["posts"]["taken"], taken);
    }
    assert_eq!(slow.status().await["posts"]["taken"], 5);
    post_one(&service).await;
    assert_eq!(slow.status().await["posts"]["taken"], 6);
}

#[actix::test]
async fn a_long_status_is_handed_over_in_pieces() {
    let service = service(FakeEvaluator { metrics: 10_000, ..FakeEvaluator::default() });
    let mut reader = opened(&service).await;
    assert_eq!(reader.chunk().await, "retry: 2000\n\n");
    let mut text = reader.chunk().await;
    while !text.ends_with("\n\n") {
        let chunk = reader.chunk().await;
        assert!(chunk.len() <= CHUNK);
        text += &chunk;
    }
    assert!(text.len() > 20 * CHUNK);
    let data: Value = serde_json::from_str(text.split_once("data: ").unwrap().1).unwrap();
    assert_eq!(data["metrics"].as_array().unwrap().len(), 10_000);
}

#[actix::test]
async fn streams_over_the_limit_are_sent_away_until_another_ends() {
    let service = service(FakeEvaluator::default());
    let connections = Connections::new(Clock::system());
    let open = || open(connections.enter(Peer::Loopback), &service);
    let mut readers = Vec::new();
    for _ in 0..MAX_STREAMS {
        readers.push(open().await.ok().unwrap());
    }
    let refused = open().await.err().unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("4 streams are open"), "{}", refused.body);
    assert!(refused.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(ask(&service, TestRequest::get().uri("/status")).await.status, 200);
    readers.pop();
    assert!(open().await.is_ok());
}

#[actix::test]
async fn no_process_and_no_machine_has_all_streams() {
    tokio::time::pause();
    let service = service(FakeEvaluator::default());
    let connections = Connections::new(Clock::system());
    let open = |peer| open(connections.enter(peer), &service);
    let remote = |address: &str| Peer::from(address.parse::<IpAddr>().unwrap());
    for (greedy, other) in [
        (Peer::Process { user: 1, process: 1 }, Peer::Process { user: 1, process: 2 }),
        (remote("192.0.2.1"), remote("192.0.2.2")),
    ] {
        let mut readers = Vec::new();
        for _ in 0..MAX_STREAMS {
            readers.push(open(greedy).await.ok().unwrap());
        }
        assert!(open(greedy).await.is_err(), "{greedy} has all");
        readers.push(open(other).await.ok().unwrap());
        readers.push(open(other).await.ok().unwrap());
        assert!(open(other).await.is_err(), "{other} has its share");
    }
    // Programs of this device are one as good as another, and share by time.
    let mut readers = Vec::new();
    for _ in 0..MAX_STREAMS {
        readers.push(open(Peer::Loopback).await.ok().unwrap());
    }
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(open(Peer::Loopback).await.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(open(Peer::Loopback).await.is_ok());
}
