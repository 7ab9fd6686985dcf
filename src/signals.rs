//! The signals that the agent answers to.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: stop.
    Shutdown,
    /// SIGHUP: read log level and manifests anew.
    Reload,
}

/// Receives signals. Once it exists, none of them ends the process by itself.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hang_up: Stream,
}

impl Signals {
    /// Begins to listen; needs a tokio runtime.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal. Equal signals that arrive together may count as one.
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Shutdown,
            _ = self.interrupt.recv() => Signal::Shutdown,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal as Number, getpid, kill_process};

    use super::*;

    // One test alone: a signal reaches every listener of the process.
    #[tokio::test]
    async fn each_signal_has_its_meaning() {
        let mut signals = Signals::listen().unwrap();
        for (number, meaning) in [
            (Number::HUP, Signal::Reload),
            (Number::TERM, Signal::Shutdown),
            (Number::INT, Signal::Shutdown),
        ] {
            kill_process(getpid(), number).unwrap();
            assert_eq!(signals.next().await, meaning);
        }
    }
}
