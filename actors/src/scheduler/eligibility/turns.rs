//! Whose turn it is where one profile turns several workloads away, or lets them come back. Pure.
//!
//! | direction | goes first      | the next ones go                                             |
//! |-----------|-----------------|--------------------------------------------------------------|
//! | `Away`    | lowest priority | once those have ended and the device has settled, if the profile still denies them |
//! | `Back`    | highest priority | once those have started and the device has settled, if the profile still allows them |
//!
//! Workloads of one priority go together: where nobody sets one, all of them, at once. No workload waits for
//! one that cannot go now, and none for longer than [`MAX_WAIT`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::workload::{ProfileName, WorkloadName};

/// Longest time for which a job waits for others.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(300);

/// Shortest time between two looks whether another job has gone.
const MIN_LOOK: Duration = Duration::from_secs(1);

/// Which way workloads go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    /// They are stopped.
    Away,
    /// They are started again.
    Back,
}

impl Direction {
    /// Returns whether one of priority `other` goes before one of `priority`.
    const fn is_before(self, other: i32, priority: i32) -> bool {
        match self {
            Self::Away => other < priority,
            Self::Back => other > priority,
        }
    }
}

/// What keeps a job from following its verdicts at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// In plain words.
    pub(crate) why: String,
    /// When it is over; `None`: when another job has gone.
    pub(crate) until: Option<Monotonic>,
}

impl Wait {
    /// Returns when to look again: what another job does may not be seen.
    pub(crate) fn look_again(&self, settling: Duration, now: Monotonic) -> Monotonic {
        self.until.unwrap_or(now + settling.max(MIN_LOOK))
    }
}

/// What a job waits for, whichever way it would go.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    /// The profiles that turn the job away.
    pub(crate) denying: Vec<ProfileName>,
    /// Before a profile stops it.
    pub(crate) away: Option<Wait>,
    /// Before it starts again.
    pub(crate) back: Option<Wait>,
}

/// A job that is to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'a WorkloadName,
    pub(crate) priority: i32,
    /// The profiles that turn it away, or turned it away.
    pub(crate) profiles: &'a [ProfileName],
}

/// The last job that went, for each profile and direction.
#[derive(Debug)]
pub(crate) struct Turns {
    settling: Duration,
    last: BTreeMap<(ProfileName, Direction), Step>,
}

#[derive(Debug)]
struct Step {
    at: Monotonic,
    priority: i32,
    name: WorkloadName,
}

impl Turns {
    /// Returns one with no job gone yet; `settling` is the time between two steps.
    pub(crate) const fn new(settling: Duration) -> Self {
        Self { settling, last: BTreeMap::new() }
    }

    /// Notes that `job` has gone.
    pub(crate) fn note(&mut self, job: Candidate<'_>, direction: Direction, now: Monotonic) {
        for profile in job.profiles {
            let step = Step { at: now, priority: job.priority, name: job.name.clone() };
            self.last.insert((profile.clone(), direction), step);
        }
    }

    /// Returns what `job` waits for before it goes. `first` returns one that can go, of those that a profile
    /// has go and that the predicate puts before the job. It goes away as soon as one of its profiles has
    /// it at its turn, and comes back once all of them have.
    pub(crate) fn wait(
        &self,
        job: Candidate<'_>,
        first: impl Fn(&ProfileName, &dyn Fn(i32) -> bool) -> Option<(WorkloadName, i32)>,
        direction: Direction,
        now: Monotonic,
    ) -> Option<Wait> {
        let wait = |profile| self.wait_for(profile, job, &first, direction, now);
        let mut waits = job.profiles.iter().map(wait);
        match direction {
            Direction::Away => waits.collect::<Option<Vec<_>>>()?.into_iter().next(),
            Direction::Back => waits.find_map(|wait| wait),
        }
    }

    fn wait_for(
        &self,
        profile: &ProfileName,
        job: Candidate<'_>,
        first: impl Fn(&ProfileName, &dyn Fn(i32) -> bool) -> Option<(WorkloadName, i32)>,
        direction: Direction,
        now: Monotonic,
    ) -> Option<Wait> {
        let goes_first = |priority| direction.is_before(priority, job.priority);
        if let Some((name, priority)) = first(profile, &goes_first) {
            let why = match direction {
                Direction::Away => format!("{name} of priority {priority} goes first"),
                Direction::Back => format!("{name} of priority {priority} comes back first"),
            };
            return Some(Wait { why, until: None });
        }
        let step = self.last.get(&(profile.clone(), direction))?;
        let until = step.at + self.settling;
        let is_settling = goes_first(step.priority) && now < until;
        is_settling.then(|| {
            let what = match direction {
                Direction::Away => "ended",
                Direction::Back => "came back",
            };
            let why = format!("the device is settling: {} {what}", step.name);
            Wait { why, until: Some(until) }
        })
    }

    /// Returns the time between two steps.
    pub(crate) const fn settling(&self) -> Duration {
        self.settling
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTLING: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    /// Jobs as they are written: name, priority, profiles.
    type Jobs = Vec<(WorkloadName, i32, Vec<ProfileName>)>;

    fn jobs(list: &[(&str, i32, &[&str])]) -> Jobs {
        let profiles = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
        list.iter().map(|(name, priority, of)| ((*name).into(), *priority, profiles(of))).collect()
    }

    fn candidate(
        (name, priority, profiles): &(WorkloadName, i32, Vec<ProfileName>),
    ) -> Candidate<'_> {
        Candidate { name, priority: *priority, profiles }
    }

