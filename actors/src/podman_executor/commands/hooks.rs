//! Runs the hooks of containers: `postStart` when they have started, `preStop` before the agent ends
//! them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::clock::Monotonic;
use crate::messages::CommandError;
use crate::pod_manifest::hooks::{Hook, HookKind, PodHooks};
use crate::pod_manifest::probes::Endpoint;
use crate::podman_executor::context::{PodmanContext, unavailable};
use crate::podman_executor::libpod::api::{PodmanApi as _, PodmanError};
use crate::podman_executor::libpod::types::{ContainerRow, container_name};
use crate::podman_executor::pod_state::{Phase, has_processes, phase};
use crate::podman_executor::probing::attempt::Tried;
use crate::podman_executor::probing::tracker::Outcome;
use crate::workload::WorkloadId;

/// Left to a container whose hook took all of the grace period, as by Kubernetes.
const MIN_GRACE: Duration = Duration::from_secs(2);
/// Beyond its time, for podman to begin a hook and to end it: one that is given up before runs on.
const ANSWER_MARGIN: Duration = Duration::from_secs(5);
/// What podman answers of a container that does not run.
const CONFLICT: u16 = 409;

/// The start of a pod, from before its containers run until its `postStart` hooks have ended. One that is
/// dropped before is in doubt: the pod has not started, and its hooks are run by the next start.
pub(super) struct PostStart<'a> {
    context: &'a PodmanContext,
    pod: &'a WorkloadId,
}

impl<'a> PostStart<'a> {
    /// Begins the start of `pod`.
    pub(super) fn begin(context: &'a PodmanContext, pod: &'a WorkloadId) -> Self {
        context.hooks.borrow_mut().start_begins(pod);
        Self { context, pod }
    }

    /// Runs the hooks of those of `rows` that run, all at the same time and for `limit` at most.
    ///
    /// # Errors
    /// One failed, and with it the start; or podman did not answer.
    pub(super) async fn run(
        &self,
        rows: &[ContainerRow],
        limit: Duration,
    ) -> Result<(), CommandError> {
        let Some(hooks) = self.context.hooks.borrow().of(self.pod) else { return Ok(()) };
        let wanted = rows.iter().filter(|row| phase(row) == Phase::Running);
        let wanted = wanted.filter_map(|row| {
            let hook = hooks.get(HookKind::PostStart, container_name(row))?;
            Some((row, hook))
        });
        let wanted: Vec<_> = wanted.collect();
        let names = wanted.iter().map(|(row, _)| container_name(row).to_owned()).collect();
        self.context.hooks.borrow_mut().set_starting(self.pod, names);
        let runs = wanted.into_iter().map(|(row, hook)| self.run_one(row, hook, limit));
        try_join_all(runs).await?;
        self.context.hooks.borrow_mut().start_is_over(self.pod);
        Ok(())
    }

    async fn run_one(
        &self,
        row: &ContainerRow,
        hook: &Hook,
        limit: Duration,
    ) -> Result<(), CommandError> {
        let failed = |how: String| {
            let (hook, container) = (HookKind::PostStart.as_str(), container_name(row));
            let message = format!("{hook} of container {container}: {how}");
            Err(CommandError::Start { message })
        };
        match run(self.context, row, hook, limit).await {
            Ok(Outcome::Success) => Ok(()),
            Ok(Outcome::Failure(how) | Outcome::Unknown(how)) => failed(how),
            Err(error) if error.is_refusal() => failed(error.chain()),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

impl Drop for PostStart<'_> {
    fn drop(&mut self) {
        self.context.hooks.borrow_mut().give_start_up(self.pod);
    }
}

/// The end of a pod's containers: of each its `preStop` hook, then SIGTERM, and SIGKILL when the grace
/// period is over, which begins with the hook.
pub(super) struct Ending<'a> {
    context: &'a PodmanContext,
    pod: &'a WorkloadId,
    grace: Duration,
    hooks: Option<Rc<PodHooks>>,
    /// When the hooks of containers began, by the containers' ids: none is run twice.
    begun: RefCell<BTreeMap<String, Monotonic>>,
}

impl<'a> Ending<'a> {
    /// Returns the end of the pod's containers within `grace`.
    pub(super) fn new(context: &'a PodmanContext, pod: &'a WorkloadId, grace: Duration) -> Self {
        let hooks = context.hooks.borrow().of(pod);
        Self { context, pod, grace, hooks, begun: RefCell::default() }
    }

