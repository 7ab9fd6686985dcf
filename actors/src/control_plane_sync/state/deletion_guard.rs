//! Guards against mass deletion: an answer that would remove everything must be repeated.

use std::time::Duration;

use crate::clock::Monotonic;

/// Answers that must say so, in a row.
const ANSWERS: u32 = 3;
/// Time from the first of them to the last.
const SPAN: Duration = Duration::from_secs(30);
/// Interval between two requests while an answer is unconfirmed.
pub(crate) const RECHECK: Duration = Duration::from_secs(15);

/// Answers of one kind that would empty the device, counted since the last one that would not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeletionGuard {
    seen: Option<Streak>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Streak {
    since: Monotonic,
    answers: u32,
}

impl DeletionGuard {
    /// Counts an answer that would remove everything; true once it may be trusted.
    pub(crate) fn confirms(&mut self, now: Monotonic) -> bool {
        let streak = self.seen.get_or_insert(Streak { since: now, answers: 0 });
        streak.answers = streak.answers.saturating_add(1);
        streak.answers >= ANSWERS && now.saturating_since(streak.since) >= SPAN
    }

    /// Starts over, because an answer said otherwise.
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
            let mut guard = DeletionGuard::default();
            let last = answers.iter().map(|&second| guard.confirms(at(second))).last();
            assert_eq!(last, Some(believed), "{answers:?}");
        }
    }

    #[test]
    fn an_answer_to_the_contrary_starts_the_count_afresh() {
        let mut guard = DeletionGuard::default();
        guard.confirms(at(0));
        guard.confirms(at(20));
        guard.clear();
        assert!(!guard.confirms(at(40)));
    }
}
