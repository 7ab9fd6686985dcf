//! What speaks for the wall clock: at times a time service, else the time since boot.

use std::rc::Rc;
use std::time::Duration;

use actors::scheduler::{ClockEvidence, ClockWitness};
use futures_util::future::LocalBoxFuture;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::world::World;

/// Time since boot after which a clock is followed that no time service speaks for.
pub(crate) const GRACE: Duration = Duration::from_secs(300);

/// The witness of this world.
pub(crate) struct Witness(pub(crate) Rc<World>);

impl ClockWitness for Witness {
    fn look(&self) -> LocalBoxFuture<'static, Option<ClockEvidence>> {
        let world = Rc::clone(&self.0);
        world.called("clock look");
        let evidence = ClockEvidence {
            is_synchronized: world.is_synchronized.get(),
            uptime: world.now().saturating_since(world.booted.get()),
            newest: None,
        };
        let mut rng = world.chooser.rng("clock look");
        let wait = world.chooser.delay(&mut rng, GRACE);
        // What cannot be found out now is asked for again.
        let is_known = world.chooser.is_quiet() || rng.u8(0..10) > 0;
        let may_follow = is_known && (evidence.is_synchronized || evidence.uptime >= GRACE);
        world.may_follow_clock.set(world.may_follow_clock.get() || may_follow);
        Box::pin(async move {
            sleep(wait).await;
            is_known.then_some(evidence)
        })
    }
}

/// Boots the device: its time service finds the time after so long, if it does at all.
pub(crate) fn boot(world: &Rc<World>, synchronized_after: Option<Duration>) {
    world.booted.set(world.now());
    world.is_synchronized.set(false);
    let (boot, world) = (world.boot.get(), Rc::clone(world));
    if let Some(time) = synchronized_after {
        spawn_local(async move {
            sleep(time).await;
            if world.boot.get() == boot {
                world.note(|| "the clock is synchronised".to_owned());
                world.is_synchronized.set(true);
            }
        });
    }
}
