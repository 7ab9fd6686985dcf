//! Timers that are used again.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::poll_immediate;
use tokio::time::{Sleep, sleep};

use crate::clock::after;

/// Timers for what mostly ends long before its limit. To move one to a later moment is cheap; to set
/// one anew and remove it again costs several times as much. One that nobody uses wakes the agent
/// once more, at its last limit. There are as many as were ever in use at one time; a wait that is
/// given up takes its timer along.
#[derive(Default)]
pub(super) struct Timers(Mutex<Vec<Pin<Box<Sleep>>>>);

impl Timers {
    /// Waits for `future`; returns `None` when that takes longer than `limit`.
    pub(super) async fn within<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let at_once = poll_immediate(future.as_mut()).await;
        if at_once.is_some() {
            return at_once;
        }
        let idle = self.idle().pop();
        let mut timer = idle.unwrap_or_else(|| Box::pin(sleep(limit)));
        timer.as_mut().reset(after(limit));
        let output = tokio::select! {
            biased;
            output = &mut future => Some(output),
            () = &mut timer => None,
        };
        self.idle().push(timer);
        output
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Pin<Box<Sleep>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[actix::test]
    async fn a_limit_counts_from_its_own_start_whoever_used_the_timer_before() {
        tokio::time::pause();
        let timers = Timers::default();
        for _ in 0..3 {
            let work = async {
                sleep(LIMIT / 2).await;
                7
            };
            assert_eq!(timers.within(LIMIT, work).await, Some(7));
        }
        for _ in 0..3 {
            let limit = after(LIMIT);
            assert_eq!(timers.within(LIMIT, pending::<()>()).await, None);
            let late = after(Duration::ZERO).saturating_duration_since(limit);
            assert!(after(Duration::ZERO) >= limit && late < LIMIT / 100, "{late:?} late");
        }
        assert_eq!(timers.idle().len(), 1, "one is enough for one after the other");
    }

    #[actix::test]
    async fn those_who_wait_at_one_time_have_timers_of_their_own() {
        tokio::time::pause();
        let timers = Timers::default();
        let (quick, slow, hung) = tokio::join!(
            timers.within(LIMIT, async {}),
            timers.within(LIMIT, sleep(LIMIT / 2)),
            timers.within(LIMIT / 4, pending::<()>()),
        );
        assert_eq!((quick, slow, hung), (Some(()), Some(()), None));
    }
}
