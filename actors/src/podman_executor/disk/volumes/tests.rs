//! Folders of volumes on a real disk: their modes and owners, what stays and what goes.

use std::os::unix::fs::symlink;

use super::*;
use crate::pod_manifest::volumes::VolumeFile;
use crate::workload::Confidential;

fn folder(root: &Path, id: &WorkloadId) -> VolumeFolder {
    VolumeFolder {
        path: root.join(id.as_str()).join("settings"),
        mode: 0o755,
        group: None,
        files: vec![VolumeFile {
            path: "deep/er/key".into(),
            mode: 0o640,
            content: Confidential::new(b"value".to_vec()),
        }],
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn owner_and_mode(path: &Path) -> (u32, u32) {
    (fs::symlink_metadata(path).unwrap().uid(), mode(path))
}

#[test]
fn files_stand_with_their_modes_behind_a_private_root() {
    let dir = tempfile::tempdir().unwrap();
    let (root, id) = (dir.path().join("volumes"), WorkloadId::from("web-1"));
    write(&root, &id, &[folder(&root, &id)], None).unwrap();
    let file = root.join("web-1/settings/deep/er/key");
    assert_eq!(fs::read(&file).unwrap(), b"value");
    assert_eq!(mode(&file), 0o640);
    assert_eq!(mode(&root), 0o700);
    assert_eq!(mode(&root.join("web-1/settings/deep")), 0o755);
}

fn scratch(root: &Path, id: &WorkloadId) -> VolumeFolder {
    let path = root.join(SCRATCH).join(id.as_str()).join("data");
    VolumeFolder { path, mode: 0o777, group: None, files: Vec::new() }
}

#[test]
fn what_containers_wrote_outlives_their_pod_and_goes_with_the_specification() {
    let dir = tempfile::tempdir().unwrap();
    let (root, id) = (dir.path().join("volumes"), WorkloadId::from("web-1"));
    let data = root.join(".scratch/web-1/data");
    let key = root.join("web-1/settings/deep/er/key");
    for run in 0..3 {
        set_aside(&root, &id).unwrap();
        assert!(!key.exists(), "no secret outlives its pod");
        write(&root, &id, &[folder(&root, &id), scratch(&root, &id)], None).unwrap();
        assert_eq!(fs::read(&key).unwrap(), b"value");
        assert_eq!(mode(&data), 0o777);
        assert_eq!(fs::read_dir(&data).unwrap().count(), run, "as the last run left it");
        fs::write(data.join(run.to_string()), "written by a container").unwrap();
    }
    let mut aside = Vec::new();
    sweep(&root, &[id.to_string()].into(), &mut aside).unwrap();
    assert!(data.join("2").exists() && aside.len() == 2, "{aside:?}");
    sweep(&root, &BTreeSet::new(), &mut aside).unwrap();
    assert!(!data.exists() && !key.exists());
    for name in &aside {
        remove_aside(&root, name, &AtomicU64::new(0)).unwrap();
    }
    let left: Vec<_> = fs::read_dir(&root).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn folders_that_were_not_written_to_their_end_are_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (root, id) = (dir.path().join("volumes"), WorkloadId::from("web-1"));
    fs::create_dir_all(root.join(".scratch/.new-web-1/other")).unwrap();
    write(&root, &id, &[scratch(&root, &id)], None).unwrap();
    let inside = fs::read_dir(root.join(".scratch/web-1")).unwrap();
    let inside: Vec<_> = inside.map(|it| it.unwrap().file_name()).collect();
    assert_eq!(inside, ["data"]);
    fs::create_dir(root.join(".scratch/.new-web-1")).unwrap();
    let mut aside = Vec::new();
    sweep(&root, &[id.to_string()].into(), &mut aside).unwrap();
    assert_eq!(aside, [".left-0-web-1"], "what was not finished goes");
}

#[test]
fn another_owner_keeps_what_he_wrote_and_cannot_write_beside_it() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (root, id) = (dir.path().join("volumes"), WorkloadId::from("web-1"));
    for _ in 0..2 {
        set_aside(&root, &id).unwrap();
        write(&root, &id, &[scratch(&root, &id)], Some((1234, 1235))).unwrap();
        for (path, owner, expected) in [
            (".scratch", 0, 0o711),
            (".scratch/web-1", 1234, 0o700),
            (".scratch/web-1/data", 1234, 0o777),
        ] {
            assert_eq!(owner_and_mode(&root.join(path)), (owner, expected), "{path}");
        }
    }
}

#[test]
fn a_link_in_the_place_of_the_folders_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (root, id) = (dir.path().join("volumes"), WorkloadId::from("web-1"));
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir_all(&root).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, root.join(SCRATCH)).unwrap();
    assert!(write(&root, &id, &[scratch(&root, &id)], None).is_err());
    assert!(sweep(&root, &BTreeSet::new(), &mut Vec::new()).is_err());
    fs::remove_file(root.join(SCRATCH)).unwrap();
    fs::create_dir(root.join(SCRATCH)).unwrap();
    symlink(&elsewhere, root.join(".scratch/web-1")).unwrap();
    assert!(write(&root, &id, &[scratch(&root, &id)], None).is_err());
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn another_owner_gets_his_own_volumes_and_cannot_write_beside_them() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (root, id) = (dir.path().join("rootless/volumes"), WorkloadId::from("web-1"));
    for _ in 0..2 {
        set_aside(&root, &id).unwrap();
        write(&root, &id, &[folder(&root, &id)], Some((1234, 1235))).unwrap();
        for (path, owner, expected) in [
            ("rootless", 0, 0o711),
            ("rootless/volumes", 0, 0o711),
            ("rootless/volumes/web-1", 1234, 0o700),
            ("rootless/volumes/web-1/settings", 1234, 0o755),
            ("rootless/volumes/web-1/settings/deep/er/key", 1234, 0o640),
        ] {
            assert_eq!(owner_and_mode(&dir.path().join(path)), (owner, expected), "{path}");
        }
    }
}

