//! What becomes of an actor that panics, stops, or hangs, and of all others meanwhile.
//! All in virtual time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::{
    Actor, ActorContext, AsyncContext, Context, Handler, Message, Recipient, Supervised, System,
    WrapFuture,
};
use actors::clock::{Clock, Monotonic};
use actors::messages::{ActorHealth, ActorHealthChanged, tell};
use actors::supervisor::{Due, Slot, Vitals};

/// One paused tokio runtime for the actors of a test.
struct Paused;

impl Paused {
    #[allow(clippy::new_ret_no_self, reason = "the name that actix_rt::test asks for")]
    fn new() -> actix::SystemRunner {
        System::with_tokio_rt(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap()
        })
    }
}

/// What goes wrong with a piece of work.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    PanicInHandler,
    PanicInFuture,
    PanicInTimer,
    Stop,
    HangInFuture,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Work(u32, Fault);

/// Answers `false` for its piece of work when it is dropped unanswered.
struct Ticket {
    number: u32,
    answers: Answers,
    answered: bool,
    _due: Due,
}

type Answers = Rc<RefCell<Vec<(u32, bool)>>>;

impl Ticket {
    fn answer(&mut self, succeeded: bool) {
        self.answered = true;
        self.answers.borrow_mut().push((self.number, succeeded));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.answered {
            self.answer(false);
        }
    }
}

/// Longest time for a piece of work.
const DEADLINE: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

struct Worker {
    clock: Clock,
    vitals: Vitals,
    answers: Answers,
    lives: Rc<RefCell<Vec<Monotonic>>>,
    /// State that a restart must not keep.
    handled_in_this_life: u32,
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        assert_eq!(self.handled_in_this_life, 0);
        self.lives.borrow_mut().push(self.clock.now().monotonic);
    }
}

impl Supervised for Worker {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.handled_in_this_life = 0;
    }
}

impl Handler<Work> for Worker {
    type Result = ();

    fn handle(&mut self, Work(number, fault): Work, ctx: &mut Context<Self>) {
        self.handled_in_this_life += 1;
        let due = self.vitals.due_by(self.clock.now().monotonic + DEADLINE);
        let answers = Rc::clone(&self.answers);
        let mut ticket = Ticket { number, answers, answered: false, _due: due };
        match fault {
            Fault::None => ticket.answer(true),
            Fault::PanicInHandler => panic!("boom in handler"),
            Fault::PanicInFuture => {
                let future = async move {
                    let _ticket = ticket;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    panic!("boom in future");
                };
                ctx.spawn(future.into_actor(self));
            }
            Fault::PanicInTimer => {
                ticket.answer(true);
                ctx.run_later(Duration::from_millis(5), |_, _| panic!("boom in timer"));
            }
            Fault::Stop => ctx.stop(),
            Fault::HangInFuture => {
                let future = async move {
                    let _ticket = ticket;
                    std::future::pending::<()>().await;
                };
                ctx.spawn(future.into_actor(self));
            }
        }
    }
}

/// Remembers what the supervisor said.
struct HealthLog(Rc<RefCell<Vec<ActorHealth>>>);

impl Actor for HealthLog {
    type Context = Context<Self>;
}

impl Handler<ActorHealthChanged> for HealthLog {
    type Result = ();

    fn handle(&mut self, changed: ActorHealthChanged, _: &mut Context<Self>) {
        self.0.borrow_mut().push(changed.health);
    }
}

struct Rig {
    clock: Clock,
    work: Recipient<Work>,
    answers: Answers,
    lives: Rc<RefCell<Vec<Monotonic>>>,
    health: Rc<RefCell<Vec<ActorHealth>>>,
}

impl Rig {
    fn new(clock: &Clock) -> Self {
        let slot = Slot::<Worker>::new("worker", clock.clone());
        let rig = Self {
            clock: clock.clone(),
            work: slot.recipient(),
            answers: Rc::default(),
            lives: Rc::default(),
            health: Rc::default(),
        };
        let worker = Worker {
            clock: clock.clone(),
            vitals: slot.vitals(),
            answers: Rc::clone(&rig.answers),
            lives: Rc::clone(&rig.lives),
            handled_in_this_life: 0,
        };
        let health_log = HealthLog(Rc::clone(&rig.health)).start().recipient();
        tokio::task::spawn_local(slot.supervise(worker, health_log));
        rig
    }

    fn send(&self, number: u32, fault: Fault) {
        tell(&self.work, Work(number, fault));
    }

    fn answers(&self) -> Vec<(u32, bool)> {
        self.answers.borrow().clone()
    }

    fn causes(&self) -> Vec<String> {
        let health = self.health.borrow();
        let cause = |health: &ActorHealth| match health {
            ActorHealth::Up => None,
            ActorHealth::Restarting { cause, .. } => Some(cause.clone()),
        };
        health.iter().filter_map(cause).collect()
    }

    /// Times between the starts of lives, in milliseconds.
    fn gaps(&self) -> Vec<u128> {
        let lives = self.lives.borrow();
        let gap = |pair: &[Monotonic]| pair[1].saturating_since(pair[0]).as_millis();
        lives.windows(2).map(gap).collect()
    }
}

