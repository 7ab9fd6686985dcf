//! The configuration in force, and whether an answer replaces it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::control_plane_sync::state::deletion_guard::DeletionGuard;
use crate::control_plane_sync::state::store::{with_last_good, with_unnamed};
use crate::workload::{Configuration, Workload};

/// Period of all calls until a configuration says otherwise.
const DEFAULT_PERIOD: Duration = Duration::from_secs(60);
/// Shortest period, whatever a configuration says.
const MIN_PERIOD: Duration = Duration::from_secs(1);

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// It says what is in force already.
    Unchanged,
    /// It is in force now.
    Changed,
    /// It would empty the device and is not believed yet.
    Unconfirmed,
}

/// The configuration in force; none before the first.
#[derive(Debug, Default)]
pub(crate) struct Desired {
    current: Option<Configuration>,
    /// Workloads of the one before it, until another replaces it.
    former: Vec<Arc<Workload>>,
    /// It is an older generation than the one that was in force; the source was not heard yet.
    is_outdated: bool,
    empty: DeletionGuard,
}

impl Desired {
    /// Starts with what was kept on the disk.
    pub(crate) fn restored(current: Option<Configuration>, is_outdated: bool) -> Self {
        Self { current, former: Vec::new(), is_outdated, empty: DeletionGuard::default() }
    }

    /// Adds what was in force before that.
    pub(crate) fn after(self, former: Vec<Arc<Workload>>) -> Self {
        Self { former, ..self }
    }

    /// Returns the workloads of the configuration before, if an earlier life of the agent had it.
    pub(crate) fn former(&self) -> &[Arc<Workload>] {
        &self.former
    }

    /// Returns the configuration in force.
    pub(crate) const fn current(&self) -> Option<&Configuration> {
        self.current.as_ref()
    }

    /// Returns whether workloads may be wanted that it does not know.
    pub(crate) const fn is_outdated(&self) -> bool {
        self.is_outdated
    }

    /// Returns the time between two calls of one kind.
    pub(crate) fn period(&self) -> Duration {
        let period = self.current.as_ref().map(|it| it.heartbeat_period);
        period.unwrap_or(DEFAULT_PERIOD).max(MIN_PERIOD)
    }

    /// Takes the answer of a server or an empty folder; one that would empty the device must be repeated.
    pub(crate) fn adopt_guarded(&mut self, new: Configuration, now: Monotonic) -> Adoption {
        let is_wipe = is_empty(&new) && !self.current.as_ref().is_some_and(is_empty);
        if is_wipe && !self.empty.confirms(now) {
            return Adoption::Unconfirmed;
        }
        self.adopt(new)
    }

    /// Takes an answer that does not know what `unread` wants.
    pub(crate) fn adopt_partial(&mut self, new: Configuration, unread: &str) -> Adoption {
        let new = with_unnamed(self.current.as_ref(), new, unread);
        // It stays outdated: what is not read may be what the older generation does not know.
        self.replace(new)
    }

    /// Takes an answer as it is.
    pub(crate) fn adopt(&mut self, new: Configuration) -> Adoption {
        let was_outdated = std::mem::take(&mut self.is_outdated);
        let adoption = self.replace(new);
        if was_outdated { Adoption::Changed } else { adoption }
    }

    fn replace(&mut self, new: Configuration) -> Adoption {
        self.empty.clear();
        let new = with_last_good(self.current.as_ref(), new);
        match &mut self.current {
            // What is in force stays: others hold it, too, and so it is in memory once.
            Some(current) if means_the_same(current, &new) => {
                current.version = new.version;
                Adoption::Unchanged
            }
            Some(_) | None => {
                // The scheduler has seen what this one replaces.
                self.former.clear();
                self.current = Some(new);
                Adoption::Changed
            }
        }
    }

    /// Leaves the device without workloads, because it was deleted.
    pub(crate) fn clear(&mut self) {
        let heartbeat_period = self.period();
        self.adopt(Configuration {
            version: None,
            heartbeat_period,
            hardware_in_heartbeat: false,
            profiles: Vec::new(),
            workloads: Vec::new(),
            rejected: Vec::new(),
        });
    }
}

fn is_empty(configuration: &Configuration) -> bool {
    configuration.workloads.is_empty() && configuration.rejected.is_empty()
}

/// Compares all but the version, which the server counts up with each heartbeat.
fn means_the_same(old: &Configuration, new: &Configuration) -> bool {
    old.heartbeat_period == new.heartbeat_period
        && old.hardware_in_heartbeat == new.hardware_in_heartbeat
        && old.profiles == new.profiles
        && old.rejected == new.rejected
        && old.workloads.len() == new.workloads.len()
        && old.workloads.iter().zip(&new.workloads).all(|(old, new)| is_same(old, new))
}

