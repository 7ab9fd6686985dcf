//! Behaviour of the conversions on recorded exchanges and on hostile input.

mod size;

use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::envelope::MAX_VALUES;
use super::fixtures::exchange;
use super::*;
use crate::control_plane_sync::server::hardware::Hardware;
use crate::workload::{
    Configuration, DeviceId, Event, EventReason, ExecutorKind, JobReport, RestartPolicy,
    RetryPolicy, Workload, WorkloadName, WorkloadStatus,
};

fn configuration(body: &[u8], device: &DeviceId) -> Result<Configuration, WireError> {
    Known::read(body, device, None, &[]).map(|known| known.configuration)
}

fn read(body: &Value) -> Result<Configuration, WireError> {
    configuration(body.to_string().as_bytes(), &DeviceId::from("cam"))
}

/// Returns a configuration for device `cam` with these workloads and secrets.
fn answer(workloads: Value, secrets: Value) -> Value {
    json!({"type": "data", "directive": "device", "content": {
        "device_id": "cam", "version": "7", "workloads": workloads, "secrets": secrets}})
}

fn simple(name: &str) -> Value {
    json!({"name": name, "specification": "containers:\n- name: a\n  image: i\n"})
}

fn with(mut workload: Value, field: &str, value: Value) -> Value {
    workload[field] = value;
    workload
}

fn only(workload: Value) -> Result<Workload, String> {
    let configuration = read(&answer(json!([workload]), json!(null))).unwrap();
    match configuration.workloads.first() {
        Some(workload) => Ok(Workload::clone(workload)),
        None => Err(configuration.rejected[0].reason.clone()),
    }
}

fn recorded(name: &str, device: &str) -> Configuration {
    configuration(&exchange(name).response(), &DeviceId::from(device)).unwrap()
}

#[test]
fn a_device_without_workloads_gets_an_empty_configuration() {
    let configuration = recorded("06-config-no-workloads", "cam-01");
    assert_eq!(configuration.version.as_deref(), Some("678"));
    assert_eq!(configuration.heartbeat_period, Duration::from_secs(60));
    assert!(!configuration.hardware_in_heartbeat);
    assert!(configuration.profiles.is_empty());
    assert!(configuration.workloads.is_empty());
    assert!(configuration.rejected.is_empty());
}

#[test]
fn a_recorded_configuration_is_read_in_full() {
    let configuration = recorded("07-config-with-workloads", "cam-01");
    assert_eq!(configuration.heartbeat_period, Duration::from_secs(2));
    let profile = &configuration.profiles[0];
    assert_eq!(profile.name.as_str(), "test");
    let conditions: Vec<_> = profile
        .conditions
        .iter()
        .map(|condition| (condition.name.as_str(), condition.expression.as_str()))
        .collect();
    assert_eq!(conditions, [("another_one", "y>3"), ("low", "x<50%")]);
    let workload = &configuration.workloads[0];
    assert_eq!(workload.name.as_str(), "w1");
    assert_eq!(workload.executor, ExecutorKind::PodmanRootful);
    assert_eq!(workload.profiles[0].conditions[0].name.as_str(), "low");
}