/// Sends work 1 to 4, the second of which fails with `fault`, and lets `wait` pass.
async fn one_fault_among_four(fault: Fault, wait: Duration) -> Rig {
    let rig = Rig::new(&Clock::system());
    rig.send(1, Fault::None);
    rig.send(2, fault);
    rig.send(3, Fault::None);
    rig.send(4, Fault::None);
    tokio::time::sleep(wait).await;
    rig
}

#[actix_rt::test(system = "crate::Paused")]
async fn panic_in_a_handler_costs_its_message_and_no_other() {
    let rig = one_fault_among_four(Fault::PanicInHandler, SECOND).await;
    assert_eq!(rig.answers(), [(1, true), (2, false), (3, true), (4, true)]);
    assert_eq!(rig.causes(), ["panicked: boom in handler"]);
    assert!(rig.work.connected());
}

#[actix_rt::test(system = "crate::Paused")]
async fn panic_in_a_spawned_future_is_answered_and_the_address_works_on() {
    let rig = one_fault_among_four(Fault::PanicInFuture, SECOND).await;
    assert_eq!(rig.answers(), [(1, true), (3, true), (4, true), (2, false)]);
    assert_eq!(rig.causes(), ["panicked: boom in future"]);
    rig.send(5, Fault::None);
    tokio::time::sleep(SECOND).await;
    assert_eq!(rig.answers().last(), Some(&(5, true)));
}

#[actix_rt::test(system = "crate::Paused")]
async fn panic_in_a_timer_restarts_an_idle_actor() {
    let rig = one_fault_among_four(Fault::PanicInTimer, SECOND).await;
    assert_eq!(rig.causes(), ["panicked: boom in timer"]);
    rig.send(5, Fault::None);
    tokio::time::sleep(SECOND).await;
    assert_eq!(rig.answers().last(), Some(&(5, true)));
}

#[actix_rt::test(system = "crate::Paused")]
async fn actor_that_stops_itself_is_restarted() {
    let rig = one_fault_among_four(Fault::Stop, SECOND).await;
    assert_eq!(rig.answers(), [(1, true), (2, false), (3, true), (4, true)]);
    assert_eq!(rig.causes(), ["stopped itself"]);
}

#[actix_rt::test(system = "crate::Paused")]
async fn work_that_hangs_is_given_up_at_its_deadline() {
    let rig = one_fault_among_four(Fault::HangInFuture, DEADLINE - SECOND).await;
    assert_eq!(rig.answers(), [(1, true), (3, true), (4, true)]);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(rig.answers().last(), Some(&(2, false)));
    assert_eq!(rig.causes(), ["did not finish a piece of work by its deadline"]);
    rig.send(5, Fault::None);
    tokio::time::sleep(SECOND).await;
    assert_eq!(rig.answers().last(), Some(&(5, true)));
}

#[actix_rt::test(system = "crate::Paused")]
async fn other_actors_never_pause() {
    let clock = Clock::system();
    let (ill, well) = (Rig::new(&clock), Rig::new(&clock));
    for number in 0..50 {
        ill.send(number, Fault::PanicInHandler);
        well.send(number, Fault::None);
        let before = clock.now().monotonic;
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        assert_eq!(well.answers().len(), number as usize + 1, "answered at once");
        assert_eq!(clock.now().monotonic, before, "in no time");
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert!(!ill.causes().is_empty());
    assert_eq!(well.lives.borrow().len(), 1);
    assert!(well.causes().is_empty());
}

#[actix_rt::test(system = "crate::Paused")]
async fn back_off_doubles_to_its_cap_and_resets_after_a_healthy_minute() {
    let rig = Rig::new(&Clock::system());
    for number in 0..12 {
        rig.send(number, Fault::PanicInHandler);
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    let gaps = rig.gaps();
    assert_eq!(gaps.len(), 12);
    for (failure, gap) in gaps.iter().enumerate() {
        let expected = (100_u128 << failure).min(30_000);
        let jitter = expected / 10 + 2;
        assert!(gap.abs_diff(expected) <= jitter, "wait {failure} was {gap} ms, not {expected}");
    }
    let healthy_for =
        rig.clock.now().monotonic.saturating_since(*rig.lives.borrow().last().unwrap());
    assert!(healthy_for > Duration::from_secs(60));
    let failed_at = rig.clock.now().monotonic;
    rig.send(99, Fault::PanicInHandler);
    tokio::time::sleep(SECOND).await;
    let restarted_at = *rig.lives.borrow().last().unwrap();
    let wait = restarted_at.saturating_since(failed_at).as_millis();
    assert!((90..=112).contains(&wait), "the first wait again, not {wait} ms");
}

#[actix_rt::test(system = "crate::Paused")]
async fn health_is_reported_on_every_change() {
    let rig = one_fault_among_four(Fault::PanicInHandler, SECOND).await;
    let health = rig.health.borrow().clone();
    assert!(matches!(&health[..], [ActorHealth::Restarting { failures: 1, .. }, ActorHealth::Up]));
}
