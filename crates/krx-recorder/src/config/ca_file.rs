//! `connection.ca_file`: certificates of authorities in PEM.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

/// Checks that a file contains authorities' certificates; the error says what is wrong.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    add(path, &mut RootCertStore::empty())
}

/// Adds a file's certificates to the trusted ones; the error says what is wrong.
pub(crate) fn add(path: &Path, roots: &mut RootCertStore) -> Result<(), String> {
    let unusable = |why: &str| {
        let file = path.display();
        format!("{file}: {why}; it must contain the authority's certificates in PEM")
    };
    let unreadable = |error: pem::Error| match error {
        pem::Error::Io(error) => unusable(&error.to_string()),
        pem::Error::MissingSectionEnd { .. } => unusable("a certificate is cut off"),
        pem::Error::IllegalSectionStart { .. } => unusable("a line that starts with ----- is damaged"),
        pem::Error::Base64Decode(_) => unusable("a certificate is damaged: it is not Base64"),
        other => unusable(&other.to_string()),
    };
    let mut added = 0;
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        let damaged = |_| unusable(&format!("certificate {} is damaged", added + 1));
        roots.add(certificate).map_err(damaged)?;
        added += 1;
    }
    if added == 0 {
        return Err(unusable("it contains no certificate"));
    }
    Ok(())
}
