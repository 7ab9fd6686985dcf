//! What a workload may say in a field or in an annotation: its place among others, and when a new
//! specification of it comes.

use std::time::Duration;

use serde::Deserialize;

use super::super::profiles::{self, ProfileDraft};
use super::super::retry::seconds_of;
use super::gates::{Given, read_profiles};
use crate::workload::{DEFAULT_PROVING, ProfileRef, Rung, Rungs, Turn, UpdateGate};
use crate::yaml::{AsWritten, OrText};

/// Longest time of a proof: what has run for a day is no longer new.
const MAX_PROVING: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest time that a pod runs or rests at least.
const MAX_PATIENCE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Longest time that an update waits.
const MAX_DEADLINE: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Greatest priority, up and down: that of Kubernetes' own classes.
const MAX_PRIORITY: i32 = 1_000_000_000;

/// The field `update` as its author wrote it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "the fields of an update")]
pub(crate) struct UpdateDraft {
    proving_seconds: Option<AsWritten>,
    pull_when: Option<Vec<Option<ProfileDraft>>>,
    replace_when: Option<Vec<Option<ProfileDraft>>>,
    deadline_seconds: Option<AsWritten>,
}

/// The fields that say how a workload shares the device with others, as their author wrote them.
#[derive(Clone, Debug, Default)]
pub(crate) struct TurnDraft {
    pub(crate) priority: Option<AsWritten>,
    pub(crate) min_run_seconds: Option<AsWritten>,
    pub(crate) min_pause_seconds: Option<AsWritten>,
    pub(crate) protected: Option<AsWritten>,
    /// A list of words, or one text of them.
    pub(crate) yields: Option<OrText<Vec<Option<AsWritten>>>>,
}

/// The annotations that may say the same as the fields of an update.
pub(super) struct UpdateAnnotations {
    pub(super) proving: Given,
    pub(super) pull_when: Given,
    pub(super) replace_when: Given,
    pub(super) deadline: Given,
}

/// The annotations that may say the same as the fields of a [`TurnDraft`].
pub(super) struct TurnAnnotations {
    pub(super) priority: Given,
    pub(super) min_run: Given,
    pub(super) min_pause: Given,
    pub(super) protected: Given,
    pub(super) yields: Given,
}

/// Returns for how long a new specification is to prove itself, and when it may come.
///
/// # Errors
/// Says which of them cannot be used, and why.
pub(super) fn update(
    fields: Option<UpdateDraft>,
    annotations: UpdateAnnotations,
) -> Result<(Duration, UpdateGate), String> {
    let UpdateDraft { proving_seconds, pull_when, replace_when, deadline_seconds } =
        fields.unwrap_or_default();
    let help = "; with 0 a specification has proved itself once its pod has started";
    let proving = Paired { name: "update.provingSeconds", text: proving_seconds };
    let proving = proving.time(annotations.proving, MAX_PROVING, help)?;
    let deadline = Paired { name: "update.deadlineSeconds", text: deadline_seconds };
    let gate = UpdateGate {
        pull_when: allowing("update.pullWhen", pull_when, annotations.pull_when)?,
        replace_when: allowing("update.replaceWhen", replace_when, annotations.replace_when)?,
        deadline: deadline.time(annotations.deadline, MAX_DEADLINE, "")?,
    };
    if gate.deadline.is_some() && gate.pull_when.is_empty() && gate.replace_when.is_empty() {
        return Err("its update has a deadline, and nothing to wait for until then; write \
                    update.pullWhen or update.replaceWhen, or leave update.deadlineSeconds out"
            .to_owned());
    }
    Ok((proving.unwrap_or(DEFAULT_PROVING), gate))
}

