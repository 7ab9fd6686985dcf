//! What pods use, as far as it was asked for: the governor tries first who uses most. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::messages::PodUsage;
use crate::scheduler::observed::PodKey;
use crate::workload::{ExecutorKind, WorkloadId};

/// Time from the first question to the second: podman gives the CPU time since a container's start, so the
/// present use is the difference of two answers.
const SECOND_QUESTION: Duration = Duration::from_secs(1);
/// Time between two questions after that, as long as a step is looked for.
const PERIOD: Duration = Duration::from_secs(5);
/// Longest wait for answers before a step is taken without them.
const PATIENCE: Duration = Duration::from_secs(3);

/// What one pod uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Thousandths of a core.
    pub(crate) cpu: u64,
    /// Bytes.
    pub(crate) memory: u64,
}

/// What was asked and answered since an objective broke.
#[derive(Debug, Default)]
pub(crate) struct UsageBook {
    /// When it was first asked.
    began: Option<Monotonic>,
    next_question: Option<Monotonic>,
    samples: BTreeMap<PodKey, (Monotonic, PodUsage)>,
    rates: BTreeMap<PodKey, Usage>,
}

impl UsageBook {
    /// Returns whether to ask now. What is known is forgotten once no objective is broken.
    pub(crate) fn ask(&mut self, is_broken: bool, is_searching: bool, now: Monotonic) -> bool {
        if !is_broken {
            *self = Self::default();
            return false;
        }
        if !is_searching {
            self.next_question = None;
            return false;
        }
        if self.next_question.is_some_and(|at| now < at) {
            return false;
        }
        let gap = if self.began.is_none() { SECOND_QUESTION } else { PERIOD };
        self.began.get_or_insert(now);
        self.next_question = Some(now + gap);
        true
    }

    /// Returns when to ask next.
    pub(crate) const fn next_question(&self) -> Option<Monotonic> {
        self.next_question
    }

    /// Returns whether answers are worth waiting for: the first two questions may still be answered.
    pub(crate) fn awaits(&self, now: Monotonic) -> bool {
        self.rates.is_empty() && self.began.is_none_or(|began| now < began + PATIENCE)
    }

    /// Takes in what an executor answered.
    pub(crate) fn answered(
        &mut self,
        executor: ExecutorKind,
        at: Monotonic,
        pods: BTreeMap<WorkloadId, PodUsage>,
    ) {
        if self.began.is_none() {
            return;
        }
        for (id, new) in pods {
            let key = PodKey { executor, id };
            if let Some((before, old)) = self.samples.insert(key.clone(), (at, new)) {
                let millis = at.saturating_since(before).as_millis().max(1);
                let used = new.cpu.saturating_sub(old.cpu).as_millis();
                let cpu = u64::try_from(used.saturating_mul(1_000) / millis).unwrap_or(u64::MAX);
                self.rates.insert(key, Usage { cpu, memory: new.memory });
            }
        }
    }

    /// Returns what a pod uses, if that is known.
    pub(crate) fn of(&self, pod: &PodKey) -> Option<Usage> {
        self.rates.get(pod).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn two_answers_make_a_rate_and_nothing_is_asked_once_all_is_well() {
        let mut book = UsageBook::default();
        assert!(!book.ask(false, false, at(10)));
        let asked: Vec<_> = (10..30).filter(|second| book.ask(true, true, at(*second))).collect();
        assert_eq!(asked, [10, 11, 16, 21, 26]);
        let mut book = UsageBook::default();
        book.ask(true, true, at(10));
        assert!(book.awaits(at(12)) && !book.awaits(at(13)));
        let key = PodKey { executor: ExecutorKind::PodmanRootful, id: "a-0".into() };
        let usage = |seconds, memory| PodUsage { cpu: Duration::from_secs(seconds), memory };
        for (second, usage) in [(10, usage(100, 7)), (12, usage(101, 9))] {
            assert_eq!(book.of(&key), None);
            book.answered(key.executor, at(second), [(key.id.clone(), usage)].into());
        }
        assert_eq!(book.of(&key), Some(Usage { cpu: 500, memory: 9 }));
        assert!(!book.awaits(at(12)));
        assert!(!book.ask(true, false, at(13)) && book.of(&key).is_some());
        book.ask(false, false, at(13));
        assert_eq!(book.of(&key), None);
    }
}
