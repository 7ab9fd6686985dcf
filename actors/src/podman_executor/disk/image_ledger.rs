//! The pulled-images record: which images the agent brought, and since when none of them is used.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Moment, Monotonic};

/// The images that the agent brought, by name; one whose name moved on to a newer one, by its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::podman_executor) struct ImageLedger {
    images: BTreeMap<String, Pulled>,
    /// Images that were on the device when a workload asked for them, pulled by the agent or not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    here: BTreeSet<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Pulled {
    id: String,
    /// Since when no configured workload names it, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unused_since: Option<i64>,
    /// The same where the agent has run since then: no clock step moves it.
    #[serde(skip)]
    unused_from: Option<Monotonic>,
}

impl ImageLedger {
    /// Notes that `image` is on the device.
    pub(in crate::podman_executor) fn seen(&mut self, image: &str) {
        if !self.here.contains(image) {
            self.here.insert(image.to_owned());
        }
    }

    /// Returns whether `image` was on the device when a workload last asked for it.
    pub(in crate::podman_executor) fn was_here(&self, image: &str) -> bool {
        self.here.contains(image)
    }

    /// Notes that `image` was pulled and is `now`; `before` is what the device had under that name.
    pub(in crate::podman_executor) fn pulled(
        &mut self,
        image: &str,
        now: &str,
        before: Option<&str>,
    ) {
        self.seen(image);
        let ours = self.images.remove(image);
        match (before, ours) {
            (None, _) => {}
            (Some(before), Some(ours)) if ours.id == before => {
                if before != now {
                    let left = Pulled { id: before.to_owned(), ..Pulled::default() };
                    self.images.insert(before.to_owned(), left);
                }
            }
            // Another user or program pulled it: the name is theirs.
            (Some(_), _) => return,
        }
        self.images.remove(now);
        let pulled = Pulled { id: now.to_owned(), ..Pulled::default() };
        self.images.insert(image.to_owned(), pulled);
    }

    /// Notes which images are wanted now.
    pub(in crate::podman_executor) fn mark(&mut self, wanted: &BTreeSet<String>, now: Moment) {
        let wall = now.wall.timestamp();
        self.here.retain(|image| wanted.contains(image));
        for (image, pulled) in &mut self.images {
            if wanted.contains(image) {
                (pulled.unused_since, pulled.unused_from) = (None, None);
            } else if pulled.unused_since.is_none_or(|since| since > wall) {
                // A time in the future: the clock was wrong, then or now.
                (pulled.unused_since, pulled.unused_from) = (Some(wall), Some(now.monotonic));
            }
        }
    }

    /// Returns names and ids of the images that were unused for `after`.
    pub(in crate::podman_executor) fn due(
        &self,
        after: Duration,
        now: Moment,
    ) -> Vec<(String, String)> {
        let due = self.images.iter().filter(|(_, pulled)| {
            let seen = pulled.unused_from.map(|from| now.monotonic.saturating_since(from));
            let unused = seen.or_else(|| {
                let seconds = now.wall.timestamp().saturating_sub(pulled.unused_since?);
                u64::try_from(seconds).ok().map(Duration::from_secs)
            });
            unused.is_some_and(|unused| unused >= after)
        });
        due.map(|(image, pulled)| (image.clone(), pulled.id.clone())).collect()
    }

    /// Forgets an image that is gone, or that is not the agent's.
    pub(in crate::podman_executor) fn forget(&mut self, image: &str) {
        self.images.remove(image);
        self.here.remove(image);
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn at(monotonic_hours: u64, wall_hours: i64) -> Moment {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Moment {
            monotonic: Monotonic::from_start(Duration::from_secs(monotonic_hours * 3_600)),
            wall: start + TimeDelta::hours(wall_hours),
        }
    }

    fn wanted(images: &[&str]) -> BTreeSet<String> {
        images.iter().map(|image| (*image).to_owned()).collect()
    }

    fn due(ledger: &ImageLedger, now: Moment) -> Vec<String> {
        ledger.due(DAY, now).into_iter().map(|(image, _)| image).collect()
    }

    /// The ledger as the next run of the agent reads it.
    fn reloaded(ledger: &ImageLedger) -> ImageLedger {
        serde_json::from_str(&serde_json::to_string(ledger).unwrap()).unwrap()
    }

    #[test]
    fn only_what_the_agent_brought_is_its_own() {
        for (steps, expected) in [
            // Absent before: ours.
            (&[("web", "1", None)][..], &["web"][..]),
            // It was there before: not the agent's, whatever the pull brought.
            (&[("web", "1", Some("1"))], &[]),
            (&[("web", "2", Some("1"))], &[]),
            // The tag moved on: both are ours, the old one by its id.
            (&[("web", "1", None), ("web", "2", Some("1"))], &["1", "web"]),
            (&[("web", "1", None), ("web", "1", Some("1"))], &["web"]),
            // And back again.
            (
                &[("web", "1", None), ("web", "2", Some("1")), ("web", "1", Some("2"))],
                &["2", "web"],
            ),
            // Another program replaced ours.
            (&[("web", "1", None), ("web", "3", Some("2"))], &[]),
            // Another program removed ours.
            (&[("web", "1", None), ("web", "2", None)], &["web"]),
        ] {
            let mut ledger = ImageLedger::default();
            for (image, now, before) in steps {
                ledger.pulled(image, now, *before);
            }
            ledger.mark(&wanted(&[]), at(0, 0));
            assert_eq!(due(&ledger, at(24, 24)), expected, "{steps:?}");
        }
    }

    #[test]
    fn an_image_is_due_a_day_after_its_last_workload_was_removed() {
        let mut ledger = ImageLedger::default();
        ledger.pulled("web", "1", None);
        assert_eq!(due(&ledger, at(99, 99)), [""; 0], "nothing is known of workloads yet");
        ledger.mark(&wanted(&["web"]), at(0, 0));
        assert_eq!(due(&ledger, at(99, 99)), [""; 0]);
        ledger.mark(&wanted(&[]), at(100, 100));
        ledger.mark(&wanted(&[]), at(110, 110));
        assert_eq!(due(&ledger, at(123, 123)), [""; 0]);
        assert_eq!(due(&ledger, at(124, 124)), ["web"]);
        ledger.mark(&wanted(&["web"]), at(124, 124));
        assert_eq!(due(&ledger, at(200, 200)), [""; 0], "it is wanted again");
    }

    #[test]
    fn a_clock_that_jumps_makes_nothing_due() {
        let mut ledger = ImageLedger::default();
        ledger.pulled("web", "1", None);
        ledger.mark(&wanted(&[]), at(0, 0));
        assert_eq!(due(&ledger, at(1, 10_000)), [""; 0]);
        // The next run begins before the clock is right.
        let mut next = reloaded(&ledger);
        next.mark(&wanted(&[]), at(0, -10_000));
        assert_eq!(due(&next, at(1, 10_000)), [""; 0]);
        assert_eq!(due(&next, at(24, 10_023)), ["web"]);
    }

    #[test]
    fn time_passes_while_the_agent_is_away() {
        let mut ledger = ImageLedger::default();
        ledger.pulled("web", "1", None);
        ledger.mark(&wanted(&[]), at(90, 0));
        let next = reloaded(&ledger);
        assert_eq!(due(&next, at(0, 23)), [""; 0]);
        assert_eq!(due(&next, at(1, 24)), ["web"]);
    }
}
