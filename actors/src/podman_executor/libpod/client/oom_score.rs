//! Which processes the kernel ends first when memory is short: those of pods, not the agent.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{Dir, OFlags};

use super::procfs::Procfs;

/// The score of a pod's processes. The kernel begins with 0; the highest is 1000.
const SCORE: &[u8] = b"100";
/// The default score of a process.
const UNSET: &str = "0";
/// Longer than any score.
const MAX_SCORE: u64 = 16;
/// Processes of one container that are looked at. Those that they start later inherit the score.
const MAX_PROCESSES: usize = 1024;
/// Threads of one process whose children are looked for.
const MAX_THREADS: usize = 256;
/// Bytes of one list of children: thousands of numbers.
const MAX_LIST: u64 = 64 * 1024;

/// Raises the score of process `pid` and of those that it started already; later ones inherit it. A score
/// that was set on purpose stays.
///
/// # Errors
/// The process is gone, or another user's.
pub(super) fn raise(procfs: &Procfs, pid: i64) -> io::Result<()> {
    raise_one(procfs, pid)?;
    let mut seen = BTreeSet::from([pid]);
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for child in children(procfs, parent) {
            if seen.len() == MAX_PROCESSES {
                return Ok(());
            }
            if seen.insert(child) {
                // One that has ended meanwhile is no error.
                let _ = raise_one(procfs, child);
                parents.push(child);
            }
        }
    }
    Ok(())
}

fn raise_one(procfs: &Procfs, pid: i64) -> io::Result<()> {
    // Read and written through one descriptor: what was judged is what is changed.
    let file = procfs.file(&format!("{pid}/oom_score_adj"), OFlags::RDWR)?;
    let mut score = String::new();
    (&file).take(MAX_SCORE).read_to_string(&mut score)?;
    match score.trim() == UNSET {
        true => file.write_all_at(SCORE, 0),
        false => Ok(()),
    }
}

fn children(procfs: &Procfs, pid: i64) -> Vec<i64> {
    let threads = procfs.folder(&format!("{pid}/task")).ok().and_then(|it| Dir::read_from(it).ok());
    let threads = threads.into_iter().flatten().flatten().take(MAX_THREADS);
    let mut children = Vec::new();
    for thread in threads {
        let Some(thread) = thread.file_name().to_str().ok().filter(|name| *name != "..") else {
            continue;
        };
        let path = format!("{pid}/task/{thread}/children");
        let Ok(file) = procfs.file(&path, OFlags::RDONLY) else { continue };
        let mut list = String::new();
        // What was read of a list that is cut, or changes, is right.
        let _ = file.take(MAX_LIST).read_to_string(&mut list);
        children.extend(list.split_whitespace().filter_map(|pid| pid.parse::<i64>().ok()));
    }
    children
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

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

    fn score(proc: &Path, pid: i64) -> String {
        let file = proc.join(pid.to_string()).join("oom_score_adj");
        fs::read_to_string(file).unwrap().split_whitespace().next().unwrap().to_owned()
    }

    #[test]
    fn a_pods_processes_are_killed_first_unless_they_have_a_score_of_their_own() {
        let proc = tempfile::tempdir().unwrap();
        let proc = proc.path();
        process(proc, 7, "0", &[(7, "8 9 "), (70, "10 404 ")]);
        process(proc, 8, "0", &[(8, "11 ")]);
        process(proc, 9, "-998", &[(9, "12 ")]);
        process(proc, 10, "300", &[]);
        process(proc, 11, "0", &[]);
        process(proc, 12, "0", &[]);
        process(proc, 13, "0", &[]);
        raise(&Procfs::planted(proc), 7).unwrap();
        let scores = [7, 8, 9, 10, 11, 12, 13].map(|pid| score(proc, pid));
        assert_eq!(scores, ["100", "100", "-998", "300", "100", "100", "0"]);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        let proc = tempfile::tempdir().unwrap();
        let gone = raise(&Procfs::planted(proc.path()), 7).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn processes_that_start_each_other_for_ever_come_to_an_end() {
        let proc = tempfile::tempdir().unwrap();
        let proc = proc.path();
        process(proc, 7, "0", &[(7, "7 8 ")]);
        process(proc, 8, "0", &[(8, "7 8 ")]);
        // More than are looked at, each with a child.
        for pid in 9..9 + i64::try_from(MAX_PROCESSES).unwrap() {
            process(proc, pid, "0", &[(pid, &(pid + 1).to_string())]);
        }
        fs::write(proc.join("8/task/8/children"), "7 8 9").unwrap();
        raise(&Procfs::planted(proc), 7).unwrap();
        let last = 6 + i64::try_from(MAX_PROCESSES).unwrap();
        let scores = [7, 8, 9, last, last + 1].map(|pid| score(proc, pid));
        assert_eq!(scores, ["100", "100", "100", "100", "0"]);
    }

    #[test]
    fn what_is_no_plain_file_is_neither_read_nor_written() {
        let proc = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::write(&outside, "0\n").unwrap();
        let (proc, outside) = (proc.path(), outside.path());
        for pid in 7..12 {
            fs::create_dir(proc.join(pid.to_string())).unwrap();
        }
        let at = |pid: i64| proc.join(pid.to_string()).join("oom_score_adj");
        symlink(outside, at(7)).unwrap();
        symlink("/dev/zero", at(8)).unwrap();
        let made = std::process::Command::new("mkfifo").arg(at(9)).status().unwrap();
        assert!(made.success());
        fs::create_dir(at(10)).unwrap();
        fs::write(at(11), "0".repeat(100)).unwrap();
        symlink(proc.join("11"), proc.join("12")).unwrap();
        for pid in [7, 8, 9, 10, 12] {
            assert!(raise(&Procfs::planted(proc), pid).is_err(), "{pid}");
        }
        raise(&Procfs::planted(proc), 11).unwrap();
        assert_eq!(fs::read_to_string(outside).unwrap(), "0\n");
        assert_eq!(fs::read_to_string(at(11)).unwrap(), "0".repeat(100));
    }
}
