//! A local process that tries to lock others out of the listener, over TCP and over a unix socket.

mod hostile;

use std::fs::{Permissions, set_permissions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use actors::metrics_ingest::Listen;

use self::hostile::{Attack, Hostile};
use crate::agent::Agent;
use crate::device::Device;

/// An attack, and what must go on during it.
struct Siege {
    attack: Attack,
    /// Connections of the attacker at one time.
    connections: usize,
    /// Posts over each socket.
    posts: usize,
    /// In which each post and question is answered.
    patience: Duration,
}

/// Times that the status is asked for during an attack.
const QUESTIONS: usize = 3;

/// An agent that listens at both kinds of sockets, with the open files that systemd gives it.
struct Besieged {
    agent: Agent,
    unix: PathBuf,
    device: Device,
}

impl Besieged {
    fn new() -> Self {
        let mut device = Device::with_manifests();
        let unix = device.path("metrics.sock");
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listen = format!("{free},unix:{}", unix.display());
        device.settings.listen_at(free).set("METRICS_LISTEN", listen).set("LOG_LEVEL", "info");
        device.settings.through(&["prlimit", "--nofile=1024:1024"]);
        let agent = device.settings.start();
        agent.post("before", 1.0);
        agent.wait_for_log(&["listener opened", "metrics.sock"]);
        // Everyone may post to it, as an administrator could want.
        set_permissions(&unix, Permissions::from_mode(0o666)).unwrap();
        Self { agent, unix, device }
    }

    fn tcp(&self) -> Listen {
        Listen::Tcp(self.agent.metrics())
    }

    fn unix(&self) -> Listen {
        Listen::Unix(self.unix.clone())
    }

    /// Plays an attack, and asks for everything that the listener offers meanwhile.
    fn serves_during(&self, siege: &Siege, at: &Listen) {
        let Siege { attack, connections, posts, patience } = *siege;
        let hostile = Hostile::start(attack, at, connections);
        let mut slowest = Duration::ZERO;
        let mut timed = |what: &str, work: &dyn Fn() -> Result<(), String>| {
            let start = Instant::now();
            let result = work();
            let took = start.elapsed();
            slowest = slowest.max(took);
            let answer = format!("{attack:?} of {connections} at {at}: {what} after {took:?}");
            assert_eq!(result, Ok(()), "{answer}");
            assert!(took < patience, "{answer}");
        };
        let tcp = || tcp(self.agent.metrics(), patience);
        for round in 0..posts {
            timed(&format!("post {round} by TCP"), &|| posted(tcp()));
            timed(&format!("post {round} by unix"), &|| posted(unix(&self.unix, patience)));
        }
        for round in 0..QUESTIONS {
            let ask = || self.status_command();
            timed(&format!("status {round} by unix"), &|| patiently(patience, ask));
            for path in ["/", "/status"] {
                let line = format!("GET {path} HTTP/1.1");
                let ask = || answered(tcp(), &line, "", "200");
                timed(&format!("{path} {round} by TCP"), &|| patiently(patience, ask));
            }
        }
        let opened = hostile.end();
        println!(
            "{attack:?} of {connections} at {at}: {opened} opened, slowest answer {slowest:?}"
        );
    }

    /// Asks as an administrator does.
    fn status_command(&self) -> Result<(), String> {
        let output = Command::new(env!("CARGO_BIN_EXE_device-worker-ng"))
            .args(["status", "--json", "--address", &self.unix().to_string()])
            .current_dir(self.device.path(""))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(said)
    }
}

/// Asks again after a second, as `Retry-After` says, while all places for answers are taken.
fn patiently(patience: Duration, ask: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match ask() {
            Err(error) if error.contains("429") && start.elapsed() < patience => {
                thread::park_timeout(Duration::from_secs(1));
            }
            done => return done,
        }
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn tcp(address: SocketAddr, patience: Duration) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    Ok(Box::new(stream))
}

fn unix(path: &Path, patience: Duration) -> io::Result<Box<dyn Stream>> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(patience))?;
    Ok(Box::new(stream))
}

