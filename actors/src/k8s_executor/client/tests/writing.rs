//! What is written for a workload, in which order.

use super::*;
use crate::k8s_executor::deployment::{WRITTEN_LABEL, objects};
use crate::workload::{Confidential, ExecutorKind, Limits, Workload};

fn workload() -> Workload {
    let mut workload: Workload = serde_json::from_value(json!({
        "id": "web-1", "name": "web", "namespace": "shop", "executor": ExecutorKind::K8s,
        "pod": {"containers": [{"name": "c", "image": "i"}]},
    }))
    .unwrap();
    workload.secrets.push(
        crate::workload::Secret {
            name: "key".into(),
            data: [("k".into(), Confidential::new(b"v".to_vec()))].into(),
        }
        .into(),
    );
    workload
}

fn applied() -> Objects {
    objects(&workload(), Limits::default(), &"toto".into())
}

/// A Deployment as the server has it after the request, or would have it after one that is a trial.
fn written(asked: &Asked, uid: &str) -> Answer {
    let mut written = deployment("2");
    written["metadata"]["uid"] = json!(uid);
    if let Some(hash) = asked.body["metadata"]["labels"][WRITTEN_LABEL].as_str() {
        written["metadata"]["labels"][WRITTEN_LABEL] = json!(hash);
    }
    if let Some(replicas) = asked.body["spec"]["replicas"].as_i64() {
        written["spec"]["replicas"] = json!(replicas);
    }
    Answer::Json(200, written)
}

/// What was asked, shortly: method and last part of the path, replicas, owner, `#` for a signature,
/// `?` for a trial.
fn in_short(asked: &[Asked]) -> Vec<String> {
    let short = |asked: &Asked| {
        let (method, _) = asked.line.split_once(' ').unwrap();
        let (_, name) = asked.line.rsplit_once('/').unwrap();
        let mut text = format!("{method} {name}");
        if let Some(replicas) = asked.body["spec"]["replicas"].as_i64() {
            text = format!("{text} x{replicas}");
        }
        if let Some(owner) = asked.body["metadata"]["ownerReferences"][0]["uid"].as_str() {
            text = format!("{text} of {owner}");
        }
        if let Some(hash) = asked.body["metadata"]["labels"][WRITTEN_LABEL].as_str() {
            assert_eq!(hash.len(), 12);
            text = format!("{text} #");
        }
        if asked.query.contains("dryRun=All") {
            text = format!("{text}?");
        }
        text
    };
    asked.iter().map(short).collect()
}

#[actix::test]
async fn the_deployment_comes_first_without_a_pod_and_owns_what_it_needs() {
    let server = ApiServer::start(|asked| match asked.line.as_str() {
        DEPLOYMENTS => list("PartialObjectMetadata", &[]),
        line if line.ends_with(DEPLOYMENT) => written(asked, "u1"),
        _ => Answer::Json(201, asked.body.clone()),
    });
    server.connect().await.apply(applied()).await.unwrap();
    let asked = server.asked();
    assert_eq!(
        in_short(&asked),
        [
            "GET deployments",
            "PATCH web-1-31f7a65e3155 x0",
            "PATCH web-1-31f7a65e3155-key of u1",
            "PATCH web-1-31f7a65e3155.registries of u1",
            "PATCH web-1-31f7a65e3155 x1?",
            "PATCH web-1-31f7a65e3155 x1 #",
        ]
    );
    for asked in &asked[1..] {
        assert!(asked.query.contains("fieldManager=device-worker-ng"));
        assert!(asked.query.contains("force=true"));
        assert_eq!(asked.content_type, "application/apply-patch+yaml");
    }
    assert_eq!(
        asked[2].body["metadata"]["ownerReferences"],
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-1-31f7a65e3155", "uid": "u1"}])
    );
}

/// A cluster with a Deployment of the first uid, which is `uid` by the time it is written.
fn one_deployment(uid: &'static str) -> ApiServer {
    ApiServer::start(move |asked| match asked.line.as_str() {
        DEPLOYMENTS => list("PartialObjectMetadata", &[deployment("1")]),
        line if line.ends_with(DEPLOYMENT) => written(asked, uid),
        _ => Answer::Json(201, asked.body.clone()),
    })
}

#[actix::test]
async fn a_deployment_that_is_there_keeps_its_pod_while_its_contents_are_written() {
    let server = one_deployment("u1");
    server.connect().await.apply(applied()).await.unwrap();
    assert_eq!(
        in_short(&server.asked())[1..],
        [
            "PATCH web-1-31f7a65e3155-key of u1",
            "PATCH web-1-31f7a65e3155.registries of u1",
            "PATCH web-1-31f7a65e3155 x1?",
            "PATCH web-1-31f7a65e3155 x1 #",
        ]
    );
}

#[actix::test]
async fn a_deployment_that_was_deleted_meanwhile_gets_its_contents_anew() {
    let server = one_deployment("u2");
    server.connect().await.apply(applied()).await.unwrap();
    assert_eq!(
        in_short(&server.asked())[1..],
        [
            "PATCH web-1-31f7a65e3155-key of u1",
            "PATCH web-1-31f7a65e3155.registries of u1",
            "PATCH web-1-31f7a65e3155 x1?",
            "PATCH web-1-31f7a65e3155 x1 #",
            "PATCH web-1-31f7a65e3155-key of u2",
            "PATCH web-1-31f7a65e3155.registries of u2",
        ]
    );
}

