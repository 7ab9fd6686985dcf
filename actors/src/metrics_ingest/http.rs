//! The HTTP server: accepts connections and serves the routes over them, on the thread of the actors,
//! so that a post reaches the evaluator without waking another thread.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::{HttpService, Request};
use actix_service::{Service as _, ServiceFactory as _};
use futures_util::future::join_all;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

pub(super) use self::answers::StatusSources;
pub(super) use self::connections::Connections;
use self::connections::{Connection, KEEP_ALIVE, REQUEST_TIMEOUT, ReadAhead};
use self::routes::Routes;
pub(super) use self::routes::Service;
use super::sockets::{Socket, Stream};

mod admission;
mod answers;
mod connections;
mod inflate;
mod posts;
mod refusal;
mod routes;
mod stream;

/// Time for a client to close its side of a connection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Wait after a connection could not be accepted, usually because the process has no file descriptor
/// left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves at `sockets` for as long as it is polled. Dropped, it closes them and every connection.
pub(super) async fn serve(
    sockets: Vec<Socket>,
    service: Rc<Service>,
    connections: Rc<Connections>,
) {
    let Some(routes) = Routes::new(service).await else { return };
    let routes = Rc::new(routes);
    let serve = |stream, connection| answer_requests(stream, connection, Rc::clone(&routes));
    join_all(sockets.iter().map(|socket| accept(socket, &connections, serve))).await;
}

/// Accepts connections at a socket, and has each served by `serve` in a task of its own: one that
/// panics ends no other.
async fn accept<F: Future<Output = ()> + 'static>(
    socket: &Socket,
    connections: &Rc<Connections>,
    serve: impl Fn(Stream, Rc<Connection>) -> F,
) {
    // Owns the tasks: they end with this future.
    let mut tasks = JoinSet::new();
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            // A task that has ended keeps its memory until it is joined.
            Some(_ended) = tasks.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_failing = false;
                // While there is no room, what connects next waits in the kernel's queue.
                connections.wait_for_room(peer).await;
                let connection = connections.enter(peer);
                let task = tasks.spawn_local(serve(stream, Rc::clone(&connection)));
                connection.state.set_task(task);
            }
            // The client gave up before it was accepted: nothing is wrong here.
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                if !is_failing {
                    warn!(%error, "connection could not be accepted");
                }
                is_failing = true;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(error.kind(), E::ConnectionAborted | E::ConnectionReset | E::ConnectionRefused)
}

/// Answers the requests of one connection, one after the other, until it is closed.
async fn answer_requests(stream: Stream, connection: Rc<Connection>, routes: Rc<Routes>) {
    let ahead = ReadAhead::default();
    let stream = WatchedStream { stream, ahead, connection: Rc::clone(&connection) };
    // Each connection has a service of its own: it owns the timer for the `Date` header, so that no
    // timer runs while there is no connection.
    let http = HttpService::build()
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(REQUEST_TIMEOUT)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .h1(move |request: Request| {
            let (routes, connection) = (Rc::clone(&routes), Rc::clone(&connection));
            async move { Ok::<_, Infallible>(routes.answer(request, &connection).await) }
        });
    let Ok(http) = http.new_service(()).await else { return };
    // An error is the client's: it got an answer, or has gone.
    let _ = http.call((stream, None)).await;
}

/// A stream that notes when the client reads nothing of what is written to it, and bounds what is read of
/// requests ahead of their turn.
struct WatchedStream {
    stream: Stream,
    ahead: ReadAhead,
    connection: Rc<Connection>,
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, ahead, connection } = self.get_mut();
        ahead.poll_read(Pin::new(stream), &connection.state, task, buffer)
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(task, bytes);
        self.connection.state.note_write(written.is_ready());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

#[cfg(test)]
mod tests;
