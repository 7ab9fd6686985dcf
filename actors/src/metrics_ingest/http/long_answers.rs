//! Long answers, handed over in pieces: what a slow reader has not taken yet is in memory once, and
//! only few such answers are there at one time.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::client::{Client, Scarce};
use super::peer::Group;

/// Answers that may be made, or wait for their readers, at one time, for each group of peers.
pub(super) const MAX_ANSWERS: usize = 8;
/// Longest wait for a place.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// Between two looks whether a reader makes way.
const LOOK: Duration = Duration::from_millis(10);
/// Bytes that a connection gets at one time.
pub(super) const PIECE: usize = 16 * 1024;

/// Counts the answers that are there, for each group of peers by itself.
pub(super) struct Places {
    unix: Arc<Semaphore>,
    loopback: Arc<Semaphore>,
    network: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        let places = || Arc::new(Semaphore::new(MAX_ANSWERS));
        Self { unix: places(), loopback: places(), network: places() }
    }
}

impl Places {
    fn of(&self, group: Group) -> &Arc<Semaphore> {
        match group {
            Group::Unix => &self.unix,
            Group::Loopback => &self.loopback,
            Group::Network => &self.network,
        }
    }

    #[cfg(test)]
    pub(super) fn free(&self, group: Group) -> usize {
        self.of(group).available_permits()
    }

    /// Waits a little for a place. A reader that takes nothing makes way.
    pub(super) async fn place(&self, client: &Client) -> Option<Place> {
        let places = self.of(client.peer.group());
        // In order of arrival: who asks without end has no advantage of it.
        let mut free = pin!(Arc::clone(places).acquire_owned());
        let waiting = async {
            loop {
                match timeout(LOOK, free.as_mut()).await {
                    Ok(permit) => return permit.ok(),
                    Err(_) => drop(client.displaces(Scarce::Answer).await),
                }
            }
        };
        let permit = timeout(MAX_WAIT, waiting).await.ok()??;
        client.holds(Scarce::Answer);
        Some(Place { _permit: permit })
    }
}

/// A place for an answer; given back when dropped.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Returns the body that holds the place until its connection has all of it.
    pub(super) fn fill(self, text: impl Into<Bytes>) -> Pieces {
        Pieces { left: text.into(), _place: self }
    }
}

/// A body in pieces.
pub(super) struct Pieces {
    left: Bytes,
    _place: Place,
}

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.left.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let length = self.left.len().min(PIECE);
        let piece = self.left.split_to(length);
        Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
    }
}