#[actix::test]
async fn a_deployment_is_suspended_by_its_replicas_alone_and_one_that_went_is_no_error() {
    for gone in [false, true] {
        let server = ApiServer::start(move |asked| match asked.line.as_str() {
            DEPLOYMENTS => list("PartialObjectMetadata", &[deployment("1")]),
            _ if gone => refusal(404, "NotFound", "deployments.apps \"web-1\" not found"),
            _ => written(asked, "u1"),
        });
        server.connect().await.suspend("web-1".into()).await.unwrap();
        let asked = server.asked();
        let expected = ["PATCH web-1-31f7a65e3155 x0?", "PATCH web-1-31f7a65e3155 x0 #"];
        assert_eq!(in_short(&asked)[1..], expected[..if gone { 1 } else { 2 }]);
        let labels = asked.last().unwrap().body["metadata"]["labels"].as_object().unwrap();
        assert_eq!(labels.keys().collect::<Vec<_>>(), [WRITTEN_LABEL], "nothing else is written");
        assert_eq!(asked[1].content_type, "application/merge-patch+json");
    }
}

#[actix::test]
async fn a_missing_namespace_is_created_where_that_is_allowed() {
    for allowed in [true, false] {
        let created = Mutex::new(false);
        let server = ApiServer::start(move |asked| {
            let mut created = created.lock().unwrap();
            match asked.line.as_str() {
                "PATCH /api/v1/namespaces/shop" if allowed => {
                    *created = true;
                    Answer::Json(201, asked.body.clone())
                }
                "PATCH /api/v1/namespaces/shop" => refusal(403, "Forbidden", "cannot patch"),
                DEPLOYMENTS => list("PartialObjectMetadata", &[]),
                _ if *created => Answer::Json(201, asked.body.clone()),
                _ => refusal(404, "NotFound", "namespaces \"shop\" not found"),
            }
        });
        let result = server.connect().await.apply(applied()).await;
        match result {
            Ok(_) => assert!(allowed),
            Err(error) => {
                let text = error.in_full();
                assert!(text.contains("create the missing Namespace shop"), "{text}");
                assert!(!allowed);
            }
        }
    }
}

#[actix::test]
async fn nothing_is_left_of_a_deployment_that_was_refused() {
    let server = ApiServer::start(|asked| match asked.line.as_str() {
        DEPLOYMENTS => list("PartialObjectMetadata", &[]),
        _ => refusal(422, "Invalid", "spec.template: Required"),
    });
    let error = server.connect().await.apply(applied()).await.unwrap_err();
    let text = error.in_full();
    assert!(text.contains("422") && text.contains("spec.template"), "{text}");
    assert!(text.contains("apply Deployment shop/web-1-31f7a65e3155"), "{text}");
    // Its secret was not even made.
    assert_eq!(in_short(&server.asked()), ["GET deployments", "PATCH web-1-31f7a65e3155 x0"]);
}

#[actix::test]
async fn a_deployment_is_deleted_after_its_pods_and_one_that_went_meanwhile_is_no_error() {
    for gone in [false, true] {
        let server = ApiServer::start(move |asked| match asked.line.as_str() {
            DEPLOYMENTS => list("PartialObjectMetadata", &[deployment("1")]),
            _ if gone => refusal(404, "NotFound", "deployments.apps \"web-1\" not found"),
            _ => Answer::Json(200, deployment("2")),
        });
        let api = server.connect().await;
        api.delete("web-1".into()).await.unwrap();
        assert!(api.exists("web-1".into()).await.unwrap());
        let asked = server.asked();
        assert_eq!(asked[1].line, format!("DELETE {DEPLOYMENT}"));
        assert_eq!(asked[1].body["propagationPolicy"], "Foreground");
        assert!(asked[0].query.contains("device-worker-ng%2Fid%3Dweb-1"));
    }
}

#[actix::test]
async fn a_cluster_that_refuses_trials_only_is_written_to_and_signed_afterwards() {
    let server = ApiServer::start(|asked| match asked.line.as_str() {
        DEPLOYMENTS => list("PartialObjectMetadata", &[deployment("1")]),
        _ if asked.query.contains("dryRun=All") => {
            refusal(400, "BadRequest", "admission webhook does not support dry run")
        }
        line if line.ends_with(DEPLOYMENT) => written(asked, "u1"),
        _ => Answer::Json(201, asked.body.clone()),
    });
    let api = server.connect().await;
    api.apply(applied()).await.unwrap();
    api.suspend("web-1".into()).await.unwrap();
    let asked = in_short(&server.asked());
    let writes: Vec<_> =
        asked.iter().filter(|it| it.starts_with("PATCH web-1-31f7a65e3155 ")).collect();
    assert_eq!(
        writes,
        [
            "PATCH web-1-31f7a65e3155 x1?",
            "PATCH web-1-31f7a65e3155 x1",
            "PATCH web-1-31f7a65e3155 #",
            "PATCH web-1-31f7a65e3155 x0?",
            "PATCH web-1-31f7a65e3155 x0",
            "PATCH web-1-31f7a65e3155 #",
        ]
    );
}
