//! What people are told, in the log and by events, once for each change.

use tracing::{debug, warn};

use super::super::command::Failed;
use super::K8sExecutor;
use crate::messages::{EventRecorded, tell};
use crate::workload::{Event, EventKind, RestartPolicy, Workload, WorkloadId, WorkloadName};

impl K8sExecutor {
    /// Says once that the cluster restarts a pod against its specification's wish.
    pub(super) fn tell_of_policy(&mut self, workload: &Workload) {
        if workload.restart_policy == RestartPolicy::Always
            || !self.told_of_policy.insert(workload.id.clone())
        {
            return;
        }
        let message = "restartPolicy is ignored: a k8s workload is a Deployment, whose pods the \
            cluster always restarts";
        let name = Some(workload.name.clone());
        self.record(EventKind::Warn, "RestartPolicyIgnored", name, message.into());
    }

    /// Warns of a failed command, once until it fails in another way or succeeds.
    pub(super) fn log_failure(&mut self, id: WorkloadId, failed: Option<&Failed>) {
        let Some(error) = failed.map(|failed| failed.error.to_string()) else {
            self.failures.remove(&id);
            return;
        };
        if self.failures.get(&id) == Some(&error) {
            debug!(error, "command failed again");
        } else {
            warn!(error, "command failed");
            self.failures.insert(id, error);
        }
    }

    pub(super) fn record(
        &self,
        kind: EventKind,
        reason: &'static str,
        workload: Option<WorkloadName>,
        message: String,
    ) {
        let event = Event { kind, reason, workload, message, at: self.deps.clock.now().wall };
        tell(&self.deps.events, EventRecorded { event });
    }
}
