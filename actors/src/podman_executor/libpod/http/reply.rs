//! Answers as they come, and as much of them as is read.

use std::ops::Deref;
use std::sync::Arc;

use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::call::Size;
use crate::podman_executor::libpod::api::PodmanError;

/// A body up to this is read beside any number of others. Of larger ones there is one at a time.
pub(super) const SMALL: usize = 64 * 1024;

/// The head of an answer, and its body as it comes.
pub(in crate::podman_executor) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Incoming,
    /// Moves the bytes; dropped, the connection is closed.
    pub(super) _connection: JoinSet<()>,
    /// The call's place among those that may be under way.
    pub(super) _place: Option<OwnedSemaphorePermit>,
}

/// A whole body. While a large one lives, no other large one is read.
pub(in crate::podman_executor) struct Body {
    bytes: Vec<u8>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Reply {
    /// Reads the whole body, which takes its turn among `large` ones when it is one.
    ///
    /// # Errors
    /// podman hung up, or the body is over `size`.
    pub(super) async fn whole(
        mut self,
        call: &'static str,
        size: Size,
        large: &Arc<Semaphore>,
    ) -> Result<Body, PodmanError> {
        let mut body = Body { bytes: Vec::new(), _turn: None };
        while let Some(piece) = self.piece().await {
            let piece = piece.map_err(|source| PodmanError::Cut { call, source: source.into() })?;
            let length = body.bytes.len() + piece.len();
            if length > size.bytes() {
                let source = format!("it is over {} kB", size.bytes() / 1024).into();
                return Err(PodmanError::Garbled { call, source });
            }
            if length > SMALL && body._turn.is_none() {
                body._turn = Arc::clone(large).acquire_owned().await.ok();
            }
            body.bytes.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// Reads the beginning of a body of which no more is wanted than to say what is wrong.
    pub(super) async fn beginning(mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < SMALL
            && let Some(Ok(piece)) = self.piece().await
        {
            body.extend_from_slice(&piece);
        }
        body.truncate(SMALL);
        body
    }

    /// Waits for more of the body; `None` at its end.
    pub(in crate::podman_executor) async fn piece(
        &mut self,
    ) -> Option<Result<Bytes, hyper::Error>> {
        loop {
            match self.body.frame().await? {
                // Trailers are nothing that libpod sends.
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some(Ok(data)),
                    Err(_) => continue,
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
