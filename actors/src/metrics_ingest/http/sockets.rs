//! The sockets that the routes are served on.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use tokio::net::{TcpSocket, UnixStream};
use tokio::time::timeout;

use super::{REQUEST_TIMEOUT, Service, routes};
use crate::metrics_ingest::listen::{Bound, Listen};

/// Time that an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Time for a client to close its side.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections at one time; more wait in the backlog.
const MAX_CONNECTIONS: usize = 256;
/// Connections that the system may hold for us.
const BACKLOG: u32 = 256;

/// Marks the connections that came over a unix socket.
pub(super) struct OverUnix;

/// A socket that listens.
pub(in crate::metrics_ingest) enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

impl Socket {
    /// Returns where it listens.
    pub(in crate::metrics_ingest) fn bound(&self) -> Option<Bound> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok().map(Bound::Tcp),
            Self::Unix(_, file) => Some(Bound::Unix(file.0.clone())),
        }
    }
}

/// The file of a unix socket; removed when dropped.
pub(in crate::metrics_ingest) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // One that stays is replaced by the next agent.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What came of one place to listen at.
#[derive(Default)]
pub(in crate::metrics_ingest) struct Opening {
    /// The sockets that listen, each by the place at which it alone would be opened again.
    pub(in crate::metrics_ingest) opened: Vec<(Listen, Socket)>,
    /// What is to be tried again, and why. Either family of localhost stands for itself, so that
    /// who holds the one does not close the other.
    pub(in crate::metrics_ingest) failed: Vec<(Listen, io::Error)>,
}

/// Opens every socket of `listen`. Of the two families of localhost the system may lack one.
pub(in crate::metrics_ingest) async fn bind(listen: &Listen) -> Opening {
    match listen {
        Listen::Unix(path) => opening(listen.clone(), bind_unix(path).await),
        Listen::Tcp(address) => opening(listen.clone(), bind_tcp(*address)),
        Listen::Localhost(_) => {
            let families = listen.addresses().into_iter();
            localhost(listen, families.map(|address| (address, bind_tcp(address))).collect())
        }
    }
}

fn opening(place: Listen, result: io::Result<Socket>) -> Opening {
    let mut opening = Opening::default();
    match result {
        Ok(socket) => opening.opened.push((place, socket)),
        Err(error) => opening.failed.push((place, error)),
    }
    opening
}

fn localhost(listen: &Listen, families: Vec<(SocketAddr, io::Result<Socket>)>) -> Opening {
    let (mut opening, mut missing) = (Opening::default(), Vec::new());
    for (address, result) in families {
        match result {
            Ok(socket) => opening.opened.push((Listen::Tcp(address), socket)),
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
    socket.listen(BACKLOG)?.into_std().map(Socket::Tcp)
}

async fn bind_unix(path: &Path) -> io::Result<Socket> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket && !is_answered(path).await {
        std::fs::remove_file(path)?;
    }
    let socket = std::os::unix::net::UnixListener::bind(path)?;
    Ok(Socket::Unix(socket, SocketFile(path.to_owned())))
}

/// Returns whether another process listens at a unix socket.
async fn is_answered(path: &Path) -> bool {
    match timeout(DISCONNECT_TIMEOUT, UnixStream::connect(path)).await {
        Ok(Err(error)) => error.kind() != io::ErrorKind::ConnectionRefused,
        Ok(Ok(_)) | Err(_) => true,
    }
}

/// Returns a server on `sockets`, to be polled for as long as it shall serve. Dropping it closes
/// them. It runs on a thread of its own, so that a slow client delays no actor.
///
/// # Errors
/// A socket cannot be served.
pub(in crate::metrics_ingest) fn serve(
    sockets: Vec<Socket>,
    service: &web::Data<Service>,
) -> io::Result<(Server, Vec<SocketFile>)> {
    let service = service.clone();
    let mut files = Vec::new();
    let mut server =
        HttpServer::new(move || App::new().app_data(service.clone()).configure(routes))
            .workers(1)
            .max_connections(MAX_CONNECTIONS)
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(REQUEST_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .shutdown_timeout(DISCONNECT_TIMEOUT.as_secs())
            .on_connect(|connection, data| {
                if connection.is::<UnixStream>() {
                    data.insert(OverUnix);
                }
            })
            .disable_signals();
    for socket in sockets {
        server = match socket {
            Socket::Tcp(socket) => server.listen(socket)?,
            Socket::Unix(socket, file) => {
                files.push(file);
                server.listen_uds(socket)?
            }
        };
    }
    Ok((server.run(), files))
}
