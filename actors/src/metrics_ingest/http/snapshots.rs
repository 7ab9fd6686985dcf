//! The status as streams tell it: however many there are, the actors are asked for it once.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{Shared, WeakShared};
use serde_json::Value;

use crate::clock::Monotonic;
use crate::metrics_ingest::status::{without_time, written};

/// How long a snapshot is good for other streams than the one that asked for it.
const FRESH: Duration = Duration::from_millis(250);

/// The status at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// The same for two snapshots between which nothing happened but time.
    pub(super) mark: u64,
    /// The event that tells it.
    pub(super) event: Bytes,
}

impl From<Value> for Snapshot {
    fn from(status: Value) -> Self {
        // JSON on one line: what it holds cannot end the event.
        let event = format!("event: status\ndata: {}\n\n", written(&status)).into();
        let mut hasher = DefaultHasher::new();
        without_time(status).hash(&mut hasher);
        Self { mark: hasher.finish(), event }
    }
}

type Question = Pin<Box<dyn Future<Output = Arc<Snapshot>> + Send>>;

/// A snapshot that is being asked for, or was. It goes on when any of those who wait is polled, so
/// that none can hold up the others.
pub(super) type Asking = Shared<Question>;

/// The last snapshot, for as long as a stream holds it.
#[derive(Default)]
pub(super) struct Snapshots(Mutex<Option<(Monotonic, WeakShared<Question>)>>);

impl Snapshots {
    /// Returns the snapshot that was begun a moment ago, else what `ask` begins.
    pub(super) fn recent(
        &self,
        now: Monotonic,
        ask: impl FnOnce() -> Pin<Box<dyn Future<Output = Value> + Send>>,
    ) -> Asking {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = last.as_ref().filter(|(begun, _)| now.saturating_since(*begun) < FRESH);
        if let Some(asking) = fresh.and_then(|(_, asking)| asking.upgrade()) {
            return asking;
        }
        let question: Question = Box::pin(ask().map(|status| Arc::new(Snapshot::from(status))));
        let asking = question.shared();
        *last = asking.downgrade().map(|weak| (now, weak));
        asking
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::json;

    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    #[tokio::test]
    async fn streams_that_look_at_about_the_same_time_share_one_question() {
        let (snapshots, asked) = (Snapshots::default(), Cell::new(0));
        let look = |millis| {
            snapshots.recent(at(millis), || {
                asked.set(asked.get() + 1);
                let status = json!({ "n": asked.get() });
                Box::pin(async move { status })
            })
        };
        let first = look(0);
        let second = look(249);
        assert!(Arc::ptr_eq(&first.clone().await, &second.await));
        let third = look(250);
        assert!(!Arc::ptr_eq(&first.await, &third.clone().await));
        assert_eq!(asked.get(), 2);
        // What nobody holds is gone, however young.
        drop(third);
        drop(look(251));
        assert_eq!(asked.get(), 3);
    }

    #[tokio::test]
    async fn a_reader_that_stops_in_the_middle_of_a_question_holds_up_no_other() {
        let snapshots = Snapshots::default();
        let (answer, waiting) = tokio::sync::oneshot::channel::<Value>();
        let asking = || snapshots.recent(at(0), || Box::pin(waiting.map(Result::unwrap)));
        let (mut first, second) = (asking(), asking_again(&snapshots));
        assert!((&mut first).now_or_never().is_none(), "it has begun, and is not polled again");
        answer.send(json!({ "a": 1 })).unwrap();
        assert!(second.await.event.ends_with(b"data: {\"a\":1}\n\n"));
    }

    fn asking_again(snapshots: &Snapshots) -> Asking {
        snapshots.recent(at(1), || panic!("the question is asked already"))
    }

    #[test]
    fn a_status_cannot_end_its_event() {
        let hostile = "\n\nevent: status\ndata: {}\r\n\r\n\u{2028}";
        let event = Snapshot::from(json!({ "reason": hostile })).event;
        let text = std::str::from_utf8(&event).unwrap();
        assert_eq!(text.matches(['\n', '\r']).count(), 3, "{text}");
        let data = text.lines().nth(1).and_then(|line| line.strip_prefix("data: ")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(data).unwrap()["reason"], hostile);
    }
}
