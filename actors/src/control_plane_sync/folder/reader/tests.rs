//! Behaviour of the folder's reader and watch, on the real disk and in real time.

use std::fs::File;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// Far more than a change takes, far less than the slow re-reading.
const LIMIT: Duration = Duration::from_secs(15);

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    read_folder(folder).unwrap().into_keys().collect()
}

fn text(folder: &Path, name: &str) -> String {
    let files = read_folder(folder).unwrap();
    files[name].as_ref().unwrap().expose().clone()
}

#[test]
fn only_manifests_are_read() {
    let folder = folder();
    let names_of_files = [
        "a.yaml",
        "b.yml",
        "c.json",
        ".hidden.yaml",
        "d.yaml~",
        "e.yaml.swp",
        "f.txt",
        "#g.yaml#",
        "h.YAML",
    ];
    for name in names_of_files {
        fs::write(folder.path().join(name), name).unwrap();
    }
    fs::create_dir(folder.path().join("folder.yaml")).unwrap();
    assert_eq!(names(folder.path()), ["a.yaml", "b.yml", "c.json", "h.YAML"]);
    assert_eq!(text(folder.path(), "a.yaml"), "a.yaml");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = folder();
    fs::write(folder.path().join("latin.yaml"), b"a: 1\nb: \xe4").unwrap();
    fs::write(folder.path().join("marked.yaml"), b"\xff\xfek\0i\0n\0d\0").unwrap();
    fs::write(folder.path().join("wide.yaml"), b"k\0i\0n\0d\0:\0").unwrap();
    symlink("/nowhere/at/all", folder.path().join("dangling.yaml")).unwrap();
    let large = File::create(folder.path().join("large.yaml")).unwrap();
    large.set_len(MAX_FILE + 1).unwrap();
    let files = read_folder(folder.path()).unwrap();
    let reasons: Vec<String> = files.into_values().map(Result::unwrap_err).collect();
    let parts = [
        "leads nowhere",
        "larger than 4194304 bytes",
        "not UTF-8 at line 2 column 4, but Latin-1 perhaps",
        "it is UTF-16",
        "it is UTF-16",
    ];
    for (reason, part) in reasons.iter().zip(parts) {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(reasons.len(), parts.len());
}

#[test]
fn a_pipe_named_as_a_manifest_does_not_block() {
    let folder = folder();
    let made = rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path().join("pipe.yaml"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    );
    made.unwrap();
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn links_lead_to_manifests_and_to_nothing_else() {
    let folder = folder();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("x"), "elsewhere").unwrap();
    symlink(elsewhere.path().join("x"), folder.path().join("a.yaml")).unwrap();
    symlink("/dev/zero", folder.path().join("device.yaml")).unwrap();
    symlink("loop.yaml", folder.path().join("loop.yaml")).unwrap();
    let files = read_folder(folder.path()).unwrap();
    assert_eq!(text(folder.path(), "a.yaml"), "elsewhere");
    assert!(files["loop.yaml"].is_err());
    assert_eq!(files.len(), 2, "a device is no manifest");
}

#[test]
fn a_name_that_is_no_text_is_passed_over() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = folder();
    let name = std::ffi::OsStr::from_bytes(b"\xe4.yaml");
    fs::write(folder.path().join(name), "kind: x").unwrap();
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn a_folder_that_is_absent_is_an_error_and_not_empty() {
    assert!(read_folder(&folder().path().join("absent")).is_err());
}

/// Does `change` and waits until the watch of `folder` has noticed it.
async fn notices(folder: &Path, change: impl FnOnce(&Path)) {
    let mut watch = FolderWatch::new(folder.to_owned());
    change(folder);
    timeout(LIMIT, watch.changed()).await.unwrap();
}

#[tokio::test]
async fn writing_replacing_renaming_and_deleting_are_noticed() {
    let folder = folder();
    let path = folder.path();
    notices(path, |folder| fs::write(folder.join("a.yaml"), "1").unwrap()).await;
    notices(path, |folder| fs::write(folder.join("a.yaml"), "2").unwrap()).await;
    notices(path, |folder| {
        fs::write(folder.join(".a.tmp"), "3").unwrap();
        fs::rename(folder.join(".a.tmp"), folder.join("a.yaml")).unwrap();
    })
    .await;
    assert_eq!(text(path, "a.yaml"), "3");
    notices(path, |folder| {
        fs::rename(folder.join("a.yaml"), folder.join("b.yaml")).unwrap();
    })
    .await;
    notices(path, |folder| fs::remove_file(folder.join("b.yaml")).unwrap()).await;
    assert_eq!(names(path), Vec::<String>::new());
}

#[tokio::test]
async fn a_swap_of_links_as_kubernetes_does_it_is_noticed() {
    let folder = folder();
    let path = folder.path();
    for generation in ["..1", "..2"] {
        fs::create_dir(path.join(generation)).unwrap();
        fs::write(path.join(generation).join("a.yaml"), generation).unwrap();
    }
    symlink("..1", path.join("..data")).unwrap();
    symlink("..data/a.yaml", path.join("a.yaml")).unwrap();
    assert_eq!(text(path, "a.yaml"), "..1");
    notices(path, |folder| {
        symlink("..2", folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    })
    .await;
    assert_eq!(text(path, "a.yaml"), "..2");
}

#[tokio::test]
async fn a_burst_of_changes_is_one_change() {
    let folder = folder();
    let mut watch = FolderWatch::new(folder.path().to_owned());
    for number in 0..50 {
        fs::write(folder.path().join(format!("{number}.yaml")), "x").unwrap();
    }
    timeout(LIMIT, watch.changed()).await.unwrap();
    let again = timeout(QUIET, watch.changed()).await;
    assert!(again.is_err(), "a change that was noticed is noticed once");
}

#[tokio::test]
async fn a_folder_that_is_replaced_is_watched_again() {
    let parent = folder();
    let path = parent.path().join("manifests");
    fs::create_dir(&path).unwrap();
    let mut watch = FolderWatch::new(path.clone());
    fs::rename(&path, parent.path().join("old")).unwrap();
    fs::create_dir(&path).unwrap();
    timeout(LIMIT, watch.changed()).await.unwrap();
    fs::write(path.join("a.yaml"), "x").unwrap();
    timeout(LIMIT, watch.changed()).await.unwrap();
    assert_eq!(names(&path), ["a.yaml"]);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_cannot_be_watched_is_read_slowly() {
    let parent = folder();
    let path = parent.path().join("later");
    let mut watch = FolderWatch::new(path.clone());
    assert!(watch.events.is_none());
    fs::create_dir(&path).unwrap();
    watch.changed().await;
    assert!(watch.events.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_folder_is_read_slowly_too() {
    let folder = folder();
    let mut watch = FolderWatch::new(folder.path().to_owned());
    watch.changed().await;
    assert!(watch.events.is_some());
}
