//! The state of the agent's and podman's units, and what they wrote in the last hour: by systemd's own
//! programs.

use std::path::Path;
use std::time::Duration;

use actors::podman_executor::runtime_dir_owner;
use actors::program::{self, Bounds};

use super::gathering::Tray;
use crate::config::{Access, Config, Machine, Sources};

/// What each of them may take.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(20), answer: 8 * 1024 * 1024 };
/// systemd's own programs, at the one place where they are.
const SYSTEMCTL: &str = "/usr/bin/systemctl";
const JOURNALCTL: &str = "/usr/bin/journalctl";

/// The services, which write, and all units, about which systemd writes.
const SERVICES: [&str; 2] = ["device-worker-ng.service", "podman.service"];
const UNITS: [&str; 4] = [
    "device-worker-ng.service",
    "device-worker-ng-metrics.socket",
    "podman.service",
    "podman.socket",
];

/// What is shown of a unit. Its environment and command line are not.
const PROPERTIES: &str = "\
Id,LoadState,ActiveState,SubState,Result,UnitFileState,FragmentPath,DropInPaths,NeedDaemonReload,\
ActiveEnterTimestamp,InactiveEnterTimestamp,StateChangeTimestamp,MainPID,ExecMainCode,ExecMainStatus,\
ExecMainStartTimestamp,ExecMainExitTimestamp,NRestarts,MemoryCurrent,CPUUsageNSec,TasksCurrent,\
WatchdogTimestamp,WatchdogUSec,OOMPolicy,Listen,NConnections,NAccepted";

/// Entries of the journal, the last ones.
const ENTRIES: &str = "10000";

/// A manager of units.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Manager {
    /// How its parts are called.
    name: &'static str,
    /// The user whose manager it is; `None` is the system's.
    user: Option<u32>,
    /// The runtime directory of a user whose manager this process may ask.
    runtime_dir: Option<String>,
}

/// Asks systemd.
pub(super) fn states_and_journal(sources: &Sources, tray: &Tray) {
    let access = match Config::only_access(sources, &Machine::this()) {
        Ok(access) => access,
        Err(errors) => return tray.missing("units", &errors.to_string()),
    };
    let user = rustix::process::geteuid().as_raw();
    for manager in managers(&access, user, owner(&access, tray)) {
        let lay = |what: &str, answer: Result<String, String>| {
            let name = format!("units/{}-{what}.txt", manager.name);
            match answer {
                Ok(text) if text.is_empty() => tray.text(name, "(nothing)\n"),
                Ok(text) => tray.text(name, &text),
                Err(reason) => tray.missing(name, &reason),
            }
        };
        if manager.user.is_none() || manager.runtime_dir.is_some() {
            let runtime_dir = manager.runtime_dir.as_deref();
            let variables: Vec<_> =
                runtime_dir.map(|it| ("XDG_RUNTIME_DIR", it)).into_iter().collect();
            lay("states", answer(SYSTEMCTL, &states(&manager), &variables));
        }
        lay("journal", answer(JOURNALCTL, &journal(&manager), &[]));
    }
}

