//! The binary as people and service managers meet it: usage, messages, exit codes, log lines.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test fail as the test does"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use device_worker_ng::settings;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A directory with all that a configuration refers to, and the words to start the agent in it.
struct Device(TempDir);

fn device() -> Device {
    let device = Device(tempfile::tempdir().unwrap());
    let pair = rcgen::generate_simple_self_signed(["edge".to_owned()]).unwrap();
    device.write("ca.pem", &pair.cert.pem());
    device.write("cert.pem", &pair.cert.pem());
    device.write("key.pem", &pair.signing_key.serialize_pem());
    fs::create_dir(device.path("manifests")).unwrap();
    device
}

impl Device {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes the file of a device without a server, with `more` from line 4 on.
    fn configure(&self, more: &str) {
        let text = "MANIFESTS: manifests\nDEVICE_ID: toto\nSTATE_DIR: state\n";
        self.write("config.yaml", &format!("{text}{more}"));
    }

    /// Returns the agent's command line, in an environment without anything.
    fn agent(&self, words: &str) -> Command {
        let mut agent = Command::new(env!("CARGO_BIN_EXE_device-worker-ng"));
        agent.args(words.split_whitespace()).current_dir(self.0.path()).env_clear();
        agent
    }

    fn start(&self, words: &str) -> Running {
        let mut child =
            self.agent(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = child.stdout.take().map(BufReader::new);
        Running { child, lines }
    }
}

/// An agent that runs; killed when dropped.
struct Running {
    child: Child,
    /// Its standard output, until the test closes it.
    lines: Option<BufReader<ChildStdout>>,
}

impl Running {
    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.as_mut().unwrap().read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Reads on until a line with this message.
    fn until(&mut self, message: &str) -> Value {
        loop {
            let line = self.line();
            if line["message"] == message {
                return line;
            }
        }
    }

