//! Why podman does not start: its own words, read from what it wrote, and put plainly. Pure.
//!
//! A podman that cannot read its database or its settings ends before it listens. The agent sees a socket that refuses
//! or hangs; the reason is on podman's standard error alone.

use serde::Deserialize;
use serde_json::Value;

use crate::podman_executor::libpod::damage::{Damage, damage};
use crate::podman_executor::libpod::error_text::shortened;
use crate::workload::ExecutorKind;

/// Longest words of podman that are passed on, in characters: the way out has to follow them.
const MAX_WORDS: usize = 240;
/// So many runs are looked at for one that has said something.
const MAX_RUNS: usize = 4;
/// So many different lines are passed on.
const MAX_LINES: usize = 4;
/// What podman writes once it serves.
const SERVES: &str = "API service listening on";
/// How a line of its log of requests begins.
const REQUEST: &str = "@ - - [";
/// First words of Go's runtime about a crash; the stack follows.
const CRASHES: [&str; 4] = ["panic: ", "fatal error: ", "unexpected fault address", "SIG"];
/// Functions in a stack that are not those that failed.
const MACHINERY: [&str; 5] = ["runtime.", "runtime/", "panic(", "sync.", "created by "];

/// One entry of the journal, of which only this was asked for.
#[derive(Deserialize)]
struct Entry {
    #[serde(default, rename = "MESSAGE")]
    message: Value,
    /// What one process wrote has one.
    #[serde(default, rename = "_STREAM_ID")]
    stream: Option<String>,
}

impl Entry {
    /// Returns the line that was written; one that is no text comes as numbers.
    fn line(&self) -> String {
        let byte = |value: &Value| u8::try_from(value.as_u64()?).ok();
        match &self.message {
            Value::String(text) => text.clone(),
            Value::Array(bytes) => {
                let bytes: Vec<u8> = bytes.iter().filter_map(byte).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
        }
    }
}

/// Returns why podman ended when it was last started, if it did; `newest_first` is the journal of its service as
/// lines of JSON, the last of which may be cut.
pub(in crate::podman_executor) fn of_journal(newest_first: &[u8]) -> Option<String> {
    let lines = newest_first.split(|byte| *byte == b'\n');
    let entries: Vec<_> =
        lines.map_while(|line| serde_json::from_slice::<Entry>(line).ok()).collect();
    let runs = entries.chunk_by(|a, b| a.stream == b.stream);
    let mut runs = runs.take(MAX_RUNS).map(|run| {
        let mut log = StartupLog::default();
        run.iter().rev().for_each(|entry| log.add(&entry.line()));
        log
    });
    // systemd starts it again and again: the last run may not have come to its end.
    runs.find(|log| log.serves || log.has_words())?.words()
}

/// What one run of podman has said so far.
#[derive(Default)]
struct StartupLog {
    serves: bool,
    /// What it ended with.
    last: Vec<String>,
    /// What else it complained of.
    complaints: Vec<String>,
    crash: Option<Crash>,
}

struct Crash {
    what: String,
    /// The function that failed.
    place: Option<String>,
}

impl StartupLog {
    fn add(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some(crash) = &mut self.crash {
            crash.place = crash.place.take().or_else(|| place(line));
        } else if CRASHES.iter().any(|start| line.starts_with(start)) {
            self.crash = Some(Crash { what: line.to_owned(), place: None });
        } else if let Some(error) = line.strip_prefix("Error: ") {
            note(&mut self.last, error);
        } else if line.starts_with("time=") {
            self.add_record(line);
        } else if line.starts_with(REQUEST) {
            self.begin_to_serve();
        } else if !self.serves {
            note(&mut self.complaints, line);
        }
    }

    /// Adds a record of podman's log: `time="…" level=error msg="…"`.
    fn add_record(&mut self, line: &str) {
        let after = |key: &str| line.split_once(key).map(|(_, rest)| rest);
        let level = after(" level=").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        let message = after(" msg=").map(unquoted).unwrap_or_default();
        if message.starts_with(SERVES) {
            self.begin_to_serve();
        } else if matches!(level, "fatal" | "panic") {
            note(&mut self.last, &message);
        } else if level == "error" && !self.serves {
            note(&mut self.complaints, &message);
        }
    }

