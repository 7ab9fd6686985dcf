//! What an executor keeps on the device's disk: the volumes of its pods, and the list of images that the
//! agent brought; and in memory the volumes that want it, and the logs of failed runs. The work is done
//! off the agent's thread.

pub(super) mod image_ledger;
pub(super) mod kept_logs;
mod removal;
mod remover;
pub(super) mod store;
mod trails;
mod usage;
pub(super) mod volumes;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};

use crate::blocking::{self, OneAtATime};
use crate::error_chain::error_chain;
use crate::path_trust::{self, End, Walked};
use crate::pod_manifest::{Trails, VolumeFolder};
use crate::podman_executor::disk::kept_logs::KeptRun;
use crate::podman_executor::disk::remover::Remover;
use crate::workload::{ExecutorKind, WorkloadId};

pub use usage::Usage;

/// What comes of a piece of work on the disk; a failure in plain words.
pub type DiskFuture<T> = LocalBoxFuture<'static, Result<T, String>>;

/// Held by the one who writes or removes volumes. It lasts until the disk has done it, even if
/// that is no longer awaited: a disk that was slow must not remove what came after.
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
/// Time for the logs of a failed run to be written.
const KEEPING_LIMIT: Duration = Duration::from_secs(2);
/// So many volumes are measured at one time, likewise.
const MAX_MEASURES: usize = 2;
/// So many looks at paths of the host are under way at one time: on a disk that hangs they never end.
const MAX_LOOKS: usize = 4;

/// What has ended of a pod, and with it the volumes that last as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The pod, which may start again: what containers wrote stays.
    Pod,
    /// Its specification: nothing stays.
    Specification,
}

/// The disk below an executor.
pub trait PodmanDisk {
    /// Returns who gives out the turns.
    fn turns(&self) -> &Turns;

    /// Returns the folder below which volumes in memory live, if there is one.
    fn memory_root(&self) -> Option<&Path> {
        None
    }

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

    /// Sets the volumes of the pod `id` aside, as far as they end with `ended`; absent ones are a success.
    /// They are removed later, without a turn.
    fn remove_volumes(&self, turn: Turn, id: WorkloadId, ended: Ended) -> DiskFuture<()>;

    /// Sets the volumes of all pods aside that are not `kept`.
    fn sweep_volumes(&self, turn: Turn, kept: BTreeSet<String>) -> DiskFuture<()>;

    /// Returns what the volume `name` of the pod `id` holds.
    fn usage(&self, id: WorkloadId, name: String) -> DiskFuture<Usage>;

    /// Tries again to remove what was set aside and could not be removed.
    fn remove_again(&self);

    /// Looks how paths of the host run.
    fn look_at(&self, paths: BTreeSet<PathBuf>) -> DiskFuture<Trails>;

    /// Reads the list of images; an absent one is empty.
    fn read_images(&self) -> DiskFuture<Vec<u8>>;

    /// Replaces the list of images: a power cut leaves the old one or the new one.
    fn write_images(&self, list: Vec<u8>) -> DiskFuture<()>;

    /// Returns whether there is a place for the logs of failed runs.
    fn keeps_logs(&self) -> bool {
        false
    }

    /// Keeps the logs of a failed run, if there is a place for them, and lets older ones go.
    fn keep_logs(&self, _run: KeptRun) -> DiskFuture<()> {
        async { Ok(()) }.boxed_local()
    }
}

/// Folders in memory, of all executors. What has none is not kept, or on disk.
#[derive(Clone, Debug, Default)]
pub struct InMemory {
    /// For the logs of failed runs.
    pub kept_logs: Option<PathBuf>,
    /// For volumes that want to be in memory. Rootless podman's user must be able to traverse it; no pod
    /// may have it as a volume of its own, as who can write there could lead podman elsewhere.
    pub volumes: Option<PathBuf>,
}

