//! The limits that the kernel holds a container to, on every level of its control group. Pure.
//!
//! A container is held to the tightest of several: its own group, on cgroup v2 with crun one more inside
//! it, and its pod's around it. podman says what it asked for; the kernel, what is in force.

use std::path::PathBuf;

use crate::pod_manifest::ContainerLimits;

/// The period of a CPU limit, in microseconds.
pub(in crate::podman_executor) const CPU_PERIOD: u64 = 100_000;
/// The least CPU time in a period that the kernel takes.
const SHORTEST: u64 = 1_000;
/// More CPU time in a period than any device has: a thousand processors.
pub(in crate::podman_executor) const MORE_THAN_ALL: u64 = 1_000 * CPU_PERIOD;
/// The largest page: the kernel keeps whole pages of a memory limit.
const PAGE: u64 = 64 * 1_024;
/// What cgroup v1 shows where there is no memory limit is beyond this.
const MORE_MEMORY_THAN_ALL: u64 = 1 << 60;

/// What a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// CPU time, in microseconds in each period of 100 ms.
    Cpu,
    /// Memory, in bytes.
    Memory,
}

impl Resource {
    /// Returns the word used in messages.
    pub(in crate::podman_executor) const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Memory => "memory",
        }
    }

    /// Returns what `limits` say of it.
    pub(in crate::podman_executor) fn of(self, limits: &ContainerLimits) -> Option<u64> {
        match self {
            Self::Cpu => limits.cpu,
            Self::Memory => limits.memory,
        }
    }

    /// Returns whether a limit of `found` is what a `wanted` one comes to.
    fn is_same(self, found: Option<u64>, wanted: Option<u64>) -> bool {
        match (found, wanted) {
            (Some(found), Some(wanted)) => match self {
                Self::Cpu => found == wanted,
                Self::Memory => found <= wanted && wanted - found < PAGE,
            },
            (found, wanted) => found == wanted,
        }
    }

    /// Returns an amount in words.
    fn amount(self, limit: Option<u64>) -> String {
        match (self, limit) {
            (_, None) => "none".to_owned(),
            (Self::Cpu, Some(micros)) => format!("{micros} µs in 100 ms"),
            (Self::Memory, Some(bytes)) => format!("{bytes} bytes"),
        }
    }
}

/// One level of a container's control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The group, as the kernel names it.
    pub group: String,
    /// Whether it is the container's own; its pod's is not.
    pub is_own: bool,
    /// The limit that it sets.
    pub limit: Option<u64>,
}

/// Returns what is wrong with `levels` where this limit is wanted; `None` when it is in force.
pub(in crate::podman_executor) fn fault(
    resource: Resource,
    levels: &[Level],
    wanted: Option<u64>,
) -> Option<String> {
    let tightness = |level: &&Level| level.limit.unwrap_or(u64::MAX);
    let own = levels.iter().filter(|level| level.is_own).min_by_key(tightness)?;
    // What is beyond the wanted limit does not hold the container.
    let pods = levels.iter().filter(|level| !level.is_own && tightness(level) < tightness(&own));
    let tightest = pods.min_by_key(tightness).unwrap_or(own);
    (!resource.is_same(tightest.limit, wanted)).then(|| {
        let (found, wanted) = (resource.amount(tightest.limit), resource.amount(wanted));
        format!("{found} is in force, not {wanted}, in control group {}", tightest.group)
    })
}

/// Returns whether a CPU limit was lifted by -1 where crun hands that on to systemd: the group that crun
/// makes has no limit, and the one that systemd makes around it the shortest possible.
pub(in crate::podman_executor) fn was_lifted_wrongly(levels: &[Level]) -> bool {
    let mut own = levels.iter().filter(|level| level.is_own).map(|level| level.limit);
    let is_least = own.next().flatten().is_some_and(|limit| limit <= SHORTEST);
    let inner: Vec<_> = own.collect();
    is_least && !inner.is_empty() && inner.iter().all(Option::is_none)
}

/// Where the kernel shows one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::podman_executor) struct Place {
    /// The level, its limit not read yet.
    pub(in crate::podman_executor) level: Level,
    /// Its folder, below where its hierarchy is mounted.
    pub(in crate::podman_executor) folder: PathBuf,
}

/// Where the kernel shows all levels, outermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::podman_executor) struct Places {
    /// Where the hierarchy is mounted, below where all are.
    pub(in crate::podman_executor) hierarchy: &'static str,
    /// `v2`, in whose words the files are written, or v1.
    pub(in crate::podman_executor) is_unified: bool,
    pub(in crate::podman_executor) levels: Vec<Place>,
}

