//! `install.sh` on machines with dnf, with apt-get, with neither, and without root.

use crate::stage::{Stage, project, said};

const SCRIPT: &str = "tests/environment/install.sh";
/// What the script itself needs.
const NEEDED: [&str; 6] = ["bash", "sh", "dirname", "find", "head", "env"];

/// Installs what a real package manager would: the commands of the packages that are named, where one
/// is not called as its package.
const INSTALL: &str = r#"
for package; do
  case $package in
    gcc) commands=cc ;;
    shadow-utils | uidmap | passwd) commands="newuidmap useradd" ;;
    iproute | iproute2) commands=ip ;;
    util-linux) commands="unshare setpriv" ;;
    docker-distribution) commands=registry ;;
    httpd-tools | apache2-utils) commands=htpasswd ;;
    iptables-nft) commands=iptables ;;
    busybox-static) commands=busybox ;;
    -* | install | update | DPkg::*) continue ;;
    *) commands=$package ;;
  esac
  for command in $commands; do
    /bin/rm -f "$STAGE/programs/$command"
    printf '#!/bin/sh\n' >"$STAGE/programs/$command"
    /bin/chmod +x "$STAGE/programs/$command"
  done
done
"#;

/// A machine with nothing but what the script itself needs.
fn bare(user: u32) -> Stage {
    let stage = Stage::with(&NEEDED);
    stage.play("id", &format!("echo {user}"));
    stage
}

fn run(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String) {
    let output = stage.command(project(SCRIPT)).args(arguments).output().unwrap();
    (output.status.code(), said(&output))
}

/// The calls of a package manager.
fn calls_of(stage: &Stage, manager: &str) -> Vec<String> {
    let calls = stage.calls().into_iter();
    calls.filter_map(|call| call.strip_prefix(manager).map(str::to_owned)).collect()
}

#[test]
fn with_dnf_the_packages_of_fedora_are_installed() {
    let stage = bare(0);
    stage.play("dnf", INSTALL);
    let (code, said) = run(&stage, &[]);
    assert_eq!(code, Some(0), "{said}");
    let calls = calls_of(&stage, "dnf ");
    let [call] = calls.as_slice() else { panic!("{calls:?}") };
    assert!(call.starts_with("install -y -q "), "{call}");
    for package in ["gcc", "podman", "httpd-tools", "docker-distribution"] {
        assert!(call.split(' ').any(|word| word == package), "{package}: {call}");
    }
    // A second time nothing is asked for.
    assert_eq!(run(&stage, &[]), (Some(0), String::new()));
    assert_eq!(calls_of(&stage, "dnf ").len(), 1);
}

#[test]
fn with_apt_get_the_packages_of_debian_are_installed_and_its_locks_waited_for() {
    let stage = bare(0);
    for program in ["mktemp", "cat", "date", "grep", "sleep", "rm"] {
        std::os::unix::fs::symlink(format!("/bin/{program}"), stage.programs().join(program))
            .unwrap();
    }
    stage.play("apt-get", INSTALL);
    let (code, said) = run(&stage, &[]);
    assert_eq!(code, Some(0), "{said}");
    let calls = calls_of(&stage, "apt-get ");
    let [update, install] = calls.as_slice() else { panic!("{calls:?}") };
    assert!(update.ends_with("update -qq"), "{update}");
    assert!(install.contains("install -y -qq --no-install-recommends "), "{install}");
    for call in [update, install] {
        assert!(call.starts_with("-o DPkg::Lock::Timeout="), "{call}");
    }
    for package in ["gcc", "podman", "apache2-utils", "docker-registry"] {
        assert!(install.split(' ').any(|word| word == package), "{package}: {install}");
    }
}

#[test]
fn what_a_package_manager_did_not_bring_is_named() {
    let stage = bare(0);
    stage.play("dnf", "exit 0");
    let (code, said) = run(&stage, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("still missing: cc"), "{said}");
}

#[test]
fn a_package_manager_that_fails_ends_it() {
    let stage = bare(0);
    stage.play("dnf", "echo 'no such repository' >&2; exit 7");
    let (code, said) = run(&stage, &[]);
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("no such repository"), "{said}");
}

#[test]
fn without_a_package_manager_that_it_knows_it_names_what_to_install() {
    let (code, said) = run(&bare(0), &["ui"]);
    assert_eq!(code, Some(1), "{said}");
    for part in ["neither apt-get nor dnf is here", " cc", " podman", " chromium"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn without_root_it_installs_nothing_and_says_what_to_run() {
    let stage = bare(1000);
    stage.play("dnf", INSTALL);
    let (code, said) = run(&stage, &["packages"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(" podman") && said.contains("Run this as root once:"), "{said}");
    assert!(said.trim_end().ends_with(&format!("{SCRIPT} packages")), "{said}");
    assert_eq!(calls_of(&stage, "dnf "), Vec::<String>::new());
}

#[test]
fn the_script_for_a_newer_podman_says_what_it_lacks() {
    let script = project("tests/environment/podman-root.sh");
    let stage = Stage::with(&["bash", "realpath", "ls", "dirname"]);
    let folder = stage.path("root");
    let run = || {
        let output = stage.command(&script).arg(&folder).output().unwrap();
        (output.status.code(), said(&output))
    };
    stage.play("id", "echo 1000");
    let (code, text) = run();
    assert!(code == Some(1) && text.contains("needs root"), "{text}");
    if !std::path::Path::new("/usr/sbin/debootstrap").exists() {
        stage.play("id", "echo 0");
        let (code, text) = run();
        assert!(code == Some(1) && text.contains("debootstrap is missing: install it"), "{text}");
    }
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("letter"), "").unwrap();
    let (code, text) = run();
    assert!(code == Some(1) && text.contains("holds something else"), "{text}");
}

#[test]
fn the_script_for_an_api_server_says_what_it_lacks() {
    let stage = Stage::with(&["sh", "sha256sum", "dirname", "cat", "mkdir", "rm"]);
    let script = project("tests/kubernetes/build-apiserver.sh");
    let output = stage.command(script).arg(stage.path("assets")).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("install golang-go") && text.contains("has no apt-get"), "{text}");
}