/// Returns the machine's disk: volumes below `volumes_root`, the list in `state_dir`. Nothing is kept in
/// memory.
#[must_use]
pub fn on_disk(volumes_root: &Path, state_dir: &Path, kind: ExecutorKind) -> Rc<dyn PodmanDisk> {
    on_disk_and_in_memory(volumes_root, state_dir, kind, &InMemory::default())
}

/// As [`on_disk`], with what is kept in `memory`.
#[must_use]
pub fn on_disk_and_in_memory(
    volumes_root: &Path,
    state_dir: &Path,
    kind: ExecutorKind,
    memory: &InMemory,
) -> Rc<dyn PodmanDisk> {
    let of_kind = |folder: &PathBuf| folder.join(kind.as_str());
    Rc::new(Files {
        kept_logs: memory.kept_logs.as_ref().map(of_kind),
        keeping: OneAtATime::default(),
        turns: Turns::default(),
        on_disk: Root::new(volumes_root.to_owned()),
        in_memory: memory.volumes.as_ref().map(of_kind).map(Root::new),
        looks: Arc::new(Semaphore::new(MAX_LOOKS)),
        measures: Arc::new(Semaphore::new(MAX_MEASURES)),
        images: state_dir.join(format!("images-{}.json", kind.as_str())),
    })
}

/// A folder below which volumes live.
#[derive(Clone)]
struct Root {
    path: PathBuf,
    remover: Remover,
}

impl Root {
    fn new(path: PathBuf) -> Self {
        Self { remover: Remover::new(path.clone()), path }
    }

    /// Writes those of `folders` that lie here.
    fn write(
        &self,
        id: &WorkloadId,
        folders: &[VolumeFolder],
        owner: Option<(u32, u32)>,
    ) -> Result<(), String> {
        let is_here = |folder: &&VolumeFolder| folder.path.starts_with(&self.path);
        let folders: Vec<_> = folders.iter().filter(is_here).cloned().collect();
        if folders.is_empty() {
            // What an agent with another folder left of it. That cannot hold up a pod which needs none of it.
            return self.set_aside(id, Ended::Pod).or(Ok(()));
        }
        walked(&self.path).map_err(|refusal| format!("{}: {refusal}", named(&folders)))?;
        self.remover.remove(volumes::set_aside(&self.path, id).map_err(plain)?);
        volumes::write(&self.path, id, &folders, owner).map_err(plain)
    }

    fn set_aside(&self, id: &WorkloadId, ended: Ended) -> Result<(), String> {
        match walked(&self.path) {
            Ok(walked) if walked.is_whole => {}
            Ok(_) => return Ok(()),
            // Of a pod that has nothing there nothing is to be removed, whose folder it may be.
            Err(_) if !volumes::has_any(&self.path, id) => return Ok(()),
            Err(refusal) => return Err(refusal),
        }
        self.remover.remove(volumes::set_aside(&self.path, id).map_err(plain)?);
        if ended == Ended::Specification {
            self.remover.remove(volumes::set_scratch_aside(&self.path, id).map_err(plain)?);
        }
        Ok(())
    }

    fn sweep(&self, kept: &BTreeSet<String>) -> Result<(), String> {
        if !walked(&self.path)?.is_whole {
            return Ok(());
        }
        let mut aside = Vec::new();
        let swept = volumes::sweep(&self.path, kept, &mut aside);
        self.remover.remove(aside);
        swept.map_err(plain)
    }
}

struct Files {
    turns: Turns,
    on_disk: Root,
    in_memory: Option<Root>,
    looks: Arc<Semaphore>,
    measures: Arc<Semaphore>,
    images: PathBuf,
    kept_logs: Option<PathBuf>,
    keeping: OneAtATime,
}

impl Files {
    fn roots(&self) -> Vec<Root> {
        std::iter::once(&self.on_disk).chain(&self.in_memory).cloned().collect()
    }
}

impl PodmanDisk for Files {
    fn turns(&self) -> &Turns {
        &self.turns
    }

    fn memory_root(&self) -> Option<&Path> {
        self.in_memory.as_ref().map(|root| root.path.as_path())
    }

