//! The questions that podman works on, those that were given up among them: nothing is asked twice
//! at the same time, and of each lane only so much.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::clock::{Clock, Monotonic};
use crate::podman_executor::libpod::api::PodmanError;
use crate::podman_executor::libpod::pacing::pace::{Lane, Pace, Question};

/// Time for a place in a lane to fall free. A lane that is full for longer is full of questions that
/// podman does not answer.
const LANE_PATIENCE: Duration = Duration::from_secs(180);

/// A question from the moment that it is to be asked until podman has answered.
#[derive(Debug)]
pub(in crate::podman_executor) struct Asked {
    id: u64,
    pub(in crate::podman_executor) question: Question,
    /// The pod, container or image that it is about.
    pub(in crate::podman_executor) of: String,
    since: Monotonic,
    given_up: bool,
}

impl Asked {
    /// Returns whether this one must be over before `later` is asked.
    fn is_before(&self, later: &Self) -> bool {
        let replaced = self.question == Question::Remove && later.question == Question::Play;
        self.id < later.id && self.of == later.of && (self.question == later.question || replaced)
    }
}

/// The questions of one podman service.
pub(in crate::podman_executor) struct Queue {
    clock: Clock,
    pace: RefCell<Pace>,
    era: Cell<u64>,
    lanes: BTreeMap<Lane, Arc<Semaphore>>,
    /// In the order in which they came.
    pub(in crate::podman_executor) asked: RefCell<Vec<Asked>>,
    next_id: Cell<u64>,
    /// Notified when a question ends.
    ended: Notify,
    given_up: UnboundedSender<LocalBoxFuture<'static, ()>>,
}

/// Calls that were given up, and that podman still works on. Polled by the executor.
pub(in crate::podman_executor) struct Abandoned {
    arriving: UnboundedReceiver<LocalBoxFuture<'static, ()>>,
    under_way: FuturesUnordered<LocalBoxFuture<'static, ()>>,
}

impl Abandoned {
    /// Goes on with all of it. Never ends.
    pub(in crate::podman_executor) fn poll(&mut self, task: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(Some(arrived)) = self.arriving.poll_recv(task) {
            self.under_way.push(arrived);
        }
        while let Poll::Ready(Some(())) = self.under_way.poll_next_unpin(task) {}
        Poll::Pending
    }
}

/// A place in the queue. Dropped, the question is over.
pub(in crate::podman_executor) struct Place {
    queue: Rc<Queue>,
    id: u64,
    question: Question,
    since: Monotonic,
    lane: Option<OwnedSemaphorePermit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.lane.take());
        self.queue.asked.borrow_mut().retain(|asked| asked.id != self.id);
        self.queue.ended.notify_waiters();
    }
}

impl Place {
    /// Returns how long it has been there.
    pub(in crate::podman_executor) fn age(&self) -> Duration {
        self.queue.clock.now().monotonic.saturating_since(self.since)
    }

    /// Asks, and waits for the answer within `limit`. podman goes on with what is given up, so its
    /// place stays taken until the answer is there, or is given up.
    pub(in crate::podman_executor) async fn ask<T: 'static>(
        self,
        limit: Duration,
        call: impl Future<Output = Result<T, PodmanError>> + 'static,
    ) -> Result<T, PodmanError> {
        let (queue, id, question) = (Rc::clone(&self.queue), self.id, self.question);
        let began = queue.clock.now().monotonic;
        let work = async move {
            let answer = call.await;
            self.queue.answered(question, began, answer.as_ref().err());
            drop(self);
            answer
        };
        let work = Some(work.boxed_local());
        let awaited = Awaited { queue, id, question, began, limit, work, was_sent: false };
        let timed_out = |_| PodmanError::Timeout { call: question.call(), after: limit };
        timeout(limit, awaited).await.map_err(timed_out)?
    }
}

/// A question while its answer is awaited.
struct Awaited<T: 'static> {
    queue: Rc<Queue>,
    id: u64,
    question: Question,
    began: Monotonic,
    limit: Duration,
    work: Option<LocalBoxFuture<'static, Result<T, PodmanError>>>,
    was_sent: bool,
}

