//! Removes the volumes that were set aside, on a thread of its own, as long as there are any.
//!
//! Only the setting aside waits for its turn: a volume with millions of files, or a disk that hangs,
//! delays only the thread, and the next run of the same pod.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use crate::error_chain::error_chain;
use crate::podman_executor::disk::volumes;
use crate::workload::WorkloadId;

/// Said of a removal that does nothing from one look to the next.
const HANGS: &str = "the disk does not answer";

/// Removes what was set aside below one root. Clones are the same.
#[derive(Clone)]
pub(in crate::podman_executor) struct Remover(Arc<Shared>);

struct Shared {
    root: PathBuf,
    /// Entries that were looked at.
    steps: AtomicU64,
    state: Mutex<State>,
    /// Something was removed, or could not be.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_at_work: bool,
    waiting: BTreeSet<String>,
    current: Option<String>,
    /// What stays, and why it does.
    stays: BTreeMap<String, String>,
    /// The steps when last looked.
    looked: u64,
}

impl State {
    fn has(&self, id: &WorkloadId) -> bool {
        let names = self.waiting.iter().chain(&self.current);
        let mut names = names.filter(|name| !self.stays.contains_key(*name));
        names.any(|name| volumes::set_aside_for(name) == Some(id.as_str()))
    }
}

impl Remover {
    /// Returns one that has nothing to do.
    pub(in crate::podman_executor) fn new(root: PathBuf) -> Self {
        let (steps, state, changed) = (AtomicU64::new(0), Mutex::default(), Condvar::new());
        Self(Arc::new(Shared { root, steps, state, changed }))
    }

    /// Begins to remove what was set aside under these names.
    pub(in crate::podman_executor) fn remove(&self, names: impl IntoIterator<Item = String>) {
        let mut state = self.0.state();
        state.waiting.extend(names);
        if state.is_at_work || state.waiting.is_empty() {
            return;
        }
        let work = Work { shared: Arc::clone(&self.0), is_over: false };
        // Not joined: a disk that hangs must not hold up the agent's exit.
        let thread = std::thread::Builder::new().name("removal".to_owned());
        state.is_at_work = true;
        // What a thread that cannot be had drops asks for the state as well. Without one, what waits
        // does so for the next who asks.
        drop(state);
        drop(thread.spawn(move || work.run()));
    }

    /// Tries again what could not be removed, and says so when the disk hangs.
    pub(in crate::podman_executor) fn try_again(&self) {
        let mut state = self.0.state();
        let (steps, current) = (self.0.steps.load(Ordering::Relaxed), state.current.clone());
        let hangs = mem::replace(&mut state.looked, steps) == steps;
        if let Some(name) = current.filter(|_| hangs) {
            self.0.note(&mut state, &name, Err(HANGS.to_owned()));
        }
        let is_idle = |name: &&String| state.current.as_ref() != Some(name);
        let stays: Vec<_> = state.stays.keys().filter(is_idle).cloned().collect();
        drop(state);
        self.remove(stays);
    }

