//! What the agent reads in certificates and keys, and the request for a certificate.

use std::fmt;

use chrono::{DateTime, Utc};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SignatureAlgorithm};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::{Zeroize as _, Zeroizing};

use crate::workload::DeviceId;

/// OID of elliptic curve keys, of their curves, and of RSA keys.
const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const RSA: &str = "1.2.840.113549.1.1.1";

/// What a certificate's public key is made of. The control plane signs requests of its own family
/// only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFamily {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA; the agent cannot make such a key.
    Rsa,
}

impl fmt::Display for KeyFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "ECDSA P-256",
            Self::P384 => "ECDSA P-384",
            Self::Rsa => "RSA",
        })
    }
}

/// From when to when a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first second.
    pub not_before: DateTime<Utc>,
    /// Its last second.
    pub not_after: DateTime<Utc>,
}

/// Why a PEM text is no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No certificate is in it.
    #[error("no certificate in PEM form is in it")]
    NoCertificate,
    /// A certificate is in it but cannot be read.
    #[error("its certificate cannot be read: {0}")]
    BrokenCertificate(String),
    /// No private key is in it.
    #[error("no private key in PEM form (PKCS#8, SEC1 or PKCS#1) is in it")]
    NoKey,
    /// A key is in it but cannot be used.
    #[error("its private key cannot be used: {0}")]
    BrokenKey(String),
    /// A key of a kind that the control plane cannot work with.
    #[error("its key is neither ECDSA P-256 or P-384 nor RSA")]
    UnknownFamily,
}

/// One or more certificates, the first of which is the device's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateChain {
    /// All of them.
    pub(crate) der: Vec<CertificateDer<'static>>,
    /// The common name of the first.
    pub(crate) common_name: String,
    /// When the first holds.
    pub(crate) validity: Validity,
    /// The kind of its key.
    pub(crate) family: KeyFamily,
    /// Its public key, as DER.
    public_key: Vec<u8>,
}

impl CertificateChain {
    /// Reads the certificates of a PEM text.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let der = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| CertificateError::BrokenCertificate(error.to_string()))?;
        let first = der.first().ok_or(CertificateError::NoCertificate)?;
        let broken =
            |error: &dyn fmt::Display| CertificateError::BrokenCertificate(error.to_string());
        let (_, certificate) = X509Certificate::from_der(first).map_err(|error| broken(&error))?;
        let moment = |seconds| {
            DateTime::from_timestamp(seconds, 0).ok_or_else(|| broken(&"a date is out of range"))
        };
        let validity = Validity {
            not_before: moment(certificate.validity().not_before.timestamp())?,
            not_after: moment(certificate.validity().not_after.timestamp())?,
        };
        let common_name = certificate
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .unwrap_or_default()
            .to_owned();
        let family = family(&certificate)?;
        let public_key = certificate.public_key().raw.to_vec();
        Ok(Self { common_name, validity, family, public_key, der })
    }

    /// Returns whether it is a certificate for this device; registration certificates are not.
    pub(crate) fn is_for(&self, device: &DeviceId) -> bool {
        self.common_name.eq_ignore_ascii_case(device.as_str())
    }
}

fn family(certificate: &X509Certificate<'_>) -> Result<KeyFamily, CertificateError> {
    let algorithm = &certificate.public_key().algorithm;
    let curve = algorithm
        .parameters
        .as_ref()
        .and_then(|parameters| parameters.as_oid().ok())
        .map(|oid| oid.to_id_string());
    match (algorithm.algorithm.to_id_string().as_str(), curve.as_deref()) {
        (EC, Some(P256)) => Ok(KeyFamily::P256),
        (EC, Some(P384)) => Ok(KeyFamily::P384),
        (RSA, _) => Ok(KeyFamily::Rsa),
        _ => Err(CertificateError::UnknownFamily),
    }
}

/// A private key in whatever form, with its public half.
pub(crate) struct ClientKey {
    der: PrivateKeyDer<'static>,
    public_key: Vec<u8>,
}

