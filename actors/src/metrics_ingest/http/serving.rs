//! Serves the routes on sockets, on the thread of the actors: a post reaches the evaluator without
//! waking another thread.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Request};
use actix_service::boxed::{self, BoxService};
use actix_service::{Service as _, ServiceFactory as _};
use actix_web::{ResponseError as _, web};
use futures_util::future::{LocalBoxFuture, join_all};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

use super::client::Client;
use super::clients::Clients;
use super::front::Front;
use super::peer::Peer;
use super::refusal::Refusal;
use super::sockets::{Connection, Socket, Stream};
use super::{KEEP_ALIVE, REQUEST_TIMEOUT, Service};

/// Time for a client to close its side.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Wait after a connection could not be accepted, mostly because the process has no file left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Answers the requests of connections.
type Answerer = BoxService<(Connection, Option<SocketAddr>), (), DispatchError>;

/// Serves `sockets` for as long as it is polled. Dropped, it closes them and ends each connection.
pub(in crate::metrics_ingest) async fn serve(
    sockets: Vec<Socket>,
    service: web::Data<Service>,
    clients: Rc<Clients>,
) {
    let Some(front) = Front::new(service).await else { return };
    let front = Rc::new(front);
    let make = move || -> LocalBoxFuture<'static, _> {
        let front = Rc::clone(&front);
        let service = HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(REQUEST_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(Rc::clone(connection.client()));
            })
            .h1(move |request: Request| {
                let front = Rc::clone(&front);
                async move {
                    let client = request.conn_data::<Rc<Client>>().cloned();
                    Ok::<_, Infallible>(match client {
                        Some(client) => front.answer(request, &client).await,
                        None => Refusal::NoAnswer.error_response(),
                    })
                }
            });
        Box::pin(async move { service.new_service(()).await.ok().map(boxed::service) })
    };
    let server = Server::new(make, clients);
    let accepting = sockets.iter().map(|socket| server.accept(socket));
    join_all(accepting).await;
}

/// Accepts connections and serves them.
struct Server<F> {
    make: F,
    /// Makes the date of answers twice a second, so it is there only while a connection is.
    answerer: RefCell<Weak<Answerer>>,
    clients: Rc<Clients>,
    tasks: RefCell<JoinSet<()>>,
}

impl<F: Fn() -> LocalBoxFuture<'static, Option<Answerer>>> Server<F> {
    fn new(make: F, clients: Rc<Clients>) -> Self {
        Self { make, answerer: RefCell::default(), clients, tasks: RefCell::default() }
    }

    /// Accepts connections at one socket and serves them, each by a task of its own: one that
    /// panics ends no other.
    async fn accept(&self, socket: &Socket) {
        let mut is_failing = false;
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => {
                    is_failing = false;
                    self.serve(stream, peer).await;
                }
                // The client changed its mind.
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

    async fn serve(&self, stream: Stream, peer: Peer) {
        self.clients.room_for(peer).await;
        let Some(answerer) = self.answerer().await else { return };
        let mut tasks = self.tasks.borrow_mut();
        while tasks.try_join_next().is_some() {}
        let seat = self.clients.enter(peer);
        let client = Rc::clone(&seat.client);
        let connection = Connection::new(stream, Rc::clone(&client));
        let task = tasks.spawn_local(async move {
            let _seat = seat;
            // How it ended is the client's business: it has got an answer or has gone.
            let _ = answerer.call((connection, None)).await;
        });
        client.is_served_by(task);
    }

    async fn answerer(&self) -> Option<Rc<Answerer>> {
        let current = self.answerer.borrow().upgrade();
        if current.is_some() {
            return current;
        }
        let new = Rc::new((self.make)().await?);
        self.answerer.replace(Rc::downgrade(&new));
        Some(new)
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(error.kind(), E::ConnectionAborted | E::ConnectionReset | E::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use actix_service::fn_service;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::super::passed::PassedSockets;
    use super::super::sockets::bind;
    use super::*;
    use crate::clock::Clock;
    use crate::metrics_ingest::listen::{Bound, Listen};

    /// Serves a byte for each byte, and panics at a zero.
    async fn echo((mut stream, _): (Connection, Option<SocketAddr>)) -> Result<(), DispatchError> {
        while let Ok(byte) = stream.read_u8().await {
            assert_ne!(byte, 0);
            stream.write_u8(byte).await.map_err(DispatchError::Io)?;
        }
        Ok(())
    }

    async fn socket() -> (Socket, SocketAddr) {
        let place = Listen::Tcp("127.0.0.1:0".parse().unwrap());
        let socket = bind(&place, &PassedSockets::default()).await.opened.remove(0);
        let Some(Bound::Tcp(address)) = socket.bound() else { panic!("it is a TCP socket") };
        (socket, address)
    }

    async fn answers(stream: &mut TcpStream) -> bool {
        stream.write_u8(7).await.unwrap();
        stream.read_u8().await.is_ok()
    }

    #[actix::test]
    async fn what_ticks_for_connections_is_there_only_while_there_are_any() {
        let made = Rc::new(Cell::new(0));
        let counting = Rc::clone(&made);
        let make = move || -> LocalBoxFuture<'static, _> {
            counting.set(counting.get() + 1);
            Box::pin(async { Some(boxed::service(fn_service(echo))) })
        };
        let server = Server::new(make, Clients::new(Clock::system()));
        let (socket, address) = socket().await;
        let clients = async {
            for round in 1..=2 {
                let mut first = TcpStream::connect(address).await.unwrap();
                let mut second = TcpStream::connect(address).await.unwrap();
                assert!(answers(&mut first).await && answers(&mut second).await);
                assert_eq!(made.get(), round, "both share one");
                drop((first, second));
                while server.answerer.borrow().strong_count() > 0 {
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::select! {
            () = server.accept(&socket) => unreachable!("it accepts for ever"),
            () = clients => {}
        }
    }

    #[actix::test]
    async fn a_connection_whose_handler_panics_ends_no_other() {
        let make = || -> LocalBoxFuture<'static, _> {
            Box::pin(async { Some(boxed::service(fn_service(echo))) })
        };
        let server = Server::new(make, Clients::new(Clock::system()));
        let (socket, address) = socket().await;
        let clients = async {
            let mut other = TcpStream::connect(address).await.unwrap();
            assert!(answers(&mut other).await);
            let mut broken = TcpStream::connect(address).await.unwrap();
            broken.write_u8(0).await.unwrap();
            assert!(broken.read_u8().await.is_err());
            assert!(answers(&mut other).await);
            assert!(answers(&mut TcpStream::connect(address).await.unwrap()).await);
        };
        tokio::select! {
            () = server.accept(&socket) => unreachable!("it accepts for ever"),
            () = clients => {}
        }
    }
}
