//! A container plants a link where a part of its volume is to be mounted: it must not come out on
//! the host.

use serde_json::{Value, json};

use crate::agent::eventually;
use crate::pods::{containers, one_container};
use crate::stage::{AND_STAY, Stage, Whose, container, looting};

/// Replaces `name` by a link to the host's own folder, in a loop or once.
fn planting(stage: &Stage, name: &str) -> String {
    format!("rm -rf {name} 2>&1; ln -s {} {name} 2>&1", stage.host_only().display())
}

fn volume(source: Value) -> Value {
    let mut volume = json!({"name": "shared"});
    volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    json!([volume])
}

/// a: the init container has the whole, the main one a part.
fn an_init_container_plants(whose: Whose) {
    let stage = Stage::of(whose);
    let whole = json!([{"name": "shared", "mountPath": "/s"}]);
    let part = json!([{"name": "shared", "mountPath": "/data", "subPath": "data"}]);
    let init = planting(&stage, "/s/data") + "; true";
    let main = looting("/data") + AND_STAY;
    stage.apply(
        "web",
        &json!({
            "initContainers": [container("init", &init, whole)],
            "containers": [container("main", &main, part)],
            "volumes": volume(json!({"emptyDir": {}})),
        }),
    );
    let agent = stage.device.settings.start();
    stage.tried_or_refused(&agent, 1, &[]);
    stage.assert_untouched();
    one_container(&stage.podman, "web");
}

#[test]
fn a_link_that_an_init_container_plants_leads_nowhere() {
    an_init_container_plants(Whose::Root);
}

#[test]
fn a_link_that_an_init_container_of_a_user_plants_leads_nowhere() {
    an_init_container_plants(Whose::User);
}

/// b: two containers at one time; each crash is another try.
fn a_neighbour_plants(whose: Whose) {
    let stage = Stage::of(whose);
    let whole = json!([{"name": "shared", "mountPath": "/s"}]);
    let part = json!([{"name": "shared", "mountPath": "/data", "subPath": "data"}]);
    let first = planting(&stage, "/s/data") + AND_STAY;
    let second = looting("/data") + "; exit 1";
    stage.apply(
        "web",
        &json!({
            "containers": [container("first", &first, whole), container("second", &second, part)],
            "volumes": volume(json!({"emptyDir": {}})),
        }),
    );
    let agent = stage.device.settings.start();
    stage.tried_or_refused(&agent, 3, &[]);
    stage.assert_untouched();
}

#[test]
fn a_link_that_a_neighbour_plants_leads_nowhere() {
    a_neighbour_plants(Whose::Root);
}

#[test]
fn a_link_that_a_neighbour_of_a_user_plants_leads_nowhere() {
    a_neighbour_plants(Whose::User);
}

/// c: a file of a config map, mounted whole by one and alone by the other.
fn a_link_instead_of_a_key(whose: Whose) {
    let stage = Stage::of(whose);
    stage.device.apply(
        "words",
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"},
            "data": {"app.conf": "greeting\n"}}),
    );
    let whole = json!([{"name": "shared", "mountPath": "/c"}]);
    let part = json!([{"name": "shared", "mountPath": "/app.conf", "subPath": "app.conf"}]);
    let treasure = stage.host_only().join("treasure");
    let init = format!("rm -f /c/app.conf; ln -s {} /c/app.conf; true", treasure.display());
    let main = "cat /app.conf >>/log/seen; echo gone >>/app.conf; echo try >>/log/tries";
    stage.apply(
        "web",
        &json!({
            "initContainers": [container("init", &init, whole)],
            "containers": [container("main", &format!("{main}{AND_STAY}"), part)],
            "volumes": volume(json!({"configMap": {"name": "words"}})),
        }),
    );
    let agent = stage.device.settings.start();
    stage.tried_or_refused(&agent, 1, &[]);
    stage.assert_untouched();
    assert_eq!(stage.logged("seen"), "greeting\n", "and the key is there");
}

#[test]
fn a_link_in_place_of_a_config_maps_key_leads_nowhere() {
    a_link_instead_of_a_key(Whose::Root);
}

#[test]
fn a_link_in_place_of_a_users_config_maps_key_leads_nowhere() {
    a_link_instead_of_a_key(Whose::User);
}

