//! What stays in force of a configuration when its successor is partly unusable.

use crate::workload::Configuration;

/// Keeps the last good version of each workload in force whose new one is rejected; it is still
/// listed among the rejected ones.
#[must_use]
pub(crate) fn with_last_good(
    previous: Option<&Configuration>,
    mut new: Configuration,
) -> Configuration {
    let kept: Vec<_> = previous
        .into_iter()
        .flat_map(|previous| &previous.workloads)
        .filter(|old| {
            new.rejected
                .iter()
                .any(|rejected| rejected.name == old.name)
        })
        .filter(|old| {
            !new.workloads
                .iter()
                .any(|workload| workload.name == old.name)
        })
        .cloned()
        .collect();
    new.workloads.extend(kept);
    new.workloads.sort_by(|a, b| a.name.cmp(&b.name));
    new
}