    /// Waits until no volumes of the pod `id` are being removed: a pod that fills its disk must not
    /// do so again before that is done. What cannot be removed is not waited for.
    ///
    /// # Errors
    /// It takes longer than `limit`.
    pub(in crate::podman_executor) fn wait(
        &self,
        id: &WorkloadId,
        limit: Duration,
    ) -> Result<(), String> {
        // There may have been no thread for it.
        self.remove([]);
        let state = self.0.state();
        let waited = self.0.changed.wait_timeout_while(state, limit, |state| state.has(id));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.has(id) {
            true => Err("volumes of its last run are still being removed".to_owned()),
            false => Ok(()),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what came of a removal; says so when that is news.
    fn note(&self, state: &mut State, name: &str, removed: Result<(), String>) {
        let path = self.root.join(name);
        let path = path.display();
        match removed {
            Ok(()) if state.stays.remove(name).is_some() => {
                info!(%path, "volumes that stayed were removed");
            }
            Ok(()) => {}
            Err(error) if state.stays.get(name) == Some(&error) => {}
            Err(error) => {
                warn!(%path, error, "volumes were not removed");
                state.stays.insert(name.to_owned(), error);
            }
        }
    }
}

/// What the thread does. A thread that ends in another way than by being done is noticed.
struct Work {
    shared: Arc<Shared>,
    is_over: bool,
}

impl Work {
    fn run(mut self) {
        while let Some(name) = self.next() {
            let removed = volumes::remove_aside(&self.shared.root, &name, &self.shared.steps);
            let mut state = self.shared.state();
            state.current = None;
            self.shared.note(&mut state, &name, removed.map_err(|error| error_chain(&error)));
            self.shared.changed.notify_all();
        }
    }

    fn next(&mut self) -> Option<String> {
        let mut state = self.shared.state();
        state.current = state.waiting.pop_first();
        state.is_at_work = state.current.is_some();
        self.is_over = !state.is_at_work;
        state.current.clone()
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.is_over {
            let mut state = self.shared.state();
            (state.is_at_work, state.current) = (false, None);
            self.shared.changed.notify_all();
        }
    }
}

#[cfg(test)]
impl Remover {
    /// Returns one whose thread is at `name` and does not come back, until [`Self::come_back`].
    pub(in crate::podman_executor) fn hanging(root: PathBuf, name: &str) -> Self {
        let remover = Self::new(root);
        let mut state = remover.0.state();
        (state.is_at_work, state.current) = (true, Some(name.to_owned()));
        drop(state);
        remover
    }

    /// Lets the thread be done with what it was at.
    pub(in crate::podman_executor) fn come_back(&self) {
        let mut state = self.0.state();
        (state.is_at_work, state.current) = (false, None);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(1);

    #[test]
    fn only_the_pod_whose_volumes_are_being_removed_waits() {
        let dir = tempfile::tempdir().unwrap();
        let remover = Remover::hanging(dir.path().to_owned(), ".left-0-web-1");
        let id = WorkloadId::from;
        remover.remove([".left-1-db-2".to_owned()]);
        assert_eq!(remover.wait(&id("mail-3"), LONG), Ok(()));
        for waiting in ["web-1", "db-2"] {
            let error = remover.wait(&id(waiting), SHORT).unwrap_err();
            assert!(error.contains("still being removed"), "{error}");
        }
        remover.come_back();
        assert_eq!(remover.wait(&id("web-1"), LONG), Ok(()));
        assert_eq!(remover.wait(&id("db-2"), LONG), Ok(()), "the rest is taken up again");
    }

    #[test]
    fn a_disk_that_hangs_is_noticed_at_the_second_look_and_not_waited_for_any_longer() {
        let dir = tempfile::tempdir().unwrap();
        let remover = Remover::hanging(dir.path().to_owned(), ".left-0-web-1");
        remover.0.steps.store(1, Ordering::Relaxed);
        remover.try_again();
        assert!(remover.0.state().stays.is_empty(), "it has made a step");
        remover.try_again();
        assert_eq!(remover.0.state().stays[".left-0-web-1"], HANGS);
        assert_eq!(remover.wait(&WorkloadId::from("web-1"), LONG), Ok(()));
    }

    #[test]
    fn what_could_not_be_removed_is_not_waited_for_and_tried_again() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (id, name) = (WorkloadId::from("web-1"), ".left-0-web-1");
        let mounted = dir.path().join(name).join("mounted");
        std::fs::create_dir_all(&mounted).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&mounted).status();
        assert!(mount.unwrap().success());
        let remover = Remover::new(dir.path().to_owned());
        remover.remove([name.to_owned()]);
        let waited = remover.wait(&id, LONG);
        let stays = remover.0.state().stays.clone();
        assert!(Command::new("umount").arg(&mounted).status().unwrap().success());
        assert_eq!(waited, Ok(()));
        assert!(stays[name].contains("mounted: another file system is mounted there"), "{stays:?}");

        remover.try_again();
        let mut state = remover.0.state();
        while !state.stays.is_empty() {
            let (later, waited) = remover.0.changed.wait_timeout(state, LONG).unwrap();
            assert!(!waited.timed_out());
            state = later;
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
