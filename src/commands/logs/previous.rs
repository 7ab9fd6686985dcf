//! The last run that failed: as the agent has kept it, or as the cluster has.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::Path;

use actors::clock::Clock;
use actors::podman_executor::{KeptRun, kept_runs};
use grammar::printable;

use super::choice::{Looked, Named, choose, is_of, prefixes};
use super::lines::{Cut, of_kept};
use super::places::Found;
use super::{Failure, Question, write};
use crate::config::Access;
use crate::runtime_dir;

/// Shows the run that the agent has kept last, else what the cluster has of the containers before.
pub(super) async fn show(question: &Question, access: &Access) -> Result<(), Failure> {
    let workload = question.workload.as_str();
    let folder = runtime_dir::kept_logs_of_service(access.is_root);
    let runs = folder.as_deref().map_or(Ok(Vec::new()), kept_runs);
    let kept = runs.as_deref().unwrap_or_default();
    if let Some(run) = kept.iter().find(|run| run.workload == workload || run.id == workload) {
        return write_kept(question, run);
    }
    let on_cluster = Found::on_cluster(access).await;
    if on_cluster.places.iter().any(|place| is_of(&place.named, workload)) {
        return super::show(question, on_cluster).await;
    }
    Err(Failure::NotKept(not_kept(workload, folder.as_deref(), &runs)))
}

fn write_kept(question: &Question, run: &KeptRun) -> Result<(), Failure> {
    let named: Vec<Named> = run
        .containers
        .iter()
        .map(|log| Named {
            workload: run.workload.clone(),
            pod: run.id.clone(),
            container: log.name.clone(),
        })
        .collect();
    let container = question.container.as_deref();
    let looked = Looked { answered: vec!["what is kept".to_owned()], silent: Vec::new() };
    let chosen = match named.is_empty() {
        true => Vec::new(),
        false => choose(&named, &question.workload, container, looked).map_err(Failure::NoLog)?,
    };
    let meant: Vec<&Named> = chosen.iter().filter_map(|at| named.get(*at)).collect();
    let _ = io::stderr().write_all(headline(run).as_bytes());
    let query = question.query(Clock::system().now().wall);
    let cut = Cut { since: query.since, tail: query.tail, timestamps: query.timestamps };
    let logs = chosen.iter().filter_map(|at| run.containers.get(*at));
    for (log, prefix) in logs.zip(prefixes(&meant)) {
        for line in of_kept(&log.log, cut) {
            write(line.as_bytes(), prefix.as_deref())?;
        }
    }
    Ok(())
}

/// Says which run it is, and how it ended.
fn headline(run: &KeptRun) -> String {
    let ends = run.containers.iter().filter_map(|log| {
        Some(format!("{} ended with exit code {}", printable(&log.name), log.exit_code?))
    });
    let ends: Vec<_> = ends.collect();
    let at = run.kept_at.format("%Y-%m-%dT%H:%M:%SZ");
    format!("run of {} until {at}: {}\n", printable(&run.id), ends.join(", "))
}

/// Says why there is nothing to show, and of which workloads there is.
fn not_kept(workload: &str, folder: Option<&Path>, runs: &io::Result<Vec<KeptRun>>) -> String {
    let workload = printable(workload);
    let Some(folder) = folder else {
        return format!(
            "no failed run of {workload} is kept: there is no XDG_RUNTIME_DIR, below which a \
             user's agent keeps them"
        );
    };
    let folder = folder.display();
    match runs {
        Err(error) => format!(
            "failed to read what is kept of failed runs in {folder}: {error}; it is the agent's: \
             run this as its user"
        ),
        Ok(runs) => {
            let known: BTreeSet<_> = runs.iter().map(|run| printable(&run.workload)).collect();
            let known: Vec<_> = known.into_iter().collect();
            let others = match known.as_slice() {
                [] => "nor of any other workload".to_owned(),
                known => format!("but of these: {}", known.join(", ")),
            };
            format!(
                "no failed run of {workload} is kept in {folder}, {others}; a run is kept when its \
                 pod is removed, by an agent that systemd has given a RUNTIME_DIRECTORY"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use actors::podman_executor::KeptLog;
    use chrono::DateTime;

    use super::*;

    fn run() -> KeptRun {
        let log = |name: &str, exit_code| KeptLog {
            name: name.to_owned(),
            exit_code,
            log: String::new(),
        };
        KeptRun {
            workload: "web".to_owned(),
            id: "web-01".to_owned(),
            kept_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            containers: vec![log("app", Some(137)), log("proxy", None), log("job", Some(0))],
        }
    }

    #[test]
    fn a_kept_run_is_introduced_by_its_end() {
        assert_eq!(
            headline(&run()),
            "run of web-01 until 2027-01-15T08:00:00Z: app ended with exit code 137, job ended with \
             exit code 0\n"
        );
    }

    #[test]
    fn who_asks_for_a_run_that_is_not_kept_learns_why() {
        let folder = Some(Path::new("/run/agent/kept-logs"));
        let closed = Err(io::Error::from(io::ErrorKind::PermissionDenied));
        for (folder, runs, words) in [
            (None, Ok(vec![]), "there is no XDG_RUNTIME_DIR"),
            (folder, Ok(vec![]), "in /run/agent/kept-logs, nor of any other workload"),
            (folder, Ok(vec![run(), run()]), "in /run/agent/kept-logs, but of these: web; a run"),
            (folder, closed, "permission denied; it is the agent's: run this as its user"),
        ] {
            let told = not_kept("api", folder, &runs);
            assert!(told.contains(words), "{told}");
        }
    }
}
