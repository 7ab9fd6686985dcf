//! The state of one connection: what it waits for, what it holds, and when its time is over.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::eviction::Candidate;
use crate::clock::{Clock, Monotonic};
use crate::metrics_ingest::sockets::{Group, Peer};

/// Time for a client to send its request's head, and again its body.
pub(in crate::metrics_ingest::http) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that an idle connection is kept.
pub(in crate::metrics_ingest::http) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Time for the head of a first request while more than half of the places are taken.
const CROWDED_HEAD_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest time in which a client reads nothing of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time that a client always has for its next step before its connection may be closed for another: on a busy
/// device a program may not get the processor for some tens of milliseconds.
/// Bounds how often connections are closed for others.
pub(in crate::metrics_ingest::http) const GRACE: Duration = Duration::from_millis(25);
/// The same for another machine that reads an answer: it is farther away.
const REMOTE_READER_GRACE: Duration = Duration::from_secs(1);
/// The same for a body; hardly any takes a tenth of it.
const BODY_GRACE: Duration = Duration::from_secs(1);
/// The same for a stream. A browser may want more streams than there are; with less, its tabs would
/// take them from each other all the time.
const STREAM_GRACE: Duration = Duration::from_secs(60);

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The head of its first request, since then.
    FirstHead(Monotonic),
    /// The rest of a body.
    Body(Monotonic),
    /// Nothing from its client: a request is being handled, or its answer is being sent.
    Busy,
    /// Another request.
    NextHead(Monotonic),
}

/// What the HTTP server may be given of what a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Nothing: a request is being handled, and has its body.
    Nothing,
    /// A head, and what may come with it.
    Head,
    /// So many more bytes of a body.
    Bytes(usize),
    /// The rest of a body in chunks.
    Chunks,
}

/// What connections compete for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::metrics_ingest::http) enum Resource {
    Connection,
    /// Memory for large bodies.
    LargeBody,
    LongAnswer,
    Stream,
}

impl Resource {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connections",
            Self::LargeBody => "large bodies",
            Self::LongAnswer => "long answers",
            Self::Stream => "streams",
        }
    }
}

/// The state of one connection.
pub(in crate::metrics_ingest::http) struct State {
    pub(super) id: u64,
    pub(in crate::metrics_ingest::http) peer: Peer,
    clock: Clock,
    phase: Cell<Phase>,
    /// Since when its client reads nothing of what is written to it.
    unread: Cell<Option<Monotonic>>,
    held: Cell<Option<(Resource, Monotonic)>>,
    is_closing: Cell<bool>,
    task: OnceCell<AbortHandle>,
    /// Bytes that are missing of the body that is being received; `None` where only its end says so.
    body_left: Cell<Option<usize>>,
    /// Wakes the task that waits until something is awaited of the client again.
    waiting: Cell<Option<Waker>>,
}

impl State {
    pub(super) fn new(id: u64, peer: Peer, clock: Clock) -> Self {
        Self {
            id,
            peer,
            phase: Cell::new(Phase::FirstHead(clock.monotonic())),
            clock,
            unread: Cell::default(),
            held: Cell::default(),
            is_closing: Cell::default(),
            task: OnceCell::new(),
            body_left: Cell::default(),
            waiting: Cell::default(),
        }
    }

    /// Sets the task that serves it; [`Self::abort`] ends that task.
    pub(in crate::metrics_ingest::http) fn set_task(&self, task: AbortHandle) {
        // It is set once, right after the connection was accepted.
        let _ = self.task.set(task);
    }

    /// Ends the task that serves it, and so closes the connection.
    pub(super) fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// Has a task woken as soon as something may be awaited of the client again.
    pub(super) fn wake_when_free(&self, task: &Waker) {
        self.waiting.set(Some(task.clone()));
    }

    fn wait_for_client(&self, phase: Phase) {
        self.phase.set(phase);
        self.wake();
    }

    fn wake(&self) {
        if let Some(task) = self.waiting.take() {
            task.wake();
        }
    }

    /// FirstHead | NextHead => Busy, and => NextHead when the guard is dropped, which the body of the
    /// answer holds until the connection has all of it.
    pub(in crate::metrics_ingest::http) fn begin_request(self: &Rc<Self>) -> BusyGuard {
        self.phase.set(Phase::Busy);
        BusyGuard(Rc::clone(self))
    }

    /// Returns what is awaited of the client. `came` bytes came with the head.
    pub(super) fn awaited(&self, came: usize) -> Awaited {
        match self.phase.get() {
            Phase::Busy => Awaited::Nothing,
            // Short answers pile up in the server's buffer for a client that reads none.
            Phase::FirstHead(_) | Phase::NextHead(_) if self.unread.get().is_some() => {
                Awaited::Nothing
            }
            Phase::FirstHead(_) | Phase::NextHead(_) => Awaited::Head,
            Phase::Body(_) => {
                self.note_body(came);
                match self.body_left.get() {
                    Some(0) => Awaited::Nothing,
                    Some(left) => Awaited::Bytes(left),
                    None => Awaited::Chunks,
                }
            }
        }
    }

