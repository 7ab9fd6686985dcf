//! Which of many connections is closed when there is no room for another. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::metrics_ingest::sockets::Peer;

/// A connection that holds what another one wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) id: u64,
    pub(super) peer: Peer,
    /// How long its client has kept the agent waiting. `None`: it must not be closed.
    pub(super) waited: Option<Duration>,
}

/// Returns the connection to close: of the user, and then of the process or machine, that holds the
/// most, the one whose client has kept the agent waiting longest. One that holds less than its fair
/// share is never closed, even when nothing of the others may be.
pub(super) fn choose(candidates: &[Candidate]) -> Option<Candidate> {
    let shares = Shares::of(candidates);
    let closable =
        candidates.iter().filter(|it| it.waited.is_some() && shares.has_its_share(it.peer));
    // Of two equal ones, the older.
    closable.max_by_key(|it| (shares.held(it.peer), it.waited, Reverse(it.id))).copied()
}

/// How many connections each user holds, and each of the user's processes or machines. Connections
/// that must not be closed count, too: they are what makes a peer the largest.
#[derive(Default)]
struct Shares {
    total: usize,
    users: BTreeMap<Peer, User>,
}

#[derive(Default)]
struct User {
    total: usize,
    peers: BTreeMap<Peer, usize>,
}

impl Shares {
    fn of(candidates: &[Candidate]) -> Self {
        let mut shares = Self::default();
        // Nearly always all peers are programs on this device, which cannot be told apart.
        if candidates.iter().any(|candidate| candidate.peer != Peer::Loopback) {
            for Candidate { peer, .. } in candidates {
                shares.total += 1;
                let user = shares.users.entry(peer.user()).or_default();
                user.total += 1;
                *user.peers.entry(*peer).or_default() += 1;
            }
        }
        shares
    }

    /// Returns how many its user holds, and how many it holds itself.
    fn held(&self, peer: Peer) -> (usize, usize) {
        let user = self.users.get(&peer.user());
        user.map_or((0, 0), |user| (user.total, user.peers.get(&peer).copied().unwrap_or(0)))
    }

    /// Returns whether it holds at least what it would if all users, and all of its user's
    /// processes, held the same. Rounded down: some always do.
    fn has_its_share(&self, peer: Peer) -> bool {
        let Some(user) = self.users.get(&peer.user()) else { return true };
        let (of_user, of_peer) = self.held(peer);
        of_user >= self.total / self.users.len() && of_peer >= user.total / user.peers.len()
    }
}

#[cfg(test)]
mod tests;