/// Returns how a workload shares the device with others.
///
/// # Errors
/// Says which of them cannot be used, and why.
pub(super) fn turn(fields: TurnDraft, annotations: TurnAnnotations) -> Result<Turn, String> {
    let TurnDraft { priority, min_run_seconds, min_pause_seconds, protected, yields } = fields;
    let priority = Paired { name: "priority", text: priority };
    let min_run = Paired { name: "minRunSeconds", text: min_run_seconds };
    let min_pause = Paired { name: "minPauseSeconds", text: min_pause_seconds };
    Ok(Turn {
        priority: priority.number(annotations.priority)?.unwrap_or_default(),
        min_run: min_run.time(annotations.min_run, MAX_PATIENCE, "")?.unwrap_or_default(),
        min_pause: min_pause.time(annotations.min_pause, MAX_PATIENCE, "")?.unwrap_or_default(),
        rungs: rungs(protected, yields, annotations.protected, annotations.yields)?,
    })
}

/// Returns how a workload may be restrained.
fn rungs(
    protected: Option<AsWritten>,
    yields: Option<OrText<Vec<Option<AsWritten>>>>,
    protected_annotation: Given,
    yields_annotation: Given,
) -> Result<Option<Rungs>, String> {
    let protected = Paired { name: "protected", text: protected };
    let protected = protected.agreed(protected_annotation, "neither true nor false", |text| {
        text.trim().parse::<bool>().ok()
    })?;
    let words = |list: Vec<Option<AsWritten>>| {
        list.into_iter().flatten().map(|it| it.0).collect::<Vec<_>>().join(",")
    };
    let text = yields.map(|yields| match yields {
        OrText::Text(text) => AsWritten(text),
        OrText::Fields(list) => AsWritten(words(list)),
    });
    let yields = Paired { name: "yield", text };
    let wanted = "no list of throttle, squeeze, freeze and stop, or none";
    let yields = yields.agreed(yields_annotation, wanted, read_rungs)?;
    match (protected.unwrap_or_default(), yields) {
        (true, Some(rungs)) if rungs != Rungs::NONE => {
            Err("it is protected, and its yield says how \
             it may be restrained; leave one of them out"
                .to_owned())
        }
        (true, _) => Ok(Some(Rungs::NONE)),
        (false, yields) => Ok(yields),
    }
}

/// Reads words such as `throttle, freeze`; `none` and nothing are no step at all.
fn read_rungs(text: &str) -> Option<Rungs> {
    let words = text.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty());
    let words: Vec<_> = words.collect();
    if words == ["none"] {
        return Some(Rungs::NONE);
    }
    let rung = |word: &&str| Rung::ALL.into_iter().find(|rung| rung.as_str() == *word);
    words.iter().map(rung).collect()
}

/// A field of one value, which an annotation may give as well.
struct Paired {
    name: &'static str,
    text: Option<AsWritten>,
}

impl Paired {
    /// Returns the whole number of seconds that field and annotation agree upon, at most `longest`.
    fn time(
        self,
        annotation: Given,
        longest: Duration,
        help: &str,
    ) -> Result<Option<Duration>, String> {
        let wanted = format!("no whole number of seconds from 0 to {}{help}", longest.as_secs());
        self.agreed(annotation, &wanted, |text| {
            let time = Duration::try_from_secs_f64(seconds_of(text)?).ok()?;
            (time <= longest && time.subsec_nanos() == 0).then_some(time)
        })
    }

    /// Returns the priority that field and annotation agree upon.
    fn number(self, annotation: Given) -> Result<Option<i32>, String> {
        let wanted = format!("no whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}");
        let range = -MAX_PRIORITY..=MAX_PRIORITY;
        self.agreed(annotation, &wanted, |text| {
            text.trim().parse().ok().filter(|number| range.contains(number))
        })
    }

    fn agreed<T: PartialEq>(
        self,
        annotation: Given,
        wanted: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let (name, key) = (self.name, annotation.key);
        let field = self.text.map(|AsWritten(text)| {
            read(&text).ok_or_else(|| format!("its field {name} is {wanted}"))
        });
        let annotation = annotation
            .text
            .map(|text| read(&text).ok_or_else(|| format!("its annotation {key:?} is {wanted}")));
        match (field.transpose()?, annotation.transpose()?) {
            (Some(field), Some(annotation)) if field != annotation => Err(differ(name, key)),
            (field, annotation) => Ok(field.or(annotation)),
        }
    }
}

