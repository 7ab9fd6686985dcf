//! The real client against a server that speaks as an API server does.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::stream;
use serde_json::{Value, json};

use super::*;
use crate::k8s_executor::deployment::objects;
use crate::workload::{Confidential, ExecutorKind, Limits, Workload};

/// Time for something to happen in real time.
const LIMIT: Duration = Duration::from_secs(20);

enum Answer {
    Json(u16, Value),
    /// With the header `Retry-After`.
    Later(u16, Option<&'static str>, Value),
    /// These events, and then silence.
    Watch(Vec<Value>),
    Silence,
}

/// One request as the server saw it.
#[derive(Clone, Debug)]
struct Asked {
    /// Method and path.
    line: String,
    query: String,
    content_type: String,
    authorization: String,
    body: Value,
}

/// Serves what a function answers, and remembers what it was asked.
struct ApiServer {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    folder: tempfile::TempDir,
}

impl ApiServer {
    fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        let server = HttpServer::new(move || {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            let serve = move |request: HttpRequest, body: web::Bytes| {
                let header = |name| {
                    let value = request.headers().get(name);
                    value.map_or("", |it| it.to_str().unwrap()).to_owned()
                };
                let asked = Asked {
                    line: format!("{} {}", request.method(), request.path()),
                    query: request.query_string().to_owned(),
                    content_type: header("content-type"),
                    authorization: header("authorization"),
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                };
                let answer = answer(&asked);
                log.lock().unwrap().push(asked);
                respond(answer)
            };
            App::new().default_service(web::to(serve))
        });
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        #[allow(clippy::disallowed_methods, reason = "stands for another process")]
        actix::spawn(async move { server.run().await.unwrap() });
        Self { url, asked, folder: tempfile::tempdir().unwrap() }
    }

    async fn connect(&self) -> Rc<dyn ClusterApi> {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        });
        let path = self.folder.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig.to_string()).unwrap();
        kubernetes(ClusterAccess::Kubeconfig(path), "toto".into())().await.unwrap()
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

async fn respond(answer: Answer) -> HttpResponse {
    match answer {
        Answer::Json(code, body) => {
            let code = actix_web::http::StatusCode::from_u16(code).unwrap();
            HttpResponse::build(code).json(body)
        }
        Answer::Later(code, retry_after, body) => {
            let code = actix_web::http::StatusCode::from_u16(code).unwrap();
            let mut answer = HttpResponse::build(code);
            answer.insert_header(("retry-after", retry_after.unwrap_or_default()));
            answer.json(body)
        }
        Answer::Watch(events) => {
            let lines = events
                .into_iter()
                .map(|event| Ok::<_, actix_web::Error>(web::Bytes::from(format!("{event}\n"))));
            let body = stream::iter(lines).chain(stream::pending());
            HttpResponse::Ok().content_type("application/json").streaming(body)
        }
        Answer::Silence => std::future::pending().await,
    }
}

fn refusal(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": {}, "code": code,
    });
    Answer::Json(code, status)
}

fn list(kind: &str, items: &[Value]) -> Answer {
    let list = json!({
        "kind": format!("{kind}List"), "apiVersion": "v1",
        "metadata": {"resourceVersion": "10"}, "items": items,
    });
    Answer::Json(200, list)
}

fn deployment(version: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web-1-31f7a65e3155", "namespace": "shop", "uid": "u1", "resourceVersion": version,
            "labels": {"device-worker-ng/id": "web-1"},
            "managedFields": [{"manager": "m"}],
        },
        "spec": {"replicas": 1, "selector": {}, "template": {}},
    })
}

fn workload() -> Workload {
    let mut workload: Workload = serde_json::from_value(json!({
        "id": "web-1", "name": "web", "namespace": "shop", "executor": ExecutorKind::K8s,
        "pod": {"containers": [{"name": "c", "image": "i"}]},
    }))
    .unwrap();
    workload.secrets.push(crate::workload::Secret {
        name: "key".into(),
        data: [("k".into(), Confidential::new(b"v".to_vec()))].into(),
    });
    workload
}

fn applied() -> Objects {
    objects(&workload(), Limits::default(), &"toto".into())
}

