//! Tests of volumes: which folders they become, and what each container sees of them.

use super::*;

#[test]
fn volumes_become_folders_of_the_workloads_own() {
    let workload = configured(workload(json!({
        "containers": [main_with(json!({"volumeMounts": [
            {"name": "conf", "mountPath": "/conf"},
            {"name": "conf", "mountPath": "/one", "subPath": "deep/one"},
            {"name": "data", "mountPath": "/data"},
        ]}))],
        "volumes": [
            {"name": "conf", "configMap": {"name": "settings", "defaultMode": 288,
                "items": [{"key": "a", "path": "deep/one"}]}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "kept"}},
        ],
    })));
    let plan = plan(&workload).unwrap();
    let folder = &plan.folders[0];
    assert_eq!(folder.path, Path::new("/volumes/web-0123456789ab/conf"));
    assert_eq!(
        (folder.files[0].path.as_path(), folder.files[0].mode),
        (Path::new("deep/one"), 0o440)
    );
    let spec = spec(&plan);
    assert_eq!(spec["volumes"][0]["hostPath"]["path"], "/volumes/web-0123456789ab/conf");
    assert_eq!(spec["volumes"][1]["persistentVolumeClaim"]["claimName"], "kept");
    assert_eq!(
        spec["volumes"][2]["hostPath"],
        json!({"path": "/volumes/web-0123456789ab/conf/deep/one", "type": "File"})
    );
    let mounts = &spec["containers"][0]["volumeMounts"];
    assert_eq!(mounts[0]["mountPath"], "/conf:z");
    assert_eq!((&mounts[0]["readOnly"], &mounts[1]["readOnly"]), (&json!(true), &json!(true)));
    assert_eq!(mounts[1]["name"], spec["volumes"][2]["name"]);
    assert_eq!(mounts[2], json!({"name": "data", "mountPath": "/data"}));
}

#[test]
fn a_mode_that_is_not_one_of_permissions_is_refused() {
    let with = |default: i32, own: i32| {
        let items = [json!({"key": "user", "path": "a", "mode": own})];
        plan(&configured(workload(json!({
            "containers": [main_with(json!({}))],
            "volumes": [{"name": "v", "secret": {"secretName": "login", "defaultMode": default, "items": items}}],
        }))))
    };
    for (default, own, wrong) in [(600, 256, 600), (256, 1_000, 1_000), (-1, 256, -1)] {
        let error = with(default, own).unwrap_err();
        let expected = ManifestError::Mode { volume: "v".to_owned(), mode: wrong };
        assert_eq!(error, expected);
        assert!(error.to_string().contains("0777 octal (511 decimal)"), "{error}");
    }
    let plan = with(511, 256).unwrap();
    assert_eq!(plan.folders[0].files[0].mode, 0o400);
}

#[test]
fn keys_that_lead_out_of_their_volume_are_refused() {
    for path in ["../x", "/etc/passwd", "a/../../x", "", "./../x"] {
        let workload = configured(workload(json!({
            "containers": [main_with(json!({}))],
            "volumes": [{"name": "v", "secret": {"secretName": "login",
                "items": [{"key": "user", "path": path}]}}],
        })));
        let error = plan(&workload).unwrap_err();
        assert!(matches!(error, ManifestError::UnsafePath { .. }), "{path}");
    }
}

/// A pod whose containers have these mounts of an `emptyDir` called `data`, each `(subPath, mountPath,
/// readOnly)`.
fn sharing(containers: &[&[(&str, &str, bool)]]) -> Workload {
    let containers = containers.iter().enumerate().map(|(n, mounts)| {
        let mounts = mounts.iter().map(|(part, target, read_only)| {
            json!({"name": "data", "subPath": part, "mountPath": target, "readOnly": read_only})
        });
        json!({"name": format!("c{n}"), "image": "i:1", "volumeMounts": mounts.collect::<Vec<_>>()})
    });
    workload(json!({
        "containers": containers.collect::<Vec<_>>(),
        "volumes": [{"name": "data", "emptyDir": {}}],
    }))
}

/// What container `n` sees: `path on the host below the pod's -> path in the container`.
fn seen(plan: &PodPlan, n: usize) -> Vec<String> {
    let spec = spec(plan);
    let volumes = spec["volumes"].as_array().unwrap();
    let source = |name: &Value| {
        let mut named = volumes.iter().filter(|volume| volume["name"] == *name);
        let volume = named.next().expect("it is declared");
        assert!(named.next().is_none(), "{name} is declared once");
        let path = volume["hostPath"]["path"].as_str().unwrap().to_owned();
        let below = |home: &str| path.strip_prefix(home).map(str::to_owned);
        let scratch = below("/volumes/.scratch/web-0123456789ab/");
        scratch.or_else(|| below("/volumes/web-0123456789ab/")).unwrap_or(path)
    };
    let mounts = spec["containers"][n]["volumeMounts"].as_array().unwrap();
    let shown = mounts.iter().map(|mount| {
        let read_only = if mount["readOnly"] == true { " ro" } else { "" };
        let target = mount["mountPath"].as_str().unwrap();
        assert_eq!(mount["subPath"], Value::Null);
        format!("{} -> {}{read_only}", source(&mount["name"]), target.strip_suffix(":z").unwrap())
    });
    shown.collect()
}

