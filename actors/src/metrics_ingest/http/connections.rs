//! All connections of the listener: how many there may be, and which is closed for another.
//!
//! A client that keeps others waiting loses its connection to them: a client that sends a whole request at
//! once gets an answer, however many connections others hold. No timer runs while there is none.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tracing::warn;

use self::eviction::{Candidate, choose};
pub(super) use self::read_ahead::ReadAhead;
use self::state::State;
pub(super) use self::state::{BusyGuard, KEEP_ALIVE, REQUEST_TIMEOUT, Resource};
use crate::clock::{Clock, Monotonic};
use crate::metrics_ingest::sockets::{Peer, PerGroup};

mod eviction;
mod read_ahead;
pub(super) mod state;

/// Connections of one group of peers at one time.
pub(super) const MAX_CONNECTIONS: usize = 256;
/// Connections beyond them, each in place of one that is closed after its next answer.
const MAX_CLOSING: usize = MAX_CONNECTIONS / 4;
/// Streams at one time, for each group of peers. Fewer than the six connections that a browser opens
/// to one host, so that its tabs leave it one for the next page.
pub(super) const MAX_STREAMS: usize = 4;
/// Longest time between two attempts to make room for a new connection.
const ROOM_CHECK_INTERVAL: Duration = Duration::from_millis(10);
/// Time between two checks for overdue connections.
const DEADLINE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Least time between two warnings that connections are closed for others.
const WARNING_GAP: Duration = Duration::from_secs(60);

/// The connections of one group, in the order of their arrival.
type Open = BTreeMap<u64, Rc<State>>;

/// All connections of the listener.
pub(in crate::metrics_ingest) struct Connections {
    clock: Clock,
    next_id: Cell<u64>,
    open: PerGroup<RefCell<Open>>,
    /// Wakes the check for overdue connections.
    entered: Notify,
    /// Wakes the accept loop that waits for room.
    left: Notify,
    warned: Cell<Option<Monotonic>>,
}

/// One connection among all: its state, and its place, which is free once this is dropped.
pub(super) struct Connection {
    pub(super) state: Rc<State>,
    all: Rc<Connections>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.open.of(self.state.peer.group()).borrow_mut().remove(&self.state.id);
        self.all.left.notify_one();
    }
}

impl Connection {
    /// Closes a connection of another client that holds what this one wants, if there is one that may
    /// be closed. Returns whether one was; what it held is free by then.
    pub(super) async fn evict_other(&self, wanted: Resource) -> bool {
        let is_closed = self.all.evict_for(&self.state, wanted);
        // An aborted task drops what it holds when it is polled next, which is now.
        yield_now().await;
        is_closed
    }

    /// Takes one of the streams of its group, for which another may be closed; `false` when there is
    /// none.
    pub(super) fn take_stream(&self) -> bool {
        let held = self.all.holders(&self.state, Resource::Stream).len();
        let is_free = held < MAX_STREAMS || self.all.evict_for(&self.state, Resource::Stream);
        if is_free {
            self.state.hold(Resource::Stream);
        }
        is_free
    }
}

