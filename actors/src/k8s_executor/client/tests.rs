//! The real client against a server that speaks as an API server does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::stream;
use serde_json::{Value, json};

use super::*;

mod access;
mod refusals;
mod watching;
mod writing;

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

const DEPLOYMENTS: &str = "GET /apis/apps/v1/deployments";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/web-1-31f7a65e3155";
