//! Every action that an executor can be asked for, to hold the documents to.

use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use crate::messages::{Action, Evidence};
use crate::testing::workloads::workload;
use crate::workload::{Limits, Workload};

/// Returns the word of each action, in the enum's order.
#[must_use]
pub fn words() -> Vec<&'static str> {
    let workload = workload("web").build();
    let first = Action::Pull { workload: Arc::clone(&workload) };
    let actions = successors(Some(first), |action| following(action, &workload));
    actions.map(|action| action.as_str()).collect()
}

/// Exhaustive, so that it does not compile before a new action has its place here.
fn following(action: &Action, workload: &Arc<Workload>) -> Option<Action> {
    let (limits, grace) = (Limits::default(), Duration::ZERO);
    let (id, name) = (workload.id.clone(), workload.name.clone());
    let workload = Arc::clone(workload);
    match action {
        Action::Pull { .. } => Some(Action::Start { workload, limits }),
        Action::Start { .. } => Some(Action::Limit { workload, limits }),
        Action::Limit { .. } => Some(Action::Freeze { id, workload: name }),
        Action::Freeze { .. } => Some(Action::Thaw { id, workload: name }),
        Action::Thaw { .. } => {
            Some(Action::Stop { id, workload: name, grace, evidence: Evidence::default() })
        }
        Action::Stop { .. } => Some(Action::Suspend { id, workload: name, grace }),
        Action::Suspend { .. } => Some(Action::Halt { id, workload: name, grace }),
        Action::Halt { .. } => None,
    }
}
