//! Which program is at the other end of a connection.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The other end of a connection, as far as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::metrics_ingest) enum Peer {
    /// A process at a unix socket.
    Process { user: u32, process: i32 },
    /// A program on this device, over TCP. One cannot be distinguished from another.
    Loopback,
    /// Another machine. An IPv6 address is cut to its first 64 bits: one machine may use all that
    /// begin so.
    Remote(IpAddr),
}

/// Peers that share limits. No load from one group takes anything from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::metrics_ingest) enum Group {
    Unix,
    Loopback,
    Network,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        // A dual-stack socket reports IPv4 peers as mapped addresses.
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
    pub(in crate::metrics_ingest) fn group(self) -> Group {
        match self {
            Self::Process { .. } => Group::Unix,
            Self::Loopback => Group::Loopback,
            Self::Remote(_) => Group::Network,
        }
    }

    /// Returns one value for all processes of a user, so that a user gains nothing by having many.
    pub(in crate::metrics_ingest) fn user(self) -> Self {
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

/// One `T` for each group.
#[derive(Default)]
pub(in crate::metrics_ingest) struct PerGroup<T> {
    unix: T,
    loopback: T,
    network: T,
}

impl<T> PerGroup<T> {
    pub(in crate::metrics_ingest) fn of(&self, group: Group) -> &T {
        match group {
            Group::Unix => &self.unix,
            Group::Loopback => &self.loopback,
            Group::Network => &self.network,
        }
    }

    pub(in crate::metrics_ingest) fn all(&self) -> [&T; 3] {
        [&self.unix, &self.loopback, &self.network]
    }
}

#[cfg(test)]
mod tests;