/// Returns where the kernel shows the levels of `container`, one of whose processes has this
/// `/proc/PID/cgroup`; `None` if the process is in no group of that container.
pub(in crate::podman_executor) fn places(
    membership: &str,
    container: &str,
    resource: Resource,
) -> Option<Places> {
    let controller = match resource {
        Resource::Cpu => "cpu",
        Resource::Memory => "memory",
    };
    let lines = || membership.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let named = lines().find(|(names, _)| names.split(',').any(|name| name == controller));
    let (hierarchy, group) = match named {
        Some((_, group)) => (controller, group),
        None => ("", lines().find(|(names, _)| names.is_empty())?.1),
    };
    let parts: Vec<_> = group.strip_prefix('/')?.split('/').collect();
    let is_plain = |part: &&str| !part.is_empty() && *part != "." && *part != "..";
    if container.is_empty() || !parts.iter().all(is_plain) {
        return None;
    }
    let own = parts.iter().position(|part| part.contains(container))?;
    let of_pod = own.checked_sub(1).filter(|_| parts.iter().take(own).any(|part| is_pods(part)));
    let levels = (of_pod.unwrap_or(own)..parts.len()).map(|last| {
        let inner: Vec<_> = parts.iter().take(last + 1).copied().collect();
        let inner = inner.join("/");
        let level = Level { group: format!("/{inner}"), is_own: last >= own, limit: None };
        Place { level, folder: PathBuf::from(inner) }
    });
    Some(Places { hierarchy, is_unified: hierarchy.is_empty(), levels: levels.collect() })
}

/// Returns whether podman gives such a name to the group of a pod, or to that of all pods.
fn is_pods(part: &str) -> bool {
    part.contains("libpod_pod_") || part == "libpod_parent"
}

/// Returns the files of a level that hold its limit.
pub(in crate::podman_executor) const fn files(
    resource: Resource,
    is_unified: bool,
) -> &'static [&'static str] {
    match (resource, is_unified) {
        (Resource::Cpu, true) => &["cpu.max"],
        (Resource::Cpu, false) => &["cpu.cfs_quota_us", "cpu.cfs_period_us"],
        (Resource::Memory, true) => &["memory.max"],
        (Resource::Memory, false) => &["memory.limit_in_bytes"],
    }
}

