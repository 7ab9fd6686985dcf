//! Work that would hold the actors up, on a thread beside them: with a deadline and one at a time, or as
//! one that is done whether or not it is awaited.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;

/// Why work has no result.
#[derive(Debug, thiserror::Error)]
pub enum BlockingError {
    /// What came before it, be it given up or not, is still under way: this was not begun.
    #[error("failed to begin {what} within {limit:?}: the work before it has not ended")]
    Busy {
        /// What should be done.
        what: &'static str,
        /// The deadline.
        limit: Duration,
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
        /// The panic, or the end of the runtime.
        #[source]
        source: JoinError,
    },
}

/// A queue of work that runs one piece at a time, in order. What hangs holds up those behind it and
/// one thread, however often it is tried again. Clones are the same queue.
#[derive(Clone, Debug)]
pub(crate) struct OneAtATime(Arc<Semaphore>);

impl Default for OneAtATime {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl OneAtATime {
    /// Does `work` beside the actors and waits for it for `limit`, the time in the queue included.
    /// `what` completes the sentence "failed to begin …". Work that has begun ends whether or not it
    /// is waited for.
    ///
    /// # Errors
    /// It took longer, panicked, or the work before it has not ended.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let mut has_begun = false;
        let working = async {
            // The semaphore is never closed.
            let turn = Arc::clone(&self.0).acquire_owned().await;
            has_begun = true;
            let working = spawn_blocking(move || {
                let _turn = turn;
                work()
            });
            working.await
        };
        match timeout(limit, working).await {
            Ok(done) => done.map_err(|source| BlockingError::BrokenOff { what, source }),
            Err(_elapsed) if has_begun => Err(BlockingError::TimedOut { what, limit }),
            Err(_elapsed) => Err(BlockingError::Busy { what, limit }),
        }
    }
}

/// Begins `work` beside the actors at once; it is done even if what is returned is dropped. `what`
/// completes the sentence "failed at …". There is no deadline, and nothing bounds how much of it is under
/// way: for work whose caller holds a lock or a permit until it is done.
///
/// # Errors
/// It panicked, or the runtime ends.
pub(crate) fn begin<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, BlockingError>> {
    let working = spawn_blocking(work);
    async move { working.await.map_err(|source| BlockingError::BrokenOff { what, source }) }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);
    const SHORT: Duration = Duration::from_millis(50);

    #[actix::test]
    async fn work_that_hangs_is_given_up_and_not_begun_again_before_it_ends() {
        let queue = OneAtATime::default();
        let (gate, opened) = mpsc::channel::<()>();
        let hangs = queue.run("counting", SHORT, move || opened.recv().is_ok());
        let given_up = hangs.await.unwrap_err().to_string();
        assert_eq!(given_up, "failed to end counting within 50ms");
        let refused = queue.run("counting", SHORT, || 1).await.unwrap_err().to_string();
        assert_eq!(
            refused,
            "failed to begin counting within 50ms: the work before it has not ended"
        );
        gate.send(()).unwrap();
        assert_eq!(queue.run("counting", LIMIT, || 2).await.unwrap(), 2);
    }

    #[actix::test]
    async fn work_that_was_begun_is_done_though_it_is_not_awaited() {
        let (done, ended) = mpsc::channel();
        drop(begin("counting", move || done.send(1)));
        assert_eq!(ended.recv_timeout(LIMIT), Ok(1));
        let broken = begin("counting", || -> u8 { panic!("no such number") });
        assert_eq!(broken.await.unwrap_err().to_string(), "failed at counting");
    }

    #[actix::test]
    async fn work_is_done_in_order() {
        let queue = OneAtATime::default();
        let (first, second) = mpsc::channel();
        let later = first.clone();
        let (one, two) = tokio::join!(
            queue.run("counting", LIMIT, move || first.send(1)),
            queue.run("counting", LIMIT, move || later.send(2)),
        );
        assert_eq!((one.unwrap(), two.unwrap()), (Ok(()), Ok(())));
        assert_eq!(second.try_iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[actix::test]
    async fn a_panic_is_an_error_and_lets_the_next_one_begin() {
        let queue = OneAtATime::default();
        let broken = queue.run("counting", LIMIT, || -> u8 { panic!("no such number") });
        let error = broken.await.unwrap_err();
        assert_eq!(error.to_string(), "failed at counting");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("no such number"), "{cause}");
        assert_eq!(queue.run("counting", LIMIT, || 1).await.unwrap(), 1);
    }
}
