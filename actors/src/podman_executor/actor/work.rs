//! What one command comes to: its sequence of calls, then a listing where its outcome is not enough.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use crate::clock::Monotonic;
use crate::messages::{Action, CommandError, Evidence, ExecutorCommand};
use crate::podman_executor::commands::{freeze, limits, pull, start, stop};
use crate::podman_executor::context::{PodmanContext, unavailable};
use crate::podman_executor::libpod::api::PodmanError;
use crate::podman_executor::libpod::types::ContainerRow;
use crate::podman_executor::notices::Notes;
use crate::podman_executor::observer::{Listing, Observer};
use crate::podman_executor::pod_state::living_pod;
use crate::podman_executor::pod_table::Snapshot;

/// Kept from a command's time for the listing that precedes its answer.
const ANSWER_RESERVE: Duration = Duration::from_secs(6);

/// How a command ended.
pub(super) struct Done {
    pub(super) action: Action,
    pub(super) result: Result<Notes, CommandError>,
    pub(super) news: News,
}

/// What is to be sent before a command is answered.
pub(super) enum News {
    /// Nothing: it changed no pod, or podman did not list them in time.
    Nothing,
    /// The pods, by what the command made of its own.
    Pods(Snapshot),
    /// What a listing came to.
    Listing(Result<Listing, PodmanError>),
}

/// The notes for the user, and the containers of the pod where the command has looked at what became of it.
type Outcome = Result<(Notes, Vec<ContainerRow>), CommandError>;

/// Does what `command` asks, then finds out what it came to, all within `left`. What a listing costs
/// grows with the pods, so there is one only where the outcome of the command is not enough.
pub(super) async fn work(
    context: Rc<PodmanContext>,
    observer: Rc<Observer>,
    command: ExecutorCommand,
    left: Duration,
) -> Done {
    let _busy = context.busy(&command.action);
    let reserve = context.api.patient(ANSWER_RESERVE).min(left / 4);
    let allowed = left.saturating_sub(reserve);
    let until = context.clock.now().monotonic + allowed;
    let action = command.action;
    let outcome = timeout(allowed, execute(&context, &action, until)).await;
    let outcome = outcome.unwrap_or_else(|_| {
        let error = PodmanError::Timeout { call: "finish the command", after: allowed };
        Err(unavailable(&error))
    });
    let news = match news_of(&context, &action, &outcome) {
        Some(news) => news,
        None => {
            let listing = timeout(reserve * 3 / 4, observer.list()).await;
            listing.map_or(News::Nothing, News::Listing)
        }
    };
    Done { action, result: outcome.map(|(notes, _)| notes), news }
}

/// Tells the table of pods what a command came to. Returns what there is to send; `None` where that
/// takes a listing.
fn news_of(context: &PodmanContext, action: &Action, outcome: &Outcome) -> Option<News> {
    let (now, id) = (context.clock.now(), action.workload_id());
    let mut table = context.table.borrow_mut();
    match (action, outcome) {
        // These make and remove no pod.
        (Action::Pull { .. } | Action::Limit { .. } | Action::Halt { .. }, Ok(_)) => {
            Some(News::Nothing)
        }
        (Action::Pull { .. } | Action::Limit { .. } | Action::Halt { .. }, Err(_)) => None,
        (Action::Start { .. } | Action::Freeze { .. } | Action::Thaw { .. }, Ok((_, rows))) => {
            // Of one whose start is in doubt a listing says more.
            let is_in_doubt = context.hooks.borrow().is_start_given_up(id);
            match living_pod(rows, &context.boot_id).filter(|_| !is_in_doubt) {
                Some(pod) => table.made(now, pod, rows).map(News::Pods),
                None => {
                    table.left_unclear(now.monotonic, id);
                    None
                }
            }
        }
        (Action::Stop { .. } | Action::Suspend { .. }, Ok(_)) => {
            table.removed(now, id).map(News::Pods)
        }
        (
            Action::Start { .. }
            | Action::Freeze { .. }
            | Action::Thaw { .. }
            | Action::Stop { .. }
            | Action::Suspend { .. },
            Err(_),
        ) => {
            table.left_unclear(now.monotonic, id);
            None
        }
    }
}

async fn execute(context: &PodmanContext, action: &Action, until: Monotonic) -> Outcome {
    // What is known when the command begins.
    let (id, is_absent, live) = {
        let (id, table) = (action.workload_id(), context.table.borrow());
        (id, table.is_absent(id), table.live_containers(id))
    };
    let notes = match action {
        Action::Start { workload, limits } => {
            return start::start(context, workload, *limits, until, is_absent).await;
        }
        Action::Freeze { id, .. } => {
            return freeze::freeze(context, id).await.map(|rows| (Notes::default(), rows));
        }
        Action::Thaw { id, .. } => {
            return freeze::thaw(context, id).await.map(|rows| (Notes::default(), rows));
        }
        Action::Pull { workload } => pull::pull(context, workload, until).await?,
        Action::Limit { workload, limits } => {
            limits::limit(context, workload, *limits, live).await?
        }
        Action::Stop { grace, evidence, .. } => {
            stop::stop(context, id, *grace, live, *evidence, until).await?
        }
        Action::Suspend { grace, .. } => {
            stop::stop(context, id, *grace, live, Evidence::default(), until).await?
        }
        Action::Halt { grace, .. } => {
            stop::halt(context, id, *grace, live).await?;
            Notes::default()
        }
    };
    Ok((notes, Vec::new()))
}
