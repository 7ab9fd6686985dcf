//! Statuses as clusters write them.

use serde_json::{Value, json};

use super::*;

fn deployment(change: Value) -> SeenDeployment {
    let mut deployment = json!({
        "metadata": {
            "name": "web-1",
            "namespace": "shop",
            "generation": 2,
            "labels": {"device-worker-ng/id": "web-1", "device-worker-ng/workload": "web"},
        },
        "spec": {"replicas": 1, "selector": {}, "template": {}},
        "status": {
            "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1,
            "conditions": [
                {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable",
                 "message": "Deployment does not have minimum availability."},
                {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"},
            ],
        },
    });
    merge(&mut deployment, change);
    serde_json::from_value(deployment).unwrap()
}

fn pod(status: Value) -> SeenPod {
    changed_pod(status, json!({}))
}

fn changed_pod(status: Value, change: Value) -> SeenPod {
    let mut pod = json!({
        "metadata": {
            "name": "web-1-abc", "namespace": "shop", "labels": {"device-worker-ng/id": "web-1"},
        },
        "status": status,
    });
    merge(&mut pod, change);
    serde_json::from_value(pod).unwrap()
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}

fn state_of(deployment: SeenDeployment, pods: Vec<SeenPod>) -> CurrentState {
    let pods: Vec<_> = pods.into_iter().map(Arc::new).collect();
    let mut observed = observed(&[Arc::new(deployment)], &pods);
    assert_eq!(observed.len(), 1);
    observed.remove(0).state
}

fn container(state: Value) -> Value {
    json!({"containerStatuses": [{
        "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 3, "state": state,
    }]})
}

fn crashing(message: &str) -> CurrentState {
    CurrentState::Crashing { message: message.into() }
}

#[test]
fn a_deployment_on_its_way_is_starting() {
    for (change, pods) in [
        (json!({"status": {}}), vec![]),
        (json!({"status": null}), vec![]),
        (
            // The controller has not seen the last change.
            json!({"metadata": {"generation": 3}, "status": {"availableReplicas": 1}}),
            vec![],
        ),
        (json!({}), vec![pod(json!({"phase": "Pending"}))]),
        (json!({}), vec![pod(container(json!({"waiting": {"reason": "ContainerCreating"}})))]),
        (json!({}), vec![pod(container(json!({"waiting": {"reason": "PodInitializing"}})))]),
        (json!({}), vec![pod(container(json!({"running": {}})))]),
        (
            json!({}),
            vec![pod(json!({"initContainerStatuses": [{
                "name": "i", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": {"terminated": {"exitCode": 0, "reason": "Completed"}},
            }]}))],
        ),
    ] {
        let state = state_of(deployment(change.clone()), pods);
        assert_eq!(state, CurrentState::Starting, "{change}");
    }
}

#[test]
fn an_available_replica_is_running() {
    let change = json!({"status": {"availableReplicas": 1, "readyReplicas": 1}});
    assert_eq!(state_of(deployment(change), vec![]), CurrentState::Running);
}

#[test]
fn failing_containers_are_crashing_with_the_clusters_words() {
    let waiting = |reason: &str, message: &str| {
        container(json!({"waiting": {"reason": reason, "message": message}}))
    };
    let mut crash_loop = waiting(
        "CrashLoopBackOff",
        "back-off 40s restarting failed container=c pod=web-1-abc_shop(uid)",
    );
    crash_loop["containerStatuses"][0]["lastState"] =
        json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    let mut init = waiting("CreateContainerConfigError", "secret \"x\" not found");
    init["initContainerStatuses"] = init["containerStatuses"].take();
    init.as_object_mut().unwrap().remove("containerStatuses");
    for (status, words) in [
        (crash_loop, "container c: CrashLoopBackOff, last run ended with code 137 (OOMKilled)"),
        (
            waiting("ImagePullBackOff", "Back-off pulling image \"i\""),
            "container c: ImagePullBackOff: Back-off pulling image \"i\"",
        ),
        (waiting("ErrImagePull", "not found"), "container c: ErrImagePull: not found"),
        (init, "container c: CreateContainerConfigError: secret \"x\" not found"),
        (
            container(json!({"terminated": {"exitCode": 1, "reason": "Error", "message": "no\n"}})),
            "container c ended with code 1 (Error): no",
        ),
    ] {
        let state = state_of(deployment(json!({})), vec![pod(status)]);
        assert_eq!(state, crashing(words));
    }
}

#[test]
fn failed_conditions_are_crashing() {
    let quota = json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
        "message": "pods \"web-1-\" is forbidden: exceeded quota"}]);
    let stuck = json!([{"type": "Progressing", "status": "False",
        "reason": "ProgressDeadlineExceeded", "message": "timed out progressing."}]);
    let unschedulable = pod(json!({"phase": "Pending", "conditions": [{"type": "PodScheduled",
        "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}]}));
    for (conditions, pods, words) in [
        (&quota, vec![], "FailedCreate: pods \"web-1-\" is forbidden: exceeded quota"),
        (&stuck, vec![], "ProgressDeadlineExceeded: timed out progressing."),
        (&stuck, vec![unschedulable], "Unschedulable: 0/1 nodes are available"),
    ] {
        let deployment = deployment(json!({"status": {"conditions": conditions}}));
        assert_eq!(state_of(deployment, pods), crashing(words));
    }
}

#[test]
fn a_deployment_that_goes_or_was_scaled_to_nothing_and_has_pods_is_incomplete() {
    let ending = json!({"metadata": {"deletionTimestamp": "2024-01-01T00:00:00Z"}});
    let mut ending_pod = pod(json!({"phase": "Running"}));
    ending_pod.metadata.deletion_timestamp = deployment(ending.clone()).metadata.deletion_timestamp;
    let nothing = json!({"spec": {"replicas": 0}, "status": {"availableReplicas": 1}});
    for (change, pods) in [
        (ending, vec![]),
        (nothing.clone(), vec![ending_pod]),
        (nothing, vec![pod(json!({"phase": "Running"}))]),
    ] {
        let state = state_of(deployment(change), pods);
        assert!(matches!(state, CurrentState::Incomplete { .. }), "{state:?}");
    }
}

#[test]
fn a_deployment_that_was_scaled_to_nothing_is_suspended_once_its_pods_have_ended() {
    for pods in [vec![], vec![pod(json!({"phase": "Failed", "reason": "Evicted"}))]] {
        let change = json!({"spec": {"replicas": 0}, "metadata": {"generation": 3}});
        assert_eq!(state_of(deployment(change), pods), CurrentState::Suspended);
    }
}

#[test]
fn a_specification_that_the_agent_did_not_write_is_a_change_from_outside() {
    let labelled = |written: &str| {
        deployment(json!({"metadata": {"labels": {"device-worker-ng/written": written}}}))
    };
    let written = labelled("").spec.hash;
    let is_changed =
        |deployment: SeenDeployment| observed(&[Arc::new(deployment)], &[])[0].is_changed;
    assert!(!is_changed(deployment(json!({}))), "without a hash it is not known");
    assert!(!is_changed(labelled(&written)));
    let mut annotated = labelled(&written);
    annotated.metadata.generation = Some(9);
    annotated.metadata.annotations.get_or_insert_default().insert("a".into(), "b".into());
    assert!(!is_changed(annotated), "which clusters do by themselves");
    let scaled = json!({"spec": {"replicas": 2}, "metadata": {"labels": {"device-worker-ng/written": written}}});
    assert!(is_changed(deployment(scaled)));
    assert!(is_changed(labelled("0123456789ab")));
}

#[test]
fn restarts_of_the_present_pod_are_counted() {
    let mut status = container(json!({"running": {}}));
    let second = status["containerStatuses"][0].clone();
    status["containerStatuses"].as_array_mut().unwrap().push(second);
    let observed = observed(&[Arc::new(deployment(json!({})))], &[Arc::new(pod(status))]);
    assert_eq!(observed[0].restarts, 6);
}

#[test]
fn pods_that_end_or_belong_to_others_do_not_count() {
    let failing = container(json!({"waiting": {"reason": "CrashLoopBackOff"}}));
    let changed = |change: Value| changed_pod(failing.clone(), change);
    for other in [
        changed(json!({"metadata": {"deletionTimestamp": "2024-01-01T00:00:00Z"}})),
        changed(json!({"metadata": {"labels": {"device-worker-ng/id": "web-2"}}})),
        changed(json!({"metadata": {"namespace": "other"}})),
    ] {
        let state = state_of(deployment(json!({})), vec![other]);
        assert_eq!(state, CurrentState::Starting);
    }
}

#[test]
fn the_start_of_the_youngest_container_is_reported() {
    let mut status = container(json!({"running": {"startedAt": "2024-05-01T10:00:00Z"}}));
    let younger = container(json!({"running": {"startedAt": "2024-05-01T10:00:05Z"}}));
    let younger = younger["containerStatuses"][0].clone();
    status["containerStatuses"].as_array_mut().unwrap().push(younger);
    let observed = observed(&[Arc::new(deployment(json!({})))], &[Arc::new(pod(status))]);
    let started_at = observed[0].started_at.unwrap();
    assert_eq!(started_at.to_rfc3339(), "2024-05-01T10:00:05+00:00");
    assert_eq!(observed[0].workload.as_str(), "web");
}

#[test]
fn the_annotation_has_the_last_word_on_the_workloads_name() {
    let change = json!({"metadata": {"annotations": {"device-worker-ng/workload": "web.long"}}});
    let observed = observed(&[Arc::new(deployment(change))], &[]);
    assert_eq!(observed[0].workload.as_str(), "web.long");
}

#[test]
fn a_deployment_without_our_id_is_not_ours() {
    let change = json!({"metadata": {"labels": null}});
    assert!(observed(&[Arc::new(deployment(change))], &[]).is_empty());
}

#[test]
fn containers_that_run_are_told_with_their_images() {
    let container = |name: &str, id: &str, state: &str| {
        json!({"name": name, "image": "quay.io/team/web:1", "imageID": id, "ready": true,
            "restartCount": 0, "state": {state: {}}})
    };
    let pod = pod(json!({"containerStatuses": [
        container("side", "docker-pullable://quay.io/team/web@sha256:4567", "running"),
        container("main", "quay.io/team/web@sha256:0123", "running"),
        container("local", "sha256:89ab", "running"),
        container("ended", "quay.io/team/web@sha256:0123", "terminated"),
    ]}));
    let seen = observed(&[Arc::new(deployment(json!({})))], &[Arc::new(pod)]);
    let told = seen[0].containers.iter().map(|it| (it.name.as_str(), it.digest.as_deref()));
    let expected = [("local", None), ("main", Some("sha256:0123")), ("side", Some("sha256:4567"))];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(seen[0].containers[1].image, "quay.io/team/web:1");
}
