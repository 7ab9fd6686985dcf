//! Workloads and the objects that they become.

use serde_json::{Value, json};

use super::*;
use crate::workload::{self, Confidential, ExecutorKind, RegistryCredentials};

fn workload(pod: Value) -> Workload {
    let workload = json!({
        "id": "web-0123456789ab",
        "name": "web",
        "namespace": "shop",
        "executor": ExecutorKind::K8s,
        "pod": pod,
        "labels": {"app": "web", "device-worker-ng/id": "forged"},
        "annotations": {"note": "x"},
    });
    serde_json::from_value(workload).unwrap()
}

fn made(workload: &Workload, limits: Limits) -> Objects {
    objects(workload, limits, &DeviceId::from("toto"))
}

fn pod_of(objects: &Objects) -> Value {
    let spec = objects.deployment.spec.clone().unwrap();
    serde_json::to_value(spec.template.spec.unwrap()).unwrap()
}

#[test]
fn hooks_sidecars_and_volumes_in_memory_are_the_clusters_affair() {
    let lifecycle =
        json!({"postStart": {"exec": {"command": ["a"]}}, "preStop": {"sleep": {"seconds": 3}}});
    let volumes = json!([{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]);
    let workload = workload(json!({
        "initContainers": [{"name": "side", "restartPolicy": "Always", "startupProbe": {"tcpSocket": {"port": 1}}}],
        "containers": [{"name": "c", "lifecycle": lifecycle}],
        "volumes": volumes,
        "terminationGracePeriodSeconds": 7,
    }));
    let pod = pod_of(&made(&workload, Limits::default()));
    assert_eq!(pod["containers"][0]["lifecycle"], lifecycle);
    assert_eq!(pod["initContainers"][0]["restartPolicy"], "Always");
    assert_eq!(pod["initContainers"][0]["startupProbe"]["tcpSocket"]["port"], 1);
    assert_eq!((&pod["volumes"], &pod["terminationGracePeriodSeconds"]), (&volumes, &json!(7)));
}

#[test]
fn a_workload_becomes_a_deployment_of_one_replica() {
    let workload = workload(json!({
        "restartPolicy": "Never",
        "initContainers": [{"name": "i", "image": "init"}],
        "containers": [{"name": "c", "image": "nginx", "env": [{"name": "A", "value": "1"}]}],
    }));
    let objects = made(&workload, Limits::default());
    let ours = json!({
        "app.kubernetes.io/managed-by": "device-worker-ng",
        "device-worker-ng/device": "toto",
        "device-worker-ng/id": "web-0123456789ab",
        "device-worker-ng/workload": "web",
    });
    let mut of_pod = ours.clone();
    of_pod["app"] = json!("web");
    let device_id = json!({"name": "DEVICE_ID", "value": "toto"});
    assert_eq!(
        serde_json::to_value(&objects.deployment).unwrap(),
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "web-0123456789ab-31f7a65e3155",
                "namespace": "shop",
                "labels": ours,
                "annotations": {"device-worker-ng/workload": "web"},
            },
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {
                    "device-worker-ng/device": "toto",
                    "device-worker-ng/id": "web-0123456789ab",
                }},
                "strategy": {"type": "Recreate"},
                "template": {
                    "metadata": {
                        "labels": of_pod,
                        "annotations": {"note": "x", "device-worker-ng/workload": "web"},
                    },
                    "spec": {
                        "restartPolicy": "Always",
                        "imagePullSecrets": [{"name": "web-0123456789ab-31f7a65e3155.registries"}],
                        "initContainers": [{"name": "i", "image": "init", "env": [device_id]}],
                        "containers": [{
                            "name": "c",
                            "image": "nginx",
                            "env": [{"name": "A", "value": "1"}, device_id],
                        }],
                    },
                },
            },
        })
    );
    assert!(objects.config_maps.is_empty());
    assert_eq!(objects.secrets.len(), 1, "that with the registry credentials, if there are any");
}

