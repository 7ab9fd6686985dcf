//! The listener on real sockets.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

use actix::prelude::{Handler, MessageResult};
use std::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::messages::{
    ActorHealthChanged, ControlPlaneReport, EvaluatorReport, MetricsRefused, SchedulerReport,
};
use crate::metrics_ingest::PassedSocket;
use crate::supervisor::Slot;

const LIMIT: Duration = Duration::from_secs(20);

/// Every peer of the listener.
struct Peer {
    events: mpsc::Sender<String>,
}

impl Actor for Peer {
    type Context = Context<Self>;
}

impl Handler<MetricsReceived> for Peer {
    type Result = Result<(), MetricsRefused>;

    fn handle(&mut self, _: MetricsReceived, _: &mut Self::Context) -> Self::Result {
        Ok(())
    }
}

impl Handler<GetProfiles> for Peer {
    type Result = MessageResult<GetProfiles>;

    fn handle(&mut self, _: GetProfiles, _: &mut Self::Context) -> Self::Result {
        MessageResult(EvaluatorReport {
            conditions: Vec::new(),
            metrics: Vec::new(),
            samples_taken: 0,
        })
    }
}

impl Handler<GetJobs> for Peer {
    type Result = MessageResult<GetJobs>;

    fn handle(&mut self, _: GetJobs, _: &mut Self::Context) -> Self::Result {
        MessageResult(SchedulerReport::default())
    }
}

impl Handler<GetControlPlane> for Peer {
    type Result = MessageResult<GetControlPlane>;

    fn handle(&mut self, _: GetControlPlane, _: &mut Self::Context) -> Self::Result {
        MessageResult(ControlPlaneReport::default())
    }
}

impl Handler<EventRecorded> for Peer {
    type Result = ();

    fn handle(&mut self, message: EventRecorded, _: &mut Self::Context) {
        self.events.send(message.event.message).unwrap();
    }
}

impl Handler<ActorHealthChanged> for Peer {
    type Result = ();

    fn handle(&mut self, _: ActorHealthChanged, _: &mut Self::Context) {}
}

struct Listening {
    bound: watch::Receiver<Vec<Bound>>,
    events: mpsc::Receiver<String>,
    running: tokio::task::JoinHandle<()>,
}

impl Listening {
    /// Waits until `count` sockets are open.
    async fn opened(&mut self, count: usize) -> Vec<Bound> {
        let opened = self.bound.wait_for(|bound| bound.len() == count);
        timeout(LIMIT, opened).await.unwrap().unwrap().clone()
    }
}

fn listen(listen: Vec<Listen>) -> Listening {
    listen_with(listen, PassedSockets::default())
}

fn listen_with(listen: Vec<Listen>, passed: PassedSockets) -> Listening {
    let clock = Clock::system();
    let (events, recorded) = mpsc::channel();
    let peer = Peer { events }.start();
    let slot = Slot::<MetricsIngest>::new("metrics_ingest", clock.clone());
    let ingest = MetricsIngest::new(IngestDeps {
        hosts: Vec::new(),
        listen,
        passed,
        evaluator: peer.clone().recipient(),
        profiles: peer.clone().recipient(),
        jobs: peer.clone().recipient(),
        control_plane: peer.clone().recipient(),
        about: About {
            version: "0",
            device_id: "cam-01".into(),
            source: "folder",
            place: "/manifests".to_owned(),
            actors: vec!["scheduler"],
        },
        events: peer.clone().recipient(),
        clock,
    });
    let bound = ingest.bound();
    #[allow(clippy::disallowed_methods, reason = "stands for the agent's main task")]
    let running = actix::spawn(slot.supervise(ingest, peer.recipient()));
    Listening { bound, events: recorded, running }
}

const SEED: &str = "POST /metrics HTTP/1.1\r\nHost: localhost:8080\r\n\
    Content-Type: application/json\r\nContent-Length: 25\r\nConnection: close\r\n\r\n\
    {\"value\":20,\"name\":\"cpu\"}";

/// Sends `request` and returns the first line of the answer.
async fn exchange(mut stream: impl Read + Write + Send + 'static, request: &'static str) -> String {
    let exchange = tokio::task::spawn_blocking(move || {
        let _ = stream.write_all(request.as_bytes());
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.lines().next().unwrap_or_default().to_owned()
    });
    timeout(LIMIT, exchange).await.unwrap().unwrap()
}

fn tcp(bound: &Bound) -> SocketAddr {
    match bound {
        Bound::Tcp(address) => *address,
        Bound::Unix(path) => panic!("{}", path.display()),
    }
}

fn any_port() -> Listen {
    "127.0.0.1:0".parse().unwrap()
}

