//! What an executor keeps on the device's disk: the volumes of its pods, and the list of images that
//! the agent brought. The work is done off the agent's thread.

pub(super) mod image_ledger;
mod removal;
mod remover;
pub(super) mod store;
mod trails;
pub(super) mod volumes;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};

use crate::error_chain::error_chain;
use crate::path_trust::{self, End, Walked};
use crate::pod_manifest::{Trails, VolumeFolder};
use crate::podman_executor::disk::remover::Remover;
use crate::workload::{ExecutorKind, WorkloadId};

/// What comes of a piece of work on the disk; a failure in plain words.
pub type DiskFuture<T> = LocalBoxFuture<'static, Result<T, String>>;

/// Held by the one who writes or removes volumes. It lasts until the disk has done it, even if
/// nobody waits for that any more: a disk that was slow must not remove what came after.
pub struct Turn(#[allow(dead_code, reason = "it is held, not read")] OwnedMutexGuard<()>);

/// Gives out the [`Turn`]s of one disk, in order of arrival. Clones are the same queue.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<()>>);

impl Turns {
    /// Waits for the turn.
    pub async fn next(&self) -> Turn {
        Turn(Arc::clone(&self.0).lock_owned().await)
    }
}

/// Longest time to wait for what a pod left at its last run to be removed.
const REMOVAL_LIMIT: Duration = Duration::from_secs(20);
/// So many looks at paths of the host are under way at one time: on a disk that hangs they never end.
const MAX_LOOKS: usize = 4;

/// The disk below an executor.
pub trait PodmanDisk {
    /// Returns who gives out the turns.
    fn turns(&self) -> &Turns;

    /// Waits, not for ever, until what the pod `id` left at its last run is removed.
    fn volumes_removed(&self, id: WorkloadId) -> DiskFuture<()>;

    /// Writes the volumes of the pod `id` afresh, handed to `owner` if there is one.
    fn write_volumes(
        &self,
        turn: Turn,
        id: WorkloadId,
        folders: Vec<VolumeFolder>,
        owner: Option<(u32, u32)>,
    ) -> DiskFuture<()>;

    /// Sets the volumes of the pod `id` aside; absent ones are a success. They are removed later,
    /// without a turn.
    fn remove_volumes(&self, turn: Turn, id: WorkloadId) -> DiskFuture<()>;

    /// Sets the volumes of all pods aside that are not `kept`.
    fn sweep_volumes(&self, turn: Turn, kept: BTreeSet<String>) -> DiskFuture<()>;

    /// Tries again to remove what was set aside and could not be removed.
    fn remove_again(&self);

    /// Looks how paths of the host run.
    fn look_at(&self, paths: BTreeSet<PathBuf>) -> DiskFuture<Trails>;

    /// Reads the list of images; an absent one is empty.
    fn read_images(&self) -> DiskFuture<Vec<u8>>;

    /// Replaces the list of images: a power cut leaves the old one or the new one.
    fn write_images(&self, list: Vec<u8>) -> DiskFuture<()>;
}

/// Returns the machine's disk: volumes below `volumes_root`, the list in `state_dir`.
#[must_use]
pub fn on_disk(volumes_root: &Path, state_dir: &Path, kind: ExecutorKind) -> Rc<dyn PodmanDisk> {
    Rc::new(Files {
        turns: Turns::default(),
        volumes_root: volumes_root.to_owned(),
        remover: Remover::new(volumes_root.to_owned()),
        looks: Arc::new(Semaphore::new(MAX_LOOKS)),
        images: state_dir.join(format!("images-{}.json", kind.as_str())),
    })
}

struct Files {
    turns: Turns,
    volumes_root: PathBuf,
    remover: Remover,
    looks: Arc<Semaphore>,
    images: PathBuf,
}

impl PodmanDisk for Files {
    fn turns(&self) -> &Turns {
        &self.turns
    }

    fn volumes_removed(&self, id: WorkloadId) -> DiskFuture<()> {
        let remover = self.remover.clone();
        off_thread(move || remover.wait(&id, REMOVAL_LIMIT))
    }

    fn write_volumes(
        &self,
        turn: Turn,
        id: WorkloadId,
        folders: Vec<VolumeFolder>,
        owner: Option<(u32, u32)>,
    ) -> DiskFuture<()> {
        let (root, remover) = (self.volumes_root.clone(), self.remover.clone());
        in_turn(turn, move || {
            walked(&root)?;
            remover.remove(volumes::set_aside(&root, &id).map_err(plain)?);
            volumes::write(&root, &id, &folders, owner).map_err(plain)
        })
    }

    fn remove_volumes(&self, turn: Turn, id: WorkloadId) -> DiskFuture<()> {
        let (root, remover) = (self.volumes_root.clone(), self.remover.clone());
        in_turn(turn, move || {
            if walked(&root)?.is_whole {
                remover.remove(volumes::set_aside(&root, &id).map_err(plain)?);
            }
            Ok(())
        })
    }

    fn sweep_volumes(&self, turn: Turn, kept: BTreeSet<String>) -> DiskFuture<()> {
        let (root, remover) = (self.volumes_root.clone(), self.remover.clone());
        in_turn(turn, move || {
            if !walked(&root)?.is_whole {
                return Ok(());
            }
            let mut aside = Vec::new();
            let swept = volumes::sweep(&root, &kept, &mut aside);
            remover.remove(aside);
            swept.map_err(plain)
        })
    }

    fn remove_again(&self) {
        self.remover.try_again();
    }

    fn look_at(&self, paths: BTreeSet<PathBuf>) -> DiskFuture<Trails> {
        let looks = Arc::clone(&self.looks);
        async move {
            let look = looks.acquire_owned().await.map_err(plain)?;
            let looking = off_thread(move || {
                let trails = paths.into_iter().map(|path| (path.clone(), trails::trail(&path)));
                let trails = trails.collect();
                drop(look);
                Ok(trails)
            });
            looking.await
        }
        .boxed_local()
    }

    fn read_images(&self) -> DiskFuture<Vec<u8>> {
        let file = self.images.clone();
        off_thread(move || store::read(&file).map_err(plain))
    }

    fn write_images(&self, list: Vec<u8>) -> DiskFuture<()> {
        let file = self.images.clone();
        off_thread(move || store::replace(&file, &list).map_err(plain))
    }
}

/// Makes sure that no other user can put a link, or a folder of theirs, in the path to the volumes: what
/// is removed there is removed with the agent's rights. What is not there yet may still come from
/// others: nothing is to be removed from it.
fn walked(root: &Path) -> Result<Walked, String> {
    path_trust::walk(root, End::Closed).map_err(|fault| {
        format!(
            "nothing is written or removed below {}: {fault}; chown it to the agent's user and \
             chmod go-w it, or remove it",
            root.display()
        )
    })
}

fn plain(error: impl Error) -> String {
    error_chain(&error)
}

fn in_turn(
    turn: Turn,
    work: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> DiskFuture<()> {
    off_thread(move || {
        let done = work();
        drop(turn);
        done
    })
}

/// Begins `work` at once, so that it is done whether or not it is awaited.
fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> DiskFuture<T> {
    let done = tokio::task::spawn_blocking(work);
    done.map(|done| done.unwrap_or_else(|error| Err(error.to_string()))).boxed_local()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[actix::test]
    async fn work_that_nobody_waits_for_is_done_before_the_next_turn() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("volumes");
        let disk = on_disk(&root, folder.path(), ExecutorKind::PodmanRootful);
        let id = WorkloadId::from("web-1");
        let path = root.join("web-1").join("data");
        let volume = VolumeFolder { path: path.clone(), mode: 0o755, files: Vec::new() };

        let turn = disk.turns().next().await;
        drop(disk.write_volumes(turn, id.clone(), vec![volume], None));
        let turn = disk.turns().next().await;
        assert!(path.is_dir());

        drop(disk.remove_volumes(turn, id.clone()));
        let _turn = disk.turns().next().await;
        assert!(!path.exists());
        disk.volumes_removed(id).await.unwrap();
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
    }

    #[actix::test]
    async fn volumes_below_what_others_can_replace_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let id = WorkloadId::from("web-1");
        // Whose folder this is may put a link there, and has done so.
        std::fs::create_dir(at("home")).unwrap();
        std::fs::set_permissions(at("home"), PermissionsExt::from_mode(0o777)).unwrap();
        std::fs::create_dir_all(at("state/volumes/rootful/data")).unwrap();
        symlink(at("state"), at("home/state-rootless")).unwrap();
        let root = at("home/state-rootless/volumes");
        let disk = on_disk(&root, folder.path(), ExecutorKind::PodmanRootless);
        let volume = VolumeFolder { path: root.join("web-1/data"), mode: 0o755, files: Vec::new() };
        let turns = disk.turns();
        let told = [
            disk.sweep_volumes(turns.next().await, BTreeSet::new()).await,
            disk.remove_volumes(turns.next().await, WorkloadId::from("rootful")).await,
            disk.write_volumes(turns.next().await, id, vec![volume], None).await,
        ];
        for told in told {
            let told = told.unwrap_err();
            assert!(told.contains(&format!("{} belongs to", at("home").display())), "{told}");
            assert!(told.contains("chmod go-w"), "{told}");
        }
        let left = std::fs::read_dir(at("state/volumes")).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["rootful"]);
    }

    #[actix::test]
    async fn a_removal_that_takes_long_holds_up_no_other_pod() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("volumes");
        let remover = Remover::hanging(root.clone(), ".left-0-web-1");
        let disk = Files {
            turns: Turns::default(),
            volumes_root: root.clone(),
            remover: remover.clone(),
            looks: Arc::new(Semaphore::new(MAX_LOOKS)),
            images: folder.path().join("images.json"),
        };
        let volume = |id: &str| {
            let path = root.join(id).join("data");
            vec![VolumeFolder { path, mode: 0o755, files: Vec::new() }]
        };
        let db = WorkloadId::from("db-2");
        disk.volumes_removed(db.clone()).await.unwrap();
        let turn = disk.turns().next().await;
        disk.write_volumes(turn, db.clone(), volume("db-2"), None).await.unwrap();
        let turn = disk.turns().next().await;
        disk.remove_volumes(turn, db).await.unwrap();
        let turn = disk.turns().next().await;
        disk.sweep_volumes(turn, BTreeSet::new()).await.unwrap();
        assert!(root.join(".left-0-db-2").is_dir(), "it waits until the other is removed");
        remover.come_back();
        disk.volumes_removed(WorkloadId::from("db-2")).await.unwrap();
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
    }

    #[actix::test]
    async fn paths_of_the_host_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let disk = on_disk(folder.path(), folder.path(), ExecutorKind::PodmanRootful);
        let path = folder.path().join("none");
        let looked = disk.look_at([path.clone()].into()).await.unwrap();
        assert!(!looked[&path].is_there);
        assert_eq!(looked[&path].end.file_name(), path.file_name());
    }
}