#[test]
fn a_workload_brings_its_config_maps_and_secrets_under_names_of_ours() {
    let mut workload = workload(json!({
        "containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "map"}}]}],
        "volumes": [{"name": "s", "secret": {"secretName": "key"}}],
    }));
    workload.config_maps = vec![
        workload::ConfigMap {
            name: "map".into(),
            data: [("a".into(), b"text".to_vec()), ("b".into(), vec![0xff])].into(),
        }
        .into(),
    ];
    workload.secrets = vec![
        workload::Secret {
            name: "key".into(),
            data: [("k".into(), Confidential::new(b"s3cret".to_vec()))].into(),
        }
        .into(),
    ];
    let objects = made(&workload, Limits::default());
    let map = serde_json::to_value(&objects.config_maps[0]).unwrap();
    assert_eq!(map["metadata"]["name"], "web-0123456789ab-31f7a65e3155-map");
    assert_eq!(map["metadata"]["namespace"], "shop");
    assert_eq!(map["metadata"]["labels"][ID_LABEL], "web-0123456789ab");
    assert_eq!(map["data"], json!({"a": "text"}));
    assert_eq!(map["binaryData"], json!({"b": "/w=="}));
    let secret = serde_json::to_value(&objects.secrets[0]).unwrap();
    assert_eq!(secret["metadata"]["name"], "web-0123456789ab-31f7a65e3155-key");
    assert_eq!(secret["data"], json!({"k": "czNjcmV0"}));
    let pod = pod_of(&objects);
    let source = &pod["containers"][0]["envFrom"][0];
    assert_eq!(source["configMapRef"]["name"], "web-0123456789ab-31f7a65e3155-map");
    let volume = &pod["volumes"][0];
    assert_eq!(volume["secret"]["secretName"], "web-0123456789ab-31f7a65e3155-key");
    let debug = format!("{objects:?}");
    assert_eq!(debug, "Objects(shop/web-0123456789ab)");
}

#[test]
fn registry_credentials_come_and_go_in_a_secret_that_the_pod_always_names() {
    let mut workload = workload(json!({"containers": [], "imagePullSecrets": [{"name": "own"}]}));
    let credentials = |workload: &Workload| {
        let objects = made(workload, Limits::default());
        let secret = &objects.secrets[0];
        assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/dockerconfigjson"));
        assert_eq!(
            secret.metadata.name.as_deref(),
            Some("web-0123456789ab-31f7a65e3155.registries")
        );
        let config = &secret.data.as_ref().unwrap()[".dockerconfigjson"].0;
        let config: Value = serde_json::from_slice(config).unwrap();
        (objects.deployment, config)
    };
    let (without, none) = credentials(&workload);
    assert_eq!(none, json!({"auths": {}}));
    workload.registries.insert(
        "quay.io".into(),
        RegistryCredentials { username: "u".into(), password: Confidential::new("p".into()) },
    );
    let (with, some) = credentials(&workload);
    assert_eq!(
        some,
        json!({"auths": {"quay.io": {"username": "u", "password": "p", "auth": "dTpw"}}})
    );
    assert_eq!(with, without, "nothing restarts");
    assert_eq!(
        pod_of(&made(&workload, Limits::default()))["imagePullSecrets"],
        json!([{"name": "own"}, {"name": "web-0123456789ab-31f7a65e3155.registries"}])
    );
}

