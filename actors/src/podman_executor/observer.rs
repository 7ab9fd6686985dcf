//! Observes podman: one listing, and the little that a listing does not show.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{StreamExt as _, iter};
use tracing::debug;

use crate::clock::{Moment, Monotonic};
use crate::podman_executor::context::PodmanContext;
use crate::podman_executor::libpod::api::{PodmanApi as _, PodmanError};
use crate::podman_executor::libpod::types::{ContainerRow, container_name};
use crate::podman_executor::pod_state::{
    EndKey, Knowledge, Phase, cut_short, empty_pod, has_processes, observed_pods, phase,
    without_post_start,
};
use crate::podman_executor::pod_table::Snapshot;
use crate::workload::ContainerEnd;

/// podman takes up to 3.3 s to note the end of a process; one gone for longer it will never note. A
/// slow one has more time.
const UNNOTICED_AFTER: Duration = Duration::from_secs(5);
/// Ended containers that are looked into at once.
const INSPECTIONS: usize = 8;
/// The code of a process that was killed, by the kernel for want of memory for one.
const SIGKILLED: i32 = 137;

/// A listing of all containers that succeeded.
#[derive(Debug)]
pub(in crate::podman_executor) struct Listing {
    /// When podman was asked.
    pub(in crate::podman_executor) begun: Moment,
    /// Every pod of ours, unless a listing that was begun later has arrived before.
    pub(in crate::podman_executor) news: Option<Snapshot>,
    /// A process is gone that podman may yet note: list again soon.
    pub(in crate::podman_executor) is_unsettled: bool,
}

/// Lists what podman holds, tells the table of it, and remembers what need not be asked twice.
pub(in crate::podman_executor) struct Observer {
    context: Rc<PodmanContext>,
    memory: RefCell<Memory>,
}

#[derive(Default)]
struct Memory {
    /// How containers ended that were inspected.
    ends: BTreeMap<EndKey, ContainerEnd>,
    /// Since when the process of a container that runs by podman's word is gone.
    gone: BTreeMap<String, Monotonic>,
}

impl Observer {
    /// Returns an observer that has seen nothing yet.
    pub(in crate::podman_executor) fn new(context: Rc<PodmanContext>) -> Self {
        Self { context, memory: RefCell::default() }
    }

    /// Lists all containers, and looks into those that ended or seem to have.
    pub(in crate::podman_executor) async fn list(&self) -> Result<Listing, PodmanError> {
        let begun = self.context.clock.now();
        let rows = self.context.containers().await;
        let rows = rows.inspect_err(|_| self.context.table.borrow_mut().listing_failed())?;
        self.look_into_ends(&rows).await;
        let vanished = self.vanished(&rows, begun.monotonic).await;
        let memory = self.memory.borrow();
        let known =
            Knowledge { boot_id: &self.context.boot_id, ends: &memory.ends, vanished: &vanished };
        let hooks = self.context.hooks.borrow();
        let pods = observed_pods(&rows, known).into_iter().map(|pod| {
            let pod = match self.context.is_cut_short(&pod.id) {
                true => cut_short(pod),
                false => pod,
            };
            let is_in_doubt = hooks.is_start_given_up(&pod.id);
            if is_in_doubt { without_post_start(pod) } else { pod }
        });
        let pods = pods.collect();
        Ok(Listing {
            begun,
            news: self.context.table.borrow_mut().listed(begun, pods, &rows),
            is_unsettled: memory.gone.len() > vanished.len(),
        })
    }

    /// Looks for pods that have no containers; which ones those are shows with the next listing of
    /// containers, which has to follow. Blocks while a pod is being stopped, so that it is done seldom,
    /// and no listing of containers waits for it.
    pub(in crate::podman_executor) async fn look_for_partial_pods(
        &self,
    ) -> Result<(), PodmanError> {
        let begun = self.context.clock.now().monotonic;
        let rows = self.context.pods().await?;
        let pods = rows.iter().map(empty_pod).collect();
        self.context.table.borrow_mut().pods_listed(begun, pods);
        Ok(())
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
        let running = rows.iter().filter(|row| has_processes(row) && row.pid > 0);
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
