//! The control plane, the folder of manifests and the disk, whose calls meet their fate.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actors::control_plane_sync::{
    Answer, Call, ClientIdentity, ConfigurationSource, ConfigurationStore, ControlAnswer,
    ControlPlaneApi, ControlPlaneError, EnrolmentAnswer, Heartbeat, Message, Restored,
};
use actors::testing::control_plane::FakeControlPlane;
use actors::workload::{Configuration, Workload};
use futures_util::future::{FutureExt as _, LocalBoxFuture, pending};
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::faults::Fate;
use crate::world::World;

const LIMIT: Duration = Duration::from_secs(30);
/// Events that one heartbeat may carry.
const MAX_EVENTS: usize = 200;

/// The control plane, or a folder.
#[derive(Clone)]
pub(crate) struct ControlPlane {
    pub(crate) world: Rc<World>,
    /// Signs certificates.
    pub(crate) inner: FakeControlPlane,
    pub(crate) is_folder: bool,
}

impl ControlPlane {
    fn call<T: 'static>(
        &self,
        call: Call,
        work: impl FnOnce(&Self) -> Answer<T> + 'static,
    ) -> Answer<T> {
        let this = self.clone();
        let unreachable =
            move || ControlPlaneError::Unreachable { call, reason: "connection reset".to_owned() };
        async move {
            let world = Rc::clone(&this.world);
            let key = format!("control plane {call}");
            world.called(&key);
            let mut rng = world.chooser.rng(&key);
            let fate = world.chooser.fate(&mut rng);
            let before = world.chooser.delay(&mut rng, LIMIT);
            world.note(|| format!("{key} {fate:?}"));
            sleep(before).await;
            if world.control_plane_down.get() && !this.is_folder {
                return Err(unreachable());
            }
            match fate {
                Fate::Fine => {
                    let answer = work(&this).await;
                    if call == Call::Configuration {
                        this.world.model.borrow_mut().arrived(world.now());
                    }
                    answer
                }
                Fate::Lost => {
                    drop(work(&this).await);
                    sleep(LIMIT).await;
                    Err(ControlPlaneError::TimedOut { call, after: LIMIT })
                }
                Fate::KillAfter => {
                    drop(work(&this).await);
                    world.kill.notify_one();
                    pending().await
                }
                // Past every deadline: the supervisor must notice.
                Fate::Late => pending().await,
                Fate::Silent => {
                    sleep(LIMIT).await;
                    Err(ControlPlaneError::TimedOut { call, after: LIMIT })
                }
                Fate::Refused if this.is_folder => Err(ControlPlaneError::Manifests {
                    folder: "/manifests".to_owned(),
                    reason: "input/output error".to_owned(),
                }),
                Fate::Refused => Err(match rng.u8(0..4) {
                    0 => ControlPlaneError::DeviceUnknown { call },
                    1 => ControlPlaneError::Unauthorized { call },
                    2 => ControlPlaneError::Undecodable { call, reason: "half of it".to_owned() },
                    _ => {
                        let message = Message::default();
                        ControlPlaneError::ServerFailed { call, status: 500, message }
                    }
                }),
                Fate::Panic => panic!("ordered by the simulation"),
                Fate::KillBefore => {
                    world.kill.notify_one();
                    pending().await
                }
            }
        }
        .boxed_local()
    }

    fn delivered(&self) -> Configuration {
        let configuration = self.world.configuration.borrow().clone();
        let now = self.world.now();
        self.world.model.borrow_mut().delivered(&configuration, now);
        configuration
    }
}

impl ConfigurationSource for ControlPlane {
    fn configuration(&self, _: &[Arc<Workload>]) -> Answer<Configuration> {
        self.call(Call::Configuration, |this| {
            // A server that lost its objects for a moment; a folder is believed at once.
            let mut rng = this.world.chooser.rng("emptiness");
            let empty = !this.is_folder && !this.world.chooser.is_quiet() && rng.u16(0..300) == 0;
            let mut configuration = this.world.configuration.borrow().clone();
            if empty {
                configuration.workloads.clear();
            } else {
                configuration = this.delivered();
            }
            async { Ok(configuration) }.boxed_local()
        })
    }
}

impl ControlPlaneApi for ControlPlane {
    fn present(&self, _: ClientIdentity) -> Answer<()> {
        async { Ok(()) }.boxed_local()
    }

