//! The body of `POST /metrics`: an array of samples with units and a time to live. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use crate::samples::Sample;

/// Writes the samples as JSON. Names and units are this program's own, and need no escapes; a value is
/// finite, and Rust writes those without an exponent.
#[must_use]
pub fn of(samples: &[Sample], time_to_live: Duration) -> String {
    let mut body = String::from("[");
    for Sample { name, value, unit } in samples {
        let comma = if body.len() > 1 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(
            body,
            r#"{comma}{{"name":"{name}","value":{value},"unit":"{unit}","ttl_seconds":{}}}"#,
            time_to_live.as_secs()
        );
    }
    body.push(']');
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_has_its_unit_and_its_time_to_live() {
        let samples = [
            Sample { name: "cpu", value: 12.5, unit: "%" },
            Sample { name: "disk_free", value: 9_007_199_254_740_992.0, unit: "B" },
            Sample { name: "temp", value: -5.0, unit: "C" },
        ];
        assert_eq!(
            of(&samples, Duration::from_secs(15)),
            r#"[{"name":"cpu","value":12.5,"unit":"%","ttl_seconds":15},"#.to_owned()
                + r#"{"name":"disk_free","value":9007199254740992,"unit":"B","ttl_seconds":15},"#
                + r#"{"name":"temp","value":-5,"unit":"C","ttl_seconds":15}]"#
        );
    }
}
