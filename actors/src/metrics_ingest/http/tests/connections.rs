//! More connections than there are places, on real sockets in time that passes when a test says so.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{join_all, poll_immediate};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::yield_now;
use tokio::time::{Instant, advance};

use super::*;
use crate::clock::after;
use crate::metrics_ingest::body::MAX_BODY;
use crate::metrics_ingest::http::answers::MAX_LONG_ANSWERS;
use crate::metrics_ingest::http::connections::MAX_CONNECTIONS;
use crate::metrics_ingest::http::connections::state::GRACE;
use crate::metrics_ingest::http::posts::EVALUATOR_TIMEOUT;
use crate::metrics_ingest::listen::Listen;
use crate::metrics_ingest::sockets::{PassedSockets, open};

const HALF: &str = "POST /metrics HTTP/1.1\r\nHost: x\r\nX-Half: ";
const WELL: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
const ASK: &str = "GET /status HTTP/1.1\r\nHost: x\r\n\r\n";
/// Nothing here takes as long.
const LIMIT: Duration = Duration::from_secs(100);
const STEP: Duration = Duration::from_millis(10);

fn post_of(body: &str, length: usize) -> String {
    format!("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn whole() -> String {
    let body = r#"{"name":"x","value":1}"#;
    post_of(body, body.len())
}

/// A listener at a unix socket, polled together with its clients.
struct Listening {
    socket: PathBuf,
    _folder: TempDir,
}

impl Listening {
    /// Runs `story` while the listener of `evaluator` serves.
    async fn during<F: Future<Output = ()>>(
        evaluator: FakeEvaluator,
        story: impl FnOnce(Self, Rc<Service>) -> F,
    ) {
        // While a thread is at work, paused time does not run ahead of the sockets.
        let (end, at_work) = mpsc::channel::<()>();
        let frozen = tokio::task::spawn_blocking(move || at_work.recv());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let sockets = open(&Listen::Unix(path.clone()), &PassedSockets::default()).await.opened;
        let service = service(evaluator);
        let connections = Connections::new(Clock::system());
        let serving = serve(sockets, Rc::clone(&service), Rc::clone(&connections));
        let listening = Self { socket: path, _folder: folder };
        tokio::select! {
            () = serving => unreachable!("it serves for ever"),
            () = connections.enforce_deadlines() => unreachable!("it looks for ever"),
            () = story(listening, service) => {}
        }
        drop(end);
        frozen.await.unwrap().unwrap_err();
    }

    async fn connect(&self, text: &str) -> UnixStream {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn connect_many(&self, count: usize, text: &str) -> Vec<UnixStream> {
        join_all((0..count).map(|_| self.connect(text))).await
    }
}

fn now() -> Instant {
    after(Duration::ZERO)
}

/// Lets everything that has something to do come to its end.
async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

/// Lets time pass, and what is due happen in it.
async fn pass(time: Duration) {
    let end = now() + time;
    settle().await;
    while now() < end {
        advance(STEP).await;
        settle().await;
    }
}

/// Returns the next bytes, however long they take in real time; nothing when the connection is closed.
async fn heard(stream: &mut UnixStream) -> String {
    let mut buffer = vec![0; 64 * 1024];
    let length = stream.read(&mut buffer).await.unwrap_or(0);
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// Returns how long it takes until the connection is closed.
async fn closed_after(stream: &mut UnixStream) -> Duration {
    let start = now();
    let mut buffer = [0; 1024];
    while !matches!(poll_immediate(stream.read(&mut buffer)).await, Some(Ok(0) | Err(_))) {
        assert!(now() - start < LIMIT, "it is not closed");
        pass(STEP).await;
    }
    now() - start
}

/// Returns whether a connection is closed already.
async fn is_closed(stream: &mut UnixStream) -> bool {
    settle().await;
    let read = poll_immediate(stream.read(&mut [0])).await;
    read.is_some_and(|read| read.ok().is_none_or(|length| length == 0))
}

#[actix::test]
async fn the_longest_waiting_head_makes_way_for_a_whole_one() {
    tokio::time::pause();
    for waiting in [HALF.to_owned(), String::new(), whole() + HALF, whole()] {
        Listening::during(FakeEvaluator::default(), async |listening, _| {
            let mut first = listening.connect(&waiting).await;
            if !waiting.is_empty() && waiting != HALF {
                assert!(heard(&mut first).await.contains("204"));
            }
            pass(GRACE + STEP).await;
            let mut others = listening.connect_many(MAX_CONNECTIONS - 1, HALF).await;
            pass(Duration::from_millis(20)).await;
            assert!(!is_closed(&mut first).await);
            let mut post = listening.connect(&whole()).await;
            assert!(heard(&mut post).await.contains("204"));
            assert!(closed_after(&mut first).await.is_zero());
            for other in &mut others {
                assert!(!is_closed(other).await);
            }
        })
        .await;
    }
}

#[actix::test]
async fn each_connection_has_a_moment_for_its_head() {
    tokio::time::pause();
    Listening::during(FakeEvaluator::default(), async |listening, _| {
        let mut others = listening.connect_many(MAX_CONNECTIONS, HALF).await;
        let mut post = listening.connect(&whole()).await;
        settle().await;
        assert!(!is_closed(&mut others[0]).await);
        pass(GRACE + STEP).await;
        assert!(heard(&mut post).await.contains("204"));
        assert!(is_closed(&mut others[0]).await);
    })
    .await;
}

/// Returns how many seconds the first of `count` connections has for its head.
async fn seconds_for_a_head(count: usize) -> u64 {
    tokio::time::pause();
    let took = Rc::new(Cell::default());
    let result = Rc::clone(&took);
    Listening::during(FakeEvaluator::default(), async move |listening, _| {
        let mut half = listening.connect_many(count, HALF).await;
        result.set(closed_after(&mut half[0]).await);
    })
    .await;
    took.get().as_secs()
}

#[actix::test]
async fn a_head_has_five_seconds() {
    let seconds = seconds_for_a_head(MAX_CONNECTIONS / 2).await;
    assert!((5..=6).contains(&seconds), "{seconds}");
}

#[actix::test]
async fn a_head_has_one_second_while_more_than_half_of_the_places_are_taken() {
    let seconds = seconds_for_a_head(MAX_CONNECTIONS / 2 + 1).await;
    assert!((1..=2).contains(&seconds), "{seconds}");
}

#[actix::test]
async fn connections_that_are_kept_are_left_alone_while_half_of_the_places_are_taken() {
    tokio::time::pause();
    Listening::during(FakeEvaluator::default(), async |listening, _| {
        let mut kept = listening.connect_many(MAX_CONNECTIONS - 1, &whole()).await;
        let took = closed_after(&mut kept[0]).await;
        assert!(took >= Duration::from_secs(14), "{took:?}");
    })
    .await;
}

#[actix::test]
async fn half_of_a_second_head_does_not_keep_a_connection_for_ever() {
    tokio::time::pause();
    Listening::during(FakeEvaluator::default(), async |listening, _| {
        let mut stream = listening.connect(&(whole() + HALF)).await;
        let took = closed_after(&mut stream).await;
        assert!((15..=22).contains(&took.as_secs()), "{took:?}");
    })
    .await;
}

#[actix::test]
async fn a_body_that_no_path_takes_does_not_keep_a_connection_for_ever() {
    tokio::time::pause();
    Listening::during(FakeEvaluator::default(), async |listening, _| {
        let head = "POST /status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut stream = listening.connect(head).await;
        let start = now();
        while stream.write_all(b"1\r\nx\r\n").await.is_ok() {
            pass(Duration::from_millis(500)).await;
            assert!(now() - start < LIMIT);
        }
        assert!(now() - start < Duration::from_secs(22), "{:?}", (now() - start));
    })
    .await;
}

/// Knows so much that its status does not fit into the buffers of a socket.
fn talkative() -> FakeEvaluator {
    FakeEvaluator { metrics: 5_000, ..FakeEvaluator::default() }
}

/// The places for answers of the clients here.
fn free_answers(service: &Service) -> usize {
    service.answers.free_slots(Peer::Process { user: 0, process: 0 }.group())
}

#[actix::test]
async fn a_reader_that_takes_nothing_is_closed_after_ten_seconds() {
    tokio::time::pause();
    Listening::during(talkative(), async |listening, service| {
        for path in ["/status", "/metrics", "/events"] {
            let mut reader = listening.connect(&ASK.replace("/status", path)).await;
            let mut length = 0;
            while length < 2 * 1024 {
                // A stream's first look is due at once, which timers take to be the next millisecond.
                pass(STEP).await;
                length += heard(&mut reader).await.len();
            }
            pass(Duration::from_secs(9)).await;
            let taken = usize::from(path != "/events");
            assert_eq!(free_answers(&service), MAX_LONG_ANSWERS - taken, "{path}");
            pass(Duration::from_secs(3)).await;
            assert_eq!(free_answers(&service), MAX_LONG_ANSWERS, "{path}");
            // What the buffers hold still comes, and then the end before the whole.
            let mut more = usize::MAX;
            while more > 0 {
                more = heard(&mut reader).await.len();
                length += more;
            }
            assert!(length < 400 * 1024, "{path}: {length}");
        }
    })
    .await;
}

#[actix::test]
async fn readers_that_take_nothing_make_way_for_one_that_reads() {
    tokio::time::pause();
    Listening::during(talkative(), async |listening, service| {
        let unread = listening.connect_many(MAX_LONG_ANSWERS, ASK).await;
        for reader in &unread {
            reader.readable().await.unwrap();
        }
        pass(GRACE + STEP).await;
        assert_eq!(free_answers(&service), 0);
        let mut reader =
            listening.connect(&ASK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
        pass(GRACE + STEP).await;
        let mut text = String::new();
        loop {
            match heard(&mut reader).await {
                more if more.is_empty() => break,
                more => text += &more,
            }
        }
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let status: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(status["schema"], 1);
        settle().await;
        assert_eq!(free_answers(&service), 1, "the reader is done, and only one has made way");
    })
    .await;
}

#[actix::test]
async fn readers_wait_for_answers_that_are_being_made_and_not_for_ever() {
    tokio::time::pause();
    let service = service(FakeEvaluator::default());
    let connections = Connections::new(Clock::system());
    let connection = || connections.enter(Peer::Loopback);
    let mut unread = Vec::new();
    for _ in 0..MAX_LONG_ANSWERS {
        let connection = connection();
        let answer = answered_over(&connection, &service, TestRequest::get().uri("/metrics")).await;
        assert_eq!(answer.status(), 200);
        unread.push((connection, answer));
    }
    for path in ["/metrics", "/status"] {
        let refused = answered_over(&connection(), &service, TestRequest::get().uri(path)).await;
        assert_eq!(refused.status(), 429, "{path}");
        assert!(refused.headers().contains_key(header::RETRY_AFTER), "{path}");
    }
    let healthz = TestRequest::get().uri("/healthz");
    assert_eq!(answered_over(&connection(), &service, healthz).await.status(), 200);
    // Others are not concerned.
    let other = connections.enter(Peer::Process { user: 1, process: 1 });
    let status = TestRequest::get().uri("/status");
    assert_eq!(answered_over(&other, &service, status).await.status(), 200);
    let end = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        unread.pop();
    };
    let connection = connection();
    let asking = answered_over(&connection, &service, TestRequest::get().uri("/status"));
    assert_eq!(tokio::join!(asking, end).0.status(), 200);
}

#[test]
fn an_answer_counts_until_its_thread_is_done_though_its_client_has_left() {
    while_other_threads_are_busy(async |busy| {
        let service = service(FakeEvaluator::default());
        let connection = alone();
        let free = || service.answers.free_slots(Peer::Loopback.group());
        let mut asking =
            Box::pin(answered_over(&connection, &service, TestRequest::get().uri("/status")));
        for _ in 0..10 {
            assert!(poll_immediate(&mut asking).await.is_none());
            yield_now().await;
        }
        drop(asking);
        assert_eq!(free(), MAX_LONG_ANSWERS - 1);
        drop(busy);
        while free() < MAX_LONG_ANSWERS {
            yield_now().await;
        }
    });
}

#[actix::test]
async fn a_large_body_that_is_slow_makes_way_for_another_and_small_ones_need_none() {
    tokio::time::pause();
    Listening::during(FakeEvaluator::default(), async |listening, service| {
        let large = post_of(&" ".repeat(MAX_BODY - 1), MAX_BODY);
        let mut slow = Vec::new();
        while service.intake.large_bytes.available_permits() >= MAX_BODY {
            slow.push(listening.connect(&large).await);
            settle().await;
        }
        let sample = r#"{"name":"x","value":1}"#;
        let body = sample.to_owned() + &" ".repeat(MAX_BODY - sample.len());
        let quick = post_of(&body, MAX_BODY);
        for _ in 0..2 {
            let mut post = listening.connect(&whole()).await;
            assert!(heard(&mut post).await.contains("204"));
        }
        let refused = heard(&mut listening.connect(&quick).await).await;
        assert!(refused.contains("429"), "{refused}");
        pass(Duration::from_secs(1)).await;
        assert!(!is_closed(&mut slow[0]).await);
        let taken = heard(&mut listening.connect(&quick).await).await;
        assert!(taken.contains("204"), "{taken}");
        assert!(is_closed(&mut slow[0]).await);
        assert!(!is_closed(&mut slow[1]).await);
    })
    .await;
}

#[actix::test]
async fn requests_that_were_sent_ahead_are_answered_in_order_each_once() {
    let evaluator = FakeEvaluator::default();
    let stored = Rc::clone(&evaluator.stored);
    Listening::during(evaluator, async |listening, _| {
        let value = |n: usize| format!(r#"{{"name":"x","value":{n}}}"#);
        let posts = (0..500).map(|n| post_of(&value(n), value(n).len()));
        let mut sent: String = posts.flat_map(|post| [post, WELL.to_owned()]).collect();
        // A body of more than is read at one time, and one more request behind it.
        let large = format!("[{}{}]", " ".repeat(100_000), value(500));
        sent += &(post_of(&large, large.len()) + WELL);
        let stream = UnixStream::connect(&listening.socket).await.unwrap();
        let (mut answers, mut requests) = stream.into_split();
        let mut heard = String::new();
        let hear = async {
            let mut buffer = vec![0; 64 * 1024];
            while heard.matches("HTTP/1.1").count() < 1_002 {
                let length = answers.read(&mut buffer).await.unwrap_or(0);
                let last = &heard[heard.len().saturating_sub(300)..];
                assert_ne!(
                    length,
                    0,
                    "closed after {} answers: {last}",
                    heard.matches("HTTP/1.1").count()
                );
                heard += &String::from_utf8_lossy(&buffer[..length]);
            }
        };
        let send = async { requests.write_all(sent.as_bytes()).await.unwrap() };
        tokio::join!(hear, send);
        let statuses: Vec<_> =
            heard.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        assert_eq!(statuses, ["204", "200"].repeat(501));
    })
    .await;
    let values: Vec<_> = stored.borrow().iter().map(|sample| sample.value).collect();
    assert_eq!(values, (0..=500).map(f64::from).collect::<Vec<_>>());
}

#[actix::test]
async fn a_client_that_reads_no_answer_is_read_no_further() {
    Listening::during(FakeEvaluator::default(), async |listening, _| {
        let stream = UnixStream::connect(&listening.socket).await.unwrap();
        let posts = whole().repeat(10_000);
        let (mut written, mut idle) = (0, 0);
        while idle < 20 && written < 100_000_000 {
            match stream.try_write(&posts.as_bytes()[written % posts.len()..]) {
                Ok(length) => (written, idle) = (written + length, 0),
                Err(_) => {
                    settle().await;
                    idle += 1;
                }
            }
        }
        // The buffers of the socket, and of what was answered before they were full.
        assert!(written < 4_000_000, "{written} bytes were taken");
    })
    .await;
}

#[actix::test]
async fn a_request_at_work_is_never_closed_and_its_answer_makes_room() {
    tokio::time::pause();
    let comes_after = Some(EVALUATOR_TIMEOUT * 2);
    let evaluator = FakeEvaluator { comes_after, ..FakeEvaluator::default() };
    Listening::during(evaluator.clone(), async |listening, _| {
        // One after the other, so that the evaluator has the first ones.
        let mut busy = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            busy.push(listening.connect(&whole()).await);
            settle().await;
        }
        pass(Duration::from_secs(1)).await;
        let mut newcomer = listening.connect(&whole()).await;
        pass(EVALUATOR_TIMEOUT * 3).await;
        let mut answers = Vec::new();
        for stream in &mut busy {
            answers.push(heard(stream).await);
        }
        assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 ")), "{answers:?}");
        // The evaluator's answer would else not be the last of the first connection.
        let is_last = |answer: &String| answer.contains("connection: close");
        assert!(is_last(&answers[0]) && !is_last(&answers[1]), "{:?}", &answers[..2]);
        assert!(heard(&mut newcomer).await.starts_with("HTTP/1.1 "));
    })
    .await;
}

#[test]
fn nothing_wakes_the_thread_while_there_is_no_connection() {
    let wakes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&wakes);
    let runtime = move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.on_thread_unpark(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        runtime.enable_all().start_paused(true).build().unwrap()
    };
    let in_an_hour = async || {
        wakes.store(0, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        wakes.load(Ordering::Relaxed)
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    actix::System::with_tokio_rt(runtime).block_on(async {
        let sockets = open(&Listen::Unix(socket.clone()), &PassedSockets::default()).await.opened;
        let service = service(FakeEvaluator::default());
        let connections = Connections::new(Clock::system());
        let story = async {
            assert!(in_an_hour().await < 5);
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            stream.write_all(whole().as_bytes()).await.unwrap();
            let kept = in_an_hour().await;
            assert!(kept > 15, "{kept} are too few while a connection is kept for 15 s");
            drop(stream);
            assert!(in_an_hour().await < 5);
        };
        tokio::select! {
            () = serve(sockets, service, Rc::clone(&connections)) => unreachable!("it serves for ever"),
            () = connections.enforce_deadlines() => unreachable!("it checks for ever"),
            () = story => {}
        }
    });
}