#[test]
fn a_part_is_a_folder_beside_the_volume_that_the_whole_shows() {
    let plan = plan(&sharing(&[
        &[("", "/s", false)],
        &[("a", "/a", false), ("a/b", "/b", true)],
        &[("", "/s/", true), ("a", "/s/a", false)],
        &[("c//d/", "/d", false)],
    ]));
    let plan = plan.unwrap();
    let (a, b) = (".parts/data/1", ".parts/data/2");
    let (d, c) = (".parts/data/3", ".parts/data/4");
    assert_eq!(
        seen(&plan, 0),
        [
            "data -> /s".to_owned(),
            format!("{a} -> /s/a"),
            format!("{b} -> /s/a/b"),
            format!("{c} -> /s/c"),
            format!("{d} -> /s/c/d"),
        ]
    );
    assert_eq!(
        seen(&plan, 1),
        [format!("{a} -> /a"), format!("{b} -> /b ro"), format!("{b} -> /a/b")]
    );
    assert_eq!(
        seen(&plan, 2),
        [
            "data -> /s/ ro".to_owned(),
            format!("{a} -> /s/a"),
            format!("{c} -> /s/c ro"),
            format!("{d} -> /s/c/d ro"),
            format!("{b} -> /s/a/b"),
        ]
    );
    assert_eq!(seen(&plan, 3), [format!("{d} -> /d")]);
    let modes: Vec<_> = plan.folders.iter().map(|folder| folder.mode).collect();
    let made: Vec<_> = plan.folders.iter().map(|folder| folder.path.clone()).collect();
    assert_eq!(modes[..2], [0o755, 0o755], "{made:?}");
    assert!(modes[2..].iter().all(|mode| *mode == 0o777), "{made:?}");
    for mount_point in ["data/a", "data/c", &format!("{a}/b"), &format!("{c}/d")] {
        let path = Path::new("/volumes/.scratch/web-0123456789ab").join(mount_point);
        assert!(made.contains(&path), "{mount_point}: {made:?}");
    }
}

#[test]
fn what_containers_write_outlives_the_pod_but_for_that_of_a_cron_run() {
    let mut workload = sharing(&[&[("", "/s", false)]]);
    let whole = |workload: &Workload| plan(workload).unwrap().folders[0].path.clone();
    assert_eq!(whole(&workload), Path::new("/volumes/.scratch/web-0123456789ab/data"));
    workload.cron = Some("* * * * *".to_owned());
    assert_eq!(whole(&workload), Path::new("/volumes/web-0123456789ab/data"));
}

#[test]
fn what_another_mount_of_a_container_covers_is_not_mounted_under_it() {
    let mut workload = sharing(&[
        &[("", "/s", false), ("x", "/s/a", false), ("", "/t/../t", false)],
        &[("a/b", "/b", false)],
    ]);
    let mut other = workload.pod.containers[0].volume_mounts.clone().unwrap()[0].clone();
    (other.name, other.mount_path) = ("other".to_owned(), "/t/a/b".to_owned());
    workload.pod.containers[0].volume_mounts.as_mut().unwrap().push(other);
    let other = json!({"name": "other", "emptyDir": {}});
    let mut volumes = workload.pod.volumes.take().unwrap();
    volumes.push(serde_json::from_value(other).unwrap());
    workload.pod.volumes = Some(volumes);
    let plan = plan(&workload).unwrap();
    let (x, b, a) = (".parts/data/1", ".parts/data/2", ".parts/data/3");
    assert_eq!(
        seen(&plan, 0),
        [
            "data -> /s".to_owned(),
            format!("{x} -> /s/a"),
            "data -> /t/../t".to_owned(),
            "other -> /t/a/b".to_owned(),
            format!("{x} -> /s/x"),
            format!("{a} -> /t/a"),
            format!("{x} -> /t/x"),
        ],
        "{b} is hidden by what lies over it in both places"
    );
}

#[test]
fn parts_get_names_that_no_volume_of_the_pod_has() {
    let mut workload = sharing(&[&[("a", "/a", false), ("a", "/again", false)]]);
    for name in ["data-part-0", "data-part-1"] {
        let volume = json!({"name": name, "hostPath": {"path": format!("/{name}")}});
        let volume = serde_json::from_value(volume).unwrap();
        workload.pod.volumes.as_mut().unwrap().push(volume);
    }
    let plan = plan(&workload).unwrap();
    assert_eq!(seen(&plan, 0), [".parts/data/1 -> /a", ".parts/data/1 -> /again"]);
}

