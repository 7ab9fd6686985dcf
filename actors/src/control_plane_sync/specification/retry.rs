//! The retry of a workload, in the shapes of the protocol and of the EdgeWorkload resource.

use std::time::Duration;

use serde::Deserialize;

use crate::workload::RetryPolicy;
use crate::yaml::AsWritten;

/// A shorter delay would only heat the device.
const MIN_DELAY: Duration = Duration::from_secs(1);

/// A longer delay saturates here; a workload comes back within a day after the cause has passed.
const MAX_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What an exponential retry takes for what is not given.
const DEFAULT_MULTIPLIER: f64 = 1.5;
const DEFAULT_RANDOMIZATION: f64 = 0.5;

/// A greater factor saturates here.
const MAX_MULTIPLIER: f64 = 100.0;

/// A retry as its author wrote it: flat as the protocol has it, or nested as the resource has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "the fields of a retry")]
pub(crate) struct RetryDraft {
    backoff: Option<String>,
    period_seconds: Option<Seconds>,
    initial_interval_seconds: Option<Seconds>,
    randomization_factor: Option<f64>,
    multiplier: Option<f64>,
    constant_backoff: Option<Constant>,
    exponential_backoff: Option<Exponential>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "the fields of a back-off")]
struct Constant {
    period_seconds: Option<Seconds>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "the fields of a back-off")]
struct Exponential {
    initial_interval_seconds: Option<Seconds>,
    randomization_factor: Option<f64>,
    multiplier: Option<f64>,
}

/// A number of seconds, or a duration with units: `90`, `90s`, `1h30m`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "AsWritten")]
struct Seconds(f64);

impl TryFrom<AsWritten> for Seconds {
    type Error = &'static str;

    fn try_from(AsWritten(text): AsWritten) -> Result<Self, Self::Error> {
        let wrong = "it is no duration; write a number of seconds, 90s or 1h30m";
        seconds_of(&text).map(Self).ok_or(wrong)
    }
}

/// Returns the seconds that a number or a duration with units comes to.
pub(super) fn seconds_of(text: &str) -> Option<f64> {
    let with_unit = || grammar::duration(text.trim()).map(|duration| duration.as_secs_f64());
    text.trim().parse().ok().or_else(with_unit)
}

impl RetryDraft {
    /// Returns one whose delays begin with `initial` seconds and double.
    pub(crate) fn doubling(initial: f64) -> Self {
        let backoff = Some("exponential".to_owned());
        let initial_interval_seconds = Some(Seconds(initial));
        Self { backoff, initial_interval_seconds, multiplier: Some(2.0), ..Self::default() }
    }

    /// Returns the policy, or `None` where the draft says nothing: zeros and empty objects are
    /// what the resource's defaults look like.
    pub(super) fn policy(self) -> Result<Option<RetryPolicy>, String> {
        let nested = self.constant_backoff.unwrap_or_default();
        let period = seconds(self.period_seconds).or(seconds(nested.period_seconds));
        let nested = self.exponential_backoff.unwrap_or_default();
        let initial =
            seconds(self.initial_interval_seconds).or(seconds(nested.initial_interval_seconds));
        let multiplier = given(self.multiplier).or(given(nested.multiplier));
        let randomization = self.randomization_factor.or(nested.randomization_factor);
        let exponential = initial.is_some() || multiplier.is_some();
        match self.backoff.as_deref().unwrap_or_default() {
            "" if period.is_some() && exponential => {
                Err("its retry is both constant and exponential; leave one of them out".to_owned())
            }
            "" if exponential => exponential_policy(initial, multiplier, randomization).map(Some),
            "" => constant_policy(period),
            "constant" => constant_policy(period),
            "exponential" => exponential_policy(initial, multiplier, randomization).map(Some),
            unknown => Err(format!(
                "its retry.backoff {unknown:?} is unknown; use \"constant\" or \"exponential\""
            )),
        }
    }
}

/// Returns the retry of a workload that may have one as a field and one as an annotation.
///
/// # Errors
/// The field cannot be meant, or the two contradict each other.
pub(super) fn only(
    field: Option<RetryDraft>,
    annotation: Option<RetryPolicy>,
) -> Result<Option<RetryPolicy>, String> {
    let field = field.map_or(Ok(None), RetryDraft::policy)?;
    match (field, annotation) {
        (Some(field), Some(annotation)) if field != annotation => {
            Err("its field retry and its annotation for the retry differ; leave one of them out"
                .to_owned())
        }
        (field, annotation) => Ok(field.or(annotation)),
    }
}

fn seconds(given_as: Option<Seconds>) -> Option<f64> {
    given(given_as.map(|seconds| seconds.0))
}