impl<T: 'static> Future for Awaited<T> {
    type Output = Result<T, PodmanError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        self.was_sent = true;
        // Out of its place meanwhile: what panics cannot go on, and what else is dropped for that can.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let answer = work.poll_unpin(task);
        if answer.is_pending() {
            self.work = Some(work);
        }
        answer
    }
}

impl<T: 'static> Drop for Awaited<T> {
    /// Hands the question over to those that were given up.
    fn drop(&mut self) {
        let Some(work) = self.work.take().filter(|_| self.was_sent) else { return };
        self.queue.give_up(self.id);
        let (queue, question, began) = (Rc::clone(&self.queue), self.question, self.began);
        // Counted from when it was asked: its asker may have gone long before the limit.
        let until = began + self.limit + queue.pace.borrow().linger(question, self.limit);
        let left = until.saturating_since(queue.clock.now().monotonic);
        let lingering = async move {
            // A programming error here harms nothing: the answer is not awaited.
            let ended = timeout(left, AssertUnwindSafe(work).catch_unwind()).await;
            if ended.is_err() {
                queue.took(question, began);
            }
        };
        // Without a receiver the agent ends.
        let _ = self.queue.given_up.send(lingering.boxed_local());
    }
}

impl Queue {
    /// Returns an empty queue, and what awaits those that are given up.
    pub(in crate::podman_executor) fn new(clock: Clock) -> (Rc<Self>, Abandoned) {
        let (given_up, arriving) = unbounded_channel();
        let lanes = Lane::ALL.map(|(lane, room)| (lane, Arc::new(Semaphore::new(room))));
        let queue = Self {
            clock,
            pace: RefCell::default(),
            era: Cell::default(),
            lanes: lanes.into(),
            asked: RefCell::default(),
            next_id: Cell::new(0),
            ended: Notify::new(),
            given_up,
        };
        (Rc::new(queue), Abandoned { arriving, under_way: FuturesUnordered::new() })
    }

    /// Waits until `question` about `of` may be asked: the same is not under way, and its lane has
    /// room. `within` is the time for that; without one it is the queue's.
    ///
    /// # Errors
    /// podman still works on the same, or on too much else.
    pub(in crate::podman_executor) async fn enter(
        self: &Rc<Self>,
        question: Question,
        of: &str,
        within: Option<Duration>,
    ) -> Result<Place, PodmanError> {
        let (id, since) = (self.next_id.get(), self.clock.now().monotonic);
        self.next_id.set(id + 1);
        let of = of.to_owned();
        self.asked.borrow_mut().push(Asked { id, question, of, since, given_up: false });
        let mut place = Place { queue: Rc::clone(self), id, question, since, lane: None };
        let timed_out = |after| PodmanError::Timeout { call: question.call(), after };
        let patience = within.unwrap_or_else(|| self.limit(question));
        let turn = self.until(|asked| is_first(asked, id));
        timeout(patience, turn).await.map_err(|_| timed_out(patience))?;
        if let Some(lane) = question.lane().and_then(|lane| self.lanes.get(&lane)) {
            let patience = within.unwrap_or(LANE_PATIENCE).saturating_sub(place.age());
            let room = timeout(patience, Arc::clone(lane).acquire_owned()).await;
            // A lane is never closed.
            place.lane = room.map_err(|_| timed_out(patience))?.ok();
        }
        Ok(place)
    }

    /// Waits until nothing that was given up is being done to `pod`. Returns whether there was
    /// anything.
    pub(in crate::podman_executor) async fn settled(&self, pod: &str) -> bool {
        let is_over = |asked: &[Asked]| {
            let changes = |asked: &&Asked| {
                let changes = matches!(asked.question, Question::Play | Question::Remove);
                asked.given_up && changes && asked.of == pod
            };
            !asked.iter().any(|asked| changes(&asked))
        };
        let was_over = is_over(&self.asked.borrow());
        self.until(is_over).await;
        !was_over
    }

