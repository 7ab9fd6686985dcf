//! Believes that nothing shall run any more only when it was said often and for long enough.

use std::time::Duration;

use crate::clock::Monotonic;

/// Answers that must say so, in a row.
const ANSWERS: u32 = 3;
/// Time from the first of them to the last.
const SPAN: Duration = Duration::from_secs(30);
/// Time between two questions while there is a doubt.
pub(crate) const RECHECK: Duration = Duration::from_secs(15);

/// Answers of one kind that would empty the device, counted since the last one that would not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WipeGuard {
    seen: Option<Doubt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Doubt {
    since: Monotonic,
    answers: u32,
}

impl WipeGuard {
    /// Counts an answer that would empty the device; returns whether to believe it.
    pub(crate) fn doubts(&mut self, now: Monotonic) -> bool {
        let doubt = self.seen.get_or_insert(Doubt { since: now, answers: 0 });
        doubt.answers = doubt.answers.saturating_add(1);
        doubt.answers >= ANSWERS && now.saturating_since(doubt.since) >= SPAN
    }

    /// Forgets the doubt, because an answer said otherwise.
    pub(crate) const fn clear(&mut self) {
        self.seen = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn three_answers_over_thirty_seconds_are_believed() {
        let table: [(&[u64], bool); 5] = [
            (&[0], false),
            (&[0, 15], false),
            (&[0, 1, 2], false),
            (&[0, 15, 30], true),
            (&[0, 1, 2, 3, 31], true),
        ];
        for (answers, believed) in table {
            let mut guard = WipeGuard::default();
            let last = answers.iter().map(|&second| guard.doubts(at(second))).last();
            assert_eq!(last, Some(believed), "{answers:?}");
        }
    }

    #[test]
    fn an_answer_to_the_contrary_starts_the_count_afresh() {
        let mut guard = WipeGuard::default();
        guard.doubts(at(0));
        guard.doubts(at(20));
        guard.clear();
        assert!(!guard.doubts(at(40)));
    }
}
