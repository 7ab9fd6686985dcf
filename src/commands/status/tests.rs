//! What people see of an agent that has everything, of a small one, and of one that is ill.

use actors::podman_executor::KeptLog;
use actors::testing::status_table::faults;
use serde_json::json;

use super::*;

const PLAIN: Paint = Paint { colour: false };

fn status() -> Value {
    let status = json!({
        "schema": 1,
        "time": "2027-01-15T08:00:00.000Z",
        "health": { "state": "degraded", "reasons": ["podman_rootless is being restarted: boom"] },
        "agent": { "version": "1.2.3", "device_id": "cam-01", "uptime_seconds": 7_300 },
        "control_plane": {
            "kind": "server", "place": "https://edge:8043", "stage": "registered",
            "connected_since": "2027-01-15T07:00:00Z", "last_heartbeat": "2027-01-15T07:59:50Z",
            "configuration": { "version": "7", "received_at": null, "changed_at": null,
                "stored_at": "2027-01-13T08:00:00Z", "age_seconds": 172_800 }, "last_error": null, "problems": ["web.yaml does not parse"],
            "certificate": { "expires_at": "2027-01-18T08:00:00Z", "expires_in_seconds": 259_200 },
        },
        "actors": [],
        "runtimes": [
            { "executor": "podman_rootful", "state": "available", "reason": null, "is_needed": true },
            { "executor": "k8s", "state": "unconfigured", "reason": "none", "is_needed": false },
        ],
        "profiles": [
            { "name": "load", "conditions": [
                { "name": "calm", "expression": "cpu < 50%", "verdict": "false",
                  "explanation": "cpu < 50% is false: cpu = 85%" },
                { "name": "idle", "expression": "cpu < 5%", "verdict": "false",
                  "explanation": "cpu < 5% is false: cpu = 85%" },
            ] },
            { "name": "power", "conditions": [
                { "name": "mains", "expression": "battery == nil", "verdict": "true",
                  "explanation": "battery is nil" },
            ] },
        ],
        "metrics": [
            { "name": "cpu", "value": 85.0, "unit": "%", "age_seconds": 1.5, "stale": false },
            { "name": "cpu_max", "value": 9.0, "unit": null, "age_seconds": 200.0, "stale": true },
        ],
        "workloads": [
            workload("camera", json!({
                "status": "stopped", "reason": "profile load: calm is false", "target": "inactive",
                "profiles": [
                    { "name": "load", "conditions": ["calm"] },
                    { "name": "power", "conditions": [] },
                    { "name": "lost", "conditions": [] },
                ],
            })),
            workload("report", json!({
                "status": "deploying", "reason": "waits for its cron", "cron": "*/5 * * * *",
                "next_start": "2027-01-15T08:05:00Z", "next_start_by": "cron",
            })),
            workload("web", json!({
                "status": "crashed", "reason": "web ended with code 1", "restarts": 3,
                "target": "running", "pod": "running", "waits_for": "db",
                "health": [
                    { "container": "main", "state": "unready", "reason": "readinessProbe: HTTP 503" },
                    { "container": "side", "state": "ready", "reason": null },
                ],
                "containers": [
                    { "name": "main", "image": "quay.io/team/web:1", "digest": "sha256:0123" },
                    { "name": "side", "image": "quay.io/team/side@sha256:4567", "digest": "sha256:4567" },
                    { "name": "third", "image": "localhost/third:1", "digest": null },
                ],
                "last_failure": { "at": "2027-01-15T07:59:00Z", "message": "it ended with code 3" },
                "next_start": "2027-01-15T08:00:30Z", "next_start_by": "retry",
                "limits": { "cpu": 50_000, "memory": 1_024, "squeezed": true },
                "update": { "state": "proving", "id": "web-0123", "previous": "web-0122", "run": 2,
                    "ready_seconds": 32, "proving_seconds": 60, "until": null, "reason": null,
                    "profiles": [{ "name": "load", "conditions": ["calm"] }] },
            })),
        ],
        "events": [
            { "kind": "warn", "reason": "WorkloadFailed", "workload": "web",
              "message": "it ended", "at": "2027-01-15T07:59:00Z" },
            { "kind": "normal", "reason": "WorkloadStopped", "workload": "camera",
              "message": "it was stopped", "at": "2027-01-15T07:58:00Z" },
        ],
        "posts": { "taken": 7, "refused": 1 },
    });
    assert_eq!(faults(&status), Vec::<String>::new(), "the agent would not answer so");
    status
}

