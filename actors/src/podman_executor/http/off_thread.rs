//! Work that may hang, off the agent's thread.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Does one piece of work at a time. What hangs keeps others of the same podman waiting, and no more than
/// one thread, however often it is tried again.
#[derive(Clone)]
pub(in crate::podman_executor) struct OffThread(Arc<Semaphore>);

impl Default for OffThread {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl OffThread {
    /// Does `work`; `None` when it has not ended `within`, or panicked.
    pub(in crate::podman_executor) async fn run<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let working = async {
            let turn = Arc::clone(&self.0).acquire_owned().await.ok()?;
            let done = tokio::task::spawn_blocking(move || {
                let done = work();
                drop(turn);
                done
            });
            done.await.ok()
        };
        timeout(within, working).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(20);

    #[actix::test]
    async fn what_hangs_is_given_up_and_holds_one_thread_until_it_ends() {
        let off_thread = OffThread::default();
        let (end, ended) = channel::<()>();
        assert!(off_thread.run(SHORT, move || ended.recv().is_ok()).await.is_none());
        assert_eq!(off_thread.run(SHORT, || 1).await, None, "it has its turn after the first");
        end.send(()).unwrap();
        assert_eq!(off_thread.run(LONG, || 2).await, Some(2));
    }
}
