//! HTTP over podman's unix socket: every exchange ends by its deadline, every answer is typed and bounded.
//!
//! Each call has a connection of its own: one that podman closed while it was idle would fail the
//! next call, and closing it is how a call is given up. Whose process answers is known before the first
//! byte is sent; the process of another user may answer whatever harms the agent.

mod beneath;
mod call;
mod journal;
mod peer;
mod reply;

use std::cell::Cell;
use std::os::unix::net;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::blocking::OneAtATime;
use crate::podman_executor::libpod::api::PodmanError;
use crate::podman_executor::libpod::bounds::{MAX_WORDS, Rows, cut};
use crate::podman_executor::libpod::types::ErrorAnswer;
pub(in crate::podman_executor) use beneath::{Mounts, open as open_beneath};
pub(in crate::podman_executor) use call::{Call, Size};
use journal::Journal;
pub(in crate::podman_executor) use peer::Peer;
use peer::{Allowed, PeerError};
pub use peer::{ExpectedPeer, runtime_dir_owner};
use reply::{Body, Reply, SMALL};

/// How long the answer to a listing that was given up is still awaited, see [`super::pace`].
pub(in crate::podman_executor) const LIST_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Time for the file system to find the socket.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(5);
/// Calls that are under way at one time, each with a connection; what is beyond waits for its place.
pub(in crate::podman_executor) const PLACES: usize = 80;
/// The most that is kept of an answer's head, and of what was received and not read yet.
const MAX_HEAD: usize = 64 * 1024;
/// Bytes of the reason why an answer is not libpod's.
const MAX_FAULT: usize = 500;
/// More than podman's answers have.
const MAX_HEADERS: usize = 64;

/// libpod over a unix socket.
pub struct LibpodClient {
    socket: PathBuf,
    expected: ExpectedPeer,
    /// The process that listened on the socket when last connected.
    peer: Cell<Option<Peer>>,
    places: Arc<Semaphore>,
    /// The turn of an answer that is large.
    large: Arc<Semaphore>,
    connecting: OneAtATime,
    /// For what the kernel is asked about containers.
    pub(in crate::podman_executor) kernel: OneAtATime,
    journal: Journal,
}

impl LibpodClient {
    /// Returns a client for the service at `socket`, which need not exist yet, and which is spoken to only
    /// if it is as `expected`.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>, expected: ExpectedPeer) -> Self {
        Self {
            socket: socket.into(),
            expected,
            peer: Cell::default(),
            places: Arc::new(Semaphore::new(PLACES)),
            large: Arc::new(Semaphore::new(1)),
            connecting: OneAtATime::default(),
            kernel: OneAtATime::default(),
            journal: Journal::default(),
        }
    }

    /// Lets `program` show what podman's service wrote, in the place of journalctl.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_journal(self, program: impl Into<PathBuf>) -> Self {
        Self { journal: Journal::shown_by(program.into()), ..self }
    }

    /// Returns why the service ended when it was last started, if it did; see [`Journal::said_last`].
    pub(in crate::podman_executor) async fn said_last(&self) -> Option<String> {
        self.journal.said_last(&self.socket, &self.expected).await
    }

    /// Returns the process that listens, as it was when last connected.
    pub(in crate::podman_executor) fn peer(&self) -> Option<Peer> {
        self.peer.get()
    }

    /// Sends `call` and reads the head of its answer. An error answer is an error.
    ///
    /// # Errors
    /// It did not come by `after`, or podman refused.
    pub(in crate::podman_executor) async fn open(
        &self,
        call: Call,
        after: Duration,
    ) -> Result<Reply, PodmanError> {
        let what = call.what;
        let opening = async {
            let reply = self.send(call).await?;
            if reply.status.is_success() {
                return Ok(reply);
            }
            let status = reply.status.as_u16();
            Err(refused(what, status, &reply.beginning().await))
        };
        let timed_out = |_| PodmanError::Timeout { call: what, after };
        timeout(after, opening).await.map_err(timed_out)?
    }

    async fn send(&self, call: Call) -> Result<Reply, PodmanError> {
        let what = call.what;
        let request = call.request()?;
        let stream = self.connect(what).await?;
        let cut = |source: hyper::Error| PodmanError::Cut { call: what, source: source.into() };
        let mut settings = http1::Builder::new();
        settings.max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
        let (mut sender, connection) =
            settings.handshake(TokioIo::new(stream)).await.map_err(cut)?;
        let mut tasks = JoinSet::new();
        // The reader of the answer learns how it ended.
        tasks.spawn_local(async { drop(connection.await) });
        let (head, body) = sender.send_request(request).await.map_err(cut)?.into_parts();
        Ok(Reply { status: head.status, body, _connection: tasks, _place: None })
    }

    /// Connects to the one who is to answer, and to no other.
    async fn connect(&self, call: &'static str) -> Result<UnixStream, PodmanError> {
        let opened = match &self.expected {
            // The user may have mounted a file system there that never answers.
            ExpectedPeer::OwnerOf(_) => {
                let (socket, expected) = (self.socket.clone(), self.expected.clone());
                let opening = move || peer::open(&socket, &expected);
                let opened =
                    self.connecting.run("opening the socket", SOCKET_TIMEOUT, opening).await;
                opened.map_err(|_| PodmanError::Timeout { call, after: SOCKET_TIMEOUT })?
            }
            // The administrator's own path: a thread for each call would cost more than the call.
            ExpectedPeer::RootOrOwn | ExpectedPeer::Own => peer::open(&self.socket, &self.expected),
        };
        let (stream, peer) = opened.and_then(prove).map_err(|error| match error {
            PeerError::Absent(source) => {
                PodmanError::Connect { socket: self.socket.clone(), source: source.into() }
            }
            PeerError::Foreign(reason) => {
                PodmanError::Foreign { socket: self.socket.clone(), reason }
            }
        })?;
        self.peer.set(Some(peer));
        Ok(stream)
    }

    /// Sends, reads the whole answer within `after`, and expects one of `good`. Where too many calls are
    /// under way, it waits as long for its place.
    pub(in crate::podman_executor) async fn expect(
        &self,
        call: Call,
        after: Duration,
        good: &[u16],
    ) -> Result<(u16, Body), PodmanError> {
        let (what, size) = (call.what, call.size);
        let timed_out = |_| PodmanError::Timeout { call: what, after };
        let place = Arc::clone(&self.places).acquire_owned();
        let place = timeout(after, place).await.map_err(timed_out)?.ok();
        let exchange = async {
            let mut reply = self.send(call).await?;
            reply._place = place;
            let status = reply.status.as_u16();
            if good.contains(&status) {
                return Ok((status, reply.whole(what, size, &self.large).await?));
            }
            Err(refused(what, status, &reply.beginning().await))
        };
        timeout(after, exchange).await.map_err(timed_out)?
    }

    pub(in crate::podman_executor) async fn read<T: DeserializeOwned + Send + 'static>(
        &self,
        call: Call,
        after: Duration,
    ) -> Result<T, PodmanError> {
        let what = call.what;
        let (_, body) = self.expect(call, after, &[200]).await?;
        if body.len() <= SMALL {
            return decoded(what, &body);
        }
        let decoding = tokio::task::spawn_blocking(move || {
            serde_json::from_slice(&body).map_err(|error| fault(&error))
        });
        let decoded = decoding.await.unwrap_or_else(|error| Err(error.to_string()));
        decoded.map_err(|reason| PodmanError::Garbled { call: what, source: reason.into() })
    }

    /// Lists what fits `filters`, at most `MAX` of it.
    pub(in crate::podman_executor) async fn list<
        T: DeserializeOwned + Send + 'static,
        const MAX: usize,
    >(
        &self,
        call: Call,
        filters: &Value,
    ) -> Result<Vec<T>, PodmanError> {
        let query = [("all", "true"), ("filters", &filters.to_string())];
        let rows: Rows<T, MAX> = self.read(call.query(&query), LIST_TIMEOUT).await?;
        Ok(rows.0)
    }
}

