//! What one command comes to: its sequence of calls, then a look at the outcome.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use crate::clock::{Moment, Monotonic};
use crate::messages::{Action, CommandError, ExecutorCommand};
use crate::podman_executor::commands::{limits, pull, start, stop};
use crate::podman_executor::context::{PodmanContext, unavailable};
use crate::podman_executor::libpod::api::PodmanError;
use crate::podman_executor::libpod::types::ContainerRow;
use crate::podman_executor::notices::Notes;
use crate::podman_executor::observer::{Observation, Observer};
use crate::workload::{ObservedPod, WorkloadId};

/// Kept from a command's time for the observation that precedes its answer.
const ANSWER_RESERVE: Duration = Duration::from_secs(6);

/// How a command ended.
pub(super) struct Done {
    pub(super) action: Action,
    pub(super) result: Result<Notes, CommandError>,
    pub(super) seen: Seen,
}

/// What a command shows of podman.
pub(super) enum Seen {
    /// Nothing new.
    Nothing,
    /// This pod runs; the others are as they were.
    Pod(Moment, ObservedPod),
    /// This pod is gone; the others are as they were.
    Gone(Moment, WorkloadId),
    /// Every pod.
    All(Result<Observation, PodmanError>),
}

/// Does what `command` asks, then looks at what it came to, all before its deadline. What a listing
/// costs grows with the pods, so all are looked at only where one is not enough, or where the last
/// look did not show what the others do. `is_absent`: there was no such pod when last looked.
pub(super) async fn work(
    context: Rc<PodmanContext>,
    observer: Rc<Observer>,
    command: ExecutorCommand,
    left: Duration,
    is_absent: bool,
) -> Done {
    let _busy = context.busy(&command.action);
    let reserve = context.api.patient(ANSWER_RESERVE).min(left / 4);
    let allowed = left.saturating_sub(reserve);
    let until = context.clock.now().monotonic + allowed;
    let action = command.action;
    let result = timeout(allowed, execute(&context, &observer, &action, until, is_absent)).await;
    let result = result.unwrap_or_else(|_| {
        let error = PodmanError::Timeout { call: "finish the command", after: allowed };
        Err(unavailable(&error))
    });
    match &action {
        Action::Start { workload, .. } => observer.forget_pod(workload.id.as_str()),
        Action::Stop { id, .. } | Action::Suspend { id, .. } => observer.forget_pod(id.as_str()),
        // These make and remove no pod.
        Action::Pull { .. } | Action::Limit { .. } | Action::Halt { .. } => {}
    }
    let (now, is_known) = (context.clock.now(), observer.sees());
    let shown = match (&action, &result) {
        (Action::Pull { .. } | Action::Limit { .. } | Action::Halt { .. }, Ok(_)) => {
            Some(Seen::Nothing)
        }
        (Action::Start { .. }, Ok((_, rows))) if is_known => {
            observer.running_pod(rows).map(|pod| Seen::Pod(now, pod))
        }
        (Action::Stop { id, .. } | Action::Suspend { id, .. }, Ok(_)) if is_known => {
            Some(Seen::Gone(now, id.clone()))
        }
        (Action::Start { .. } | Action::Stop { .. } | Action::Suspend { .. }, Ok(_))
        | (_, Err(_)) => None,
    };
    let seen = match shown {
        Some(shown) => shown,
        None => {
            let all = timeout(reserve * 3 / 4, observer.observe()).await;
            all.map_or(Seen::Nothing, Seen::All)
        }
    };
    Done { action, result: result.map(|(notes, _)| notes), seen }
}

async fn execute(
    context: &PodmanContext,
    observer: &Observer,
    action: &Action,
    until: Monotonic,
    is_absent: bool,
) -> Result<(Notes, Vec<ContainerRow>), CommandError> {
    let notes = match action {
        Action::Start { workload, limits } => {
            return start::start(context, workload, *limits, until, is_absent).await;
        }
        Action::Pull { workload } => pull::pull(context, workload, until).await?,
        Action::Limit { workload, limits } => {
            let known = observer.live_containers(workload.id.as_str());
            limits::limit(context, workload, *limits, known).await?
        }
        Action::Stop { id, grace, .. } | Action::Suspend { id, grace, .. } => {
            let known = observer.live_containers(id.as_str());
            let known = known.map(|rows| rows.into_iter().map(|row| row.id).collect());
            stop::stop(context, id, *grace, known, until).await?;
            Notes::default()
        }
        Action::Halt { id, grace, .. } => {
            stop::halt(context, id, *grace, observer.live_containers(id.as_str())).await?;
            Notes::default()
        }
    };
    Ok((notes, Vec::new()))
}
