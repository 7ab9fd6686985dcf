//! What pods use of the device, for who asks: the agent itself keeps none of it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tracing::debug;

use super::PodmanExecutor;
use crate::messages::{PodUsage, UsageObserved, UsageWanted, tell};
use crate::podman_executor::libpod::api::PodmanApi as _;
use crate::podman_executor::libpod::types::{ContainerRow, UsageRow};
use crate::workload::WorkloadId;

impl Handler<UsageWanted> for PodmanExecutor {
    type Result = ();

    fn handle(&mut self, _: UsageWanted, ctx: &mut Self::Context) {
        let context = Rc::clone(&self.context);
        let looking = async move {
            let observed_at = context.clock.now();
            (observed_at, context.api.usage().await)
        };
        ctx.spawn(looking.into_actor(self).map(|(observed_at, usage), actor, _| match usage {
            Ok(rows) => {
                let pods = by_pod(&rows, actor.context.table.borrow().live());
                let executor = actor.deps.kind;
                tell(&actor.deps.usage, UsageObserved { executor, observed_at, pods });
            }
            // A user's podman on cgroup v1 cannot say.
            Err(error) => debug!(error = error.chain(), "what pods use was not read"),
        }));
    }
}

/// Returns what the pods use together of which `live` are containers.
fn by_pod<'a>(
    rows: &[UsageRow],
    live: impl Iterator<Item = &'a ContainerRow>,
) -> BTreeMap<WorkloadId, PodUsage> {
    let known: BTreeMap<_, _> = live.map(|row| (row.id.as_str(), &row.pod_name)).collect();
    let mut pods = BTreeMap::<WorkloadId, PodUsage>::new();
    for row in rows {
        if let Some(pod) = known.get(row.id.as_str()) {
            let usage = pods.entry(WorkloadId::from(pod.as_str())).or_default();
            usage.cpu = usage.cpu.saturating_add(Duration::from_nanos(row.cpu_nanos));
            usage.memory = usage.memory.saturating_add(row.memory);
        }
    }
    pods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_of_one_pod_count_together_and_others_not_at_all() {
        let live = |id: &str, pod: &str| ContainerRow {
            id: id.to_owned(),
            pod_name: pod.to_owned(),
            ..ContainerRow::default()
        };
        let row = |id: &str, cpu_nanos, memory| UsageRow { id: id.to_owned(), cpu_nanos, memory };
        let live = [live("1", "a-0"), live("2", "a-0"), live("3", "b-0")];
        let rows = [row("1", 1_000, 5), row("2", 500, 6), row("9", 7, 7), row("3", 0, 1)];
        let usage = |nanos, memory| PodUsage { cpu: Duration::from_nanos(nanos), memory };
        let expected = [("a-0".into(), usage(1_500, 11)), ("b-0".into(), usage(0, 1))];
        assert_eq!(by_pod(&rows, live.iter()), expected.into());
    }
}