    /// Notes that so many bytes of the body came.
    pub(super) fn note_body(&self, came: usize) {
        self.body_left.update(|left| left.map(|left| left.saturating_sub(came)));
    }

    /// Busy => Body: a body of `length` bytes is being received, until [`Self::end_body`]. `None`: only
    /// its end says how long it is.
    pub(in crate::metrics_ingest::http) fn begin_body(&self, length: Option<usize>) {
        self.body_left.set(length);
        self.wait_for_client(Phase::Body(self.clock.monotonic()));
    }

    /// Body => Busy: the body is complete.
    pub(in crate::metrics_ingest::http) fn end_body(&self) {
        self.phase.set(Phase::Busy);
    }

    /// Notes whether the socket took what was written to it.
    pub(in crate::metrics_ingest::http) fn note_write(&self, is_taken: bool) {
        if is_taken {
            if self.unread.take().is_some() {
                self.wake();
            }
        } else if self.unread.get().is_none() {
            self.unread.set(Some(self.clock.monotonic()));
        }
    }

    /// Notes that it holds a resource, until its request is answered.
    pub(in crate::metrics_ingest::http) fn hold(&self, resource: Resource) {
        self.held.set(Some((resource, self.clock.monotonic())));
    }

    pub(super) fn is_holding(&self, resource: Resource) -> bool {
        self.held.get().is_some_and(|(held, _)| held == resource)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.phase.get() == Phase::Busy
    }

    /// Makes its next answer its last.
    pub(super) fn close_after_answer(&self) {
        self.is_closing.set(true);
    }

    /// Returns whether its next answer is its last.
    pub(in crate::metrics_ingest::http) fn is_closing(&self) -> bool {
        self.is_closing.get()
    }

    /// Returns it as a candidate to be closed for a connection that wants `wanted`; one within its
    /// `grace` is none that may be chosen.
    pub(super) fn candidate(&self, wanted: Resource, now: Monotonic, grace: Duration) -> Candidate {
        let waited = self.waiting_since(wanted).map(|since| now.saturating_since(since));
        let waited = waited.filter(|waited| *waited >= grace);
        Candidate { id: self.id, peer: self.peer, waited }
    }

    /// Returns since when its client keeps others waiting for `wanted`; `None` while that is not its
    /// client's doing.
    fn waiting_since(&self, wanted: Resource) -> Option<Monotonic> {
        use Phase::{Body, Busy, FirstHead, NextHead};
        match (wanted, self.phase.get()) {
            // The agent itself is at work, unless its client does not read the answer.
            (Resource::Connection, Busy) | (Resource::LongAnswer, _) => self.unread.get(),
            (Resource::Connection, FirstHead(since) | Body(since) | NextHead(since)) => {
                self.unread.get().or(Some(since))
            }
            (Resource::LargeBody, Body(since)) => Some(since),
            (Resource::LargeBody, FirstHead(_) | Busy | NextHead(_)) => None,
            (Resource::Stream, _) => self.held.get().map(|(_, since)| since),
        }
    }

    /// Returns for how long it may keep others waiting.
    pub(super) fn grace(&self, wanted: Resource) -> Duration {
        match (wanted, self.peer.group()) {
            (Resource::Connection, _) | (Resource::LongAnswer, Group::Unix | Group::Loopback) => {
                GRACE
            }
            (Resource::LongAnswer, Group::Network) => REMOTE_READER_GRACE,
            (Resource::LargeBody, _) => BODY_GRACE,
            (Resource::Stream, _) => STREAM_GRACE,
        }
    }

    /// Returns whether it is to be closed even though no other wants its place.
    pub(super) fn is_overdue(&self, now: Monotonic, is_crowded: bool) -> bool {
        let over = |since, limit| now.saturating_since(since) >= limit;
        self.unread.get().is_some_and(|since| over(since, WRITE_TIMEOUT))
            || match self.phase.get() {
                // Otherwise the HTTP server's own timeout for a head applies.
                Phase::FirstHead(since) => is_crowded && over(since, CROWDED_HEAD_TIMEOUT),
                // The HTTP server closes an idle connection after KEEP_ALIVE. What is still there
                // after this time has begun a head and not ended it, or sends the body of a refused
                // request without end.
                Phase::NextHead(since) => over(since, KEEP_ALIVE + REQUEST_TIMEOUT),
                // A body has a timeout of its own, in `posts`.
                Phase::Body(_) | Phase::Busy => false,
            }
    }
}

/// Keeps a connection in `Busy`.
pub(in crate::metrics_ingest::http) struct BusyGuard(Rc<State>);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.wait_for_client(Phase::NextHead(self.0.clock.monotonic()));
        self.0.held.take();
    }
}
