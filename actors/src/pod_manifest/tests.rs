//! Tests of pod manifests.

use std::path::Path;

use serde_json::{Value, json};

use super::host_paths::HostView;
use super::*;
use crate::workload::{
    Confidential, ConfigMap, DeviceId, ExecutorKind, Limits, Secret, WorkloadId, WorkloadName,
};

mod downward;
mod host_paths;
mod volumes;

fn workload(pod: Value) -> Workload {
    serde_json::from_value::<Workload>(json!({
        "id": WorkloadId::from("web-0123456789ab"),
        "name": WorkloadName::from("web"),
        "namespace": "default",
        "executor": ExecutorKind::PodmanRootful,
        "pod": pod,
    }))
    .unwrap()
}

const FULL: LimitSupport = LimitSupport { cpu: true, memory: true };

fn plan_with(
    workload: &Workload,
    limits: Limits,
    support: LimitSupport,
) -> Result<PodPlan, ManifestError> {
    podman_pod(workload, &context(&DeviceId::from("device-1"), limits, support))
}

fn plan(workload: &Workload) -> Result<PodPlan, ManifestError> {
    plan_with(workload, Limits::default(), FULL)
}

fn plan_in(workload: &Workload, memory_root: Option<&Path>) -> Result<PodPlan, ManifestError> {
    let device = DeviceId::from("device-1");
    podman_pod(workload, &PodContext { memory_root, ..context(&device, Limits::default(), FULL) })
}

fn context(device_id: &DeviceId, limits: Limits, support: LimitSupport) -> PodContext<'_> {
    PodContext {
        device_id,
        boot_id: "boot-1",
        volumes_root: Path::new("/volumes"),
        memory_root: None,
        limits,
        support,
        host: HostView::default(),
        podman: PodmanFacts { version: Some((4, 3)), cpus: 4, memory: 1 << 30 },
    }
}

fn spec(plan: &PodPlan) -> Value {
    serde_json::to_value(&plan.pod.spec).unwrap()
}

fn main_with(extra: Value) -> Value {
    let mut main = json!({"name": "main", "image": "i:1"});
    main.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    main
}

fn one(extra: Value) -> Workload {
    workload(json!({"containers": [main_with(extra)]}))
}

