//! A log that now and then panics under the writer's hand: the one place where every actor can be
//! hit in the middle of a handler.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::rc::Rc;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::world::World;

/// What a panic says that the simulation ordered.
const ORDERED: &str = "ordered by the simulation";

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// Lets the log of this thread belong to `world`.
pub(crate) fn belongs_to(world: Option<&Rc<World>>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Poison).expect("nobody else subscribes");
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload_as_str().unwrap_or_default();
            if !text.contains(ORDERED) {
                hook(panic);
            }
        }));
    });
    WORLD.with(|current| *current.borrow_mut() = world.cloned());
}

struct Poison;

impl Subscriber for Poison {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        metadata.is_event()
            && *metadata.level() <= Level::DEBUG
            && target.starts_with("actors::")
            && !target.starts_with("actors::testing")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // During a panic the log only drops.
        if std::thread::panicking() {
            return;
        }
        let Some(world) = WORLD.with(|current| current.borrow().clone()) else { return };
        let target = event.metadata().target();
        if world.verbose {
            let mut line = Line(String::new());
            event.record(&mut line);
            world.note(|| format!("  log {target}{}", line.0));
        }
        let spared = ["actors::supervisor", "actors::messages"];
        if !spared.contains(&target) && world.chooser.poisons_log(target) {
            world.note(|| format!("{target} panics"));
            panic!("{ORDERED}");
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}
