//! Takes the sockets that a service manager passes at the start (systemd's socket activation).
//!
//! A socket unit has the listener's addresses before any program of the device can take them, and keeps
//! them while the agent is restarted: what is posted meanwhile waits.

use std::io;

use actors::metrics_ingest::{Listen, PassedSocket, PassedSockets};
use listenfd::ListenFd;
use tracing::{error, warn};

/// The number of the first descriptor that is passed; see sd_listen_fds(3).
const FIRST: usize = 3;

/// A descriptor that was passed, and is no socket of use.
#[derive(Debug, thiserror::Error)]
#[error("descriptor {descriptor}: {error}")]
struct Unusable {
    descriptor: usize,
    error: io::Error,
}

/// What a service manager has passed.
#[derive(Debug, Default)]
pub struct Passed {
    sockets: PassedSockets,
    /// Why others are of no use.
    unusable: Vec<Unusable>,
}

impl Passed {
    /// Takes them. To be called before anything opens a file or starts a thread: they are found by
    /// number, and the variables that name them are removed.
    #[must_use]
    pub fn take() -> Self {
        let mut passed = Self::default();
        let mut descriptors = ListenFd::from_env();
        for index in 0..descriptors.len() {
            if let Err(error) = passed.add(&mut descriptors, index) {
                passed.unusable.push(Unusable { descriptor: FIRST + index, error });
            }
        }
        passed
    }

    fn add(&mut self, descriptors: &mut ListenFd, index: usize) -> io::Result<()> {
        if let Ok(Some(socket)) = descriptors.take_tcp_listener(index) {
            return self.sockets.add(PassedSocket::Tcp(socket));
        }
        descriptors
            .take_unix_listener(index)?
            .map_or(Ok(()), |socket| self.sockets.add(PassedSocket::Unix(socket)))
    }

    /// Returns those that `listens` name. Of the others the log says why they are not used.
    #[must_use]
    pub fn named(mut self, listens: &[Listen]) -> PassedSockets {
        for error in self.unusable {
            warn!(%error, "passed socket cannot be used");
        }
        for address in self.sockets.keep_only(listens) {
            error!(%address, "passed socket is not at a configured address");
        }
        self.sockets
    }
}