/// d: one container with a part and a part of that, across its own restarts.
fn a_restarted_container_plants(whose: Whose) {
    let stage = Stage::of(whose);
    let shared = stage.device.path("shared");
    std::fs::create_dir_all(shared.join("a/b")).unwrap();
    for folder in ["shared", "shared/a", "shared/a/b"] {
        stage.shut(folder, 0o777);
    }
    let mounts = json!([
        {"name": "shared", "mountPath": "/outer", "subPath": "a"},
        {"name": "shared", "mountPath": "/inner", "subPath": "a/b"},
    ]);
    let script = format!("{}; {}; exit 1", looting("/inner"), planting(&stage, "/outer/b"));
    stage.apply(
        "web",
        &json!({
            "containers": [container("main", &script, mounts)],
            "volumes": volume(json!({"hostPath": {"path": shared}})),
        }),
    );
    let agent = stage.device.settings.start();
    let refused = stage.tried_or_refused(&agent, 3, &["shared", "a/b", "readOnly: true"]);
    stage.assert_untouched();
    assert!(refused, "{:?}", agent.job("web"));
}

#[test]
fn a_link_that_a_container_plants_for_its_next_start_leads_nowhere() {
    a_restarted_container_plants(Whose::Root);
}

#[test]
fn a_link_that_a_users_container_plants_for_its_next_start_leads_nowhere() {
    a_restarted_container_plants(Whose::User);
}

/// A container that renames the folders above a part, so that the way to it leads elsewhere.
#[test]
fn the_way_to_a_part_cannot_be_bent_either() {
    let stage = Stage::of(Whose::Root);
    let whole = json!([{"name": "shared", "mountPath": "/s"}]);
    let part = json!([
        {"name": "shared", "mountPath": "/s"},
        {"name": "shared", "mountPath": "/data", "subPath": "a/b"},
    ]);
    let host = stage.host_only().display().to_string();
    let init = format!(
        "mv /s/a /s/x; rm -rf /s/a; ln -s {host} /s/a; rm -rf /s/a/b; ln -s {host} /s/a/b; true"
    );
    let main = format!(
        "ls -ld /s/a /s/a/b >/log/kinds; echo mine >/data/file; cat /s/a/b/file >/log/shown; {}{AND_STAY}",
        looting("/data")
    );
    stage.apply(
        "web",
        &json!({
            "initContainers": [container("init", &init, whole)],
            "containers": [container("main", &main, part)],
            "volumes": volume(json!({"emptyDir": {}})),
        }),
    );
    let agent = stage.device.settings.start();
    stage.tried_or_refused(&agent, 1, &[]);
    stage.assert_untouched();
    let kinds = stage.logged("kinds");
    assert!(kinds.lines().count() == 2 && kinds.lines().all(|it| it.starts_with('d')), "{kinds}");
    assert_eq!(stage.logged("shown"), "mine\n");
}

/// Without a subPath: one volume is a folder within another.
#[test]
fn a_volume_below_one_that_a_container_writes_is_refused() {
    let stage = Stage::of(Whose::Root);
    let shared = stage.device.path("shared");
    std::fs::create_dir_all(shared.join("a")).unwrap();
    let mounts = json!([
        {"name": "outer", "mountPath": "/outer"}, {"name": "inner", "mountPath": "/inner"}]);
    let script = format!("{}; {}; exit 1", looting("/inner"), planting(&stage, "/outer/a"));
    stage.apply(
        "web",
        &json!({
            "containers": [container("main", &script, mounts)],
            "volumes": [
                {"name": "outer", "hostPath": {"path": shared}},
                {"name": "inner", "hostPath": {"path": shared.join("a")}},
            ],
        }),
    );
    let agent = stage.device.settings.start();
    assert!(stage.tried_or_refused(&agent, 3, &["volume inner", "readOnly: true"]));
    stage.assert_untouched();
}

/// Two workloads: the one writes the folder that holds the other's.
#[test]
fn a_volume_below_one_that_another_workload_writes_is_refused() {
    let stage = Stage::of(Whose::Root);
    let shared = stage.device.path("shared");
    std::fs::create_dir_all(shared.join("a")).unwrap();
    let plant = planting(&stage, "/outer/a") + "; echo planted >>/log/planted" + AND_STAY;
    let outer = json!([{"name": "shared", "mountPath": "/outer"}]);
    stage.apply(
        "recorder",
        &json!({
            "containers": [container("main", &plant, outer)],
            "volumes": volume(json!({"hostPath": {"path": shared}})),
        }),
    );
    let inner = json!([{"name": "shared", "mountPath": "/inner"}]);
    stage.apply(
        "web",
        &json!({
            "containers": [container("main", &(looting("/inner") + AND_STAY), inner)],
            "volumes": volume(json!({"hostPath": {"path": shared.join("a")}})),
        }),
    );
    let agent = stage.device.settings.start();
    assert!(stage.tried_or_refused(&agent, 1, &["workload recorder", "readOnly: true"]));
    stage.assert_untouched();
}