fn configured(mut workload: Workload) -> Workload {
    workload.config_maps = vec![
        ConfigMap {
            name: "settings".to_owned(),
            data: [("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())].into(),
        }
        .into(),
    ];
    workload.secrets = vec![
        Secret {
            name: "login".to_owned(),
            data: [
                ("user".to_owned(), Confidential::new(b"alice".to_vec())),
                ("binary".to_owned(), Confidential::new(vec![0xff, 0])),
            ]
            .into(),
        }
        .into(),
    ];
    workload
}

#[test]
fn pod_is_marked_as_ours_and_podman_neither_restarts_nor_pulls() {
    let mut workload = one(json!({"imagePullPolicy": "Always"}));
    workload.pod.restart_policy = Some("Always".to_owned());
    workload.labels =
        [("app".to_owned(), "x".to_owned()), (ID.to_owned(), "forged".to_owned())].into();
    let plan = plan(&workload).unwrap();
    let labels = plan.pod.metadata.labels.clone().unwrap();
    for (key, value) in [
        (MANAGED_BY, AGENT),
        ("project-flotta.io", "0123456789ab"),
        (ID, "web-0123456789ab"),
        (WORKLOAD, "web"),
        (BOOT_ID, "boot-1"),
        (CONTAINERS, "1"),
        ("app", "x"),
    ] {
        assert_eq!(labels.get(key).map(String::as_str), Some(value), "{key}");
    }
    let spec = spec(&plan);
    assert_eq!(spec["restartPolicy"], "Never");
    assert_eq!(spec["containers"][0]["imagePullPolicy"], "Never");
}

#[test]
fn environment_is_plain_in_the_order_of_kubernetes() {
    let workload = configured(one(json!({
        "envFrom": [{"prefix": "S_", "configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "S_b", "value": "own"},
            {"name": "USER", "valueFrom": {"secretKeyRef": {"name": "login", "key": "user"}}},
            {"name": "ABSENT", "valueFrom": {"configMapKeyRef":
                {"name": "settings", "key": "z", "optional": true}}},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "DEVICE_ID", "value": "forged"},
        ],
    })));
    let env = spec(&plan(&workload).unwrap())["containers"][0]["env"].clone();
    assert_eq!(
        env,
        json!([
            {"name": "S_a", "value": "1"},
            {"name": "S_b", "value": "own"},
            {"name": "USER", "value": "alice"},
            {"name": "POD", "value": "web-0123456789ab"},
            {"name": "DEVICE_ID", "value": "device-1"},
        ])
    );
}

#[test]
fn variables_are_made_of_what_is_text_in_a_config_map() {
    let mut workload = one(json!({"envFrom": [{"configMapRef": {"name": "logo"}}]}));
    let data = [("ALT".to_owned(), b"a bird".to_vec()), ("PNG".to_owned(), vec![0x89, 0xff])];
    workload.config_maps = vec![ConfigMap { name: "logo".to_owned(), data: data.into() }.into()];
    let env = spec(&plan(&workload).unwrap())["containers"][0]["env"].clone();
    let device = json!({"name": "DEVICE_ID", "value": "device-1"});
    assert_eq!(env, json!([{"name": "ALT", "value": "a bird"}, device]));
}

#[test]
fn what_podman_cannot_do_is_named() {
    let with_volume = |volume: Value| {
        workload(json!({
        "containers": [main_with(json!({}))], "volumes": [volume]}))
    };
    let with_variable = |source: Value| {
        configured(one(json!({
        "env": [{"name": "X", "valueFrom": source}]})))
    };
    let table = [
        (
            with_volume(
                json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
            ),
            "volume v is of kind projected with a serviceAccountToken",
        ),
        (
            with_volume(json!({"name": "v", "downwardAPI": {"items": [
                {"path": "x", "fieldRef": {"fieldPath": "status.podIP"}}]}})),
            "volume v asks for status.podIP",
        ),
        (with_volume(json!({"name": "v", "csi": {"driver": "d"}})), "volume v is of kind csi"),
        (with_volume(json!({"name": "../v", "emptyDir": {}})), "must stay within the volume"),
        (with_volume(json!({"name": "v", "configMap": {"name": "no"}})), "config map no is not"),
        (
            one(json!({"volumeMounts": [{"name": "no", "mountPath": "/x"}]})),
            "mounts volume no, which the pod does not declare",
        ),
        (
            with_variable(json!({"secretKeyRef": {"name": "login", "key": "no"}})),
            "secret login has no key no",
        ),
        (
            with_variable(json!({"secretKeyRef": {"name": "login", "key": "binary"}})),
            "variable X of container main is not text",
        ),
        (
            with_variable(json!({"fieldRef": {"fieldPath": "status.podIP"}})),
            "asks for status.podIP",
        ),
        (
            one(json!({"env": [{"name": "X", "value": "\n"}]})),
            "variable X of container main has several lines and begins with a blank",
        ),
        (one(json!({"command": ["sh", "-c", " a\n b"]})), "command of container main has several"),
        (one(json!({"args": ["\ta\nb"]})), "args of container main has several lines"),
        (workload(json!({"containers": []})), "the pod has no containers"),
        (
            workload(json!({"containers": [main_with(json!({}))],
                "initContainers": [{"name": "side", "restartPolicy": "Always"}]})),
            "init container side has a restartPolicy",
        ),
    ];
    for (workload, expected) in table {
        let error = plan(&workload).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn only_ports_of_the_host_stay_and_none_beside_the_hosts_network() {
    let ports = json!([{"containerPort": 80}, {"containerPort": 81, "hostPort": 8081}]);
    let mut workload = one(json!({"ports": ports, "livenessProbe": {"tcpSocket": {"port": 80}},
        "lifecycle": {"stopSignal": "SIGUSR1", "preStop": {"sleep": {"seconds": 1}}}}));
    let bridged = plan(&workload).unwrap();
    assert_eq!(spec(&bridged)["containers"][0]["livenessProbe"], Value::Null, "the agent runs it");
    assert_eq!(spec(&bridged)["containers"][0]["ports"].as_array().unwrap().len(), 1);
    assert_eq!(spec(&bridged)["containers"][0]["lifecycle"], Value::Null, "the agent runs it");
    assert_eq!(bridged.warnings, ["container main: lifecycle.stopSignal is ignored on podman"]);
    workload.pod.host_network = Some(true);
    let plan = plan(&workload).unwrap();
    assert!(plan.host_network);
    assert_eq!(spec(&plan)["containers"][0]["ports"], Value::Null);
}

#[test]
fn limits_narrow_what_the_author_allows_and_are_parted_among_containers() {
    let limited = json!({"resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}});
    let free = json!({"name": "free", "image": "i:1"});
    let workload = workload(json!({"containers": [main_with(limited), free]}));
    let limits = Limits { cpu: Some(60_000), memory: Some(256 << 20), ..Limits::default() };
    let spec = spec(&plan_with(&workload, limits, FULL).unwrap());
    let limit = |n: usize, name: &str| spec["containers"][n]["resources"]["limits"][name].clone();
    assert_eq!((limit(0, "cpu"), limit(1, "cpu")), (json!("300m"), json!("300m")));
    assert_eq!(limit(0, "memory"), json!((64 << 20).to_string()));
    assert_eq!(limit(1, "memory"), json!((128 << 20).to_string()));
    let lifted = container_limits(&workload, Limits::default());
    assert_eq!((lifted[0].cpu, lifted[1].cpu), (Some(50_000), None));
}

#[test]
fn podman_is_given_whole_bytes_and_thousandths_of_a_core() {
    let cases = [
        (json!({"limits": {"memory": "1.5Gi"}}), json!({"limits": {"memory": "1610612736"}})),
        (json!({"limits": {"memory": "1.1Gi"}}), json!({"limits": {"memory": "1181116007"}})),
        (json!({"limits": {"memory": 1e9}}), json!({"limits": {"memory": "1000000000"}})),
        (
            json!({"limits": {"memory": "128974848000m"}}),
            json!({"limits": {"memory": "128974848"}}),
        ),
        (json!({"limits": {"cpu": 0.5}}), json!({"limits": {"cpu": "500m"}})),
        (json!({"limits": {"cpu": "0.0005"}}), json!({"limits": {"cpu": "10m"}})),
        (json!({"limits": {"cpu": 2}}), json!({"limits": {"cpu": "2000m"}})),
        (
            json!({"requests": {"cpu": "1.5", "memory": "0.25Gi"}, "limits": {"memory": "1Gi"}}),
            json!({"requests": {"cpu": "1500m", "memory": "268435456"},
                "limits": {"memory": "1073741824"}}),
        ),
        (
            json!({"requests": {"memory": "2Gi", "cpu": "2"}, "limits": {"memory": "1Gi", "cpu": "1"}}),
            json!({"requests": {"memory": "1073741824", "cpu": "1000m"},
                "limits": {"memory": "1073741824", "cpu": "1000m"}}),
        ),
        (
            json!({"limits": {"hugepages-2Mi": "0.5Gi", "ephemeral-storage": "1.5k"}}),
            json!({"limits": {"hugepages-2Mi": "536870912", "ephemeral-storage": "1500"}}),
        ),
        (json!({"limits": {"cpu": "0", "memory": 0}}), json!({"limits": {}})),
    ];
    for (written, given) in cases {
        let mut workload = one(json!({"resources": written}));
        workload.pod.init_containers = Some(workload.pod.containers.clone());
        let plan = plan(&workload).unwrap();
        let spec = spec(&plan);
        assert_eq!(spec["containers"][0]["resources"], given, "{written}");
        assert_eq!(spec["initContainers"][0]["resources"], given, "{written}");
        let is_other = |it: &&String| !it.ends_with("is ignored on podman");
        assert_eq!(plan.warnings.iter().find(is_other), None, "{written}");
    }
}

#[test]
fn a_condition_leaves_no_request_above_its_limit() {
    let own = json!({"limits": {"memory": "1.5Gi"}, "requests": {"memory": "1.5Gi", "cpu": "1"}});
    let workload = one(json!({"resources": own}));
    let limits = Limits { cpu: Some(50_000), memory: Some(64 << 20), ..Limits::default() };
    let spec = spec(&plan_with(&workload, limits, FULL).unwrap());
    let narrowed = json!({"cpu": "500m", "memory": (64 << 20).to_string()});
    assert_eq!(
        spec["containers"][0]["resources"],
        json!({"limits": narrowed, "requests": narrowed})
    );
}

#[test]
fn an_amount_that_cannot_be_read_is_named_with_its_place() {
    let container =
        |resources: Value| json!({"containers": [main_with(json!({"resources": resources}))]});
    let free = json!([{"name": "main", "image": "i:1"}]);
    let init = json!([{"name": "first", "image": "i:1", "resources": {"limits": {"cpu": "half"}}}]);
    let scratch = json!([{"name": "tmp", "emptyDir": {"sizeLimit": "1GB"}}]);
    for (pod, place, text) in [
        (
            container(json!({"limits": {"memory": "512MiB"}})),
            "resources.limits.memory of container \"main\"",
            "\"512MiB\"",
        ),
        (
            container(json!({"requests": {"cpu": "-1"}})),
            "resources.requests.cpu of container \"main\"",
            "\"-1\" must not be negative",
        ),
        (
            container(json!({"limits": {"hugepages-2Mi": "two"}})),
            "resources.limits.hugepages-2Mi of container \"main\"",
            "as in 0.5, 500m, 512Mi, 1.5Gi or 1e9",
        ),
        (
            json!({"containers": free, "initContainers": init}),
            "resources.limits.cpu of container \"first\"",
            "\"half\"",
        ),
        (
            json!({"containers": free, "volumes": scratch}),
            "emptyDir.sizeLimit of volume \"tmp\"",
            "no B after the unit",
        ),
        (
            json!({"containers": free, "resources": {"limits": {"cpu": "1 core"}}}),
            "resources.limits.cpu of the pod",
            "\"1 core\"",
        ),
    ] {
        let message = plan(&workload(pod)).unwrap_err().to_string();
        assert!(message.starts_with(place) && message.contains(text), "{message}");
    }
}

#[test]
fn limits_that_podman_has_no_place_for_and_slips_are_warned_of() {
    let mut workload = one(json!({"resources": {"limits": {"memory": "512m"}}}));
    workload.pod.resources = serde_json::from_value(json!({"limits": {"memory": "1Gi"}})).unwrap();
    workload.pod.overhead = serde_json::from_value(json!({"memory": "0.5Gi"})).unwrap();
    let plan = plan(&workload).unwrap();
    for field in ["resources", "overhead"] {
        assert_eq!(spec(&plan)[field], Value::Null, "{field}");
    }
    let [overhead, whole, slip] = plan.warnings.as_slice() else { panic!("{:?}", plan.warnings) };
    assert_eq!(overhead, "overhead is ignored on podman");
    assert!(whole.contains("write it in its containers"), "{whole}");
    assert!(slip.contains("limits.memory \"512m\" is a fraction of a byte"), "{slip}");
}

#[test]
fn limits_are_left_out_with_a_warning_where_podman_knows_none() {
    let own = json!({"cpu": "1", "memory": "64Mi"});
    let workload = one(json!({"resources": {"limits": own, "requests": own}}));
    let limits = Limits { cpu: Some(50_000), memory: Some(1 << 20), ..Limits::default() };
    for (cpu, memory, left, warnings) in [
        (false, false, json!({}), 2),
        (true, false, json!({"cpu": "500m"}), 1),
        (false, true, json!({"memory": (1 << 20).to_string()}), 1),
    ] {
        let plan = plan_with(&workload, limits, LimitSupport { cpu, memory }).unwrap();
        assert_eq!(spec(&plan)["containers"][0]["resources"]["limits"], left);
        let left_out = plan.warnings.iter().filter(|it| it.contains("cgroup v2"));
        assert_eq!(left_out.count(), warnings);
    }
}

#[test]
fn no_container_gets_less_cpu_than_the_kernel_can_measure_out() {
    let containers: Vec<_> =
        ["a", "b", "c"].map(|name| json!({"name": name, "image": "i:1"})).into();
    let workload = workload(json!({"containers": containers}));
    let limits = Limits { cpu: Some(1_500), ..Limits::default() };
    let spec = spec(&plan_with(&workload, limits, FULL).unwrap());
    assert_eq!(spec["containers"][2]["resources"]["limits"]["cpu"], json!("10m"));
    assert_eq!(container_limits(&workload, limits)[2].cpu, Some(1_000));
}

#[test]
fn long_annotations_travel_beside_the_manifest() {
    let mut workload = one(json!({}));
    workload.annotations =
        [("short".to_owned(), "x".repeat(63)), ("long".to_owned(), "x".repeat(64))].into();
    let plan = plan(&workload).unwrap();
    let annotations = plan.pod.metadata.annotations.unwrap();
    assert!(annotations.contains_key("short") && !annotations.contains_key("long"));
    assert!(plan.long_annotations.contains_key("long"));
}

#[test]
fn a_plan_shows_no_value_of_a_secret_or_of_a_variable() {
    let mut workload = one(json!({
        "env": [
            {"name": "LITERAL", "value": "planted-hunter2"},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "login", "key": "k"}}},
        ],
    }));
    workload.secrets = vec![
        Secret {
            name: "login".to_owned(),
            data: [("k".to_owned(), Confidential::new(b"planted-hunter2".to_vec()))].into(),
        }
        .into(),
    ];
    let plan = plan(&workload).unwrap();
    assert_eq!(spec(&plan).to_string().matches("planted-hunter2").count(), 2);
    let shown = format!("{plan:?}");
    assert!(!shown.contains("planted-hunter2"), "{shown}");
}