async fn next(
    events: &mut LocalBoxStream<'static, Result<ClusterEvent, ClusterError>>,
) -> Option<Result<ClusterEvent, ClusterError>> {
    timeout(LIMIT, events.next()).await.unwrap()
}

/// Reads events until `wanted` says that one is it; an error is a failure.
async fn until(
    events: &mut LocalBoxStream<'static, Result<ClusterEvent, ClusterError>>,
    wanted: impl Fn(&watcher::Event<Deployment>) -> bool,
) {
    loop {
        match next(events).await.unwrap().unwrap() {
            ClusterEvent::Deployment(event) if wanted(&event) => return,
            ClusterEvent::Deployment(_) | ClusterEvent::Pod(_) => {}
        }
    }
}

const DEPLOYMENTS: &str = "GET /apis/apps/v1/deployments";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/web-1-31f7a65e3155";

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
    let is_listed = |event: &watcher::Event<Deployment>| {
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

/// A Deployment as the server has it after the request.
fn written(asked: &Asked, uid: &str) -> Answer {
    let mut written = deployment("2");
    written["metadata"]["uid"] = json!(uid);
    if let Some(replicas) = asked.body["spec"]["replicas"].as_i64() {
        written["spec"]["replicas"] = json!(replicas);
    }
    Answer::Json(200, written)
}

/// What was asked, shortly: method and last part of the path, replicas, owner, `#` for a signature.
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
        if let Some(hash) = asked.body["metadata"]["labels"]["device-worker-ng/written"].as_str() {
            assert_eq!(hash.len(), 12);
            text = format!("{text} #");
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
            "PATCH web-1-31f7a65e3155 x1",
            "PATCH web-1-31f7a65e3155 #",
        ]
    );
    for asked in &asked[1..4] {
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
            "PATCH web-1-31f7a65e3155 x1",
            "PATCH web-1-31f7a65e3155 #",
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
            "PATCH web-1-31f7a65e3155 x1",
            "PATCH web-1-31f7a65e3155-key of u2",
            "PATCH web-1-31f7a65e3155 #",
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
        let expected = ["PATCH web-1-31f7a65e3155 x0", "PATCH web-1-31f7a65e3155 #"];
        assert_eq!(in_short(&asked)[1..], expected[..if gone { 1 } else { 2 }]);
        let signed = asked.last().unwrap().body["metadata"]["labels"].get("device-worker-ng/id");
        assert_eq!(signed, None, "nothing else is written");
        assert_eq!(asked[1].body, json!({"spec": {"replicas": 0}}));
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
            Ok(()) => assert!(allowed),
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
async fn refusals_and_outages_are_told_apart() {
    for (code, is_outage) in [(401, true), (409, false), (429, true), (500, true), (503, true)] {
        let server = ApiServer::start(move |_| refusal(code, "R", "the words"));
        let error = server.connect().await.exists("web-1".into()).await;
        let error = error.unwrap_err();
        let text = error.in_full();
        assert_eq!(error.is_outage(), is_outage, "{text}");
        assert!(text.contains("list Deployments") && text.contains("the words"), "{text}");
        assert!(text.contains(&code.to_string()), "{text}");
    }
}

#[actix::test]
async fn the_time_for_which_a_cluster_wants_to_be_left_alone_is_read_wherever_it_stands() {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let mut in_words = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "slow down", "reason": "TooManyRequests", "code": 429,
    });
    in_words["details"] = json!({"retryAfterSeconds": 7});
    for (code, header, body, expected) in [
        (429, Some("12"), json!("Too many requests, please try again later."), Some(12)),
        (503, Some("3"), json!("upstream is away"), Some(3)),
        (429, None, in_words.clone(), Some(7)),
        (429, Some("9"), in_words, Some(9)),
        (429, Some("86400"), json!(""), Some(300)),
        (429, Some("Wed, 21 Oct 2026 07:28:00 GMT"), json!(""), None),
        (429, None, json!(""), None),
        (500, Some("5"), json!(""), None),
    ] {
        let answer = body.clone();
        let server = ApiServer::start(move |_| Answer::Later(code, header, answer.clone()));
        let error = server.connect().await.exists("web-1".into()).await.unwrap_err();
        assert!(error.is_outage(), "{error}");
        assert_eq!(error.retry_after(), expected.map(seconds), "{code} {header:?} {body}");
    }
}