#[actix::test]
async fn a_post_over_tcp_is_taken() {
    let mut listening = listen(vec![any_port()]);
    let bound = listening.opened(1).await;
    let stream = TcpStream::connect(tcp(&bound[0])).unwrap();
    assert_eq!(exchange(stream, SEED).await, "HTTP/1.1 204 No Content");
}

#[actix::test]
async fn localhost_is_at_least_one_loopback_family() {
    let mut listening = listen(vec![Listen::Localhost(0)]);
    let opened = listening.bound.wait_for(|bound| !bound.is_empty());
    let bound = timeout(LIMIT, opened).await.unwrap().unwrap().clone();
    for bound in bound {
        let stream = TcpStream::connect(tcp(&bound)).unwrap();
        assert_eq!(exchange(stream, SEED).await, "HTTP/1.1 204 No Content");
    }
}

#[actix::test]
async fn a_foreign_listener_on_one_family_of_localhost_leaves_the_other_open() {
    let Ok(other) = TcpListener::bind("[::1]:0") else {
        // There is but one family on this system.
        return;
    };
    let foreign = other.local_addr().unwrap();
    let mut listening = listen(vec![Listen::Localhost(foreign.port())]);
    let bound = listening.opened(1).await;
    assert_eq!(tcp(&bound[0]), SocketAddr::from(([127, 0, 0, 1], foreign.port())));
    let stream = TcpStream::connect(tcp(&bound[0])).unwrap();
    assert_eq!(exchange(stream, SEED).await, "HTTP/1.1 204 No Content");
    let event = listening.events.recv().unwrap();
    assert!(event.contains(&foreign.to_string()) && event.contains("in use"), "{event}");
    drop(other);
    assert_eq!(tcp(&listening.opened(2).await[1]), foreign);
    assert!(listening.events.try_recv().is_err());
}

#[actix::test]
async fn a_unix_socket_replaces_a_stale_one_and_is_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut listening = listen(vec![Listen::Unix(path.clone())]);
    assert_eq!(listening.opened(1).await, [Bound::Unix(path.clone())]);
    let stream = UnixStream::connect(&path).unwrap();
    assert_eq!(exchange(stream, SEED).await, "HTTP/1.1 204 No Content");
    listening.running.abort();
    assert!(listening.running.await.unwrap_err().is_cancelled());
    assert!(!path.exists());
}

#[actix::test]
async fn a_client_of_a_unix_socket_may_name_any_host_but_no_origin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let mut listening = listen(vec![Listen::Unix(path.clone()), any_port()]);
    let bound = listening.opened(2).await;
    let request = "GET /healthz HTTP/1.1\r\nHost: agent.sock\r\nConnection: close\r\n\r\n";
    let unix = UnixStream::connect(&path).unwrap();
    assert_eq!(exchange(unix, request).await, "HTTP/1.1 200 OK");
    let stream = TcpStream::connect(tcp(&bound[0])).unwrap();
    assert_eq!(exchange(stream, request).await, "HTTP/1.1 403 Forbidden");
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\
        Connection: close\r\n\r\n";
    let unix = UnixStream::connect(&path).unwrap();
    assert_eq!(exchange(unix, request).await, "HTTP/1.1 403 Forbidden");
}

#[actix::test]
async fn a_unix_socket_of_another_process_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut listening = listen(vec![Listen::Unix(path.clone()), any_port()]);
    assert!(matches!(listening.opened(1).await[0], Bound::Tcp(_)));
    assert!(listening.events.recv().unwrap().contains("in use"));
    assert!(UnixStream::connect(&path).is_ok());
}

#[actix::test]
async fn a_unix_socket_below_what_others_can_replace_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    // It looks like one that a former agent left.
    let path = open.join("agent.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut listening = listen(vec![Listen::Unix(path.clone()), any_port()]);
    assert!(matches!(listening.opened(1).await[0], Bound::Tcp(_)));
    let event = listening.events.recv().unwrap();
    assert!(event.contains(&format!("{} belongs to", open.display())), "{event}");
    assert!(path.exists());
}

#[actix::test]
async fn an_address_in_use_is_reported_once_and_opened_when_it_is_free() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let mut listening = listen(vec![Listen::Tcp(address), any_port()]);
    assert_ne!(tcp(&listening.opened(1).await[0]), address);
    drop(other);
    let bound = listening.opened(2).await;
    assert_eq!(tcp(&bound[1]), address);
    let stream = TcpStream::connect(address).unwrap();
    assert_eq!(exchange(stream, SEED).await, "HTTP/1.1 204 No Content");
    assert!(listening.events.recv().unwrap().contains("in use"));
    assert!(listening.events.try_recv().is_err());
}

