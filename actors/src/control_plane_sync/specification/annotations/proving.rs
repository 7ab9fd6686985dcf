//! For how long a new specification is to prove itself, as a field or as an annotation.

use std::time::Duration;

use serde::Deserialize;

use crate::workload::DEFAULT_PROVING;

/// Longest time, in seconds: what has run for a day is no longer new.
const MAX_SECONDS: u64 = 24 * 60 * 60;

/// The field `update` as its author wrote it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "the fields of an update")]
pub(crate) struct UpdateDraft {
    proving_seconds: Option<f64>,
}

/// Returns the time of a workload that may have one as a field and some as annotations.
///
/// # Errors
/// One of them is no time, or they contradict each other.
pub(in super::super) fn only(
    field: Option<&UpdateDraft>,
    annotations: &[String],
    key: &str,
) -> Result<Duration, String> {
    let field = field.and_then(|update| update.proving_seconds);
    let field =
        field.map(|seconds| whole(seconds).ok_or_else(|| wrong("its field update.provingSeconds")));
    let annotations = annotations.iter().map(|text| {
        let seconds = text.trim().parse().ok().and_then(whole);
        seconds.ok_or_else(|| wrong(&format!("its annotation {key:?}")))
    });
    let mut times = field.into_iter().chain(annotations).collect::<Result<Vec<_>, _>>()?;
    times.dedup();
    match times.as_slice() {
        [] => Ok(DEFAULT_PROVING),
        [time] => Ok(*time),
        _ => Err(format!(
            "its field update.provingSeconds and its annotations {key:?} differ; leave all but one out"
        )),
    }
}

fn whole(seconds: f64) -> Option<Duration> {
    let longest = Duration::from_secs(MAX_SECONDS);
    let time = Duration::try_from_secs_f64(seconds).ok()?;
    (time <= longest && time.subsec_nanos() == 0).then_some(time)
}

fn wrong(what: &str) -> String {
    format!(
        "{what} is no whole number of seconds from 0 to {MAX_SECONDS}; with 0 a specification has proved \
         itself once its pod has started"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_and_annotations_say_the_same_or_only_one_of_them() {
        for (field, annotations, expected) in [
            (None, &[][..], Ok(60)),
            (Some(5.0), &[], Ok(5)),
            (Some(0.0), &[], Ok(0)),
            (None, &["90"], Ok(90)),
            (Some(90.0), &[" 90 ", "90"], Ok(90)),
            (Some(5.0), &["90"], Err("differ")),
            (None, &["5", "90"], Err("differ")),
            (Some(-1.0), &[], Err("its field update.provingSeconds is no")),
            (Some(1.5), &[], Err("no whole number")),
            (None, &["1m"], Err("its annotation \"key\" is no")),
            (None, &["86401"], Err("0 to 86400")),
        ] {
            let draft = UpdateDraft { proving_seconds: field };
            let annotations: Vec<_> = annotations.iter().map(|it| (*it).to_owned()).collect();
            match (only(Some(&draft), &annotations, "key"), expected) {
                (Ok(time), Ok(seconds)) => assert_eq!(time, Duration::from_secs(seconds)),
                (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }
}
