//! Readable builders of workloads.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use crate::workload::{
    ConditionRef, ExecutorKind, ProfileRef, RestartPolicy, RetryPolicy, Turn, UpdateGate, Workload,
    WorkloadId,
};
use crate::{PodIdentity, workload_id};

/// Returns a builder of a rootful podman workload of one container.
#[must_use]
pub fn workload(name: &str) -> WorkloadBuilder {
    let container = Container {
        name: "main".to_owned(),
        image: Some("localhost/app:1".to_owned()),
        ..Container::default()
    };
    let pod = PodSpec { containers: vec![container], ..PodSpec::default() };
    WorkloadBuilder(Workload {
        id: WorkloadId::from(""),
        name: name.into(),
        namespace: "default".to_owned(),
        executor: ExecutorKind::PodmanRootful,
        pod,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        config_maps: Vec::new(),
        secrets: Vec::new(),
        registries: BTreeMap::new(),
        profiles: Vec::new(),
        cron: None,
        retry: None,
        restart_policy: RestartPolicy::Always,
        after: Vec::new(),
        proving: crate::workload::DEFAULT_PROVING,
        turn: Turn::default(),
        gate: UpdateGate::default(),
    })
}

/// Builds a [`Workload`].
#[derive(Clone, Debug)]
pub struct WorkloadBuilder(Workload);

impl WorkloadBuilder {
    /// Sets the image of the first container.
    #[must_use]
    pub fn image(mut self, image: &str) -> Self {
        if let Some(container) = self.0.pod.containers.first_mut() {
            container.image = Some(image.to_owned());
        }
        self
    }

    /// Sets the runtime.
    #[must_use]
    pub fn on(mut self, executor: ExecutorKind) -> Self {
        self.0.executor = executor;
        self
    }

    /// Sets the restart policy.
    #[must_use]
    pub fn restarts(mut self, policy: RestartPolicy) -> Self {
        self.0.restart_policy = policy;
        self.0.pod.restart_policy = Some(format!("{policy:?}"));
        self
    }

    /// Sets the retry policy.
    #[must_use]
    pub fn retries(mut self, policy: RetryPolicy) -> Self {
        self.0.retry = Some(policy);
        self
    }

    /// Sets the cron expression.
    #[must_use]
    pub fn cron(mut self, expression: &str) -> Self {
        self.0.cron = Some(expression.to_owned());
        self
    }

    /// Adds a profile with the conditions that count.
    #[must_use]
    pub fn profile(mut self, profile: &str, conditions: &[&str]) -> Self {
        let condition =
            |name: &&str| ConditionRef { name: (*name).into(), cpu: None, memory: None };
        let conditions = conditions.iter().map(condition).collect();
        self.0.profiles.push(ProfileRef { name: profile.into(), conditions });
        self
    }

    /// Sets the priority.
    #[must_use]
    pub const fn priority(mut self, priority: i32) -> Self {
        self.0.turn.priority = priority;
        self
    }

    /// Changes anything else.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Workload)) -> Self {
        change(&mut self.0);
        self
    }

    /// Returns the workload, with its id.
    #[must_use]
    pub fn build(mut self) -> Arc<Workload> {
        self.0.id = workload_id(&PodIdentity {
            name: self.0.name.as_str(),
            namespace: &self.0.namespace,
            executor: self.0.executor,
            pod: &self.0.pod,
            labels: &self.0.labels,
            annotations: &self.0.annotations,
            config_maps: &self.0.config_maps,
            secrets: &self.0.secrets,
        });
        Arc::new(self.0)
    }
}
