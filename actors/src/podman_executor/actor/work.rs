//! What one command comes to: its sequence of calls, then a look at the outcome.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use crate::clock::Monotonic;
use crate::messages::{Action, CommandError, ExecutorCommand};
use crate::podman_executor::api::PodmanError;
use crate::podman_executor::notices::Notes;
use crate::podman_executor::observer::{Observation, Observer};
use crate::podman_executor::workbench::{Workbench, unavailable};
use crate::podman_executor::{limits, pull, start, stop};

/// Kept from a command's time for the observation that precedes its answer.
const ANSWER_RESERVE: Duration = Duration::from_secs(6);

/// How a command ended.
pub(super) struct Done {
    pub(super) action: Action,
    pub(super) result: Result<Notes, CommandError>,
    pub(super) seen: Option<Result<Observation, PodmanError>>,
}

/// Does what `command` asks, then looks at what it came to, all before its deadline.
pub(super) async fn work(
    bench: Rc<Workbench>,
    observer: Rc<Observer>,
    command: ExecutorCommand,
    left: Duration,
) -> Done {
    let _busy = bench.busy(command.action.workload_id());
    let reserve = ANSWER_RESERVE.min(left / 4);
    let allowed = left.saturating_sub(reserve);
    let until = bench.clock.now().monotonic + allowed;
    let action = command.action;
    let result = timeout(allowed, execute(&bench, &action, until)).await;
    let result = result.unwrap_or_else(|_| {
        let error = PodmanError::Timeout { call: "finish the command", after: allowed };
        Err(unavailable(&error))
    });
    match &action {
        Action::Start { workload, .. } => observer.forget_pod(workload.id.as_str()),
        Action::Stop { id, .. } => observer.forget_pod(id.as_str()),
        // These make and remove no pod.
        Action::Pull { .. } | Action::Limit { .. } => {}
    }
    let seen = match (&action, &result) {
        // No pod is another one than before.
        (Action::Pull { .. }, Ok(_)) => None,
        (_, _) => timeout(reserve * 3 / 4, observer.observe()).await.ok(),
    };
    Done { action, result, seen }
}

async fn execute(
    bench: &Workbench,
    action: &Action,
    until: Monotonic,
) -> Result<Notes, CommandError> {
    match action {
        Action::Pull { workload } => pull::pull(bench, workload, until).await,
        Action::Start { workload, limits } => start::start(bench, workload, *limits, until).await,
        Action::Limit { workload, limits } => limits::limit(bench, workload, *limits).await,
        Action::Stop { id, grace, .. } => {
            let stopped = stop::stop(bench, id, *grace, until).await;
            stopped.map(|()| Notes::default())
        }
    }
}
