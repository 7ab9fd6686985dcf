//! What runs: asked of podman, believed only when the process is there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use actors::testing::podman::HermeticPodman;
use serde_json::Value;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub id: String,
    pub started_at: String,
    pub pid: i64,
    /// Named after its specification.
    pub pod: String,
}

/// Returns the name of the workload whose pod it is.
pub fn workload_of(pod: &str) -> &str {
    pod.rsplit_once('-').map_or(pod, |(name, _)| name)
}

/// Returns the container that runs for each workload; none while podman does not answer. That none
/// runs twice is the [`Census`]' affair.
pub fn running(podman: &HermeticPodman) -> Option<BTreeMap<String, Seen>> {
    let all = all_running(podman)?;
    Some(all.into_iter().map(|seen| (workload_of(&seen.pod).to_owned(), seen)).collect())
}

/// podman takes a killed container whose conmon was killed, too, for alive: it is not counted.
fn all_running(podman: &HermeticPodman) -> Option<Vec<Seen>> {
    let (status, body) = podman.ask("GET", "containers/json", &[], &[]).ok()?;
    let rows: Value = serde_json::from_slice(&body).ok()?;
    let rows = rows.as_array().filter(|_| status == 200)?;
    let rows = rows.iter().filter(|row| row["State"] == "running" && row["IsInfra"] != true);
    let seen = rows.filter_map(|row| {
        Some(Seen {
            id: row["Id"].as_str()?.to_owned(),
            started_at: row["StartedAt"].to_string(),
            pid: row["Pid"].as_i64()?,
            pod: row["PodName"].as_str()?.to_owned(),
        })
    });
    Some(seen.filter(|seen| podman.lives_inside(seen.pid)).collect())
}

/// Looks for workloads that run twice, all the time, faults or not.
pub struct Census {
    twice: Arc<Mutex<Option<String>>>,
    looks: Arc<AtomicUsize>,
    /// Dropped, it ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Census {
    pub fn of(podman: &Arc<HermeticPodman>) -> Self {
        let (podman, twice) = (Arc::clone(podman), Arc::<Mutex<Option<String>>>::default());
        let looks = Arc::<AtomicUsize>::default();
        let (stop, stopped) = channel();
        let (found, counted) = (Arc::clone(&twice), Arc::clone(&looks));
        let thread = thread::spawn(move || look_often(&podman, &stopped, &found, &counted));
        Self { twice, looks, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns two containers of one workload that ran at the same time.
    pub fn twice(&self) -> Option<String> {
        self.twice.lock().unwrap().clone()
    }

    /// Returns how often podman answered.
    pub fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look_often(
    podman: &HermeticPodman,
    stopped: &Receiver<()>,
    found: &Mutex<Option<String>>,
    looks: &AtomicUsize,
) {
    use std::sync::mpsc::RecvTimeoutError::Timeout;
    while stopped.recv_timeout(LOOK) == Err(Timeout) {
        let Some(seen) = all_running(podman) else { continue };
        looks.fetch_add(1, Ordering::Relaxed);
        if let Some(twice) = twice(podman, &seen) {
            found.lock().unwrap().get_or_insert(twice);
        }
    }
}

/// A list is not of one moment. Only two processes that are there at one moment count: one that is
/// there before and after the other is seen.
fn twice(podman: &HermeticPodman, seen: &[Seen]) -> Option<String> {
    let mut first: BTreeMap<&str, &Seen> = BTreeMap::new();
    seen.iter().find_map(|seen| {
        let other = first.insert(workload_of(&seen.pod), seen)?;
        let both = podman.lives_inside(other.pid)
            && podman.lives_inside(seen.pid)
            && podman.lives_inside(other.pid);
        both.then(|| format!("{other:?} and {seen:?}"))
    })
}
