//! The stand-in's TLS server and the faults of its transport.

use std::any::Any;
use std::io;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::{MessageBody, SizedStream};
use actix_web::dev::{Extensions, Server};
use actix_web::http::StatusCode;
use actix_web::rt::net::TcpStream;
use actix_web::web::{self, Bytes, Data, PayloadConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use futures_util::{StreamExt, stream};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use serde_json::Value;
use tokio::sync::oneshot;

use super::authority::{Authority, Holder};
use super::devices::{Reply, Request, call_of};
use super::{Fault, Received, State};

/// Largest request that is read, in bytes.
const MAX_REQUEST: usize = 16 * 1024 * 1024;
/// Longer than any client waits.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);
/// More than any client should read.
const HUGE: usize = 20 * 1024 * 1024;

/// Runs the server until `stopped`, on the thread that calls; sends its port.
pub(super) fn run(
    authority: Arc<Authority>,
    state: Arc<State>,
    port: &mpsc::Sender<u16>,
    stopped: oneshot::Receiver<()>,
) {
    actix_web::rt::System::new().block_on(async move {
        let Some((server, bound)) = bind(authority, state) else {
            return;
        };
        if port.send(bound).is_err() {
            return;
        }
        let handle = server.handle();
        let stop = async {
            // An error means that the handle is gone, which is the same wish.
            let _ = stopped.await;
            handle.stop(false).await;
        };
        // The server must be polled while it stops, so that its threads end with it.
        let (_, ()) = tokio::join!(server, stop);
    });
}

fn bind(authority: Arc<Authority>, state: Arc<State>) -> Option<(Server, u16)> {
    let (certificate, key) = authority.server_pair();
    let provider = Arc::new(ring::default_provider());
    let verifier = AnyCertificate(provider.signature_verification_algorithms);
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .ok()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(vec![certificate], key)
        .ok()?;
    let data = (Data::from(authority), Data::from(state));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.0.clone())
            .app_data(data.1.clone())
            .app_data(PayloadConfig::new(MAX_REQUEST))
            .default_service(web::to(handle))
    })
    .workers(1)
    .disable_signals()
    .on_connect(remember_certificate)
    .bind_rustls_0_23(("127.0.0.1", 0), config)
    .ok()?;
    let port = server.addrs().first()?.port();
    Some((server.run(), port))
}

/// The certificate that a client showed in the handshake.
struct Shown(CertificateDer<'static>);

fn remember_certificate(connection: &dyn Any, extensions: &mut Extensions) {
    let certificate = connection
        .downcast_ref::<TlsStream<TcpStream>>()
        .and_then(|stream| stream.get_ref().1.peer_certificates())
        .and_then(|chain| chain.first());
    if let Some(certificate) = certificate {
        extensions.insert(Shown(certificate.clone().into_owned()));
    }
}

async fn handle(
    request: HttpRequest,
    body: Bytes,
    authority: Data<Authority>,
    state: Data<State>,
) -> HttpResponse {
    let holder = request.conn_data::<Shown>().and_then(|shown| authority.judge(&shown.0));
    let Some(holder) = holder else {
        return HttpResponse::Unauthorized().finish();
    };
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let method = request.method().as_str();
    let call = call_of(method, request.path(), &json);
    let fault = call.and_then(|call| state.lock().faults.get(&call).copied());
    if let Some(Fault::Slow(delay)) = fault {
        tokio::time::sleep(delay).await;
    }
    let reply = match fault {
        Some(Fault::Status(status)) => Reply::Empty(status),
        Some(Fault::Cut) => Reply::Cut,
        _ => answer(&request, &body, &authority, &state, &holder),
    };
    let received = Received {
        call,
        method: method.to_owned(),
        path: request.path().to_owned(),
        body: json,
        common_name: holder.common_name,
        status: match (&reply, fault) {
            (Reply::Cut, _) | (_, Some(Fault::NeverAnswer | Fault::CutBody)) => 0,
            (Reply::Empty(status) | Reply::Json(status, _), _) => *status,
        },
    };
    state.lock().received.push(received);
    state.news.send_modify(|count| *count += 1);
    if fault == Some(Fault::NeverAnswer) {
        tokio::time::sleep(FOR_EVER).await;
    }
    respond(reply, fault)
}

fn answer(
    request: &HttpRequest,
    body: &Bytes,
    authority: &Authority,
    state: &State,
    holder: &Holder,
) -> Reply {
    let content_type = request
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/octet-stream");
    let request = Request {
        method: request.method().as_str(),
        path: request.path(),
        content_type,
        body,
        holder,
    };
    state.lock().answer(authority, &request)
}

fn respond(reply: Reply, fault: Option<Fault>) -> HttpResponse {
    let is_cut = reply == Reply::Cut || fault == Some(Fault::CutBody);
    let (status, body) = match reply {
        Reply::Empty(status) => (status, String::new()),
        Reply::Json(status, body) => (status, body.to_string()),
        Reply::Cut => (200, String::new()),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.content_type("application/json");
    if is_cut {
        return response.body(cut_off(body));
    }
    match fault {
        Some(Fault::Huge) => response.body(" ".repeat(HUGE)),
        Some(Fault::WrongJson) => response.body("{\"content\": {\"device_id\":"),
        _ => response.body(body),
    }
}

/// Returns a body of which only the first half is sent before the connection breaks.
fn cut_off(body: String) -> impl MessageBody + 'static {
    let announced = body.len().max(2);
    let mut half = body;
    half.truncate(announced / 2);
    let first = stream::once(async { Ok(Bytes::from(half)) });
    let break_off = stream::once(async {
        // Until the first half is on its way.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let chunks = Box::pin(first.chain(break_off));
    SizedStream::new(u64::try_from(announced).unwrap_or(u64::MAX), chunks)
}

/// Takes any certificate whose key the client holds, as Go's `RequireAnyClientCert` does; what it
/// is worth is judged for each request.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
