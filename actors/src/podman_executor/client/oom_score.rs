//! Which processes the kernel ends first when memory is short: those of pods, not the agent.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// The score of a pod's processes. The kernel begins with 0; the highest is 1000.
const SCORE: &str = "100";
/// The score of a process to which nobody gave another one.
const UNSET: &str = "0";

/// Raises the score of process `pid`, as `proc` numbers it, and of those that it started already;
/// later ones inherit it. A score that somebody set stays.
///
/// # Errors
/// The process is gone, or somebody else's.
pub(super) fn raise(proc: &Path, pid: i64) -> io::Result<()> {
    let score = proc.join(pid.to_string()).join("oom_score_adj");
    if fs::read_to_string(&score)?.trim() == UNSET {
        OpenOptions::new().write(true).open(&score)?.write_all(SCORE.as_bytes())?;
    }
    for child in children(proc, pid) {
        // One that has ended meanwhile is no error.
        let _ = raise(proc, child);
    }
    Ok(())
}

fn children(proc: &Path, pid: i64) -> Vec<i64> {
    let threads = fs::read_dir(proc.join(pid.to_string()).join("task")).into_iter().flatten();
    let lists = threads.flatten().map(|thread| fs::read_to_string(thread.path().join("children")));
    let words = |list: String| list.split(' ').map(str::to_owned).collect::<Vec<_>>();
    lists.flatten().flat_map(words).filter_map(|pid| pid.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(proc: &Path, pid: i64, score: &str, children: &[(i64, &str)]) {
        let folder = proc.join(pid.to_string());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("oom_score_adj"), format!("{score}\n")).unwrap();
        for (thread, children) in children {
            let thread = folder.join("task").join(thread.to_string());
            fs::create_dir_all(&thread).unwrap();
            fs::write(thread.join("children"), children).unwrap();
        }
    }

    #[test]
    fn a_pods_processes_are_ended_first_unless_somebody_scored_them() {
        let proc = tempfile::tempdir().unwrap();
        let proc = proc.path();
        process(proc, 7, "0", &[(7, "8 9 "), (70, "10 404 ")]);
        process(proc, 8, "0", &[(8, "11 ")]);
        process(proc, 9, "-998", &[(9, "12 ")]);
        process(proc, 10, "300", &[]);
        process(proc, 11, "0", &[]);
        process(proc, 12, "0", &[]);
        process(proc, 13, "0", &[]);
        raise(proc, 7).unwrap();
        let score = |pid: i64| {
            let file = proc.join(pid.to_string()).join("oom_score_adj");
            fs::read_to_string(file).unwrap().split_whitespace().next().unwrap().to_owned()
        };
        let scores = [7, 8, 9, 10, 11, 12, 13].map(score);
        assert_eq!(scores, ["100", "100", "-998", "300", "100", "100", "0"]);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        let proc = tempfile::tempdir().unwrap();
        assert_eq!(raise(proc.path(), 7).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