/// Returns the profiles that field and annotation agree upon.
fn allowing(
    name: &str,
    field: Option<Vec<Option<ProfileDraft>>>,
    annotation: Given,
) -> Result<Vec<ProfileRef>, String> {
    let field = field.map(|list| {
        let of_field = |reason: String| format!("its field {name}: {reason}");
        profiles::references(list.into_iter().flatten().collect()).map_err(of_field)
    });
    let key = annotation.key;
    let annotation = annotation.text.map(|text| {
        let wrong = |reason: String| format!("its annotation {key:?} {reason}");
        read_profiles(&text).and_then(profiles::references).map_err(wrong)
    });
    match (field.transpose()?, annotation.transpose()?) {
        (Some(field), Some(annotation)) if field != annotation => Err(differ(name, key)),
        (field, annotation) => Ok(field.or(annotation).unwrap_or_default()),
    }
}

fn differ(name: &str, key: &str) -> String {
    format!("its field {name} and its annotation {key:?} differ; leave one of them out")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn given(text: Option<&str>) -> Given {
        Given { key: "key", text: text.map(str::to_owned) }
    }

    fn updated(
        fields: &str,
        [proving, pull, replace, deadline]: [Option<&str>; 4],
    ) -> Result<(u64, UpdateGate), String> {
        let annotations = UpdateAnnotations {
            proving: given(proving),
            pull_when: given(pull),
            replace_when: given(replace),
            deadline: given(deadline),
        };
        let (proving, gate) = update(Some(yaml::from_str(fields).unwrap()), annotations)?;
        Ok((proving.as_secs(), gate))
    }

    fn turned(
        [priority, min_run, min_pause]: [Option<&str>; 3],
        annotations: [Option<&str>; 3],
    ) -> Result<Turn, String> {
        let field = |text: Option<&str>| text.map(|text| AsWritten(text.to_owned()));
        let fields = TurnDraft {
            priority: field(priority),
            min_run_seconds: field(min_run),
            min_pause_seconds: field(min_pause),
            ..TurnDraft::default()
        };
        let [priority, min_run, min_pause] = annotations.map(given);
        let (protected, yields) = (given(None), given(None));
        turn(fields, TurnAnnotations { priority, min_run, min_pause, protected, yields })
    }

    #[test]
    fn field_and_annotation_say_the_same_or_only_one_of_them() {
        for (field, annotation, expected) in [
            ("{}", None, Ok(60)),
            ("{provingSeconds: 5}", None, Ok(5)),
            ("{provingSeconds: 0}", None, Ok(0)),
            ("{provingSeconds: 1m30s}", None, Ok(90)),
            ("{}", Some("90"), Ok(90)),
            ("{}", Some("1m"), Ok(60)),
            ("{provingSeconds: 90}", Some(" 1m30s "), Ok(90)),
            ("{provingSeconds: 5}", Some("90"), Err("differ")),
            ("{provingSeconds: -1}", None, Err("its field update.provingSeconds is no")),
            ("{provingSeconds: 1.5}", None, Err("no whole number")),
            ("{}", Some("soon"), Err("its annotation \"key\" is no")),
            ("{}", Some("86401"), Err("0 to 86400")),
        ] {
            match (updated(field, [annotation, None, None, None]), expected) {
                (Ok((time, _)), Ok(seconds)) => assert_eq!(time, seconds),
                (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn a_gate_of_updates_is_a_list_of_profiles_and_a_deadline() {
        let field = "{replaceWhen: [{name: parked}], pullWhen: [{name: net, conditions: [wifi]}]}";
        let (_, gate) = updated(field, [None, None, None, Some("2h")]).unwrap();
        let expected = updated(
            "{deadlineSeconds: 7200}",
            [None, Some("[{name: net, conditions: [wifi]}]"), Some("[{name: parked}]"), None],
        );
        assert_eq!(expected.unwrap().1, gate);
        assert_eq!(gate.deadline, Some(Duration::from_secs(7_200)));
        assert_eq!(gate.pull_when[0].conditions[0].name.as_str(), "wifi");
        assert_eq!(gate.replace_when[0].name.as_str(), "parked");
        for (field, replace, part) in [
            ("{deadlineSeconds: 60}", None, "nothing to wait for"),
            ("{replaceWhen: [{conditions: [a]}]}", None, "update.replaceWhen: one of its profiles"),
            ("{replaceWhen: [{name: a}]}", Some("[{name: b}]"), "update.replaceWhen and"),
            ("{}", Some("parked"), "\"key\" is no list of profiles"),
            ("{}", Some("[{name: a, condition: [b]}]"), "a key that is not known"),
        ] {
            let reason = updated(field, [None, None, replace, None]).unwrap_err();
            assert!(reason.contains(part), "{field} {replace:?}: {reason}");
        }
    }

    #[test]
    fn a_turn_is_a_priority_and_two_times() {
        let expected = Turn {
            priority: -5,
            min_run: Duration::from_secs(60),
            min_pause: Duration::from_secs(30),
            rungs: None,
        };
        let texts = [Some("-5"), Some("1m"), Some("30")];
        assert_eq!(turned(texts, [None; 3]), Ok(expected));
        assert_eq!(turned([None; 3], texts), Ok(expected));
        assert_eq!(turned([None; 3], [None; 3]), Ok(Turn::default()));
        for (fields, part) in [
            ([Some("high"), None, None], "its field priority is no whole number"),
            ([Some("1.5"), None, None], "its field priority is no whole number"),
            ([Some("2000000000"), None, None], "to 1000000000"),
            ([None, Some("-1"), None], "its field minRunSeconds is no"),
            ([None, None, Some("8d")], "0 to 604800"),
        ] {
            let reason = turned(fields, [None; 3]).unwrap_err();
            assert!(reason.contains(part), "{fields:?}: {reason}");
        }
    }

    #[test]
    fn a_workload_says_how_it_may_be_restrained() {
        use Rung::{Freeze, Stop, Throttle};
        let list = |text: &str| yaml::from_str(text).unwrap();
        let read =
            |protected: Option<&str>, yields: Option<&str>, annotations: [Option<&str>; 2]| {
                let [protected_annotation, yields_annotation] = annotations.map(given);
                let protected = protected.map(|text| AsWritten(text.to_owned()));
                rungs(protected, yields.map(list), protected_annotation, yields_annotation)
            };
        let none = [None; 2];
        for (protected, yields, annotations, expected) in [
            (None, Some("[throttle, freeze]"), none, [Throttle, Freeze].into_iter().collect()),
            (None, Some("[]"), none, Rungs::NONE),
            (None, Some("none"), none, Rungs::NONE),
            (None, None, [None, Some("stop throttle")], [Throttle, Stop].into_iter().collect()),
            (None, Some("[stop]"), [None, Some("stop")], [Stop].into_iter().collect()),
            (Some("true"), None, none, Rungs::NONE),
            (Some("true"), Some("[]"), none, Rungs::NONE),
            (Some("false"), None, [None, Some("stop")], [Stop].into_iter().collect()),
            (None, None, [Some("true"), None], Rungs::NONE),
        ] {
            let found = read(protected, yields, annotations);
            assert_eq!(found, Ok(Some(expected)), "{protected:?} {yields:?} {annotations:?}");
        }
        assert_eq!(read(None, None, none), Ok(None));
        for (protected, yields, annotations, part) in [
            (None, Some("[trottle]"), none, "its field yield is no list of throttle"),
            (None, None, [None, Some("pause")], "its annotation \"key\" is no list"),
            (Some("yes"), None, none, "its field protected is neither true nor false"),
            (Some("true"), Some("[stop]"), none, "it is protected, and its yield"),
            (None, Some("[stop]"), [None, Some("freeze")], "yield and its annotation"),
        ] {
            let reason = read(protected, yields, annotations).unwrap_err();
            assert!(reason.contains(part), "{reason}");
        }
    }
}
