//! Tests of the walk, on folders of the user who runs them; with other owners where that is root.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use rustix::io::Errno;
use tempfile::TempDir;

use super::keeper::ACL;
use super::*;

/// A user that is neither root nor who runs the tests.
const OTHER: u32 = 4321;

/// A folder in which each test makes its paths.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn folder(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns the part of the path that the walk stops at.
fn stopped_at(path: &Path, end: End) -> Option<PathBuf> {
    walk(path, end).err().map(|fault| fault.place().to_owned())
}

#[test]
fn a_path_of_ones_own_is_walked_to_its_end() {
    let place = Place::new();
    place.folder("a/b", 0o755);
    let file = place.file("a/b/c", 0o600);
    let walked = walk(&file, End::Closed).unwrap();
    assert_eq!(walked, Walked { is_whole: true, is_readable_by_others: false });
    let walked = walk(&place.path("a/absent/c"), End::Closed).unwrap();
    assert!(!walked.is_whole);
    assert!(walk(Path::new("/"), End::Closed).is_ok());
}

#[test]
fn a_folder_that_everybody_may_write_to_stops_the_walk_wherever_it_is() {
    for mode in [0o777, 0o757, 0o702, 0o2777] {
        let place = Place::new();
        let open = place.folder("open", mode);
        fs::create_dir_all(place.path("open/a/b")).unwrap();
        for path in ["open", "open/a/b", "open/absent"] {
            for end in [End::Closed, End::Shared] {
                let stopped = stopped_at(&place.path(path), end);
                assert_eq!(stopped.as_ref(), Some(&open), "{mode:o} {path} {end:?}");
            }
        }
    }
}

#[test]
fn in_a_sticky_folder_what_is_ones_own_cannot_be_replaced() {
    let place = Place::new();
    let shared = place.folder("shared", 0o1777);
    let own = place.folder("shared/own", 0o700);
    assert_eq!(stopped_at(&own, End::Closed), None);
    assert_eq!(stopped_at(&place.path("shared/absent"), End::Closed), None);
    // Others can add to it, though.
    assert_eq!(stopped_at(&shared, End::Shared), None);
    assert_eq!(stopped_at(&shared, End::Closed), Some(shared.clone()));
    if is_root() {
        let theirs = place.folder("shared/theirs", 0o700);
        chown(&theirs, Some(OTHER), None).unwrap();
        assert_eq!(stopped_at(&theirs.join("state"), End::Closed), Some(theirs));
        // Who owns a folder is not held by its sticky bit.
        chown(&shared, Some(OTHER), None).unwrap();
        assert_eq!(stopped_at(&own, End::Closed), Some(shared));
    }
}

#[test]
fn a_part_of_another_user_stops_the_walk_whatever_its_mode() {
    // Whose parts they are is a matter of who asks.
    let place = Place::new();
    let own = place.folder("own", 0o700);
    let fault = walk_for(Keeper(OTHER), &own.join("state"), End::Closed);
    if !is_root() {
        assert!(matches!(fault.unwrap_err(), PathFault::Owner { .. }));
        return;
    }
    assert!(fault.is_ok(), "every user has what is root's");
    chown(&own, Some(OTHER), None).unwrap();
    let fault = walk(&own.join("state"), End::Closed).unwrap_err();
    let expected = format!("{} belongs to user 4321 (mode 700), who can change", own.display());
    assert!(fault.to_string().starts_with(&expected), "{fault}");
    assert!(walk_for(Keeper(OTHER), &own.join("state"), End::Closed).is_ok());
    assert!(walk_for(Keeper(OTHER + 1), &own.join("state"), End::Closed).is_err());
    // A file, too: its owner writes what is believed.
    let file = place.file("file", 0o600);
    chown(&file, Some(OTHER), None).unwrap();
    assert_eq!(stopped_at(&file, End::Closed), Some(file));
}

