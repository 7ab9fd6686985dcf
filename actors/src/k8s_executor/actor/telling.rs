//! Reports to the user, in the log and by events, once for each change.

use super::K8sExecutor;
use crate::messages::{EventRecorded, tell};
use crate::workload::{Event, EventReason, RestartPolicy, Workload, WorkloadName};

impl K8sExecutor {
    /// Says once, of what the cluster has taken, that it restarts a pod against its specification's wish.
    pub(super) fn tell_of_policy(&mut self, workload: &Workload) {
        if workload.restart_policy == RestartPolicy::Always
            || !self.told_of_policy.insert(workload.id.clone())
        {
            return;
        }
        let message = "restartPolicy is ignored: a k8s workload is a Deployment, whose pods the \
            cluster always restarts";
        let name = Some(workload.name.clone());
        self.record(EventReason::RestartPolicyIgnored, name, message.into());
    }

    pub(super) fn record(
        &self,
        reason: EventReason,
        workload: Option<WorkloadName>,
        message: String,
    ) {
        let event = Event::new(reason, workload, message, self.deps.clock.now().wall);
        tell(&self.deps.events, EventRecorded { event });
    }
}
