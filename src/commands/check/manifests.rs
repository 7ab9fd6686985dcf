//! What is wrong with manifests, or was read other than written: all that a start would say.

use std::collections::BTreeMap;

use actors::control_plane_sync::{Diagnostic, Manifests};
use actors::scheduler::cron::CronSchedule;
use actors::workload::{
    Configuration, EventReason, Profile, ProfileCondition, ProfileRef, Workload,
};
use grammar::{Condition, Unit};

/// Returns what is to be said, that of files first, then that of workloads and of conditions.
pub(super) fn diagnostics(manifests: &Manifests) -> Vec<Diagnostic> {
    let wanted = &manifests.configuration;
    let mut all = manifests.diagnostics.clone();
    for rejected in &wanted.rejected {
        let reason = EventReason::WorkloadRejected;
        all.push(of_workload(reason, rejected.name.as_str(), &rejected.reason));
    }
    for workload in &wanted.workloads {
        let name = workload.name.as_str();
        let missing = workload.profiles.iter().filter_map(|needed| missing(wanted, needed));
        all.extend(missing.map(|what| of_workload(EventReason::ProfileUnknown, name, &what)));
        all.extend(cron(workload));
    }
    for profile in &wanted.profiles {
        let wrong = |condition: &ProfileCondition| {
            let error = Condition::parse(&condition.expression).err()?;
            let place = format!("profile {}, condition {}", profile.name, condition.name);
            Some(Diagnostic::new(EventReason::ConditionFailed, &place, &error.to_string()))
        };
        all.extend(profile.conditions.iter().filter_map(wrong));
    }
    all.extend(units(&wanted.profiles));
    all
}

/// Returns the metrics that are compared with numbers with a unit and with others without one: where
/// a sample has no unit, or a condition none, the bare numbers are compared.
fn units(profiles: &[Profile]) -> Vec<Diagnostic> {
    let mut compared = BTreeMap::<String, [Option<(String, String)>; 2]>::new();
    for profile in profiles {
        for condition in &profile.conditions {
            let Ok(parsed) = Condition::parse(&condition.expression) else { continue };
            for (metric, value, unit) in parsed.compared_numbers() {
                let place = format!("profile {}, condition {}", profile.name, condition.name);
                let number = format!("{value}{}", unit.map_or("", Unit::as_str));
                let known = compared.entry(metric.name().to_owned()).or_default();
                known[usize::from(unit.is_some())].get_or_insert((place, number));
            }
        }
    }
    let both = compared.into_iter().filter_map(|(metric, known)| match known {
        [Some(bare), Some(with_unit)] => Some((metric, bare, with_unit)),
        [_, _] => None,
    });
    both.map(|(metric, (place, number), (other, quantity))| {
        let text = format!(
            "it compares {metric} with {number}, without a unit, and {other} with {quantity}: no \
             sample fits both; write a unit in both"
        );
        Diagnostic::new(EventReason::UnitMissing, &place, &text)
    })
    .collect()
}

fn of_workload(reason: EventReason, name: &str, text: &str) -> Diagnostic {
    Diagnostic::new(reason, &format!("workload {name}"), text).about(name)
}

/// Returns what is wrong with the cron of a workload, or unusual.
fn cron(workload: &Workload) -> Option<Diagnostic> {
    let name = workload.name.as_str();
    let text = workload.cron.as_deref()?;
    if workload.executor.is_cluster() {
        let why = "its cron is ignored: workloads on Kubernetes have none here";
        return Some(of_workload(EventReason::CronIgnored, name, why));
    }
    match CronSchedule::parse(text) {
        Err(error) => {
            Some(of_workload(EventReason::CronInvalid, name, &format!("its cron: {error}")))
        }
        Ok(schedule) if schedule.never_runs() => {
            Some(of_workload(EventReason::CronUnusual, name, "its cron never runs"))
        }
        Ok(schedule) => {
            let warning = schedule.warning()?;
            Some(of_workload(EventReason::CronUnusual, name, &format!("its cron: {warning}")))
        }
    }
}

/// Returns what the device lacks of a profile that a workload needs.
fn missing(wanted: &Configuration, needed: &ProfileRef) -> Option<String> {
    let name = &needed.name;
    let Some(profile) = wanted.profiles.iter().find(|profile| profile.name == *name) else {
        return Some(format!("the device has no profile {name}"));
    };
    let is_there = |name: &_| profile.conditions.iter().any(|it| it.name == *name);
    let lost = needed.conditions.iter().find(|condition| !is_there(&condition.name))?;
    Some(format!("profile {name} of the device has no condition {}", lost.name))
}