/// Mostly a source has taken what is in force already, and nothing needs to be compared.
fn is_same(old: &Arc<Workload>, new: &Arc<Workload>) -> bool {
    Arc::ptr_eq(old, new) || old == new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::workloads::workload;
    use crate::workload::{RejectedWorkload, WorkloadName};

    fn configuration(version: &str, rejected: &[&str]) -> Configuration {
        Configuration {
            version: Some(version.to_owned()),
            heartbeat_period: Duration::from_secs(2),
            hardware_in_heartbeat: false,
            profiles: Vec::new(),
            workloads: Vec::new(),
            rejected: rejected
                .iter()
                .map(|name| RejectedWorkload {
                    name: WorkloadName::from(*name),
                    reason: String::new(),
                })
                .collect(),
        }
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_new_version_alone_changes_nothing() {
        let mut desired = Desired::restored(Some(configuration("1", &["a"])), false);
        let adoption = desired.adopt_guarded(configuration("2", &["a"]), at(0));
        assert_eq!(adoption, Adoption::Unchanged);
        let version = desired.current().and_then(|it| it.version.as_deref());
        assert_eq!(version, Some("2"));
    }

    #[test]
    fn an_equal_answer_leaves_the_very_workloads_in_force_that_others_hold() {
        let with = |version: &str| Configuration {
            workloads: vec![workload("web").build()],
            ..configuration(version, &[])
        };
        let restored = with("1");
        let mut desired = Desired::restored(Some(restored.clone()), false);
        assert_eq!(desired.adopt_guarded(with("2"), at(0)), Adoption::Unchanged);
        let current = desired.current().unwrap();
        assert!(std::sync::Arc::ptr_eq(&current.workloads[0], &restored.workloads[0]));
    }

    #[test]
    fn what_was_in_force_before_counts_until_the_source_replaces_it() {
        let former = vec![workload("web").build()];
        let current = Some(configuration("1", &["a"]));
        let mut desired = Desired::restored(current, false).after(former.clone());
        desired.adopt(configuration("2", &["a"]));
        assert_eq!(desired.former(), former);
        desired.adopt(configuration("2", &["b"]));
        assert!(desired.former().is_empty());
    }

    #[test]
    fn an_empty_configuration_is_believed_the_third_time() {
        let mut desired = Desired::restored(Some(configuration("1", &["a"])), false);
        let adoptions = [0, 15, 30].map(|s| desired.adopt_guarded(configuration("2", &[]), at(s)));
        let expected = [Adoption::Unconfirmed, Adoption::Unconfirmed, Adoption::Changed];
        assert_eq!(adoptions, expected);
    }

    #[test]
    fn an_empty_configuration_after_an_empty_one_is_no_wipe() {
        let mut desired = Desired::restored(Some(configuration("1", &[])), false);
        let adoption = desired.adopt_guarded(configuration("2", &[]), at(0));
        assert_eq!(adoption, Adoption::Unchanged);
    }

    #[test]
    fn an_older_generation_is_outdated_until_the_source_is_heard() {
        let mut desired = Desired::restored(Some(configuration("1", &["a"])), true);
        assert!(desired.is_outdated());
        let doubted = desired.adopt_guarded(configuration("2", &[]), at(0));
        assert_eq!((doubted, desired.is_outdated()), (Adoption::Unconfirmed, true));
        // What it says may be the same: that it is in force is news.
        let adoption = desired.adopt_guarded(configuration("2", &["a"]), at(1));
        assert_eq!((adoption, desired.is_outdated()), (Adoption::Changed, false));
    }

    #[test]
    fn an_older_generation_stays_outdated_while_a_part_of_the_source_is_not_read() {
        let mut desired = Desired::restored(Some(configuration("1", &["a"])), true);
        let adoption = desired.adopt_partial(configuration("2", &["a"]), "b.yaml");
        // Nothing new: it must not be published and stored each period.
        assert_eq!((adoption, desired.is_outdated()), (Adoption::Unchanged, true));
    }

    #[test]
    fn the_period_is_a_minute_until_it_is_known() {
        assert_eq!(Desired::default().period(), DEFAULT_PERIOD);
        let desired = Desired::restored(Some(configuration("1", &[])), false);
        assert_eq!(desired.period(), Duration::from_secs(2));
    }
}
