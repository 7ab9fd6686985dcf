//! The house rules, read off the sources. Each says what to do instead.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use self::imports::Imports;

mod imports;

/// Longest file, in lines before its tests. A file is about one noun: past this it holds a second.
const MAX_LINES: usize = 400;

/// Most files of a folder, without tests.
const MAX_FILES: usize = 12;

/// Folders that have more: the root of the crate, and those that are still to be divided.
const LARGE_FOLDERS: &[&str] = &[""];

/// Files that send and receive: only they know actix.
const ACTIX: &[&str] = &[
    "actor.rs",
    "actor",
    "http.rs",
    "http",
    "messages.rs",
    "messages",
    "supervisor.rs",
    "command_ticket.rs",
    "connector.rs",
];

/// Files and folders that touch the world.
const OUTSIDE: &[&str] = &[
    "client.rs",
    "client",
    "clock_witness.rs",
    "http.rs",
    "http",
    "files.rs",
    "files",
    "hardware.rs",
    "hardware",
    "kept_logs.rs",
    "network.rs",
    "connector.rs",
    "path_trust.rs",
    "path_trust",
    "private_file.rs",
    "reader.rs",
    "removal.rs",
    "sockets.rs",
    "sockets",
    "store.rs",
    "store",
    "tls.rs",
    "trails.rs",
    "usage.rs",
    "volumes.rs",
];

/// What touching the world looks like.
const WORLD: &[&str] = &[
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "UnixListener",
    "tokio::net",
    "tokio::fs",
    "rustix::",
    "awc::Client",
    "inotify::",
];

/// Circles of imports that are left, each by its first module.
const KNOWN_CIRCLES: &[&str] = &[];

struct Source {
    /// Path below `actors/src`.
    path: PathBuf,
    text: String,
}

impl Source {
    /// The lines before the first inline test module.
    fn product(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"))
    }

    fn has_part(&self, names: &[&str]) -> bool {
        self.path.iter().any(|part| names.iter().any(|name| part == *name))
    }

    fn is_test(&self) -> bool {
        let file = self.path.file_name().unwrap().to_string_lossy();
        self.path.starts_with("testing")
            || file.contains("test")
            || file == "fixtures.rs"
            || self.path.iter().any(|part| part == "tests" || part == "testing")
    }

    /// The actor's folder, if it is in one.
    fn actor(&self) -> Option<&str> {
        let first = self.path.iter().next()?.to_str()?;
        ACTORS.contains(&first).then_some(first)
    }
}

const ACTORS: &[&str] = &[
    "control_plane_sync",
    "profile_evaluator",
    "scheduler",
    "podman_executor",
    "k8s_executor",
    "metrics_ingest",
];

