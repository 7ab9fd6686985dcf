//! Probes as authors write them, and what the agent makes of them.

use serde_json::{Value, json};

use super::*;

fn pod(container: Value) -> PodSpec {
    let mut container = container;
    container["name"] = json!("main");
    let mut spec = json!({"containers": [container]});
    if let Some(host_network) = spec["containers"][0].as_object_mut().unwrap().remove("hostNetwork")
    {
        spec["hostNetwork"] = host_network;
    }
    serde_json::from_value(spec).unwrap()
}

fn read_on(executor: ExecutorKind, container: Value) -> Result<PodProbes, String> {
    pod_probes(&pod(container), executor).map_err(|error| error.to_string())
}

fn read(container: Value) -> Result<PodProbes, String> {
    read_on(ExecutorKind::PodmanRootful, container)
}

fn liveness(probe: Value) -> Result<Probe, String> {
    let pod = read(json!({"livenessProbe": probe}))?;
    Ok(*pod.containers.into_iter().next().and_then(|it| it.liveness).unwrap())
}

#[test]
fn a_probe_that_says_nothing_else_has_the_defaults_of_kubernetes() {
    let probe = liveness(json!({"tcpSocket": {"port": 80}})).unwrap();
    let expected = Probe {
        check: Check::Tcp(Endpoint::Pod(80)),
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 3,
        grace: None,
    };
    assert_eq!(probe, expected);
    // Zero is the default there, too.
    let zeros = json!({"tcpSocket": {"port": 80}, "periodSeconds": 0, "timeoutSeconds": 0,
        "successThreshold": 0, "failureThreshold": 0, "initialDelaySeconds": 0});
    assert_eq!(liveness(zeros), Ok(expected));
}

#[test]
fn what_the_author_wrote_is_kept() {
    let all = json!({"exec": {"command": ["cat", "/tmp/healthy"]}, "initialDelaySeconds": 1,
        "periodSeconds": 2, "timeoutSeconds": 3, "failureThreshold": 4,
        "terminationGracePeriodSeconds": 0});
    let probe = liveness(all).unwrap();
    assert_eq!(probe.check, Check::Exec(vec!["cat".to_owned(), "/tmp/healthy".to_owned()]));
    let times = [probe.initial_delay, probe.period, probe.timeout].map(|it| it.as_secs());
    assert_eq!((times, probe.failure_threshold), ([1, 2, 3], 4));
    assert_eq!(probe.grace, Some(Duration::ZERO));
    let pod = read(json!({"readinessProbe": {"tcpSocket": {"port": 1}, "successThreshold": 5}}));
    assert_eq!(pod.unwrap().containers[0].readiness.as_ref().unwrap().success_threshold, 5);
}

#[test]
fn a_container_without_probes_is_listed_with_none() {
    let pod = read(json!({})).unwrap();
    assert_eq!(pod.containers.len(), 1);
    assert!(!pod.containers[0].is_any());
}

#[test]
fn an_http_probe_is_a_request() {
    let get = json!({"httpGet": {"port": "web", "path": "healthz?full=1", "scheme": "HTTPS",
        "httpHeaders": [{"name": "Host", "value": "web.example"}]}});
    let ports =
        json!([{"name": "other", "containerPort": 1}, {"name": "web", "containerPort": 8443}]);
    let pod = read(json!({"livenessProbe": get, "ports": ports})).unwrap();
    let Some(Probe { check: Check::Http(check), .. }) = pod.containers[0].liveness.as_deref()
    else {
        panic!("no HTTP probe: {pod:?}");
    };
    let expected = HttpCheck {
        endpoint: Endpoint::Pod(8443),
        is_tls: true,
        path: "/healthz?full=1".to_owned(),
        headers: vec![("Host".to_owned(), "web.example".to_owned())],
    };
    assert_eq!(*check, expected);
}