    /// Ends the container of `row`. One that is paused goes on before that: it could neither run its hook
    /// nor take notice of SIGTERM.
    ///
    /// # Errors
    /// podman did not stop it. A hook that fails stops nothing.
    pub(super) async fn stop(&self, row: &ContainerRow) -> Result<(), PodmanError> {
        if phase(row) == Phase::Paused {
            self.context.api.unpause(&row.id).await?;
        }
        let left = self.grace_after_hook(row).await;
        match self.context.api.stop_container(&row.id, left).await {
            // It was paused since it was last seen.
            Err(error) if error.is_improper_state() => {
                self.context.api.unpause(&row.id).await?;
                self.context.api.stop_container(&row.id, left).await
            }
            stopped @ (Ok(()) | Err(_)) => stopped,
        }
    }

    async fn grace_after_hook(&self, row: &ContainerRow) -> Duration {
        let container = container_name(row);
        let hook = self.hooks.as_ref().and_then(|it| it.get(HookKind::PreStop, container));
        // Without a grace period there is no time for it.
        let Some(hook) = hook.filter(|_| has_processes(row) && !self.grace.is_zero()) else {
            return self.grace;
        };
        let now = self.context.clock.now().monotonic;
        let (began, is_first) = match self.begun.borrow_mut().entry(row.id.clone()) {
            Entry::Vacant(free) => (*free.insert(now), true),
            Entry::Occupied(known) => (*known.get(), false),
        };
        if is_first {
            let failure = self.run(row, hook).await.map(|how| {
                let hook = HookKind::PreStop.as_str();
                format!("{hook} of container {container}: {how}; it was stopped all the same")
            });
            self.context.hooks.borrow_mut().ended(self.pod, container, failure);
        }
        self.grace.saturating_sub(self.context.since(began)).max(MIN_GRACE)
    }

    /// Runs a `preStop` hook; returns how it failed.
    async fn run(&self, row: &ContainerRow, hook: &Hook) -> Option<String> {
        let running = run(self.context, row, hook, self.grace);
        match timeout(self.grace + ANSWER_MARGIN, running).await {
            Ok(Ok(Outcome::Success)) => None,
            Ok(Ok(Outcome::Failure(how) | Outcome::Unknown(how))) => Some(how),
            Ok(Err(PodmanError::Refused { status: CONFLICT, message, .. })) => {
                let (job_id, container) = (self.pod.as_str(), container_name(row));
                debug!(
                    job_id,
                    container,
                    error = message,
                    "hook of an ended container was skipped"
                );
                None
            }
            Ok(Err(error)) => Some(error.chain()),
            Err(_) => Some(not_in_time(self.grace)),
        }
    }
}

/// Runs `hook` of the container of `row`, for `limit` at most.
async fn run(
    context: &PodmanContext,
    row: &ContainerRow,
    hook: &Hook,
    limit: Duration,
) -> Result<Outcome, PodmanError> {
    match hook {
        Hook::Sleep(time) if *time > limit => {
            sleep(limit).await;
            Ok(Outcome::Failure(not_in_time(limit)))
        }
        Hook::Sleep(time) => {
            sleep(*time).await;
            Ok(Outcome::Success)
        }
        Hook::Check(check) => {
            let address = match check.endpoint() {
                Some(Endpoint::Pod(_)) => context.api.inspect(&row.id).await?.address(),
                Some(Endpoint::At(..)) | None => None,
            };
            let tried = Tried { container: row.id.clone(), address };
            context.means.check(check, &tried, limit).await
        }
    }
}

fn not_in_time(limit: Duration) -> String {
    format!("it did not end within {} s", limit.as_secs())
}
