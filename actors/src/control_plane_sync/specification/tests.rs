//! Behaviour of the checks that every workload passes, whatever its source.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::workload::{ConfigMap, RestartPolicy, RetryPolicy, Secret};

fn pod(value: serde_json::Value) -> PodSpec {
    serde_json::from_value(value).unwrap()
}

fn draft() -> Draft {
    Draft {
        name: "web".into(),
        pod: pod(json!({"containers": [{"name": "a", "image": "i"}]})),
        ..Draft::default()
    }
}

fn with_pod(value: serde_json::Value) -> Draft {
    Draft { pod: pod(value), ..draft() }
}

fn build(draft: Draft) -> Result<Workload, String> {
    let (config_maps, secrets) = stock();
    workload(draft, Contents { config_maps: &config_maps, secrets: &secrets })
}

/// Has config map `settings` and secret `login`, each with a key `k`, and a broken secret.
fn stock() -> (Supply<ConfigMap>, Supply<Secret>) {
    let settings =
        ConfigMap { name: "settings".into(), data: [("k".into(), b"v".to_vec())].into() };
    let login = Secret {
        name: "login".into(),
        data: [("k".into(), Confidential::new(b"hunter2".to_vec()))].into(),
    };
    let pull = Secret {
        name: "pull".into(),
        data: [(
            ".dockerconfigjson".into(),
            Confidential::new(br#"{"auths":{"r":{"auth":"dXNlcjpwYXNz"}}}"#.to_vec()),
        )]
        .into(),
    };
    let (mut config_maps, mut secrets) = (Supply::default(), Supply::default());
    config_maps.add(None, "settings".into(), Ok(settings.into()));
    secrets.add(None, "login".into(), Ok(login.into()));
    secrets.add(None, "pull".into(), Ok(pull.into()));
    secrets.add(None, "broken".into(), Err("secret \"broken\" is broken".into()));
    (config_maps, secrets)
}

#[test]
fn kind_and_rootless_choose_the_executor() {
    let cases = [
        (None, false, ExecutorKind::PodmanRootful),
        (Some(""), false, ExecutorKind::PodmanRootful),
        (Some("pod"), false, ExecutorKind::PodmanRootful),
        (None, true, ExecutorKind::PodmanRootless),
        (Some("pod"), true, ExecutorKind::PodmanRootless),
        (Some("k8s"), false, ExecutorKind::K8s),
        (Some("k8s"), true, ExecutorKind::K8s),
    ];
    for (kind, rootless, expected) in cases {
        let draft = Draft { kind: kind.map(str::to_owned), rootless, ..draft() };
        assert_eq!(build(draft).unwrap().executor, expected, "{kind:?}");
    }
}

#[test]
fn an_unknown_kind_is_refused_and_the_known_ones_are_named() {
    for kind in ["ansible", "Pod", "kubernetes"] {
        let kind = Some(kind.to_owned());
        let reason = build(Draft { kind, ..draft() }).unwrap_err();
        assert!(reason.contains("\"pod\"") && reason.contains("\"k8s\""), "{reason}");
    }
}

#[test]
fn a_pod_that_no_runtime_could_run_is_refused() {
    let cases = [
        (json!({}), "no containers"),
        (json!({"containers": []}), "no containers"),
        (json!({"containers": [{"image": "i"}]}), "has no name"),
        (json!({"containers": [{"name": "a"}]}), "has no image"),
        (json!({"containers": [{"name": "a", "image": " "}]}), "has no image"),
        (json!({"containers": [{"name": "../a", "image": "i"}]}), "container name"),
        (
            json!({"containers": [{"name": "a", "image": "i:3/../../x?y=1#z"}]}),
            "the image \"i:3/../",
        ),
        (
            json!({"containers": [{"name": "a", "image": "i"}],
                "initContainers": [{"name": "b", "image": "i?force=true"}]}),
            "of container \"b\"",
        ),
        (
            json!({"containers": [{"name": "a", "image": "i"}, {"name": "a", "image": "j"}]}),
            "named \"a\"",
        ),
        (
            json!({"initContainers": [{"name": "a", "image": "i"}],
                "containers": [{"name": "a", "image": "j"}]}),
            "named \"a\"",
        ),
        (
            json!({"containers": [{"name": "a", "image": "i"}], "restartPolicy": "Sometimes"}),
            "restartPolicy",
        ),
    ];
    for (pod, expected) in cases {
        let reason = build(with_pod(pod.clone())).unwrap_err();
        assert!(reason.contains(expected), "{pod}: {reason}");
    }
}

#[test]
fn names_that_could_leave_a_folder_are_refused() {
    for name in ["", "..", "../../etc/passwd", "a/b", "Web", "web_1"] {
        let name = name.to_owned();
        assert!(build(Draft { name, ..draft() }).is_err());
    }
    let namespace = Some("../x".to_owned());
    assert!(build(Draft { namespace, ..draft() }).is_err());
}

#[test]
fn the_restart_policy_comes_from_the_pod() {
    let cases = [
        (json!(null), RestartPolicy::Always),
        (json!("Always"), RestartPolicy::Always),
        (json!("OnFailure"), RestartPolicy::OnFailure),
        (json!("Never"), RestartPolicy::Never),
    ];
    for (policy, expected) in cases {
        let pod = json!({"containers": [{"name": "a", "image": "i"}], "restartPolicy": policy});
        assert_eq!(build(with_pod(pod)).unwrap().restart_policy, expected);
    }
}

/// Returns a pod for each way in which it can refer to a config map or secret.
fn ways_to_refer(
    config_map: &str,
    secret: &str,
    key: &str,
    optional: bool,
) -> [serde_json::Value; 10] {
    let env = |source| json!({"env": [{"name": "E", "valueFrom": source}]});
    let from = |source| json!({"envFrom": [source]});
    let items = json!([{"key": key, "path": "p"}]);
    let container = |mut extra: serde_json::Value, place: &str| {
        extra["name"] = json!("c");
        extra["image"] = json!("i");
        if place == "containers" {
            json!({"containers": [extra]})
        } else {
            json!({"containers": [{"name": "a", "image": "i"}], place: [extra]})
        }
    };
    let volume = |source: serde_json::Value| {
        let mut volume = source;
        volume["name"] = json!("v");
        json!({"containers": [{"name": "a", "image": "i"}], "volumes": [volume]})
    };
    let of_map = json!({"name": config_map, "key": key, "optional": optional});
    let of_secret = json!({"name": secret, "key": key, "optional": optional});
    [
        container(env(json!({"configMapKeyRef": of_map.clone()})), "containers"),
        container(env(json!({"secretKeyRef": of_secret.clone()})), "containers"),
        container(env(json!({"secretKeyRef": of_secret.clone()})), "initContainers"),
        container(from(json!({"configMapRef": of_map})), "containers"),
        container(from(json!({"secretRef": of_secret})), "initContainers"),
        volume(json!({"configMap": {"name": config_map, "optional": optional, "items": items}})),
        volume(json!({"secret": {"secretName": secret, "optional": optional, "items": items}})),
        volume(json!({"secret": {"secretName": secret, "optional": optional}})),
        volume(json!({"projected": {"sources": [
            {"configMap": {"name": config_map, "optional": optional, "items": items}}]}})),
        volume(json!({"projected": {"sources": [
            {"secret": {"name": secret, "optional": optional, "items": items}}]}})),
    ]
}

#[test]
fn what_a_pod_refers_to_is_attached_and_nothing_else() {
    for pod in ways_to_refer("settings", "login", "k", false) {
        let workload = build(with_pod(pod.clone())).unwrap();
        let attached: Vec<_> = workload
            .config_maps
            .iter()
            .map(|map| map.name.as_str())
            .chain(workload.secrets.iter().map(|secret| secret.name.as_str()))
            .collect();
        assert_eq!(attached.len(), 1, "{pod}");
    }
    let without = build(draft()).unwrap();
    assert!(without.config_maps.is_empty() && without.secrets.is_empty());
}

#[test]
fn a_missing_reference_is_refused_by_name_unless_it_is_optional() {
    for pod in ways_to_refer("absent", "absent", "k", false) {
        let reason = build(with_pod(pod.clone())).unwrap_err();
        assert!(reason.contains("\"absent\""), "{pod}: {reason}");
    }
    for pod in ways_to_refer("absent", "absent", "k", true) {
        assert!(build(with_pod(pod.clone())).is_ok(), "{pod}");
    }
    for pod in ways_to_refer("settings", "broken", "k", true) {
        assert!(build(with_pod(pod.clone())).is_ok(), "{pod}");
    }
}

#[test]
fn a_missing_key_is_refused_by_name() {
    let of = json!({"name": "login", "key": "user"});
    let reason = build(with_pod(json!({"containers": [{"name": "a", "image": "i",
        "env": [{"name": "E", "valueFrom": {"secretKeyRef": of}}]}]})))
    .unwrap_err();
    assert!(reason.contains("\"user\"") && reason.contains("\"login\""), "{reason}");
}

#[test]
fn pull_secrets_and_the_auth_file_both_give_credentials() {
    let workload = build(Draft {
        auth_file: Some(Confidential::new(r#"{"auths":{"s":{"auth":"dXNlcjpwYXNz"}}}"#.into())),
        ..with_pod(json!({"containers": [{"name": "a", "image": "i"}],
            "imagePullSecrets": [{"name": "pull"}, {"name": "absent"}]}))
    })
    .unwrap();
    assert_eq!(workload.registries.keys().collect::<Vec<_>>(), ["r", "s"]);
    assert!(workload.secrets.is_empty());
}

#[test]
fn debug_output_holds_no_secret() {
    let pods = ways_to_refer("settings", "login", "k", false);
    let draft = Draft {
        auth_file: Some(Confidential::new(
            r#"{"auths":{"s":{"username":"u","password":"hunter2"}}}"#.into(),
        )),
        ..with_pod(pods[1].clone())
    };
    let before = format!("{draft:?} {:?}", stock());
    let shown = format!("{before} {:?}", build(draft).unwrap());
    assert!(shown.contains("[confidential]"));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains(&format!("{:?}", b"hunter2".to_vec())), "{shown}");
}

#[test]
fn of_two_workloads_with_one_name_the_same_one_runs_in_any_order() {
    let named =
        |namespace: &str| build(Draft { namespace: Some(namespace.into()), ..draft() }).unwrap();
    let (a, b) = (named("a"), named("b"));
    let first = each_name_once(vec![a.clone(), b.clone(), a.clone()], vec![]);
    let second = each_name_once(vec![b, a.clone(), a], vec![]);
    assert_eq!(first, second);
    let (workloads, rejected) = first;
    assert_eq!(workloads.len(), 1);
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].name.as_str(), "web");
}

