//! The one thing that a kubelet is asked for here: the logs of containers, which the API server passes on.

use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::web::{Bytes, Data, Path, Query, get};
use actix_web::{App, HttpResponse, HttpServer};
use chrono::DateTime;
use futures_util::stream::{StreamExt as _, iter, pending};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;

/// A line of a log: when it was written, and what.
type Line = (&'static str, &'static str);

/// The log of a container, and that of the one before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) container: &'static str,
    pub(crate) now: &'static [Line],
    pub(crate) before: &'static [Line],
}

/// What is asked, in the words of the kubelet's API. Those that are left out are not meant.
type Asked = Query<Vec<(String, String)>>;

struct State {
    logs: Vec<Log>,
    asked: Mutex<Vec<String>>,
}

/// Serves on a free port of loopback, over TLS as every kubelet; ends when dropped.
pub(crate) struct Kubelet {
    pub(crate) port: u16,
    state: Arc<State>,
    server: ServerHandle,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        let _stopping = self.server.stop(false);
    }
}

impl Kubelet {
    pub(crate) fn start(logs: &[Log]) -> Self {
        let state = Arc::new(State { logs: logs.to_vec(), asked: Mutex::default() });
        let data = Data::from(Arc::clone(&state));
        let app = move || {
            let path = "/containerLogs/{namespace}/{pod}/{container}";
            App::new().app_data(data.clone()).route(path, get().to(log))
        };
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.bind_rustls_0_23(("127.0.0.1", 0), config()).unwrap();
        let port = server.addrs()[0].port();
        let server = server.run();
        let handle = server.handle();
        #[expect(clippy::disallowed_methods, reason = "it is no part of the agent")]
        actix::spawn(server);
        Self { port, state, server: handle }
    }

    /// Returns what was asked since the last time, `CONTAINER KEY=VALUE …` in order of key.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.asked.lock().unwrap())
    }
}

fn config() -> ServerConfig {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap()
}

async fn log(
    path: Path<(String, String, String)>,
    Query(mut asked): Asked,
    state: Data<State>,
) -> HttpResponse {
    let (_, _, container) = path.into_inner();
    asked.sort();
    let words = asked.iter().map(|(key, value)| format!(" {key}={value}"));
    let question = format!("{container}{}", words.collect::<String>());
    state.asked.lock().unwrap().push(question);
    let value = |key: &str| asked.iter().find(|(name, _)| name == key).map(|(_, it)| it.as_str());
    let Some(log) = state.logs.iter().find(|log| log.container == container) else {
        return HttpResponse::NotFound().body(format!("container {container} not found"));
    };
    let lines = if value("previous") == Some("true") { log.before } else { log.now };
    if lines.is_empty() {
        let message = format!("previous terminated container {container:?} not found");
        return HttpResponse::BadRequest().body(message);
    }
    let time = |text: &str| DateTime::parse_from_rfc3339(text).unwrap();
    let since = value("sinceTime").map(time);
    let is_asked_for = |line: &&Line| since.is_none_or(|since| time(line.0) >= since);
    let lines: Vec<_> = lines.iter().filter(is_asked_for).collect();
    let tail = value("tailLines").map_or(lines.len(), |tail| tail.parse().unwrap());
    let shown = &lines[lines.len().saturating_sub(tail)..];
    let is_timed = value("timestamps") == Some("true");
    let text = |(time, text): &&Line| match is_timed {
        true => format!("{time} {text}\n"),
        false => format!("{text}\n"),
    };
    let text = Bytes::from(shown.iter().map(text).collect::<String>());
    if value("follow") != Some("true") {
        return HttpResponse::Ok().body(text);
    }
    // The container goes on to write nothing.
    let body = iter([Ok::<_, std::io::Error>(text)]).chain(pending());
    HttpResponse::Ok().keep_alive().streaming(body)
}