    /// Closes the reading end of its standard output.
    fn close_output(&mut self) {
        self.lines = None;
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Returns the exit code and what was written to standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code(), errors)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn help_lists_every_flag_with_its_variable() {
    for words in ["--help", "run --help", "check --help"] {
        let output = device().agent(words).output().unwrap();
        assert_eq!(code(&output), Some(0));
        let help = text(&output.stdout);
        assert!(help.contains("--config <FILE>"), "{help}");
        for setting in settings::ALL {
            assert!(help.contains(&format!("--{} <", setting.flag())), "{help}");
            assert!(help.contains(&setting.variable()), "{help}");
            assert!(help.contains(&format!("{}:", setting.group.heading())), "{help}");
        }
    }
}

#[test]
fn the_version_is_the_packages() {
    let output = device().agent("--version").output().unwrap();
    assert_eq!(code(&output), Some(0));
    let expected = format!("device-worker-ng {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn wrong_usage_ends_with_two_and_a_hint() {
    for (words, hint) in [
        ("--sever https://edge:1", "--server"),
        ("chek", "check"),
        ("--config", "value is required"),
    ] {
        let output = device().agent(words).output().unwrap();
        assert_eq!(code(&output), Some(2), "{words}");
        let error = text(&output.stderr);
        assert!(error.contains(hint), "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn check_shows_what_counts_and_where_it_comes_from() {
    let device = device();
    device.configure("LOG_LEVEL: warn\n");
    let output = device
        .agent("check --config config.yaml --log-format pretty")
        .env("EDGE_DEVICE_NAMESPACE", "edge")
        .output()
        .unwrap();
    assert_eq!((code(&output), text(&output.stderr)), (Some(0), String::new()));
    let report = text(&output.stdout);
    assert!(report.starts_with("configuration is good\n"), "{report}");
    let lines: Vec<Vec<_>> = report.lines().map(|line| line.split_whitespace().collect()).collect();
    for line in [
        ["LOG_LEVEL", "warn", "(config.yaml:4)"],
        ["LOG_FORMAT", "pretty", "(--log-format)"],
        ["NAMESPACE", "edge", "(EDGE_DEVICE_NAMESPACE)"],
        ["START_BUDGET", "4", "(default)"],
        ["SERVER", "not", "set"],
    ] {
        assert!(lines.iter().any(|seen| *seen == line), "{line:?} in {report}");
    }
}

const DEVICE: &str = "\
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeDevice
metadata: {name: toto}
spec: {profiles: [{name: load, conditions: [{name: calm, expression: cpu < 50%}]}]}
";
const WORKLOAD: &str = "\
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata: {name: web}
spec:
  profiles: [{name: load, conditions: [{name: calm}]}]
  type: pod
  pod: {spec: {containers: [{name: web, image: \"web:1\"}]}}
";

#[test]
fn check_reads_the_manifests() {
    let device = device();
    device.configure("");
    device.write("manifests/device.yaml", DEVICE);
    device.write("manifests/web.yaml", WORKLOAD);
    let output = device.agent("check --config config.yaml").output().unwrap();
    assert_eq!((code(&output), text(&output.stderr)), (Some(0), String::new()));
    let report = text(&output.stdout);
    assert!(report.ends_with("manifests are good: 1 workload, 1 profile\n"), "{report}");
}

#[test]
fn check_reports_each_problem_of_the_manifests() {
    for (file, from, to, expected) in [
        ("web", "metadata", "[", "  web.yaml: it is not YAML: "),
        ("web", "type: pod", "type: pdo", "  workload web: web.yaml: its kind \"pdo\" is unknown"),
        ("web", "name: load", "name: lod", "  workload web: the device has no profile lod"),
        (
            "web",
            "{name: calm}",
            "{name: calm}, {name: idle}",
            "  workload web: profile load of the device has no condition idle",
        ),
        (
            "web",
            "image: \"web:1\"",
            "image: \"web:1\", livenessProbe: {grpc: {port: 50051}}",
            "  workload web: web.yaml: livenessProbe of container web: grpc is not supported on podman; \
             use exec with a client in the image, httpGet or tcpSocket",
        ),
        ("device", "cpu < 50%", "cpu <> 50%", "  profile load, condition calm: column 6: found "),
        ("device", "toto", "titi", "  device.yaml: it describes device \"titi\", and no file"),
    ] {
        let device = device();
        device.configure("");
        for (name, text) in [("device", DEVICE), ("web", WORKLOAD)] {
            let broken = if name == file { text.replace(from, to) } else { text.to_owned() };
            device.write(&format!("manifests/{name}.yaml"), &broken);
        }
        let output = device.agent("check --config config.yaml").output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(code(&output), Some(2), "{error}");
        let (head, problems) = error.split_once('\n').unwrap();
        assert!(head.starts_with("the manifests have "), "{error}");
        assert!(problems.lines().any(|line| line.starts_with(expected)), "{expected} in {error}");
    }
}

#[test]
fn check_notes_a_metric_that_conditions_compare_with_and_without_a_unit() {
    let device = device();
    device.configure("");
    let both = DEVICE.replace("cpu < 50%", "cpu < 50% || cpu > 90 && cpu != 0");
    device.write("manifests/device.yaml", &both);
    device.write("manifests/web.yaml", WORKLOAD);
    let output = device.agent("check --config config.yaml").output().unwrap();
    let notice = "notice: profile load, condition calm: it compares cpu with 90, without a unit, and \
                  profile load, condition calm with 50%: no sample fits both; write a unit in both\n";
    assert_eq!((code(&output), text(&output.stderr)), (Some(0), notice.to_owned()));
}

#[test]
fn several_problems_are_reported_at_once_by_check_and_by_run() {
    for command in ["check", "run", ""] {
        let device = device();
        device.write("config.yaml", "SERVER: http://edge\nLOG_LEVEL: loud\n");
        let output = device
            .agent(&format!("{command} --config config.yaml --start-budget none"))
            .env("EDGE_DEVICE_STATE_DIR", "state")
            .env("EDGE_DEVICE_METRIC_TTL", "-1")
            .output()
            .unwrap();
        assert_eq!(code(&output), Some(2));
        let error = text(&output.stderr);
        for problem in [
            "SERVER (config.yaml:1): ",
            "LOG_LEVEL (config.yaml:2): ",
            "START_BUDGET (--start-budget): ",
            "METRIC_TTL (EDGE_DEVICE_METRIC_TTL): ",
            "CA_ROOT: is needed with SERVER",
        ] {
            assert!(error.contains(problem), "{problem} in {error}");
        }
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_known_one() {
    let device = device();
    device.configure("LOGLEVEL: debug\n");
    let output = device.agent("check --config config.yaml").output().unwrap();
    assert_eq!(code(&output), Some(0));
    let expected = "warning: LOGLEVEL (config.yaml:4): \
        is no setting and was ignored; did you mean LOG_LEVEL?\n";
    assert_eq!(text(&output.stderr), expected);
}

#[test]
fn a_missing_file_ends_with_two_and_the_way_out() {
    let output = device().agent("--config nowhere.yaml").output().unwrap();
    assert_eq!(code(&output), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains("nowhere.yaml: the file does not exist"), "{error}");
    assert!(error.contains("config.yaml.example"), "{error}");
}

#[test]
fn the_seeds_variables_are_enough() {
    let output = device()
        .agent("check")
        .env("EDGE_DEVICE_CA_ROOT", "ca.pem")
        .env("EDGE_DEVICE_CERT", "cert.pem")
        .env("EDGE_DEVICE_KEY", "key.pem")
        .env("EDGE_DEVICE_SERVER", "https://127.0.0.1:8043")
        .env("EDGE_DEVICE_STATE_DIR", "state")
        .output()
        .unwrap();
    assert_eq!((code(&output), text(&output.stderr)), (Some(0), String::new()));
    assert!(!text(&output.stdout).contains("PRIVATE"));
}

#[test]
fn the_environment_beats_the_file_and_a_flag_beats_both() {
    let device = device();
    device.configure("LOG_LEVEL: warn\n");
    let shown = |words: &str| {
        let mut agent = device.agent(words);
        let output = agent.env("EDGE_DEVICE_LOG_LEVEL", "debug").output().unwrap();
        text(&output.stdout)
    };
    let seen = shown("check --config config.yaml");
    assert!(seen.contains(" debug  (EDGE_DEVICE_LOG_LEVEL)"), "{seen}");
    for words in [
        "check --config config.yaml --log-level trace",
        "--log-level trace check --config config.yaml",
        "--log-level error check --config config.yaml --log-level trace",
    ] {
        let seen = shown(words);
        assert!(seen.contains(" trace  (--log-level)"), "{seen}");
    }
}

#[test]
fn log_lines_are_json_with_the_fixed_keys_and_a_signal_ends_the_agent_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let device = device();
        device.configure("wibble: 1\n");
        let mut agent = device.start("--config config.yaml");
        loop {
            let line = agent.line();
            for key in ["time", "severity", "message", "target"] {
                assert!(line[key].is_string(), "{key} in {line}");
            }
            if line["message"] == "agent started" {
                break;
            }
            let warning = line["error"].as_str().unwrap_or_default();
            assert!(warning.starts_with("wibble (config.yaml:4)"), "{line}");
            assert_eq!(line["severity"], "WARN");
        }
        agent.signal(signal);
        assert_eq!(agent.end(), (Some(0), String::new()));
    }
}

#[test]
fn a_hang_up_reads_the_log_level_again() {
    let device = device();
    device.configure("LOG_LEVEL: info\n");
    let mut agent = device.start("run --config config.yaml");
    agent.until("agent started");
    device.configure("LOG_LEVEL: debug\n");
    agent.signal(Signal::HUP);
    assert_eq!(agent.until("log level was read again")["level"], "debug");
    device.configure("LOG_LEVEL: loud\n");
    agent.signal(Signal::HUP);
    let refused = agent.until("log level was not changed");
    assert!(refused["error"].as_str().unwrap().contains("loud"), "{refused}");
    agent.signal(Signal::TERM);
    assert_eq!(agent.end().0, Some(0));
}

#[test]
fn a_closed_pipe_does_not_end_the_agent() {
    let device = device();
    device.configure("");
    let mut agent = device.start("--config config.yaml");
    agent.until("agent started");
    agent.close_output();
    // Makes it write a line that is never read.
    agent.signal(Signal::HUP);
    agent.signal(Signal::TERM);
    assert_eq!(agent.end(), (Some(0), String::new()));
}

#[test]
fn a_service_manager_is_notified_of_start_and_stop() {
    let device = device();
    device.configure("");
    let path = device.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let heard = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        text(&buffer[..length])
    };
    let child = device
        .agent("--config config.yaml")
        .env("NOTIFY_SOCKET", Path::new(&path))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = |line: &str| while !heard().lines().any(|heard| heard == line) {};
    until("READY=1");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    until("STOPPING=1");
    assert!(child.wait_with_output().unwrap().status.success());
}

#[test]
fn status_shows_the_running_agent_and_says_when_none_runs() {
    let device = device();
    let socket = device.path("agent.sock");
    device.configure(&format!("METRICS_LISTEN: unix:{}\n", socket.display()));
    let status = |words: &str| {
        let output =
            device.agent(&format!("status --config config.yaml {words}")).output().unwrap();
        (code(&output), text(&output.stdout), text(&output.stderr))
    };

    let (code, output, error) = status("");
    assert_eq!((code, output.as_str()), (Some(3), ""));
    assert!(error.starts_with("error: no agent answers at unix:/"), "{error}");
    assert!(!device.path("state").exists(), "a question makes nothing");

    let mut agent = device.start("--config config.yaml");
    agent.until("listener opened");
    let (code, output, error) = status("");
    assert_eq!((code, error.as_str()), (Some(0), ""), "{output}");
    let words: Vec<_> = output.split_whitespace().take(3).collect();
    assert_eq!(words, ["agent", "toto,", "version"], "{output}");
    assert!(!output.contains('\u{1b}'), "there is no terminal: {output}");
    let (code, output, _) = status("--json");
    assert_eq!(code, Some(0));
    let answer: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(actors::testing::status_table::faults(&answer), Vec::<String>::new());
    let (code, _, error) = status("web");
    assert_eq!(
        (code, error.as_str()),
        (Some(1), "error: the agent has no workload web: it has none\n")
    );

    let mut watching = device.start("status --config config.yaml --watch");
    let mut line = String::new();
    watching.lines.as_mut().unwrap().read_line(&mut line).unwrap();
    assert!(line.contains("toto, version"), "{line}");
}

#[test]
fn lines_begin_with_their_priority_when_the_journal_reads_them() {
    for (is_journal, start) in [(true, "<6>{"), (false, "{")] {
        let device = device();
        device.configure("");
        let (reader, writer) = std::io::pipe().unwrap();
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        let stream = rustix::fs::fstat(&writer).unwrap();
        // What systemd says of the stream that it gave to the service.
        let inode = if is_journal { stream.st_ino } else { stream.st_ino + 1 };
        let mut agent = device.agent("--config config.yaml --metrics-listen 127.0.0.1:0");
        agent.env("JOURNAL_STREAM", format!("{}:{inode}", stream.st_dev));
        let child = agent.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        // Else the stream would not end with the agent.
        drop(agent);
        let _running = Running { child, lines: None };
        let mut line = String::new();
        BufReader::new(fs::File::from(reader)).read_line(&mut line).unwrap();
        assert!(line.starts_with(start), "{line}");
    }
}

/// The samples of the README of device-worker-ng, as they are.
const SAMPLES: [(&str, &str); 3] = [
    (
        "cron.yaml",
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata:\n  name: \
         workload2\nspec:\n  deviceSelector:\n    matchLabels:\n      device: toto\n  type: pod\n  \
         cron: *\\1 * * * *\n  pod:\n    spec:\n      containers:\n        - name: work\n          \
         image: quay.io/ctupangiu/cron-workload:latest\n",
    ),
    (
        "device.yaml",
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata:\n  labels:\n    \
         app: camera\n    name: toto\n    namespace: default\nspec:\n  heartbeat:\n    \
         periodSeconds: 2\n    profiles:\n      - name: test\n        conditions:\n          - name: \
         \"off\"\n            expression: \"x<3% || x == nil\"\n          - name: \
         \"another_one\"\n            expression: \"y>3\"\n",
    ),
    (
        "nginx.yaml",
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata:\n  name: \
         nginx-rootfull\nspec:\n  deviceSelector:\n    matchLabels:\n      app: camera\n    \
         profiles:\n    \t- name: \"test\"\n        conditions:\n          - \"off\"\n  type: k8s\n  \
         pod:\n    spec:\n      containers:\n        - name: nginx1\n          image: \
         quay.io/project-flotta/nginx:1.21.6\n",
    ),
];

fn with_samples() -> Device {
    let device = device();
    device.configure("");
    for (name, text) in SAMPLES {
        device.write(&format!("manifests/{name}"), text);
    }
    device
}

#[test]
fn the_samples_of_device_worker_ng_are_good_and_it_is_told_how_they_were_read() {
    let output = with_samples().agent("check --config config.yaml").output().unwrap();
    let error = text(&output.stderr);
    assert_eq!(code(&output), Some(0), "{error}");
    for notice in [
        "notice: cron.yaml: the cron in line 10 starts with *, read as text; quote it",
        "notice: cron.yaml: workload \"workload2\" is for other devices: the device has no label device, \
         and \"toto\" is wanted",
        "notice: device.yaml: metadata.labels.name is read as metadata.name; write it so",
        "notice: nginx.yaml: line 10 is indented with a TAB, read as blanks; use blanks",
        "notice: nginx.yaml: spec.deviceSelector.profiles is read as spec.profiles; write it so",
    ] {
        assert!(error.lines().any(|line| line == notice), "{notice} in {error}");
    }
    assert_eq!(error.lines().count(), 5, "{error}");
}

#[test]
fn check_is_strict_and_answers_in_json_when_asked() {
    let device = with_samples();
    let output = device.agent("check --config config.yaml --strict").output().unwrap();
    assert_eq!(code(&output), Some(2));
    let error = text(&output.stderr);
    assert!(error.starts_with("the manifests have 5 problems:\n"), "{error}");

    let output = device.agent("check --config config.yaml --json").output().unwrap();
    assert_eq!((code(&output), text(&output.stderr)), (Some(0), String::new()));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["good"], true);
    assert_eq!(answer["problems"].as_array().unwrap().len(), 0);
    assert_eq!(answer["notices"].as_array().unwrap().len(), 5);
    assert_eq!((&answer["workloads"], &answer["profiles"]), (&1.into(), &1.into()));
    assert_eq!(answer["settings"]["DEVICE_ID"]["value"], "toto");

    let text_of = WORKLOAD.replace("profiles:", "profile:");
    device.write("manifests/web.yaml", &text_of);
    let output = device.agent("check --config config.yaml --json").output().unwrap();
    assert_eq!(code(&output), Some(2));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["good"], false);
    let reasons: Vec<_> =
        answer["problems"].as_array().unwrap().iter().map(|it| it["reason"].clone()).collect();
    assert_eq!(reasons, ["FieldUnknown", "WorkloadRejected"]);
    assert_eq!(answer["problems"][1]["workload"], "web");
}

/// What the cluster or podman would refuse, each in a workload of its own.
#[test]
fn check_finds_what_would_be_refused_at_the_start() {
    let device = device();
    device.configure("");
    let workload = |name: &str, spec: &str, pod: &str| {
        format!(
            "kind: EdgeWorkload\nmetadata: {{name: {name}}}\nspec:\n{spec}  pod:\n    spec:\n{pod}      \
             containers:\n      - {{name: a, image: 'busybox:1.37'}}\n"
        )
    };
    let mount = "      volumes: [{name: v, nfs: {server: s, path: /p}}]\n";
    let modes = "      volumes: [{name: v, configMap: {name: m, defaultMode: 600}}]\n";
    device.write("manifests/m.yaml", "kind: ConfigMap\nmetadata: {name: m}\ndata: {a: b}\n");
    let sidecar = "      initContainers: [{name: b, image: i, restartPolicy: Always}]\n";
    let hook = "      initContainers: [{name: b, image: i, lifecycle: {preStop: {sleep: {seconds: 1}}}}]\n";
    for (name, spec, pod, told) in [
        ("range", "  cron: '61 * * * *'\n", "", "its cron: "),
        ("zone", "  cron: 'CRON_TZ=Europe/Berlin 0 4 * * *'\n", "", "its cron: "),
        ("reboot", "  cron: '@reboot'\n", "", "its cron: "),
        ("seconds", "  cron: '0 0 4 * * *'\n", "", "its cron: "),
        ("nfs", "", mount, "volume v is of kind nfs; on podman there are emptyDir"),
        ("mode", "", modes, "0777 octal"),
        ("sidecar", "", sidecar, "podman has no sidecars"),
        ("hook", "", hook, "lifecycle.preStop of container b: init containers run to their end"),
    ] {
        device.write("manifests/w.yaml", &workload(name, spec, pod));
        let output = device.agent("check --config config.yaml").output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(code(&output), Some(2), "{name}: {error}");
        let start = format!("  workload {name}: ");
        let is_told = |line: &str| line.starts_with(&start) && line.contains(told);
        assert!(error.lines().any(is_told), "{name}: {error}");
    }
}
