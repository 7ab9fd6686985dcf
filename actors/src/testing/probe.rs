//! A recipient that keeps what it is sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::{Actor, Context, Handler, Message, Recipient};

/// How long [`Probe::next`] waits, by tokio's clock: with a paused clock no time at all.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Stands in for the receiver of `M`: keeps each message until the test takes it.
///
/// Clones share what they received.
pub struct Probe<M> {
    received: Rc<RefCell<VecDeque<M>>>,
}

impl<M> Probe<M>
where
    M: Message<Result = ()> + Send + Unpin + 'static,
{
    /// Starts the probe; returns it and the recipient for the actor under test.
    #[must_use]
    pub fn start() -> (Self, Recipient<M>) {
        let probe = Self { received: Rc::default() };
        let recipient = Actor::start(probe.clone()).recipient();
        (probe, recipient)
    }

    /// Takes all messages received so far, the oldest first.
    pub fn take(&self) -> Vec<M> {
        self.received.borrow_mut().drain(..).collect()
    }

    /// Waits for the next message; `None` when none comes within an hour by tokio's clock.
    pub async fn next(&self) -> Option<M> {
        let arrival = async {
            loop {
                if let Some(message) = self.received.borrow_mut().pop_front() {
                    return message;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, arrival).await.ok()
    }
}

impl<M> Clone for Probe<M> {
    fn clone(&self) -> Self {
        Self { received: Rc::clone(&self.received) }
    }
}

impl<M: Unpin + 'static> Actor for Probe<M> {
    type Context = Context<Self>;
}

impl<M> Handler<M> for Probe<M>
where
    M: Message<Result = ()> + Unpin + 'static,
{
    type Result = ();

    fn handle(&mut self, message: M, _: &mut Context<Self>) {
        self.received.borrow_mut().push_back(message);
    }
}
