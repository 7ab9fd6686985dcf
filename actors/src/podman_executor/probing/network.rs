//! Connections to containers, for probes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use http::{Request, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// The most that is kept of an answer that has not been read yet.
const MAX_HEAD: usize = 32 * 1024;
/// What the agent calls itself, so that an access log can leave its probes out.
const USER_AGENT: &str = concat!("device-worker-ng-probe/", env!("CARGO_PKG_VERSION"));

/// An HTTP request of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    /// Whom to ask.
    pub address: SocketAddr,
    /// Whether over TLS. No certificate is checked: containers have what they made themselves.
    pub is_tls: bool,
    /// Path and query.
    pub path: String,
    /// Headers beyond the usual ones.
    pub headers: Vec<(String, String)>,
}

/// The network in which the agent reaches containers. Whoever asks bounds the time.
pub trait ProbeNetwork {
    /// Connects, and hangs up.
    fn connect(&self, address: SocketAddr) -> LocalBoxFuture<'_, io::Result<()>>;
    /// Sends a GET request; returns the status of the answer.
    fn get(&self, request: ProbeRequest) -> LocalBoxFuture<'_, io::Result<u16>>;
}

/// The network of this device.
#[derive(Debug, Default)]
pub struct DeviceNetwork;

impl ProbeNetwork for DeviceNetwork {
    fn connect(&self, address: SocketAddr) -> LocalBoxFuture<'_, io::Result<()>> {
        Box::pin(async move { TcpStream::connect(address).await.map(drop) })
    }

    fn get(&self, request: ProbeRequest) -> LocalBoxFuture<'_, io::Result<u16>> {
        Box::pin(async move {
            let stream = TcpStream::connect(request.address).await?;
            if !request.is_tls {
                return status(stream, request).await;
            }
            let name = ServerName::from(request.address.ip());
            let stream = TlsConnector::from(Arc::new(tls()?)).connect(name, stream).await?;
            status(stream, request).await
        })
    }
}

/// Returns the status that `request` is answered with. The body is not read.
async fn status<S>(stream: S, request: ProbeRequest) -> io::Result<u16>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut settings = http1::Builder::new();
    settings.max_buf_size(MAX_HEAD);
    let (mut sender, connection) =
        settings.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let mut task = JoinSet::new();
    task.spawn_local(async { drop(connection.await) });
    let mut get = Request::get(&request.path)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close");
    let names_host = |(name, _): &(String, String)| name.eq_ignore_ascii_case("host");
    if !request.headers.iter().any(names_host) {
        get = get.header(header::HOST, request.address.to_string());
    }
    for (name, value) in &request.headers {
        get = get.header(name, value);
    }
    let get = get.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let answer = sender.send_request(get).await.map_err(io::Error::other)?;
    Ok(answer.status().as_u16())
}

fn tls() -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Takes any certificate, as kubelet's probes do: what is proved is that the server answers, and nothing that
/// is secret is sent.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
