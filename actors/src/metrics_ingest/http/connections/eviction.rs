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
/// most, the one whose client has kept the agent waiting longest.
pub(super) fn choose(candidates: &[Candidate]) -> Option<Candidate> {
    let mut counts: BTreeMap<Peer, usize> = BTreeMap::new();
    // Nearly always all peers are programs on this device, of which each counts the same.
    if candidates.iter().any(|candidate| candidate.peer != Peer::Loopback) {
        // Connections that must not be closed count, too: they are what makes a peer the largest.
        for Candidate { peer, .. } in candidates {
            *counts.entry(*peer).or_default() += 1;
            if peer.user() != *peer {
                *counts.entry(peer.user()).or_default() += 1;
            }
        }
    }
    let held = |peer: Peer| counts.get(&peer).copied();
    let closable = candidates.iter().filter(|candidate| candidate.waited.is_some());
    // Of two equal ones, the older.
    closable
        .max_by_key(|it| (held(it.peer.user()), held(it.peer), it.waited, Reverse(it.id)))
        .copied()
}

#[cfg(test)]
mod tests;