fn workload(name: &str, more: Value) -> Value {
    let mut row = json!({
        "workload": name, "id": format!("{name}-0123"), "executor": "podman_rootful",
        "restarts": 0, "next_start": null, "next_start_by": null, "target": null, "pod": null, "health": [],
        "containers": [], "last_failure": null, "command": null, "since": "2027-01-15T07:57:00Z", "started_at": null, "cron": null,
        "limits": { "cpu": null, "memory": null, "squeezed": false }, "restraints": [], "waits_for": null, "profiles": [], "update": null,
    });
    let fields = more.as_object().unwrap().clone();
    row.as_object_mut().unwrap().extend(fields);
    row
}

fn explained(name: &str) -> String {
    let question = Question { workload: Some(name.to_owned()), ..Question::default() };
    shown(&question, &status(), None, PLAIN).output
}

#[test]
fn the_whole_agent_is_shown_as_tables() {
    let answer = shown(&Question::default(), &status(), None, PLAIN);
    assert_eq!(
        answer.output,
        "\
agent           cam-01, version 1.2.3, up for 2 h
health          degraded
                podman_rootless is being restarted: boom
server          https://edge:8043, registered, answers since 60 min, heartbeat 10 s ago, configuration 2 d old, certificate expires in 3 d
                web.yaml does not parse
podman_rootful  available

WORKLOAD  STATUS     FOR    RESTARTS  WHY, AND WHAT COMES NEXT
camera    stopped    3 min  0         profile load: calm is false
report    deploying  3 min  0         waits for its cron; next run by its cron in 5 min
web       crashed    3 min  3         web ended with code 1; next try in 30 s

PROFILE  CONDITION  IS     WHY
load     calm       false  cpu < 50% is false: cpu = 85%
load     idle       false  cpu < 5% is false: cpu = 85%
power    mains      true   battery is nil

METRIC   VALUE  AGE
cpu      85 %   1 s
cpu_max  9      3 min, too old: counts as nil
"
    );
    assert_eq!((answer.remarks.as_str(), answer.code), ("", 0));
}

#[test]
fn a_workload_that_a_profile_holds_is_explained_by_conditions_and_their_metrics() {
    assert_eq!(
        explained("camera"),
        "\
camera    stopped, for 3 min
why       profile load: calm is false
wanted    inactive
pod       none
restarts  0
id        camera-0123
runtime   podman_rootful, available

Profile load does not allow it: one of these must be true
  calm  false  cpu < 50% is false: cpu = 85%

Profile power allows it
  mains  true  battery is nil

Profile lost forbids it: the device has none

Their metrics
  cpu  85 %  1 s

Its last events
  2 min ago  WorkloadStopped  it was stopped
"
    );
}

#[test]
fn a_retry_a_dependency_a_cron_and_limits_are_shown() {
    let web = explained("web");
    for line in [
        "next          next try in 30 s",
        "waits for     db, which is not ready yet",
        "limits        cpu 50 ms of each 100 ms, memory 1 KiB, memory is taken back",
        "  60 s ago  WorkloadFailed  it ended",
    ] {
        assert!(web.lines().any(|seen| seen == line), "{line:?} in {web}");
    }
    let report = explained("report");
    for line in ["cron      */5 * * * *", "next      next run by its cron in 5 min"] {
        assert!(report.lines().any(|seen| seen == line), "{line:?} in {report}");
    }
}

#[test]
fn what_probes_have_found_is_told_of_each_container() {
    let web = explained("web");
    let line = "health        main unready (readinessProbe: HTTP 503), side ready";
    assert!(web.lines().any(|seen| seen == line), "{line:?} in {web}");
}

#[test]
fn the_image_that_each_container_runs_and_the_last_failure_are_told() {
    let web = explained("web");
    for line in [
        "runs          main: quay.io/team/web:1, sha256:0123",
        "runs          side: quay.io/team/side@sha256:4567",
        "runs          third: localhost/third:1",
        "last failure  60 s ago: it ended with code 3",
    ] {
        assert!(web.lines().any(|seen| seen == line), "{line:?} in {web}");
    }
}

