//! The stand-in's certificates, made as the operator makes them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
    SignatureAlgorithm,
};
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime,
};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::Clock;

/// CA, server and registration certificates of the operator share one serial number.
const SHARED_SERIAL: u64 = 2019;
const ORGANISATION: &str = "flotta-operator";
/// What the operator puts into its server's certificate.
const SERVER_NAMES: &[&str] = &["project-flotta.io", "127.0.0.1", "::1"];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Bytes of a P-256 key in PKCS#8 form before the SEC1 form that it wraps.
const PKCS8_HEADER: usize = 29;

/// The CA, and what it signs.
pub(crate) struct Authority {
    ca: CertifiedIssuer<'static, KeyPair>,
    verifier: Arc<dyn ClientCertVerifier>,
    clock: Clock,
}

/// What the chain of a client's certificate is worth, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) common_name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) trust: Trust,
}

/// Whether our CA signed a certificate, and whether it still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Valid,
    Expired,
    Foreign,
}

/// The public key of a request for a certificate.
struct RequestedKey(Vec<u8>);

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

#[allow(clippy::expect_used, reason = "a stand-in that cannot start fails the test")]
impl Authority {
    pub(crate) fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// Dates its certificates by `clock`.
    pub(crate) fn with_clock(clock: Clock) -> Self {
        let mut parameters = parameters(&clock, None, None, 10 * YEAR, Duration::ZERO);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let ca = CertifiedIssuer::self_signed(parameters, key).expect("a CA certificate");
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).expect("a usable CA");
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("a verifier");
        Self { ca, verifier, clock }
    }

    pub(crate) fn ca_pem(&self) -> String {
        self.ca.pem()
    }

    /// Returns the server's certificate and key.
    pub(crate) fn server_pair(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        self.server_pair_for(SERVER_NAMES, &self.clock)
    }

    /// Returns a certificate for a server of other names, or issued at another time, with its key.
    pub(crate) fn server_pair_for(
        &self,
        names: &[&str],
        clock: &Clock,
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = parameters(clock, Some("*"), None, YEAR, Duration::ZERO);
        let san = |name: &&str| match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName((*name).try_into().expect("a name")),
        };
        parameters.subject_alt_names = names.iter().map(san).collect();
        let certificate = parameters.signed_by(&key, &self.ca).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (certificate.der().clone(), PrivateKeyDer::Pkcs8(key))
    }

    pub(crate) fn registration_pair(&self) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let parameters = parameters(&self.clock, Some("register"), None, YEAR, Duration::ZERO);
        let certificate = parameters.signed_by(&key, &self.ca).expect("a certificate");
        (certificate.pem(), sec1_pem(&key))
    }

    /// Signs a request for a certificate. None when it cannot be read, or is of a kind that this
    /// CA does not sign.
    pub(crate) fn sign(
        &self,
        request_pem: &str,
        device: &str,
        namespace: &str,
        lifetime: Duration,
    ) -> Option<String> {
        let der = CertificateSigningRequestDer::from_pem_slice(request_pem.as_bytes()).ok()?;
        let (_, request) = X509CertificationRequest::from_der(&der).ok()?;
        let key = &request.certification_request_info.subject_pki;
        let is_p256 = key.subject_public_key.data.len() == 65;
        if !is_p256 {
            return None;
        }
        let key = RequestedKey(key.subject_public_key.data.to_vec());
        let backdated = if lifetime < DAY { Duration::ZERO } else { DAY };
        let (name, unit) = (Some(device), Some(namespace));
        let mut parameters = parameters(&self.clock, name, unit, lifetime, backdated);
        let seconds = self.clock.now().wall.timestamp();
        parameters.serial_number = Some(SerialNumber::from(seconds.unsigned_abs()));
        let certificate = parameters.signed_by(&key, &self.ca).ok()?;
        Some(certificate.pem())
    }

    /// Judges the certificate that a client showed in the handshake.
    pub(crate) fn judge(&self, certificate: &CertificateDer<'_>) -> Option<Holder> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let holds_at = |seconds: i64| {
            let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds.unsigned_abs()));
            self.verifier.verify_client_cert(certificate, &[], time).is_ok()
        };
        let trust = if holds_at(self.clock.now().wall.timestamp()) {
            Trust::Valid
        } else if holds_at(parsed.validity().not_before.timestamp()) {
            Trust::Expired
        } else {
            Trust::Foreign
        };
        let subject = parsed.subject();
        Some(Holder {
            common_name: subject
                .iter_common_name()
                .next()
                .and_then(|name| name.as_str().ok())
                .unwrap_or_default()
                .to_lowercase(),
            namespace: subject
                .iter_organizational_unit()
                .next()
                .and_then(|name| name.as_str().ok())
                .map(str::to_owned),
            trust,
        })
    }
}

/// Returns the parameters of a certificate that holds from now, less `backdated`, for `lifetime`.
fn parameters(
    clock: &Clock,
    common_name: Option<&str>,
    namespace: Option<&str>,
    lifetime: Duration,
    backdated: Duration,
) -> CertificateParams {
    let now = Duration::from_secs(clock.now().wall.timestamp().unsigned_abs());
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, ORGANISATION);
    if let Some(namespace) = namespace {
        name.push(DnType::OrganizationalUnitName, namespace);
    }
    if let Some(common_name) = common_name {
        name.push(DnType::CommonName, common_name);
    }
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    parameters.not_before = epoch + now.saturating_sub(backdated);
    parameters.not_after = epoch + (now + lifetime);
    parameters.serial_number = Some(SerialNumber::from(SHARED_SERIAL));
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    parameters
}

/// Returns a P-256 key in SEC1 form, `EC PRIVATE KEY`.
fn sec1_pem(key: &KeyPair) -> String {
    let der = key.serialize_der();
    let sec1 = STANDARD.encode(der.get(PKCS8_HEADER..).unwrap_or_default());
    let mut pem = String::from("-----BEGIN EC PRIVATE KEY-----\n");
    for line in sec1.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END EC PRIVATE KEY-----\n");
    pem
}
