//! The nouns that all actors share: workloads, profiles, pod states, reports.

mod confidential;
mod event;
mod identifiers;
mod observed;
mod profile;
mod pull_policy;
mod reported;
mod specification;

pub use confidential::Confidential;
pub use event::{Event, EventKind, EventReason};
pub use identifiers::{
    ConditionName, DeviceId, ExecutorKind, MetricName, ProfileName, WorkloadId, WorkloadName,
};
pub use observed::{ContainerEnd, CurrentState, Limits, ObservedPod};
pub use profile::{Profile, ProfileCondition, ProfileVerdicts, Sample, Verdict, Verdicts};
pub(crate) use pull_policy::PullPolicy;
pub use reported::{
    JobReport, NeededProfile, NextStart, RuntimeReport, RuntimeState, TargetState, WorkloadReport,
    WorkloadStatus,
};
pub use specification::{
    ConditionRef, ConfigMap, Configuration, ProfileRef, RegistryCredentials, RejectedWorkload,
    RestartPolicy, RetryPolicy, Secret, Workload,
};
