//! All connections of the listener, and how one makes way for another.
//!
//! A client that lets others wait is closed in their favour: whoever sends a whole request at once
//! gets an answer, however many connections others hold. Nothing here is woken while there is none.

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::client::{Client, Scarce};
use super::peer::{Group, Peer, Rival, makes_way};
use super::stream::MAX_STREAMS;
use crate::clock::{Clock, Monotonic};

/// Connections of one group of peers at one time. More make way for each other, or wait.
pub(super) const MAX_CONNECTIONS: usize = 256;
/// Connections beyond them that take the place of one which goes with its next answer.
const MAX_LEAVING: usize = MAX_CONNECTIONS / 4;
/// Longest wait until it is looked again for room.
const ROOM_LOOK: Duration = Duration::from_millis(10);
/// Between two looks at what takes too long, while there are connections.
const LOOK: Duration = Duration::from_secs(1);
/// At the most one warning in this time says that connections made way.
const WARNING_GAP: Duration = Duration::from_secs(60);

/// The connections of one group, by the order of their arrival.
type Open = BTreeMap<u64, Rc<Client>>;

/// All connections of the listener.
pub(in crate::metrics_ingest) struct Clients {
    clock: Clock,
    next: Cell<u64>,
    unix: RefCell<Open>,
    loopback: RefCell<Open>,
    network: RefCell<Open>,
    /// There is one.
    entered: Notify,
    /// There is one less.
    left: Notify,
    warned: Cell<Option<Monotonic>>,
}

/// A place among the connections; given back when dropped.
pub(super) struct Seat {
    pub(super) client: Rc<Client>,
    clients: Rc<Clients>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.clients.open(self.client.peer.group()).borrow_mut().remove(&self.client.id);
        self.clients.left.notify_one();
    }
}