fn given(number: Option<f64>) -> Option<f64> {
    number.filter(|number| *number != 0.0)
}

fn constant_policy(period: Option<f64>) -> Result<Option<RetryPolicy>, String> {
    let period = period.map(|period| delay("periodSeconds", period)).transpose()?;
    Ok(period.map(|period| RetryPolicy::Constant { period }))
}

fn exponential_policy(
    initial: Option<f64>,
    multiplier: Option<f64>,
    randomization: Option<f64>,
) -> Result<RetryPolicy, String> {
    let initial =
        initial.map_or(Ok(MIN_DELAY), |initial| delay("initialIntervalSeconds", initial))?;
    let multiplier = multiplier.unwrap_or(DEFAULT_MULTIPLIER);
    if multiplier.is_nan() || multiplier < 1.0 {
        return Err("its retry's multiplier must be at least 1".to_owned());
    }
    let randomization = match randomization.unwrap_or(DEFAULT_RANDOMIZATION) {
        share if (0.0..=1.0).contains(&share) => share,
        // The resource knows only whole numbers, so a share can only be meant in per cent.
        percent if percent > 1.0 && percent <= 100.0 => percent / 100.0,
        _ => return Err("its retry's randomizationFactor must be within 0 and 1".to_owned()),
    };
    Ok(RetryPolicy::Exponential {
        initial,
        multiplier: multiplier.min(MAX_MULTIPLIER),
        randomization,
    })
}

fn delay(what: &str, seconds: f64) -> Result<Duration, String> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(format!("its retry's {what} must be a positive number"));
    }
    let delay = Duration::try_from_secs_f64(seconds).unwrap_or(MAX_DELAY);
    Ok(delay.clamp(MIN_DELAY, MAX_DELAY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Result<Option<RetryPolicy>, String> {
        serde_json::from_value::<RetryDraft>(value).unwrap().policy()
    }

    fn constant(seconds: u64) -> RetryPolicy {
        RetryPolicy::Constant { period: Duration::from_secs(seconds) }
    }

    fn exponential(seconds: u64, multiplier: f64, randomization: f64) -> RetryPolicy {
        RetryPolicy::Exponential {
            initial: Duration::from_secs(seconds),
            multiplier,
            randomization,
        }
    }

    #[test]
    fn both_shapes_are_read() {
        let day = 24 * 60 * 60;
        let cases = [
            (json!({}), None),
            (json!({"constantBackoff": {}, "exponentialBackoff": {}}), None),
            (json!({"constantBackoff": {"periodSeconds": 0}}), None),
            (json!({"periodSeconds": 20}), Some(constant(20))),
            (json!({"backoff": "constant", "periodSeconds": 5}), Some(constant(5))),
            (json!({"constantBackoff": {"periodSeconds": 7}}), Some(constant(7))),
            (json!({"periodSeconds": "90s"}), Some(constant(90))),
            (json!({"periodSeconds": "1h30m"}), Some(constant(5_400))),
            (json!({"periodSeconds": "30"}), Some(constant(30))),
            (json!({"periodSeconds": 1e300}), Some(constant(day))),
            (json!({"periodSeconds": 0.01}), Some(constant(1))),
            (json!({"backoff": "exponential"}), Some(exponential(1, 1.5, 0.5))),
            (
                json!({"backoff": "exponential", "initialIntervalSeconds": 3, "multiplier": 2,
                    "randomizationFactor": 0}),
                Some(exponential(3, 2.0, 0.0)),
            ),
            (
                json!({"exponentialBackoff": {"initialIntervalSeconds": 4, "multiplier": 3,
                    "randomizationFactor": 20}}),
                Some(exponential(4, 3.0, 0.2)),
            ),
            (json!({"multiplier": 1e9}), Some(exponential(1, 100.0, 0.5))),
        ];
        for (value, expected) in cases {
            assert_eq!(read(value.clone()), Ok(expected), "{value}");
        }
    }

    #[test]
    fn a_retry_that_cannot_be_meant_is_refused() {
        for value in [
            json!({"backoff": "sometimes"}),
            json!({"periodSeconds": -1}),
            json!({"backoff": "exponential", "multiplier": 0.5}),
            json!({"backoff": "exponential", "randomizationFactor": -0.1}),
            json!({"backoff": "exponential", "randomizationFactor": 101}),
            json!({"constantBackoff": {"periodSeconds": 1},
                "exponentialBackoff": {"initialIntervalSeconds": 1}}),
        ] {
            assert!(read(value.clone()).is_err(), "{value}");
        }
    }
}
