//! One connection: what it waits for, what it holds, and when it has had enough time.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{AbortHandle, yield_now};

use super::clients::Clients;
use super::peer::{Group, Peer, Rival};
use super::{KEEP_ALIVE, REQUEST_TIMEOUT};
use crate::clock::Monotonic;

/// What each client has for its next step though others wait. It bounds how often connections are
/// closed for others.
const GRACE: Duration = Duration::from_millis(10);
/// The same for another machine that reads an answer: it is farther away.
const REMOTE_READER_GRACE: Duration = Duration::from_secs(1);
/// The same for a body. Few are so long that they take a tenth of that.
const BODY_GRACE: Duration = Duration::from_secs(1);
/// The same for a stream, of which a browser may want more than there are: its pages do not take
/// them from each other all the time.
const STREAM_GRACE: Duration = Duration::from_secs(60);
/// Time for the head of a first request while more than half of the places are taken.
const CROWDED_HEAD_TIMEOUT: Duration = Duration::from_secs(1);
/// Time in which a client takes some bytes of an answer, at least.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The head of its first request.
    FirstHead(Monotonic),
    /// The rest of a body.
    Body(Monotonic),
    /// Nothing of its client: the request is at work, or its answer is on the way.
    Work,
    /// Another request.
    NextHead(Monotonic),
}

/// What there is less of than connections may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scarce {
    /// A place for a connection.
    Place,
    /// Memory for large bodies.
    Body,
    /// A long answer.
    Answer,
    /// A stream.
    Stream,
}

impl Scarce {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Place => "connections",
            Self::Body => "large bodies",
            Self::Answer => "long answers",
            Self::Stream => "streams",
        }
    }
}

/// A connection.
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) peer: Peer,
    step: Cell<Step>,
    /// Since when it takes no bytes of an answer.
    unread: Cell<Option<Monotonic>>,
    holds: Cell<Option<(Scarce, Monotonic)>>,
    /// It is closed with its next answer.
    is_leaving: Cell<bool>,
    task: OnceCell<AbortHandle>,
    clients: Rc<Clients>,
}

impl Client {
    pub(super) fn new(id: u64, peer: Peer, clients: Rc<Clients>) -> Self {
        Self {
            id,
            peer,
            step: Cell::new(Step::FirstHead(clients.now())),
            unread: Cell::default(),
            holds: Cell::default(),
            is_leaving: Cell::default(),
            task: OnceCell::new(),
            clients,
        }
    }

    /// Marks that `task` serves it.
    pub(super) fn is_served_by(&self, task: AbortHandle) {
        // It is the first and only one.
        let _ = self.task.set(task);
    }

    /// Ends the task that serves it.
    pub(super) fn close(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// Marks that a whole head has come, until what is returned is dropped.
    pub(super) fn works(self: &Rc<Self>) -> Working {
        self.step.set(Step::Work);
        Working(Rc::clone(self))
    }

    /// Marks that a body is being received, until [`Self::has_sent`].
    pub(super) fn sends(&self) {
        self.step.set(Step::Body(self.clients.now()));
    }

    /// Marks that a body is whole.
    pub(super) fn has_sent(&self) {
        self.step.set(Step::Work);
    }

    /// Marks whether the client takes what is written to it.
    pub(super) fn takes(&self, any: bool) {
        if any {
            self.unread.take();
        } else if self.unread.get().is_none() {
            self.unread.set(Some(self.clients.now()));
        }
    }

    /// Marks that it holds something scarce, until its request is answered.
    pub(super) fn holds(&self, what: Scarce) {
        self.holds.set(Some((what, self.clients.now())));
    }

    pub(super) fn is_holding(&self, what: Scarce) -> bool {
        self.holds.get().is_some_and(|(held, _)| held == what)
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.step.get() == Step::Work
    }

    /// Marks that its next answer is its last.
    pub(super) fn dismiss(&self) {
        self.is_leaving.set(true);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.get()
    }

    /// Closes a connection that should rather make way for this one, if there is one. What it holds
    /// comes back when its task has had a turn, which it has had once this returns.
    pub(super) async fn displaces(&self, wanted: Scarce) -> bool {
        let is_closed = self.clients.displace_for(self, wanted);
        yield_now().await;
        is_closed
    }

    /// Takes one of the streams of its group; `false` when there is none.
    pub(super) fn takes_stream(&self) -> bool {
        let is_free = self.clients.has_stream_for(self);
        if is_free {
            self.holds(Scarce::Stream);
        }
        is_free
    }

    /// Returns it as one of those of which one makes way for who wants `wanted`.
    pub(super) fn rival(&self, wanted: Scarce, now: Monotonic, grace: Duration) -> Rival {
        let waits = self.keeps_since(wanted).map(|since| now.saturating_since(since));
        Rival { id: self.id, peer: self.peer, waits: waits.filter(|waits| *waits >= grace) }
    }

    /// Returns since when it keeps what others want without good reason.
    fn keeps_since(&self, wanted: Scarce) -> Option<Monotonic> {
        match (wanted, self.step.get()) {
            (Scarce::Place, Step::Work) | (Scarce::Answer, _) => self.unread.get(),
            (Scarce::Place, Step::FirstHead(since) | Step::Body(since) | Step::NextHead(since)) => {
                self.unread.get().or(Some(since))
            }
            (Scarce::Body, Step::Body(since)) => Some(since),
            (Scarce::Body, Step::FirstHead(_) | Step::Work | Step::NextHead(_)) => None,
            (Scarce::Stream, _) => self.holds.get().map(|(_, since)| since),
        }
    }

    /// Returns for how long it may.
    pub(super) fn grace(&self, wanted: Scarce) -> Duration {
        match (wanted, self.peer.group()) {
            (Scarce::Place, _) | (Scarce::Answer, Group::Unix | Group::Loopback) => GRACE,
            (Scarce::Answer, Group::Network) => REMOTE_READER_GRACE,
            (Scarce::Body, _) => BODY_GRACE,
            (Scarce::Stream, _) => STREAM_GRACE,
        }
    }

    /// Returns whether it has taken longer than anybody may.
    pub(super) fn is_overdue(&self, now: Monotonic, is_crowded: bool) -> bool {
        let over = |since, limit| now.saturating_since(since) >= limit;
        self.unread.get().is_some_and(|since| over(since, WRITE_TIMEOUT))
            || match self.step.get() {
                Step::FirstHead(since) => is_crowded && over(since, CROWDED_HEAD_TIMEOUT),
                // Who only keeps the connection is sent away before: this is one who has begun a
                // head, or lets the body of a refused request go on for ever.
                Step::NextHead(since) => over(since, KEEP_ALIVE + REQUEST_TIMEOUT),
                // A body has a time of its own.
                Step::Body(_) | Step::Work => false,
            }
    }
}

/// Marks that a request is at work, or its answer on the way.
pub(super) struct Working(Rc<Client>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.step.set(Step::NextHead(self.0.clients.now()));
        self.0.holds.take();
    }
}
