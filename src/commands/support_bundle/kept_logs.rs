//! What failed runs wrote last, as the agent has kept it.

use actors::podman_executor::{KeptRun, kept_runs};

use super::gathering::Tray;
use crate::runtime_dir;

const FOLDER: &str = "kept-logs";

/// Lays down every kept run.
pub(super) fn all(tray: &Tray) {
    let is_root = rustix::process::geteuid().is_root();
    let Some(folder) = runtime_dir::kept_logs_of_service(is_root) else {
        return tray.missing(FOLDER, "there is no XDG_RUNTIME_DIR, below which they are kept");
    };
    match kept_runs(&folder) {
        Ok(runs) if runs.is_empty() => {
            tray.text(format!("{FOLDER}/none.txt"), &format!("{} has none\n", folder.display()));
        }
        Ok(runs) => {
            for (index, run) in runs.iter().enumerate() {
                tray.text(name(index, run), &text(run));
            }
        }
        Err(error) => tray.missing(FOLDER, &format!("{}: {error}", folder.display())),
    }
}

/// Returns the name of a run's file; the newest run has the number 1. Names in a run may be anything,
/// and lead nowhere.
fn name(index: usize, run: &KeptRun) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let id: String = run.id.chars().map(|c| if is_plain(c) { c } else { '_' }).take(80).collect();
    format!("{FOLDER}/{:03}-{id}.txt", index + 1)
}

fn text(run: &KeptRun) -> String {
    let mut text = format!("workload {}, pod {}, kept at {}\n", run.workload, run.id, run.kept_at);
    for container in &run.containers {
        let end = match container.exit_code {
            Some(code) => format!("ended with exit code {code}"),
            None => "had not ended".to_owned(),
        };
        text += &format!("\ncontainer {} {end}:\n{}", container.name, container.log);
    }
    text
}

#[cfg(test)]
mod tests {
    use actors::podman_executor::KeptLog;
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_run_is_told_with_its_end_in_a_file_that_leads_nowhere() {
        let log = |name: &str, exit_code, log: &str| KeptLog {
            name: name.to_owned(),
            exit_code,
            log: log.to_owned(),
        };
        let run = KeptRun {
            workload: "web".to_owned(),
            id: "../web 01".to_owned(),
            kept_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            containers: vec![log("app", Some(3), "t last\n"), log("proxy", None, "")],
        };
        assert_eq!(name(0, &run), "kept-logs/001-___web_01.txt");
        assert_eq!(
            text(&run),
            "workload web, pod ../web 01, kept at 2027-01-15 08:00:00 UTC\n\ncontainer app ended \
             with exit code 3:\nt last\n\ncontainer proxy had not ended:\n"
        );
    }
}
