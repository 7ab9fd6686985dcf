//! The nouns that all actors share: workloads, profiles, pod states, reports.

mod confidential;
mod configuration;
mod event;
mod health;
mod identifiers;
mod observed;
mod profile;
mod pull_policy;
mod reported;
mod specification;
mod update;

pub use confidential::Confidential;
pub use configuration::Configuration;
pub use event::{Event, EventKind, EventReason};
pub use health::{ContainerHealth, Health, PodHealth};
pub use identifiers::{
    ConditionName, DeviceId, ExecutorKind, MetricName, ProfileName, WorkloadId, WorkloadName,
};
pub use observed::{ContainerEnd, CurrentState, Limits, ObservedPod, RunningContainer};
pub use profile::{
    Objective, PROTECTION, Profile, ProfileCondition, ProfileVerdicts, Rung, Rungs, Sample,
    Verdict, Verdicts,
};
pub(crate) use pull_policy::PullPolicy;
pub use reported::{
    Governed, JobReport, LastFailure, NeededProfile, NextStart, RestraintReport, RuntimeReport,
    RuntimeState, TargetState, UpdateReport, UpdateState, WorkloadReport, WorkloadStatus,
};
pub(crate) use specification::DEFAULT_GRACE;
pub use specification::{
    ConditionRef, ConfigMap, DEFAULT_PROVING, ProfileRef, RegistryCredentials, RejectedWorkload,
    RestartPolicy, RetryPolicy, Secret, Turn, UpdateGate, Workload,
};
pub(crate) use update::age;
pub use update::{Outcome, Update, Updates};
