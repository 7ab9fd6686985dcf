//! TLS to the control plane: version 1.3, one trusted CA, the device's certificate.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::error::ParseError;
use awc::error::{ConnectError, SendRequestError};
use chrono::{DateTime, Datelike, Utc};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};

use crate::clock::Clock;
use crate::control_plane_sync::identity::certificate::ClientIdentity;
use crate::control_plane_sync::server::error::{Call, ControlPlaneError};

/// A wall clock that stands before this year was never set.
const FIRST_CREDIBLE_YEAR: i32 = 2020;
/// The control plane dates certificates back by so much.
const BACKDATED: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns whether a device without a battery still waits for the right time.
pub(crate) fn is_credible(wall: DateTime<Utc>) -> bool {
    wall.year() >= FIRST_CREDIBLE_YEAR
}

/// Reads the certificates that the control plane's certificate is checked against.
pub(crate) fn trusted_roots(pem: &[u8]) -> Result<Arc<RootCertStore>, ControlPlaneError> {
    let unusable = |reason: String| ControlPlaneError::Misconfigured { reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate
            .map_err(|error| unusable(format!("CA_ROOT holds a broken certificate: {error}")))?;
        roots
            .add(certificate)
            .map_err(|error| unusable(format!("CA_ROOT holds a broken certificate: {error}")))?;
    }
    if roots.is_empty() {
        return Err(unusable("CA_ROOT holds no certificate".to_owned()));
    }
    Ok(Arc::new(roots))
}

/// Returns the TLS settings with which `identity` is shown to the control plane.
pub(crate) fn client_config(
    roots: &Arc<RootCertStore>,
    identity: &ClientIdentity,
    clock: &Clock,
) -> Result<ClientConfig, ControlPlaneError> {
    let unusable =
        |error: &dyn fmt::Display| ControlPlaneError::Misconfigured { reason: error.to_string() };
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(&error))?;
    let time = Arc::new(CredibleTime {
        clock: clock.clone(),
        at_least: identity.validity().not_before + BACKDATED,
    });
    let mut config = ClientConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| unusable(&error))?
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(identity.certificates().to_vec(), identity.private_key())
        .map_err(|error| unusable(&error))?;
    // A few calls a minute gain nothing from HTTP/2, whose connections die unnoticed behind NAT.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A session that is resumed checks no certificate, and early data can be replayed.
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

/// The wall clock; while it was never set, the time at which the device's certificate was issued,
/// which is the latest moment that is known to have passed.
struct CredibleTime {
    clock: Clock,
    at_least: DateTime<Utc>,
}

impl TimeProvider for CredibleTime {
    fn current_time(&self) -> Option<UnixTime> {
        let wall = self.clock.now().wall;
        let wall = if is_credible(wall) { wall } else { self.at_least };
        let seconds = u64::try_from(wall.timestamp()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

impl fmt::Debug for CredibleTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredibleTime").finish_non_exhaustive()
    }
}

/// Returns what a failed request means, TLS alerts in plain words.
#[allow(clippy::wildcard_enum_match_arm, reason = "the errors of a library, too many to list")]
pub(crate) fn failure(call: Call, host: &str, error: &SendRequestError) -> ControlPlaneError {
    match error {
        SendRequestError::Connect(ConnectError::Resolver(reason)) => {
            ControlPlaneError::NoSuchHost { host: host.to_owned(), reason: reason.to_string() }
        }
        SendRequestError::Connect(ConnectError::NoRecords) => ControlPlaneError::NoSuchHost {
            host: host.to_owned(),
            reason: "it has no address".to_owned(),
        },
        SendRequestError::Connect(ConnectError::Io(error))
        | SendRequestError::Send(error)
        | SendRequestError::Response(ParseError::Io(error)) => io_failure(call, error),
        SendRequestError::Connect(ConnectError::Disconnected) => ControlPlaneError::Unreachable {
            call,
            reason: "the connection was closed before the answer".to_owned(),
        },
        other => ControlPlaneError::Unreachable { call, reason: other.to_string() },
    }
}

fn io_failure(call: Call, error: &io::Error) -> ControlPlaneError {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::InvalidCertificate(problem)) => {
            ControlPlaneError::ServerNotTrusted { reason: server_problem(problem) }
        }
        Some(Error::AlertReceived(alert)) => {
            ControlPlaneError::HandshakeRefused { reason: alert_text(*alert) }
        }
        Some(_) | None => ControlPlaneError::Unreachable { call, reason: error.to_string() },
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the errors of a library, too many to list")]
fn server_problem(problem: &CertificateError) -> String {
    match problem {
        // Every operator's CA bears the same name, so that another one shows as a bad signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "it is not signed by the CA in CA_ROOT; fetch the operator's current CA".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("it has expired, or the device's clock is wrong: {problem}")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("it is not valid yet, or the device's clock is wrong: {problem}")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("SERVER uses a host name that is not in it: {problem}")
        }
        other => other.to_string(),
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the errors of a library, too many to list")]
fn alert_text(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => "it wants a client certificate".to_owned(),
        AlertDescription::UnknownCA => {
            "it does not know the CA that signed the device's certificate".to_owned()
        }
        AlertDescription::CertificateExpired => "the device's certificate has expired".to_owned(),
        AlertDescription::CertificateRevoked => "the device's certificate is revoked".to_owned(),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => {
            format!("it does not accept the device's certificate ({alert:?})")
        }
        AlertDescription::DecryptError => {
            "the device's key does not fit its certificate".to_owned()
        }
        AlertDescription::ProtocolVersion => "it does not speak TLS 1.3".to_owned(),
        AlertDescription::NoApplicationProtocol => "it does not speak HTTP/1.1".to_owned(),
        other => format!("alert {other:?}"),
    }
}

#[cfg(test)]
mod tests;