#[test]
fn names_of_volumes_that_lie_within_others_are_refused() {
    for (names, expected) in [
        (&["a", "a/b"][..], "volume \"a/b\" has a name"),
        (&[".parts"], "volume \".parts\" has a name"),
        (&["a/"], "volume \"a/\" has a name"),
        (&["."], "must stay within"),
        (&["a", "b", "a"], "declares volume a twice"),
    ] {
        let volumes = names.iter().map(|name| json!({"name": name, "emptyDir": {}}));
        let workload = workload(json!({
            "containers": [main_with(json!({}))], "volumes": volumes.collect::<Vec<_>>()}));
        let error = plan(&workload).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn parts_that_cannot_be_had_are_named_with_a_way_out() {
    let volumes = json!([
        {"name": "conf", "configMap": {"name": "settings"}},
        {"name": "data", "emptyDir": {}},
        {"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}},
    ]);
    for (mount, expected) in [
        (json!({"name": "conf", "subPath": "none"}), "mounts none of volume conf"),
        (json!({"name": "data", "subPath": "../x"}), "must stay within the volume"),
        (json!({"name": "data", "subPath": "/etc"}), "must stay within the volume"),
        (json!({"name": "data", "subPathExpr": "$(NAME)"}), "write a subPath"),
        (json!({"name": "kept", "subPath": "x"}), "leave the subPath out"),
    ] {
        let mut mount = mount;
        mount["mountPath"] = json!("/x");
        let workload = configured(workload(json!({
            "containers": [main_with(json!({"volumeMounts": [mount]}))], "volumes": volumes})));
        let error = plan(&workload).unwrap_err().to_string();
        assert!(error.contains("container main") || error.contains("volume data"), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let colon = plan(&sharing(&[&[("", "/s", false)], &[("a:b", "/b", false)]]));
    assert!(colon.unwrap_err().to_string().contains("/s/a:b: podman takes no colon there"));
}

#[test]
fn what_is_mounted_within_a_config_map_finds_room_there() {
    let workload = configured(workload(json!({
        "containers": [main_with(json!({"volumeMounts": [
            {"name": "conf", "mountPath": "/conf"},
            {"name": "data", "mountPath": "/conf/cache/deep"},
            {"name": "login", "mountPath": "/conf/user", "subPath": "user"},
            {"name": "socket", "mountPath": "/conf/socket"},
            {"name": "data", "mountPath": "/conf/a"},
            {"name": "data", "mountPath": "/conf/cache/deep/er"},
        ]}))],
        "volumes": [
            {"name": "conf", "configMap": {"name": "settings"}},
            {"name": "data", "emptyDir": {}},
            {"name": "login", "secret": {"secretName": "login"}},
            {"name": "socket", "hostPath": {"path": "/run/x.sock", "type": "Socket"}},
        ],
    })));
    let plan = plan(&workload).unwrap();
    let home = Path::new("/volumes/web-0123456789ab");
    let made = |path: &str| plan.folders.iter().any(|folder| folder.path == home.join(path));
    assert!(made("conf/cache/deep"));
    assert!(!made("conf/a"), "there is a file");
    assert!(!made("conf/cache/deep/er"), "that is within the other volume");
    let conf = plan.folders.iter().find(|folder| folder.path == home.join("conf")).unwrap();
    let files: Vec<_> = conf.files.iter().map(|file| file.path.to_str().unwrap()).collect();
    assert_eq!(files, ["a", "b", "user", "socket"]);
}

#[test]
fn an_empty_dir_lies_where_its_medium_says_and_what_it_lacks_is_told() {
    let on_disk = "/volumes/.scratch/web-0123456789ab/v";
    let in_memory = "/memory/.scratch/web-0123456789ab/v";
    let kept = "volume v: emptyDir is kept on disk";
    for (source, memory_root, path, told) in [
        (json!({}), true, on_disk, &[][..]),
        (json!({"medium": ""}), true, on_disk, &[]),
        (json!({"sizeLimit": "1Mi"}), true, on_disk, &[]),
        (json!({"medium": "Memory"}), true, in_memory, &[]),
        (json!({"medium": "Memory", "sizeLimit": "1Mi"}), true, in_memory, &[]),
        (json!({"medium": "Memory"}), false, on_disk, &[kept]),
        (json!({"medium": "HugePages"}), true, on_disk, &[kept]),
    ] {
        let mount = json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]});
        let mut workload = workload(json!({"containers": [main_with(mount)],
            "volumes": [{"name": "v", "emptyDir": source}]}));
        let root = memory_root.then_some(Path::new("/memory"));
        let planned = plan_in(&workload, root).unwrap();
        assert_eq!(planned.folders[0].path, Path::new(path), "{source}");
        assert_eq!(spec(&planned)["volumes"][0]["hostPath"]["path"], path, "{source}");
        assert_eq!(planned.warnings.len(), told.len(), "{:?}", planned.warnings);
        for (warning, told) in planned.warnings.iter().zip(told) {
            assert!(warning.starts_with(told), "{warning}");
        }
        // Each run of a cron workload begins with an empty one.
        workload.cron = Some("@daily".to_owned());
        let path = path.replace(".scratch/", "");
        assert_eq!(plan_in(&workload, root).unwrap().folders[0].path, Path::new(&path), "{source}");
    }
}
