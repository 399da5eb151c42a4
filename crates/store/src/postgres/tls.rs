//! Which certificates of a PostgreSQL server are trusted, and which one is shown to it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::address::{Address, SslMode};

/// A TLS session to this host, not yet begun.
pub(super) fn session(host: &str, address: &Address) -> io::Result<ClientConnection> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = match address.ssl_mode {
        SslMode::VerifyFull => builder.with_root_certificates(roots(address)?),
        mode => {
            let chain = match mode {
                SslMode::VerifyCa => Some(
                    WebPkiServerVerifier::builder_with_provider(
                        Arc::new(roots(address)?),
                        Arc::clone(&provider),
                    )
                    .build()
                    .map_err(io::Error::other)?,
                ),
                _ => None,
            };
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Lenient { chain, provider }))
        }
    };
    let config = match (&address.certificate, &address.key) {
        (Some(certificate), Some(key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
            builder
                .with_client_auth_cert(certificates(certificate)?, key)
                .map_err(io::Error::other)?
        }
        _ => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)
}

fn unreadable<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> io::Error {
    move |error| io::Error::other(format!("{} cannot be read: {error}", path.display()))
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    found.map_err(unreadable(path))
}

fn roots(address: &Address) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &address.root_certificates {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(unreadable(path))?;
        }
    } else {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
    }
    if roots.is_empty() {
        return Err(io::Error::other(
            "there are no certificates to trust: name a file with sslrootcert",
        ));
    }
    Ok(roots)
}

/// `prefer` and `require` encrypt and do not ask with whom; `verify-ca` asks who has signed the certificate, not for which host.
#[derive(Debug)]
struct Lenient {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(certificate, between, name, ocsp, now) {
            // The chain is checked before the name.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// What binds a sign-in to the certificate that the server has shown: `tls-server-end-point` of RFC 5929, a hash of it by the
/// algorithm with which it is signed. None where that is one without such a hash.
pub(super) fn binding(session: &ClientConnection) -> Option<Vec<u8>> {
    let certificate = session.peer_certificates()?.first()?;
    end_point(certificate)
}

/// Endings of the object identifiers of signatures with RSA (1.2.840.113549.1.1) and on curves (1.2.840.10045.4).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const CURVE: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];

fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    // SEQUENCE { what is signed, SEQUENCE { algorithm, … }, signature }
    let (parts, _) = element(certificate)?;
    let (_, behind) = element(parts)?;
    let (algorithm, _) = element(behind)?;
    let (algorithm, _) = element(algorithm)?;
    let kind = algorithm
        .strip_prefix(RSA)
        .or_else(|| algorithm.strip_prefix(CURVE))?;
    match kind {
        // MD5 and SHA-1 count as SHA-256.
        [0x01 | 0x04 | 0x05 | 0x0b] | [0x03, 0x02] => Some(Sha256::digest(certificate).to_vec()),
        [0x0c] | [0x03, 0x03] => Some(Sha384::digest(certificate).to_vec()),
        [0x0d] | [0x03, 0x04] => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

/// What an element of DER contains, and what stands behind it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [_tag, first, rest @ ..] = der else {
        return None;
    };
    if *first < 0x80 {
        return rest.split_at_checked(usize::from(*first));
    }
    let (size, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    let mut length = 0_usize;
    for byte in size {
        length = length.checked_mul(256)?.checked_add(usize::from(*byte))?;
    }
    rest.split_at_checked(length)
}
