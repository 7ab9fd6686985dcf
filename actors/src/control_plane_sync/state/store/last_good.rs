//! What stays in force of a configuration when its successor is partly unusable.

use std::collections::BTreeSet;

use crate::workload::{Configuration, RejectedWorkload};

/// Keeps the last good version of each workload in force whose new one is rejected; it is still
/// listed among the rejected ones.
#[must_use]
pub(crate) fn with_last_good(
    previous: Option<&Configuration>,
    mut new: Configuration,
) -> Configuration {
    let good: BTreeSet<_> = new.workloads.iter().map(|workload| &workload.name).collect();
    let rejected: BTreeSet<_> = new.rejected.iter().map(|rejected| &rejected.name).collect();
    let kept: Vec<_> = previous
        .into_iter()
        .flat_map(|previous| &previous.workloads)
        .filter(|old| rejected.contains(&old.name) && !good.contains(&old.name))
        .cloned()
        .collect();
    new.workloads.extend(kept);
    new.workloads.sort_by(|a, b| a.name.cmp(&b.name));
    new
}

/// Keeps the workloads of `previous` that `new` does not name, because the files in `unread` may
/// want them; they are listed among the rejected ones. Where `new` has no profiles, or no
/// objectives, those of `previous` stay, because workloads or the device depend on them.
#[must_use]
pub(crate) fn with_missing(
    previous: Option<&Configuration>,
    mut new: Configuration,
    unread: &str,
) -> Configuration {
    let good = new.workloads.iter().map(|workload| &workload.name);
    let named: BTreeSet<_> = good.chain(new.rejected.iter().map(|it| &it.name)).cloned().collect();
    for old in previous.into_iter().flat_map(|previous| &previous.workloads) {
        if !named.contains(&old.name) {
            let reason = format!(
                "no readable manifest names it; it stays in force because {unread} could not be \
                 read since the agent started: mend or delete what cannot be read"
            );
            new.rejected.push(RejectedWorkload { name: old.name.clone(), reason });
        }
    }
    if let (Some(previous), true) = (previous, new.profiles.is_empty()) {
        new.profiles.clone_from(&previous.profiles);
    }
    if let (Some(previous), true) = (previous, new.objectives.is_empty()) {
        new.objectives.clone_from(&previous.objectives);
    }
    new.rejected.sort_by(|a, b| (&a.name, &a.reason).cmp(&(&b.name, &b.reason)));
    with_last_good(previous, new)
}
