//! Observes podman: one listing, and the little that a listing does not show.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{StreamExt as _, iter};
use tracing::debug;

use crate::clock::{Moment, Monotonic};
use crate::pod_manifest::ID;
use crate::podman_executor::context::PodmanContext;
use crate::podman_executor::libpod::api::{PodmanApi as _, PodmanError};
use crate::podman_executor::libpod::types::{ContainerRow, PodRow, container_name};
use crate::podman_executor::pod_state::{EndKey, Knowledge, Phase, may_run, observed_pods, phase};
use crate::workload::{ContainerEnd, CurrentState, ObservedPod};

/// podman takes up to 3.3 s to note the end of a process; one gone for longer it will never note. A
/// slow one has more time.
const UNNOTICED_AFTER: Duration = Duration::from_secs(5);
/// Ended containers that are looked into at once.
const INSPECTIONS: usize = 8;
/// The code of a process that was killed, by the kernel for want of memory for one.
const SIGKILLED: i32 = 137;

/// What was seen.
#[derive(Debug)]
pub(in crate::podman_executor) struct Observation {
    /// When podman was asked.
    pub(in crate::podman_executor) at: Moment,
    /// Every pod of ours.
    pub(in crate::podman_executor) pods: Vec<ObservedPod>,
    /// A process is gone that podman may yet note: look again soon.
    pub(in crate::podman_executor) unsettled: bool,
}

/// Looks at podman and remembers what need not be asked twice.
pub(in crate::podman_executor) struct Observer {
    context: Rc<PodmanContext>,
    memory: RefCell<Memory>,
    /// Whether the last look that ended showed podman.
    sees: Cell<bool>,
}

#[derive(Default)]
struct Memory {
    ends: BTreeMap<EndKey, ContainerEnd>,
    /// Since when the process of a container that runs by podman's word is gone.
    gone: BTreeMap<String, Monotonic>,
    /// Pods that had no containers when last looked at.
    empty_pods: Vec<PodRow>,
    /// The containers that may run, by the names of their pods.
    live: BTreeMap<String, Live>,
}

/// The containers of a pod that may run.
struct Live {
    /// When podman was asked for them.
    at: Monotonic,
    rows: Vec<ContainerRow>,
}

impl Memory {
    /// Notes what podman showed when it was asked at `at`; what is known since then stays.
    fn note_live(&mut self, rows: &[ContainerRow], at: Monotonic) {
        for row in rows.iter().filter(|row| may_run(row)) {
            let live = self.live.entry(row.pod_name.clone());
            let live = live.or_insert_with(|| Live { at, rows: Vec::new() });
            if live.at < at {
                *live = Live { at, rows: Vec::new() };
            }
            if live.at == at {
                // Its labels are many, and the same for all of them.
                live.rows.push(ContainerRow { labels: BTreeMap::new(), ..row.clone() });
            }
        }
    }
}

impl Observer {
    /// Returns an observer that has seen nothing yet.
    pub(in crate::podman_executor) fn new(context: Rc<PodmanContext>) -> Self {
        Self { context, memory: RefCell::default(), sees: Cell::default() }
    }

    /// Returns whether the last look showed what all pods do.
    pub(in crate::podman_executor) fn sees(&self) -> bool {
        self.sees.get()
    }

    /// Looks at all containers.
    pub(in crate::podman_executor) async fn observe(&self) -> Result<Observation, PodmanError> {
        let at = self.context.clock.now();
        let rows = self.context.containers().await;
        self.sees.set(rows.is_ok());
        let rows = rows?;
        {
            let memory = &mut self.memory.borrow_mut();
            memory.live.retain(|_, live| live.at > at.monotonic);
            memory.note_live(&rows, at.monotonic);
        }
        self.forget_full_pods(&rows);
        self.look_into_ends(&rows).await;
        let vanished = self.vanished(&rows, at.monotonic).await;
        let memory = self.memory.borrow();
        let known =
            Knowledge { boot_id: &self.context.boot_id, ends: &memory.ends, vanished: &vanished };
        Ok(Observation {
            at,
            pods: observed_pods(&rows, &memory.empty_pods, known),
            unsettled: memory.gone.len() > vanished.len(),
        })
    }

    /// Returns the containers of the pod `id` that may run, if the last look, or the command that
    /// made it, showed them.
    pub(in crate::podman_executor) fn live_containers(
        &self,
        id: &str,
    ) -> Option<Vec<ContainerRow>> {
        self.memory.borrow().live.get(id).filter(|_| self.sees()).map(|live| live.rows.clone())
    }

    /// Returns all containers that may run.
    pub(in crate::podman_executor) fn all_live_containers(&self) -> Vec<ContainerRow> {
        let memory = self.memory.borrow();
        memory.live.values().flat_map(|live| live.rows.iter().cloned()).collect()
    }

