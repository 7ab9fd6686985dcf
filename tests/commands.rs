//! `eval` and `cron` as a shell meets them: every shared case, time zones, exit codes, pipes.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test fail as the test does"
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

const CONDITIONS: &str = include_str!("../grammar/tests/data/conditions.tsv");
const CRON: &str = include_str!("../actors/tests/data/cron.tsv");

/// Returns the command with these arguments, in an environment without anything.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_device-worker-ng"));
    command.args(arguments).env_clear();
    command
}

fn output(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8(bytes.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

/// Returns the rows of a shared table, three columns each.
fn rows(table: &'static str) -> Vec<[&'static str; 3]> {
    let rows = table.lines().filter(|row| !row.starts_with('#') && !row.is_empty());
    rows.map(|row| row.split('\t').collect::<Vec<_>>().try_into().unwrap()).collect()
}

#[test]
fn every_shared_condition_evaluates_as_the_table_says() {
    let rows = rows(CONDITIONS);
    assert_eq!(rows.len(), 53);
    for [expression, metrics, expected] in rows {
        let metrics = metrics.split(' ').filter(|metric| *metric != "-");
        let metrics = metrics.flat_map(|metric| ["--metric", metric]);
        let arguments: Vec<_> = ["eval", expression].into_iter().chain(metrics).collect();
        let output = output(&arguments);
        let lines = lines(&output.stdout);
        let (outcome, code) = match expected {
            "true" => ("true", 0),
            "false" => ("false", 1),
            "unknown" => ("unknown", 2),
            _ => ("error", 3),
        };
        assert_eq!(lines[0].split(':').next(), Some(outcome), "{arguments:?}: {lines:?}");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(lines.len() > 1, "{arguments:?}: nothing says why");
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_condition_and_a_metric_may_begin_with_a_minus() {
    let output = output(&["eval", "-4 < cpu", "--metric", "cpu=-3"]);
    assert_eq!(lines(&output.stdout), ["true", "-4 < cpu is true: cpu = -3"]);
    let output = command(&["eval", "--metric=cpu=-5", "-4 < cpu"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn every_shared_cron_expression_runs_as_the_table_says() {
    let rows = rows(CRON);
    assert_eq!(rows.len(), 86);
    for [expression, from, expected] in rows {
        // Where no run is expected the table names no start.
        let from = if from == "-" { "2026-11-23T09:59:30Z" } else { from };
        let arguments = ["cron", expression, "--from", from, "--count", "3", "--utc"];
        let output = output(&arguments);
        let (runs, code) = match expected {
            "never" => ("never", 1),
            "error" => ("", 3),
            runs => (runs, 0),
        };
        assert_eq!(lines(&output.stdout).join(" "), runs, "{arguments:?}");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert_eq!(output.stderr.is_empty(), code == 0 && !expression.contains('\\'));
    }
}

#[test]
fn cron_runs_by_the_local_clock_over_a_clock_change() {
    let runs = |expression, from, zone| {
        let arguments = ["cron", expression, "--from", from, "--count", "3"];
        let output = command(&arguments).env("TZ", zone).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        lines(&output.stdout)
    };
    // 02:00 to 03:00 is skipped on 28 March 2027, and passed twice on 31 October 2027.
    assert_eq!(
        runs("30 2 * * *", "2027-03-27T12:00:00+01:00", "Europe/Berlin"),
        ["2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00", "2027-03-30T02:30:00+02:00"]
    );
    assert_eq!(
        runs("30 2 * * *", "2027-10-30T12:00:00+02:00", "Europe/Berlin"),
        ["2027-10-31T02:30:00+02:00", "2027-11-01T02:30:00+01:00", "2027-11-02T02:30:00+01:00"]
    );
    assert_eq!(
        runs("30 * * * *", "2027-10-31T02:00:00+02:00", "Europe/Berlin"),
        ["2027-10-31T02:30:00+02:00", "2027-10-31T02:30:00+01:00", "2027-10-31T03:30:00+01:00"]
    );
    assert_eq!(runs("0 12 * * *", "2027-03-27T12:00:00Z", "UTC")[0], "2027-03-28T12:00:00+00:00");
}

#[test]
fn the_next_runs_start_now_and_are_five() {
    let output = output(&["cron", "* * * * *", "--utc"]);
    assert_eq!(lines(&output.stdout).len(), 5);
}

#[test]
fn what_is_wrong_with_a_cron_expression_is_shown_with_carets() {
    let output = output(&["cron", "0 25 * * *"]);
    let errors = lines(&output.stderr);
    assert!(errors[0].starts_with("error: failed to read the cron expression: hour, column 3"));
    assert_eq!(errors[1..], ["0 25 * * *", "  ^^"]);
}

#[test]
fn wrong_usage_has_an_exit_code_of_its_own() {
    for (arguments, code) in [
        (&["eval"][..], 3),
        (&["eval", "x > 1", "--metric"], 3),
        (&["eval", "x > 1", "--metric", "x=1.2.3"], 3),
        (&["eval", "x > 1", "--unknown"], 3),
        (&["cron"], 2),
        (&["cron", "* * * * *", "--count", "0"], 2),
        (&["cron", "* * * * *", "--from", "yesterday"], 2),
        (&["eval", "--help"], 0),
        (&["cron", "--help"], 0),
    ] {
        assert_eq!(output(arguments).status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    // Far more than a pipe holds, so that the writer meets its closed end.
    let mut child = command(&["cron", "* * * * *", "--count", "10000", "--utc"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.ends_with("Z\n"), "{line}");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(lines(&output.stderr), Vec::<String>::new());
}

#[test]
fn logs_say_where_they_looked_and_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let logs = |words: &[&str]| {
        let mut command = command(words);
        command.env("EDGE_DEVICE_PODMAN_SOCKET", "/nonexistent/podman.sock");
        let output = command.env("RUNTIME_DIRECTORY", folder.path()).output().unwrap();
        (output.status.code(), lines(&output.stdout), lines(&output.stderr))
    };
    let (code, _, error) = logs(&["logs", "web"]);
    assert_eq!(code, Some(3));
    let start = "error: no runtime says whether it has workload web: failed to connect to podman at \
                 /nonexistent/podman.sock";
    assert!(error[0].starts_with(start), "{error:?}");
    let (code, _, error) = logs(&["logs", "web", "--previous"]);
    assert_eq!(code, Some(1));
    assert!(error[0].starts_with("error: no failed run of web is kept in"), "{error:?}");

    let kept = folder.path().join("kept-logs/podman_rootful");
    std::fs::create_dir_all(&kept).unwrap();
    let log = "2027-01-15T08:00:00Z one\\n2027-01-15T08:00:01Z two\\n";
    let run = format!(
        r#"{{"workload":"web","id":"web-01","kept_at":"2027-01-15T08:00:02Z","containers":[
            {{"name":"app","exit_code":1,"log":"{log}"}},
            {{"name":"proxy","exit_code":null,"log":"2027-01-15T08:00:00Z up\n"}}]}}"#
    );
    std::fs::write(kept.join("1800000002000-web-01.json"), run).unwrap();
    let (code, shown, told) = logs(&["logs", "web", "--previous"]);
    assert_eq!(
        (code, &shown[..]),
        (Some(0), &["[app] one", "[app] two", "[proxy] up"].map(String::from)[..])
    );
    assert_eq!(told, ["run of web-01 until 2027-01-15T08:00:02Z: app ended with exit code 1"]);
    let (_, shown, _) = logs(&[
        "logs",
        "web",
        "--previous",
        "-c",
        "app",
        "--since",
        "2027-01-15T08:00:01Z",
        "--timestamps",
    ]);
    assert_eq!(shown, ["2027-01-15T08:00:01Z two"]);
    let (code, _, error) = logs(&["logs", "web", "--previous", "-c", "db"]);
    assert_eq!(
        (code, &error[0][..]),
        (Some(1), "error: workload web has no container db, but these: app, proxy")
    );
    for words in
        [&["logs"][..], &["logs", "web", "-f", "--previous"], &["logs", "web", "--since", "x"]]
    {
        assert_eq!(logs(words).0, Some(2), "{words:?}");
    }
}