    fn volumes_removed(&self, id: WorkloadId) -> DiskFuture<()> {
        let roots = self.roots();
        begin("waiting for volumes to be removed", move || {
            roots.iter().try_for_each(|root| root.remover.wait(&id, REMOVAL_LIMIT))
        })
    }

    fn write_volumes(
        &self,
        turn: Turn,
        id: WorkloadId,
        folders: Vec<VolumeFolder>,
        owner: Option<(u32, u32)>,
    ) -> DiskFuture<()> {
        let roots = self.roots();
        in_turn("writing volumes", turn, move || {
            roots.iter().try_for_each(|root| root.write(&id, &folders, owner))
        })
    }

    fn remove_volumes(&self, turn: Turn, id: WorkloadId, ended: Ended) -> DiskFuture<()> {
        let roots = self.roots();
        in_turn("removing volumes", turn, move || {
            let removed = roots.iter().map(|root| root.set_aside(&id, ended));
            removed.fold(Ok(()), Result::and)
        })
    }

    fn sweep_volumes(&self, turn: Turn, kept: BTreeSet<String>) -> DiskFuture<()> {
        let roots = self.roots();
        in_turn("sweeping volumes", turn, move || {
            let swept = roots.iter().map(|root| root.sweep(&kept));
            swept.fold(Ok(()), Result::and)
        })
    }

    fn usage(&self, id: WorkloadId, name: String) -> DiskFuture<Usage> {
        let (measures, roots) = (Arc::clone(&self.measures), self.roots());
        async move {
            let measure = measures.acquire_owned().await.map_err(plain)?;
            let measuring = begin("measuring a volume", move || {
                let mut usage = Usage::default();
                for root in roots {
                    usage = usage.and(usage::usage(&root.path, &id, &name).map_err(plain)?);
                }
                drop(measure);
                Ok(usage)
            });
            measuring.await
        }
        .boxed_local()
    }

    fn remove_again(&self) {
        self.roots().iter().for_each(|root| root.remover.try_again());
    }

