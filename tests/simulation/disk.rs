//! The disk below a podman executor, in memory: no thread and no file has a say in a story.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;

use actors::podman_executor::{
    DiskFuture, Ended, PodmanDisk, Trails, Turn, Turns, Usage, VolumeFolder,
};
use actors::workload::WorkloadId;
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::faults::Fate;
use crate::world::World;

/// A write takes so long at most.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(1);

/// What one podman executor keeps; outlives the agent.
#[derive(Default)]
pub(crate) struct Files {
    /// The pods that have volumes.
    homes: BTreeSet<String>,
    images: Vec<u8>,
}

impl Files {
    /// Returns whether the pod has its volumes.
    pub(crate) fn holds(&self, id: &WorkloadId) -> bool {
        self.homes.contains(id.as_str())
    }
}

/// The disk as one life of the agent sees it. Clones share it.
#[derive(Clone)]
pub(crate) struct LocalDisk {
    pub(crate) world: Rc<World>,
    pub(crate) name: &'static str,
    pub(crate) turns: Turns,
    pub(crate) files: Rc<RefCell<Files>>,
}

impl LocalDisk {
    /// Makes a piece of work meet its fate; it is done even if its caller waits no longer.
    fn work<T: 'static>(
        &self,
        what: &str,
        turn: Option<Turn>,
        work: impl FnOnce(&mut Files) -> T + 'static,
    ) -> DiskFuture<T> {
        let key = format!("{} {what}", self.name);
        self.world.called(&key);
        let mut rng = self.world.chooser.rng(&key);
        let fate = self.world.chooser.fate(&mut rng);
        let wait = self.world.chooser.delay(&mut rng, LIMIT);
        self.world.note(|| format!("{key} {fate:?}"));
        let files = Rc::clone(&self.files);
        let done = spawn_local(async move {
            sleep(wait).await;
            let done = match fate {
                Fate::Refused | Fate::Silent | Fate::Panic | Fate::KillBefore => None,
                Fate::Fine | Fate::Lost | Fate::Late | Fate::KillAfter => {
                    Some(work(&mut files.borrow_mut()))
                }
            };
            drop(turn);
            done
        });
        let world = Rc::clone(&self.world);
        answer(world, fate, done.map(|done| done.ok().flatten()).boxed_local())
    }
}

fn answer<T: 'static>(
    world: Rc<World>,
    fate: Fate,
    done: LocalBoxFuture<'static, Option<T>>,
) -> DiskFuture<T> {
    async move {
        let done = done.await;
        match fate {
            Fate::Fine => done.ok_or_else(|| "the disk ended early".to_owned()),
            Fate::Refused => Err("no space left on device".to_owned()),
            Fate::Lost => Err("input/output error".to_owned()),
            Fate::Silent | Fate::Late => std::future::pending().await,
            Fate::Panic => panic!("ordered by the simulation"),
            Fate::KillBefore | Fate::KillAfter => {
                world.kill.notify_one();
                std::future::pending().await
            }
        }
    }
    .boxed_local()
}

impl PodmanDisk for LocalDisk {
    fn turns(&self) -> &Turns {
        &self.turns
    }

    fn volumes_removed(&self, _: WorkloadId) -> DiskFuture<()> {
        self.work("wait for volumes", None, |_| ())
    }

    fn write_volumes(
        &self,
        turn: Turn,
        id: WorkloadId,
        folders: Vec<VolumeFolder>,
        _: Option<(u32, u32)>,
    ) -> DiskFuture<()> {
        self.work("write volumes", Some(turn), move |files| {
            files.homes.remove(id.as_str());
            if !folders.is_empty() {
                files.homes.insert(id.to_string());
            }
        })
    }

    fn remove_volumes(&self, turn: Turn, id: WorkloadId, _: Ended) -> DiskFuture<()> {
        self.work("remove volumes", Some(turn), move |files| {
            files.homes.remove(id.as_str());
        })
    }

    fn sweep_volumes(&self, turn: Turn, kept: BTreeSet<String>) -> DiskFuture<()> {
        self.work("sweep volumes", Some(turn), move |files| {
            files.homes.retain(|home| kept.contains(home));
        })
    }

    fn usage(&self, id: WorkloadId, _: String) -> DiskFuture<Usage> {
        let is_overfull = self.world.chooser.is_overfull(&id);
        if is_overfull {
            self.world.overfull.borrow_mut().insert(id);
        }
        let bytes = if is_overfull { 2 << 20 } else { 4096 };
        self.work("measure a volume", None, move |_| Usage { bytes, is_deeper: false })
    }

    fn remove_again(&self) {}

    fn look_at(&self, _: BTreeSet<PathBuf>) -> DiskFuture<Trails> {
        self.work("look at the host", None, |_| Trails::new())
    }

    fn read_images(&self) -> DiskFuture<Vec<u8>> {
        self.work("read images", None, |files| files.images.clone())
    }

    fn write_images(&self, list: Vec<u8>) -> DiskFuture<()> {
        self.work("write images", None, move |files| files.images = list)
    }
}
