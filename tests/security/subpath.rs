//! A container plants a link where a part of its volume is to be mounted: it must not come out on
//! the host.

use serde_json::{Value, json};

use crate::pods::one_container;
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
