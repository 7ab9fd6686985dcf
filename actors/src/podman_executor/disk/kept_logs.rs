//! The ends of the logs of failed runs, kept in memory: where they are, how many, and how they are read.
//!
//! A run is one file. Its name begins with the time, so the order of names is that of runs.

use std::cmp::Reverse;
use std::fs;
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::private_file::{self, Kept};

/// Runs that are kept of one workload.
const RUNS: usize = 2;
/// What all runs of one podman may take, in bytes; there are two podmans.
const MAX_SIZE: u64 = 8 * 1024 * 1024;
/// Digits of the time in a name, in milliseconds: enough until the year 2286.
const DIGITS: usize = 13;
/// How a name ends.
const ENDING: &str = ".json";

/// A run that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRun {
    /// The workload's name.
    pub workload: String,
    /// The id of its specification, which is the pod's name.
    pub id: String,
    /// When it was kept: before the pod was removed.
    pub kept_at: DateTime<Utc>,
    /// Its containers.
    pub containers: Vec<KeptLog>,
}

/// The end of a container's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptLog {
    /// The name that the specification gives the container.
    pub name: String,
    /// The exit code, if it ended.
    pub exit_code: Option<i32>,
    /// Its last lines, each with its time before it.
    pub log: String,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    name: String,
    size: u64,
}