#[actix::test]
async fn a_socket_that_was_passed_is_served_and_stays_open_when_the_actor_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let (other, unix) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
    let address = other.local_addr().unwrap();
    for _ in 0..2 {
        let mut passed = PassedSockets::default();
        passed.add(PassedSocket::Tcp(other.try_clone().unwrap())).unwrap();
        passed.add(PassedSocket::Unix(unix.try_clone().unwrap())).unwrap();
        // One that was not passed is opened beside them.
        let places = vec![Listen::Tcp(address), Listen::Unix(path.clone()), any_port()];
        let mut listening = listen_with(places, passed);
        listening.opened(3).await;
        let stream = TcpStream::connect(address).unwrap();
        assert_eq!(exchange(stream, SEED).await, "HTTP/1.1 204 No Content");
        let stream = UnixStream::connect(&path).unwrap();
        assert_eq!(exchange(stream, SEED).await, "HTTP/1.1 204 No Content");
        listening.running.abort();
        assert!(listening.running.await.unwrap_err().is_cancelled());
    }
    assert!(TcpListener::bind(address).is_err());
    assert!(path.exists());
}

#[actix::test]
async fn the_sockets_are_closed_when_the_actor_ends() {
    let mut listening = listen(vec![any_port()]);
    let address = tcp(&listening.opened(1).await[0]);
    listening.running.abort();
    assert!(listening.running.await.unwrap_err().is_cancelled());
    assert!(TcpListener::bind(address).is_ok());
}

#[actix::test]
async fn a_client_that_never_ends_its_head_is_cut_off() {
    let mut listening = listen(vec![any_port()]);
    let address = tcp(&listening.opened(1).await[0]);
    let slow = TcpStream::connect(address).unwrap();
    assert_eq!(exchange(slow, "POST /metrics HTTP/1.1\r\n").await, "HTTP/1.1 408 Request Timeout");
}

#[actix::test]
async fn a_client_that_never_ends_its_body_is_cut_off() {
    let mut listening = listen(vec![any_port()]);
    let address = tcp(&listening.opened(1).await[0]);
    let slow = TcpStream::connect(address).unwrap();
    let request = "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 25\r\n\r\n{";
    assert_eq!(exchange(slow, request).await, "HTTP/1.1 408 Request Timeout");
}

#[actix::test]
async fn requests_of_browsers_and_attackers_are_distinguished_from_those_of_programs() {
    let mut listening = listen(vec!["127.0.0.1:0".parse().unwrap()]);
    let bound = listening.opened(1).await;
    let Bound::Tcp(address) = bound[0] else { panic!("{bound:?}") };
    for (request, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\nhOsT:localhost\r\nConnection: close\r\n\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "200"),
        ("GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n", "403"),
        ("GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "403"),
        (
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\
             Connection: close\r\n\r\n",
            "400",
        ),
        (
            "GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\
             Connection: close\r\n\r\n",
            "200",
        ),
        (
            "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\
             Connection: close\r\n\r\n",
            "403",
        ),
        ("CONNECT evil.example:80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "403"),
        (
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\
             Connection: close\r\n\r\n",
            "403",
        ),
        (
            "OPTIONS /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\
             Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n",
            "403",
        ),
        // HTTP/2 is not spoken, neither at once nor by an upgrade.
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"),
        (
            "GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close, Upgrade, \
             HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n\r\n",
            "403",
        ),
    ] {
        let stream = TcpStream::connect(address).unwrap();
        let answer = exchange(stream, request).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{request}: {answer}");
    }
}

/// Opens a stream and reads its first event; the reader then blocks a thread until it ends.
fn stream(address: SocketAddr) -> Option<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream);
    let mut text = String::new();
    while !text.contains("data: {") {
        if lines.read_line(&mut text).unwrap() == 0 || text.starts_with("HTTP/1.1 503") {
            return None;
        }
    }
    Some(lines)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    timeout(LIMIT, tokio::task::spawn_blocking(work)).await.unwrap().unwrap()
}

#[actix::test]
async fn an_open_stream_ends_with_the_listener() {
    let mut listening = listen(vec![any_port()]);
    let address = tcp(&listening.opened(1).await[0]);
    let mut reader = blocking(move || stream(address)).await.unwrap();
    listening.running.abort();
    assert!(listening.running.await.unwrap_err().is_cancelled());
    blocking(move || reader.read_to_string(&mut String::new()).ok()).await;
}

#[actix::test]
async fn a_reader_that_went_away_gives_its_place_to_another() {
    let mut listening = listen(vec![any_port()]);
    let address = tcp(&listening.opened(1).await[0]);
    let readers: Vec<_> =
        blocking(move || std::iter::from_fn(|| stream(address)).take(100).collect()).await;
    assert!((1..100).contains(&readers.len()), "{}", readers.len());
    drop(readers);
    blocking(move || while stream(address).is_none() {}).await;
}
