//! Which step is tried next. Pure.
//!
//! | order | of the steps that are left, first come those                                              |
//! |-------|-------------------------------------------------------------------------------------------|
//! | 1     | that did not fail to help when the objective was last broken                             |
//! | 2     | of workloads of a lower priority                                                          |
//! | 3     | that helped when it was last broken                                                       |
//! | 4     | of a workload that takes as much CPU time, or memory, as all others together               |
//! | 5     | that are gentler                                                                          |
//! | 6     | of workloads that use more of what the step takes away: CPU time or memory                |

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::step::{Candidate, Step};
use super::usage::Usage;
use crate::workload::{Rung, WorkloadName};

/// What uses less CPU time, in thousandths of a core, is not kept from it.
const LEAST_CPU: u64 = 10;

/// What the steps for one objective have shown.
#[derive(Debug, Default)]
pub(super) struct Memory {
    helped: BTreeSet<(WorkloadName, Rung)>,
    useless: BTreeSet<(WorkloadName, Rung)>,
    /// Those that were tried in this search.
    tried: BTreeSet<(WorkloadName, Rung)>,
}

impl Memory {
    /// Takes in that a step was tried, whatever it has shown.
    pub(super) fn tried(&mut self, step: &Step) {
        self.tried.insert((step.workload.clone(), step.rung));
    }

    /// Takes in what a step has shown.
    pub(super) fn learn(&mut self, step: &Step, has_helped: bool) {
        self.tried(step);
        let key = (step.workload.clone(), step.rung);
        if has_helped {
            self.useless.remove(&key);
            self.helped.insert(key);
        } else {
            self.helped.remove(&key);
            self.useless.insert(key);
        }
    }

    /// Has all steps tried again, those that failed to help last.
    pub(super) fn begin_anew(&mut self) {
        self.tried.clear();
    }
}

/// Returns the step to try next; `taken` are those in force.
pub(super) fn next_step(
    candidates: &[Candidate],
    taken: &[Step],
    memory: &Memory,
) -> Option<(WorkloadName, Rung)> {
    let free = candidates.iter().filter(|it| it.runs).flat_map(|candidate| {
        let rungs = candidate.rungs.iter().filter(|rung| is_free(candidate, *rung, taken));
        rungs.map(move |rung| (candidate, rung, (candidate.name.clone(), rung)))
    });
    let left = free.filter(|(_, _, key)| !memory.tried.contains(key));
    let total = candidates.iter().filter_map(|it| it.usage).fold(Usage::default(), |total, it| {
        let (cpu, memory) =
            (total.cpu.saturating_add(it.cpu), total.memory.saturating_add(it.memory));
        Usage { cpu, memory }
    });
    let first = left.min_by_key(|(candidate, rung, key)| {
        (
            memory.useless.contains(key),
            candidate.priority,
            !memory.helped.contains(key),
            !dominates(candidate, total),
            *rung,
            Reverse(used(candidate, *rung)),
        )
    });
    first.map(|(_, _, key)| key)
}

/// Returns whether a workload takes half or more of what all use.
fn dominates(candidate: &Candidate, total: Usage) -> bool {
    let is_half = |part: u64, whole: u64| part >= whole.div_ceil(2);
    candidate.usage.is_some_and(|it| {
        is_half(it.memory, total.memory) || it.cpu >= LEAST_CPU && is_half(it.cpu, total.cpu)
    })
}

/// Returns how much there is to gain: memory by those steps that give it back, else CPU time.
fn used(candidate: &Candidate, rung: Rung) -> u64 {
    let usage = candidate.usage.unwrap_or_default();
    match rung {
        Rung::Throttle | Rung::Freeze => usage.cpu,
        Rung::Squeeze | Rung::Stop => usage.memory,
    }
}

/// Returns whether a step would change anything beside those that are in force.
pub(super) fn is_free(candidate: &Candidate, rung: Rung, taken: &[Step]) -> bool {
    // Nothing is gained by keeping CPU time from what uses none.
    let is_vain = match rung {
        Rung::Throttle | Rung::Freeze => candidate.usage.is_some_and(|it| it.cpu < LEAST_CPU),
        Rung::Squeeze | Rung::Stop => false,
    };
    let mut own = taken.iter().filter(|step| step.workload == candidate.name);
    !is_vain
        && own.all(|step| match step.rung {
            Rung::Throttle | Rung::Squeeze => step.rung != rung,
            // What is frozen uses no CPU time; what is stopped, nothing.
            Rung::Freeze => rung == Rung::Stop,
            Rung::Stop => false,
        })
}