#[test]
fn the_richest_recorded_configuration_is_read_in_full() {
    let configuration = recorded("22-config-rich", "cam-03");
    assert!(configuration.rejected.is_empty(), "{:?}", configuration.rejected);
    let names: Vec<_> = configuration
        .workloads
        .iter()
        .map(|workload| (workload.name.as_str(), workload.executor))
        .collect();
    assert_eq!(
        names,
        [
            ("every-minute", ExecutorKind::PodmanRootful),
            ("in-cluster", ExecutorKind::K8s),
            ("rich", ExecutorKind::PodmanRootless),
            ("w1", ExecutorKind::PodmanRootful),
            ("with-retry", ExecutorKind::PodmanRootful),
        ]
    );
    assert_eq!(configuration.workloads[0].cron.as_deref(), Some("*/1 * * * *"));
    let rich = &configuration.workloads[2];
    assert_eq!(rich.restart_policy, RestartPolicy::OnFailure);
    assert_eq!(rich.annotations["io.podman.annotations.x"], "yes");
    assert_eq!(rich.config_maps[0].data["app.ini"], b"a=1\nb=2\n");
    assert_eq!(rich.secrets[0].data["password"].expose(), b"s3cret");
    let credentials = &rich.registries["127.0.0.1:5000"];
    assert_eq!(credentials.username, "user");
    assert_eq!(credentials.password.expose(), "pass");
    let limits: Vec<_> = rich.profiles[0]
        .conditions
        .iter()
        .map(|condition| (condition.name.as_str(), condition.cpu))
        .collect();
    assert_eq!(limits, [("another_one", None), ("low", Some(50_000))]);
    assert!(configuration.workloads[3].secrets.is_empty());
}

#[test]
fn debug_output_of_a_configuration_holds_no_secret() {
    let shown = format!("{:?}", recorded("22-config-rich", "cam-03"));
    for secret in ["s3cret", "czNjcmV0", "dXNlcjpwYXNz", "\"pass\""] {
        assert!(!shown.contains(secret), "{secret}");
    }
    assert!(!shown.contains(&format!("{:?}", b"s3cret".to_vec())));
}

#[test]
fn only_a_configuration_for_this_device_is_accepted() {
    let good = answer(json!([]), json!([]));
    assert!(read(&good).is_ok());
    type Expected = fn(&WireError) -> bool;
    let cases: [(&str, Value, Expected); 8] = [
        ("/type", json!("command"), |e| matches!(e, WireError::OtherMessage { .. })),
        ("/type", json!(null), |e| matches!(e, WireError::OtherMessage { .. })),
        ("/directive", json!("other"), |e| matches!(e, WireError::OtherMessage { .. })),
        ("/content", json!(null), |e| matches!(e, WireError::Shape { .. })),
        ("/content", json!([]), |e| matches!(e, WireError::Shape { .. })),
        ("/content/device_id", json!("other"), |e| matches!(e, WireError::OtherDevice { .. })),
        ("/content/device_id", json!(null), |e| matches!(e, WireError::OtherDevice { .. })),
        ("/content/workloads", json!({}), |e| matches!(e, WireError::Shape { .. })),
    ];
    for (place, value, expected) in cases {
        let mut body = good.clone();
        *body.pointer_mut(place).unwrap() = value.clone();
        let error = read(&body).unwrap_err();
        assert!(expected(&error), "{place} = {value}: {error}");
    }
}

#[test]
fn answers_that_are_no_configuration_are_errors() {
    let device = DeviceId::from("cam-01");
    for body in [&b""[..], b"null", b"[]", b"\"x\"", b"{}", b"{", b"\xff"] {
        assert!(configuration(body, &device).is_err(), "{body:?}");
    }
    for name in [
        "04-config-with-registration-cert",
        "12-control",
        "13-bad-json",
        "16-wrong-path",
        "19-control-after-delete-disconnect",
        "20-config-after-delete",
    ] {
        assert!(configuration(&exchange(name).response(), &device).is_err(), "{name}");
    }
}

#[test]
fn a_senseless_heartbeat_period_is_the_default_and_a_huge_one_saturates() {
    let cases = [
        (json!(null), 60),
        (json!(0), 60),
        (json!(-5), 60),
        (json!("2"), 60),
        (json!(2), 2),
        (json!(0.5), 1),
        (json!(1e300), 86_400),
    ];
    for (period, seconds) in cases {
        let mut body = answer(json!([]), json!([]));
        body["content"]["configuration"] = json!({"heartbeat": {"period_seconds": period}});
        let expected = Duration::from_secs(seconds);
        assert_eq!(read(&body).unwrap().heartbeat_period, expected, "{period}");
    }
}

