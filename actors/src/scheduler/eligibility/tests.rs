//! Profiles and verdicts in, permission and limits out.

use super::*;
use crate::workload::ConditionRef;

fn verdicts(text: &str) -> Verdicts {
    let mut verdicts = Verdicts::new();
    for part in text.split_whitespace() {
        let (path, verdict) = part.split_once('=').unwrap();
        let (profile, condition) = path.split_once('.').unwrap();
        let verdict = match verdict {
            "true" => Verdict::True,
            "false" => Verdict::False,
            "unknown" => Verdict::Unknown,
            why => Verdict::Failed(why.into()),
        };
        let profile = verdicts.entry(profile.into()).or_default();
        Arc::make_mut(profile).insert(condition.into(), verdict);
    }
    verdicts
}

fn profiles(text: &str) -> Vec<ProfileRef> {
    let reference = |part: &str| {
        let (name, conditions) = part.split_once(':').unwrap();
        let condition = |text: &str| {
            let (name, cpu) = text.split_once('@').unwrap_or((text, ""));
            ConditionRef { name: name.into(), cpu: cpu.parse().ok(), memory: None }
        };
        let conditions = conditions.split(',').filter(|name| !name.is_empty());
        ProfileRef { name: name.into(), conditions: conditions.map(condition).collect() }
    };
    text.split_whitespace().map(reference).collect()
}

/// `yes`, `no` or `undecided`.
fn word(eligibility: &Eligibility) -> &'static str {
    match eligibility {
        Eligibility::Allowed => "yes",
        Eligibility::Forbidden { .. } => "no",
        Eligibility::Undecided { .. } => "undecided",
    }
}

#[test]
fn each_profile_needs_one_true_condition() {
    for (named, verdicts_now, expected) in [
        ("", "", "yes"),
        ("", "p.a=false", "yes"),
        ("p:a", "p.a=true", "yes"),
        ("p:a", "p.a=false", "no"),
        ("p:a,b", "p.a=false p.b=true", "yes"),
        ("p:a,b", "p.a=false p.b=unknown", "undecided"),
        ("p:a,b", "p.a=unknown p.b=true", "yes"),
        ("p:", "p.a=false p.b=true", "yes"),
        ("p:", "p.a=false p.b=false", "no"),
        ("p:a q:b", "p.a=true q.b=false", "no"),
        ("p:a q:b", "p.a=true q.b=true", "yes"),
        ("p:a q:b", "p.a=unknown q.b=true", "undecided"),
        ("p:a q:b", "p.a=unknown q.b=false", "no"),
        ("p:a", "", "no"),
        ("p:a", "pp.a=true", "no"),
        ("p:a", "p.aa=true", "no"),
        ("p:a", "p.a=broken", "no"),
    ] {
        let found = eligibility(&profiles(named), &verdicts(verdicts_now));
        assert_eq!(word(&found), expected, "{named} with {verdicts_now}: {found:?}");
    }
}

#[test]
fn reason_names_profile_and_condition() {
    for (named, verdicts_now, expected) in [
        ("p:a", "", "the device does not define profile p"),
        ("p:a", "p.b=true", "profile p: it has no condition a"),
        ("p:a,b", "p.a=false p.b=unknown", "profile p: a is false, b is unknown"),
    ] {
        match eligibility(&profiles(named), &verdicts(verdicts_now)) {
            Eligibility::Forbidden { because } | Eligibility::Undecided { because } => {
                assert_eq!(because, expected);
            }
            Eligibility::Allowed => panic!("{named} was allowed"),
        }
    }
}

#[test]
fn smallest_limit_of_the_true_conditions_holds() {
    for (named, verdicts_now, expected) in [
        ("p:a@50000", "p.a=true", Some(50_000)),
        ("p:a@50000", "p.a=false", None),
        ("p:a@50000,b@20000", "p.a=true p.b=true", Some(20_000)),
        ("p:a@50000,b@20000", "p.a=true p.b=unknown", Some(50_000)),
        ("p:a,b@20000", "p.a=true p.b=true", Some(20_000)),
        ("p:a@50000 q:c@1000", "p.a=true q.c=true", Some(1000)),
    ] {
        let found = limits(&profiles(named), &verdicts(verdicts_now));
        assert_eq!(found.cpu, expected, "{named} with {verdicts_now}");
    }
}

#[test]
fn limits_are_known_when_no_unknown_condition_could_make_them_smaller() {
    for (named, verdicts_now, expected) in [
        ("p:a@50000", "p.a=true", true),
        ("p:a@50000", "p.a=false", true),
        ("p:a@50000", "p.a=unknown", false),
        ("p:a@50000", "", false),
        ("p:a,b@20000", "p.a=unknown p.b=true", true),
        ("p:a@50000,b@20000", "p.a=unknown p.b=true", true),
        ("p:a@50000,b@20000", "p.a=true p.b=unknown", false),
        ("p:a", "", true),
    ] {
        let (profiles, verdicts) = (profiles(named), verdicts(verdicts_now));
        let found = limits_are_known(limits(&profiles, &verdicts), &profiles, &verdicts);
        assert_eq!(found, expected, "{named} with {verdicts_now}");
    }
}
