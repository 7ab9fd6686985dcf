//! Long answers, handed over in pieces: what a slow reader has not taken yet is in memory once, and
//! only few such answers are there at one time.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Answers that may be made, or wait for their readers, at one time.
pub(super) const MAX_ANSWERS: usize = 8;
/// Bytes that a connection gets at one time.
pub(super) const PIECE: usize = 16 * 1024;

/// Counts the answers that are there.
pub(super) struct Places(Arc<Semaphore>);

impl Places {
    /// `limit` is how many there may be at one time.
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Semaphore::new(limit)))
    }

    /// Returns a place for one more, if there is one.
    pub(super) fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.0).try_acquire_owned().ok()?;
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
