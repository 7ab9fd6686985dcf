//! What the steps in force come to for a workload. Pure.

use crate::workload::Limits;

/// CPU time of a workload that is throttled, in microseconds of 100 ms: a tenth of a core.
const THROTTLED: u64 = 10_000;

/// What is taken from a workload so that the device keeps its objectives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restraint {
    /// It gets little CPU time.
    pub(crate) throttled: bool,
    /// Memory is taken back from it.
    pub(crate) squeezed: bool,
    /// It is frozen.
    pub(crate) frozen: bool,
    /// It is stopped, and why.
    pub(crate) stopped_for: Option<String>,
    /// Whether an agent before this one may have left some.
    pub(crate) may_be_left: bool,
}

impl Restraint {
    /// Returns the limits that hold while `limits` are those of its profiles.
    pub(crate) fn limits(&self, limits: Limits) -> Limits {
        let throttled = limits.cpu.map_or(THROTTLED, |cpu| cpu.min(THROTTLED));
        let cpu = if self.throttled { Some(throttled) } else { limits.cpu };
        Limits { cpu, squeezed: self.squeezed, ..limits }
    }

    /// Returns whether its containers run slower than they would.
    pub(crate) const fn slows_down(&self) -> bool {
        self.throttled || self.squeezed || self.frozen
    }
}
