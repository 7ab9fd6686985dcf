//! The processor below a podman: what is asked at the same time shares it, wanted or given up.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use actors::workload::ExecutorKind;
use tokio::time::sleep;

use crate::world::World;

/// The most questions and changes that may be under way at once, however many pods there are.
const MOST: usize = 10;
/// So many pulls, starts and stops may be under way at once.
const MOST_LONG: usize = 64;
/// How often the share of each is found anew.
const STEP: Duration = Duration::from_millis(100);

/// What a call costs a processor of its own at usual speed.
pub(crate) fn cost_of(method: &str) -> Duration {
    Duration::from_millis(match method {
        "play" => 400,
        "pull" => 500,
        "remove_pod" => 200,
        "host" => 100,
        "remove_image" => 50,
        "events" => 5,
        _ => 20,
    })
}

/// A call that podman works on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    life: u32,
    method: &'static str,
    question: String,
}

/// One podman's processor. Clones share it.
#[derive(Clone)]
pub(crate) struct Board {
    world: Rc<World>,
    kind: ExecutorKind,
    working: Rc<Cell<u32>>,
    asked: Rc<RefCell<Vec<Asked>>>,
}

/// Ends with the work on a call.
pub(crate) struct UnderWay {
    board: Board,
    asked: Asked,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut asked = self.board.asked.borrow_mut();
        if let Some(place) = asked.iter().position(|asked| *asked == self.asked) {
            asked.swap_remove(place);
        }
    }
}

impl Board {
    pub(crate) fn of(world: &Rc<World>, kind: ExecutorKind) -> Self {
        Self { world: Rc::clone(world), kind, working: Rc::default(), asked: Rc::default() }
    }

    /// Notes that a call is made; it is under way until what is returned is dropped.
    pub(crate) fn asked(&self, method: &'static str, question: &str) -> UnderWay {
        let life = self.world.life.get();
        let asked = Asked { life, method, question: question.to_owned() };
        if self.asked.borrow().contains(&asked) {
            self.world.violated(format!("asked twice at once: {question}"));
        }
        self.asked.borrow_mut().push(asked.clone());
        self.check();
        UnderWay { board: self.clone(), asked }
    }

    /// Takes as long as `cost` takes on this processor, beside all the others.
    pub(crate) async fn work(&self, cost: Duration) {
        let factor = self.world.slowness.get();
        if factor == 1 {
            return;
        }
        let mut left = cost * factor;
        self.working.set(self.working.get() + 1);
        while left > Duration::ZERO {
            sleep(STEP).await;
            left = left.saturating_sub(STEP / self.working.get().max(1));
        }
        self.working.set(self.working.get() - 1);
    }

    /// Looks whether podman is asked more than it bears.
    fn check(&self) {
        let (life, asked) = (self.world.life.get(), self.asked.borrow());
        let ours: Vec<_> = asked.iter().filter(|asked| asked.life == life).collect();
        let is_long = |asked: &&&Asked| ["play", "pull", "stop_container"].contains(&asked.method);
        let long = ours.iter().filter(is_long).count();
        if ours.len() - long > MOST || long > MOST_LONG {
            self.world.violated(format!("{} is asked at once: {ours:#?}", self.kind));
        }
    }
}