/// Asks the kernel who is at the other end of a connection, and goes on only with those who may be.
fn prove((stream, allowed): (net::UnixStream, Allowed)) -> Result<(UnixStream, Peer), PeerError> {
    let stream = UnixStream::from_std(stream)?;
    let credentials = stream.peer_cred()?;
    allowed.check(credentials.uid())?;
    let pid = credentials.pid().filter(|pid| *pid > 0);
    Ok((stream, Peer { uid: credentials.uid(), gid: credentials.gid(), pid }))
}

/// Reads JSON.
pub(in crate::podman_executor) fn decoded<T: DeserializeOwned>(
    call: &'static str,
    body: &[u8],
) -> Result<T, PodmanError> {
    serde_json::from_slice(body)
        .map_err(|error| PodmanError::Garbled { call, source: fault(&error).into() })
}

/// Says what is wrong with JSON. A text in the place of something else is quoted, and may be as long as the
/// answer: it is cut.
fn fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.len() <= MAX_FAULT {
        return text;
    }
    let (line, column) = (error.line(), error.column());
    format!("{}… at line {line} column {column}", cut(&text, MAX_FAULT))
}

/// Reads an error answer.
pub(in crate::podman_executor) fn refused(
    call: &'static str,
    status: u16,
    body: &[u8],
) -> PodmanError {
    let answer: ErrorAnswer = serde_json::from_slice(body).unwrap_or_default();
    let fallback = || {
        let text = answer.errs.join("; ");
        if text.is_empty() {
            format!("podman answered {status}")
        } else {
            cut(&text, MAX_WORDS).to_owned()
        }
    };
    let cause = Some(answer.cause.clone()).filter(|cause| !cause.is_empty());
    let cause = cause.unwrap_or_else(fallback);
    let message = Some(answer.message).filter(|message| !message.is_empty());
    PodmanError::Refused { call, status, message: message.unwrap_or_else(|| cause.clone()), cause }
}

#[cfg(test)]
mod tests {
    use super::super::api::PodmanApi as _;
    use super::*;

    #[actix::test]
    async fn a_name_that_makes_no_address_is_refused_and_not_taken_for_an_absent_podman() {
        let client = LibpodClient::new("/nowhere/podman.sock", ExpectedPeer::RootOrOwn);
        for image in ["", "..", &"a".repeat(70_000)] {
            let answer = client.image_id(image).await;
            assert!(matches!(answer, Err(PodmanError::Refused { .. })), "{image}: {answer:?}");
        }
        let answer = client.image_id("quay.io/a:1").await;
        assert!(matches!(answer, Err(PodmanError::Connect { .. })), "{answer:?}");
    }
}