/// A link of an earlier pod, which was given the whole.
#[test]
fn a_link_that_an_earlier_pod_has_left_is_not_followed_by_a_part() {
    let stage = Stage::of(Whose::Root);
    let shared = stage.device.path("shared");
    std::fs::create_dir(&shared).unwrap();
    std::os::unix::fs::symlink(stage.host_only(), shared.join("a")).unwrap();
    let part = json!([{"name": "shared", "mountPath": "/data", "subPath": "a"}]);
    stage.apply(
        "web",
        &json!({
            "containers": [container("main", &(looting("/data") + AND_STAY), part)],
            "volumes": volume(json!({"hostPath": {"path": shared}})),
        }),
    );
    let agent = stage.device.settings.start();
    assert!(stage.tried_or_refused(&agent, 1, &["a link there leads to", "remove the link"]));
    stage.assert_untouched();
}

/// A name that makes one volume lie within another.
#[test]
fn a_volume_whose_name_lies_within_another_is_refused() {
    let stage = Stage::of(Whose::Root);
    for (workload, outer, inner) in [("web", "a", "a/b"), ("dots", ".parts", "data")] {
        let mounts = json!([
            {"name": outer, "mountPath": "/outer"},
            {"name": inner, "mountPath": "/inner"},
            {"name": inner, "mountPath": "/part", "subPath": "x"},
        ]);
        let plant =
            format!("{}; {}", planting(&stage, "/outer/b"), planting(&stage, "/outer/data"));
        stage.apply(
            workload,
            &json!({
                "initContainers": [container("init", &(plant + "; true"), mounts.clone())],
                "containers": [container("main", &looting("/inner"), mounts)],
                "volumes": [{"name": outer, "emptyDir": {}}, {"name": inner, "emptyDir": {}}],
            }),
        );
    }
    let agent = stage.device.settings.start();
    agent.wait_for_reason("web", "has a name that no volume can have");
    agent.wait_for_reason("dots", "has a name that no volume can have");
    stage.assert_untouched();
}

/// Secrets as well: a container that only reads them cannot change them, whatever it asks for.
#[test]
fn nobody_writes_into_a_config_map_or_a_secret() {
    let stage = Stage::of(Whose::Root);
    for (kind, values) in [("ConfigMap", "data"), ("Secret", "stringData")] {
        let name = format!("my-{}", kind.to_lowercase());
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        object[values] = json!({"key": "value"});
        stage.device.apply(&name, &object);
    }
    let mounts = json!([
        {"name": "map", "mountPath": "/map", "readOnly": false},
        {"name": "secret", "mountPath": "/secret"},
        {"name": "map", "mountPath": "/one", "subPath": "key"},
        {"name": "scratch", "mountPath": "/map/cache"},
    ]);
    let script = "for it in /map/key /map/new /secret/key /secret/new /one; do \
                  (echo x >>$it) 2>/dev/null && echo $it >>/log/written; done; \
                  cat /map/key /secret/key /one >/log/read; echo x >/map/cache/file; \
                  cat /map/cache/file >>/log/read; echo try >>/log/tries";
    stage.apply(
        "web",
        &json!({
            "containers": [container("main", &format!("{script}{AND_STAY}"), mounts)],
            "volumes": [
                {"name": "map", "configMap": {"name": "my-configmap"}},
                {"name": "secret", "secret": {"secretName": "my-secret"}},
                {"name": "scratch", "emptyDir": {}},
            ],
        }),
    );
    let agent = stage.device.settings.start();
    stage.tried_or_refused(&agent, 1, &[]);
    assert_eq!(stage.logged("written"), "");
    assert_eq!(stage.logged("read"), "valuevaluevaluex\n", "and volumes within it work");
}

