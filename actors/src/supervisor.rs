//! Keeps one actor alive behind one address: catches its panics, notices that it stopped or hung,
//! waits, and starts it afresh.
//!
//! [`actix::Supervisor`] restarts only what stopped itself: a panic closes the address for good.
//! Here the future that runs the actor is polled under `catch_unwind`. Its mailbox lives in that
//! future, not in the actor, so a panic costs the message being handled and no other; then
//! `ContextFut::restart` drops the actor's timers and futures, and [`actix::Supervised::restarting`]
//! resets its state. While the actor waits for its restart, messages queue.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::prelude::{Actor, Addr, AsyncContext, Context, Handler, Message, Recipient, Supervised};
use tracing::{Instrument, error, info, info_span};

use crate::backoff::Backoff;
use crate::clock::{Clock, Monotonic};
use crate::messages::{ActorHealth, ActorHealthChanged, tell};

/// First wait before a restart.
const MIN_RESTART_DELAY: Duration = Duration::from_millis(100);
/// Longest wait before a restart.
const MAX_RESTART_DELAY: Duration = Duration::from_secs(30);
/// Life without a failure after which the next failure counts as the first.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// A mailbox that is open before its actor exists, so that actors that know each other can be
/// made in a straight line.
pub struct Slot<A: Actor<Context = Context<A>>> {
    name: &'static str,
    context: Context<A>,
    address: Addr<A>,
    vitals: Vitals,
}

impl<A: Actor<Context = Context<A>> + Supervised> Slot<A> {
    /// Opens the mailbox of the actor that logs and statuses call `name`.
    #[must_use]
    pub fn new(name: &'static str, clock: Clock) -> Self {
        let context = Context::new();
        let address = context.address();
        Self { name, context, address, vitals: Vitals { clock, due: Rc::default() } }
    }

    /// Returns what logs and statuses call the actor.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the address for messages of type `M`. It stays valid as long as the agent runs.
    #[must_use]
    pub fn recipient<M>(&self) -> Recipient<M>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        self.address.clone().recipient()
    }

    /// Returns the actor's vitals, for its constructor.
    #[must_use]
    pub fn vitals(&self) -> Vitals {
        self.vitals.clone()
    }

    /// Runs `actor` until every address of it is gone; restarts it whenever it fails.
    /// Tells `health` of each change.
    pub async fn supervise(self, actor: A, health: Recipient<ActorHealthChanged>) {
        let Self { name, context, address, vitals } = self;
        let span = info_span!("actor", actor = name);
        async move {
            // Kept, so that the mailbox never closes by want of senders while the agent runs.
            let _address = address;
            let mut running = pin!(context.into_future(actor));
            let mut restarts = Restarts::new();
            loop {
                let started = vitals.clock.now().monotonic;
                let cause = life(running.as_mut(), &vitals).await;
                let delay =
                    restarts.next_delay(vitals.clock.now().monotonic.saturating_since(started));
                let failures = restarts.failures;
                error!(error = %cause, attempt = failures, delay = ?delay, "actor failed");
                let down = ActorHealth::Restarting { cause: cause.to_string(), failures };
                tell(&health, ActorHealthChanged { actor: name, health: down });
                // Drops the actor's futures first: commands in flight are answered as abandoned now,
                // not after the wait.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| running.restart())) {
                    error!(error = panic_text(&*panic), "actor panicked while it was reset");
                }
                vitals.forget_all();
                tokio::time::sleep(delay).await;
                info!(attempt = failures, "actor restarted");
                tell(&health, ActorHealthChanged { actor: name, health: ActorHealth::Up });
            }
        }
        .instrument(span)
        .await;
    }
}

/// Why a life of an actor ended.
#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("panicked: {0}")]
    Panicked(String),
    #[error("stopped itself")]
    Stopped,
    #[error("did not finish a piece of work by its deadline")]
    Overdue,
}

/// Polls the actor until it fails. A handler that blocks the thread cannot be caught here: that is
/// for systemd's watchdog. `ctx.wait`, which would close the mailbox unseen, is banned.
async fn life<A>(
    mut running: Pin<&mut actix::dev::ContextFut<A, Context<A>>>,
    vitals: &Vitals,
) -> Cause
where
    A: Actor<Context = Context<A>>,
{
    let mut alarm = pin!(tokio::time::sleep(Duration::ZERO));
    let mut alarm_at: Option<Monotonic> = None;
    poll_fn(move |task| {
        match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(task))) {
            Err(panic) => return Poll::Ready(Cause::Panicked(panic_text(&*panic).to_owned())),
            Ok(Poll::Ready(())) => return Poll::Ready(Cause::Stopped),
            Ok(Poll::Pending) => {}
        }
        let now = vitals.clock.now().monotonic;
        let first_due = vitals.first_due();
        if first_due.is_some_and(|due| due <= now) {
            return Poll::Ready(Cause::Overdue);
        }
        if first_due != alarm_at {
            alarm_at = first_due;
            if let Some(at) = first_due {
                alarm.set(tokio::time::sleep(at.saturating_since(now)));
            }
        }
        if alarm_at.is_some() && alarm.as_mut().poll(task).is_ready() {
            // The clock may stand a hair before the deadline; look again.
            alarm_at = None;
            task.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

/// Counts failures and yields the waits between them.
struct Restarts {
    failures: u32,
    delays: Backoff,
}

impl Restarts {
    fn new() -> Self {
        Self { failures: 0, delays: Backoff::new(MIN_RESTART_DELAY, MAX_RESTART_DELAY) }
    }

    /// Returns the wait after a life of length `lived`.
    fn next_delay(&mut self, lived: Duration) -> Duration {
        if lived >= HEALTHY_AFTER {
            *self = Self::new();
        }
        self.failures = self.failures.saturating_add(1);
        self.delays.next_delay()
    }
}

/// What an actor announces to its supervisor: which work is due by when. An actor that lets
/// one slip hangs, and is restarted.
#[derive(Clone)]
pub struct Vitals {
    clock: Clock,
    due: Rc<RefCell<Register>>,
}

#[derive(Default)]
struct Register {
    next_key: u64,
    by_key: BTreeMap<u64, Monotonic>,
}

impl Vitals {
    /// Announces a piece of work that ends by `deadline`. Dropping the answer says that it ended.
    #[must_use]
    pub fn due_by(&self, deadline: Monotonic) -> Due {
        let mut register = self.due.borrow_mut();
        let key = register.next_key;
        register.next_key += 1;
        register.by_key.insert(key, deadline);
        Due { key, register: Rc::clone(&self.due) }
    }

    /// Returns vitals that no supervisor watches, for a test of an actor without its supervisor.
    #[must_use]
    pub fn unwatched(clock: Clock) -> Self {
        Self { clock, due: Rc::default() }
    }

    fn first_due(&self) -> Option<Monotonic> {
        self.due.borrow().by_key.values().min().copied()
    }

    fn forget_all(&self) {
        self.due.borrow_mut().by_key.clear();
    }
}

/// A piece of work under way; see [`Vitals::due_by`].
pub struct Due {
    key: u64,
    register: Rc<RefCell<Register>>,
}

impl Drop for Due {
    fn drop(&mut self) {
        self.register.borrow_mut().by_key.remove(&self.key);
    }
}

/// Returns the text of a panic.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic without a text")
}