fn answer(program: &str, words: &[String], variables: &[(&str, &str)]) -> Result<String, String> {
    let text = program::answer(Path::new(program), words, variables, BOUNDS)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Returns the managers in which the agent's units and podman's are. `user` is who asks, `owner` the
/// user whose pods root's agent runs: root asks that user's manager nothing, and reads of it in the
/// journal.
fn managers(access: &Access, user: u32, owner: Option<u32>) -> Vec<Manager> {
    if access.is_root {
        let system = Manager { name: "system", user: None, runtime_dir: None };
        let of_owner =
            owner.map(|user| Manager { name: "user", user: Some(user), runtime_dir: None });
        return [system].into_iter().chain(of_owner).collect();
    }
    let runtime_dir = access.xdg_runtime_dir.as_deref();
    let runtime_dir = runtime_dir
        .map_or_else(|| format!("/run/user/{user}"), |folder| folder.display().to_string());
    vec![Manager { name: "user", user: Some(user), runtime_dir: Some(runtime_dir) }]
}

/// Returns the user whose pods root's agent runs, if it runs some; says why that is not known.
fn owner(access: &Access, tray: &Tray) -> Option<u32> {
    let folder = access.xdg_runtime_dir.as_deref().filter(|_| access.is_root)?;
    let owner = runtime_dir_owner(folder);
    owner.map_err(|reason| tray.missing("units/user-journal.txt", &reason)).ok()
}

fn states(manager: &Manager) -> Vec<String> {
    let scope = manager.user.map(|_| "--user".to_owned());
    let words = ["show".to_owned(), "--no-pager".to_owned(), format!("--property={PROPERTIES}")];
    scope.into_iter().chain(words).chain(UNITS.map(str::to_owned)).collect()
}

/// Returns the words that show what the services wrote to their output, and what systemd wrote about
/// units. What containers write has come another way, and is nobody's affair here.
fn journal(manager: &Manager) -> Vec<String> {
    let (of_service, of_unit, systemd) = match manager.user {
        None => ("_SYSTEMD_UNIT", "UNIT", "_PID=1".to_owned()),
        Some(user) => ("_SYSTEMD_USER_UNIT", "USER_UNIT", format!("_UID={user}")),
    };
    let mut words =
        ["--quiet", "--no-pager", "--since=-1h", "--output=short-iso"].map(str::to_owned).to_vec();
    words.push(format!("--lines={ENTRIES}"));
    words.push("_TRANSPORT=stdout".to_owned());
    words.extend(manager.user.map(|user| format!("_UID={user}")));
    words.extend(SERVICES.map(|unit| format!("{of_service}={unit}")));
    words.push("+".to_owned());
    words.push(systemd);
    words.extend(UNITS.map(|unit| format!("{of_unit}={unit}")));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(is_root: bool, runtime_dir: Option<&str>) -> Access {
        Access {
            is_root,
            podman_socket: None,
            podman_rootless_socket: None,
            xdg_runtime_dir: runtime_dir.map(Into::into),
            cluster: None,
        }
    }

    #[test]
    fn root_asks_its_own_systemd_and_a_user_its_own() {
        for (access, owner, expected) in [
            (access(true, None), None, vec![("system", None, None)]),
            (
                access(true, Some("/run/user/7")),
                Some(7),
                vec![("system", None, None), ("user", Some(7), None)],
            ),
            (access(false, None), None, vec![("user", Some(1000), Some("/run/user/1000"))]),
            (access(false, Some("/run/me")), None, vec![("user", Some(1000), Some("/run/me"))]),
        ] {
            let all = managers(&access, 1000, owner);
            let told = all.iter().map(|it| (it.name, it.user, it.runtime_dir.as_deref()));
            assert_eq!(told.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn neither_the_environment_nor_what_containers_write_is_asked_for() {
        for (manager, states_begin, journal_ends) in [
            (
                Manager { name: "system", user: None, runtime_dir: None },
                "show --no-pager --property=Id,",
                "_TRANSPORT=stdout _SYSTEMD_UNIT=device-worker-ng.service \
                 _SYSTEMD_UNIT=podman.service + _PID=1 UNIT=device-worker-ng.service \
                 UNIT=device-worker-ng-metrics.socket UNIT=podman.service UNIT=podman.socket",
            ),
            (
                Manager { name: "user", user: Some(1000), runtime_dir: None },
                "--user show --no-pager --property=Id,",
                "_TRANSPORT=stdout _UID=1000 _SYSTEMD_USER_UNIT=device-worker-ng.service \
                 _SYSTEMD_USER_UNIT=podman.service + _UID=1000 \
                 USER_UNIT=device-worker-ng.service USER_UNIT=device-worker-ng-metrics.socket \
                 USER_UNIT=podman.service USER_UNIT=podman.socket",
            ),
        ] {
            let states = states(&manager).join(" ");
            assert!(states.starts_with(states_begin), "{states}");
            assert!(!states.contains("Environment") && !states.contains("ExecStart,"), "{states}");
            let journal = journal(&manager).join(" ");
            assert!(journal.ends_with(journal_ends), "{journal}");
        }
    }
}
