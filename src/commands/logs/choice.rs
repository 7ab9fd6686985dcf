//! Which containers are meant, and what to say when there are none. Pure.

use std::collections::BTreeSet;
use std::fmt;

use grammar::printable;

/// A container of a workload, by the names that people know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) workload: String,
    pub(super) pod: String,
    pub(super) container: String,
}

/// Where containers were looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// Each runtime that answered: "podman at /run/podman/podman.sock".
    pub(super) answered: Vec<String>,
    /// Why each of the others did not.
    pub(super) silent: Vec<String>,
}

/// Why there is no log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoLog {
    /// No runtime is configured, or none has answered.
    Unknown { workload: String, looked: Looked },
    /// The runtimes have no pod of the workload.
    NoWorkload { workload: String, looked: Looked, known: BTreeSet<String> },
    /// Its pod has no such container.
    NoContainer { workload: String, container: String, known: BTreeSet<String> },
}

impl fmt::Display for NoLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { workload, looked } if looked.silent.is_empty() => write!(
                f,
                "there is no runtime in which workload {} could run: name the agent's \
                 configuration, --config FILE, or run this as the agent's user",
                printable(workload)
            ),
            Self::Unknown { workload, looked } => write!(
                f,
                "no runtime says whether it has workload {}: {}",
                printable(workload),
                looked.silent.join("; ")
            ),
            Self::NoWorkload { workload, looked, known } => {
                let name = printable(workload);
                write!(f, "workload {name} has no pod on {}", looked.answered.join(" or "))?;
                match known.is_empty() {
                    true => write!(f, ", nor has any other")?,
                    false => write!(f, ", but these have: {}", listed(known))?,
                }
                for reason in &looked.silent {
                    write!(f, "; {reason}")?;
                }
                write!(
                    f,
                    "; `device-worker-ng status {name}` says why, `device-worker-ng logs {name} \
                     --previous` shows its last run that failed"
                )
            }
            Self::NoContainer { workload, container, known } => write!(
                f,
                "workload {} has no container {}, but these: {}",
                printable(workload),
                printable(container),
                listed(known)
            ),
        }
    }
}

fn listed(names: &BTreeSet<String>) -> String {
    names.iter().map(|name| printable(name)).collect::<Vec<_>>().join(", ")
}

/// Whether `named` is what `workload` means: its name, or the name of its pod.
pub(super) fn is_of(named: &Named, workload: &str) -> bool {
    named.workload == workload || named.pod == workload
}

/// Returns the places in `there` of the containers that are meant.
pub(super) fn choose(
    there: &[Named],
    workload: &str,
    container: Option<&str>,
    looked: Looked,
) -> Result<Vec<usize>, NoLog> {
    let workload_name = workload.to_owned();
    let of: Vec<usize> = (0..there.len())
        .filter(|at| there.get(*at).is_some_and(|named| is_of(named, workload)))
        .collect();
    if of.is_empty() {
        return Err(match looked.answered.is_empty() {
            true => NoLog::Unknown { workload: workload_name, looked },
            false => {
                let known = there.iter().map(|named| named.workload.clone()).collect();
                NoLog::NoWorkload { workload: workload_name, looked, known }
            }
        });
    }
    let Some(container) = container else { return Ok(of) };
    let containers = of.iter().filter_map(|at| there.get(*at)).map(|named| named.container.clone());
    let known: BTreeSet<String> = containers.collect();
    let is_meant = |at: &usize| there.get(*at).is_some_and(|named| named.container == container);
    let meant: Vec<usize> = of.into_iter().filter(is_meant).collect();
    match meant.is_empty() {
        true => {
            let container = container.to_owned();
            Err(NoLog::NoContainer { workload: workload_name, container, known })
        }
        false => Ok(meant),
    }
}

/// Returns what is to stand before the lines of each of `chosen`: nothing if there is only one.
pub(super) fn prefixes(chosen: &[&Named]) -> Vec<Option<String>> {
    let pods: BTreeSet<&str> = chosen.iter().map(|named| named.pod.as_str()).collect();
    let prefix = |named: &&Named| match (chosen.len(), pods.len()) {
        (1, _) => None,
        (_, 1) => Some(named.container.clone()),
        _ => Some(format!("{}/{}", named.pod, named.container)),
    };
    chosen.iter().map(prefix).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(workload: &str, pod: &str, container: &str) -> Named {
        Named {
            workload: workload.to_owned(),
            pod: pod.to_owned(),
            container: container.to_owned(),
        }
    }

    fn there() -> Vec<Named> {
        vec![
            named("db", "db-0a", "main"),
            named("web", "web-01", "app"),
            named("web", "web-01", "proxy"),
        ]
    }

    fn looked(answered: &[&str], silent: &[&str]) -> Looked {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Looked { answered: owned(answered), silent: owned(silent) }
    }

    #[test]
    fn containers_are_meant_by_workload_pod_and_name() {
        for (workload, container, meant) in [
            ("web", None, &[1, 2][..]),
            ("web-01", None, &[1, 2]),
            ("web", Some("proxy"), &[2]),
            ("db", Some("main"), &[0]),
        ] {
            let chosen = choose(&there(), workload, container, looked(&["podman at /s"], &[]));
            assert_eq!(chosen.unwrap(), meant, "{workload} {container:?}");
        }
    }

    #[test]
    fn who_asks_for_what_is_not_there_learns_what_is() {
        let told = |there: &[Named], workload: &str, container, looked| {
            choose(there, workload, container, looked).unwrap_err().to_string()
        };
        let way_out = "; `device-worker-ng status api` says why, `device-worker-ng logs api \
                       --previous` shows its last run that failed";
        let podman = looked(&["podman at /s", "the cluster"], &[]);
        assert_eq!(
            told(&there(), "api", None, podman),
            format!(
                "workload api has no pod on podman at /s or the cluster, but these have: db, \
                 web{way_out}"
            )
        );
        let half = looked(&["podman at /s"], &["the cluster is away"]);
        assert_eq!(
            told(&[], "api", None, half),
            format!(
                "workload api has no pod on podman at /s, nor has any other; the cluster is \
                 away{way_out}"
            )
        );
        assert_eq!(
            told(&[], "api\n", None, looked(&[], &["podman is away"])),
            "no runtime says whether it has workload api\\n: podman is away"
        );
        assert!(told(&[], "api", None, Looked::default()).contains("--config FILE"));
        assert_eq!(
            told(&there(), "web", Some("main"), looked(&["podman at /s"], &[])),
            "workload web has no container main, but these: app, proxy"
        );
    }

    #[test]
    fn lines_are_told_apart_where_there_are_several_logs() {
        let there = there();
        let all: Vec<_> = there.iter().collect();
        let prefixes = |chosen: &[&Named]| {
            prefixes(chosen).into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>()
        };
        assert_eq!(prefixes(&all[..1]), [""]);
        assert_eq!(prefixes(&all[1..]), ["app", "proxy"]);
        assert_eq!(prefixes(&all[..2]), ["db-0a/main", "web-01/app"]);
    }
}
