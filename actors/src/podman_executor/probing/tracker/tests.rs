//! Rows of attempts, and the health that they come to.

use proptest::prelude::*;

use super::*;
use crate::pod_manifest::probes::{Check, Endpoint};

fn probe(success_threshold: u32, failure_threshold: u32) -> Probe {
    Probe {
        check: Check::Tcp(Endpoint::Pod(80)),
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        success_threshold,
        failure_threshold,
        grace: None,
    }
}

fn tracker(startup: bool, liveness: bool, readiness: bool) -> Tracker {
    Tracker::new(ContainerProbes {
        container: "main".to_owned(),
        startup: startup.then(|| Box::new(probe(1, 3))),
        liveness: liveness
            .then(|| Box::new(Probe { grace: Some(Duration::from_secs(2)), ..probe(1, 3) })),
        readiness: readiness.then(|| Box::new(probe(2, 2))),
        volumes: Vec::new(),
    })
}

/// Plays attempts, `s+` a startup probe that succeeds, `l-` a liveness probe that fails, `r?` a readiness
/// probe that could not be tried, `thawed` that it goes on after it was frozen; returns the health after each.
fn play(mut tracker: Tracker, attempts: &str) -> Vec<String> {
    let mut healths = vec![shown(&tracker)];
    for attempt in attempts.split_whitespace() {
        if attempt == "thawed" {
            tracker.thawed();
            healths.push(shown(&tracker));
            continue;
        }
        let kind = match &attempt[..1] {
            "s" => ProbeKind::Startup,
            "l" => ProbeKind::Liveness,
            _ => ProbeKind::Readiness,
        };
        let outcome = match &attempt[1..] {
            "+" => Outcome::Success,
            "?" => Outcome::Unknown("podman is away".to_owned()),
            _ => Outcome::Failure("HTTP 503".to_owned()),
        };
        let before = tracker.health();
        let changed = tracker.note(kind, &outcome);
        assert_eq!(changed, tracker.health() != before, "{attempt}");
        healths.push(shown(&tracker));
    }
    healths
}

fn shown(tracker: &Tracker) -> String {
    let health = tracker.health();
    let reason = health.reason().map(|it| format!(" {it}")).unwrap_or_default();
    format!("{}{reason}", health.as_str())
}

#[test]
fn attempts_come_to_the_health_that_kubernetes_gives() {
    let (s503, l503, r503) =
        ("startupProbe: HTTP 503", "livenessProbe: HTTP 503", "readinessProbe: HTTP 503");
    for (name, tracker, attempts, expected) in [
        (
            "ready without a readiness probe",
            tracker(false, true, false),
            "l+",
            vec!["ready", "ready"],
        ),
        (
            "three failures in a row, and no fewer, end the run",
            tracker(false, true, false),
            "l- l- l+ l- l- l- l+",
            vec![
                "ready",
                "ready",
                "ready",
                "ready",
                "ready",
                "ready",
                &format!("failing {l503}"),
                &format!("failing {l503}"),
            ],
        ),
        (
            "an attempt that could not be made counts neither way",
            tracker(false, true, false),
            "l- l- l? l? l-",
            vec!["ready", "ready", "ready", "ready", "ready", &format!("failing {l503}")],
        ),
        (
            "what failed before the container was frozen counts no longer, and what it is stays",
            tracker(false, true, true),
            "l- l- r+ r+ r- thawed r- l- l- r- l-",
            vec![
                "unready",
                "unready",
                "unready",
                "unready",
                "ready",
                "ready",
                "ready",
                "ready",
                "ready",
                "ready",
                &format!("unready {r503}"),
                &format!("failing {l503}"),
            ],
        ),
        (
            "readiness comes after two successes in a row and goes after two failures",
            tracker(false, false, true),
            "r- r+ r- r+ r+ r- r+ r- r-",
            vec![
                "unready",
                &format!("unready {r503}"),
                &format!("unready {r503}"),
                &format!("unready {r503}"),
                &format!("unready {r503}"),
                "ready",
                "ready",
                "ready",
                "ready",
                &format!("unready {r503}"),
            ],
        ),
        (
            "nothing else is tried before the startup probe has succeeded",
            tracker(true, true, true),
            "l- l- l- r+ r+ s- s- s+ s- s- s- r+ r+",
            vec![
                "starting",
                "starting",
                "starting",
                "starting",
                "starting",
                "starting",
                &format!("starting {s503}"),
                &format!("starting {s503}"),
                "unready",
                "unready",
                "unready",
                "unready",
                "unready",
                "ready",
            ],
        ),
        (
            "a start that takes too long ends the run",
            tracker(true, false, false),
            "s- s- s- s+",
            vec![
                "starting",
                &format!("starting {s503}"),
                &format!("starting {s503}"),
                &format!("failing {s503}"),
                &format!("failing {s503}"),
            ],
        ),
        (
            "what keeps a probe from being tried is shown",
            tracker(false, false, true),
            "r? r+ r+",
            vec![
                "unready",
                "unready readinessProbe: podman is away",
                "unready readinessProbe: podman is away",
                "ready",
            ],
        ),
    ] {
        assert_eq!(play(tracker, attempts), expected, "{name}");
    }
}

#[test]
fn a_probe_that_ends_a_run_may_have_a_grace_period_of_its_own() {
    let mut tracker = tracker(false, true, false);
    for _ in 0..3 {
        tracker.note(ProbeKind::Liveness, &Outcome::Failure("no".to_owned()));
    }
    let Health::Failing { grace, .. } = tracker.health() else { panic!("{:?}", tracker.health()) };
    assert_eq!(grace, Some(Duration::from_secs(2)));
}

proptest! {
    /// However attempts fall out: liveness fails exactly with the first row of failures that is long enough,
    /// and nothing changes after that.
    #[test]
    fn a_run_ends_with_the_first_row_of_failures(fails in prop::collection::vec(any::<bool>(), 0..40)) {
        let mut tracker = tracker(false, true, true);
        let mut row = 0;
        let mut given_up = false;
        for failed in fails {
            let outcome = if failed { Outcome::Failure("no".to_owned()) } else { Outcome::Success };
            tracker.note(ProbeKind::Liveness, &outcome);
            row = if failed { row + 1 } else { 0 };
            given_up |= row == 3;
            let is_failing = matches!(tracker.health(), Health::Failing { .. });
            prop_assert_eq!(is_failing, given_up);
            prop_assert_eq!(tracker.wants(ProbeKind::Readiness), !given_up);
        }
    }
}