    fn enrol(&self) -> Answer<EnrolmentAnswer> {
        self.call(Call::Enrolment, |_| async { Ok(EnrolmentAnswer::Approved) }.boxed_local())
    }

    fn register(&self, request: String) -> Answer<String> {
        self.call(Call::Registration, |this| this.inner.register(request))
    }

    fn heartbeat(&self, heartbeat: Heartbeat) -> Answer<()> {
        let events = heartbeat.events.len();
        if events > MAX_EVENTS {
            self.world.violated(format!("a heartbeat carries {events} events"));
        }
        self.call(Call::Heartbeat, |_| async { Ok(()) }.boxed_local())
    }

    fn control(&self) -> Answer<ControlAnswer> {
        self.call(Call::Control, |this| {
            let mut rng = this.world.chooser.rng("disconnection");
            let disconnects = !this.world.chooser.is_quiet() && rng.u16(0..300) == 0;
            let answer =
                if disconnects { ControlAnswer::Disconnect } else { ControlAnswer::Nothing };
            async move { Ok(answer) }.boxed_local()
        })
    }
}

/// What is on the disk.
#[derive(Default)]
pub(crate) struct Disk {
    current: Option<Configuration>,
    previous: Option<Configuration>,
    /// A write that a kill tore: the newest generation is damaged.
    torn: bool,
    /// A write hangs: another one is refused.
    busy: bool,
}

/// The store of one life of the agent.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) world: Rc<World>,
    pub(crate) disk: Rc<RefCell<Disk>>,
}

impl ConfigurationStore for Store {
    fn load(&self) -> LocalBoxFuture<'static, Restored> {
        let disk = self.disk.borrow();
        let damaged = disk.torn.then(|| "the newest generation is damaged".to_owned());
        let configuration = if disk.torn { &disk.previous } else { &disk.current };
        let restored = Restored {
            configuration: configuration.clone(),
            is_outdated: disk.torn,
            stored_at: None,
            problems: damaged.into_iter().collect(),
        };
        Box::pin(async { restored })
    }

    fn save(&self, configuration: &Configuration) -> LocalBoxFuture<'static, Result<(), String>> {
        let (this, configuration) = (self.clone(), configuration.clone());
        async move {
            let world = Rc::clone(&this.world);
            world.called("disk save");
            let mut rng = world.chooser.rng("disk save");
            let fate = world.chooser.fate(&mut rng);
            let wait = world.chooser.delay(&mut rng, LIMIT);
            world.note(|| format!("disk save {fate:?}"));
            let busy = Rc::clone(&this.disk);
            let keep = move || {
                let mut disk = this.disk.borrow_mut();
                this.world.kept(&configuration.updates);
                let former = disk.current.replace(configuration);
                if !std::mem::replace(&mut disk.torn, false) {
                    disk.previous = former;
                }
            };
            sleep(wait).await;
            if busy.borrow().busy {
                return Err("the write before it has not ended".to_owned());
            }
            match fate {
                Fate::Fine => keep(),
                Fate::Refused => return Err("no space left on device".to_owned()),
                Fate::Silent => pending().await,
                Fate::Lost => {
                    keep();
                    return Err("input/output error".to_owned());
                }
                Fate::Late => {
                    busy.borrow_mut().busy = true;
                    spawn_local(async move {
                        sleep(LIMIT).await;
                        keep();
                        busy.borrow_mut().busy = false;
                    });
                    pending().await
                }
                Fate::Panic => panic!("ordered by the simulation"),
                Fate::KillBefore => {
                    world.kill.notify_one();
                    pending().await
                }
                Fate::KillAfter => {
                    keep();
                    world.kill.notify_one();
                    pending().await
                }
            }
            Ok(())
        }
        .boxed_local()
    }
}

impl Disk {
    pub(crate) fn is_torn(&self) -> bool {
        self.torn
    }

    /// Returns whether the workloads and profiles of `wanted` would survive a restart.
    pub(crate) fn holds(&self, wanted: &Configuration) -> bool {
        self.current.as_ref().is_some_and(|kept| {
            kept.workloads == wanted.workloads && kept.profiles == wanted.profiles
        })
    }

    /// Damages the newest generation, as a bad sector does.
    pub(crate) fn tear(&mut self) {
        self.torn = self.previous.is_some();
    }
}
