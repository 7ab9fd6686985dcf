//! Which runtimes are there. Pure.

use std::collections::BTreeMap;

use crate::workload::ExecutorKind;

/// What is known of one runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// The agent's settings give it none; says which setting would.
    Unconfigured { way_out: String },
    /// It has not been heard of since the agent started.
    Unheard,
    /// It answers.
    Available,
    /// It answers too late to serve well; says how late.
    Slow { message: String },
    /// It does not answer; says why.
    Unavailable { message: String },
}

/// What is known of every runtime.
#[derive(Clone, Debug)]
pub(crate) struct Runtimes(BTreeMap<ExecutorKind, Runtime>);

impl Runtimes {
    /// Returns the state at start: every runtime unheard but for those that have no executor.
    pub(crate) fn new(unconfigured: &BTreeMap<ExecutorKind, String>) -> Self {
        let at_start = |kind: ExecutorKind| {
            let runtime = unconfigured.get(&kind).map_or(Runtime::Unheard, |way_out| {
                Runtime::Unconfigured { way_out: way_out.clone() }
            });
            (kind, runtime)
        };
        Self(ExecutorKind::ALL.map(at_start).into())
    }

    /// Notes what an executor said of its runtime; returns whether that is news.
    pub(crate) fn note(&mut self, kind: ExecutorKind, runtime: Runtime) -> bool {
        self.0.insert(kind, runtime.clone()) != Some(runtime)
    }

    /// Returns what is known of `kind`.
    pub(super) fn of(&self, kind: ExecutorKind) -> Option<&Runtime> {
        self.0.get(&kind)
    }

    /// Returns whether commands to `kind` make sense.
    pub(crate) fn is_available(&self, kind: ExecutorKind) -> bool {
        matches!(self.0.get(&kind), Some(Runtime::Available | Runtime::Slow { .. }))
    }

    /// Returns whether `kind` was asked and did not answer, or too late to serve well.
    pub(crate) fn is_silent(&self, kind: ExecutorKind) -> bool {
        matches!(self.0.get(&kind), Some(Runtime::Unavailable { .. } | Runtime::Slow { .. }))
    }

    /// Returns whether some podman has not been heard yet, so that nobody knows its pods.
    pub(crate) fn has_unheard_podman(&self) -> bool {
        let podmans = [ExecutorKind::PodmanRootful, ExecutorKind::PodmanRootless];
        podmans.iter().any(|kind| self.0.get(kind) == Some(&Runtime::Unheard))
    }

    /// Returns what is wrong with `kind` though it can be used, in plain words.
    pub(crate) fn slowness(&self, kind: ExecutorKind) -> Option<String> {
        match self.0.get(&kind) {
            Some(Runtime::Slow { message }) => Some(format!("{kind}: {message}")),
            Some(Runtime::Available)
            | Some(Runtime::Unconfigured { .. } | Runtime::Unavailable { .. } | Runtime::Unheard)
            | None => None,
        }
    }

    /// Returns why `kind` cannot be used, in plain words.
    pub(crate) fn obstacle(&self, kind: ExecutorKind) -> Option<String> {
        match self.0.get(&kind) {
            Some(Runtime::Available | Runtime::Slow { .. }) => None,
            Some(Runtime::Unconfigured { way_out }) => Some(way_out.clone()),
            Some(Runtime::Unavailable { message }) => {
                Some(format!("{kind} is not available: {message}"))
            }
            Some(Runtime::Unheard) | None => Some(format!("{kind} has not answered yet")),
        }
    }
}
