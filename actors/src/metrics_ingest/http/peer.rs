//! Who is at the other end of a connection, and which of many connections makes way for one more.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Who is at the other end of a connection, as far as that can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    /// A process at a unix socket.
    Process { user: u32, process: i32 },
    /// Some program of this device, over TCP. All of them look the same.
    Loopback,
    /// Another machine. Of IPv6 the first 64 bits count: one machine may use all that begin so.
    Remote(IpAddr),
}

/// Peers that share places. No attack by one group takes any from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Unix,
    Loopback,
    Network,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        // A socket for both families tells IPv4 addresses as mapped ones.
        match address.to_canonical() {
            address if address.is_loopback() => Self::Loopback,
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Self::Remote(Ipv6Addr::from_bits(network).into())
            }
            address @ IpAddr::V4(_) => Self::Remote(address),
        }
    }
}

impl Peer {
    pub(super) fn group(self) -> Group {
        match self {
            Self::Process { .. } => Group::Unix,
            Self::Loopback => Group::Loopback,
            Self::Remote(_) => Group::Network,
        }
    }

    /// Returns what all processes of this one's user count as: no user is more for having many.
    fn user(self) -> Self {
        match self {
            Self::Process { user, .. } => Self::Process { user, process: 0 },
            Self::Loopback | Self::Remote(_) => self,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { user, process } => write!(f, "process {process} of user {user}"),
            Self::Loopback => write!(f, "a program of this device"),
            Self::Remote(address @ IpAddr::V4(_)) => write!(f, "{address}"),
            Self::Remote(address @ IpAddr::V6(_)) => write!(f, "{address}/64"),
        }
    }
}

/// A connection that holds what another one wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rival {
    pub(super) id: u64,
    pub(super) peer: Peer,
    /// How long its client has let it wait. `None`: it must not be closed.
    pub(super) waits: Option<Duration>,
}

/// Returns the connection that makes way: of the user, and then of the process or machine, that
/// holds the most the one that has waited longest for its client.
pub(super) fn makes_way(rivals: &[Rival]) -> Option<Rival> {
    let mut counts: BTreeMap<Peer, usize> = BTreeMap::new();
    // Most are programs of this device, of which each is as good as another.
    if rivals.iter().any(|rival| rival.peer != Peer::Loopback) {
        for Rival { peer, .. } in rivals {
            *counts.entry(*peer).or_default() += 1;
            if peer.user() != *peer {
                *counts.entry(peer.user()).or_default() += 1;
            }
        }
    }
    let held = |peer: Peer| counts.get(&peer).copied();
    let waiting = rivals.iter().filter(|rival| rival.waits.is_some());
    // Of two that are alike the older one.
    waiting
        .max_by_key(|it| (held(it.peer.user()), held(it.peer), it.waits, Reverse(it.id)))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(address: &str) -> Peer {
        Peer::from(address.parse::<IpAddr>().unwrap())
    }

    fn process(user: u32, process: i32) -> Peer {
        Peer::Process { user, process }
    }

    /// Returns who makes way of connections whose ids are their places in the list.
    fn chosen(rivals: &[(Peer, Option<u64>)]) -> Option<u64> {
        let rival = |(id, (peer, waits)): (usize, &(Peer, Option<u64>))| Rival {
            id: id as u64,
            peer: *peer,
            waits: waits.map(Duration::from_secs),
        };
        let rivals: Vec<_> = rivals.iter().enumerate().map(rival).collect();
        makes_way(&rivals).map(|rival| rival.id)
    }

    #[test]
    fn the_one_that_has_waited_longest_makes_way_and_one_at_work_never() {
        let it = Peer::Loopback;
        assert_eq!(chosen(&[(it, Some(1)), (it, Some(3)), (it, Some(2)), (it, None)]), Some(1));
        assert_eq!(chosen(&[(it, None), (it, None)]), None);
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn a_machine_that_holds_the_most_makes_way_however_long_another_has_waited() {
        let (few, many) = (remote("192.0.2.1"), remote("192.0.2.2"));
        assert_eq!(chosen(&[(few, Some(9)), (many, Some(1)), (many, Some(2))]), Some(2));
        // What is at work counts, too.
        assert_eq!(chosen(&[(few, Some(9)), (many, Some(1)), (many, None)]), Some(1));
        // Nothing of it can be closed.
        assert_eq!(chosen(&[(few, Some(9)), (many, None), (many, None)]), Some(0));
    }

    #[test]
    fn many_processes_of_one_user_count_together_and_then_each_for_itself() {
        let rivals = [
            (process(1, 1), Some(9)),
            (process(1, 1), Some(9)),
            (process(2, 2), Some(8)),
            (process(2, 3), Some(1)),
            (process(2, 3), Some(2)),
        ];
        assert_eq!(chosen(&rivals), Some(4));
        assert_eq!(chosen(&rivals[..3]), Some(0), "two of one process are more than one");
    }

    #[test]
    fn an_address_is_known_however_it_is_written() {
        for (address, expected) in [
            ("127.0.0.1", Peer::Loopback),
            ("127.9.9.9", Peer::Loopback),
            ("::1", Peer::Loopback),
            ("::ffff:127.0.0.1", Peer::Loopback),
            ("::ffff:192.0.2.1", remote("192.0.2.1")),
            ("2001:db8:0:1::1", remote("2001:db8:0:1:ffff::2")),
        ] {
            assert_eq!(remote(address), expected, "{address}");
        }
        assert_ne!(remote("2001:db8:0:1::1"), remote("2001:db8:0:2::1"));
        assert_ne!(remote("192.0.2.1"), remote("192.0.2.2"));
        let groups = [process(0, 1), Peer::Loopback, remote("192.0.2.1")].map(Peer::group);
        assert_eq!(groups, [Group::Unix, Group::Loopback, Group::Network]);
        assert_eq!(remote("2001:db8::1").to_string(), "2001:db8::/64");
    }
}
