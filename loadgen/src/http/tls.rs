//! What went wrong with TLS, in words.

use std::error::Error;
use std::io;

use engine::remote::one_line;
use rustls::{CertificateError, InvalidMessage};

/// Why TLS was not agreed, where that is what an error is about.
pub(crate) struct TlsFailure<'e>(&'e rustls::Error);

impl<'e> TlsFailure<'e> {
    /// Looks for it behind an error of a client's.
    pub(crate) fn find(error: &'e (dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(tls) = error.downcast_ref() {
                return Some(Self(tls));
            }
            // An error of a socket does not name what it carries as its source, but the source of that.
            let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            next = match carried {
                Some(carried) => Some(carried),
                None => error.source(),
            };
        }
        None
    }

    /// In one line.
    pub(crate) fn why(&self) -> String {
        match self.0 {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                "its certificate is of no authority that is trusted here".to_owned()
            }
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => "it does not speak TLS".to_owned(),
            other => one_line(&other.to_string()),
        }
    }

    /// What may be done about it: a line of its own with the line feed before it, or nothing.
    pub(crate) fn hint(&self) -> &'static str {
        match self.0 {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                "\nhint: trust it, or the authority that has signed it, with --ca-file FILE.pem"
            }
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => "\nhint: is it an http:// address?",
            _ => "",
        }
    }
}
