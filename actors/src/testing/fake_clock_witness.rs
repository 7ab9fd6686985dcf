//! What speaks for the clock of a device, as a test wants it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::clock::{Clock, Monotonic};
use crate::scheduler::{ClockEvidence, ClockWitness, Written};

/// A witness. Clones are the same one.
#[derive(Clone)]
pub struct FakeClockWitness {
    clock: Clock,
    evidence: Rc<RefCell<Option<ClockEvidence>>>,
    booted: Rc<RefCell<Monotonic>>,
}

impl FakeClockWitness {
    /// Returns the witness of a device that has just booted, and whose time service keeps the clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let booted = Rc::new(RefCell::new(clock.now().monotonic));
        let evidence = ClockEvidence { is_synchronized: true, ..ClockEvidence::default() };
        Self { clock, evidence: Rc::new(RefCell::new(Some(evidence))), booted }
    }

    /// Boots the device: no time service has set the clock yet, and `newest` is what its disk says.
    pub fn boot(&self, newest: Option<Written>) {
        self.booted.replace(self.clock.now().monotonic);
        let evidence = ClockEvidence { newest, ..ClockEvidence::default() };
        self.evidence.replace(Some(evidence));
    }

    /// Lets a time service have set the clock.
    pub fn synchronize(&self) {
        if let Some(evidence) = &mut *self.evidence.borrow_mut() {
            evidence.is_synchronized = true;
        }
    }

    /// Lets nothing be found out.
    pub fn be_silent(&self) {
        self.evidence.replace(None);
    }

    /// Returns the time since the device was booted.
    fn uptime(&self) -> Duration {
        self.clock.now().monotonic.saturating_since(*self.booted.borrow())
    }
}

impl ClockWitness for FakeClockWitness {
    fn look(&self) -> LocalBoxFuture<'static, Option<ClockEvidence>> {
        let evidence = self.evidence.borrow().clone();
        let evidence = evidence.map(|it| ClockEvidence { uptime: self.uptime(), ..it });
        Box::pin(async move { evidence })
    }
}
