//! What proves a specification, and how far its pod has come with that. Pure.
//!
//! A run that ends as it should, and that no other follows, proves any specification. Beside that:
//!
//! | criterion  | proved                        | failed at once                                              |
//! |------------|-------------------------------|-------------------------------------------------------------|
//! | `Started`  | once its pod has started      |                                                             |
//! | `Ready`    | when it was ready for `time`  | when it was not for `patience`: `time` and that of its probes |
//! | `ExitCode` |                               |                                                             |

use std::time::Duration;

use crate::clock::Monotonic;
use crate::workload::Workload;

/// Time for a cluster to bring the images and to start the pod: the default of a Deployment's
/// `progressDeadlineSeconds`.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(600);

/// What proves a specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Criterion {
    /// That its pod has started: its author wants no more.
    Started,
    /// That its pod is ready for a while. A pod without probes is ready whenever it runs.
    Ready { time: Duration, patience: Duration },
    /// That a run ends as it should: it has a cron.
    ExitCode,
}

impl Criterion {
    /// Returns what proves `workload`.
    pub(crate) fn of(workload: &Workload) -> Self {
        if workload.proving.is_zero() {
            return Self::Started;
        }
        let is_cluster = workload.executor.is_cluster();
        if workload.cron.is_some() && !is_cluster {
            return Self::ExitCode;
        }
        let time = workload.proving;
        let start_up = if is_cluster { PROGRESS_DEADLINE } else { workload.start_up_time() };
        Self::Ready { time, patience: time.saturating_add(start_up) }
    }

    /// Returns it without the time to start up: the cluster says that the pod has come to nothing so far, and
    /// the previous one does not run meanwhile.
    pub(crate) const fn of_one_that_crashes(self) -> Self {
        match self {
            Self::Ready { time, .. } => Self::Ready { time, patience: time },
            Self::Started | Self::ExitCode => self,
        }
    }
}

/// How the pod of a specification is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It does not run, or is about to be stopped, or nobody knows.
    Absent,
    Unready,
    Ready,
}

/// How far a specification has come: since when its pod has been so without interruption, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Trial {
    #[default]
    Absent,
    Unready {
        since: Monotonic,
    },
    Ready {
        since: Monotonic,
        /// Since when it was not, before that: what lasts only for a moment takes nothing off that time.
        unready_since: Option<Monotonic>,
    },
}

/// What a trial comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The specification has proved itself.
    Proved,
    /// Its pod was not ready in time.
    Late,
}

impl Trial {
    /// Returns it once its pod is found so.
    #[must_use]
    pub(crate) fn seen(self, sight: Sight, now: Monotonic) -> Self {
        match (sight, self) {
            (Sight::Absent, _) => Self::Absent,
            (Sight::Unready, Self::Unready { .. }) | (Sight::Ready, Self::Ready { .. }) => self,
            (Sight::Unready, Self::Ready { unready_since: Some(since), .. }) => {
                Self::Unready { since }
            }
            (Sight::Unready, Self::Ready { unready_since: None, .. } | Self::Absent) => {
                Self::Unready { since: now }
            }
            (Sight::Ready, Self::Unready { since }) => {
                Self::Ready { since: now, unready_since: Some(since) }
            }
            (Sight::Ready, Self::Absent) => Self::Ready { since: now, unready_since: None },
        }
    }

    /// Returns what it comes to if nothing changes, and when.
    pub(crate) fn end(self, criterion: Criterion) -> Option<(Verdict, Monotonic)> {
        match (criterion, self) {
            (Criterion::Ready { time, .. }, Self::Ready { since, .. }) => {
                Some((Verdict::Proved, since + time))
            }
            (Criterion::Ready { patience, .. }, Self::Unready { since }) => {
                Some((Verdict::Late, since + patience))
            }
            (Criterion::Started, Self::Ready { since, .. } | Self::Unready { since }) => {
                Some((Verdict::Proved, since))
            }
            (Criterion::ExitCode, _) | (_, Self::Absent) => None,
        }
    }

    /// Returns for how long its pod has been ready, while it is.
    pub(crate) fn ready_for(self, now: Monotonic) -> Option<Duration> {
        match self {
            Self::Ready { since, .. } => Some(now.saturating_since(since)),
            Self::Absent | Self::Unready { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::workloads::workload;
    use crate::workload::ExecutorKind;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_specification_says_itself_what_proves_it() {
        let seconds = |seconds| Duration::from_secs(seconds);
        let probe = |web: &mut Workload| {
            let text =
                r#"{"tcpSocket": {"port": 1}, "initialDelaySeconds": 5, "failureThreshold": 4}"#;
            web.pod.containers[0].startup_probe = Some(serde_json::from_str(text).unwrap());
        };
        for (what, built, expected) in [
            (
                "a service",
                workload("a"),
                Criterion::Ready { time: seconds(60), patience: seconds(60) },
            ),
            (
                "a slow starter",
                workload("a").with(probe),
                Criterion::Ready { time: seconds(60), patience: seconds(105) },
            ),
            ("a cron", workload("a").cron("@daily"), Criterion::ExitCode),
            ("a trusted one", workload("a").with(|it| it.proving = seconds(0)), Criterion::Started),
            (
                "a cluster's",
                workload("a").on(ExecutorKind::K8s),
                Criterion::Ready { time: seconds(60), patience: seconds(660) },
            ),
            (
                "a cluster's with a cron, which that ignores",
                workload("a").on(ExecutorKind::K8s).cron("@daily"),
                Criterion::Ready { time: seconds(60), patience: seconds(660) },
            ),
        ] {
            assert_eq!(Criterion::of(&built.build()), expected, "{what}");
        }
    }

    #[test]
    fn only_what_lasts_without_interruption_counts() {
        let time = Duration::from_secs(60);
        let ready = Criterion::Ready { time, patience: time + time };
        let (proved, late) = (|s| Some((Verdict::Proved, at(s))), |s| Some((Verdict::Late, at(s))));
        use Sight::{Absent, Ready, Unready};
        for (sights, criterion, expected) in [
            (&[(0, Ready), (30, Ready)][..], ready, proved(60)),
            (&[(0, Unready), (5, Ready)], ready, proved(65)),
            (&[(0, Ready), (30, Unready), (35, Ready)], ready, proved(95)),
            (&[(0, Ready), (30, Absent)], ready, None),
            (&[(0, Ready), (30, Absent), (90, Ready)], ready, proved(150)),
            (&[(0, Unready), (30, Unready)], ready, late(120)),
            (&[(0, Unready), (5, Ready), (10, Unready)], ready, late(120)),
            (&[(0, Ready), (5, Unready), (50, Ready), (70, Unready)], ready, late(125)),
            (&[(0, Unready), (30, Absent), (40, Unready)], ready, late(160)),
            (&[(7, Unready)], Criterion::Started, proved(7)),
            (&[(7, Ready)], Criterion::ExitCode, None),
        ] {
            let see =
                |trial: Trial, (second, sight): &(u64, Sight)| trial.seen(*sight, at(*second));
            let trial = sights.iter().fold(Trial::default(), see);
            assert_eq!(trial.end(criterion), expected, "{sights:?}");
        }
    }
}
