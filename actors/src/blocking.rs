//! Work that would hold the actors up: on a thread beside them, with a deadline, one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;

/// Why work has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlockingError {
    /// What was given up before is still under way, so this was not begun.
    #[error("failed to begin {what}: the one before it has not ended")]
    Busy {
        /// What should be done.
        what: &'static str,
    },
    /// It is given up, but a thread cannot be stopped: it goes on.
    #[error("failed to end {what} within {limit:?}")]
    TimedOut {
        /// What should be done.
        what: &'static str,
        /// The deadline.
        limit: Duration,
    },
    /// It panicked, or the runtime ends.
    #[error("failed at {what}")]
    BrokenOff {
        /// What should be done.
        what: &'static str,
        /// How it ended.
        #[source]
        source: JoinError,
    },
}

/// Lets one piece of work run at a time, so that those that are given up do not pile up. Clones are
/// the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct OneAtATime(Arc<AtomicBool>);

impl OneAtATime {
    /// Returns whether work is under way, be it given up or not.
    #[cfg(test)]
    pub(crate) fn is_busy(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Held by the thread that works; let go even by a panic.
struct Busy(OneAtATime);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// Does `work` beside the actors and waits for it for `limit`. `what` completes the sentence
/// "failed to begin …". The work begins at once and ends whether or not it is waited for.
///
/// # Errors
/// It took longer, panicked, or one before it in the same `turn` has not ended.
pub(crate) async fn run<T: Send + 'static>(
    what: &'static str,
    limit: Duration,
    turn: &OneAtATime,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BlockingError> {
    if turn.0.swap(true, Ordering::AcqRel) {
        return Err(BlockingError::Busy { what });
    }
    let busy = Busy(turn.clone());
    let working = spawn_blocking(move || {
        let _busy = busy;
        work()
    });
    match timeout(limit, working).await {
        Ok(done) => done.map_err(|source| BlockingError::BrokenOff { what, source }),
        Err(_elapsed) => Err(BlockingError::TimedOut { what, limit }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::task::yield_now;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    async fn once_free(turn: &OneAtATime) {
        while turn.is_busy() {
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_hangs_is_given_up_and_not_begun_again_before_it_ends() {
        let turn = OneAtATime::default();
        let (gate, opened) = mpsc::channel::<()>();
        let hangs = run("counting", LIMIT, &turn, move || opened.recv().is_ok());
        let (given_up, ()) = tokio::join!(hangs, tokio::time::advance(2 * LIMIT));
        assert_eq!(given_up.unwrap_err().to_string(), "failed to end counting within 5s");
        let refused = run("counting", LIMIT, &turn, || 1).await.unwrap_err().to_string();
        assert_eq!(refused, "failed to begin counting: the one before it has not ended");
        gate.send(()).unwrap();
        once_free(&turn).await;
        assert_eq!(run("counting", LIMIT, &turn, || 2).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_lets_the_next_one_begin() {
        let turn = OneAtATime::default();
        let broken = run("counting", LIMIT, &turn, || -> u8 { panic!("no such number") });
        let error = broken.await.unwrap_err();
        assert_eq!(error.to_string(), "failed at counting");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("no such number"), "{cause}");
        assert_eq!(run("counting", LIMIT, &turn, || 1).await.unwrap(), 1);
    }
}