/// What `subPath` is for: every container sees what the others write, by whichever way.
fn parts_are_shared(whose: Whose) {
    let stage = Stage::of(whose);
    let whole = json!([{"name": "shared", "mountPath": "/s"}]);
    let reader = json!([{"name": "shared", "mountPath": "/s", "readOnly": true}]);
    let parts = json!([
        {"name": "shared", "mountPath": "/a", "subPath": "a"},
        {"name": "shared", "mountPath": "/b", "subPath": "a/b"},
    ]);
    let only = json!([{"name": "shared", "mountPath": "/c", "subPath": "c/d"}]);
    let init = "echo init >/s/a/b/init; echo init >/s/init; echo init >/s/c/d/init";
    let wait = |file: &str| format!("until [ -e {file} ]; do sleep 0.1; done");
    let first = format!(
        "echo whole >/s/a/b/whole; echo whole >/s/whole; {}; cat /s/a/part /s/a/b/part \
         /s/c/d/only >/log/first; echo try >>/log/tries{AND_STAY}",
        wait("/s/c/d/only") + "; " + &wait("/s/a/b/part"),
    );
    let second = format!(
        "echo part >/a/part; echo part >/b/part; {}; cat /b/init /a/b/whole >/log/second; \
         echo try >>/log/tries{AND_STAY}",
        wait("/b/whole")
    );
    let third =
        format!("echo only >/c/only; cat /c/init >/log/third; echo try >>/log/tries{AND_STAY}");
    let fourth = format!(
        "{}; cat /s/init /s/a/b/whole >/log/fourth; (echo x >/s/a/b/x) 2>/dev/null && \
         echo written >>/log/fourth; (echo x >/s/x) 2>/dev/null && echo written >>/log/fourth; \
         echo try >>/log/tries{AND_STAY}",
        wait("/s/a/b/whole")
    );
    stage.apply(
        "web",
        &json!({
            "initContainers": [container("init", init, whole.clone())],
            "containers": [
                container("first", &first, whole),
                container("second", &second, parts),
                container("third", &third, only),
                container("fourth", &fourth, reader),
            ],
            "volumes": volume(json!({"emptyDir": {}})),
        }),
    );
    let mut agent = stage.device.settings.start();
    let check = || {
        assert_eq!(stage.logged("first"), "part\npart\nonly\n");
        assert_eq!(stage.logged("second"), "init\nwhole\n");
        assert_eq!(stage.logged("third"), "init\n");
        assert_eq!(stage.logged("fourth"), "init\nwhole\n");
    };
    stage.tried_or_refused(&agent, 4, &[]);
    check();
    agent.wait_for_status("web", "running");

    // podman starts them again by itself: the volumes were not written anew.
    agent.signal("TERM");
    assert_eq!(agent.exit_code(), Some(0));
    for file in ["first", "second", "third", "fourth", "tries"] {
        std::fs::remove_file(stage.device.path("log").join(file)).unwrap();
    }
    for container in containers(&stage.podman, "web") {
        let path = format!("containers/{}/restart?t=0", container.id);
        let (status, body) = stage.podman.ask("POST", &path, &[], &[]).unwrap();
        assert!(status < 300, "{}", String::from_utf8_lossy(&body));
    }
    eventually("all have seen it again", || {
        (stage.logged("tries").lines().count() >= 4).then_some(())
    });
    check();
}

#[test]
fn parts_are_seen_through_the_whole_and_the_other_way_round_after_a_restart_too() {
    parts_are_shared(Whose::Root);
}

#[test]
fn parts_of_a_users_pod_are_seen_through_the_whole_and_the_other_way_round() {
    parts_are_shared(Whose::User);
}

/// Parts of a folder of the host beside each other are harmless.
#[test]
fn parts_of_a_host_folder_are_mounted_where_nobody_can_replace_them() {
    let stage = Stage::of(Whose::Root);
    let shared = stage.device.path("shared");
    for part in ["db", "logs/app"] {
        std::fs::create_dir_all(shared.join(part)).unwrap();
    }
    std::fs::write(shared.join("settings"), "plain").unwrap();
    let mounts = json!([
        {"name": "shared", "mountPath": "/db", "subPath": "db"},
        {"name": "shared", "mountPath": "/logs", "subPath": "logs/app"},
        {"name": "shared", "mountPath": "/settings", "subPath": "settings", "readOnly": true},
        {"name": "shared", "mountPath": "/all", "readOnly": true},
    ]);
    let script = "echo x >/db/x; echo x >/logs/x; cat /all/db/x /settings >/log/read; \
                  echo try >>/log/tries";
    stage.apply(
        "web",
        &json!({
            "containers": [container("main", &format!("{script}{AND_STAY}"), mounts)],
            "volumes": volume(json!({"hostPath": {"path": shared}})),
        }),
    );
    let agent = stage.device.settings.start();
    stage.tried_or_refused(&agent, 1, &[]);
    assert_eq!(stage.logged("read"), "x\nplain");
    assert!(shared.join("db/x").exists() && shared.join("logs/app/x").exists());
}
