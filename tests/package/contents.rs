//! What is in the packages, by the tools of their distributions.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::{NAME, built, deb, project};

fn rpm() -> PathBuf {
    built("packages", &format!("{NAME}-{}-1.", env!("CARGO_PKG_VERSION")), ".rpm")
}

/// Runs a command that must succeed; returns what it wrote, errors included.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

fn query(options: &[&str]) -> String {
    run(Command::new("rpm").arg("--query").args(options).arg("--package").arg(rpm()))
}

#[test]
fn lintian_has_nothing_to_say_against_the_deb() {
    let mut lintian = Command::new("lintian");
    let lintian = lintian.args(["--allow-root", "--fail-on", "error,warning"]).arg(deb());
    assert_eq!(run(lintian), "");
}

#[test]
fn rpmlint_has_nothing_to_say_against_the_rpm() {
    let mut rpmlint = Command::new("rpmlint");
    let rpmlint = rpmlint.arg("--rpmlintrc").arg(project("packaging/rpm/rpmlintrc")).arg(rpm());
    let said = run(rpmlint);
    assert!(said.contains("0 errors, 0 warnings"), "{said}");
}

#[test]
fn the_rpm_is_whole_and_keeps_an_edited_configuration() {
    let said = run(Command::new("rpm").args(["--checksig", "--nosignature"]).arg(rpm()));
    assert!(said.trim_end().ends_with("digests OK"), "{said}");
    let config = query(&["--queryformat", "[%{FILENAMES} %{FILEFLAGS:fflags}\n]"]);
    let config: Vec<_> = config.lines().filter(|line| line.starts_with("/etc/")).collect();
    assert_eq!(config, ["/etc/device-worker-ng/config.yaml cn"]);
    assert!(query(&["--recommends"]).contains("podman >= 4.3"));
}

/// Where the distributions have their own places.
fn common(path: &str) -> String {
    path.trim_end_matches(".gz")
        .replace("/zsh/vendor-completions/", "/zsh/site-functions/")
        .replace("/CHANGELOG.md", "/changelog")
        .replace("/licenses/device-worker-ng/LICENSE", "/doc/device-worker-ng/copyright")
}

/// The files of the .deb.
fn debian() -> BTreeSet<String> {
    let listed = run(Command::new("dpkg-deb").arg("--contents").arg(deb()));
    let files = listed.lines().filter(|line| !line.starts_with('d'));
    let paths = files.filter_map(|line| line.split_once(" ./")).map(|(_, path)| path);
    paths.map(|path| format!("/{path}")).collect()
}

#[test]
fn the_documents_are_packaged_with_their_pictures() {
    let packaged = debian();
    for folder in ["docs", "docs/images"] {
        let entries = std::fs::read_dir(project(folder)).unwrap().map(|entry| entry.unwrap());
        let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
        for file in files {
            let name = file.file_name().into_string().unwrap();
            let path = format!("/usr/share/doc/{NAME}/{folder}/{name}");
            assert!(packaged.contains(&path), "{path}");
        }
    }
}

#[test]
fn both_packages_hold_the_same() {
    let debian: BTreeSet<_> = debian()
        .iter()
        .map(|path| common(path))
        .filter(|path| !path.contains("lintian") && !path.ends_with("changelog.Debian"))
        .collect();
    let fedora: BTreeSet<_> = query(&["--list"]).lines().map(common).collect();
    assert!(debian.len() > 30, "{debian:?}");
    assert_eq!(fedora, debian);
}

#[test]
fn the_scripts_of_the_rpm_are_those_of_the_project() {
    let scripts = query(&["--scripts"]);
    for (script, heading) in [
        ("post_install", "postinstall scriptlet"),
        ("pre_uninstall", "preuninstall scriptlet"),
        ("post_uninstall", "postuninstall scriptlet"),
    ] {
        let path = project("packaging/rpm").join(format!("{script}.sh"));
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, packaged) = scripts.split_once(heading).unwrap();
        let (_, packaged) = packaged.split_once('\n').unwrap();
        assert!(packaged.starts_with(text.trim_end()), "{script}: {scripts}");
        run(Command::new("sh").arg("-n").arg(&path));
    }
}

fn rpm_in(root: &Path) -> Command {
    let mut rpm = Command::new("rpm");
    // Scripts need the systemd of a distribution, and dependencies its packages.
    rpm.arg("--root").arg(root).args(["--dbpath", "/rpm", "--nodeps", "--noscripts"]);
    rpm
}

#[test]
fn an_erased_rpm_leaves_state_and_settings() {
    let root = tempfile::tempdir().unwrap();
    run(rpm_in(root.path()).arg("--install").arg(rpm()));
    let verified = run(rpm_in(root.path()).args(["--verify", NAME]));
    assert_eq!(verified, "");
    let config = root.path().join("etc/device-worker-ng/config.yaml");
    std::fs::write(&config, "MANIFESTS: /m\n").unwrap();
    let state = root.path().join("var/lib/device-worker-ng/identity");
    std::fs::create_dir_all(&state).unwrap();

    run(rpm_in(root.path()).args(["--erase", NAME]));
    let saved = std::fs::read_to_string(config.with_extension("yaml.rpmsave")).unwrap();
    assert_eq!(saved, "MANIFESTS: /m\n");
    assert!(state.exists());
    assert!(!root.path().join("usr/bin").join(NAME).exists());
}
