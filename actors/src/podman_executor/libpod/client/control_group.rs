//! Limits written into a container's control group, where podman's own way does not work.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, fstat, fstatfs};

use crate::blocking::OneAtATime;
use crate::podman_executor::libpod::api::PodmanError;
use crate::podman_executor::libpod::http::{Mounts, open_beneath};
use crate::podman_executor::libpod::types::UpdateBody;

/// Where controllers are mounted.
pub(super) const ROOT: &str = "/sys/fs/cgroup";
/// What the kernel calls file systems of control groups, of the first version and of the second.
const MAGIC: [u32; 2] = [0x0027_e0eb, 0x6367_7270];
/// The length of a container's id.
const ID_LENGTH: usize = 64;
/// A lower memory limit makes the kernel look for pages to give up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const CALL: &str = "write the control group";

/// Why nothing is written for another user's podman: the group would be one that this user names.
pub(super) const ANOTHER_USERS: &str =
    "an agent that runs as root writes no control group of another user's podman";

/// A file and what belongs in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    /// Where its controller is mounted.
    root: PathBuf,
    /// Its path below that.
    file: PathBuf,
    value: String,
}

/// Writes `limits` into the control group `group` of `container`.
pub(super) async fn limit(
    kernel: &OneAtATime,
    group: &str,
    container: &str,
    limits: UpdateBody,
) -> Result<(), PodmanError> {
    let (group, container) = (group.to_owned(), container.to_owned());
    let writing = move || {
        let settings = settings(version(), &group, &container, limits)
            .ok_or("podman does not name the container's control group")?;
        settings.iter().try_for_each(|setting| {
            let shown = setting.root.join(&setting.file);
            write(setting).map_err(|error| format!("{}: {error}", shown.display()))
        })
    };
    let written = kernel.run("writing the limit", WRITE_TIMEOUT, writing).await;
    written.map_err(|error| refused(error.to_string()))?.map_err(refused)
}

/// Returns which generation of control groups is mounted where the limits are written.
fn version() -> &'static str {
    // Only the root of a unified hierarchy has it.
    if Path::new(ROOT).join("cgroup.controllers").exists() { "v2" } else { "v1" }
}

/// Returns a refusal for this reason.
pub(super) fn refused(cause: String) -> PodmanError {
    PodmanError::Refused { call: CALL, status: 0, message: cause.clone(), cause }
}

/// Writes what exists in a file system of control groups; creating nothing, a wrong path is an error.
fn write(setting: &Setting) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&setting.root, flags, Mode::empty())?;
    if !is_control_groups(&root)? {
        return Err(io::Error::other("no control groups are mounted there"));
    }
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = open_beneath(&root, &setting.file, flags, Mounts::Same)?;
    if !FileType::from_raw_mode(fstat(&file)?.st_mode).is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    File::from(file).write_all(setting.value.as_bytes())
}

/// Returns whether `folder` is of a file system of control groups.
pub(super) fn is_control_groups(folder: &OwnedFd) -> io::Result<bool> {
    let magic = u32::try_from(fstatfs(folder)?.f_type).ok();
    Ok(magic.is_some_and(|magic| MAGIC.contains(&magic)))
}

/// Returns files and what belongs in them; `None` unless the group is surely the container's own:
/// rootless podman on cgroup v1 names the group of the process that asks.
fn settings(
    version: &str,
    group: &str,
    container: &str,
    limits: UpdateBody,
) -> Option<Vec<Setting>> {
    let inner = Path::new(group).strip_prefix("/").ok()?;
    let plain = inner.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || !is_of(inner.file_name()?.to_str()?, container) {
        return None;
    }
    let setting = |controller: &str, file: &str, value: String| Setting {
        root: Path::new(ROOT).join(controller),
        file: inner.join(file),
        value,
    };
    let unlimited = |amount: i64| match amount {
        ..0 => "max".to_owned(),
        amount => amount.to_string(),
    };
    let mut settings = Vec::new();
    if version == "v2" {
        settings.extend(
            limits.cpu.map(|cpu| {
                setting("", "cpu.max", format!("{} {}", unlimited(cpu.quota), cpu.period))
            }),
        );
        let memory = limits.memory;
        settings.extend(memory.map(|it| setting("", "memory.max", unlimited(it.limit))));
    } else {
        if let Some(cpu) = limits.cpu {
            settings.push(setting("cpu", "cpu.cfs_period_us", cpu.period.to_string()));
            settings.push(setting("cpu", "cpu.cfs_quota_us", cpu.quota.to_string()));
        }
        let memory = limits.memory;
        settings.extend(
            memory.map(|it| setting("memory", "memory.limit_in_bytes", it.limit.to_string())),
        );
    }
    Some(settings)
}

/// Returns whether podman gives the control group of `container` this name: with the managers cgroupfs and
/// systemd, and where the group of the service is split.
pub(super) fn is_of(name: &str, container: &str) -> bool {
    let is_id = container.len() == ID_LENGTH
        && container.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let rest = name.strip_prefix("libpod-");
    let rest = rest.map(|rest| rest.strip_prefix("payload-").unwrap_or(rest));
    let rest = rest.map(|rest| rest.strip_suffix(".scope").unwrap_or(rest));
    is_id && rest == Some(container)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::podman_executor::libpod::types::{UpdateCpu, UpdateMemory};

    const ID: &str = "10a910a910a910a910a910a910a910a910a910a910a910a910a910a910a910a9";

    fn group() -> String {
        format!("/libpod_parent/5e4e/libpod-{ID}")
    }

    fn limits(quota: i64, limit: i64) -> UpdateBody {
        let cpu = Some(UpdateCpu { quota, period: 100_000 });
        UpdateBody { cpu, memory: Some(UpdateMemory { limit }) }
    }

    fn lines(version: &str, limits: UpdateBody) -> Vec<String> {
        let settings = settings(version, &group(), ID, limits).unwrap();
        let line = |it: &Setting| format!("{}={}", it.root.join(&it.file).display(), it.value);
        settings.iter().map(|it| line(it).replace(ID, "10a9")).collect()
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
        for group in [
            "".to_owned(),
            "/".to_owned(),
            "/user.slice".to_owned(),
            format!("/libpod-{ID}/conmon"),
            format!("/a/../libpod-{ID}"),
            format!("libpod-{ID}"),
            format!("/my-libpod-{ID}"),
            format!("/libpod-{ID}1"),
            format!("/libpod-conmon-{ID}"),
            format!("/libpod-{ID}.scope.d"),
            format!("/{ID}"),
        ] {
            assert_eq!(settings("v1", &group, ID, limits(1_000, 1)), None, "{group}");
        }
        for id in ["", "X", "10a9", &ID.to_uppercase(), &ID[1..], &format!("{}/", &ID[1..])] {
            let group = format!("/libpod-{id}");
            assert_eq!(settings("v2", &group, id, limits(1_000, 1)), None, "{id}");
        }
    }

    #[test]
    fn podmans_names_of_groups_are_known() {
        for name in
            [format!("libpod-{ID}"), format!("libpod-{ID}.scope"), format!("libpod-payload-{ID}")]
        {
            assert!(is_of(&name, ID), "{name}");
        }
    }

    #[test]
    fn nothing_is_written_but_control_groups() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cpu.max");
        std::fs::write(&file, "kept").unwrap();
        let setting = Setting {
            root: folder.path().to_owned(),
            file: "cpu.max".into(),
            value: "max".to_owned(),
        };
        assert!(write(&setting).is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
    }
}
