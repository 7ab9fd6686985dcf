//! Tests of logging, through the real subscriber.

use std::sync::Arc;

use chrono::DateTime;
use serde_json::{Value, json};
use tracing::{debug, info, info_span, warn};

use super::*;

/// Output that a test can read.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn objects(&self) -> Vec<Value> {
        let text = self.text();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn level(text: &str) -> LogLevel {
    text.parse().unwrap()
}

/// Runs `work` with a subscriber of its own and returns what it wrote.
fn written(look: Look, log_level: &str, work: impl FnOnce(&LogHandle)) -> Paper {
    written_to(look, false, log_level, work)
}

fn written_to(
    look: Look,
    priorities: bool,
    log_level: &str,
    work: impl FnOnce(&LogHandle),
) -> Paper {
    let paper = Paper::default();
    let output = Output { look, priorities, stream: paper.clone() };
    let (subscriber, handle) = subscriber(&level(log_level), output).unwrap();
    tracing::subscriber::with_default(subscriber, || work(&handle));
    paper
}

fn objects(work: impl FnOnce()) -> Vec<Value> {
    written(Look::Json, "trace", |_| work()).objects()
}

#[test]
fn a_line_begins_with_the_fixed_keys_in_order() {
    let paper = written(Look::Json, "info", |_| info!(workload = "web", "pod started"));
    let text = paper.text();
    let shape = text.strip_prefix("{\"time\":\"").unwrap();
    let (time, rest) = shape.split_once('"').unwrap();
    assert!(time.ends_with('Z') && time.len() == "2026-01-01T00:00:00.000Z".len(), "{time}");
    assert!(DateTime::parse_from_rfc3339(time).is_ok());
    assert_eq!(
        rest,
        ",\"severity\":\"INFO\",\"message\":\"pod started\",\
         \"target\":\"device_worker_ng::logging::tests\",\"workload\":\"web\"}\n"
    );
}

#[test]
fn fields_keep_their_types() {
    let error = io::Error::other("boom");
    let seen = objects(|| {
        info!(
            whole = 7,
            negative = -7,
            large = u128::MAX,
            share = 0.5,
            odd = f64::NAN,
            yes = true,
            shown = %"a b",
            debugged = ?Some("x"),
            absent = Option::<u64>::None,
            error = &error as &dyn std::error::Error,
            "done"
        );
    });
    let mut expected = seen[0].clone();
    for (name, value) in [
        ("whole", json!(7)),
        ("negative", json!(-7)),
        ("large", json!(u128::MAX.to_string())),
        ("share", json!(0.5)),
        ("odd", json!("NaN")),
        ("yes", json!(true)),
        ("shown", json!("a b")),
        ("debugged", json!("Some(\"x\")")),
        ("error", json!("boom")),
    ] {
        expected[name] = value;
    }
    assert_eq!(seen[0], expected);
    assert_eq!(seen[0].get("absent"), None);
}

#[test]
fn span_fields_are_flattened_and_the_innermost_wins() {
    let seen = objects(|| {
        let outer =
            info_span!("actor", actor = "scheduler", step = "outer", late = tracing::field::Empty);
        outer.record("late", 1);
        let _outer = outer.entered();
        let _inner = info_span!("command", step = "inner", job_id = "web-1").entered();
        info!(job_id = "web-2", "worked");
    });
    for (name, value) in [
        ("actor", json!("scheduler")),
        ("step", json!("inner")),
        ("job_id", json!("web-2")),
        ("late", json!(1)),
    ] {
        assert_eq!(seen[0][name], value, "{name}");
    }
}

#[test]
fn a_field_with_a_fixed_name_stands_beside_it() {
    let seen = objects(|| info!(target = "Running", time = 5, "planned"));
    assert_eq!(seen[0]["target"], "device_worker_ng::logging::tests");
    assert_eq!(seen[0]["field_target"], "Running");
    assert_eq!(seen[0]["field_time"], 5);
}

#[test]
fn a_field_named_message_does_not_displace_the_text() {
    let seen = objects(|| warn!(message = "field", "text"));
    assert_eq!(seen[0]["message"], "text");
    assert_eq!(seen[0]["field_message"], "field");
}

#[test]
fn text_with_quotes_and_line_breaks_is_one_line() {
    let nasty = "a \"b\"\n\u{1b}[31m{\"c\":1}\u{2028}é";
    let json = written(Look::Json, "info", |_| info!(error = nasty, "failed"));
    assert_eq!(json.text().lines().count(), 1);
    assert_eq!(json.objects()[0]["error"], nasty);
    let pretty = written(Look::Pretty { colour: false }, "info", |_| {
        info!(error = nasty, "failed");
    });
    assert_eq!(pretty.text().lines().count(), 1);
    assert!(!pretty.text().contains('\u{1b}'));
}