/// Writes `run`, after it has made room for it.
pub(super) fn keep(folder: &Path, run: &KeptRun) -> io::Result<()> {
    private_file::own_folder(folder)?;
    let bytes = serde_json::to_vec(run)?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let new = File { name: name_of(run), size };
    for surplus in surplus(&files(folder)?, &new) {
        fs::remove_file(folder.join(surplus))?;
    }
    if size > MAX_SIZE {
        let reason = format!("it is larger than {MAX_SIZE} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    let path = folder.join(new.name);
    private_file::write_new(&path, &bytes).inspect_err(|_| {
        // Half of one is of no use, and takes room.
        let _ = fs::remove_file(&path);
    })
}

/// Reads the runs that are kept below `folder`, in a folder for each podman; the newest first. Where there is
/// no such folder, none is kept.
///
/// # Errors
/// The folder cannot be read, or others may write there.
pub fn kept_runs(folder: &Path) -> io::Result<Vec<KeptRun>> {
    read_runs(folder, |_| true)
}

/// As [`kept_runs`], but reads those of one workload only.
///
/// # Errors
/// The folder cannot be read, or others may write there.
pub fn kept_runs_of(folder: &Path, workload: &str) -> io::Result<Vec<KeptRun>> {
    let mut runs = read_runs(folder, |name| workload_of(name) == Some(workload))?;
    runs.retain(|run| run.workload == workload);
    Ok(runs)
}

/// Reads the runs whose files are `meant` by their names.
fn read_runs(folder: &Path, meant: impl Fn(&str) -> bool) -> io::Result<Vec<KeptRun>> {
    let mut runs = Vec::new();
    let podmans = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(runs),
        podmans => podmans?,
    };
    for podman in podmans {
        let podman = podman?.path();
        for file in files(&podman)?.into_iter().filter(|file| meant(&file.name)) {
            match private_file::read(&podman.join(file.name), MAX_SIZE, Kept::ByAgent) {
                // Removed or being written just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                content => runs.extend(serde_json::from_slice::<KeptRun>(&content?.bytes).ok()),
            }
        }
    }
    runs.sort_by_key(|run| Reverse(run.kept_at));
    Ok(runs)
}

/// Lists the files of runs, the oldest first.
fn files(folder: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(ENDING) {
            files.push(File { name, size: entry.metadata()?.len() });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn name_of(run: &KeptRun) -> String {
    let at = run.kept_at.timestamp_millis().max(0);
    format!("{at:0DIGITS$}-{}{ENDING}", run.id)
}

/// Returns what begins the ids of all specifications of the workload that a file is of.
fn workload_of(name: &str) -> Option<&str> {
    let id = name.get(DIGITS..)?.strip_prefix('-')?.strip_suffix(ENDING)?;
    id.rsplit_once('-').map(|(workload, _hash)| workload)
}

/// Returns the names of those of `there`, the oldest first, that have to go for `new`.
fn surplus(there: &[File], new: &File) -> Vec<String> {
    let same = |file: &&File| workload_of(&file.name) == workload_of(&new.name);
    let of_workload = there.iter().filter(same).count();
    let mut gone: Vec<_> =
        there.iter().filter(same).take((of_workload + 1).saturating_sub(RUNS)).collect();
    let mut total = new.size;
    total += there.iter().filter(|file| !gone.contains(file)).map(|file| file.size).sum::<u64>();
    for file in there {
        if total > MAX_SIZE && !gone.contains(&file) {
            total -= file.size;
            gone.push(file);
        }
    }
    gone.into_iter().map(|file| file.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn run(id: &str, at: i64, log: &str) -> KeptRun {
        KeptRun {
            workload: id.rsplit_once('-').unwrap().0.to_owned(),
            id: id.to_owned(),
            kept_at: DateTime::from_timestamp_millis(at).unwrap(),
            containers: vec![KeptLog {
                name: "app".to_owned(),
                exit_code: Some(1),
                log: log.to_owned(),
            }],
        }
    }

    #[test]
    fn what_has_to_go_is_the_oldest_of_the_workload_then_of_all() {
        let file = |at: u64, id: &str, size: u64| File {
            name: format!("{at:0DIGITS$}-{id}{ENDING}"),
            size: size * 1024 * 1024,
        };
        let new = |size| file(9, "web-0c", size);
        for (there, new, gone) in [
            (vec![], new(1), vec![]),
            (vec![file(1, "web-0a", 1)], new(1), vec![]),
            (vec![file(1, "web-0a", 1), file(2, "web-0b", 1)], new(1), vec![1]),
            (
                vec![file(1, "db-0a", 1), file(2, "web-0a", 1), file(3, "web-0b", 1)],
                new(1),
                vec![2],
            ),
            (vec![file(1, "db-0a", 4), file(2, "api-0a", 4)], new(1), vec![1]),
            (vec![file(1, "db-0a", 4), file(2, "api-0a", 4)], new(8), vec![1, 2]),
            (vec![file(1, "web-a-0a", 1), file(2, "web-b-0b", 1)], new(1), vec![]),
            (vec![file(1, "web-0a", 4), file(2, "web-0b", 4), file(3, "db-0", 1)], new(3), vec![1]),
        ] {
            let expected: Vec<_> = there
                .iter()
                .filter(|file| {
                    gone.iter().any(|at| file.name.starts_with(&format!("{at:0DIGITS$}")))
                })
                .map(|file| file.name.clone())
                .collect();
            let mut told = surplus(&there, &new);
            told.sort();
            assert_eq!(told, expected, "{there:?}");
        }
    }

    #[test]
    fn a_thousand_runs_stay_within_their_bound_and_the_last_two_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let podman = folder.path().join("kept/podman_rootful");
        let log = "x".repeat(64 * 1024);
        for at in 0..1_000 {
            // Two hundred workloads that crash again and again.
            let id = format!("w{}-0123", at % 200);
            keep(&podman, &run(&id, at, &log)).unwrap();
            let sizes = files(&podman).unwrap();
            assert!(sizes.iter().map(|file| file.size).sum::<u64>() <= MAX_SIZE);
        }
        let runs = kept_runs(&folder.path().join("kept")).unwrap();
        assert!(runs.len() > 100, "there is room for {}", runs.len());
        assert_eq!(runs[0], run("w199-0123", 999, &log));
        assert_eq!(runs[1].id, "w198-0123");
        for id in ["web-0a", "web-0b", "web-0c"] {
            keep(&podman, &run(id, 5_000, id)).unwrap();
        }
        let runs = kept_runs(&folder.path().join("kept")).unwrap();
        let ids: Vec<_> = runs.iter().filter(|run| run.id.starts_with("web-")).collect();
        assert_eq!(ids.len(), RUNS);
        let of_web = kept_runs_of(&folder.path().join("kept"), "web").unwrap();
        assert_eq!(of_web.iter().collect::<Vec<_>>(), ids, "and no others");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let file = podman.join(&files(&podman).unwrap()[0].name);
        assert_eq!((mode(&podman), mode(&file)), (0o700, 0o600));
    }

    #[test]
    fn no_folder_and_a_garbled_file_hold_no_run() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept");
        assert_eq!(kept_runs(&kept).unwrap(), []);
        let podman = kept.join("podman_rootful");
        keep(&podman, &run("web-0a", 1, "last words\n")).unwrap();
        fs::write(podman.join("0000000000002-web-0a.json"), "{").unwrap();
        fs::write(podman.join("other"), "x").unwrap();
        assert_eq!(kept_runs(&kept).unwrap(), [run("web-0a", 1, "last words\n")]);
    }
}
