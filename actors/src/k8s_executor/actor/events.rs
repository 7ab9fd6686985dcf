//! The events that the executor records.

use super::K8sExecutor;
use crate::messages::{EventRecorded, tell};
use crate::workload::{Event, EventReason, RestartPolicy, Workload, WorkloadName};

impl K8sExecutor {
    /// Records once for each specification that its restart policy is ignored, when the cluster has
    /// accepted it.
    pub(super) fn report_ignored_policy(&mut self, workload: &Workload) {
        if workload.restart_policy == RestartPolicy::Always
            || !self.reported_policies.insert(workload.id.clone())
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
