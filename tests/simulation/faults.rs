//! What goes wrong, chosen by the seed alone: the order in which two calls of one instant are made
//! changes nothing about what becomes of either.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use actors::workload::WorkloadId;

/// What becomes of one call to the outside world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done and answered.
    Fine,
    /// It is refused and not done.
    Refused,
    /// It is not done, and no answer comes in time.
    Silent,
    /// It is done, and its answer is lost.
    Lost,
    /// No answer comes in time, and it is done all the same, later.
    Late,
    /// The caller panics while it waits.
    Panic,
    /// The agent is killed before it is done.
    KillBefore,
    /// The agent is killed once it is done.
    KillAfter,
}

/// How often each thing goes wrong, per thousand.
#[derive(Clone, Copy, Debug)]
struct Rates {
    refused: u32,
    silent: u32,
    lost: u32,
    late: u32,
    panic: u32,
    kill: u32,
    poisoned_log: u32,
    /// Of the instants at which an actor works, per hundred thousand.
    sudden_death: u32,
    lost_event: u32,
    slow: u32,
}

/// Chooses for one seed.
pub(crate) struct Chooser {
    seed: u64,
    rates: Rates,
    calls: RefCell<HashMap<String, u64>>,
    quiet: Cell<bool>,
}

impl Chooser {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        // Most seeds know a few kinds of fault well: all kinds at once hide what each one does.
        let mut rate = |most: u32| if rng.u32(0..3) == 0 { rng.u32(0..=most) } else { 0 };
        let rates = Rates {
            refused: rate(80),
            silent: rate(60),
            lost: rate(60),
            late: rate(40),
            panic: rate(15),
            kill: rate(6),
            poisoned_log: rate(8),
            lost_event: rate(500),
            slow: rate(200),
            sudden_death: rate(60),
        };
        Self { seed, rates, calls: RefCell::default(), quiet: Cell::new(false) }
    }

    /// Lets nothing go wrong any more.
    pub(crate) fn calm_down(&self) {
        self.quiet.set(true);
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.get()
    }

    /// Returns the random numbers for the next call of `key`.
    pub(crate) fn rng(&self, key: &str) -> fastrand::Rng {
        let mut calls = self.calls.borrow_mut();
        if !calls.contains_key(key) {
            calls.insert(key.to_owned(), 0);
        }
        let count = calls.get_mut(key).expect("inserted above");
        *count += 1;
        fastrand::Rng::with_seed(digest(&[self.seed, digest_text(key), *count]))
    }

    /// Returns what becomes of a call.
    pub(crate) fn fate(&self, rng: &mut fastrand::Rng) -> Fate {
        if self.is_quiet() {
            return Fate::Fine;
        }
        let Rates { refused, silent, lost, late, panic, kill, .. } = self.rates;
        let mut roll = rng.u32(0..1000);
        for (rate, fate) in [
            (refused, Fate::Refused),
            (silent, Fate::Silent),
            (lost, Fate::Lost),
            (late, Fate::Late),
            (panic, Fate::Panic),
            (kill, if rng.bool() { Fate::KillBefore } else { Fate::KillAfter }),
        ] {
            if roll < rate {
                return fate;
            }
            roll -= rate;
        }
        Fate::Fine
    }

    /// Returns how long a call takes: milliseconds as a rule, at most `longest`.
    pub(crate) fn delay(&self, rng: &mut fastrand::Rng, longest: Duration) -> Duration {
        let slow = !self.is_quiet() && rng.u32(0..1000) < self.rates.slow;
        let most = if slow { 8_000 } else { 20 };
        Duration::from_millis(rng.u64(1..=most)).min(longest / 3)
    }

    /// Returns whether a volume of the pod `id` holds more than it may, now that it is measured.
    pub(crate) fn is_overfull(&self, id: &WorkloadId) -> bool {
        !self.is_quiet() && self.rng(&format!("volume of {id}")).u32(0..300) == 0
    }

    /// Returns how often an event is delivered: 0, 1 or 2 times.
    pub(crate) fn copies_of_event(&self, key: &str) -> usize {
        let mut rng = self.rng(key);
        if self.is_quiet() || rng.u32(0..1000) >= self.rates.lost_event {
            1
        } else {
            2 * usize::from(rng.bool())
        }
    }

    /// Returns whether an actor panics as it writes this line of its log.
    pub(crate) fn poisons_log(&self, key: &str) -> bool {
        !self.is_quiet()
            && self.rates.poisoned_log > 0
            && self.rng(key).u32(0..1000) < self.rates.poisoned_log
    }
}

/// Where the agent dies within the instants at which one of its actors works.
pub(crate) struct Mortality {
    actor: u64,
    instant: Duration,
    polls: u64,
}

impl Mortality {
    pub(crate) fn of(actor: &str) -> Self {
        Self { actor: digest_text(actor), instant: Duration::MAX, polls: 0 }
    }

    /// Counts that the actor is about to go on from wherever it waits; returns whether it dies
    /// there instead. By time and place, not by a count of all: what is done twice in one instant
    /// changes nothing about the next.
    pub(crate) fn strikes(&mut self, chooser: &Chooser, now: Duration) -> bool {
        if self.instant != now {
            (self.instant, self.polls) = (now, 0);
        }
        self.polls += 1;
        if chooser.is_quiet() || chooser.rates.sudden_death == 0 {
            return false;
        }
        let at = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let mut rng = fastrand::Rng::with_seed(digest(&[chooser.seed, self.actor, at]));
        rng.u32(0..100_000) < chooser.rates.sudden_death && rng.u64(1..4) == self.polls
    }
}

/// Mixes numbers into one.
pub(crate) fn digest(numbers: &[u64]) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for number in numbers {
        state = (state ^ number).wrapping_mul(0xff51_afd7_ed55_8ccd);
        state ^= state >> 32;
    }
    state
}

/// Mixes a text into a number.
pub(crate) fn digest_text(text: &str) -> u64 {
    let step = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