#[test]
fn hardware_is_wanted_in_heartbeats_only_when_it_is_said() {
    let cases = [
        (json!({"include": true, "scope": "delta"}), true),
        (json!({}), false),
        (json!(null), false),
    ];
    for (profile, expected) in cases {
        let mut body = answer(json!([]), json!([]));
        body["content"]["configuration"] = json!({"heartbeat": {"hardware_profile": profile}});
        assert_eq!(read(&body).unwrap().hardware_in_heartbeat, expected);
    }
}

#[test]
fn nulls_and_unknown_fields_are_ignored() {
    let workload = json!({"name": "w", "specification": "containers: [{name: a, image: i}]",
        "kind": null, "namespace": null, "labels": null, "annotations": null, "configmaps": [null],
        "profiles": [null], "imageRegistries": null, "retry": null, "cron": null,
        "rootless": null, "data": {"paths": null}, "metrics": 1, "brand_new": []});
    let mut body = answer(json!([null, workload]), json!([null]));
    body["content"]["configuration"] = json!({"profiles": [null, {"name": "p", "conditions": null},
        {"conditions": []}, {"name": "q", "conditions": [null, {"name": "c"}]}], "unknown": 1});
    let configuration = read(&body).unwrap();
    assert_eq!(configuration.workloads.len(), 1);
    assert_eq!(configuration.profiles.len(), 2);
    assert!(configuration.rejected.is_empty(), "{:?}", configuration.rejected);
}

#[test]
fn those_to_wait_for_are_named_as_the_operator_passes_it_on() {
    // Written `podman/device-worker-ng.after` by the author; the operator takes its prefix away.
    let annotations = json!({"device-worker-ng.after": "db, cache"});
    let workload = only(with(simple("web"), "annotations", annotations)).unwrap();
    assert_eq!(workload.after, ["db", "cache"].map(WorkloadName::from));
    assert!(workload.annotations.is_empty());
}

#[test]
fn a_retry_comes_as_an_annotation_as_the_operator_passes_it_on() {
    let annotations = json!({"device-worker-ng.retry": "{periodSeconds: 90}", "note": "x"});
    let workload = only(with(simple("web"), "annotations", annotations)).unwrap();
    let period = Duration::from_secs(90);
    assert_eq!(workload.retry, Some(RetryPolicy::Constant { period }));
    assert_eq!(workload.annotations, [("note".to_owned(), "x".to_owned())].into());
}

#[test]
fn what_is_wrong_with_one_workload_rejects_that_one_only() {
    let broken = [
        json!(7),
        json!({"specification": "containers: []"}),
        with(simple("bad"), "kind", json!("ansible")),
        with(simple("bad"), "specification", json!("containers: [")),
        with(simple("bad"), "specification", json!("containers: 3")),
        with(simple("bad"), "specification", json!(null)),
        with(simple("bad"), "specification", json!({})),
        with(simple("bad"), "rootless", json!("yes")),
        with(simple("bad"), "configmaps", json!(["{"])),
        with(simple("bad"), "configmaps", json!(["kind: ConfigMap"])),
        with(simple("bad"), "imageRegistries", json!({"authFile": "{"})),
        with(simple("bad"), "retry", json!({"periodSeconds": -1})),
        with(simple("bad"), "profiles", json!([{"conditions": []}])),
        simple("../bad"),
    ];
    for broken in broken {
        let body = answer(json!([simple("good"), broken]), json!([]));
        let configuration = read(&body).unwrap();
        assert_eq!(configuration.workloads.len(), 1, "{broken}");
        assert_eq!(configuration.rejected.len(), 1, "{broken}");
    }
}