    fn first_of<'a>(
        others: impl Iterator<Item = &'a (WorkloadName, i32, Vec<ProfileName>)> + Clone,
    ) -> impl Fn(&ProfileName, &dyn Fn(i32) -> bool) -> Option<(WorkloadName, i32)> {
        move |profile, is_before| {
            let mut others = others.clone();
            let other =
                others.find(|(_, priority, of)| of.contains(profile) && is_before(*priority));
            other.map(|(name, priority, _)| (name.clone(), *priority))
        }
    }

    /// Returns what the first of `list` waits for while the others can go.
    fn waits(
        turns: &Turns,
        list: &Jobs,
        direction: Direction,
        now: u64,
    ) -> Option<(String, Option<Monotonic>)> {
        let (me, others) = list.split_first().unwrap();
        let wait = turns.wait(candidate(me), first_of(others.iter()), direction, at(now))?;
        Some((wait.why, wait.until))
    }

    #[test]
    fn the_lowest_goes_first_and_comes_back_last() {
        use Direction::{Away, Back};
        let turns = Turns::new(SETTLING);
        for (list, direction, expected) in [
            (jobs(&[("a", 0, &["p"])]), Away, None),
            (jobs(&[("a", 0, &["p"]), ("b", 0, &["p"])]), Away, None),
            (jobs(&[("a", 1, &["p"]), ("b", 0, &["p"])]), Away, Some("b of priority 0 goes first")),
            (jobs(&[("a", 1, &["p"]), ("b", 2, &["p"])]), Away, None),
            (jobs(&[("a", 1, &["p"]), ("b", 0, &["q"])]), Away, None),
            // Another profile of it has nobody before it.
            (jobs(&[("a", 1, &["p", "q"]), ("b", 0, &["p"])]), Away, None),
            (
                jobs(&[("a", 1, &["p"]), ("b", 2, &["p"])]),
                Back,
                Some("b of priority 2 comes back first"),
            ),
            (jobs(&[("a", 1, &["p"]), ("b", 0, &["p"])]), Back, None),
            (
                jobs(&[("a", 1, &["q", "p"]), ("b", 2, &["p"])]),
                Back,
                Some("b of priority 2 comes back first"),
            ),
        ] {
            let found = waits(&turns, &list, direction, 5).map(|(why, until)| {
                assert_eq!(until, None, "{list:?}");
                why
            });
            assert_eq!(found.as_deref(), expected, "{list:?} {direction:?}");
        }
    }

    #[test]
    fn the_next_priority_waits_until_the_device_has_settled() {
        let mut turns = Turns::new(SETTLING);
        let gone = jobs(&[("gone", 0, &["p"])]);
        turns.note(candidate(&gone[0]), Direction::Away, at(100));
        for (list, direction, now, expected) in [
            (jobs(&[("a", 1, &["p"])]), Direction::Away, 100, Some(at(110))),
            (jobs(&[("a", 1, &["p"])]), Direction::Away, 109, Some(at(110))),
            (jobs(&[("a", 1, &["p"])]), Direction::Away, 110, None),
            (jobs(&[("a", 0, &["p"])]), Direction::Away, 100, None),
            (jobs(&[("a", 1, &["q"])]), Direction::Away, 100, None),
            (jobs(&[("a", 1, &["p"])]), Direction::Back, 100, None),
        ] {
            let found = waits(&turns, &list, direction, now).map(|(why, until)| {
                assert_eq!(why, "the device is settling: gone ended");
                until.unwrap()
            });
            assert_eq!(found, expected, "{list:?} {direction:?} {now}");
        }
    }

    proptest! {
        /// Of those that can go one always can, and never one while another of a lower or higher
        /// priority, as the direction has it, shares each of its profiles.
        #[test]
        fn somebody_can_always_go_and_nobody_out_of_order(
            list in prop::collection::vec((0..4i32, prop::collection::vec("[pqr]", 1..3)), 1..8),
            is_away: bool,
        ) {
            let direction = if is_away { Direction::Away } else { Direction::Back };
            let list: Jobs = list
                .into_iter()
                .enumerate()
                .map(|(index, (priority, profiles))| {
                    let profiles = profiles.into_iter().map(|it| it.as_str().into()).collect();
                    (format!("w{index}").as_str().into(), priority, profiles)
                })
                .collect();
            let turns = Turns::new(SETTLING);
            let free: Vec<_> = (0..list.len()).filter(|index| {
                let others = list.iter().filter(|(name, _, _)| *name != list[*index].0);
                turns.wait(candidate(&list[*index]), first_of(others), direction, at(0)).is_none()
            }).collect();
            prop_assert!(!free.is_empty());
            for index in free {
                let (_, priority, profiles) = &list[index];
                let is_first = |profile: &ProfileName| list.iter().all(|(_, other, theirs)| {
                    !direction.is_before(*other, *priority) || !theirs.contains(profile)
                });
                match direction {
                    Direction::Away => prop_assert!(profiles.iter().any(is_first)),
                    Direction::Back => prop_assert!(profiles.iter().all(is_first)),
                }
            }
        }
    }
}
