//! Tests of hooks: which are read, and which are refused.

use serde_json::{Value, json};

use super::*;
use crate::pod_manifest::probes::{Endpoint, HttpCheck};

fn hooks_of(lifecycle: &Value, executor: ExecutorKind) -> Result<PodHooks, String> {
    let pod = json!({"containers": [{"name": "web", "lifecycle": lifecycle,
        "ports": [{"name": "http", "containerPort": 8080}]}, {"name": "other"}]});
    let pod = serde_json::from_value(pod).unwrap();
    pod_hooks(&pod, executor).map_err(|error| error.to_string())
}

#[test]
fn hooks_are_read_with_their_handlers() {
    let get = |endpoint| {
        let (path, headers) = ("/drain".to_owned(), Vec::new());
        Hook::Check(Check::Http(HttpCheck { endpoint, is_tls: false, path, headers }))
    };
    for (handler, expected) in [
        (json!({"exec": {"command": ["sh", "-c", "x"]}}), {
            Hook::Check(Check::Exec(["sh", "-c", "x"].map(str::to_owned).to_vec()))
        }),
        (json!({"httpGet": {"port": "http", "path": "/drain"}}), get(Endpoint::Pod(8080))),
        (
            json!({"httpGet": {"port": 1, "host": "127.0.0.1", "path": "drain"}}),
            get(Endpoint::At([127, 0, 0, 1].into(), 1)),
        ),
        (json!({"sleep": {"seconds": 5}}), Hook::Sleep(Duration::from_secs(5))),
    ] {
        for (field, kind, other) in [
            ("postStart", HookKind::PostStart, HookKind::PreStop),
            ("preStop", HookKind::PreStop, HookKind::PostStart),
        ] {
            let hooks = hooks_of(&json!({field: handler}), ExecutorKind::PodmanRootful).unwrap();
            assert_eq!(hooks.get(kind, "web"), Some(&expected), "{field}");
            assert_eq!(hooks.get(other, "web"), None, "{field}");
            assert_eq!(hooks.get(kind, "other"), None, "{field}");
        }
    }
    let none = hooks_of(&json!({}), ExecutorKind::PodmanRootful).unwrap();
    assert_eq!(none, PodHooks::default());
}

#[test]
fn a_hook_that_would_do_nothing_is_refused_by_name() {
    let exec = json!({"command": ["x"]});
    for (handler, expected) in [
        (json!({}), "it says not what to do; give it exec, httpGet or sleep"),
        (json!({"tcpSocket": {"port": 1}}), "tcpSocket does nothing in a hook"),
        (
            json!({"exec": exec, "sleep": {"seconds": 1}}),
            "more than one of exec, httpGet and sleep",
        ),
        (json!({"exec": {"command": []}}), "exec has no command"),
        (json!({"sleep": {"seconds": -1}}), "sleep.seconds is negative"),
        (json!({"httpGet": {"port": "none"}}), "port \"none\" is not among the ports"),
        (json!({"httpGet": {"port": 0}}), "port 0 is not between 1 and 65535"),
    ] {
        let error = hooks_of(&json!({"preStop": handler}), ExecutorKind::PodmanRootful);
        let error = error.unwrap_err();
        assert!(error.starts_with("lifecycle.preStop of container web: "), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let init = json!({"containers": [], "initContainers": [{"name": "first",
        "lifecycle": {"postStart": {"exec": exec}}}]});
    let init = serde_json::from_value(init).unwrap();
    let error = pod_hooks(&init, ExecutorKind::PodmanRootful).unwrap_err().to_string();
    assert!(
        error.starts_with("lifecycle.postStart of container first: init containers"),
        "{error}"
    );
}

#[test]
fn a_hook_in_a_network_that_cannot_be_reached_is_left_out_with_the_way_out() {
    let lifecycle =
        json!({"postStart": {"httpGet": {"port": 8080}}, "preStop": {"sleep": {"seconds": 1}}});
    let hooks = hooks_of(&lifecycle, ExecutorKind::PodmanRootless).unwrap();
    assert_eq!(hooks.get(HookKind::PostStart, "web"), None);
    assert!(hooks.get(HookKind::PreStop, "web").is_some());
    let [told] = &hooks.unreachable[..] else { panic!("{:?}", hooks.unreachable) };
    assert!(told.starts_with("lifecycle.postStart of container web: it is not run"), "{told}");
}