#[test]
fn no_text_commands_the_terminal_that_shows_the_log() {
    let nasty =
        "\u{1b}[2J\u{7}\u{7f}\u{9b}31m\u{85}\u{202e}gpj.\u{2066}\u{feff}\u{e0041}\n\r\u{2029}é";
    for look in [Look::Json, Look::Pretty { colour: false }] {
        let paper = written(look, "info", |_| {
            let _span = info_span!("command", workload = nasty).entered();
            info!(error = nasty, debugged = ?nasty, shown = %nasty, "{nasty}");
        });
        let text = paper.text();
        let line = text.strip_suffix('\n').unwrap();
        assert!(line.chars().all(grammar::is_printable), "{line:?}");
        assert!(line.contains('é'));
        if look == Look::Json {
            let object = &paper.objects()[0];
            for name in ["message", "error", "shown", "workload"] {
                assert_eq!(object[name], nasty, "{name}");
            }
        }
    }
}

#[test]
fn a_text_without_end_is_cut() {
    let paper = written(Look::Json, "info", |_| {
        info!(workload = "ü".repeat(3_000_000), detail = "short", "found");
    });
    let object = &paper.objects()[0];
    let workload = object["workload"].as_str().unwrap();
    assert_eq!((workload.chars().count(), workload.ends_with("ü…")), (8_192, true));
    assert_eq!(object["detail"], "short");
}

#[test]
fn pretty_lines_are_for_people() {
    let paper = written(Look::Pretty { colour: false }, "info", |_| {
        warn!(workload = "web", reason = "no such image", attempt = 2, "pull failed");
    });
    let text = paper.text();
    let (_, rest) = text.split_once("Z ").unwrap();
    assert_eq!(rest, " WARN pull failed workload=web reason=\"no such image\" attempt=2\n");
}

#[test]
fn the_journal_reads_a_priority_before_each_line() {
    for (look, start) in [(Look::Json, "{\"time\":\""), (Look::Pretty { colour: false }, "20")] {
        let paper = written_to(look, true, "debug", |_| {
            warn!("first");
            debug!("second");
        });
        let text = paper.text();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].strip_prefix("<4>").is_some_and(|it| it.starts_with(start)), "{text}");
        assert!(lines[1].strip_prefix("<7>").is_some_and(|it| it.starts_with(start)), "{text}");
    }
}

#[test]
fn colour_is_only_in_coloured_lines() {
    let paper = written(Look::Pretty { colour: true }, "info", |_| info!("started"));
    assert!(paper.text().contains("\x1b[32m INFO\x1b[0m started"));
}

#[test]
fn the_level_can_be_changed_while_the_agent_runs() {
    let paper = written(Look::Json, "info", |handle| {
        debug!("first");
        handle.set_level(&level("debug")).unwrap();
        debug!("second");
        handle.set_level(&level("off")).unwrap();
        warn!("third");
    });
    let seen = paper.objects();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["message"], "second");
}

#[test]
fn a_level_may_be_set_for_one_target_and_libraries_stay_quiet() {
    let paper = written(Look::Json, "info,special=trace", |_| {
        debug!(target: "special", "kept");
        debug!("dropped");
        info!(target: "hyper", "dropped");
        warn!(target: "hyper", "kept");
    });
    let messages: Vec<_> = paper.objects().iter().map(|o| o["message"].clone()).collect();
    assert_eq!(messages, ["kept", "kept"]);
}

/// Output whose reader went away.
struct ClosedPipe;

impl Write for ClosedPipe {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

#[test]
fn a_closed_pipe_is_survived() {
    let output = Output { look: Look::Json, priorities: false, stream: ClosedPipe };
    let (subscriber, _handle) = subscriber(&level("info"), output).unwrap();
    tracing::subscriber::with_default(subscriber, || info!("lost"));
}

#[test]
fn a_panic_is_logged_with_its_place() {
    let paper = written(Look::Json, "info", |_| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(log_panic));
        let caught = std::panic::catch_unwind(|| panic!("out of {}", "luck"));
        std::panic::set_hook(previous);
        assert!(caught.is_err());
    });
    let seen = paper.objects();
    let line = seen.iter().find(|line| line["error"] == "out of luck").unwrap();
    assert_eq!(line["message"], "panicked");
    assert_eq!(line["severity"], "ERROR");
    assert!(line["location"].as_str().unwrap().contains("logging/tests.rs"));
}
