//! The downward API in variables and files, and how variables refer to each other.

use super::*;

fn given(plan: &PodPlan, pointer: &str) -> Value {
    spec(plan).pointer(pointer).cloned().unwrap_or_default()
}

#[test]
fn variables_refer_to_those_before_them_and_commands_to_all() {
    let workload = configured(one(json!({
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "a", "value": "own-$(a)"},
            {"name": "EARLY", "value": "$(LATER)"},
            {"name": "LATER", "value": "$(b)/$$(b)/$(DEVICE_ID)"},
            {"name": "USER", "valueFrom": {"secretKeyRef": {"name": "login", "key": "user"}}},
        ],
        "command": ["sh", "-c", "echo $(LATER) $HOME $(NONE)"],
        "args": ["$(USER)", "$(DEVICE_ID)"],
    })));
    let plan = plan(&workload).unwrap();
    let env = given(&plan, "/containers/0/env");
    let value = |name: &str| {
        let all = env.as_array().unwrap();
        all.iter().find(|it| it["name"] == name).unwrap()["value"].clone()
    };
    assert_eq!(value("a"), "own-1");
    assert_eq!(value("EARLY"), "$(LATER)");
    assert_eq!(value("LATER"), "2/$(b)/device-1");
    assert_eq!(
        given(&plan, "/containers/0/command"),
        json!(["sh", "-c", "echo 2/$(b)/device-1 $HOME $(NONE)"])
    );
    assert_eq!(given(&plan, "/containers/0/args"), json!(["alice", "device-1"]));
}

#[test]
fn what_is_expanded_is_written_so_that_no_podman_expands_it_again() {
    let workload = one(json!({
        "env": [{"name": "A", "value": "$$(A)"}],
        "command": ["sh", "-c", "echo $(A) $$(A) $HOME"],
        "args": ["$$"],
    }));
    for (version, command, args) in [
        (Some((4, 3)), "echo $(A) $(A) $HOME", "$"),
        (Some((4, 6)), "echo $(A) $(A) $HOME", "$"),
        (Some((4, 7)), "echo $$(A) $$(A) $$HOME", "$$"),
        (Some((5, 4)), "echo $$(A) $$(A) $$HOME", "$$"),
    ] {
        let device = DeviceId::from("device-1");
        let context = context(&device, Limits::default(), FULL);
        let podman = PodmanFacts { version, ..context.podman };
        let plan = podman_pod(&workload, &PodContext { podman, ..context }).unwrap();
        assert_eq!(given(&plan, "/containers/0/command/2"), json!(command), "{version:?}");
        assert_eq!(given(&plan, "/containers/0/args/0"), json!(args), "{version:?}");
        assert_eq!(given(&plan, "/containers/0/env/0/value"), json!("$(A)"), "{version:?}");
    }
}

#[test]
fn variables_that_double_each_other_are_refused_before_they_fill_the_memory() {
    let mut env = vec![json!({"name": "V0", "value": "xxxxxxxxxxxxxxxx"})];
    for n in 0..60 {
        let value = format!("$(V{n})$(V{n})");
        env.push(json!({"name": format!("V{}", n + 1), "value": value}));
    }
    let error = plan(&one(json!({"env": env}))).unwrap_err().to_string();
    assert!(
        error.starts_with("variable V14 of container main comes to more than 131072"),
        "{error}"
    );
}

#[test]
fn variables_hold_fields_of_the_pod_and_amounts_of_its_resources() {
    let from = |source: Value| json!({"name": "X", "valueFrom": source});
    for (source, expected) in [
        (json!({"fieldRef": {"fieldPath": "metadata.namespace"}}), "default"),
        (json!({"fieldRef": {"fieldPath": "spec.nodeName"}}), "device-1"),
        (json!({"fieldRef": {"fieldPath": "spec.serviceAccountName"}}), "default"),
        (json!({"fieldRef": {"fieldPath": "metadata.labels['app']"}}), "x"),
        (json!({"fieldRef": {"fieldPath": "metadata.labels['none']"}}), ""),
        (json!({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}), "128"),
        (json!({"resourceFieldRef": {"resource": "limits.cpu"}}), "1"),
        (json!({"resourceFieldRef": {"resource": "requests.memory"}}), "134217728"),
    ] {
        let mut workload = one(json!({
            "env": [from(source.clone())],
            "resources": {"limits": {"memory": "128Mi", "cpu": "500m"}},
        }));
        workload.labels = [("app".to_owned(), "x".to_owned())].into();
        // A condition's limit is not the author's.
        let limits = Limits { cpu: Some(10_000), memory: Some(1 << 20), ..Limits::default() };
        let plan = plan_with(&workload, limits, FULL).unwrap();
        assert_eq!(given(&plan, "/containers/0/env/0/value"), expected, "{source}");
    }
    let free = one(json!({"env": [
        from(json!({"resourceFieldRef": {"resource": "limits.memory"}})),
    ]}));
    assert_eq!(given(&plan(&free).unwrap(), "/containers/0/env/0/value"), "1073741824");
}

