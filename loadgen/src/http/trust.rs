//! Whose certificates are believed: those of the system's authorities, and those of a file of the user's.
//!
//! A certificate that the file has word for word is believed as it is, also where it signs itself, which is how small
//! installations make theirs; the name in it still has to be that of the server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Certificates that are trusted beside those of the system.
#[derive(Clone, Default)]
pub struct Trust(Arc<[CertificateDer<'static>]>);

/// Why a file of certificates is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read.
    #[error("cannot read certificates from {path}: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// It has none.
    #[error("{0} has no certificate\nhint: a PEM file has lines -----BEGIN CERTIFICATE-----")]
    Empty(PathBuf),
    /// One of them is none.
    #[error("{path}: certificate {number} cannot be used: {why}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Which, counted from 1.
        number: usize,
        /// Why not.
        why: String,
    },
}

impl Trust {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// When it cannot be read, or a certificate in it cannot be used.
    pub fn read(path: &Path) -> Result<Self, TrustError> {
        let unreadable = |why: String| TrustError::Unreadable { path: path.to_owned(), why };
        let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let certificates = certificates.map_err(|error| unreadable(error.to_string()))?;
        if certificates.is_empty() {
            return Err(TrustError::Empty(path.to_owned()));
        }
        for (at, certificate) in certificates.iter().enumerate() {
            RootCertStore::empty().add(certificate.clone()).map_err(|error| TrustError::Unusable {
                path: path.to_owned(),
                number: at + 1,
                why: error.to_string(),
            })?;
        }
        Ok(Self(certificates.into()))
    }

    /// Whether nobody is trusted beside the system's authorities.
    #[cfg(feature = "kube")]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its certificates beside the authorities `given`, or beside the system's where none are, for a client that makes its own of them.
    #[cfg(feature = "kube")]
    pub(crate) fn beside(&self, given: Option<Vec<Vec<u8>>>) -> Vec<Vec<u8>> {
        // One of the system's that cannot be used is passed over, as every client does.
        let is_usable =
            |certificate: &CertificateDer<'_>| RootCertStore::empty().add(certificate.clone().into_owned()).is_ok();
        let system = || {
            let certificates = rustls_native_certs::load_native_certs().certs;
            certificates.into_iter().filter(is_usable).map(|certificate| certificate.to_vec()).collect()
        };
        let mut roots: Vec<_> = given.unwrap_or_else(system);
        roots.extend(self.0.iter().map(|certificate| certificate.to_vec()));
        roots
    }

    /// TLS as it is spoken to all servers, offering this protocol.
    ///
    /// # Errors
    /// One line: why there is none.
    pub(super) fn client_config(&self, alpn: &[u8]) -> Result<ClientConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier { own: self.clone(), provider: Arc::clone(&provider), authorities: OnceLock::new() };
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| error.to_string())?.dangerous();
        let mut config = config.with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        Ok(config)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({} certificates)", self.0.len())
    }
}

#[derive(Debug)]
struct Verifier {
    own: Trust,
    provider: Arc<CryptoProvider>,
    /// Read with the first certificate, so that whoever speaks no TLS reads none; `None` where nobody is trusted.
    authorities: OnceLock<Option<Arc<WebPkiServerVerifier>>>,
}

impl Verifier {
    fn authorities(&self) -> Option<&WebPkiServerVerifier> {
        let read = || {
            let mut roots = RootCertStore::empty();
            // One that cannot be used is passed over, as every client does: it can be trusted by nobody.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots.add_parsable_certificates(self.own.0.iter().cloned());
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider)).build().ok()
        };
        self.authorities.get_or_init(read).as_deref()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.own.0.contains(end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let Some(authorities) = self.authorities() else { return Err(unknown) };
        let verified = authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| match error {
            // A certificate that signs itself as an authority does: that it is nobody's is what there is to be said.
            Error::InvalidCertificate(CertificateError::Other(other))
                if other.to_string().contains("CaUsedAsEndEntity") =>
            {
                unknown
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Trust, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("room");
        Trust::read(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_of_certificates_is_read_whole_or_refused_with_its_name() {
        let pem = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate").cert.pem();
        assert_eq!(read(&(pem() + &pem())).map(|trust| trust.0.len()), Ok(2));
        assert!(read("").expect_err("nothing").contains("has no certificate\nhint: "));
        assert!(
            read("-----BEGIN CERTIFICATE-----\n??\n").expect_err("nothing").contains("cannot read certificates from")
        );
        let none = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(read(&(pem() + none)).expect_err("nothing").contains(": certificate 2 cannot be used: "));
        let missing = Trust::read(Path::new("/no/such/file")).expect_err("it is missing").to_string();
        assert!(missing.starts_with("cannot read certificates from /no/such/file: "), "{missing}");
    }
}