#[test]
fn limits_are_shared_among_the_containers() {
    let workload = workload(json!({"containers": [
        {"name": "a", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}},
        {"name": "b", "resources": {"limits": {"cpu": "4"}}},
    ]}));
    let resources = |cpu, memory| {
        let pod = pod_of(&made(&workload, Limits { cpu, memory, ..Limits::default() }));
        [0, 1].map(|n| pod["containers"][n]["resources"].clone())
    };
    assert_eq!(
        resources(Some(50_000), None),
        [
            json!({"limits": {"cpu": "250m"}, "requests": {"memory": "1Gi"}}),
            json!({"limits": {"cpu": "250m"}}),
        ]
    );
    assert_eq!(
        resources(None, Some(1024)),
        [
            json!({"limits": {"memory": "512"}, "requests": {"cpu": "2"}}),
            json!({"limits": {"cpu": "4", "memory": "512"}}),
        ]
    );
    // The kernel knows no smaller one.
    assert_eq!(resources(Some(1), None)[1]["limits"]["cpu"], "10m");
}

#[test]
fn a_limit_never_raises_that_of_the_specification() {
    let own = json!({
        "limits": {"cpu": "0.25", "memory": "64Mi"},
        "requests": {"cpu": "100m", "memory": "32Mi"},
    });
    let workload = workload(json!({"containers": [{"name": "a", "resources": own}]}));
    let resources = |cpu, memory| {
        let pod = pod_of(&made(
            &workload,
            Limits { cpu: Some(cpu), memory: Some(memory), ..Limits::default() },
        ));
        pod["containers"][0]["resources"].clone()
    };
    assert_eq!(resources(400_000, 1 << 30), own);
    assert_eq!(
        resources(20_000, 1 << 20),
        json!({"limits": {"cpu": "200m", "memory": "1048576"}, "requests": {}})
    );
}

#[test]
fn a_long_name_is_whole_in_the_annotation_and_cut_in_the_label() {
    let mut workload = workload(json!({"containers": []}));
    let name = format!("{}.{}", "n".repeat(62), "m".repeat(100));
    workload.name = name.as_str().into();
    let metadata = made(&workload, Limits::default()).deployment.metadata;
    assert_eq!(metadata.labels.unwrap()[WORKLOAD_LABEL], "n".repeat(62));
    assert_eq!(metadata.annotations.unwrap()[WORKLOAD_LABEL], name);
}

#[test]
fn two_devices_give_the_same_specification_names_of_their_own() {
    let mut workload = workload(json!({"containers": []}));
    workload.config_maps =
        vec![workload::ConfigMap { name: "map".into(), data: BTreeMap::new() }.into()];
    let names = |device: &str| {
        let objects = objects(&workload, Limits::default(), &DeviceId::from(device));
        [objects.deployment.metadata.name, objects.config_maps[0].metadata.name.clone()]
    };
    let (toto, titi) = (names("toto"), names("titi"));
    assert!(toto.iter().all(|name| !titi.contains(name)), "{toto:?} {titi:?}");
    assert_eq!(toto, names("toto"));
}

#[test]
fn a_name_too_long_for_a_cluster_ends_in_a_hash_of_itself() {
    let name_of = |name: &str| {
        let mut workload = workload(json!({
            "containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": name}}]}],
        }));
        let data = BTreeMap::new();
        workload.config_maps = vec![workload::ConfigMap { name: name.into(), data }.into()];
        let objects = made(&workload, Limits::default());
        let reference = pod_of(&objects)["containers"][0]["envFrom"][0]["configMapRef"].clone();
        let made = objects.config_maps[0].metadata.name.clone().unwrap();
        assert_eq!(reference["name"], made.as_str());
        made
    };
    let base = "web-0123456789ab-31f7a65e3155-";
    let longest = "m".repeat(253 - base.len());
    assert_eq!(name_of(&longest), format!("{base}{longest}"));
    let begin = "m".repeat(253 - base.len() - 14);
    let [a, b] = ["a", "b"].map(|end| name_of(&format!("{begin}.mmmmmmmmmmmmmm{end}")));
    for name in [&a, &b] {
        assert_eq!(name.len(), 252, "the dot at the cut goes, too: {name}");
        assert!(name.starts_with(&format!("{base}{begin}-")), "{name}");
    }
    assert_ne!(a, b);
}