/// Returns the limit that the texts of those files say.
pub(in crate::podman_executor) fn limit_in(resource: Resource, text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    // `max` and -1 are no limit.
    let amount: u64 = words.next()?.parse().ok()?;
    match resource {
        Resource::Cpu => {
            let period: u64 = words.next()?.parse().ok()?;
            let in_period = u128::from(amount) * u128::from(CPU_PERIOD) / u128::from(period.max(1));
            u64::try_from(in_period).ok().filter(|amount| *amount < MORE_THAN_ALL)
        }
        Resource::Memory => Some(amount).filter(|amount| *amount < MORE_MEMORY_THAN_ALL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "c0b11ce4";

    fn level(group: &str, is_own: bool, limit: Option<u64>) -> Level {
        Level { group: group.to_owned(), is_own, limit }
    }

    fn groups(membership: &str, resource: Resource) -> Option<Vec<String>> {
        let places = places(membership, ID, resource)?;
        let shown = places.levels.iter().map(|place| {
            let of = if place.level.is_own { "own" } else { "pod" };
            format!("{of} {}", place.folder.display())
        });
        Some(shown.collect())
    }

    #[test]
    fn every_level_from_the_pod_inwards_is_looked_at() {
        let systemd =
            format!("0::/machine.slice/machine-libpod_pod_58.slice/libpod-{ID}.scope/container\n");
        let (pod, own) = (
            "machine.slice/machine-libpod_pod_58.slice",
            format!("machine.slice/machine-libpod_pod_58.slice/libpod-{ID}.scope"),
        );
        let expected = [format!("pod {pod}"), format!("own {own}"), format!("own {own}/container")];
        for resource in [Resource::Cpu, Resource::Memory] {
            assert_eq!(groups(&systemd, resource).unwrap(), expected);
        }
        let user =
            "user.slice/user-1000.slice/user@1000.service/user.slice/user-libpod_pod_5.slice";
        let rootless = format!("0::/{user}/libpod-{ID}.scope\n");
        assert_eq!(
            groups(&rootless, Resource::Cpu).unwrap(),
            [format!("pod {user}"), format!("own {user}/libpod-{ID}.scope")]
        );
        let cgroupfs = format!("0::/libpod_parent/58/libpod-{ID}\n");
        assert_eq!(
            groups(&cgroupfs, Resource::Cpu).unwrap(),
            ["pod libpod_parent/58".to_owned(), format!("own libpod_parent/58/libpod-{ID}")]
        );
        // The slice of all machines is its administrator's.
        let alone = format!("0::/machine.slice/libpod-{ID}.scope\n");
        assert_eq!(
            groups(&alone, Resource::Cpu).unwrap(),
            [format!("own machine.slice/libpod-{ID}.scope")]
        );
    }

    #[test]
    fn the_first_generation_has_a_hierarchy_for_each_controller() {
        let membership = format!(
            "9:memory:/libpod_parent/58/libpod-{ID}\n4:cpu,cpuacct:/libpod_parent/58/libpod-{ID}\n\
             1:name=systemd:/\n0::/\n"
        );
        assert_eq!(
            groups(&membership, Resource::Cpu).unwrap(),
            ["pod libpod_parent/58".to_owned(), format!("own libpod_parent/58/libpod-{ID}")]
        );
        let places = places(&membership, ID, Resource::Memory).unwrap();
        assert_eq!((places.hierarchy, places.is_unified), ("memory", false));
    }

    #[test]
    fn a_process_in_no_group_of_the_container_tells_nothing() {
        for membership in [
            "",
            "0::/\n",
            "0::/user.slice\n",
            "0::/../../libpod-c0b11ce4.scope\n",
            "4:cpu:/user.slice\n0::/libpod-c0b11ce4.scope\n",
            "rubbish",
        ] {
            assert_eq!(places(membership, ID, Resource::Cpu), None, "{membership}");
        }
        assert_eq!(places("0::/libpod-c0b11ce4.scope", "", Resource::Cpu), None);
    }

    #[test]
    fn limits_are_read_in_the_words_of_both_generations() {
        for (resource, text, expected) in [
            (Resource::Cpu, "max 100000\n", None),
            (Resource::Cpu, "20000 100000\n", Some(20_000)),
            (Resource::Cpu, "20000 50000\n", Some(40_000)),
            (Resource::Cpu, "-1\n 100000\n", None),
            (Resource::Cpu, "30000\n 100000\n", Some(30_000)),
            (Resource::Cpu, "100000000 100000", None),
            (Resource::Cpu, "18446744073709551615 1", None),
            (Resource::Memory, "max\n", None),
            (Resource::Memory, "67108864\n", Some(67_108_864)),
            (Resource::Memory, "9223372036854771712\n", None),
            (Resource::Memory, "", None),
        ] {
            assert_eq!(limit_in(resource, text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_tightest_level_is_the_one_in_force() {
        let scope = |limit| level("/pod/scope", true, limit);
        let inner = |limit| level("/pod/scope/container", true, limit);
        let pod = |limit| level("/pod", false, limit);
        for (levels, wanted, culprit) in [
            // What crun leaves of a limit that was lifted by -1.
            (vec![pod(None), scope(Some(1_000)), inner(None)], None, Some("/pod/scope")),
            (vec![pod(None), scope(None), inner(None)], None, None),
            (vec![pod(None), scope(None), inner(None)], Some(20_000), Some("/pod/scope")),
            // systemd rounds up.
            (vec![pod(None), scope(Some(21_000)), inner(Some(20_500))], Some(20_500), None),
            (vec![pod(Some(5_000)), scope(None), inner(None)], None, Some("/pod")),
            (vec![pod(Some(5_000)), scope(Some(9_000)), inner(None)], Some(9_000), Some("/pod")),
            (vec![pod(Some(50_000)), scope(Some(9_000)), inner(None)], Some(9_000), None),
            (vec![], Some(9_000), None),
        ] {
            let found = fault(Resource::Cpu, &levels, wanted);
            let expected = culprit.map(|group| format!("in control group {group}"));
            match (found, expected) {
                (Some(found), Some(expected)) => assert!(found.ends_with(&expected), "{found}"),
                (found, expected) => assert_eq!(found, expected, "{levels:?} {wanted:?}"),
            }
        }
    }

    #[test]
    fn a_limit_that_was_lifted_wrongly_is_distinguished_from_one_that_was_wanted() {
        let levels = |limits: &[Option<u64>]| -> Vec<_> {
            limits.iter().map(|limit| level("/own", true, *limit)).collect()
        };
        for (limits, expected) in [
            (&[Some(1_000), None][..], true),
            (&[Some(1_000), None, None], true),
            (&[Some(1_000), Some(1_000)], false),
            (&[Some(1_000)], false),
            (&[Some(20_000), None], false),
            (&[None, None], false),
            (&[], false),
        ] {
            assert_eq!(was_lifted_wrongly(&levels(limits)), expected, "{limits:?}");
        }
        let mut around = levels(&[None, None]);
        around.insert(0, level("/pod", false, Some(1_000)));
        assert!(!was_lifted_wrongly(&around), "the pod's limit was asked for");
    }

    #[test]
    fn memory_is_kept_in_whole_pages() {
        let levels = |limit| vec![level("/scope", true, Some(limit))];
        assert_eq!(fault(Resource::Memory, &levels(98_304), Some(100_000)), None);
        assert_eq!(
            fault(Resource::Memory, &levels(100_001), Some(100_000)).unwrap(),
            "100001 bytes is in force, not 100000 bytes, in control group /scope"
        );
        assert!(fault(Resource::Memory, &levels(32_768), Some(100_000)).is_some());
    }
}
