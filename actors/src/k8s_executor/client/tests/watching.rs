//! The watches of Deployments and Pods.

use super::*;
use crate::k8s_executor::seen::SeenDeployment;

async fn next(
    events: &mut LocalBoxStream<'static, Result<ClusterEvent, ClusterError>>,
) -> Option<Result<ClusterEvent, ClusterError>> {
    timeout(LIMIT, events.next()).await.unwrap()
}

/// Reads events until `wanted` says that one is it; an error is a failure.
async fn until(
    events: &mut LocalBoxStream<'static, Result<ClusterEvent, ClusterError>>,
    wanted: impl Fn(&watcher::Event<SeenDeployment>) -> bool,
) {
    loop {
        match next(events).await.unwrap().unwrap() {
            ClusterEvent::Deployment(event) if wanted(&event) => return,
            ClusterEvent::Deployment(_) | ClusterEvent::Pod(_) => {}
        }
    }
}

#[actix::test]
async fn deployments_and_pods_of_this_device_are_listed_and_then_watched() {
    let server = ApiServer::start(|asked| {
        let watches = asked.query.contains("watch=true");
        match (asked.line.as_str(), watches) {
            (DEPLOYMENTS, false) => list("Deployment", &[deployment("1")]),
            (DEPLOYMENTS, true) => {
                let changed = json!({"type": "MODIFIED", "object": deployment("11")});
                let deleted = json!({"type": "DELETED", "object": deployment("12")});
                Answer::Watch(vec![changed, deleted])
            }
            (_, false) => list("Pod", &[]),
            (_, true) => Answer::Watch(vec![]),
        }
    });
    let mut events = server.connect().await.watch();
    let is_listed = |event: &watcher::Event<SeenDeployment>| {
        matches!(event, watcher::Event::InitApply(deployment)
            if deployment.metadata.managed_fields.iter().flatten().next().is_none())
    };
    until(&mut events, is_listed).await;
    until(&mut events, |event| matches!(event, watcher::Event::InitDone)).await;
    until(&mut events, |event| matches!(event, watcher::Event::Apply(_))).await;
    until(&mut events, |event| matches!(event, watcher::Event::Delete(_))).await;
    for asked in server.asked() {
        let selector = "device-worker-ng%2Fdevice%3Dtoto";
        assert!(asked.query.contains(selector), "{asked:?}");
    }
    assert!(server.lines().contains(&"GET /api/v1/pods".to_owned()));
}

#[actix::test]
async fn a_watch_that_expired_lists_again_without_a_word() {
    let server = ApiServer::start(|asked| {
        let watches = asked.query.contains("watch=true");
        match (asked.line.as_str(), watches) {
            (DEPLOYMENTS, false) => list("Deployment", &[deployment("1")]),
            (DEPLOYMENTS, true) => Answer::Watch(vec![json!({"type": "ERROR", "object": {
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
                "message": "too old resource version: 1 (2)", "reason": "Expired",
            }})]),
            (_, false) => list("Pod", &[]),
            (_, true) => Answer::Watch(vec![]),
        }
    });
    let mut events = server.connect().await.watch();
    for _ in 0..2 {
        until(&mut events, |event| matches!(event, watcher::Event::InitDone)).await;
    }
}

#[actix::test]
async fn a_forbidden_list_ends_the_watch_and_names_verb_and_resource() {
    let message = "deployments.apps is forbidden: User \"u\" cannot list resource \"deployments\"";
    let server = ApiServer::start(move |asked| match asked.line.as_str() {
        DEPLOYMENTS => refusal(403, "Forbidden", message),
        _ => Answer::Silence,
    });
    let mut events = server.connect().await.watch();
    let error = loop {
        if let Err(error) = next(&mut events).await.unwrap() {
            break error;
        }
    };
    let text = error.in_full();
    assert!(text.contains("watch Deployments") && text.contains("403"), "{text}");
    assert!(text.contains(message) && !error.is_outage(), "{text}");
    assert!(next(&mut events).await.is_none());
}

#[actix::test]
async fn a_watch_that_is_not_even_begun_is_given_up_as_any_call_is() {
    let server = ApiServer::start(|asked| {
        let watches = asked.query.contains("watch=true");
        match asked.line.as_str() {
            _ if watches => Answer::Silence,
            DEPLOYMENTS => list("Deployment", &[]),
            _ => list("Pod", &[]),
        }
    });
    let mut events = server.connect().await.watch();
    until(&mut events, |event| matches!(event, watcher::Event::InitDone)).await;
    tokio::time::pause();
    let error = loop {
        if let Err(error) = events.next().await.unwrap() {
            break error;
        }
    };
    assert!(matches!(error, ClusterError::TimedOut { after: CALL_TIMEOUT, .. }), "{error:?}");
}