#[test]
fn a_root_that_is_a_link_or_anothers_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let (root, id) = (dir.path().join("volumes"), WorkloadId::from("web-1"));
    let other = dir.path().join("other");
    fs::create_dir_all(other.join("web-1")).unwrap();
    fs::create_dir(other.join(".left-0-web-1")).unwrap();
    let before = mode(&other);
    symlink(&other, &root).unwrap();
    let is_refused = || {
        write(&root, &id, &[folder(&root, &id)], None).is_err()
            && set_aside(&root, &id).is_err()
            && sweep(&root, &BTreeSet::new(), &mut Vec::new()).is_err()
            && remove_aside(&root, ".left-0-web-1", &AtomicU64::new(0)).is_err()
    };
    assert!(is_refused());
    if rustix::process::geteuid().is_root() {
        fs::remove_file(&root).unwrap();
        fs::rename(&other, &root).unwrap();
        std::os::unix::fs::chown(&root, Some(1234), None).unwrap();
        assert!(is_refused());
        fs::rename(&root, &other).unwrap();
    }
    assert_eq!(mode(&other), before);
    assert!(other.join("web-1").exists() && other.join(".left-0-web-1").exists());
}

#[test]
fn what_was_set_aside_is_out_of_the_way_and_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (root, id) = (dir.path(), WorkloadId::from("web-1"));
    assert_eq!(set_aside(root, &id).unwrap(), None);
    for n in 0..3 {
        write(root, &id, &[folder(root, &id)], None).unwrap();
        assert!(write(root, &id, &[folder(root, &id)], None).is_err(), "nothing is mixed");
        let name = set_aside(root, &id).unwrap().unwrap();
        assert_eq!(name, format!(".left-{n}-web-1"));
        assert_eq!(set_aside_for(&name), Some("web-1"));
        assert!(root.join(&name).join("settings/deep/er/key").exists());
        assert!(!root.join("web-1").exists());
    }
    remove_aside(root, ".left-1-web-1", &AtomicU64::new(0)).unwrap();
    fs::create_dir(root.join("web-1")).unwrap();
    assert_eq!(set_aside(root, &id).unwrap().unwrap(), ".left-1-web-1");
    for (name, id) in [
        (".left-0-a", Some("a")),
        (".left-12-web-1", Some("web-1")),
        (".left-x-web-1", None),
        ("web-1", None),
    ] {
        assert_eq!(set_aside_for(name), id, "{name}");
    }
}

#[test]
fn sweeping_sets_aside_what_is_not_kept_and_names_all_that_was() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("volumes");
    let mut aside = Vec::new();
    sweep(&root, &BTreeSet::new(), &mut aside).unwrap();
    for id in ["web-1", "db-2"].map(WorkloadId::from) {
        write(&root, &id, &[folder(&root, &id)], None).unwrap();
    }
    fs::create_dir(root.join(".left-0-web-0")).unwrap();
    sweep(&root, &["web-1".to_owned()].into(), &mut aside).unwrap();
    aside.sort();
    assert_eq!(aside, [".left-0-db-2", ".left-0-web-0"]);
    for name in aside {
        remove_aside(&root, &name, &AtomicU64::new(0)).unwrap();
    }
    let left = fs::read_dir(&root).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["web-1"]);
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (root, other) = (dir.path().join("volumes"), dir.path().join("other"));
    fs::create_dir_all(root.join("web-1")).unwrap();
    fs::create_dir(&other).unwrap();
    for id in ["../other", "..", ".", "", "/", "web-1/..", "web-1/", "./web-1"] {
        let id = WorkloadId::from(id);
        assert!(set_aside(&root, &id).is_err(), "{id}");
        assert!(write(&root, &id, &[], None).is_err(), "{id}");
    }
    let absolute = WorkloadId::from(other.to_str().unwrap());
    assert!(set_aside(&root, &absolute).is_err());
    assert!(other.exists() && root.join("web-1").exists());
}