    /// Waits until what is under way is as it should be.
    async fn until(&self, is_so: impl Fn(&[Asked]) -> bool) {
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            if is_so(&self.asked.borrow()) {
                return;
            }
            ended.await;
        }
    }

    /// Returns how long an answer may take.
    pub(in crate::podman_executor) fn limit(&self, question: Question) -> Duration {
        self.pace.borrow().limit(question)
    }

    pub(in crate::podman_executor) fn patient(&self, usual: Duration) -> Duration {
        self.pace.borrow().patient(usual)
    }

    /// Returns the number of the era: what was learned of podman holds for one.
    pub(in crate::podman_executor) fn era(&self) -> u64 {
        self.era.get()
    }

    /// Another podman may answer from now on.
    pub(in crate::podman_executor) fn begin_era(&self) {
        self.era.set(self.era.get() + 1);
        self.pace.take();
    }

    /// Says what is wrong with a podman that answers late.
    pub(in crate::podman_executor) fn complaint(&self) -> Option<String> {
        let asked = self.asked.borrow();
        let now = self.clock.now().monotonic;
        // Others wait for what podman waits for.
        let oldest = asked.iter().find(|asked| asked.given_up && asked.question.shows_pace());
        let oldest = oldest.map(|asked| (asked.question, now.saturating_since(asked.since)));
        self.pace.borrow().complaint(oldest)
    }

    fn give_up(&self, id: u64) {
        let mut asked = self.asked.borrow_mut();
        asked.iter_mut().filter(|asked| asked.id == id).for_each(|asked| asked.given_up = true);
    }

    fn answered(&self, question: Question, began: Monotonic, error: Option<&PodmanError>) {
        match error {
            None | Some(PodmanError::Refused { .. } | PodmanError::Garbled { .. }) => {
                self.took(question, began);
            }
            Some(
                PodmanError::Connect { .. } | PodmanError::Foreign { .. } | PodmanError::Cut { .. },
            ) => self.begin_era(),
            Some(PodmanError::Timeout { .. }) => {}
        }
    }

    fn took(&self, question: Question, began: Monotonic) {
        let took = self.clock.now().monotonic.saturating_since(began);
        self.pace.borrow_mut().note(question, took);
    }
}

fn is_first(asked: &[Asked], id: u64) -> bool {
    let own = asked.iter().find(|asked| asked.id == id);
    own.is_none_or(|own| !asked.iter().any(|asked| asked.is_before(own)))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn question_is_under_way_though_another_beside_it_panicked() {
        let (queue, _abandoned) =
            Queue::new(Clock::simulated("2026-05-04T10:00:00Z".parse().unwrap()));
        let first = queue.enter(Question::Containers, "", None).await.unwrap();
        let second = queue.enter(Question::Pods, "", None).await.unwrap();
        // Dropped while the panic unwinds, as what an actor was at is.
        let unwound = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let first = first.ask(LIMIT, pending::<Result<(), PodmanError>>());
            let second = second.ask(LIMIT, async { panic!("ordered by the test") });
            let mut both = Box::pin(futures_util::future::join(first, second));
            let polled = both.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
            polled.map(|(_, second): (_, Result<(), _>)| second.is_ok())
        }));
        assert!(unwound.is_err());
        let within = Some(Duration::from_secs(1));
        assert!(queue.enter(Question::Containers, "", within).await.is_err(), "podman works on it");
        assert!(queue.enter(Question::Pods, "", within).await.is_ok(), "what panicked is over");
    }

    #[tokio::test(start_paused = true)]
    async fn question_whose_asker_left_at_once_is_under_way_as_long_as_any_other() {
        for patience in [Duration::from_millis(1), LIMIT] {
            let clock = Clock::simulated("2026-05-04T10:00:00Z".parse().unwrap());
            let (queue, mut abandoned) = Queue::new(clock.clone());
            let within = Some(Duration::from_secs(60));
            // It has shown to be quick.
            for _ in 0..5 {
                let place = queue.enter(Question::Containers, "", within).await.unwrap();
                place.ask(LIMIT, async { Ok(()) }).await.unwrap();
            }
            let place = queue.enter(Question::Containers, "", within).await.unwrap();
            let asked = place.ask(LIMIT, pending::<Result<(), PodmanError>>());
            assert!(timeout(patience, asked).await.map_or(true, |answer| answer.is_err()));
            tokio::select! {
                () = poll_fn(|task| abandoned.poll(task)) => unreachable!("it never ends"),
                again = queue.enter(Question::Containers, "", within) => drop(again.unwrap()),
            }
            let elapsed = clock.now().monotonic.since_start();
            assert_eq!(elapsed.as_secs(), 2 * LIMIT.as_secs(), "{patience:?}");
        }
    }
}