#[test]
fn a_broken_specification_is_rejected_with_its_place() {
    let reason =
        only(with(simple("w"), "specification", json!("containers:\n- name: a\n image: i\n")))
            .unwrap_err();
    assert!(reason.contains("line 3 column 2"), "{reason}");
    assert!(reason.contains("spec.pod.spec"), "{reason}");
    let typed = "containers:\n- name: a\n  ports:\n  - containerPort: high\n";
    let reason = only(with(simple("w"), "specification", json!(typed))).unwrap_err();
    assert!(reason.contains("line 4 column 20"), "{reason}");
    assert!(!reason.contains("high"), "{reason}");
}

#[test]
fn a_broken_secret_rejects_only_those_who_need_it() {
    let needy = with(
        simple("needy"),
        "specification",
        json!("containers: [{name: a, image: i, envFrom: [{secretRef: {name: s}}]}]"),
    );
    let secrets = json!([{"name": "s", "data": "{\"k\":\"hunter2!\"}"}]);
    let configuration = read(&answer(json!([needy, simple("free")]), secrets)).unwrap();
    assert_eq!(configuration.workloads[0].name.as_str(), "free");
    assert_eq!(configuration.rejected[0].name.as_str(), "needy");
    assert!(!configuration.rejected[0].reason.contains("hunter2"));
}

#[test]
fn an_upper_case_or_foreign_version_is_kept_as_it_is() {
    for (version, expected) in
        [(json!("A1"), Some("A1")), (json!(12), Some("12")), (json!(""), None)]
    {
        let mut body = answer(json!([]), json!([]));
        body["content"]["version"] = version;
        assert_eq!(read(&body).unwrap().version.as_deref(), expected);
    }
}

fn moment() -> DateTime<Utc> {
    "2026-11-23T10:52:26.753123Z".parse().unwrap()
}

fn stamp<'a>(exchange: &'a Value) -> Stamp<'a> {
    Stamp { message_id: exchange["message_id"].as_str().unwrap(), sent: moment() }
}

fn hardware(value: &Value) -> Hardware {
    serde_json::from_value(value.clone()).unwrap()
}

