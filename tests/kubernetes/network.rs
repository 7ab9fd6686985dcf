//! The network between an agent and its cluster, which may hold back what the agent sends.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Carries connections from a port of its own to another; ended when dropped.
pub(crate) struct Network {
    port: u16,
    /// How many connections were opened.
    opened: watch::Sender<usize>,
    /// How many connections have something held back; `None` while nothing is.
    held: watch::Sender<Option<usize>>,
    _carrying: JoinSet<()>,
}

impl Network {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let (opened, held) = (watch::Sender::new(0), watch::Sender::new(None));
        let (opens, holds) = (opened.clone(), held.clone());
        let mut carrying = JoinSet::new();
        carrying.spawn_local(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let (from_near, mut to_near) = near.into_split();
                let (mut from_far, to_far) = far.into_split();
                opens.send_modify(|opened| *opened += 1);
                let holds = holds.clone();
                connections.spawn_local(async move {
                    tokio::select! {
                        () = send(from_near, to_far, holds) => {}
                        _ = copy(&mut from_far, &mut to_near) => {}
                    }
                });
            }
        });
        Self { port: own_port, opened, held, _carrying: carrying }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Waits until it is used.
    pub(crate) async fn used(&self) {
        self.opened.subscribe().wait_for(|opened| *opened > 0).await.unwrap();
    }

    /// Holds back what the agent sends from now on, until that is so on `connections` of them.
    pub(crate) async fn hold(&self, connections: usize) {
        self.held.send_replace(Some(0));
        let is_held = |held: &Option<usize>| held.is_some_and(|held| held >= connections);
        self.held.subscribe().wait_for(is_held).await.unwrap();
    }

    /// Lets go what is held back.
    pub(crate) fn release(&self) {
        self.held.send_replace(None);
    }
}

/// Carries what the agent sends on one connection, until either end closes it.
async fn send(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, held: watch::Sender<Option<usize>>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let is_held = held.send_if_modified(|held| {
            held.as_mut().is_some_and(|held| {
                *held += 1;
                true
            })
        });
        if is_held {
            held.subscribe().wait_for(Option::is_none).await.unwrap();
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
