//! The sockets that the listener accepts connections at: opened by the agent, or passed to it.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_util::either::Either;

pub use self::passed::{PassedSocket, PassedSockets};
pub(super) use self::peer::{Group, Peer, PerGroup};
use super::listen::{Bound, Listen};
use crate::path_trust::{self, End};

mod passed;
mod peer;

/// Time for another process to accept a connection at its unix socket.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Length of the kernel's queue of connections that are not accepted yet, capped by
/// net.core.somaxconn. When it is full, the kernel drops new TCP connections; clients retry those a
/// second later.
const BACKLOG: u32 = 4096;

/// A connection's bytes.
pub(super) type Stream = Either<TcpStream, UnixStream>;

/// A listening socket.
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Socket {
    /// Returns where it listens.
    pub(super) fn bound(&self) -> Option<Bound> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok().map(Bound::Tcp),
            Self::Unix(_, file) => Some(Bound::Unix(file.path.clone())),
        }
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// As accept(2) says.
    pub(super) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                // An answer is written as a whole, so waiting for more to send only delays it.
                stream.set_nodelay(true)?;
                Ok((Either::Left(stream), peer.ip().into()))
            }
            Self::Unix(socket, _) => {
                let stream = socket.accept().await?.0;
                let other = stream.peer_cred()?;
                let (user, process) = (other.uid(), other.pid().unwrap_or_default());
                Ok((Either::Right(stream), Peer::Process { user, process }))
            }
        }
    }
}

/// The file of a unix socket; removed when dropped, if the agent created it.
pub(super) struct SocketFile {
    path: PathBuf,
    is_own: bool,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_own {
            // The next agent replaces one that is left behind.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The outcome of opening one place to listen at.
#[derive(Default)]
pub(super) struct Opening {
    pub(super) opened: Vec<Socket>,
    /// What is to be tried again, and why. The two families of localhost count separately, so that a
    /// program which holds one of them does not close the other.
    pub(super) failed: Vec<(Listen, io::Error)>,
}

/// Opens every socket of `listen`, except those that were passed and so are open already. The system
/// may lack one of the two families of localhost.
pub(super) async fn open(listen: &Listen, passed: &PassedSockets) -> Opening {
    match listen {
        Listen::Unix(path) => opening(listen.clone(), unix(path, passed).await),
        Listen::Tcp(address) => opening(listen.clone(), tcp(*address, passed)),
        Listen::Localhost(_) => {
            let families = listen.addresses().into_iter();
            localhost(listen, families.map(|address| (address, tcp(address, passed))).collect())
        }
    }
}

fn tcp(address: SocketAddr, passed: &PassedSockets) -> io::Result<Socket> {
    match passed.get(&Bound::Tcp(address))? {
        Some(PassedSocket::Tcp(socket)) => TcpListener::from_std(socket).map(Socket::Tcp),
        Some(PassedSocket::Unix(_)) | None => bind_tcp(address),
    }
}

async fn unix(path: &Path, passed: &PassedSockets) -> io::Result<Socket> {
    match passed.get(&Bound::Unix(path.to_owned()))? {
        // Whoever created its file removes it.
        Some(PassedSocket::Unix(socket)) => {
            let file = SocketFile { path: path.to_owned(), is_own: false };
            Ok(Socket::Unix(UnixListener::from_std(socket)?, file))
        }
        Some(PassedSocket::Tcp(_)) | None => bind_unix(path).await,
    }
}

fn opening(place: Listen, result: io::Result<Socket>) -> Opening {
    let mut opening = Opening::default();
    match result {
        Ok(socket) => opening.opened.push(socket),
        Err(error) => opening.failed.push((place, error)),
    }
    opening
}

fn localhost(listen: &Listen, families: Vec<(SocketAddr, io::Result<Socket>)>) -> Opening {
    let (mut opening, mut missing) = (Opening::default(), Vec::new());
    for (address, result) in families {
        match result {
            Ok(socket) => opening.opened.push(socket),
            Err(error) if is_missing_family(&error) => missing.push((address, error)),
            Err(error) => opening.failed.push((Listen::Tcp(address), error)),
        }
    }
    if opening.opened.is_empty() && opening.failed.is_empty() {
        // Both are missing, so the loopback interface is not up yet.
        let last = missing.pop().map(|(_, error)| (listen.clone(), error));
        opening.failed.extend(last);
        return opening;
    }
    for (address, error) in missing {
        tracing::info!(%address, %error, "address family was missing");
    }
    opening
}

fn is_missing_family(error: &io::Error) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(unsupported)
}

fn bind_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Without it, a restart would wait for the TIME_WAIT of the last connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG).map(Socket::Tcp)
}

async fn bind_unix(path: &Path) -> io::Result<Socket> {
    // Whoever can replace the folder could have the agent remove or create a socket elsewhere.
    path_trust::walk(path.parent().unwrap_or(path), End::Shared)?;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket && !is_in_use(path).await {
        std::fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    Ok(Socket::Unix(socket, SocketFile { path: path.to_owned(), is_own: true }))
}

/// Returns whether another process listens at a unix socket; one that was left behind refuses.
async fn is_in_use(path: &Path) -> bool {
    match timeout(PROBE_TIMEOUT, UnixStream::connect(path)).await {
        Ok(Err(error)) => error.kind() != io::ErrorKind::ConnectionRefused,
        Ok(Ok(_)) | Err(_) => true,
    }
}