#[test]
fn a_port_is_dialled_where_the_agent_reaches_it() {
    use ExecutorKind::{PodmanRootful, PodmanRootless};
    let ports = json!([{"containerPort": 53, "hostPort": 5353, "protocol": "UDP"},
        {"containerPort": 80, "hostPort": 8080}, {"containerPort": 81, "hostPort": 81, "hostIP": "10.1.2.3"},
        {"containerPort": 82, "hostPort": 8082, "hostIP": "0.0.0.0"}, {"containerPort": 83}]);
    let not_published = |port| {
        format!(
            "livenessProbe of container main: it is not run: the network of a rootless pod cannot be reached \
         from the host; publish port {port} with a hostPort, use hostNetwork, or use exec"
        )
    };
    for (executor, host_network, socket, expected) in [
        (PodmanRootful, false, json!({"port": 80}), Ok("Pod(80)".to_owned())),
        (PodmanRootful, true, json!({"port": 80}), Ok("At(127.0.0.1, 80)".to_owned())),
        (PodmanRootful, false, json!({"port": "80"}), Ok("Pod(80)".to_owned())),
        (PodmanRootful, false, json!({"port": 80, "host": "::1"}), Ok("At(::1, 80)".to_owned())),
        (PodmanRootless, true, json!({"port": 80}), Ok("At(127.0.0.1, 80)".to_owned())),
        (PodmanRootless, false, json!({"port": 80}), Ok("At(127.0.0.1, 8080)".to_owned())),
        (PodmanRootless, false, json!({"port": 81}), Ok("At(10.1.2.3, 81)".to_owned())),
        (PodmanRootless, false, json!({"port": 82}), Ok("At(127.0.0.1, 8082)".to_owned())),
        (PodmanRootless, false, json!({"port": 83}), Err(not_published(83))),
        (PodmanRootless, false, json!({"port": 53}), Err(not_published(53))),
        (PodmanRootless, false, json!({"port": 99}), Err(not_published(99))),
    ] {
        let container = json!({"livenessProbe": {"tcpSocket": socket}, "ports": ports,
            "hostNetwork": host_network});
        let pod = read_on(executor, container).unwrap();
        let probe = pod.containers[0].liveness.as_ref().map(|it| match &it.check {
            Check::Tcp(endpoint) => format!("{endpoint:?}"),
            other @ (Check::Exec(_) | Check::Http(_)) => format!("{other:?}"),
        });
        let found = probe.ok_or_else(|| pod.unreachable.join("; "));
        assert_eq!(found, expected, "{executor} {socket}");
    }
}

#[test]
fn what_kubernetes_refuses_is_refused_with_the_way_out() {
    let tcp = |more: Value| {
        let mut probe = json!({"tcpSocket": {"port": 80}});
        probe.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        probe
    };
    for (probe, expected) in [
        (json!({}), "it says not what to try; give it exec, httpGet or tcpSocket"),
        (tcp(json!({"exec": {"command": ["a"]}})), "more than one of exec"),
        (json!({"grpc": {"port": 1}}), "grpc is not supported on podman; use exec"),
        (json!({"exec": {}}), "exec has no command"),
        (json!({"exec": {"command": ["x".repeat(70_000)]}}), "longer than 65536 bytes"),
        (tcp(json!({"periodSeconds": -1})), "periodSeconds is negative"),
        (tcp(json!({"failureThreshold": -1})), "failureThreshold is negative"),
        (
            tcp(json!({"terminationGracePeriodSeconds": -1})),
            "terminationGracePeriodSeconds is negative",
        ),
        (tcp(json!({"successThreshold": 2})), "successThreshold must be 1"),
        (
            json!({"httpGet": {"port": 80, "scheme": "http"}}),
            "scheme \"http\" is unknown; use HTTP",
        ),
        (json!({"httpGet": {"port": 80, "path": "a b"}}), "path \"/a b\" is none of a URL"),
        (
            json!({"httpGet": {"port": 80, "httpHeaders": [{"name": "a b", "value": "c"}]}}),
            "httpHeaders has \"a b\"",
        ),
        (
            json!({"httpGet": {"port": 80, "httpHeaders": [{"name": "a", "value": "b\r\nc: d"}]}}),
            "httpHeaders has \"a\"",
        ),
        (
            json!({"tcpSocket": {"port": 80, "host": "db.example"}}),
            "host \"db.example\" is not an address",
        ),
        (json!({"tcpSocket": {"port": "web"}}), "port \"web\" is not among the ports"),
        (json!({"tcpSocket": {"port": 0}}), "port 0 is not between 1 and 65535"),
        (json!({"tcpSocket": {"port": 65_536}}), "port 65536 is not between 1 and 65535"),
    ] {
        let error = liveness(probe.clone()).unwrap_err();
        assert!(error.starts_with("livenessProbe of container main: "), "{error}");
        assert!(error.contains(expected), "{probe}: {error}");
    }
}

#[test]
fn an_init_container_has_no_probes() {
    let spec = json!({"initContainers": [{"name": "first", "readinessProbe": {"tcpSocket": {"port": 1}}}],
        "containers": [{"name": "main"}]});
    let error = pod_probes(&serde_json::from_value(spec).unwrap(), ExecutorKind::PodmanRootful);
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("readinessProbe of container first: init containers"), "{error}");
}
