//! The steps of the Makefile that ask what is there, with cargo and the like played.

use std::fs;

use crate::stage::{Stage, said};

/// What the Makefile and its shells need themselves.
const NEEDED: [&str; 15] = [
    "make", "sh", "id", "basename", "mkdir", "rm", "cp", "install", "date", "sed", "awk", "cat",
    "touch", "chmod", "gzip",
];

fn stage() -> Stage {
    Stage::with(&NEEDED)
}

/// Runs `make` with a target folder of its own; returns whether it passed, and what it said.
fn make(stage: &Stage, arguments: &[&str]) -> (bool, String) {
    let mut command = stage.command("make");
    command.args(arguments).env("CARGO_TARGET_DIR", stage.path("target"));
    let output = command.output().unwrap();
    (output.status.success(), said(&output))
}

#[test]
fn the_demo_without_cargo_runs_what_was_built_or_says_who_is_to_build_it() {
    let stage = stage();
    let (passed, said) = make(&stage, &["demo"]);
    assert!(!passed && said.contains("cargo was not found"), "{said}");

    stage.play("id", "echo 1000");
    let examples = stage.path("target/debug/examples");
    fs::create_dir_all(&examples).unwrap();
    stage.play("demo", "echo played");
    fs::rename(stage.programs().join("demo"), examples.join("demo")).unwrap();
    let (passed, said) = make(&stage, &["demo"]);
    assert!(passed && said.contains("played"), "{said}");
}

#[test]
fn an_api_server_that_is_there_is_not_built() {
    let stage = stage();
    stage.play("cargo", "echo \"assets $KUBEBUILDER_ASSETS\"");
    let assets = stage.path("assets").display().to_string();
    let (passed, said) =
        make(&stage, &["test-kubernetes", &format!("KUBEBUILDER_ASSETS={assets}")]);
    assert!(passed && said.contains(&format!("assets {assets}")), "{said}");
    assert!(!said.contains("build-apiserver"), "{said}");
    // Without one the script is asked, which has nothing to build with here.
    let (passed, said) = make(&stage, &["test-kubernetes"]);
    assert!(!passed && said.contains("build-apiserver.sh"), "{said}");
}

#[test]
fn nextest_is_installed_only_where_it_is_missing() {
    let stage = stage();
    stage.play("cargo", "exit 0");
    assert!(make(&stage, &["have-nextest"]).0);
    assert_eq!(stage.calls(), ["cargo nextest --version"]);

    stage.play("cargo", "[ \"$1\" != nextest ]");
    let (passed, said) = make(&stage, &["have-nextest"]);
    assert!(passed, "{said}");
    let calls = stage.calls();
    assert!(calls.last().unwrap().starts_with("cargo install cargo-nextest --locked"), "{calls:?}");
}

/// Builds what packages are made of: an agent, and a program that writes its manual.
const BUILD: &str = r#"
echo "commit=$DEVICE_WORKER_NG_COMMIT."
for profile in debug release; do
  mkdir -p "$CARGO_TARGET_DIR/$profile"
  touch "$CARGO_TARGET_DIR/$profile/device-worker-ng"
done
printf '#!/bin/sh\nmkdir -p "$1/man"\ntouch "$1/man/page.1"\n' >"$CARGO_TARGET_DIR/debug/manual"
chmod +x "$CARGO_TARGET_DIR/debug/manual"
"#;

#[test]
fn without_git_the_version_is_bare_and_files_are_of_today() {
    let stage = stage();
    stage.play("cargo", BUILD);
    for tool in ["cargo-deb", "cargo-generate-rpm"] {
        stage.play(tool, "echo \"${0##*/} of $SOURCE_DATE_EPOCH.\"");
    }
    let tool = |name: &str| stage.programs().join(name).display().to_string();
    let deb = format!("CARGO_DEB={}", tool("cargo-deb"));
    let rpm = format!("CARGO_GENERATE_RPM={}", tool("cargo-generate-rpm"));
    let (passed, said) = make(&stage, &["package", &deb, &rpm, "MAINTAINER=Ada <ada@localhost>"]);
    assert!(passed && said.contains("commit=.\n"), "{said}");
    for tool in ["cargo-deb of ", "cargo-generate-rpm of "] {
        let line = said.lines().find_map(|line| line.strip_prefix(tool)).unwrap();
        let seconds: i64 = line.trim_end_matches('.').parse().unwrap();
        let age = chrono::Utc::now().timestamp() - seconds;
        assert!((0..3_600).contains(&age), "{tool}{line}");
    }
    let calls = stage.calls();
    let by = |call: &str| calls.iter().any(|it| it.contains(call));
    assert!(by("--maintainer Ada <ada@localhost>") && by("vendor = \"Ada <ada@localhost>\""));
}

#[test]
fn fuzzing_without_a_nightly_compiler_says_what_to_install() {
    let stage = stage();
    stage.play("cargo", "[ \"$1\" != +nightly ]");
    let (passed, said) = make(&stage, &["fuzz"]);
    assert!(!passed && said.contains("rustup toolchain install nightly"), "{said}");
}

#[test]
fn a_profile_of_packages_that_does_not_exist_is_named() {
    let (passed, said) = make(&stage(), &["help", "PACKAGE_PROFILE=fast"]);
    assert!(!passed && said.contains("PACKAGE_PROFILE is release or dev, not fast"), "{said}");
}

#[test]
fn help_names_each_step_of_the_test() {
    let (passed, help) = make(&stage(), &["help"]);
    assert!(passed, "{help}");
    let makefile = include_str!("../../Makefile");
    let (_, steps) = makefile.split_once("STEPS := ").unwrap();
    let steps = steps.split("\nSTEP_SETTINGS").next().unwrap().replace("\\\n", " ");
    for step in steps.split_whitespace() {
        assert!(help.lines().any(|line| line.starts_with(&format!("{step} "))), "{step}: {help}");
    }
}

#[test]
fn a_step_that_fails_ends_the_test_with_its_name() {
    let stage = stage();
    stage.play("cargo", "[ \"$1\" != fmt ]");
    let (passed, said) = make(&stage, &["test", "STEPS=fmt clippy"]);
    assert!(!passed && said.contains("make test failed at this step: make fmt"), "{said}");
    assert!(!said.contains("==== clippy"), "{said}");
    let (passed, said) = make(&stage, &["test", "STEPS=clippy"]);
    assert!(passed, "{said}");
}