#[actix::test]
async fn a_silent_cluster_is_given_up() {
    let server = ApiServer::start(|_| Answer::Silence);
    let api = server.connect().await;
    tokio::time::pause();
    let error = api.exists("web-1".into()).await.unwrap_err();
    assert!(matches!(error, ClusterError::TimedOut { .. }), "{error}");
    let mut events = api.watch();
    let error = loop {
        match events.next().await {
            Some(Err(error)) => break error,
            Some(Ok(_)) => {}
            None => panic!("ended without an error"),
        }
    };
    assert!(matches!(error, ClusterError::TimedOut { .. }), "{error}");
}

#[actix::test]
async fn a_cluster_that_is_away_is_named_with_the_systems_words() {
    let mut server = ApiServer::start(|_| Answer::Silence);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    server.url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let error = server.connect().await.exists("web-1".into()).await;
    let text = error.unwrap_err().in_full();
    assert!(text.contains("Connection refused"), "{text}");
}

#[actix::test]
async fn a_kubeconfig_that_is_absent_or_broken_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    for content in [None, Some("["), Some("{}")] {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let connected = kubernetes(ClusterAccess::Kubeconfig(path.clone()), "toto".into())().await;
        let Err(error) = connected else {
            panic!("connected by {content:?}");
        };
        let text = error.in_full();
        assert!(text.contains("failed to read the kubeconfig"), "{text}");
        assert!(text.contains(path.to_str().unwrap()), "{text}");
    }
}

#[actix::test]
async fn a_kubeconfig_that_hangs_is_read_once_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    // Nobody writes into it: a read hangs.
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let connect = kubernetes(ClusterAccess::Kubeconfig(path.clone()), "toto".into());
    assert!(connect().now_or_never().is_none());
    let refused = connect().await.err().unwrap();
    assert!(refused.is_outage() && refused.in_full().contains("hangs"), "{refused:?}");

    let writer = std::fs::File::options().write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    drop(writer);
    let read_again = async {
        while !matches!(connect().await, Err(ClusterError::Kubeconfig { .. })) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, read_again).await.unwrap();
}

#[actix::test]
async fn an_agent_that_runs_in_no_cluster_says_so() {
    let error = kubernetes(ClusterAccess::InCluster, "toto".into())().await.err().unwrap();
    let text = error.in_full();
    assert!(text.contains("failed to find the cluster that the agent runs in"), "{text}");
    assert!(error.is_outage());
}

/// Returns a kubeconfig that gets its token from a program.
fn with_plugin(server: &str, program: &str, argument: &str) -> String {
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": program, "args": [argument],
    });
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"exec": exec}}],
    });
    kubeconfig.to_string()
}

#[actix::test]
async fn a_program_that_gives_the_token_may_fail_or_hang_and_then_give_it() {
    let server = ApiServer::start(|_| list("PartialObjectMetadata", &[]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let connect = kubernetes(ClusterAccess::Kubeconfig(path.clone()), "toto".into());
    let configure = |program: &str, argument: &str| {
        std::fs::write(&path, with_plugin(&server.url, program, argument)).unwrap();
    };

    configure("/nonexistent/plugin", "");
    let error = connect().await.err().unwrap().in_full();
    assert!(error.contains("unable to run auth exec: No such file"), "{error}");

    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    configure("cat", pipe.to_str().unwrap());
    // Nobody writes into it yet: the program hangs, and one is enough.
    let mut waiting = connect();
    assert!((&mut waiting).now_or_never().is_none());
    let refused = connect().await.err();
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": "from-the-program"},
    });
    // The client runs it once more when it is made: then there is a file.
    let mut writer = std::fs::File::options().write(true).open(&pipe).unwrap();
    let file = folder.path().join("credential");
    std::fs::write(&file, credential.to_string()).unwrap();
    std::fs::rename(&file, &pipe).unwrap();
    writer.write_all(credential.to_string().as_bytes()).unwrap();
    drop(writer);
    let error = refused.unwrap();
    assert!(error.is_outage() && error.in_full().contains("a program it names"), "{error:?}");
    let api = timeout(LIMIT, waiting).await.unwrap().unwrap();
    assert!(!api.exists("web-1".into()).await.unwrap());
    assert_eq!(server.asked()[0].authorization, "Bearer from-the-program");
}