/// Returns the files of the volume, each as mode, path and content.
fn files(plan: &PodPlan) -> Vec<String> {
    let [folder] = plan.folders.as_slice() else { panic!("{:?}", plan.folders) };
    let file = |file: &VolumeFile| {
        let content = String::from_utf8(file.content.expose().clone()).unwrap();
        format!("{:o} {} {content}", file.mode, file.path.display())
    };
    folder.files.iter().map(file).collect()
}

fn with_volume(volume: Value) -> Workload {
    let mounts = json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "resources": {"limits": {"cpu": "2"}}});
    let pod = json!({"containers": [main_with(mounts)], "volumes": [volume]});
    let mut workload = configured(workload(pod));
    workload.labels = [("app".to_owned(), "x".to_owned()), ("b".to_owned(), "y".to_owned())].into();
    workload
}

#[test]
fn files_hold_what_the_pod_is_and_several_sources_in_one_volume() {
    let items = json!([
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "in/cpus", "mode": 0o400,
            "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu"}},
    ]);
    let written = ["644 labels app=\"x\"\nb=\"y\"", "400 in/cpus 2"];
    let volume = with_volume(json!({"name": "v", "downwardAPI": {"items": items}}));
    assert_eq!(files(&plan(&volume).unwrap()), written);

    let sources = json!([
        {"configMap": {"name": "settings"}},
        {"configMap": {"name": "none", "optional": true}},
        {"secret": {"name": "login", "items": [{"key": "user", "path": "a", "mode": 0o600}]}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]);
    let volume = json!({"name": "v", "projected": {"sources": sources, "defaultMode": 0o440}});
    let plan = plan(&with_volume(volume)).unwrap();
    // Of two files of one path the last counts.
    let expected = ["440 b 2", "600 a alice", "440 name web-0123456789ab"];
    assert_eq!(files(&plan), expected);
    assert_eq!(given(&plan, "/containers/0/volumeMounts/0/readOnly"), json!(true));
}

#[test]
fn a_group_is_given_to_processes_and_volumes_of_root_s_podman() {
    let volume = json!({"name": "v", "secret": {"secretName": "login", "defaultMode": 0o400,
        "items": [{"key": "user", "path": "user"}]}});
    let mut workload = with_volume(volume);
    workload
        .pod
        .volumes
        .get_or_insert_default()
        .push(serde_json::from_value(json!({"name": "scratch", "emptyDir": {}})).unwrap());
    workload.pod.security_context = serde_json::from_value(json!({"fsGroup": 2000,
        "supplementalGroups": [4000], "fsGroupChangePolicy": "OnRootMismatch"}))
    .unwrap();
    let plan_of = |workload: &Workload| {
        let plan = plan(workload).unwrap();
        let folder = |it: &VolumeFolder| {
            let files = it.files.iter().map(|file| format!(" {:o}", file.mode)).collect::<String>();
            format!("{:o}{files} {:?}", it.mode, it.group)
        };
        let folders: Vec<_> = plan.folders.iter().map(folder).collect();
        (given(&plan, "/securityContext"), folders, plan.warnings)
    };
    let groups = json!({"supplementalGroups": [4000, 2000]});
    let (security, folders, warnings) = plan_of(&workload);
    assert_eq!((security, warnings.len()), (groups.clone(), 0));
    assert_eq!(folders, ["2777 Some(2000)", "2755 440 Some(2000)"]);

    let alone = json!({"supplementalGroups": [4000]});
    let set = |workload: &mut Workload, group: i64| {
        workload.pod.security_context.as_mut().unwrap().fs_group = Some(group);
    };
    let mut rootless = workload.clone();
    rootless.executor = ExecutorKind::PodmanRootless;
    let mut own_users = workload.clone();
    own_users.pod.host_users = Some(false);
    let (mut none, mut wide) = (workload.clone(), workload.clone());
    set(&mut none, -1);
    set(&mut wide, 1 << 31);
    for (workload, why) in [
        (rootless, "on rootless podman"),
        (own_users, "with hostUsers: false"),
        (none, "as it is no number"),
        (wide, "as it is no number"),
    ] {
        let (security, folders, warnings) = plan_of(&workload);
        assert_eq!(security, alone, "{why}");
        assert_eq!(folders, ["777 None", "755 400 None"], "{why}");
        let told = format!("securityContext.fsGroup is ignored {why}");
        assert!(warnings.iter().any(|it| it.starts_with(&told)), "{warnings:?}");
    }
}

#[test]
fn a_claim_and_a_path_are_mounted_as_kubernetes_does() {
    let claim = json!({"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": true}});
    let plan_of = |path: &str| {
        let mut workload = with_volume(claim.clone());
        let mounts = json!([{"name": "v", "mountPath": path}]);
        workload.pod.containers[0].volume_mounts = serde_json::from_value(mounts).unwrap();
        plan(&workload)
    };
    let relative = plan_of("data/x").unwrap();
    let mount = given(&relative, "/containers/0/volumeMounts/0");
    assert_eq!(mount, json!({"name": "v", "mountPath": "/data/x", "readOnly": true}));
    assert!(plan_of("/data:ro,z").is_ok());
    for path in ["/data:2024", "", "/a:ro:z"] {
        let error = plan_of(path).unwrap_err().to_string();
        assert!(error.contains("must be a path without a colon"), "{error}");
    }
}
