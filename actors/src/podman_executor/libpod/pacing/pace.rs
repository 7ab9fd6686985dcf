//! How long podman may take for an answer, by how long it took for the last ones. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Deadline of an answer, as a multiple of the median of the last ones.
const HEADROOM: u32 = 8;
/// The longest time that is allowed for an answer, however slow podman is.
const LONGEST: Duration = Duration::from_secs(120);
/// An answer that was given up is still awaited for this many times its limit, then it counts as lost.
const LINGER: u32 = 4;
/// The same for a question that podman answers quickly: what it has not answered by then it hardly
/// works on.
const QUICK_LINGER: u32 = 1;
/// Answers in a row below this make it quick again.
const QUICK: Duration = Duration::from_millis(100);
const ENOUGH: usize = 5;
/// The same for what takes long by its nature.
const LONG_LINGER: u32 = 2;
/// The longest time for that.
const LONGEST_LINGER: Duration = Duration::from_secs(600);
/// So many answers are remembered of each kind.
const KEPT: usize = 15;
/// Median from which podman counts as too slow to serve well.
const SLUGGISH: Duration = Duration::from_secs(5);
/// Listing never blocks on a lock, but for pods.
const LIST_TIME: Duration = Duration::from_secs(5);
/// A call that reads or changes one thing.
const SINGLE_TIME: Duration = Duration::from_secs(10);
/// Removing; podman 4.3 takes 4 s at times.
const REMOVAL_TIME: Duration = Duration::from_secs(30);

/// What podman is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::podman_executor) enum Question {
    Facts,
    Events,
    Containers,
    ContainersOf,
    Usage,
    Pods,
    Pod,
    Inspect,
    LogEnd,
    Image,
    Update,
    Group,
    /// To pause a container or to let it go on: the one waits for the other.
    Freezer,
    Play,
    Stop,
    Remove,
    Pull,
    RemoveImage,
}

/// Questions that wait for each other. Those that take long by their nature have lanes of their
/// own, so that they hold up no quick one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::podman_executor) enum Lane {
    /// Reading, which never blocks.
    Reads,
    /// Reading that blocks while a pod is being stopped.
    Locked,
    /// Quick changes.
    Changes,
    /// Starts, which may wait for init containers.
    Starts,
    /// Stops, which wait for grace periods.
    Stops,
    /// Pulls, which wait for registries.
    Pulls,
}

impl Lane {
    /// Every lane, and how many of its questions may be under way at once.
    pub(in crate::podman_executor) const ALL: [(Self, usize); 6] = [
        (Self::Reads, 4),
        (Self::Locked, 2),
        (Self::Changes, 4),
        (Self::Starts, 16),
        (Self::Stops, 32),
        (Self::Pulls, 16),
    ];
}

impl Question {
    /// Returns what it is for, as errors say it: "list containers".
    pub(in crate::podman_executor) const fn call(self) -> &'static str {
        match self {
            Self::Facts => "read podman's facts",
            Self::Events => "open the event stream",
            Self::Containers => "list containers",
            Self::ContainersOf => "list the pod's containers",
            Self::Usage => "read what containers use",
            Self::Pods => "list pods",
            Self::Pod => "find the pod",
            Self::Inspect => "inspect the container",
            Self::LogEnd => "read the container's log",
            Self::Image => "look for the image",
            Self::Update => "change the limits",
            Self::Group => "write the control group",
            Self::Freezer => "freeze or thaw the container",
            Self::Play => "create the pod",
            Self::Stop => "stop the container",
            Self::Remove => "remove the pod",
            Self::Pull => "pull the image",
            Self::RemoveImage => "remove the image",
        }
    }

    /// Returns its lane; the one event stream needs none.
    pub(in crate::podman_executor) const fn lane(self) -> Option<Lane> {
        match self {
            Self::Events => None,
            Self::Facts
            | Self::Containers
            | Self::ContainersOf
            | Self::Usage
            | Self::Inspect
            | Self::LogEnd
            | Self::Image => Some(Lane::Reads),
            Self::Pods | Self::Pod => Some(Lane::Locked),
            Self::Update | Self::Group | Self::Freezer | Self::Remove | Self::RemoveImage => {
                Some(Lane::Changes)
            }
            Self::Play => Some(Lane::Starts),
            Self::Stop => Some(Lane::Stops),
            Self::Pull => Some(Lane::Pulls),
        }
    }

    /// Returns the time for an answer of a podman of which nothing is known.
    const fn usual(self) -> Duration {
        match self {
            Self::Events
            | Self::Containers
            | Self::ContainersOf
            | Self::Usage
            | Self::Pods
            | Self::Pod => LIST_TIME,
            Self::Facts
            | Self::Inspect
            | Self::LogEnd
            | Self::Image
            | Self::Update
            | Self::Group
            | Self::Freezer
            | Self::Play
            | Self::Stop
            | Self::Pull => SINGLE_TIME,
            Self::Remove | Self::RemoveImage => REMOVAL_TIME,
        }
    }

    /// Returns whether the time for an answer is podman's own, and waits for nothing else.
    pub(in crate::podman_executor) const fn shows_pace(self) -> bool {
        matches!(self.lane(), None | Some(Lane::Reads))
    }
}