impl Clients {
    pub(in crate::metrics_ingest) fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            clock,
            next: Cell::default(),
            unix: RefCell::default(),
            loopback: RefCell::default(),
            network: RefCell::default(),
            entered: Notify::new(),
            left: Notify::new(),
            warned: Cell::default(),
        })
    }

    /// Waits until there is room for a connection of `peer`. One that waits for its client makes way at
    /// once, one that is at work does so with its answer.
    pub(super) async fn room_for(&self, peer: Peer) {
        let open = self.open(peer.group());
        loop {
            let leaving = open.borrow().values().filter(|it| it.is_leaving()).count();
            if open.borrow().len() - leaving < MAX_CONNECTIONS {
                return;
            }
            let now = self.now();
            let rival = |it: &Rc<Client>| it.rival(Scarce::Place, now, it.grace(Scarce::Place));
            let rivals: Vec<_> = open.borrow().values().map(rival).collect();
            if self.displace(&rivals, Scarce::Place) {
                // So that what came before has its turn to read a head.
                return yield_now().await;
            }
            if leaving < MAX_LEAVING && dismiss(open.borrow()) {
                return;
            }
            let _ = timeout(ROOM_LOOK, self.left.notified()).await;
        }
    }

    /// Gives a connection its place.
    pub(super) fn enter(self: &Rc<Self>, peer: Peer) -> Seat {
        let id = self.next.get();
        self.next.set(id + 1);
        let client = Rc::new(Client::new(id, peer, Rc::clone(self)));
        self.open(peer.group()).borrow_mut().insert(id, Rc::clone(&client));
        self.entered.notify_one();
        Seat { client, clients: Rc::clone(self) }
    }

    /// Closes what takes too long, for as long as it is polled.
    pub(in crate::metrics_ingest) async fn look_after(self: Rc<Self>) {
        let groups = [&self.unix, &self.loopback, &self.network];
        loop {
            while groups.iter().all(|open| open.borrow().is_empty()) {
                self.entered.notified().await;
            }
            sleep(LOOK).await;
            for open in groups {
                let is_crowded = open.borrow().len() > MAX_CONNECTIONS / 2;
                let now = self.now();
                open.borrow_mut().retain(|_, client| {
                    let is_overdue = client.is_overdue(now, is_crowded);
                    if is_overdue {
                        client.close();
                    }
                    !is_overdue
                });
            }
        }
    }

    /// Returns whether a stream is free for `client`, or has become so.
    pub(super) fn has_stream_for(&self, client: &Client) -> bool {
        self.rivals(client, Scarce::Stream).len() < MAX_STREAMS
            || self.displace_for(client, Scarce::Stream)
    }

    /// Closes a connection that holds what `client` wants, if one should make way.
    pub(super) fn displace_for(&self, client: &Client, wanted: Scarce) -> bool {
        let now = self.now();
        let rivals = self.rivals(client, wanted);
        let held = |peer| rivals.iter().filter(|it| it.peer == peer).count();
        // Who has two streams more than the one who wants one has taken its share.
        let is_greedy =
            |it: &Client| wanted == Scarce::Stream && held(it.peer) > held(client.peer) + 1;
        let grace = |it: &Client| if is_greedy(it) { Duration::ZERO } else { it.grace(wanted) };
        let rivals: Vec<_> = rivals.iter().map(|it| it.rival(wanted, now, grace(it))).collect();
        self.displace(&rivals, wanted)
    }

    /// Returns the connections that hold what `client` wants.
    fn rivals(&self, client: &Client, wanted: Scarce) -> Vec<Rc<Client>> {
        let own = self.open(client.peer.group());
        let is_rival = |it: &&Rc<Client>| it.id != client.id && it.is_holding(wanted);
        match wanted {
            // All bodies share their memory.
            Scarce::Body => [&self.unix, &self.loopback, &self.network]
                .iter()
                .flat_map(|open| {
                    open.borrow().values().filter(is_rival).cloned().collect::<Vec<_>>()
                })
                .collect(),
            Scarce::Place | Scarce::Answer | Scarce::Stream => {
                own.borrow().values().filter(is_rival).cloned().collect()
            }
        }
    }

    /// Closes the one that makes way, if there is one.
    fn displace(&self, rivals: &[Rival], wanted: Scarce) -> bool {
        let Some(rival) = makes_way(rivals) else { return false };
        self.warn(rivals, rival, wanted);
        let client = self.open(rival.peer.group()).borrow_mut().remove(&rival.id);
        if let Some(client) = client {
            client.close();
        }
        true
    }

    fn warn(&self, rivals: &[Rival], rival: Rival, wanted: Scarce) {
        let now = self.now();
        let is_due = |last: Monotonic| now.saturating_since(last) >= WARNING_GAP;
        if self.warned.get().is_none_or(is_due) {
            self.warned.set(Some(now));
            let held = rivals.iter().filter(|it| it.peer == rival.peer).count();
            let detail =
                format!("{} held {held} of {} {}", rival.peer, rivals.len(), wanted.as_str());
            warn!(detail, "connection was closed to make room");
        }
    }

    pub(super) fn now(&self) -> Monotonic {
        self.clock.monotonic()
    }

    fn open(&self, group: Group) -> &RefCell<Open> {
        match group {
            Group::Unix => &self.unix,
            Group::Loopback => &self.loopback,
            Group::Network => &self.network,
        }
    }
}

/// Lets the next answer of one that is at work be its last; `false` when none is left.
fn dismiss(open: Ref<'_, Open>) -> bool {
    // A stream has no last answer.
    let goes = |it: &Client| it.is_at_work() && !it.is_leaving() && !it.is_holding(Scarce::Stream);
    let rival = |it: &Rc<Client>| Rival {
        id: it.id,
        peer: it.peer,
        waits: goes(it).then_some(Duration::ZERO),
    };
    let rivals: Vec<_> = open.values().map(rival).collect();
    let leaving = makes_way(&rivals).and_then(|rival| open.get(&rival.id));
    leaving.inspect(|client| client.dismiss()).is_some()
}