#[test]
fn blank_optional_texts_count_as_absent() {
    let workload = build(Draft {
        namespace: Some(String::new()),
        cron: Some("  ".into()),
        auth_file: Some(Confidential::new(String::new())),
        ..draft()
    })
    .unwrap();
    assert_eq!(workload.namespace, "default");
    assert_eq!(workload.cron, None);
    assert_eq!(workload.registries, BTreeMap::new());
}

#[test]
fn an_annotation_names_those_to_wait_for_and_is_no_part_of_the_pod() {
    let plain = build(draft()).unwrap();
    for key in ["device-worker-ng/after", "device-worker-ng.after"] {
        let mut draft = draft();
        draft.annotations = [(key.to_owned(), " db, ,cache".to_owned())].into();
        let workload = build(draft).unwrap();
        assert_eq!(workload.after, ["db", "cache"].map(WorkloadName::from), "{key}");
        assert_eq!(workload.annotations, BTreeMap::new(), "{key}");
        assert_eq!(workload.id, plain.id, "{key}: another order restarts no pod");
    }
}

fn annotated(annotations: &[(&str, &str)]) -> Result<Workload, String> {
    let texts = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    build(Draft { annotations: texts.collect(), ..draft() })
}

const RETRIES: [&str; 2] = ["device-worker-ng/retry", "device-worker-ng.retry"];

