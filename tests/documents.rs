//! What the documents repeat of the program is true.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use actors::control_plane_sync::advice;
use actors::testing::actions;
use actors::workload::EventReason;
use device_worker_ng::settings;
use grammar::Condition;

const ARCHITECTURE: &str = include_str!("../ARCHITECTURE.md");
const CONFIGURATION: &str = include_str!("../docs/configuration.md");
const CONTAINERFILE: &str = include_str!("../packaging/container/Containerfile");
const EVENTS: &str = include_str!("../docs/events.md");
const DEBIAN_CHANGELOG: &str = include_str!("../packaging/deb/changelog");
const LOGS: &str = include_str!("../docs/logs.md");
const MAKEFILE: &str = include_str!("../Makefile");
const PROBE: &str = include_str!("../examples/probe/probe.yaml");
const OPERATIONS: &str = include_str!("../docs/operations.md");
const PROFILES: &str = include_str!("../docs/profiles.md");
const PROMETHEUS: &str = include_str!("../docs/prometheus.md");
const STATUS: &str = include_str!("../docs/status.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README, the architecture and every document below `docs`.
fn documents() -> Vec<(PathBuf, String)> {
    let folder = std::fs::read_dir(root().join("docs")).unwrap();
    let documents = folder.map(|entry| entry.unwrap().path());
    let documents = documents.filter(|path| path.extension().is_some_and(|it| it == "md"));
    let all = documents.chain([root().join("README.md"), root().join("ARCHITECTURE.md")]);
    all.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The contents of the code blocks of that language.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let blocks = document.split(&fence).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap_or_default().trim()).collect()
}

/// The cells of a table's row; none of any other line.
fn cells(line: &str) -> Vec<&str> {
    let row = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |"));
    row.map(|row| row.split(" | ").collect()).unwrap_or_default()
}

#[test]
fn the_reference_has_every_setting_as_the_program_knows_it() {
    let reference = settings::markdown();
    assert!(
        CONFIGURATION.ends_with(&reference),
        "docs/configuration.md shall end with this\n{reference}"
    );
}

#[test]
fn the_operators_guide_says_what_to_do_in_the_words_of_the_log() {
    let page = OPERATIONS.split_whitespace().collect::<Vec<_>>().join(" ");
    for advice in advice::ADVICE {
        assert!(page.contains(advice), "docs/operations.md does not say: {advice}");
    }
}

#[test]
fn every_reason_of_an_event_is_explained_with_its_severity() {
    let documented = EVENTS.lines().filter_map(|line| {
        let [reason, severity, meaning] = cells(line).try_into().ok()?;
        let reason = reason.strip_prefix('`')?.strip_suffix('`')?;
        assert!(!meaning.is_empty(), "docs/events.md does not explain {reason}");
        Some((reason.to_owned(), severity.to_owned()))
    });
    let known = EventReason::ALL.iter().map(|it| (it.to_string(), format!("{:?}", it.kind())));
    assert_eq!(documented.collect::<Vec<_>>(), known.collect::<Vec<_>>());
}

#[test]
fn every_document_that_lists_the_actions_of_an_executor_has_each_of_them() {
    let words = actions::words();
    for (name, document, subject) in [
        ("logs.md", LOGS, "step"),
        ("status.md", STATUS, "workloads[].command"),
        ("prometheus.md", PROMETHEUS, "device_worker_commands_total"),
    ] {
        let row = document.lines().find(|line| line.starts_with(&format!("| `{subject}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/{name} has no row for {subject}"));
        // What stands before the last column says nothing of actions.
        let meaning = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
        let listed = meaning.rsplit(": ").next().unwrap().replace(" or ", " ");
        let listed = listed.split_whitespace().map(|word| word.trim_matches(['`', ',']));
        let listed: Vec<_> = listed.collect();
        let missing: Vec<_> = words.iter().filter(|word| !listed.contains(word)).collect();
        assert!(missing.is_empty(), "docs/{name}, {subject}: {missing:?} missing in {listed:?}");
    }
}

#[test]
fn every_condition_of_the_cookbook_parses() {
    let conditions = blocks(PROFILES, "condition");
    assert!(conditions.len() >= 10, "{conditions:?}");
    for condition in conditions {
        if let Err(error) = Condition::parse(condition) {
            panic!("{condition}: {error}");
        }
    }
}

#[test]
fn every_link_between_the_documents_leads_to_a_file() {
    let mut missing = Vec::new();
    for (path, text) in documents() {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let target = link.split('#').next().unwrap_or(link);
            if !path.parent().unwrap().join(target).exists() {
                missing.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn each_flow_of_the_architecture_passes_files_that_exist_and_not_too_many() {
    let flows = ARCHITECTURE.split("\n## Flows\n").nth(1).unwrap();
    let flows = flows.split("\n## ").next().unwrap();
    let mut count = 0;
    for flow in flows.split("\n### ").skip(1) {
        let quoted = flow.split('`').skip(1).step_by(2);
        let files: BTreeSet<_> = quoted.filter(|it| it.ends_with(".rs")).collect();
        assert!((10..=32).contains(&files.len()), "{}: {flow}", files.len());
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn the_changelog_of_the_debian_package_is_at_the_version_of_the_program() {
    let first = DEBIAN_CHANGELOG.lines().next().unwrap();
    let version = concat!("device-worker-ng (", env!("CARGO_PKG_VERSION"), "-1) ");
    assert!(first.starts_with(version), "{first}");
}

#[test]
fn the_image_of_the_probe_is_the_one_that_its_manifest_names() {
    let named = PROBE.lines().find_map(|line| line.trim().strip_prefix("image: ")).unwrap();
    assert!(MAKEFILE.contains(&format!("PROBE_IMAGE ?= {named}\n")), "{named}");
}

#[test]
fn the_image_is_built_upon_a_base_that_cannot_change() {
    let base = |text: &str, start: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(start)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no line begins with {start:?}"))
    };
    let pinned = base(CONTAINERFILE, "ARG BASE=");
    assert_eq!(base(MAKEFILE, "BASE ?= "), pinned);
    let (name, digest) = pinned.split_once("@sha256:").unwrap();
    assert!(name.starts_with("docker.io/library/debian:"), "{name}");
    assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
}

#[test]
fn the_documents_name_only_sources_that_exist() {
    let folders = ["", "actors/src", "actors", "grammar", "grammar/src", "src", "tests"];
    for (document, text) in documents() {
        for quoted in text.split('`').skip(1).step_by(2) {
            let extension = Path::new(quoted).extension().and_then(|it| it.to_str());
            let is_folder = quoted.ends_with('/') && document.ends_with("ARCHITECTURE.md");
            let is_path = quoted.contains('/') && !quoted.contains([' ', '*', '<', ':']);
            if is_path && (is_folder || matches!(extension, Some("rs" | "pest"))) {
                let exists = folders.iter().any(|folder| root().join(folder).join(quoted).exists());
                assert!(exists, "{} names {quoted}, which does not exist", document.display());
            }
        }
    }
}