/// The recorded request, with the `sent` that the recording left out.
fn expected(request: &Value) -> Value {
    with(request.clone(), "sent", json!("2026-11-23T10:52:26.753Z"))
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[test]
fn an_enrolment_is_written_as_recorded() {
    let exchange = exchange("02-enrol-first");
    let request = exchange.request();
    let hardware = hardware(&request["content"]["features"]["hardware"]);
    let body = enrolment(stamp(request), "default", &hardware);
    assert_eq!(parsed(&body), expected(request));
}

#[test]
fn a_registration_is_written_as_recorded() {
    for name in ["05-register", "18-renew-with-device-cert"] {
        let exchange = exchange(name);
        let request = exchange.request();
        let content = &request["content"];
        let hardware = (!content["hardware"].is_null()).then(|| hardware(&content["hardware"]));
        let csr = content["certificate_request"].as_str().unwrap();
        let body = registration(stamp(request), csr, hardware.as_ref());
        assert_eq!(parsed(&body), expected(request));
    }
}

fn job(name: &str, status: WorkloadStatus) -> JobReport {
    JobReport {
        workload: WorkloadName::from(name),
        id: None,
        executor: None,
        status,
        reason: Some("because".into()),
        restarts: 3,
        next_start: None,
    }
}

fn happened(reason: EventReason, message: &str) -> Event {
    Event::new(reason, None, message.into(), moment())
}

#[test]
fn a_heartbeat_is_written_as_recorded() {
    let exchange = exchange("08-heartbeat");
    let request = exchange.request();
    let hardware = hardware(&request["content"]["hardware"]);
    let body = heartbeat(
        stamp(request),
        &Heartbeat {
            status: AgentStatus::Up,
            version: Some("1"),
            jobs: &[job("w1", WorkloadStatus::Running), job("rich", WorkloadStatus::Deploying)],
            events: &[happened(EventReason::WorkloadFailed, "exit 1")],
            hardware: Some(&hardware),
        },
    );
    // The agent that was recorded had reasons of its own.
    let mut recorded = expected(request);
    recorded["content"]["events"][0]["reason"] = "WorkloadFailed".into();
    assert_eq!(parsed(&body), recorded);
}

#[test]
fn an_empty_heartbeat_has_empty_lists_null_hardware_and_no_upgrade() {
    let heartbeat = Heartbeat {
        status: AgentStatus::Degraded,
        version: None,
        jobs: &[],
        events: &[],
        hardware: None,
    };
    let stamp = Stamp { message_id: "1", sent: moment() };
    let body = parsed(&super::heartbeat(stamp, &heartbeat));
    assert_eq!(
        body["content"],
        json!({"status": "degraded", "hardware": null, "workloads": [], "events": []})
    );
}

/// As the operator's types have them (models/heartbeat.go, workload_status.go and event_info.go): what else
/// there is would be dropped, and other words would be refused by who validates.
#[test]
fn a_heartbeat_has_the_fields_and_the_words_of_the_operators_types() {
    let statuses = [
        WorkloadStatus::Deploying,
        WorkloadStatus::Running,
        WorkloadStatus::Crashed,
        WorkloadStatus::Stopped,
    ];
    let jobs = statuses.map(|status| job(status.as_str(), status));
    let events = [EventReason::WorkloadStarted, EventReason::WorkloadFailed];
    let events = events.map(|reason| happened(reason, "it did"));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let words = |list: &Value, field: &str| {
        let list = list.as_array().unwrap().iter();
        list.map(|it| it[field].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (status, word) in [(AgentStatus::Up, "up"), (AgentStatus::Degraded, "degraded")] {
        let heartbeat =
            Heartbeat { status, version: Some("7"), jobs: &jobs, events: &events, hardware: None };
        let stamp = Stamp { message_id: "1", sent: moment() };
        let content = &parsed(&super::heartbeat(stamp, &heartbeat))["content"];
        assert_eq!(keys(content), ["events", "hardware", "status", "version", "workloads"]);
        assert_eq!(content["status"], word);
        assert_eq!(content["version"], "7");
        let (workloads, events) = (&content["workloads"], &content["events"]);
        assert_eq!(keys(&workloads[0]), ["name", "status"]);
        let known = ["deploying", "running", "crashed", "stopped"];
        assert_eq!(
            (words(workloads, "name"), words(workloads, "status")),
            (known.map(String::from).into(), known.map(String::from).into())
        );
        assert_eq!(keys(&events[0]), ["message", "reason", "type"]);
        assert_eq!(words(events, "type"), ["info", "warn"]);
    }
}

#[test]
fn an_event_names_its_workload_and_is_cut_where_the_server_would() {
    let long = Event {
        workload: Some("web".into()),
        ..happened(EventReason::WorkloadStarted, &"ä".repeat(2000))
    };
    let heartbeat = Heartbeat {
        status: AgentStatus::Up,
        version: None,
        jobs: &[],
        events: &[long],
        hardware: None,
    };
    let stamp = Stamp { message_id: "1", sent: moment() };
    let body = parsed(&super::heartbeat(stamp, &heartbeat));
    let event = &body["content"]["events"][0];
    assert_eq!(event["type"], "info");
    let message = event["message"].as_str().unwrap();
    assert!(message.starts_with("web: ä"));
    assert!((1023..=1024).contains(&message.len()));
}

#[test]
fn empty_hardware_still_has_its_lists_and_whole_numbers() {
    let body =
        enrolment(Stamp { message_id: "1", sent: moment() }, "default", &Hardware::default());
    let hardware = &parsed(&body)["content"]["features"]["hardware"];
    for list in ["disks", "gpus", "interfaces", "mounts", "host_devices"] {
        assert_eq!(hardware[list], json!([]), "{list}");
    }
    assert_eq!(hardware["cpu"]["flags"], json!([]));
    assert_eq!(hardware["cpu"]["count"], json!(0));
}

#[test]
fn a_registration_answer_gives_its_certificate() {
    for name in ["05-register", "18-renew-with-device-cert"] {
        let pem = registration_answer(&exchange(name).response()).unwrap();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"));
    }
    for name in ["01-register-before-enrol", "17-register-twice-with-registration-cert"] {
        assert!(registration_answer(&exchange(name).response()).is_err(), "{name}");
    }
    for body in [r#"{"content":{"certificate":""}}"#, r#"{"content":null}"#, "[]", ""] {
        assert!(registration_answer(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn the_control_channel_is_silent_or_says_disconnect() {
    let silent = control_command(&exchange("12-control").response());
    assert_eq!(silent.unwrap(), None);
    assert_eq!(control_command(b" \n").unwrap(), None);
    let disconnect = control_command(&exchange("19-control-after-delete-disconnect").response());
    assert_eq!(disconnect.unwrap(), Some(ControlCommand::Disconnect));
    let unknown = br#"{"type":"command","content":{"command":"reboot"}}"#;
    assert!(matches!(control_command(unknown), Err(WireError::UnknownCommand { .. })));
    for body in [
        "{}",
        "null",
        r#"{"type":"command"}"#,
        r#"{"type":"data","content":{"command":"disconnect"}}"#,
    ] {
        assert!(control_command(body.as_bytes()).is_err(), "{body}");
    }
}

/// Returns all orders in which the lists of `value` can come, one for each `seed`.
fn shuffled(value: &mut Value, seed: &mut u64) {
    match value {
        Value::Array(items) => {
            for index in (1..items.len()).rev() {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                items.swap(index, usize::try_from(*seed >> 33).unwrap() % (index + 1));
            }
            items.iter_mut().for_each(|item| shuffled(item, seed));
        }
        Value::Object(object) => object.values_mut().for_each(|item| shuffled(item, seed)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// JSON of any shape whose keys and words are those of the protocol more often than not.
fn protocol_like() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "type",
        "data",
        "directive",
        "device",
        "content",
        "device_id",
        "cam",
        "workloads",
        "name",
        "specification",
        "containers: [{name: a, image: i}]",
        "profiles",
        "conditions",
        "cpu",
        "retry",
        "imageRegistries",
        "authFile",
        "configmaps",
        "secrets",
        "configuration",
        "heartbeat",
        "period_seconds",
        "kind",
        "pod",
        "command",
        "disconnect",
        "certificate",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(word.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = configuration(&body, &DeviceId::from("cam"));
        let _ = registration_answer(&body);
        let _ = control_command(&body);
    }

    #[test]
    fn any_json_is_read_without_a_panic(value in protocol_like(), place in 0..6_usize) {
        let places = ["/content", "/content/workloads", "/content/workloads/0",
            "/content/workloads/0/profiles", "/content/secrets", "/content/configuration"];
        let mut body = answer(json!([with(simple("w"), "profiles", json!([]))]), json!([]));
        body["content"]["configuration"] = json!({});
        *body.pointer_mut(places[place]).unwrap() = value.clone();
        let _ = read(&body);
        let text = value.to_string();
        let _ = control_command(text.as_bytes());
        let _ = registration_answer(text.as_bytes());
    }

    #[test]
    fn the_order_of_lists_does_not_matter(mut seed in any::<u64>()) {
        let recorded = exchange("22-config-rich").response();
        let device = DeviceId::from("cam-03");
        let mut body: Value = serde_json::from_slice(&recorded).unwrap();
        let extra = [simple("twin"), with(simple("twin"), "namespace", json!("b")), json!(1)];
        body["content"]["workloads"].as_array_mut().unwrap().extend(extra);
        let before = configuration(body.to_string().as_bytes(), &device).unwrap();
        shuffled(&mut body, &mut seed);
        prop_assert_eq!(configuration(body.to_string().as_bytes(), &device).unwrap(), before);
    }
}

#[test]
fn bombs_are_refused_before_they_take_memory_or_time() {
    let many = |value: &str| {
        let values = format!("{value},").repeat(MAX_VALUES);
        format!(r#"{{"type":"data","content":[{values}0]}}"#)
    };
    let deep = |open: &str| format!(r#"{{"type":"data","content":{}"#, open.repeat(100_000));
    for (bomb, words) in [
        (many("0"), "it holds more than 250000 values"),
        (many("{}"), "it holds more than 250000 values"),
        (many(r#""\"""#), "it holds more than 250000 values"),
        (deep("["), "recursion limit exceeded"),
        (deep(r#"{"a":"#), "recursion limit exceeded"),
    ] {
        let device = DeviceId::from("cam");
        for error in [
            configuration(bomb.as_bytes(), &device).unwrap_err(),
            control_command(bomb.as_bytes()).unwrap_err(),
            registration_answer(bomb.as_bytes()).unwrap_err(),
        ] {
            let error = crate::error_chain::error_chain(&error);
            assert!(error.contains(words), "{error}");
        }
    }
}

#[test]
fn commas_within_a_text_are_no_values() {
    let table = ",[{\"".repeat(MAX_VALUES);
    let workload = with(simple("a"), "annotations", json!({"table": table}));
    assert_eq!(only(workload).unwrap().annotations["table"].len(), table.len());
}

#[test]
fn a_specification_that_is_a_bomb_rejects_its_workload_and_no_other() {
    let aliases = format!("x: &a [{}]\ny: [{}]\n", "1,".repeat(9_999), "*a,".repeat(9_999));
    let laughs = "x: &x [a]\ny: &y [*x,*x,*x,*x,*x,*x,*x]\n".to_owned() + &aliases;
    for bomb in [aliases, laughs, "[".repeat(1_000_000), "- ".repeat(10_000)] {
        let broken = json!({"name": "b", "specification": bomb});
        let maps = with(simple("c"), "configmaps", json!([bomb]));
        let read = read(&answer(json!([simple("a"), broken, maps]), json!(null))).unwrap();
        assert_eq!(read.workloads.len(), 1);
        let rejected: Vec<&str> = read.rejected.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(rejected, ["b", "c"]);
        for rejected in &read.rejected {
            assert!(rejected.reason.len() < 400, "{}", rejected.reason);
        }
    }
}

#[test]
fn what_is_not_known_in_a_specification_is_told_and_rejects_nothing() {
    let specification = "containers:\n- name: a\n  image: i\n  securityContex: {runAsUser: 1}\n  \
                         resources: {limits: {memroy: 1Mi}}\nhostnetwork: true\n";
    let body =
        answer(json!([with(simple("a"), "specification", json!(specification))]), json!(null));
    let known =
        Known::read(body.to_string().as_bytes(), &DeviceId::from("cam"), None, &[]).unwrap();
    assert_eq!(known.configuration.rejected, []);
    assert_eq!(known.configuration.workloads[0].pod.host_network, Some(true));
    let told: Vec<_> =
        known.diagnostics.iter().map(|it| (it.reason, it.message.as_str())).collect();
    let place = "workload a: spec.pod.spec";
    let expected = [
        (
            EventReason::FieldUnknown,
            format!(
                "{place}: containers[0].securityContex at line 4 column 3 is not known; did you mean securityContext?"
            ),
        ),
        (
            EventReason::ManifestAdjusted,
            format!("{place}: hostnetwork at line 6 column 1 is read as hostNetwork; write it so"),
        ),
        (
            EventReason::FieldUnknown,
            format!(
                "{place}: containers[0].resources.limits.memroy at line 5 column 24 is not known; did you mean memory?"
            ),
        ),
    ];
    let expected: Vec<_> = expected.iter().map(|(reason, text)| (*reason, text.as_str())).collect();
    assert_eq!(told, expected);
}

/// A workload with a name wherever one fits; slot `bad` holds `name`, every other a good one.
fn with_name_at(bad: usize, name: &str) -> Value {
    let at = |slot: usize| if slot == bad { name.to_owned() } else { format!("n{slot}") };
    let key =
        |key: &str, value: Value| Value::Object([(key.to_owned(), value)].into_iter().collect());
    let pod = json!({
        "containers": [{
            "name": at(0),
            "image": format!("i:{}", at(1)),
            "env": [
                {"name": at(2), "valueFrom": {"secretKeyRef": {"name": at(3), "key": at(4)}}},
            ],
            "envFrom": [{"prefix": at(5), "configMapRef": {"name": at(6)}}],
            "volumeMounts": [
                {"name": at(7), "mountPath": "/a", "subPath": at(8)},
                {"name": "scratch", "mountPath": "/b", "subPath": at(9)},
                {"name": "keys", "mountPath": "/c"},
            ],
        }],
        "volumes": [
            {"name": at(7), "configMap": {"name": at(6), "items": [
                {"key": at(10), "path": at(8)},
            ]}},
            {"name": "scratch", "emptyDir": {}},
            {"name": "keys", "secret": {"secretName": at(3)}},
            {"name": "claim", "persistentVolumeClaim": {"claimName": at(14)}},
            {"name": "host", "hostPath": {"path": format!("/srv/{}", at(15))}},
        ],
    });
    let config_map = json!({"metadata": {"name": at(6)}, "data": key(&at(10), json!("v"))});
    json!({
        "name": at(11), "namespace": at(12), "specification": pod.to_string(),
        "configmaps": [config_map.to_string()],
        "annotations": key(&at(13), json!(at(13))), "labels": key(&at(13), json!(at(13))),
    })
}

/// How many slots [`with_name_at`] has.
const SLOTS: usize = 16;

fn check_with_name(bad: usize, name: &str) -> Configuration {
    let at = |slot: usize| if slot == bad { name } else { ["n3", "n4"][slot - 3] };
    let data = Value::Object([(at(4).to_owned(), json!("djE="))].into_iter().collect());
    let secrets = json!([{"name": at(3), "data": data}]);
    let read = read(&answer(json!([with_name_at(bad, name)]), secrets)).unwrap();
    crate::testing::safety::check(&read);
    read
}

#[test]
fn good_names_make_a_workload() {
    let read = check_with_name(SLOTS, "");
    assert_eq!(read.workloads.len(), 1, "{:?}", read.rejected);
}

#[test]
fn names_that_lead_elsewhere_are_refused_or_lead_nowhere() {
    for name in [
        "",
        ".",
        "..",
        "../x",
        "../../etc/passwd",
        "/etc/passwd",
        "a/../../b",
        "a/..",
        "./a",
        "a//b",
        "a\0b",
        "\0",
        "a\nb",
        " ",
        "-",
        "-rf",
        "a?b=c",
        "a#b",
        "a%2f..%2fb",
        "A",
        "\u{202e}a",
        "\u{e9}",
        "a\\b",
        "$(id)",
        "`id`",
        "~",
        "*",
        "n".repeat(254).as_str(),
    ] {
        for slot in 0..SLOTS {
            check_with_name(slot, name);
        }
        for slot in [0, 3, 6, 11, 12] {
            let read = check_with_name(slot, name);
            // A container may be named in upper case, and an empty namespace is the default.
            if !(slot == 0 && name == "A" || slot == 12 && name.trim().is_empty()) {
                assert_eq!(read.workloads.len(), 0, "slot {slot}: {name:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_name_leads_out_of_the_volumes_or_to_a_bad_name(
        slot in 0..SLOTS,
        name in prop_oneof!["\\PC{0,16}", "(\\.\\./|/|\\./|[a-z]|-|\\.){0,12}", "[a-z0-9.-]{0,70}", ".{0,16}"],
    ) {
        check_with_name(slot, &name);
    }
}