#[test]
fn an_annotation_gives_the_retry_in_the_grammar_of_the_field_and_is_no_part_of_the_pod() {
    let plain = build(draft()).unwrap();
    let constant = |seconds| RetryPolicy::Constant { period: Duration::from_secs(seconds) };
    let growing = RetryPolicy::Exponential {
        initial: Duration::from_secs(2),
        multiplier: 3.0,
        randomization: 0.0,
    };
    for key in RETRIES {
        for (text, expected) in [
            ("{periodSeconds: 90}", constant(90)),
            ("backoff: constant\nperiodSeconds: 5\n", constant(5)),
            ("{\"constantBackoff\": {\"periodSeconds\": 7}}", constant(7)),
            (
                "{backoff: exponential, initialIntervalSeconds: 2, multiplier: 3, \
                 randomizationFactor: 0}",
                growing,
            ),
        ] {
            let workload = annotated(&[(key, text)]).unwrap();
            assert_eq!(workload.retry, Some(expected), "{key} {text}");
            assert_eq!(workload.annotations, BTreeMap::new(), "{key}");
            assert_eq!(workload.id, plain.id, "{key}: another retry restarts no pod");
        }
    }
    let [one, other] = RETRIES;
    let twice = annotated(&[(one, "{periodSeconds: 9}"), (other, "{periodSeconds: 9}")]);
    assert_eq!(twice.unwrap().retry, Some(constant(9)));
}