    /// Returns the pod that `rows`, all its containers, make up, if it runs as it should: what else
    /// there may be to see needs a look at podman.
    pub(in crate::podman_executor) fn running_pod(
        &self,
        rows: &[ContainerRow],
    ) -> Option<ObservedPod> {
        let (ends, vanished) = (BTreeMap::new(), BTreeSet::new());
        let known = Knowledge { boot_id: &self.context.boot_id, ends: &ends, vanished: &vanished };
        let now = self.context.clock.now().monotonic;
        self.memory.borrow_mut().note_live(rows, now);
        let pod = observed_pods(rows, &[], known).pop();
        pod.filter(|pod| pod.state == CurrentState::Running)
    }

    /// Looks for pods that have no containers; which ones those are shows with the next
    /// observation, which has to follow. Blocks while a pod is being stopped, so that it is
    /// done seldom, and no observation waits for it.
    pub(in crate::podman_executor) async fn look_for_partial_pods(
        &self,
    ) -> Result<(), PodmanError> {
        let pods = self.context.pods().await?;
        self.memory.borrow_mut().empty_pods = pods;
        Ok(())
    }

    /// Forgets a pod that was removed or made.
    pub(in crate::podman_executor) fn forget_pod(&self, id: &str) {
        let memory = &mut self.memory.borrow_mut();
        memory.empty_pods.retain(|pod| pod.labels.get(ID).is_none_or(|of| of != id));
        memory.live.remove(id);
    }

    /// Forgets pods that have containers: when these are removed, the pod is gone and not half-made.
    fn forget_full_pods(&self, rows: &[ContainerRow]) {
        let full: BTreeSet<_> = rows.iter().map(|row| row.pod_name.as_str()).collect();
        let pods = &mut self.memory.borrow_mut().empty_pods;
        pods.retain(|pod| !full.contains(pod.name.as_str()));
    }

    /// Inspects each container that ended, once for each end.
    async fn look_into_ends(&self, rows: &[ContainerRow]) {
        let ended = rows.iter().filter(|row| phase(row) == Phase::Ended);
        let keys: BTreeMap<EndKey, &ContainerRow> =
            ended.map(|row| ((row.id.clone(), row.exited_at), row)).collect();
        let news: Vec<_> = {
            let ends = &mut self.memory.borrow_mut().ends;
            ends.retain(|key, _| keys.contains_key(key));
            let news = keys.into_iter().filter(|(key, _)| !ends.contains_key(key));
            news.collect()
        };
        let inspections = iter(news).map(|(key, row)| async move {
            let detail = self.context.api.inspect(&row.id).await;
            (key, row, detail)
        });
        let mut inspections = std::pin::pin!(inspections.buffer_unordered(INSPECTIONS));
        while let Some((key, row, detail)) = inspections.next().await {
            match detail {
                Ok(detail) => {
                    let limited = detail.host_config.memory > 0;
                    let hint = row.exit_code == SIGKILLED && limited && !detail.state.oom_killed;
                    let hint = hint.then(|| "killed, perhaps for want of memory".to_owned());
                    let said = Some(detail.state.error).filter(|error| !error.is_empty());
                    let end = ContainerEnd {
                        container: container_name(row).to_owned(),
                        exit_code: detail.state.exit_code,
                        oom_killed: detail.state.oom_killed,
                        message: said.or(hint),
                    };
                    self.memory.borrow_mut().ends.insert(key, end);
                }
                // The row has the exit code; the rest is asked for again next time.
                Err(error) => debug!(error = error.chain(), "ended container was not inspected"),
            }
        }
    }

    /// Returns the containers whose process is gone for good although podman says that they run.
    async fn vanished(&self, rows: &[ContainerRow], now: Monotonic) -> BTreeSet<String> {
        let running = rows.iter().filter(|row| phase(row) == Phase::Running && row.pid > 0);
        let running: Vec<_> = running.collect();
        let pids = running.iter().map(|row| row.pid).collect();
        // What cannot be seen is taken to be as podman says.
        let living = self.context.api.living(pids).await;
        let is_gone =
            |row: &&&ContainerRow| living.as_ref().is_some_and(|it| !it.contains(&row.pid));
        let gone: BTreeSet<_> = running.iter().filter(is_gone).map(|row| row.id.clone()).collect();
        let unnoticed_after = self.context.api.patient(UNNOTICED_AFTER);
        let since = &mut self.memory.borrow_mut().gone;
        since.retain(|id, _| gone.contains(id));
        for id in gone {
            since.entry(id).or_insert(now);
        }
        let unnoticed =
            since.iter().filter(|(_, since)| now.saturating_since(**since) >= unnoticed_after);
        unnoticed.map(|(id, _)| id.clone()).collect()
    }
}
