//! Which workloads wait for which others before their first start. Pure.

mod circles;

use std::collections::{BTreeMap, BTreeSet};

use self::circles::on_circles;
use super::report::events::EventBuffer;
use crate::workload::{EventReason, WorkloadName};

/// The order of starts, as the workloads' authors wrote it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Dependencies {
    /// For each workload: those that must run first.
    after: BTreeMap<WorkloadName, Vec<WorkloadName>>,
    /// For each workload: those that wait for it.
    before: BTreeMap<WorkloadName, Vec<WorkloadName>>,
    /// Members of a circle, which run unordered.
    circular: BTreeSet<WorkloadName>,
    /// Pairs of a workload and one that it names and that is not configured.
    unknown: BTreeSet<(WorkloadName, WorkloadName)>,
}

impl Dependencies {
    /// Reads what each configured workload names.
    pub(crate) fn new<'a>(
        workloads: impl Iterator<Item = (&'a WorkloadName, &'a [WorkloadName])>,
    ) -> Self {
        let named: BTreeMap<&WorkloadName, &[WorkloadName]> = workloads.collect();
        let mut dependencies = Self::default();
        for (name, others) in &named {
            for other in *others {
                if named.contains_key(other) {
                    let after = dependencies.after.entry((*name).clone()).or_default();
                    after.push(other.clone());
                } else {
                    dependencies.unknown.insert(((*name).clone(), other.clone()));
                }
            }
        }
        dependencies.circular = dependencies.find_circular();
        dependencies.after.retain(|name, _| !dependencies.circular.contains(name));
        for (name, others) in &dependencies.after {
            for other in others {
                dependencies.before.entry(other.clone()).or_default().push(name.clone());
            }
        }
        dependencies
    }

    /// Returns those that wait, in the end, for themselves.
    fn find_circular(&self) -> BTreeSet<WorkloadName> {
        let numbers: BTreeMap<_, _> = self.after.keys().zip(0_usize..).collect();
        let number = |name: &WorkloadName| numbers.get(name).copied();
        let edges: Vec<Vec<usize>> =
            self.after.values().map(|others| others.iter().filter_map(number).collect()).collect();
        let names = self.after.keys().zip(on_circles(&edges));
        names.filter(|(_, is_circular)| *is_circular).map(|(name, _)| name.clone()).collect()
    }

    /// Returns those that must run before `name` starts.
    pub(crate) fn of(&self, name: &WorkloadName) -> &[WorkloadName] {
        self.after.get(name).map_or(&[], Vec::as_slice)
    }

    /// Returns those that may start once `name` runs.
    pub(crate) fn waiting_for(&self, name: &WorkloadName) -> &[WorkloadName] {
        self.before.get(name).map_or(&[], Vec::as_slice)
    }

    /// Reports what cannot be followed.
    pub(crate) fn report(&self, events: &mut EventBuffer) {
        for name in &self.circular {
            let message = "it waits for itself in a circle, so its order is ignored".to_owned();
            events.add(EventReason::DependencyCircle, name, message);
        }
        for (name, what) in self.unknown() {
            let message = format!("it waits for {what}: ignored");
            events.add(EventReason::DependencyUnknown, name, message);
        }
    }

    /// Returns each workload that names others which are not configured, and says which.
    fn unknown(&self) -> impl Iterator<Item = (&WorkloadName, String)> {
        let mut by_name: BTreeMap<_, (_, usize)> = BTreeMap::new();
        for (name, other) in &self.unknown {
            by_name.entry(name).and_modify(|(_, more)| *more += 1).or_insert((other, 0));
        }
        by_name.into_iter().map(|(name, (other, more))| {
            let what = match more {
                0 => format!("{other}, which is not configured"),
                more => format!("{other} and {more} more that are not configured"),
            };
            (name, what)
        })
    }
}

#[cfg(test)]
mod tests;
