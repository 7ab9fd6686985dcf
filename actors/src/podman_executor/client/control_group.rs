//! Limits written into a container's control group, where podman's own way does not work.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use crate::podman_executor::api::PodmanError;
use crate::podman_executor::libpod::UpdateBody;

/// Where controllers are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// A lower memory limit makes the kernel look for pages to give up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const CALL: &str = "write the control group";

/// Writes `limits` into the control group `group` of `container`.
pub(super) async fn limit(
    version: &str,
    group: &str,
    container: &str,
    limits: UpdateBody,
) -> Result<(), PodmanError> {
    let settings = settings(version, group, container, limits)
        .ok_or_else(|| refused("podman does not name the container's control group".to_owned()))?;
    let writing = tokio::task::spawn_blocking(move || {
        settings.iter().try_for_each(|(file, value)| {
            write(file, value).map_err(|error| format!("{}: {error}", file.display()))
        })
    });
    let timed_out = |_| PodmanError::Timeout { call: CALL, after: WRITE_TIMEOUT };
    let written = timeout(WRITE_TIMEOUT, writing).await.map_err(timed_out)?;
    written.unwrap_or_else(|error| Err(error.to_string())).map_err(refused)
}

fn refused(cause: String) -> PodmanError {
    PodmanError::Refused { call: CALL, status: 0, message: cause.clone(), cause }
}

/// Writes what exists; creating nothing, a wrong path is an error.
fn write(file: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes())
}

/// Returns files and what belongs in them; `None` unless the group is surely the container's own:
/// rootless podman on cgroup v1 names the group of whoever asks.
fn settings(
    version: &str,
    group: &str,
    container: &str,
    limits: UpdateBody,
) -> Option<Vec<(PathBuf, String)>> {
    let inner = Path::new(group).strip_prefix("/").ok()?;
    let own = inner.file_name()?.to_str()?.contains(container) && !container.is_empty();
    let plain = inner.components().all(|part| matches!(part, Component::Normal(_)));
    if !own || !plain {
        return None;
    }
    let unlimited = |amount: i64| match amount {
        ..0 => "max".to_owned(),
        amount => amount.to_string(),
    };
    let mut settings = Vec::new();
    if version == "v2" {
        let group = Path::new(ROOT).join(inner);
        settings.extend(limits.cpu.map(|cpu| {
            (group.join("cpu.max"), format!("{} {}", unlimited(cpu.quota), cpu.period))
        }));
        let memory = limits.memory;
        settings.extend(memory.map(|memory| (group.join("memory.max"), unlimited(memory.limit))));
    } else {
        let group = |controller: &str| Path::new(ROOT).join(controller).join(inner);
        if let Some(cpu) = limits.cpu {
            settings.push((group("cpu").join("cpu.cfs_period_us"), cpu.period.to_string()));
            settings.push((group("cpu").join("cpu.cfs_quota_us"), cpu.quota.to_string()));
        }
        settings.extend(limits.memory.map(|memory| {
            (group("memory").join("memory.limit_in_bytes"), memory.limit.to_string())
        }));
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::podman_executor::libpod::{UpdateCpu, UpdateMemory};

    const GROUP: &str = "/libpod_parent/5e4e/libpod-10a9";

    fn limits(quota: i64, limit: i64) -> UpdateBody {
        let cpu = Some(UpdateCpu { quota, period: 100_000 });
        UpdateBody { cpu, memory: Some(UpdateMemory { limit }) }
    }

    fn lines(version: &str, limits: UpdateBody) -> Vec<String> {
        let settings = settings(version, GROUP, "10a9", limits).unwrap();
        settings.iter().map(|(file, value)| format!("{}={value}", file.display())).collect()
    }

    #[test]
    fn both_generations_of_control_groups_are_written_their_way() {
        assert_eq!(
            lines("v2", limits(20_000, 4_096)),
            [
                "/sys/fs/cgroup/libpod_parent/5e4e/libpod-10a9/cpu.max=20000 100000",
                "/sys/fs/cgroup/libpod_parent/5e4e/libpod-10a9/memory.max=4096",
            ]
        );
        assert_eq!(
            lines("v2", limits(-1, -1)),
            [
                "/sys/fs/cgroup/libpod_parent/5e4e/libpod-10a9/cpu.max=max 100000",
                "/sys/fs/cgroup/libpod_parent/5e4e/libpod-10a9/memory.max=max",
            ]
        );
        assert_eq!(
            lines("v1", limits(-1, 4_096)),
            [
                "/sys/fs/cgroup/cpu/libpod_parent/5e4e/libpod-10a9/cpu.cfs_period_us=100000",
                "/sys/fs/cgroup/cpu/libpod_parent/5e4e/libpod-10a9/cpu.cfs_quota_us=-1",
                "/sys/fs/cgroup/memory/libpod_parent/5e4e/libpod-10a9/memory.limit_in_bytes=4096",
            ]
        );
        assert!(lines("v1", UpdateBody { cpu: None, memory: None }).is_empty());
    }

    #[test]
    fn a_group_that_is_not_surely_the_containers_own_is_not_touched() {
        for group in
            ["", "/", "/user.slice", "/libpod-10a9/conmon", "/a/../libpod-10a9", "libpod-10a9"]
        {
            assert_eq!(settings("v1", group, "10a9", limits(1_000, 1)), None, "{group}");
        }
        assert_eq!(settings("v2", GROUP, "", limits(1_000, 1)), None);
    }
}
