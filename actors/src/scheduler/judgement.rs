//! The verdicts that jobs are aimed by, and whether there are any yet. Pure.

use std::sync::Arc;

use crate::workload::{Profile, Verdicts};

/// Verdicts, and the profiles that they should be on.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    verdicts: Option<Verdicts>,
    /// What `verdicts` are on.
    judged: Arc<[Profile]>,
    configured: Arc<[Profile]>,
}

impl Judgement {
    /// Returns the verdicts on the profiles of the configuration; `None` while they are still to
    /// come. Those on other profiles say nothing, even of a condition of the same name.
    pub(super) fn in_force(&self) -> Option<&Verdicts> {
        // Those who pass the profiles on keep their Arc.
        let are_on_them =
            Arc::ptr_eq(&self.judged, &self.configured) || self.judged == self.configured;
        self.verdicts.as_ref().filter(|_| are_on_them)
    }

    /// Takes over the profiles of a configuration.
    pub(super) fn configure(&mut self, profiles: &Arc<[Profile]>) {
        self.configured = Arc::clone(profiles);
    }

    /// Takes over verdicts on `profiles`; returns those from before.
    pub(super) fn evaluate(
        &mut self,
        verdicts: Verdicts,
        profiles: Arc<[Profile]>,
    ) -> Option<Verdicts> {
        self.judged = profiles;
        self.verdicts.replace(verdicts)
    }
}
