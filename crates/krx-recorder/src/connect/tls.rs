//! TLS to a service, and what to do when it fails.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use krx_store::journal::GapReason;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, InvalidMessage, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ConnectFailure;

/// Shakes hands over `tcp`. Certificates of `ca_file` are trusted beside those of the machine.
pub(super) async fn open(
    host: &str,
    tcp: TcpStream,
    ca_file: Option<PathBuf>,
) -> Result<TlsStream<TcpStream>, ConnectFailure> {
    let failed = |detail: String| ConnectFailure::new(GapReason::Tls, detail);
    // Read for each connection, since certificates are replaced while a daemon runs; on a thread that may wait for it.
    let roots = tokio::task::spawn_blocking(move || trusted(ca_file.as_deref()))
        .await
        .map_err(|error| failed(format!("reading the trusted certificates: {error}")))?
        .map_err(|problem| failed(format!("connection.ca_file: {problem}")))?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| {
        failed(format!(
            "{host} is not a name that a certificate can have: {error}"
        ))
    })?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
    connected.map_err(|error| from_io(&error, host))
}

/// What this machine trusts, and what a file adds to it; or why that is not known.
pub(super) fn trusted(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if let Some(path) = ca_file {
        let file = path.display();
        let unusable =
            |why: String| format!("{file}: {why}; it must hold the authority's certificates in PEM");
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
        let mut added = 0;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| unusable(error.to_string()))?;
            added += 1;
        }
        if added == 0 {
            return Err(unusable("there is no certificate in it".to_owned()));
        }
    }
    if roots.is_empty() {
        return Err(format!(
            "no certificate is trusted on this machine: install ca-certificates, or name a file in connection.ca_file \
             ({:?})",
            found.errors
        ));
    }
    Ok(roots)
}

/// What rustls finds wrong needs a person; a connection that breaks meanwhile does not.
fn from_io(error: &io::Error, host: &str) -> ConnectFailure {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(error) => {
            let advice = advice(error, host);
            let advice = if advice.is_empty() {
                String::new()
            } else {
                format!("; {advice}")
            };
            ConnectFailure::new(GapReason::Tls, format!("TLS: {error}{advice}"))
        }
        None => {
            ConnectFailure::unreachable(format!("the connection ended during the TLS handshake: {error}"))
        }
    }
}

/// What to do.
fn advice(error: &rustls::Error, host: &str) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate is out of date, or this machine's clock is wrong".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet: is this machine's clock slow?".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the server's certificate is for other names than {host}: check koscom.base_url")
            }
            CertificateError::UnknownIssuer => {
                "the server's certificate is self-signed, or of an authority that this machine does not trust: a private \
                 authority's certificate belongs in connection.ca_file"
                    .to_owned()
            }
            // webpki's word for a self-signed certificate.
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                "the server's certificate is self-signed: ask for one that an authority has signed".to_owned()
            }
            _ => "check koscom.base_url, and who signed the server's certificate".to_owned(),
        },
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS on this port: check the port, or write ws:// if it is meant to be plain"
                .to_owned()
        }
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        ) => {
            "the server offers no protocol version and cipher that are secure: it must have TLS 1.3, or TLS 1.2 with ECDHE \
             and AES-GCM or ChaCha20"
                .to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a certificate of ours, which Koscom's services do not: check koscom.base_url".to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("the server does not know the name {host}: check koscom.base_url")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_is_read_or_said_what_is_wrong_with() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let words = |path: &Path| trusted(Some(path)).unwrap_err();
        assert!(words(&path).contains("ca.pem: ") && words(&path).contains("No such file"));
        std::fs::write(&path, "nothing\n").unwrap();
        assert!(words(&path).contains("no certificate in it"), "{}", words(&path));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, broken).unwrap();
        assert!(words(&path).contains("in PEM"), "{}", words(&path));
    }
}