/// How long the last answers took.
#[derive(Debug, Default)]
pub(in crate::podman_executor) struct Pace {
    of: BTreeMap<Question, Times>,
    /// Of all questions that show the pace.
    all: Times,
}

#[derive(Debug, Default)]
struct Times(VecDeque<Duration>);

impl Times {
    fn note(&mut self, took: Duration) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(took);
    }

    fn median(&self) -> Option<Duration> {
        let mut sorted: Vec<_> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

impl Pace {
    /// Records how long an answer took, or how long it was waited for in vain.
    pub(in crate::podman_executor) fn note(&mut self, question: Question, took: Duration) {
        self.of.entry(question).or_default().note(took);
        if question.shows_pace() {
            self.all.note(took);
        }
    }

    /// Returns how long an answer may take. What is not known of one question is taken from all.
    pub(in crate::podman_executor) fn limit(&self, question: Question) -> Duration {
        let own = self.of.get(&question).and_then(Times::median);
        let median = own.max(self.all.median()).unwrap_or_default();
        (median * HEADROOM).clamp(question.usual(), LONGEST)
    }

    /// Returns `usual`, a time within which podman does something of its own accord, or as much more
    /// as this podman needs.
    pub(in crate::podman_executor) fn patient(&self, usual: Duration) -> Duration {
        let median = self.all.median().unwrap_or_default();
        (median * HEADROOM).clamp(usual, LONGEST.max(usual))
    }

    /// Returns how long an answer that was given up after `limit` is still waited for.
    pub(in crate::podman_executor) fn linger(
        &self,
        question: Question,
        limit: Duration,
    ) -> Duration {
        // Its own: facts may take long where lists are quick.
        let own = self.of.get(&question).filter(|times| times.0.len() >= ENOUGH);
        let is_quick = own.and_then(Times::median).is_some_and(|median| median < QUICK);
        match question.lane() {
            None | Some(Lane::Reads | Lane::Locked | Lane::Changes) if is_quick => {
                limit.saturating_mul(QUICK_LINGER).min(LONGEST)
            }
            None
            | Some(
                Lane::Reads
                | Lane::Locked
                | Lane::Changes
                | Lane::Starts
                | Lane::Stops
                | Lane::Pulls,
            ) => linger(question, limit),
        }
    }

    /// Says what is wrong with a podman that answers late; `unanswered` was given up, so long ago it
    /// was asked.
    pub(in crate::podman_executor) fn complaint(
        &self,
        unanswered: Option<(Question, Duration)>,
    ) -> Option<String> {
        if let Some((question, since)) = unanswered {
            let (call, since) = (question.call(), since.as_secs());
            return Some(format!("podman was asked {since} s ago to {call} and has not answered"));
        }
        let median = self.all.median().filter(|median| *median >= SLUGGISH)?;
        let (seconds, count) = (median.as_secs(), self.all.0.len());
        Some(format!(
            "podman is too slow: it takes {seconds} s for an answer (median of the last {count}), so \
             pods are started, stopped and watched late"
        ))
    }
}

/// Returns how long an answer that was given up after `limit` is waited for at most.
pub(in crate::podman_executor) fn linger(question: Question, limit: Duration) -> Duration {
    let (times, longest) = match question.lane() {
        None | Some(Lane::Reads | Lane::Locked | Lane::Changes) => (LINGER, LONGEST),
        Some(Lane::Starts | Lane::Stops | Lane::Pulls) => (LONG_LINGER, LONGEST_LINGER),
    };
    limit.saturating_mul(times).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(times: &[(Question, u64)]) -> Pace {
        let mut pace = Pace::default();
        for (question, millis) in times {
            pace.note(*question, Duration::from_millis(*millis));
        }
        pace
    }

    #[test]
    fn an_answer_may_take_eight_times_the_median_within_bounds() {
        for (times, question, expected) in [
            (&[][..], Question::Containers, 5),
            (&[], Question::Facts, 10),
            (&[], Question::Remove, 30),
            (&[(Question::Containers, 100)], Question::Containers, 5),
            (&[(Question::Containers, 2_000)], Question::Containers, 16),
            // One hiccup is no habit.
            (
                &[(Question::Inspect, 50), (Question::Inspect, 50), (Question::Inspect, 60_000)],
                Question::Inspect,
                10,
            ),
            // One that was never asked is as slow as all the others.
            (&[(Question::Events, 3_000)], Question::Facts, 24),
            (&[(Question::Containers, 28_000)], Question::Containers, 120),
            // Waiting for a pod that is being stopped says nothing of all the others.
            (&[(Question::Pods, 4_000)], Question::Containers, 5),
            (&[(Question::Pods, 4_000)], Question::Pods, 32),
            (&[(Question::Remove, 10_000)], Question::Remove, 80),
        ] {
            assert_eq!(pace(times).limit(question).as_secs(), expected, "{times:?} {question:?}");
        }
    }

    #[test]
    fn a_podman_that_is_quick_again_is_trusted_again() {
        let mut pace = pace(&[(Question::Containers, 20_000); KEPT]);
        assert_eq!(pace.limit(Question::Containers), LONGEST);
        for _ in 0..=KEPT / 2 {
            pace.note(Question::Containers, Duration::from_millis(20));
        }
        assert_eq!(pace.limit(Question::Containers), LIST_TIME);
        assert_eq!(pace.patient(Duration::from_secs(2)), Duration::from_secs(2));
    }

    #[test]
    fn waits_for_podman_grow_with_its_slowness_and_never_shrink() {
        let slow = pace(&[(Question::Containers, 1_500)]);
        for (usual, expected) in [(2, 12), (3, 12), (60, 60), (600, 600)] {
            let usual = Duration::from_secs(usual);
            assert_eq!(slow.patient(usual).as_secs(), expected, "{usual:?}");
        }
    }

    #[test]
    fn only_a_podman_whose_median_is_too_slow_is_complained_about() {
        let minute = Duration::from_secs(60);
        assert_eq!(Pace::default().complaint(None), None);
        assert_eq!(pace(&[(Question::Facts, 4_999)]).complaint(None), None);
        let told = pace(&[(Question::Facts, 14_000)]).complaint(None).unwrap();
        assert!(told.contains("takes 14 s") && told.contains("last 1)"), "{told}");
        let told = Pace::default().complaint(Some((Question::Containers, minute))).unwrap();
        assert_eq!(told, "podman was asked 60 s ago to list containers and has not answered");
    }

    #[test]
    fn what_was_given_up_is_still_awaited_for_a_bounded_time() {
        for (question, limit, expected) in [
            (Question::Containers, 5, 20),
            (Question::Containers, 120, 120),
            (Question::Play, 60, 120),
            (Question::Play, 3_600, 600),
        ] {
            let lingers = linger(question, Duration::from_secs(limit));
            assert_eq!(lingers.as_secs(), expected, "{question:?} {limit}");
        }
    }

    #[test]
    fn a_quick_podman_is_asked_again_soon_for_what_it_lost() {
        let (list, play) = (Duration::from_secs(5), Duration::from_secs(60));
        for (times, question, limit, expected) in [
            (&[(Question::Containers, 20); 5][..], Question::Containers, list, 5),
            (&[(Question::Containers, 20); 9], Question::Facts, list, 20),
            (&[(Question::Containers, 20); 4], Question::Containers, list, 20),
            (&[(Question::Containers, 100); 9], Question::Containers, list, 20),
            // Waiting for init containers and registries says nothing of podman.
            (&[(Question::Play, 20); 9], Question::Play, play, 120),
        ] {
            let lingers = pace(times).linger(question, limit).as_secs();
            assert_eq!(lingers, expected, "{times:?} {question:?}");
        }
    }

    #[test]
    fn every_lane_has_room_and_all_have_connections() {
        assert!(Lane::ALL.iter().all(|(_, room)| *room > 0));
        let all: usize = Lane::ALL.iter().map(|(_, room)| room).sum();
        assert!(all < crate::podman_executor::libpod::http::PLACES, "{all}");
        let quick = [Lane::Reads, Lane::Locked, Lane::Changes];
        let quick = Lane::ALL.iter().filter(|(lane, _)| quick.contains(lane));
        assert_eq!(quick.map(|(_, room)| room).sum::<usize>(), 10);
    }
}
