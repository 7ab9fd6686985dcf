//! Sockets that a service manager opened before the agent started, and keeps open after it exits.

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
    /// From a `ListenStream=` with an address.
    Tcp(net::TcpListener),
    /// From a `ListenStream=` with a path.
    Unix(unix::UnixListener),
}

impl PassedSocket {
    /// Makes it fit for the listener and returns where it listens.
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

    /// Returns another descriptor of the same socket, which one listener may close.
    fn duplicate(&self) -> io::Result<Self> {
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

/// All passed sockets, by where they listen. They stay open for as long as the agent runs, so that a
/// restarted listener finds them again.
#[derive(Debug, Default)]
pub struct PassedSockets(Vec<(Bound, PassedSocket)>);

impl PassedSockets {
    /// Adds a socket.
    ///
    /// # Errors
    /// It does not listen, or its address cannot be read.
    pub fn add(&mut self, socket: PassedSocket) -> io::Result<()> {
        let place = socket.place()?;
        self.0.push((place, socket));
        Ok(())
    }

    /// Closes those that `listens` do not name, and returns where they listened.
    #[must_use]
    pub fn keep_only(&mut self, listens: &[Listen]) -> Vec<Bound> {
        let named = |place: &Bound| listens.iter().any(|listen| listen.includes(place));
        let unnamed = self.0.extract_if(.., |(place, _)| !named(place));
        unnamed.map(|(place, _)| place).collect()
    }

    /// Returns the socket that listens at `place`, if it was passed.
    ///
    /// # Errors
    /// As dup(2) says.
    pub(super) fn get(&self, place: &Bound) -> io::Result<Option<PassedSocket>> {
        let found = self.0.iter().find(|(known, _)| known == place);
        found.map(|(_, socket)| socket.duplicate()).transpose()
    }
}

#[cfg(test)]
mod tests;