fn posted(stream: io::Result<Box<dyn Stream>>) -> Result<(), String> {
    answered(stream, "POST /metrics HTTP/1.1", r#"{"name":"cpu","value":20}"#, "204")
}

/// Sends a request, head and body apart as many clients do, and reads all of the answer.
fn answered(
    stream: io::Result<Box<dyn Stream>>,
    line: &str,
    body: &str,
    status: &str,
) -> Result<(), String> {
    let ask = || {
        let mut stream = stream?;
        let length = body.len();
        let head = format!("{line}\r\nHost: localhost\r\nConnection: close\r\n");
        stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n").as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, io::Error>(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    let answered = answer.split(' ').nth(1).unwrap_or_default();
    (answered == status).then_some(()).ok_or_else(|| format!("answered {answer:?}"))
}

/// Plays an attack at either socket: with enough connections to take what there is least of, and to
/// take all places. A sender gives up after four seconds.
fn is_held(attack: Attack) {
    is_held_with(attack, [40, 600], 20, Duration::from_secs(4));
}

/// As [`is_held`], for an attack whose connections all have a request at work: each answer comes
/// after one of each of them, which takes what it takes.
fn flood_is_held(attack: Attack) {
    is_held_with(attack, [40, 300], 3, Duration::from_secs(60));
}

fn is_held_with<const N: usize>(
    attack: Attack,
    connections: [usize; N],
    posts: usize,
    patience: Duration,
) {
    let besieged = Besieged::new();
    for at in [besieged.tcp(), besieged.unix()] {
        for connections in connections {
            besieged.serves_during(&Siege { attack, connections, posts, patience }, &at);
        }
    }
}

#[test]
fn half_heads_of_one_process_lock_nobody_out() {
    is_held(Attack::HalfHead);
}

#[test]
fn thousands_of_half_heads_lock_nobody_out() {
    is_held_with(Attack::HalfHead, [5_000], 20, Duration::from_secs(10));
}

#[test]
fn silent_connections_lock_nobody_out() {
    is_held(Attack::Silence);
}

#[test]
fn heads_that_arrive_a_byte_at_a_time_lock_nobody_out() {
    is_held(Attack::SlowHead);
}

#[test]
fn half_of_a_second_head_locks_nobody_out() {
    is_held(Attack::SecondHalfHead);
}

#[test]
fn connections_that_are_kept_and_not_used_lock_nobody_out() {
    is_held(Attack::Idle);
}

#[test]
fn bodies_that_arrive_a_byte_at_a_time_lock_nobody_out() {
    is_held(Attack::SlowBody);
}

#[test]
fn bodies_that_lack_their_last_byte_lock_nobody_out() {
    is_held(Attack::StalledBody);
}

#[test]
fn bodies_that_nobody_wants_lock_nobody_out() {
    is_held(Attack::UnwantedBody);
}

#[test]
fn readers_that_never_read_the_status_lock_nobody_out() {
    flood_is_held(Attack::NeverReads("/status"));
}

#[test]
fn readers_that_never_read_the_page_lock_nobody_out() {
    flood_is_held(Attack::NeverReads("/"));
}

#[test]
fn posts_without_end_lock_nobody_out() {
    flood_is_held(Attack::PostsWithoutEnd);
}

#[test]
fn readers_of_all_streams_lock_nobody_out() {
    is_held(Attack::Stream);
}

/// Why an advisory on HTTP/2 concerns the listener as little as `.deny.toml` says.
#[test]
fn frames_of_http_2_are_refused_with_the_preface() {
    /// Empty frames of data of stream 1: what the advisory queues without end.
    const DATA: [u8; 9] = [0, 0, 0, 0, 0, 0, 0, 0, 1];
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // GET, http, `/healthz` in plain, localhost in plain.
    let headers = b"\0\0\x17\x01\x04\0\0\0\x01\x82\x86\x04\x08/healthz\x01\x09localhost";
    let besieged = Besieged::new();
    let patience = Duration::from_secs(4);
    let by_tcp = || tcp(besieged.agent.metrics(), patience);
    let by_unix = || unix(&besieged.unix, patience);
    let ways: [&dyn Fn() -> io::Result<Box<dyn Stream>>; 2] = [&by_tcp, &by_unix];
    for connect in ways {
        let mut stream = connect().unwrap();
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        sent.extend_from_slice(&settings);
        sent.extend_from_slice(headers);
        sent.extend(DATA.repeat(1_000));
        // The listener may have closed before it is all written.
        let _ = stream.write_all(&sent);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answered = String::from_utf8_lossy(&answer).into_owned();
        assert!(answered.is_empty() || answered.starts_with("HTTP/1.1 400"), "{answered:?}");
        posted(connect()).unwrap();
    }
}