#[test]
fn a_retry_that_an_annotation_cannot_mean_is_refused_with_its_key_and_an_example() {
    let long = format!("{{periodSeconds: 1{}}}", "0".repeat(1_000));
    for text in ["", "90", "{}", "{periodSecond: 90}", "{backoff: often}", "{", "- 1", &long] {
        let reason = annotated(&[("device-worker-ng.retry", text)]).unwrap_err();
        for part in ["its annotation \"device-worker-ng/retry\"", "{periodSeconds: 30}"] {
            assert!(reason.contains(part), "{text}: {reason}");
        }
        assert!(!reason.contains("Draft"), "{text}: {reason}");
    }
    let [one, other] = RETRIES;
    let reason = annotated(&[(one, "{periodSeconds: 1}"), (other, "{periodSeconds: 2}")]);
    assert!(reason.unwrap_err().contains("leave one of them out"));
}

#[test]
fn a_retry_in_two_places_is_taken_if_they_agree_and_refused_if_not() {
    let build_with = |text: &str| {
        let retry = serde_json::from_value(json!({"periodSeconds": 90})).unwrap();
        let annotations = [("device-worker-ng/retry".to_owned(), text.to_owned())].into();
        build(Draft { retry: Some(retry), annotations, ..draft() })
    };
    assert!(build_with("{periodSeconds: 90}").unwrap().retry.is_some());
    let reason = build_with("{periodSeconds: 91}").unwrap_err();
    assert!(reason.contains("field retry") && reason.contains("leave one of them out"), "{reason}");
}

#[test]
fn a_draft_shows_no_variable() {
    let shown = format!(
        "{:?}",
        with_pod(json!({"containers": [
            {"name": "a", "image": "i", "env": [{"name": "P", "value": "planted-hunter2"}]},
        ]}))
    );
    assert!(shown.contains("web") && !shown.contains("planted-hunter2"), "{shown}");
}

#[test]
fn a_missing_secret_that_only_a_volume_names_is_told_with_what_operators_do() {
    let volume = json!([{"name": "v", "secret": {"secretName": "absent"}}]);
    let projected = json!([{"name": "v", "projected": {
        "sources": [{"secret": {"name": "absent"}}],
    }}]);
    let import = json!([{"secretRef": {"name": "absent"}}]);
    for (volumes, env_from, has_hint) in [
        (volume.clone(), json!([]), true),
        (projected, json!([]), true),
        (volume, import.clone(), false),
        (json!([]), import, false),
    ] {
        let container = json!([{"name": "a", "image": "i", "envFrom": env_from}]);
        let reason = build(with_pod(json!({"containers": container, "volumes": volumes})));
        let reason = reason.unwrap_err();
        assert!(reason.contains("did not come with the configuration"), "{reason}");
        assert_eq!(reason.contains("no secret that only a volume names"), has_hint, "{reason}");
    }
}
