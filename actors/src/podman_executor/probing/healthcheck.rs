//! The `HEALTHCHECK` of an image as a liveness probe. Pure.

use std::time::Duration;

use crate::pod_manifest::probes::{Check, Probe};
use crate::podman_executor::libpod::types::Healthcheck;

/// Docker's and podman's default of the time between two attempts, and of one attempt.
const DEFAULT_TIME: Duration = Duration::from_secs(30);
const DEFAULT_RETRIES: u32 = 3;
/// Shorter times are taken for this: podman takes none below, either.
const MIN_TIME: Duration = Duration::from_secs(1);

/// Returns the liveness probe that `check` describes; `None` for one that says `NONE`, or nothing.
pub(super) fn liveness_of(check: &Healthcheck) -> Option<Probe> {
    let command = match check.test.split_first()? {
        (kind, command) if kind == "CMD" && !command.is_empty() => command.to_vec(),
        (kind, [line]) if kind == "CMD-SHELL" => ["/bin/sh", "-c", line].map(str::to_owned).into(),
        _ => return None,
    };
    let time = |nanoseconds: i64| u64::try_from(nanoseconds).ok().filter(|it| *it > 0);
    let or_default = |nanoseconds| {
        time(nanoseconds).map_or(DEFAULT_TIME, |it| Duration::from_nanos(it).max(MIN_TIME))
    };
    Some(Probe {
        check: Check::Exec(command),
        initial_delay: time(check.start_period).map(Duration::from_nanos).unwrap_or_default(),
        period: or_default(check.interval),
        timeout: or_default(check.timeout),
        success_threshold: 1,
        failure_threshold: if check.retries == 0 { DEFAULT_RETRIES } else { check.retries },
        grace: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(test: &[&str]) -> Healthcheck {
        let test = test.iter().map(|it| (*it).to_owned()).collect();
        Healthcheck { test, ..Healthcheck::default() }
    }

    #[test]
    fn what_an_image_says_becomes_a_command() {
        for (test, expected) in [
            (&["CMD", "curl", "-f", "http://localhost"][..], Some("curl -f http://localhost")),
            (
                &["CMD-SHELL", "curl -f http://localhost || exit 1"],
                Some("/bin/sh -c curl -f http://localhost || exit 1"),
            ),
            (&["NONE"], None),
            (&["CMD"], None),
            (&[], None),
            (&["", "x"], None),
        ] {
            let probe = liveness_of(&check(test));
            let command = probe.map(|probe| match probe.check {
                Check::Exec(command) => command.join(" "),
                other @ (Check::Http(_) | Check::Tcp(_)) => format!("{other:?}"),
            });
            assert_eq!(command.as_deref(), expected, "{test:?}");
        }
    }

    #[test]
    fn times_have_the_defaults_of_podman() {
        let probe = liveness_of(&check(&["CMD", "true"])).unwrap();
        let times = [probe.initial_delay, probe.period, probe.timeout].map(|it| it.as_secs());
        assert_eq!((times, probe.failure_threshold), ([0, 30, 30], 3));
        let said = Healthcheck {
            interval: 5_000_000_000,
            timeout: 1,
            start_period: 60_000_000_000,
            retries: 7,
            ..check(&["CMD", "true"])
        };
        let probe = liveness_of(&said).unwrap();
        let times = [probe.initial_delay, probe.period, probe.timeout].map(|it| it.as_secs());
        assert_eq!((times, probe.failure_threshold), ([60, 5, 1], 7));
        let odd = Healthcheck { interval: -1, start_period: i64::MIN, ..check(&["CMD", "true"]) };
        assert_eq!(liveness_of(&odd).unwrap().period, DEFAULT_TIME);
    }
}