impl Connections {
    pub(in crate::metrics_ingest) fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            clock,
            next_id: Cell::default(),
            open: PerGroup::default(),
            entered: Notify::new(),
            left: Notify::new(),
            warned: Cell::default(),
        })
    }

    /// Waits until there is room for a connection of `peer`.
    pub(super) async fn wait_for_room(&self, peer: Peer) {
        let open = self.open.of(peer.group());
        let closing = || open.borrow().values().filter(|it| it.is_closing()).count();
        let is_full = || open.borrow().len() - closing() >= MAX_CONNECTIONS;
        while is_full() {
            // First choice: one that waits for its client, which loses nothing but a place.
            let wanted = Resource::Connection;
            let now = self.clock.monotonic();
            let candidate = |it: &Rc<State>| it.candidate(wanted, now, it.grace(wanted));
            let candidates: Vec<_> = open.borrow().values().map(candidate).collect();
            if self.evict(&candidates, wanted) {
                // A connection accepted just before gets its turn to read a head, else it would be
                // the next to be closed.
                return yield_now().await;
            }
            // Second choice: one that is busy, which gets its answer first. Those are over the limit
            // for so long; hence the bound.
            if closing() < MAX_CLOSING && close_a_busy_one(&open.borrow()) {
                return;
            }
            let _ = timeout(ROOM_CHECK_INTERVAL, self.left.notified()).await;
        }
    }

    /// Adds a connection.
    pub(super) fn enter(self: &Rc<Self>, peer: Peer) -> Rc<Connection> {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let state = Rc::new(State::new(id, peer, self.clock.clone()));
        self.open.of(peer.group()).borrow_mut().insert(id, Rc::clone(&state));
        self.entered.notify_one();
        Rc::new(Connection { state, all: Rc::clone(self) })
    }

    /// Closes overdue connections for as long as it is polled.
    pub(in crate::metrics_ingest) async fn enforce_deadlines(self: Rc<Self>) {
        loop {
            while self.open.all().iter().all(|open| open.borrow().is_empty()) {
                self.entered.notified().await;
            }
            sleep(DEADLINE_CHECK_INTERVAL).await;
            let now = self.clock.monotonic();
            for open in self.open.all() {
                let is_crowded = open.borrow().len() > MAX_CONNECTIONS / 2;
                open.borrow_mut().retain(|_, state| {
                    let is_overdue = state.is_overdue(now, is_crowded);
                    if is_overdue {
                        state.abort();
                    }
                    !is_overdue
                });
            }
        }
    }

    /// Closes a connection that holds what `state` wants, if there is one that may be closed.
    fn evict_for(&self, state: &State, wanted: Resource) -> bool {
        let now = self.clock.monotonic();
        let holders = self.holders(state, wanted);
        let held = |peer| holders.iter().filter(|it| it.peer == peer).count();
        // A peer with two streams more than the one that wants one has taken more than its share,
        // and gets no grace.
        let is_greedy =
            |it: &State| wanted == Resource::Stream && held(it.peer) > held(state.peer) + 1;
        let grace = |it: &State| if is_greedy(it) { Duration::ZERO } else { it.grace(wanted) };
        let candidates: Vec<_> =
            holders.iter().map(|it| it.candidate(wanted, now, grace(it))).collect();
        self.evict(&candidates, wanted)
    }

    /// Returns the other connections that hold what `state` wants.
    fn holders(&self, state: &State, wanted: Resource) -> Vec<Rc<State>> {
        let own = [self.open.of(state.peer.group())];
        let all = self.open.all();
        let groups = match wanted {
            // Bodies of all groups share their memory.
            Resource::LargeBody => &all[..],
            Resource::Connection | Resource::LongAnswer | Resource::Stream => &own[..],
        };
        let is_holder = |it: &Rc<State>| it.id != state.id && it.is_holding(wanted);
        let holders = |open: &RefCell<Open>| -> Vec<_> {
            open.borrow().values().filter(|it| is_holder(it)).cloned().collect()
        };
        groups.iter().flat_map(|open| holders(open)).collect()
    }

    /// Closes one of the candidates, if there is one that may be closed.
    fn evict(&self, candidates: &[Candidate], wanted: Resource) -> bool {
        let Some(chosen) = choose(candidates) else { return false };
        self.warn(candidates, chosen, wanted);
        let state = self.open.of(chosen.peer.group()).borrow_mut().remove(&chosen.id);
        if let Some(state) = state {
            state.abort();
        }
        true
    }

    fn warn(&self, candidates: &[Candidate], chosen: Candidate, wanted: Resource) {
        let now = self.clock.monotonic();
        let is_due = |last: Monotonic| now.saturating_since(last) >= WARNING_GAP;
        if self.warned.get().is_none_or(is_due) {
            self.warned.set(Some(now));
            let held = candidates.iter().filter(|it| it.peer == chosen.peer).count();
            let detail =
                format!("{} held {held} of {} {}", chosen.peer, candidates.len(), wanted.as_str());
            warn!(detail, "connection was closed to make room");
        }
    }
}

/// Makes the next answer of a busy connection its last; `false` when there is none left.
fn close_a_busy_one(open: &Open) -> bool {
    // The answer of a stream does not end.
    let may_close =
        |it: &State| it.is_busy() && !it.is_closing() && !it.is_holding(Resource::Stream);
    let candidate = |it: &Rc<State>| Candidate {
        id: it.id,
        peer: it.peer,
        waited: may_close(it).then_some(Duration::ZERO),
    };
    let candidates: Vec<_> = open.values().map(candidate).collect();
    let chosen = choose(&candidates).and_then(|chosen| open.get(&chosen.id));
    chosen.inspect(|state| state.close_after_answer()).is_some()
}
