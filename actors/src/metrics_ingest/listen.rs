//! Where the listener listens: the setting, and what is open now.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// One place to listen at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listen {
    /// `localhost:8080`: both loopback families, of which the system may lack one.
    Localhost(u16),
    /// `127.0.0.1:8080`, `[::1]:8080`.
    Tcp(SocketAddr),
    /// `unix:/path`. The folder and the agent's umask decide who may connect.
    Unix(PathBuf),
}

impl Default for Listen {
    /// Returns `localhost:8080`, the address that senders of metrics have always used.
    fn default() -> Self {
        Self::Localhost(8080)
    }
}

impl Listen {
    /// Returns whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Localhost(_) | Self::Unix(_) => true,
        }
    }

    /// Returns its TCP addresses; none for a unix socket.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Localhost(port) => vec![
                SocketAddr::from((Ipv4Addr::LOCALHOST, *port)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, *port)),
            ],
            Self::Tcp(address) => vec![*address],
            Self::Unix(_) => Vec::new(),
        }
    }

    /// Returns whether `place` is one of the sockets that it asks for.
    pub(super) fn includes(&self, place: &Bound) -> bool {
        match (self, place) {
            (Self::Unix(path), Bound::Unix(other)) => path == other,
            (_, Bound::Tcp(address)) => self.addresses().contains(address),
            _ => false,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A text is no place to listen at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is none of localhost:8080, 127.0.0.1:8080, [::1]:8080, unix:/path")]
pub struct InvalidListen {
    text: String,
}

impl FromStr for Listen {
    type Err = InvalidListen;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidListen { text: text.to_owned() };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return path.is_absolute().then_some(Self::Unix(path)).ok_or_else(invalid);
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            return port.parse().map(Self::Localhost).map_err(|_| invalid());
        }
        text.parse().map(Self::Tcp).map_err(|_| invalid())
    }
}

/// Where the listener listens now; the kernel has chosen the port if 0 was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Names that container engines give the host of their containers. No public name can be one of them:
/// `internal` is reserved for private use.
const HOST_OF_CONTAINERS: [&str; 2] = ["host.containers.internal", "host.docker.internal"];

/// What clients may call the listener, besides `localhost` and the loopback addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnHosts {
    addresses: Vec<IpAddr>,
    names: Vec<String>,
}

impl OwnHosts {
    /// Returns the addresses of `listens`, what the setting allows, and the names that containers know,
    /// if the listener is open to more than this machine.
    pub(super) fn new(listens: &[Listen], allowed: &[String]) -> Self {
        let addresses = listens.iter().flat_map(Listen::addresses).map(|address| address.ip());
        let mut own = Self { addresses: addresses.collect(), names: Vec::new() };
        if listens.iter().any(|listen| !listen.is_local()) {
            own.names.extend(HOST_OF_CONTAINERS.map(str::to_owned));
        }
        for host in allowed {
            match host.parse() {
                Ok(address) => own.addresses.push(address),
                Err(_) => own.names.push(host.clone()),
            }
        }
        own
    }

    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        // A listener on the unspecified address has every address, and addresses cannot be rebound.
        self.addresses.iter().any(|own| own.is_unspecified() || *own == address)
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests;
