//! Trees that containers make, and those who go on while they are removed.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use rustix::fs::{mkdirat, open};

use super::*;

/// A folder in memory, where there is one: disks take their time for each folder.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Removes `name` in `folder` on a thread whose stack is too small for recursion.
fn remove(folder: &Path, name: &str) -> Result<(), String> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open(folder, flags, Mode::empty()).unwrap();
    let name = name.to_owned();
    let remover = thread::Builder::new().stack_size(128 * 1024);
    let removed = remover.spawn(move || remove_tree(folder.as_fd(), &name, &AtomicU64::new(0)));
    removed.unwrap().join().unwrap().map_err(|stays| stays.to_string())
}

/// Makes folders in each other, `depth` of them, each with a file beside the next.
fn nest(folder: &Path, depth: usize) {
    fs::create_dir_all(folder).unwrap();
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = open(folder, flags, Mode::empty()).unwrap();
    for n in 0..depth {
        mkdirat(&at, "d", Mode::RWXU).unwrap();
        if n % 1000 == 0 {
            openat(&at, "file", OFlags::CREATE | OFlags::CLOEXEC, Mode::RUSR).unwrap();
        }
        at = openat(&at, "d", flags, Mode::empty()).unwrap();
    }
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn folders_nested_100000_deep_are_removed_with_few_of_them_open() {
    let dir = folder();
    nest(&dir.path().join("tree"), 100_000);
    let before = open_files();
    let is_done = AtomicBool::new(false);
    let most = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !is_done.load(Ordering::Relaxed) {
                most = most.max(open_files());
                thread::park_timeout(Duration::from_millis(1));
            }
            most
        });
        let removed = remove(dir.path(), "tree");
        is_done.store(true, Ordering::Relaxed);
        assert_eq!(removed, Ok(()));
        watch.join().unwrap()
    });
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(most < before + 2 * MAX_LEVELS, "{most} files were open, {before} before");
}

#[test]
fn a_tree_that_is_wide_at_every_depth_is_removed() {
    let dir = folder();
    let tree = dir.path().join("tree");
    let mut folder = tree.clone();
    for n in 0..100 {
        folder.push(format!("level-{n}"));
        for name in ["a", "b/c", "d/e/f"] {
            fs::create_dir_all(folder.join(name)).unwrap();
            File::create(folder.join(name).join("file")).unwrap();
        }
    }
    for n in 0..5_000 {
        File::create(tree.join(format!("file-{n}"))).unwrap();
    }
    assert_eq!(remove(dir.path(), "tree"), Ok(()));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn links_files_pipes_and_what_is_absent_are_removed_and_nothing_behind_them() {
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir_all(path("other/kept")).unwrap();
    fs::create_dir_all(path("tree/shut")).unwrap();
    for link in ["link", "tree/link", "tree/shut/link"] {
        symlink(path("other"), path(link)).unwrap();
    }
    symlink("..", path("tree/up")).unwrap();
    File::create(path("file")).unwrap();
    rustix::fs::mkfifoat(CWD, path("tree/pipe"), Mode::RWXU).unwrap();
    fs::set_permissions(path("tree/shut"), fs::Permissions::from_mode(0o000)).unwrap();
    for name in ["link", "tree", "file", "absent"] {
        assert_eq!(remove(dir.path(), name), Ok(()), "{name}");
    }
    let left = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["other"]);
    assert!(path("other/kept").is_dir());
}

#[test]
fn what_is_mounted_within_stays_is_reported_and_goes_later() {
    if !geteuid().is_root() {
        return;
    }
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    let run = |command: &str, words: &[&str]| {
        let status = Command::new(command).args(words).current_dir(dir.path()).status();
        assert!(status.unwrap().success(), "{command} {words:?}");
    };
    fs::create_dir(path("other")).unwrap();
    for words in
        [&["-t", "tmpfs", "tmpfs", "tree/a/mount"][..], &["--bind", "other", "tree/a/mount"]]
    {
        fs::create_dir_all(path("tree/a/mount")).unwrap();
        File::create(path("tree/a/file")).unwrap();
        run("mount", words);
        File::create(path("tree/a/mount/kept")).unwrap();
        let removed = remove(dir.path(), "tree");
        let is_kept = path("tree/a/mount/kept").exists();
        let is_gone = !path("tree/a/file").exists();
        run("umount", &["tree/a/mount"]);
        assert_eq!(removed, Err("a/mount: another file system is mounted there".to_owned()));
        assert!(is_kept && is_gone, "{words:?}");
        assert_eq!(remove(dir.path(), "tree"), Ok(()));
    }
    assert!(path("other/kept").exists());
}

#[test]
fn the_name_of_what_stays_is_reported_without_control_characters() {
    let mut stays = None;
    if geteuid().is_root() {
        let dir = folder();
        let inner = dir.path().join("tree").join("\u{1b}[31m\u{202e}\n".repeat(20)).join("m");
        fs::create_dir_all(&inner).unwrap();
        assert!(
            Command::new("mount")
                .args(["-t", "tmpfs", "tmpfs"])
                .arg(&inner)
                .status()
                .unwrap()
                .success()
        );
        stays = remove(dir.path(), "tree").err();
        assert!(Command::new("umount").arg(&inner).status().unwrap().success());
    }
    let message = stays.unwrap_or_default();
    assert!(!message.contains(['\u{1b}', '\u{202e}', '\n']), "{message:?}");
    assert!(message.chars().count() < 2 * MAX_TOLD, "{message}");
}

/// Moves folders of a tree out and in again and puts links in their place, as one may who owns it.
fn meddle(tree: &Path, outside: &Path, victim: &Path, is_done: &AtomicBool) {
    let mut n = 0_u64;
    while !is_done.load(Ordering::Relaxed) {
        n += 1;
        let name = format!("{}/{}", n % 3, n % 5);
        let (inner, away) = (tree.join(name), outside.join("away"));
        // Each may fail: there is another one at work.
        let _ = fs::rename(&inner, &away);
        let _ = symlink(victim, &inner);
        let _ = fs::remove_file(&inner);
        let _ = symlink("../../..", &inner);
        let _ = fs::rename(&away, tree.join("0"));
        let _ = fs::rename(&away, &inner);
        let _ = fs::create_dir_all(tree.join(format!("0/1/2/new-{}", n % 7)));
    }
}

#[test]
fn moving_folders_meanwhile_gets_nothing_else_removed() {
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    for name in ["victim/a/b", "beside/c", "root/home"] {
        fs::create_dir_all(path(name)).unwrap();
        File::create(path(name).join("kept")).unwrap();
    }
    fs::create_dir(path("outside")).unwrap();
    for _ in 0..30 {
        for (a, b) in (0..3).flat_map(|a| (0..5).map(move |b| (a, b))) {
            let folder = path(&format!("root/tree/{a}/{b}"));
            nest(&folder, 50);
        }
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            let (tree, outside, victim) = (path("root/tree"), path("outside"), path("victim"));
            let is_done = &is_done;
            scope.spawn(move || meddle(&tree, &outside, &victim, is_done));
            // Whether all of it goes is up to the other one.
            let _ = remove(&path("root"), "tree");
            is_done.store(true, Ordering::Relaxed);
        });
        for kept in ["victim/a/b/kept", "beside/c/kept", "root/home/kept"] {
            assert!(path(kept).exists(), "{kept}");
        }
        assert_eq!(remove(&path("root"), "tree"), Ok(()), "left alone it goes");
        assert_eq!(remove(&path("outside"), "away"), Ok(()));
    }
}
