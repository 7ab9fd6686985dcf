//! The sockets that the routes are served on.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_util::either::Either;

use super::client::Client;
use super::passed::{PassedSocket, PassedSockets};
use super::peer::Peer;
use crate::metrics_ingest::listen::{Bound, Listen};
use crate::path_trust::{self, End};

/// Time for another process to accept a connection at its unix socket.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections that the system may hold for us, if its own limit (net.core.somaxconn) is no lower.
/// Where they are too many for it, it turns each new one away for a second.
const BACKLOG: u32 = 4096;

/// What is read from and written to.
pub(super) type Stream = Either<TcpStream, UnixStream>;

/// A socket that listens.
pub(in crate::metrics_ingest) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Socket {
    /// Returns where it listens.
    pub(in crate::metrics_ingest) fn bound(&self) -> Option<Bound> {
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
                // An answer goes out whole, so nothing is won by waiting for more of it.
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

/// A connection that knows when its client takes nothing of what is written to it.
pub(super) struct Connection {
    stream: Stream,
    client: Rc<Client>,
}

impl Connection {
    pub(super) fn new(stream: Stream, client: Rc<Client>) -> Self {
        Self { stream, client }
    }

    pub(super) fn client(&self) -> &Rc<Client> {
        &self.client
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(task, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(task, bytes);
        self.client.takes(written.is_ready());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

/// The file of a unix socket; removed when dropped, if the agent has made it.
pub(in crate::metrics_ingest) struct SocketFile {
    path: PathBuf,
    is_own: bool,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_own {
            // One that stays is replaced by the next agent.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// What came of one place to listen at.
#[derive(Default)]
pub(in crate::metrics_ingest) struct Opening {
    /// The sockets that listen.
    pub(in crate::metrics_ingest) opened: Vec<Socket>,
    /// What is to be tried again, and why. Either family of localhost stands for itself, so that
    /// who holds the one does not close the other.
    pub(in crate::metrics_ingest) failed: Vec<(Listen, io::Error)>,
}

/// Opens every socket of `listen`, but for those that were passed: these are open already. Of the two
/// families of localhost the system may lack one.
pub(in crate::metrics_ingest) async fn bind(listen: &Listen, passed: &PassedSockets) -> Opening {
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
        // Its file belongs to who made it.
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
        // Neither is there yet: the loopback interface may still come up.
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
    // Else a restart would wait for the last connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG).map(Socket::Tcp)
}

async fn bind_unix(path: &Path) -> io::Result<Socket> {
    // Who can replace the folder could have a socket of others removed, or one made there.
    path_trust::walk(path.parent().unwrap_or(path), End::Shared)?;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket && !is_answered(path).await {
        std::fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    Ok(Socket::Unix(socket, SocketFile { path: path.to_owned(), is_own: true }))
}

/// Returns whether another process listens at a unix socket.
async fn is_answered(path: &Path) -> bool {
    match timeout(ANSWER_TIMEOUT, UnixStream::connect(path)).await {
        Ok(Err(error)) => error.kind() != io::ErrorKind::ConnectionRefused,
        Ok(Ok(_)) | Err(_) => true,
    }
}
