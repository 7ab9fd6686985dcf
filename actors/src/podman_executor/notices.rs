//! Notes of a command for the user beyond its result, each reported once.

use std::collections::{BTreeMap, BTreeSet};

use crate::workload::{EventReason, Limits, WorkloadId};

/// What came to notice while a command was carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::podman_executor) struct Notes {
    /// What could not be done as the author wrote it.
    pub adjusted: Vec<String>,
    /// What became of limits, if the command was about any.
    pub limited: Option<Limited>,
    /// What a specification that failed its proof wrote last, if the command removed its pod.
    pub last_lines: Option<String>,
}

impl Notes {
    /// Returns notes about the specification alone.
    pub(in crate::podman_executor) fn adjusted(adjusted: Vec<String>) -> Self {
        Self { adjusted, ..Self::default() }
    }
}

/// What became of limits by condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::podman_executor) struct Limited {
    /// What was asked for.
    pub limits: Limits,
    /// What is not in force, and why.
    pub refused: Vec<String>,
}

/// Remembers what was reported.
#[derive(Debug, Default)]
pub(in crate::podman_executor) struct Notices {
    adjusted: BTreeMap<WorkloadId, BTreeSet<String>>,
    limited: BTreeMap<WorkloadId, Limited>,
}

/// A reason and a message.
type Notice = (EventReason, String);

impl Notices {
    /// Returns what of `notes` is news: an adjustment once for each version of the workload, a
    /// limit that is not in force once for each change of the limits.
    pub(in crate::podman_executor) fn news(
        &mut self,
        id: &WorkloadId,
        notes: Notes,
    ) -> Vec<Notice> {
        // One entry for each workload: those of its other versions go.
        self.adjusted.retain(|other, _| other == id || !same_workload(other, id));
        self.limited.retain(|other, _| other == id || !same_workload(other, id));
        let reported = self.adjusted.entry(id.clone()).or_default();
        let adjusted =
            notes.adjusted.into_iter().filter(|message| reported.insert(message.clone()));
        let mut news: Vec<_> =
            adjusted.map(|message| (EventReason::SpecificationAdjusted, message)).collect();
        if let Some(limited) = notes.limited.filter(|new| self.limited.get(id) != Some(new)) {
            let refused = limited.refused.iter();
            news.extend(refused.map(|message| (EventReason::LimitNotApplied, message.clone())));
            self.limited.insert(id.clone(), limited);
        }
        let last_lines = notes.last_lines.into_iter();
        news.extend(
            last_lines
                .map(|lines| (EventReason::RolledBack, format!("pod {id} wrote last: {lines}"))),
        );
        news
    }
}

/// Returns whether two ids are versions of one workload.
pub(super) fn same_workload(a: &WorkloadId, b: &WorkloadId) -> bool {
    let name = |id: &WorkloadId| id.as_str().rsplit_once('-').map(|(name, _)| name.to_owned());
    name(a) == name(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adjusted(message: &str) -> Notes {
        Notes::adjusted(vec![message.to_owned()])
    }

    fn limited(cpu: Option<u64>, refused: &[&str]) -> Notes {
        let refused = refused.iter().map(|message| (*message).to_owned()).collect();
        let limited = Limited { limits: Limits { cpu, ..Limits::default() }, refused };
        Notes { limited: Some(limited), ..Notes::default() }
    }

    #[test]
    fn adjustments_are_reported_once_for_each_version_of_a_workload() {
        let mut notices = Notices::default();
        let (old, new) = (WorkloadId::from("web-1"), WorkloadId::from("web-2"));
        let news = [(EventReason::SpecificationAdjusted, "a".to_owned())];
        assert_eq!(notices.news(&old, adjusted("a")), news);
        assert_eq!(notices.news(&old, adjusted("a")), []);
        assert_eq!(notices.news(&WorkloadId::from("other-1"), adjusted("a")), news);
        assert_eq!(notices.news(&new, adjusted("a")), news);
        assert_eq!(notices.adjusted.len(), 2, "the old version is forgotten");
    }

    #[test]
    fn limits_that_are_not_in_force_are_reported_once_for_each_change() {
        let mut notices = Notices::default();
        let id = WorkloadId::from("web-1");
        for (cpu, refused, expected) in [
            (Some(1), &["no"][..], 1),
            (Some(1), &["no"], 0),
            (Some(2), &["no"], 1),
            (Some(2), &["still no"], 1),
            (None, &[], 0),
            (Some(2), &["no"], 1),
            (Some(2), &[], 0),
        ] {
            let news = notices.news(&id, limited(cpu, refused));
            assert_eq!(news.len(), expected, "{cpu:?} {refused:?}");
        }
    }
}