#[test]
fn an_update_is_told_with_both_of_its_specifications() {
    let mut status = status();
    for (update, line) in [
        (
            None,
            "update        proving web-0123, 32 s of 60 s, run 2; web-0122 comes back if it fails",
        ),
        (
            Some(json!({ "state": "proving", "id": "web-2", "previous": "web-1", "run": 1,
                "ready_seconds": null, "proving_seconds": 60, "until": null, "reason": null,
                "profiles": [] })),
            "update        proving web-2, not ready, run 1; web-1 comes back if it fails",
        ),
        (
            Some(json!({ "state": "rolled_back", "id": "web-2", "previous": "web-1", "run": null,
                "ready_seconds": null, "proving_seconds": 60, "until": "2027-01-15T08:04:00Z",
                "reason": "it ended", "profiles": [] })),
            "update        web-2 failed, rolled back to web-1, tried again in 4 min",
        ),
        (
            Some(json!({ "state": "waiting", "id": "web-2", "previous": "web-1", "run": null,
                "ready_seconds": null, "proving_seconds": 60, "until": "2027-01-15T08:04:00Z",
                "reason": "the update to web:2 waits: profile load: calm is false",
                "profiles": [{"name": "load", "conditions": ["calm"]}] })),
            "update        web-2 waits, at the latest in 4 min; web-1 runs until then",
        ),
    ] {
        if let Some(update) = update {
            status["workloads"][2]["update"] = update;
        }
        assert_eq!(faults(&status), Vec::<String>::new());
        let question = Question { workload: Some("web".to_owned()), ..Question::default() };
        let told = shown(&question, &status, None, PLAIN).output;
        assert!(told.lines().any(|seen| seen == line), "{line:?} in {told}");
    }
}

#[test]
fn an_unknown_workload_has_an_exit_code_and_the_known_ones_are_listed() {
    let question = Question { workload: Some("wbe".to_owned()), ..Question::default() };
    let answer = shown(&question, &status(), None, PLAIN);
    assert_eq!((answer.output.as_str(), answer.code), ("", UNKNOWN));
    let expected = "error: the agent has no workload wbe, but these: camera, report, web\n";
    assert_eq!(answer.remarks, expected);
}

#[test]
fn silent_actors_leave_the_rest_readable() {
    let mut ill = status();
    for field in ["control_plane", "runtimes", "profiles", "metrics", "workloads", "events"] {
        ill[field] = Value::Null;
    }
    assert_eq!(faults(&ill), Vec::<String>::new());
    assert_eq!(
        shown(&Question::default(), &ill, None, PLAIN).output,
        "\
agent   cam-01, version 1.2.3, up for 2 h
health  degraded
        podman_rootless is being restarted: boom

the scheduler is silent: nothing is known of the workloads
"
    );
    let question = Question { workload: Some("web".to_owned()), ..Question::default() };
    let remarks = shown(&question, &ill, None, PLAIN).remarks;
    assert!(remarks.contains("the scheduler is silent"), "{remarks}");
}

#[test]
fn json_is_the_answer_itself_or_the_row_of_the_workload() {
    let json = |workload: Option<&str>| {
        let workload = workload.map(str::to_owned);
        let question = Question { workload, as_json: true, ..Question::default() };
        serde_json::from_str::<Value>(&shown(&question, &status(), None, PLAIN).output).unwrap()
    };
    assert_eq!(json(None), status());
    assert_eq!(json(Some("web")), status()["workloads"][2]);
}

#[test]
fn a_workload_whose_failed_run_is_kept_shows_what_it_wrote_last() {
    let log = |name: &str, exit_code, log: &str| KeptLog {
        name: name.to_owned(),
        exit_code: Some(exit_code),
        log: log.to_owned(),
    };
    let lines: String = (1..=9).map(|n| format!("2027-01-15T07:59:00Z line {n}\n")).collect();
    let run = KeptRun {
        workload: "web".to_owned(),
        id: "web-0123".to_owned(),
        kept_at: "2027-01-15T07:59:30Z".parse().unwrap(),
        containers: vec![log("proxy", 0, ""), log("app", 1, &format!("{lines}t \u{1b}[2J\n"))],
    };
    let question = Question { workload: Some("web".to_owned()), ..Question::default() };
    let told = shown(&question, &status(), Some(&run), PLAIN).output;
    let title = "\nThe last lines of app in its last failed run, until 30 s ago\n";
    let (_, last) = told.split_once(title).unwrap_or_else(|| panic!("{told}"));
    assert_eq!(last, "  line 6\n  line 7\n  line 8\n  line 9\n  \\u{1b}[2J\n");
}
