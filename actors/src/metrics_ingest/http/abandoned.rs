//! Bodies that the evaluator has and whose client is no longer waited for.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use actix::MailboxError;
use actix::prelude::RecipientRequest;

use crate::messages::{MetricsReceived, MetricsRefused};

/// What a body's message comes to.
type Answer = Result<Result<(), MetricsRefused>, MailboxError>;

/// A body's message on its way, with what it holds until the evaluator has handled it.
struct Message<H> {
    request: Pin<Box<RecipientRequest<MetricsReceived>>>,
    _held: H,
}

/// Messages whose answer nobody waits for. What they hold is given back only once the evaluator
/// has handled them, or has died: so limits bound what waits in its mailbox.
pub(super) struct Abandoned<H>(Mutex<Vec<Message<H>>>);

impl<H> Default for Abandoned<H> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<H> Abandoned<H> {
    /// Returns the answer to `request`. Dropped before it is there, the message is looked after
    /// here.
    pub(super) fn guard(
        &self,
        request: RecipientRequest<MetricsReceived>,
        held: H,
    ) -> Waiting<'_, H> {
        let message = Message { request: Box::pin(request), _held: held };
        Waiting { abandoned: self, message: Some(message) }
    }

    /// Forgets the messages that were handled meanwhile, and returns how many there still are.
    pub(super) fn sweep(&self) -> usize {
        let mut task = Context::from_waker(Waker::noop());
        let mut messages = self.messages();
        messages.retain_mut(|message| message.request.as_mut().poll(&mut task).is_pending());
        messages.len()
    }

    fn messages(&self) -> MutexGuard<'_, Vec<Message<H>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the answer to one message.
pub(super) struct Waiting<'a, H> {
    abandoned: &'a Abandoned<H>,
    message: Option<Message<H>>,
}

// Nothing in it is pinned in place.
impl<H> Unpin for Waiting<'_, H> {}

impl<H> Future for Waiting<'_, H> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Answer> {
        let Some(message) = &mut self.message else {
            return Poll::Pending;
        };
        let answer = message.request.as_mut().poll(task);
        if answer.is_ready() {
            self.message = None;
        }
        answer
    }
}

impl<H> Drop for Waiting<'_, H> {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            self.abandoned.messages().push(message);
        }
    }
}
