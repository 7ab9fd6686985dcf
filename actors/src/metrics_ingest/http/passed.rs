//! Sockets that a service manager opened before the agent started, and keeps open when it ends.

use std::io;
use std::net;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net as unix;

use rustix::io::ioctl_fionbio;
use rustix::net::sockopt::socket_acceptconn;

use crate::metrics_ingest::listen::{Bound, Listen};

/// A socket that a service manager passed to this process; see systemd.socket(5).
#[derive(Debug)]
pub enum PassedSocket {
    /// Of a `ListenStream=` with an address.
    Tcp(net::TcpListener),
    /// Of a `ListenStream=` with a path.
    Unix(unix::UnixListener),
}

impl PassedSocket {
    /// Returns where it listens, once it is as a listener needs it.
    fn place(&self) -> io::Result<Bound> {
        let unfit = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
        let socket = self.as_fd();
        if !socket_acceptconn(socket)? {
            return Err(unfit("it does not listen: the socket unit must say Accept=no"));
        }
        ioctl_fionbio(socket, true)?;
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Bound::Tcp),
            Self::Unix(socket) => {
                let address = socket.local_addr()?;
                let path = address.as_pathname().ok_or_else(|| unfit("its name is not a path"))?;
                Ok(Bound::Unix(path.to_owned()))
            }
        }
    }

    /// Returns a descriptor of its own for the same socket, for the time of one listener.
    fn again(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
        }
    }
}

impl AsFd for PassedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

/// All sockets that were passed, by where they listen. They stay open for as long as the agent runs, so
/// that a listener that is restarted finds them again.
#[derive(Debug, Default)]
pub struct PassedSockets(Vec<(Bound, PassedSocket)>);

impl PassedSockets {
    /// Adds a socket.
    ///
    /// # Errors
    /// It does not listen, or its place cannot be told.
    pub fn add(&mut self, socket: PassedSocket) -> io::Result<()> {
        let place = socket.place()?;
        self.0.push((place, socket));
        Ok(())
    }

    /// Gives up those that `listens` do not name, and returns where they listened.
    #[must_use]
    pub fn keep_only(&mut self, listens: &[Listen]) -> Vec<Bound> {
        let named = |place: &Bound| listens.iter().any(|listen| listen.stands_for(place));
        let unnamed = self.0.extract_if(.., |(place, _)| !named(place));
        unnamed.map(|(place, _)| place).collect()
    }

    /// Returns the socket that listens at `place`, if it was passed.
    ///
    /// # Errors
    /// As dup(2) says.
    pub(super) fn get(&self, place: &Bound) -> io::Result<Option<PassedSocket>> {
        let found = self.0.iter().find(|(known, _)| known == place);
        found.map(|(_, socket)| socket.again()).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp() -> (PassedSocket, net::SocketAddr) {
        let socket = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        (PassedSocket::Tcp(socket), address)
    }

    #[test]
    fn a_socket_is_found_by_each_way_to_write_its_address() {
        let (socket, address) = tcp();
        let mut passed = PassedSockets::default();
        passed.add(socket).unwrap();
        for listen in [Listen::Localhost(address.port()), Listen::Tcp(address)] {
            assert_eq!(passed.keep_only(&[listen]), []);
        }
        assert!(passed.get(&Bound::Tcp(address)).unwrap().is_some());
        assert!(passed.get(&Bound::Unix("/run/a".into())).unwrap().is_none());
    }

    #[test]
    fn a_socket_that_no_setting_names_is_closed() {
        let (socket, address) = tcp();
        let mut passed = PassedSockets::default();
        passed.add(socket).unwrap();
        let elsewhere = [Listen::Localhost(address.port() ^ 1), Listen::Unix("/run/a".into())];
        assert_eq!(passed.keep_only(&elsewhere), [Bound::Tcp(address)]);
        assert!(net::TcpStream::connect(address).is_err());
    }

    #[test]
    fn a_connection_is_no_place_to_listen_at() {
        let (socket, address) = tcp();
        let stream = net::TcpStream::connect(address).unwrap();
        let connection = net::TcpListener::from(std::os::fd::OwnedFd::from(stream));
        let error = PassedSockets::default().add(PassedSocket::Tcp(connection)).unwrap_err();
        assert!(error.to_string().contains("Accept=no"), "{error}");
        drop(socket);
    }

    #[test]
    fn a_socket_without_a_path_is_refused() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("passed-{}", std::process::id());
        let address = unix::SocketAddr::from_abstract_name(name).unwrap();
        let socket = unix::UnixListener::bind_addr(&address).unwrap();
        let error = PassedSockets::default().add(PassedSocket::Unix(socket)).unwrap_err();
        assert!(error.to_string().contains("path"), "{error}");
    }
}
