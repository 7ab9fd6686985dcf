//! A process of an unprivileged user that holds many connections to the listener and means no good.

use std::cell::Cell;
use std::future::Future;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use actors::metrics_ingest::Listen;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::sleep;

/// Set in the process that attacks: which attack, where, with how many connections.
const ATTACK: &str = "PLAYS_HOSTILE_PROCESS";
/// The user that it runs as, `nobody`.
const USER: &str = "65534";
/// Between two bytes of what arrives slowly.
const DRIP: Duration = Duration::from_millis(100);
/// Connections that are open when an attack counts as begun: more than the listener has places for.
const IN_FORCE: u64 = 280;

/// What an attacker does with each of its connections. One that is closed is opened anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Says nothing.
    Silence,
    /// Sends half of a request's head.
    HalfHead,
    /// Sends a head, a byte at a time.
    SlowHead,
    /// Sends a post, and then half of a second one's head.
    SecondHalfHead,
    /// Sends a post, and keeps the connection.
    Idle,
    /// Sends the head of a large post, and its body a byte at a time.
    SlowBody,
    /// Sends a large post but for its last byte.
    StalledBody,
    /// Sends, where none is taken, a body that never ends.
    UnwantedBody,
    /// Asks for this again and again, and reads no answer.
    NeverReads(&'static str),
    /// Posts again and again, and reads no answer.
    PostsWithoutEnd,
    /// Reads a stream of the status.
    Stream,
}

/// How a connection goes on after its first bytes.
enum Then {
    /// Reads until it is closed.
    Reads,
    /// Sends this byte now and then.
    Drips(u8),
    /// Sends this for as long as there is room, and reads nothing.
    Pours(Vec<u8>),
}

impl Attack {
    const ALL: [Self; 12] = [
        Self::Silence,
        Self::HalfHead,
        Self::SlowHead,
        Self::SecondHalfHead,
        Self::Idle,
        Self::SlowBody,
        Self::StalledBody,
        Self::UnwantedBody,
        Self::NeverReads("/status"),
        Self::NeverReads("/"),
        Self::PostsWithoutEnd,
        Self::Stream,
    ];

    /// Returns the first bytes of a connection, and how it goes on.
    fn play(self) -> (Vec<u8>, Then) {
        const POST: &str = "POST /metrics HTTP/1.1\r\nHost: localhost\r\n";
        const LARGE: usize = 1024 * 1024;
        let sample = r#"{"name":"hostile","value":1}"#;
        let whole = format!("{POST}Content-Length: {}\r\n\r\n{sample}", sample.len());
        let large = format!("{POST}Content-Length: {LARGE}\r\n\r\n");
        let (text, then) = match self {
            Self::Silence => (String::new(), Then::Reads),
            Self::HalfHead => (format!("{POST}X-Half: "), Then::Reads),
            Self::SlowHead => (format!("{POST}X-Slow: "), Then::Drips(b'x')),
            Self::SecondHalfHead => (format!("{whole}{POST}X-Half: "), Then::Reads),
            Self::Idle => (whole, Then::Reads),
            Self::SlowBody => (large, Then::Drips(b' ')),
            Self::StalledBody => (large + &" ".repeat(LARGE - 1), Then::Reads),
            Self::UnwantedBody => {
                let head = "POST /status HTTP/1.1\r\nHost: localhost\r\n";
                // The extension of a chunk that never ends.
                (format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"), Then::Drips(b'0'))
            }
            Self::NeverReads(path) => {
                let question = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                (String::new(), Then::Pours(question.into_bytes()))
            }
            Self::PostsWithoutEnd => (String::new(), Then::Pours(whole.into_bytes())),
            Self::Stream => {
                ("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), Then::Reads)
            }
        };
        (text.into_bytes(), then)
    }
}

/// The process, from the moment when its attack is in force. Dropped, it ends.
pub struct Hostile(Child);

impl Hostile {
    /// Starts an attack at `listen` with this many connections at one time.
    pub fn start(attack: Attack, listen: &Listen, connections: usize) -> Self {
        let which = Attack::ALL.iter().position(|it| *it == attack).unwrap();
        let mut child = Command::new("prlimit")
            .arg("--nofile=16384:16384")
            .args(["setpriv", "--pdeathsig", "KILL", "--clear-groups"])
            .args([format!("--reuid={USER}"), format!("--regid={USER}")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "listener::hostile::hostile_process", "--nocapture"])
            .env(ATTACK, format!("{which} {connections} {listen}"))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.as_mut().unwrap());
        let begun = said.lines().map(Result::unwrap).find(|line| line == "in force");
        assert!(begun.is_some(), "the attack never began");
        Self(child)
    }

    /// Ends it; returns how many connections it has opened.
    pub fn end(mut self) -> u64 {
        drop(self.0.stdin.take());
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        let opened = said.lines().find_map(|line| line.strip_prefix("opened "));
        opened.unwrap_or_else(|| panic!("{said}")).parse().unwrap()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Attacks until its standard input ends, when another test has started it to do so.
#[test]
fn hostile_process() {
    let Ok(order) = std::env::var(ATTACK) else { return };
    let mut words = order.splitn(3, ' ');
    let mut next = || words.next().unwrap();
    let attack = Attack::ALL[next().parse::<usize>().unwrap()];
    let connections: u64 = next().parse().unwrap();
    let listen: Listen = next().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let opened = Rc::new(Cell::new(0));
        for _ in 0..connections {
            let listen = listen.clone();
            let opened = Rc::clone(&opened);
            tokio::task::spawn_local(async move {
                match listen {
                    Listen::Unix(path) => again(attack, &opened, || unix(&path)).await,
                    Listen::Tcp(address) => {
                        again(attack, &opened, || TcpStream::connect(address)).await;
                    }
                    Listen::Localhost(_) => unreachable!("it attacks one socket"),
                }
            });
        }
        while opened.get() < connections.min(IN_FORCE) {
            sleep(DRIP).await;
        }
        println!("\nin force");
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
            .await
            .unwrap()
            .unwrap();
        println!("\nopened {}", opened.get());
        // There may be thousands of tasks, and nothing that they hold is worth the wait.
        std::process::exit(0);
    });
}

async fn unix(path: &Path) -> std::io::Result<UnixStream> {
    UnixStream::connect(path).await
}

/// Opens a connection, mistreats it, and again.
async fn again<S, F>(attack: Attack, opened: &Cell<u64>, connect: impl Fn() -> F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = std::io::Result<S>>,
{
    loop {
        match connect().await {
            Ok(stream) => {
                opened.set(opened.get() + 1);
                // It was closed, which was to be expected.
                let _ = mistreat(attack, stream).await;
            }
            Err(_) => sleep(DRIP).await,
        }
    }
}

async fn mistreat(attack: Attack, stream: impl AsyncRead + AsyncWrite) -> std::io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (first, then) = attack.play();
    writer.write_all(&first).await?;
    match then {
        Then::Reads => {
            let mut buffer = [0; 4096];
            while reader.read(&mut buffer).await? > 0 {}
        }
        Then::Drips(byte) => loop {
            sleep(DRIP).await;
            writer.write_all(&[byte]).await?;
        },
        Then::Pours(bytes) => loop {
            writer.write_all(&bytes).await?;
        },
    }
    Ok(())
}