    fn look_at(&self, paths: BTreeSet<PathBuf>) -> DiskFuture<Trails> {
        let looks = Arc::clone(&self.looks);
        async move {
            let look = looks.acquire_owned().await.map_err(plain)?;
            let looking = begin("resolving paths of the host", move || {
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
        begin("reading the list of images", move || store::read(&file).map_err(plain))
    }

    fn write_images(&self, list: Vec<u8>) -> DiskFuture<()> {
        let file = self.images.clone();
        begin("writing the list of images", move || store::replace(&file, &list).map_err(plain))
    }

    fn keeps_logs(&self) -> bool {
        self.kept_logs.is_some()
    }

    fn keep_logs(&self, run: KeptRun) -> DiskFuture<()> {
        let Some(folder) = self.kept_logs.clone() else { return async { Ok(()) }.boxed_local() };
        let keeping = self.keeping.clone();
        async move {
            let write = move || kept_logs::keep(&folder, &run).map_err(plain);
            keeping.run("keeping a log", KEEPING_LIMIT, write).await.map_err(plain)?
        }
        .boxed_local()
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

/// Returns the volumes that lie in `folders` as their author called them.
fn named(folders: &[VolumeFolder]) -> String {
    let names = folders.iter().filter_map(|folder| folder.path.file_name()?.to_str());
    let names: Vec<_> = names.collect();
    format!("{} {}", if names.len() == 1 { "volume" } else { "volumes" }, names.join(", "))
}

fn plain(error: impl Error) -> String {
    error_chain(&error)
}

fn in_turn(
    what: &'static str,
    turn: Turn,
    work: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> DiskFuture<()> {
    begin(what, move || {
        let done = work();
        drop(turn);
        done
    })
}

/// Begins `work`, which is done even if it is not awaited: a command that is given up leaves no volumes
/// half-written.
fn begin<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> DiskFuture<T> {
    let done = blocking::begin(what, work);
    done.map(|done| done.unwrap_or_else(|error| Err(plain(error)))).boxed_local()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[actix::test]
    async fn work_that_is_not_awaited_is_done_before_the_next_turn() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("volumes");
        let disk = on_disk(&root, folder.path(), ExecutorKind::PodmanRootful);
        let id = WorkloadId::from("web-1");
        let path = root.join("web-1").join("data");
        let volume =
            VolumeFolder { path: path.clone(), mode: 0o755, group: None, files: Vec::new() };

        let turn = disk.turns().next().await;
        drop(disk.write_volumes(turn, id.clone(), vec![volume], None));
        let turn = disk.turns().next().await;
        assert!(path.is_dir());

        drop(disk.remove_volumes(turn, id.clone(), Ended::Pod));
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
        let volume = VolumeFolder {
            path: root.join("web-1/data"),
            mode: 0o755,
            group: None,
            files: Vec::new(),
        };
        let turns = disk.turns();
        let refusals = [
            disk.sweep_volumes(turns.next().await, BTreeSet::new()).await,
            disk.remove_volumes(turns.next().await, "rootful".into(), Ended::Specification).await,
            disk.write_volumes(turns.next().await, id, vec![volume], None).await,
        ];
        for refusal in refusals {
            let refusal = refusal.unwrap_err();
            assert!(refusal.contains(&format!("{} belongs to", at("home").display())), "{refusal}");
            assert!(refusal.contains("chmod go-w"), "{refusal}");
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
            on_disk: Root { path: root.clone(), remover: remover.clone() },
            in_memory: None,
            looks: Arc::new(Semaphore::new(MAX_LOOKS)),
            measures: Arc::new(Semaphore::new(MAX_MEASURES)),
            images: folder.path().join("images.json"),
            kept_logs: None,
            keeping: OneAtATime::default(),
        };
        let volume = |id: &str| {
            let path = root.join(id).join("data");
            vec![VolumeFolder { path, mode: 0o755, group: None, files: Vec::new() }]
        };
        let db = WorkloadId::from("db-2");
        disk.volumes_removed(db.clone()).await.unwrap();
        let turn = disk.turns().next().await;
        disk.write_volumes(turn, db.clone(), volume("db-2"), None).await.unwrap();
        let turn = disk.turns().next().await;
        disk.remove_volumes(turn, db, Ended::Pod).await.unwrap();
        let turn = disk.turns().next().await;
        disk.sweep_volumes(turn, BTreeSet::new()).await.unwrap();
        assert!(root.join(".left-0-db-2").is_dir(), "it waits until the other is removed");
        remover.come_back();
        disk.volumes_removed(WorkloadId::from("db-2")).await.unwrap();
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
    }

    #[actix::test]
    async fn volumes_lie_where_they_want_to_and_outlive_their_pod_in_memory_as_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let (root, memory) = (folder.path().join("volumes"), folder.path().join("memory"));
        std::fs::create_dir(&memory).unwrap();
        let in_memory = InMemory { volumes: Some(memory.clone()), ..InMemory::default() };
        let kind = ExecutorKind::PodmanRootful;
        let disk = on_disk_and_in_memory(&root, folder.path(), kind, &in_memory);
        let memory = disk.memory_root().unwrap().to_owned();
        assert_eq!(memory, in_memory.volumes.unwrap().join("podman_rootful"));
        let id = WorkloadId::from("web-1");
        let paths = [
            root.join(".scratch/web-1/data"),
            memory.join(".scratch/web-1/cache"),
            // What each run of a cron workload begins with.
            memory.join("web-1/run"),
        ];
        let folders = paths.clone().map(|path| VolumeFolder {
            path,
            mode: 0o777,
            group: None,
            files: Vec::new(),
        });
        let is_there = || paths.clone().map(|path| path.join("x").exists());
        let turn = disk.turns().next().await;
        disk.write_volumes(turn, id.clone(), folders.to_vec(), None).await.unwrap();
        for path in &paths {
            std::fs::write(path.join("x"), "x").unwrap();
        }
        let turn = disk.turns().next().await;
        disk.remove_volumes(turn, id.clone(), Ended::Pod).await.unwrap();
        let turn = disk.turns().next().await;
        disk.write_volumes(turn, id.clone(), folders.to_vec(), None).await.unwrap();
        assert_eq!(is_there(), [true, true, false]);
        let turn = disk.turns().next().await;
        disk.sweep_volumes(turn, [id.to_string()].into()).await.unwrap();
        assert_eq!(is_there(), [true, true, false]);
        let turn = disk.turns().next().await;
        disk.sweep_volumes(turn, BTreeSet::new()).await.unwrap();
        disk.volumes_removed(id).await.unwrap();
        let left = [root, memory].map(|root| std::fs::read_dir(root).unwrap().count());
        assert_eq!(left, [0, 0]);
    }

    #[actix::test]
    async fn a_folder_in_memory_that_cannot_be_used_holds_up_only_the_pods_that_need_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("open")).unwrap();
        std::fs::set_permissions(at("open"), PermissionsExt::from_mode(0o777)).unwrap();
        std::fs::write(at("file"), "no folder").unwrap();
        for memory in ["open", "file"] {
            let in_memory = InMemory { volumes: Some(at(memory)), ..InMemory::default() };
            let kind = ExecutorKind::PodmanRootful;
            let disk = on_disk_and_in_memory(&at("volumes"), folder.path(), kind, &in_memory);
            let memory = disk.memory_root().unwrap().to_owned();
            let volume =
                |path: PathBuf| VolumeFolder { path, mode: 0o777, files: Vec::new(), group: None };
            let on_disk = |id: &str| volume(at("volumes").join(".scratch").join(id).join("data"));
            let in_memory = |id: &str| volume(memory.join(".scratch").join(id).join("cache"));
            let written = async |id: &str, folders: Vec<VolumeFolder>| {
                let turn = disk.turns().next().await;
                disk.write_volumes(turn, id.into(), folders, None).await
            };
            let removed = async |id: &str, ended| {
                let turn = disk.turns().next().await;
                disk.remove_volumes(turn, id.into(), ended).await
            };
            for ended in [Ended::Pod, Ended::Specification] {
                written("plain-1", vec![on_disk("plain-1")]).await.unwrap();
                assert!(on_disk("plain-1").path.is_dir());
                removed("plain-1", ended).await.unwrap();
                removed("none-1", ended).await.unwrap();
            }
            assert!(!on_disk("plain-1").path.exists());
            let refused = written("web-1", vec![on_disk("web-1"), in_memory("web-1")]).await;
            let refused = refused.unwrap_err();
            let expected =
                format!("volume cache: nothing is written or removed below {}: ", memory.display());
            assert!(refused.starts_with(&expected), "{refused}");
            assert!(refused.contains("chmod go-w it, or remove it"), "{refused}");
            removed("web-1", Ended::Specification).await.unwrap();
        }
        // What lies there in a pod's name is not left without a word.
        let kind = ExecutorKind::PodmanRootful;
        std::fs::create_dir_all(at("open").join(kind.as_str()).join(".scratch/web-1")).unwrap();
        let in_memory = InMemory { volumes: Some(at("open")), ..InMemory::default() };
        let disk = on_disk_and_in_memory(&at("volumes"), folder.path(), kind, &in_memory);
        let turn = disk.turns().next().await;
        disk.remove_volumes(turn, "web-1".into(), Ended::Specification).await.unwrap_err();
    }

    #[actix::test]
    async fn paths_of_the_host_are_resolved() {
        let folder = tempfile::tempdir().unwrap();
        let disk = on_disk(folder.path(), folder.path(), ExecutorKind::PodmanRootful);
        let path = folder.path().join("none");
        let looked = disk.look_at([path.clone()].into()).await.unwrap();
        assert!(!looked[&path].is_there);
        assert_eq!(looked[&path].end.file_name(), path.file_name());
    }
}