#[test]
fn a_link_is_followed_only_where_nobody_else_can_have_made_it() {
    let place = Place::new();
    place.folder("real/deep", 0o755);
    symlink("real", place.path("relative")).unwrap();
    symlink(place.path("real"), place.path("absolute")).unwrap();
    symlink("../relative/deep/..", place.path("real/back")).unwrap();
    symlink(".", place.path("self")).unwrap();
    symlink("loop", place.path("loop")).unwrap();
    symlink("absent", place.path("dangling")).unwrap();
    for (name, is_whole) in [
        ("relative/deep", true),
        ("absolute/deep", true),
        ("real/back/deep", true),
        ("self/self", true),
        ("self", true),
        ("dangling", false),
        ("real/../relative/deep", true),
    ] {
        assert_eq!(walk(&place.path(name), End::Closed).unwrap().is_whole, is_whole, "{name}");
    }
    let fault = walk(&place.path("loop"), End::Closed).unwrap_err();
    assert!(matches!(fault, PathFault::Unknown { .. }), "{fault}");
    // What it leads to counts as much as the link.
    let open = place.folder("open", 0o777);
    fs::create_dir(place.path("open/state")).unwrap();
    symlink("open/state", place.path("into")).unwrap();
    assert_eq!(stopped_at(&place.path("into"), End::Closed), Some(open));
    if is_root() {
        let theirs = place.path("theirs");
        symlink("real", &theirs).unwrap();
        std::os::unix::fs::lchown(&theirs, Some(OTHER), None).unwrap();
        assert_eq!(stopped_at(&theirs.join("deep"), End::Closed), Some(theirs));
    }
}

#[test]
fn a_group_without_other_members_counts_as_its_owner() {
    let place = Place::new();
    let path = place.folder("shared", 0o775);
    if !is_root() {
        return;
    }
    // Root's own group, as far as this system's files say so.
    let alone = group::members(0).is_some_and(|users| users.into_iter().all(|user| user == 0));
    assert_eq!(stopped_at(&path.join("state"), End::Closed).is_none(), alone);
    chown(&path, None, Some(OTHER)).unwrap();
    let fault = walk(&path.join("state"), End::Closed).unwrap_err();
    assert!(fault.to_string().ends_with("can be written by group 4321 (mode 775)"), "{fault}");
}

#[test]
fn an_access_control_list_counts_as_another_user() {
    let place = Place::new();
    let path = place.folder("listed", 0o700);
    // user::rwx user:4321:rwx group::--- mask::rwx other::---, in the kernel's words.
    let entries: [(u16, u16, u32); 5] =
        [(1, 7, u32::MAX), (2, 7, OTHER), (4, 0, u32::MAX), (16, 7, u32::MAX), (32, 0, u32::MAX)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let set = rustix::fs::setxattr(&path, ACL, &list, rustix::fs::XattrFlags::empty());
    match set {
        // A file system without them has none to watch for.
        Err(Errno::OPNOTSUPP) => {}
        set => {
            set.unwrap();
            assert_eq!(stopped_at(&path.join("state"), End::Closed), Some(path));
        }
    }
}

#[test]
fn others_read_what_is_open_to_them_all_the_way() {
    for (folder, file, expected) in [
        (0o755, 0o644, true),
        (0o755, 0o604, true),
        (0o711, 0o644, true),
        (0o700, 0o644, false),
        (0o755, 0o600, false),
    ] {
        let place = Place::new();
        fs::set_permissions(place.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
        place.folder("folder", 0o755);
        let path = place.file("folder/file", file);
        place.folder("folder", folder);
        let walked = walk(&path, End::Closed).unwrap();
        assert_eq!(walked.is_readable_by_others, expected, "{folder:o} {file:o}");
    }
}

#[test]
fn what_cannot_be_entered_is_named() {
    let place = Place::new();
    let file = place.file("file", 0o600);
    let fault = walk(&file.join("state"), End::Closed).unwrap_err();
    assert!(fault.to_string().contains("file/state cannot be looked at: "), "{fault}");
}