fn sources(root: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push(Source { path: path.strip_prefix(&root).unwrap().to_owned(), text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!sources.is_empty());
    sources
}

fn report(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn every_file_says_what_it_is() {
    let mut broken = Vec::new();
    for root in ["src", "../src", "../grammar/src"] {
        for source in sources(root) {
            if !source.text.starts_with("//! ") {
                broken.push(format!("{root}/{}", source.path.display()));
            }
        }
    }
    report("a file opens with a line `//! What it is.`", &broken);
}

#[test]
fn files_stay_small() {
    let mut broken = Vec::new();
    for root in ["src", "../src", "../grammar/src"] {
        for source in sources(root).iter().filter(|source| !source.is_test()) {
            let lines = source.product().count();
            if lines > MAX_LINES {
                broken.push(format!("{root}/{}: {lines} lines", source.path.display()));
            }
        }
    }
    report(
        "a file is about one noun, in at most 400 lines before its tests: split it by noun",
        &broken,
    );
}

#[test]
fn folders_stay_small() {
    let mut files = BTreeMap::<PathBuf, usize>::new();
    for source in sources("src").iter().filter(|source| !source.is_test()) {
        *files.entry(source.path.parent().unwrap().to_owned()).or_default() += 1;
    }
    let large = files.iter().filter(|(_, count)| **count > MAX_FILES);
    let large: BTreeSet<_> = large.map(|(folder, _)| folder.to_str().unwrap()).collect();
    let known = LARGE_FOLDERS.iter().copied().collect();
    assert_eq!(
        large, known,
        "a folder has at most {MAX_FILES} files: make folders by noun, and list none that has become small"
    );
}

#[test]
fn only_senders_and_receivers_know_actix() {
    let mut broken = Vec::new();
    for source in sources("src") {
        if source.is_test() || source.has_part(ACTIX) {
            continue;
        }
        for line in source.product().filter(|line| !line.trim_start().starts_with("//")) {
            if line.contains("actix::") || line.contains("actix_rt::") {
                broken.push(format!("{}: {}", source.path.display(), line.trim()));
            }
        }
    }
    report("decide in plain functions, send and receive in actor.rs", &broken);
}

#[test]
fn only_clients_touch_the_world() {
    let mut broken = Vec::new();
    for source in sources("src") {
        if source.is_test() || source.has_part(OUTSIDE) {
            continue;
        }
        for line in source.product().filter(|line| !line.trim_start().starts_with("//")) {
            if let Some(what) = WORLD.iter().find(|what| line.contains(**what)) {
                broken.push(format!("{}: {what}", source.path.display()));
            }
        }
    }
    report("input and output belong to the files listed in OUTSIDE", &broken);
}

#[test]
fn programs_are_run_by_one_function_with_bounds() {
    let mut broken = Vec::new();
    for root in ["src", "../src"] {
        for source in sources(root).iter().filter(|source| !source.is_test()) {
            let runs = |line: &&str| line.contains("process::") && line.contains("Command");
            let is_it = source.path == Path::new("program.rs");
            broken.extend(
                source
                    .product()
                    .filter(runs)
                    .filter(|_| !is_it)
                    .map(|line| format!("{root}/{}: {line}", source.path.display())),
            );
        }
    }
    report("run it by program::answer, which gives up what does not end", &broken);
}

#[test]
fn actors_know_messages_and_not_each_other() {
    let mut broken = Vec::new();
    for source in sources("src") {
        let Some(own) = source.actor() else { continue };
        for other in ACTORS.iter().filter(|other| **other != own) {
            if source.product().any(|line| line.contains(&format!("crate::{other}"))) {
                broken.push(format!("{} imports {other}", source.path.display()));
            }
        }
    }
    report("actors share messages.rs and workload.rs, nothing else", &broken);
}

#[test]
fn modules_import_in_no_circle() {
    let circles = Imports::of(&sources("src")).circles();
    let found: BTreeSet<&str> = circles.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = KNOWN_CIRCLES.iter().copied().collect();
    let new: Vec<_> = found.difference(&known).map(|first| circles[*first].join(", ")).collect();
    report("let one import the other only, or move what both need to a module of its own", &new);
    let gone: Vec<_> = known.difference(&found).map(ToString::to_string).collect();
    report("these circles are gone: take them out of KNOWN_CIRCLES", &gone);
}

#[test]
fn the_language_knows_nothing_of_actors() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grammar/Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    assert!(!manifest.contains("actors"), "dependencies point one way: root, actors, grammar");
    for source in sources("../grammar/src") {
        let knows =
            source.product().any(|line| line.contains("actix") || line.contains("actors::"));
        assert!(!knows, "grammar/src/{} knows of actors", source.path.display());
    }
}

#[test]
fn tests_neither_sleep_nor_hide() {
    let mut broken = Vec::new();
    for root in ["src", "tests", "../src", "../tests", "../grammar/src", "../grammar/tests"] {
        for source in sources(root) {
            let hidden = ["#[ignore", "std::thread::sleep(", "todo!(", "unimplemented!("];
            for what in hidden.iter().filter(|what| source.text.contains(**what)) {
                // Real processes have no clock of ours: their fixtures poll.
                let is_fixture = source.path.starts_with("testing");
                if !source.path.starts_with("architecture") && !is_fixture {
                    broken.push(format!("{root}/{}: {what}", source.path.display()));
                }
            }
        }
    }
    report("a test runs, and waits for a condition instead of sleeping", &broken);
}

#[test]
fn what_holds_a_pod_shows_none() {
    // Values of its variables may be passwords, and the executors put those of secrets there.
    let holds_pod = |line: &str| {
        let names = ["PodSpec", "Pod", "Deployment", "EnvVar"];
        let mut words = line.split(|c: char| !c.is_alphanumeric()).skip(1);
        !line.trim_start().starts_with("//") && words.any(|word| names.contains(&word))
    };
    let mut broken = Vec::new();
    for source in sources("src") {
        let mut derives = false;
        let mut within = None;
        for line in source.product() {
            if line.trim_start().starts_with("#[derive(") {
                derives = line.contains("Debug");
            } else if line.contains("struct ") && line.ends_with('{') {
                within = derives.then(|| line.to_owned());
                derives = false;
            } else if line.starts_with('}') {
                within = None;
            } else if let Some(name) = &within
                && holds_pod(line)
            {
                broken.push(format!("{}: {name}", source.path.display()));
            }
        }
    }
    report("write Debug by hand for what holds a pod: a derived one shows passwords", &broken);
}

#[test]
fn one_wiring_makes_every_agent() {
    // What makes two actors know each other; a test of one actor needs one of them only.
    let wired = [
        "SchedulerDeps {",
        "EvaluatorDeps {",
        "SyncDeps {",
        "PodmanDeps {",
        "K8sDeps {",
        "IngestDeps {",
    ];
    let mut broken = Vec::new();
    for root in ["tests", "../src", "../tests"] {
        for source in sources(root) {
            let makes = wired.iter().filter(|deps| source.text.contains(**deps)).count();
            let is_wiring = root == "../src" && source.path.ends_with("system.rs");
            if makes > 1 && !is_wiring && !source.path.starts_with("architecture") {
                broken.push(format!("{root}/{}", source.path.display()));
            }
        }
    }
    report("an agent is made by src/system.rs, in tests as in the binary", &broken);
}
