//! The server's side of TLS, from files.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::SimulatorError;

/// The server's side of TLS, from a certificate chain and its private key, both in PEM files.
///
/// # Errors
///
/// When a file cannot be read, holds nothing of its kind, or the two do not match.
pub fn tls_config(certificates: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, SimulatorError> {
    let certificate_error = |problem: String| SimulatorError::Tls {
        what: "certificate",
        path: certificates.to_owned(),
        problem,
    };
    let key_error = |problem: String| SimulatorError::Tls {
        what: "key",
        path: key.to_owned(),
        problem,
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect)
        .map_err(|error| certificate_error(error.to_string()))?;
    if chain.is_empty() {
        return Err(certificate_error("it holds no certificate".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| key_error(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| key_error(error.to_string()))?;
    Ok(Arc::new(config))
}