    /// What was complained of did not keep it from serving.
    fn begin_to_serve(&mut self) {
        *self = Self { serves: true, ..Self::default() };
    }

    const fn has_words(&self) -> bool {
        self.crash.is_some() || !self.last.is_empty() || !self.complaints.is_empty()
    }

    fn words(self) -> Option<String> {
        let crash = self.crash.map(|crash| match crash.place {
            Some(place) => format!("{}, in {place}", crash.what),
            None => crash.what,
        });
        let said = crash.into_iter().chain(self.last).chain(self.complaints);
        let said: Vec<_> = said.take(MAX_LINES).collect();
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let words: String = said.join("; ").chars().map(plain).take(MAX_WORDS).collect();
        (!words.is_empty()).then_some(words)
    }
}

fn note(lines: &mut Vec<String>, line: &str) {
    let line = line.trim();
    if !line.is_empty() && !lines.iter().any(|known| known == line) && lines.len() < MAX_LINES {
        lines.push(line.to_owned());
    }
}

/// Returns the function that a line of a stack names, if it is one that may be to blame.
fn place(line: &str) -> Option<String> {
    let is_function =
        line.ends_with(')') && line.contains('.') && !line.starts_with(['\t', ' ', '[']);
    let is_machinery = MACHINERY.iter().any(|start| line.starts_with(start));
    let end = line.rfind('(').filter(|_| is_function && !is_machinery)?;
    line.get(..end).map(str::to_owned)
}

/// Returns the text that begins `rest`, in quotes or up to the next blank.
fn unquoted(rest: &str) -> String {
    let Some(rest) = rest.strip_prefix('"') else {
        return rest.split(' ').next().unwrap_or_default().to_owned();
    };
    let (mut text, mut is_escaped) = (String::new(), false);
    for c in rest.chars() {
        match (is_escaped, c) {
            (false, '"') => break,
            (false, '\\') => is_escaped = true,
            (true, 'n' | 't' | 'r') => {
                text.push(' ');
                is_escaped = false;
            }
            (_, c) => {
                text.push(c);
                is_escaped = false;
            }
        }
    }
    text
}

/// Returns why the podman of `kind` cannot be used, with the way out: `error` is what came of asking it, `said` why it
/// did not start, by its own words.
pub(in crate::podman_executor) fn in_plain_words(
    kind: ExecutorKind,
    error: &str,
    said: Option<&str>,
) -> String {
    let start = match kind {
        ExecutorKind::PodmanRootless => "systemctl --user start podman.socket",
        ExecutorKind::PodmanRootful | ExecutorKind::K8s => "systemctl start podman.socket",
    };
    // One that answers has started: of what it says, only damage is reported.
    let text = said.unwrap_or(error);
    let hindrance =
        || hindrance(kind, said?).map(|(what, first)| (what, format!("{first}, {start}")));
    // The words come last: they are what may be cut.
    match (damaged(kind, text, start).or_else(hindrance), said) {
        (Some((what, way_out)), _) => {
            shortened(&format!("{what}; by hand: {way_out} (podman says: {text})"))
        }
        (None, Some(said)) => shortened(&format!(
            "podman does not start; it says: {said}; once that is mended: {start} ({error})"
        )),
        (None, None) => error.to_owned(),
    }
}

/// Returns how the user who runs this podman calls systemd, and the folder where it keeps all unless its settings say
/// otherwise.
const fn places(kind: ExecutorKind) -> (&'static str, &'static str) {
    match kind {
        ExecutorKind::PodmanRootless => ("systemctl --user", "~/.local/share/containers/storage"),
        ExecutorKind::PodmanRootful | ExecutorKind::K8s => {
            ("systemctl", "/var/lib/containers/storage")
        }
    }
}

/// Returns what is damaged so that podman does nothing, and how it is mended; `start` starts podman.
fn damaged(kind: ExecutorKind, text: &str, start: &str) -> Option<(&'static str, String)> {
    let what = damage(text)?;
    let ((systemctl, storage), text) = (places(kind), text.to_lowercase());
    let stop = format!("{systemctl} stop podman.socket podman.service");
    let way_out = match what {
        Damage::Database => {
            let file = if text.contains("bolt") { "libpod/bolt_state.db" } else { "db.sql" };
            // What ran goes on, and podman knows nothing of it any more: only the machine's end ends it,
            // and what is left of it can be removed after that.
            format!(
                "{stop}, mv {storage}/{file}{{,.damaged}}, reboot, podman rm --force $(podman ps \
                 --all --external --quiet)"
            )
        }
        Damage::List => {
            let lists = [
                ("storage.image", "overlay-images/images.json"),
                ("storage.container", "overlay-containers/containers.json"),
            ];
            let list = lists.iter().find(|(part, file)| text.contains(part) || text.contains(file));
            let file = list.map_or("overlay-layers/layers.json", |(_, file)| file);
            format!("{stop}, mv {storage}/{file}{{,.damaged}}, {start}")
        }
        // Of one image: podman starts.
        Damage::PauseImage | Damage::LayerList | Damage::Description | Damage::Layer => {
            return None;
        }
    };
    Some((what.as_str(), way_out))
}

/// Returns what else may keep podman from starting, and how it is mended, up to podman's start.
fn hindrance(kind: ExecutorKind, said: &str) -> Option<(&'static str, String)> {
    let said = said.to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
    let (_, storage) = places(kind);
    if says(&["no space left on device", "disk is full"]) {
        Some(("the disk is full", "free some of it".to_owned()))
    } else if says(&["read-only file system"]) {
        let way_out = format!("make the disk below {storage} writable");
        Some(("podman's storage is on a disk that is read-only", way_out))
    } else if says(&["permission denied", "operation not permitted"]) {
        let way_out = "give what it names back to the user who runs podman";
        Some(("podman may not use what it needs", way_out.to_owned()))
    } else if says(&["graph driver", "storage driver", "driver not supported"]) {
        let what = "podman's storage was made with another driver, or with one that is not there";
        let way_out = "set the driver in storage.conf to that of the storage".to_owned();
        Some((what, way_out))
    } else if says(&["toml:", ".conf"]) {
        Some(("podman's settings cannot be used", "mend the file that it names".to_owned()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTS: &str = r#"time="2026-11-30T02:30:52Z" level=info msg="/usr/bin/podman filtering at log level info""#;
    const SERVING: &str = r#"time="2026-11-30T02:32:50Z" level=info msg="API service listening on \"/run/podman/podman.sock\". URI: \"\"""#;
    const GROUPS: &str = r#"time="2026-11-30T02:30:11Z" level=warning msg="Using cgroups-v1 which is deprecated in favor of cgroups-v2""#;
    const ASKED: &str =
        r#"@ - - [30/Nov/2026:02:32:50 +0000] "GET /v4.0.0/libpod/info HTTP/1.1" 200 3 "" """#;
    const BOLT: &str = "opening database /s/libpod/bolt_state.db: invalid database";

    fn words(lines: &[&str]) -> Option<String> {
        let mut log = StartupLog::default();
        lines.iter().for_each(|line| log.add(line));
        log.words()
    }

    #[test]
    fn what_podman_ended_with_is_reported_without_other_log_lines() {
        let error = format!("Error: {BOLT}");
        for lines in [&[STARTS, &error][..], &[GROUPS, &error, ""], &[STARTS, &error, &error]] {
            assert_eq!(words(lines).as_deref(), Some(BOLT), "{lines:?}");
        }
        let driver = r#"time="x" level=error msg="User-selected graph driver \"vfs\" overwritten by graph driver \"overlay\" from database""#;
        let expected = "broken; User-selected graph driver \"vfs\" overwritten by graph driver \
                        \"overlay\" from database";
        assert_eq!(words(&[driver, "Error: broken"]).as_deref(), Some(expected));
        // podman 4.3 and 5.4 of a storage.conf that is none.
        let toml =
            r#"time="x" level=error msg="toml: line 5 (last key \"storage\"): expected '.'""#;
        let expected = r#"toml: line 5 (last key "storage"): expected '.'"#;
        assert_eq!(words(&[toml]).as_deref(), Some(expected));
        let configuration = "Failed to obtain podman configuration: toml: line 5";
        assert_eq!(words(&[STARTS, configuration]).as_deref(), Some(configuration));
        let several = ["Error: 2 errors occurred:", "\t* one", "\t* two"];
        assert_eq!(words(&several).as_deref(), Some("2 errors occurred:; * one; * two"));
    }

    #[test]
    fn a_podman_that_served_is_blamed_only_for_what_ended_it() {
        let complaint = r#"time="x" level=error msg="IPAM error: failed to get ips""#;
        for lines in [
            &[][..],
            &[STARTS, SERVING],
            &[complaint, STARTS, SERVING, complaint, "2026/11/30 http: panic serving @: nothing"],
            &["Error: of before", ASKED, complaint],
        ] {
            assert_eq!(words(lines), None, "{lines:?}");
        }
        let ended = [SERVING, complaint, "Error: accept unix: too many open files"];
        assert_eq!(words(&ended).as_deref(), Some("accept unix: too many open files"));
    }

    #[test]
    fn a_crash_is_reported_with_the_function_that_failed() {
        let stack = [
            STARTS,
            "unexpected fault address 0x7f5d8e866000",
            "fatal error: fault",
            "[signal SIGBUS: bus error code=0x2 addr=0x7f5d8e866000 pc=0x479321]",
            "",
            "goroutine 1 [running]:",
            "runtime.throw({0x16b82ca?, 0x7f5d6533d2f0?})",
            "\truntime/panic.go:1047 +0x5d fp=0xc0000b5920 sp=0xc0000b58f0 pc=0x4433dd",
            "go.etcd.io/bbolt.(*node).read(0xc0000, 0x7f)",
            "\tgo.etcd.io/bbolt/node.go:176 +0x1a",
            "main.main()",
        ];
        let said = words(&stack).unwrap();
        assert_eq!(
            said,
            "unexpected fault address 0x7f5d8e866000, in go.etcd.io/bbolt.(*node).read"
        );
        let message = in_plain_words(ExecutorKind::PodmanRootful, "cut", Some(&said));
        assert!(message.starts_with("podman's database is damaged; by hand: "), "{message}");
        assert_eq!(words(&["panic: at once"]).as_deref(), Some("panic: at once"));
    }

    #[test]
    fn the_last_run_is_read_from_the_journal_newest_first() {
        let entry = |message: Value, stream: &str| {
            serde_json::json!({"MESSAGE": message, "_STREAM_ID": stream, "__CURSOR": "s=9"})
                .to_string()
        };
        let bytes: Vec<u8> = format!("Error: \u{1b}[31m{BOLT}").into_bytes();
        let journal = [
            entry(serde_json::json!(bytes), "b"),
            entry(Value::Null, "b"),
            entry(STARTS.into(), "b"),
            entry("Error: of an older run".into(), "a"),
            "{\"MESSAGE\":\"cut".to_owned(),
        ];
        let mut said = of_journal(journal.join("\n").as_bytes());
        assert_eq!(said, Some(format!(" [31m{BOLT}")), "no control character is passed on");
        // It has been started once more meanwhile, and has said nothing yet.
        let started = [&[entry(STARTS.into(), "c")], &journal[..]].concat();
        said = of_journal(started.join("\n").as_bytes());
        assert_eq!(said, Some(format!(" [31m{BOLT}")), "no control character is passed on");
        for nothing in ["", "-- No entries --", "[]", &entry(SERVING.into(), "a"), "\n\n"] {
            assert_eq!(of_journal(nothing.as_bytes()), None, "{nothing}");
        }
    }

    #[test]
    fn endless_messages_are_cut_and_the_remedy_stays_whole() {
        let endless = format!("Error: bolt_state.db: invalid database {}", "x ".repeat(5_000));
        let said = words(&[&endless]).unwrap();
        assert_eq!(said.chars().count(), MAX_WORDS);
        for kind in [ExecutorKind::PodmanRootful, ExecutorKind::PodmanRootless] {
            let message = in_plain_words(kind, "refused", Some(&said));
            assert!(
                message.contains("--external --quiet) (podman says: bolt_state.db"),
                "{message}"
            );
        }
    }

    #[test]
    fn what_keeps_podman_from_starting_is_reported_with_the_remedy() {
        let rootful = ExecutorKind::PodmanRootful;
        for (said, what, way_out) in [
            (BOLT, "podman's database is damaged", "libpod/bolt_state.db{,.damaged}"),
            (
                "beginning transaction: file is not a database",
                "podman's database is damaged",
                "storage/db.sql{,.damaged}",
            ),
            (
                "beginning transaction: database disk image is malformed",
                "podman's database is damaged",
                "podman rm --force",
            ),
            (
                "configure storage: loading \"/s/overlay-images/images.json\": []*storage.Image: decode slice: expect [ or n",
                "a list in podman's storage is damaged",
                "overlay-images/images.json{,.damaged}",
            ),
            (
                "configure storage: loading \"/s/overlay-containers/containers.json\": []*storage.Container: decode slice: expect [",
                "a list in podman's storage is damaged",
                "overlay-containers/containers.json{,.damaged}",
            ),
            (
                "creating runtime: write /s/bolt_state.db: no space left on device",
                "the disk is full",
                "free some of it",
            ),
            (
                "beginning transaction: database or disk is full",
                "the disk is full",
                "free some of it",
            ),
            (
                "mkdir /var/lib/containers: read-only file system",
                "podman's storage is on a disk that is read-only",
                "writable",
            ),
            (
                "mkdir /s/libpod: permission denied",
                "podman may not use what it needs",
                "give what it names back",
            ),
            (
                "configure storage: prior storage driver vfs failed: driver not supported",
                "podman's storage was made with another driver",
                "storage.conf",
            ),
            (
                "User-selected graph driver \"vfs\" overwritten by graph driver \"overlay\" from database",
                "podman's storage was made with another driver",
                "storage.conf",
            ),
            (
                "Failed to obtain podman configuration: toml: line 5",
                "podman's settings cannot be used",
                "mend the file that it names",
            ),
            (
                "unsupported network backend \"nope\", check network_backend in containers.conf",
                "podman's settings cannot be used",
                "mend the file",
            ),
        ] {
            let message = in_plain_words(rootful, "connection refused", Some(said));
            assert!(message.starts_with(what), "{message}");
            assert!(message.contains(way_out), "{message}");
            let is_database = what.contains("database");
            let last = match is_database {
                true => "podman rm --force $(podman ps --all --external --quiet)",
                false => "systemctl start podman.socket",
            };
            assert!(message.ends_with(&format!(", {last} (podman says: {said})")), "{message}");
        }
        let unknown =
            in_plain_words(rootful, "connection refused", Some("unknown event logger type: NOPE"));
        assert_eq!(
            unknown,
            "podman does not start; it says: unknown event logger type: NOPE; once that is mended: \
             systemctl start podman.socket (connection refused)"
        );
        let rootless = in_plain_words(ExecutorKind::PodmanRootless, "x", Some(BOLT));
        assert!(rootless.contains("systemctl --user stop podman.socket"), "{rootless}");
    }

    #[test]
    fn an_answer_that_shows_damage_is_reported_as_damage_and_another_error_stays_as_it_is() {
        let rootful = ExecutorKind::PodmanRootful;
        let listing = "failed to list containers: database disk image is malformed";
        assert!(in_plain_words(rootful, listing, None).starts_with("podman's database is damaged"));
        for error in [
            "failed to list containers: database is locked",
            "failed to connect to podman at /run/podman/podman.sock (is podman.socket enabled?): \
             Permission denied (os error 13)",
            "failed to list containers within 5 s",
        ] {
            assert_eq!(in_plain_words(rootful, error, None), error);
        }
    }
}