impl ClientKey {
    /// Reads the first private key of a PEM text.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| CertificateError::NoKey)?;
        let broken = |reason: String| CertificateError::BrokenKey(reason);
        let key = any_supported_type(&der).map_err(|error| broken(error.to_string()))?;
        let public_key = key
            .public_key()
            .ok_or_else(|| broken("its public half is unknown".to_owned()))?
            .to_vec();
        Ok(Self { der, public_key })
    }
}

impl Drop for ClientKey {
    fn drop(&mut self) {
        self.der.zeroize();
    }
}

impl Clone for ClientKey {
    fn clone(&self) -> Self {
        Self { der: self.der.clone_key(), public_key: self.public_key.clone() }
    }
}

/// A certificate with its key, to show to the control plane.
#[derive(Clone)]
pub struct ClientIdentity {
    chain: CertificateChain,
    key: ClientKey,
}

impl ClientIdentity {
    /// Returns the pair, none when the key is not that of the certificate.
    pub(crate) fn pair(chain: CertificateChain, key: ClientKey) -> Option<Self> {
        (chain.public_key == key.public_key).then_some(Self { chain, key })
    }

    /// Returns when its certificate holds.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.chain.validity
    }

    /// Returns the kind of its key.
    #[must_use]
    pub const fn family(&self) -> KeyFamily {
        self.chain.family
    }

    /// Returns whether it is this device's own, and not a registration pair.
    #[must_use]
    pub fn is_for(&self, device: &DeviceId) -> bool {
        self.chain.is_for(device)
    }

    /// Returns the certificates, the device's first.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.chain.der
    }

    /// Returns a copy of the private key.
    #[must_use]
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        self.key.der.clone_key()
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity")
            .field("common_name", &self.chain.common_name)
            .field("validity", &self.chain.validity)
            .finish_non_exhaustive()
    }
}

/// A key of our own that can sign a request for a certificate.
pub(crate) struct RequestKey(KeyPair);

impl RequestKey {
    /// Makes one; none for RSA, which the crypto provider cannot make.
    pub(crate) fn generate(family: KeyFamily) -> Result<Option<Self>, CertificateError> {
        let Some(algorithm) = algorithm(family) else {
            return Ok(None);
        };
        KeyPair::generate_for(algorithm)
            .map(|pair| Some(Self(pair)))
            .map_err(|error| CertificateError::BrokenKey(error.to_string()))
    }

    /// Reads one; PKCS#8 only, as [`Self::to_pem`] writes it.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        KeyPair::from_pem(pem)
            .map(Self)
            .map_err(|error| CertificateError::BrokenKey(error.to_string()))
    }

    /// Returns the kind of the key.
    pub(crate) fn family(&self) -> Option<KeyFamily> {
        let algorithm = self.0.algorithm();
        if *algorithm == rcgen::PKCS_ECDSA_P256_SHA256 {
            Some(KeyFamily::P256)
        } else if *algorithm == rcgen::PKCS_ECDSA_P384_SHA384 {
            Some(KeyFamily::P384)
        } else if *algorithm == rcgen::PKCS_RSA_SHA256 {
            Some(KeyFamily::Rsa)
        } else {
            None
        }
    }

    /// Returns the key in PEM form.
    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.serialize_pem())
    }

    /// Returns a request for a certificate for `device`, in PEM form.
    pub(crate) fn request(&self, device: &DeviceId) -> Result<String, CertificateError> {
        let broken = |error: rcgen::Error| CertificateError::BrokenKey(error.to_string());
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, device.as_str());
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name;
        let request = parameters.serialize_request(&self.0).map_err(broken)?;
        request.pem().map_err(broken)
    }
}

fn algorithm(family: KeyFamily) -> Option<&'static SignatureAlgorithm> {
    match family {
        KeyFamily::P256 => Some(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeyFamily::P384 => Some(&rcgen::PKCS_ECDSA_P384_SHA384),
        KeyFamily::Rsa => None,
    }
}
