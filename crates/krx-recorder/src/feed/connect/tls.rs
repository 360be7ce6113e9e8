//! TLS to a service, with advice when it fails.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use krx_store::journal::GapReason;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, InvalidMessage, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::ConnectFailure;
use crate::config::ca_file;

/// Performs the TLS handshake over `tcp`. The certificates in `ca_file` are trusted in addition to the machine's.
pub(super) async fn open(
    host: &str,
    tcp: TcpStream,
    ca_file: Option<PathBuf>,
) -> Result<TlsStream<TcpStream>, ConnectFailure> {
    let failed = |detail: String| ConnectFailure::new(GapReason::Tls, detail);
    // Read for each connection, since certificates are replaced while a daemon runs; on a thread that may block.
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

/// The certificates that this machine trusts, and those a file adds; the error says why they cannot be known.
fn trusted(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if let Some(path) = ca_file {
        ca_file::add(path, &mut roots)?;
    }
    if roots.is_empty() {
        return Err(format!(
            "this machine trusts no certificates: install ca-certificates, or name a file in connection.ca_file \
             ({:?})",
            found.errors
        ));
    }
    Ok(roots)
}

/// A problem that rustls finds needs a person; a connection that breaks during the handshake does not.
fn from_io(error: &io::Error, host: &str) -> ConnectFailure {
    let inner = error.get_ref();
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return ConnectFailure::new(GapReason::Tls, format!("TLS: {}", words(error, host)));
    }
    ConnectFailure::unreachable(match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the server closed the connection when the TLS handshake began: check the port; one without TLS needs ws://"
                .to_owned()
        }
        _ => format!("the connection ended during the TLS handshake: {error}"),
    })
}

/// What is wrong, and what to do.
fn words(error: &rustls::Error, host: &str) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate_words(error, host),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS on this port: check the port, or write ws:// if it is meant to be plain"
                .to_owned()
        }
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        ) => format!(
            "{error}; the server offers no secure protocol version and cipher: it must support TLS 1.3, or TLS 1.2 \
             with ECDHE and AES-GCM or ChaCha20"
        ),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server asks for a client certificate, which Koscom's services do not: check koscom.base_url".to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("the server does not know the name {host}: check koscom.base_url")
        }
        other => other.to_string(),
    }
}

fn certificate_words(error: &CertificateError, host: &str) -> String {
    match error {
        CertificateError::Expired => {
            "the server's certificate has expired, or this machine's clock is wrong".to_owned()
        }
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the server's certificate expired on {}, and this machine's clock says {}: the certificate must be \
             renewed, or the clock set",
            utc(*not_after),
            utc(*time)
        ),
        CertificateError::NotValidYet => {
            "the server's certificate is not valid yet: is this machine's clock slow?".to_owned()
        }
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the server's certificate is not valid before {}, and this machine's clock says {}: is it slow?",
            utc(*not_before),
            utc(*time)
        ),
        CertificateError::NotValidForName => {
            format!("the server's certificate is not for {host}: check koscom.base_url")
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            // Each is written as `DnsName("a.example.com")`.
            let names: Vec<_> = presented
                .iter()
                .filter_map(|name| name.split('"').nth(1))
                .collect();
            let names = if names.is_empty() {
                "other names".to_owned()
            } else {
                names.join(", ")
            };
            format!("the server's certificate is for {names}, and not for {host}: check koscom.base_url")
        }
        CertificateError::UnknownIssuer => {
            "the server's certificate is self-signed, or from an authority that this machine does not trust: put a \
             private authority's certificate into connection.ca_file"
                .to_owned()
        }
        // webpki's error for a self-signed certificate.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the server's certificate is self-signed: ask for one that an authority has signed".to_owned()
        }
        other => format!("{other}; check koscom.base_url, and who signed the server's certificate"),
    }
}

fn utc(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    chrono::DateTime::from_timestamp(seconds, 0).map_or_else(
        || "an unknown time".to_owned(),
        |time| time.format("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_authorities_file_is_reported_with_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let words = |path: &Path| trusted(Some(path)).unwrap_err();
        assert!(words(&path).contains("ca.pem: ") && words(&path).contains("No such file"));
        std::fs::write(&path, "nothing\n").unwrap();
        assert!(
            words(&path).contains("contains no certificate"),
            "{}",
            words(&path)
        );
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, broken).unwrap();
        assert!(
            words(&path).contains("certificate 1 is damaged"),
            "{}",
            words(&path)
        );
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
        assert!(words(&path).contains("is cut off"), "{}", words(&path));
        std::fs::write(&path, broken.replace("AAAA", "!")).unwrap();
        assert!(words(&path).contains("is not Base64"), "{}", words(&path));
    }

    #[test]
    fn a_bad_certificate_is_described_with_dates_and_names() {
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let expired = CertificateError::ExpiredContext {
            time: at(1_795_737_600),
            not_after: at(1_767_225_599),
        };
        let expired = words(&rustls::Error::InvalidCertificate(expired), "koscom.example.com");
        assert!(
            expired.contains(
                "expired on 2025-12-31 23:59 UTC, and this machine's clock says 2026-11-27 00:00 UTC"
            ),
            "{expired}"
        );
        let early = CertificateError::NotValidYetContext {
            time: at(0),
            not_before: at(1_767_225_600),
        };
        let early = words(&rustls::Error::InvalidCertificate(early), "koscom.example.com");
        assert!(
            early.contains("not valid before 2026-01-01 00:00 UTC")
                && early.contains("says 1970-01-01 00:00 UTC"),
            "{early}"
        );
        let other = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("koscom.example.com").unwrap(),
            presented: ["DnsName(\"a.example.com\")", "IpAddress(\"192.0.2.1\")"]
                .map(str::to_owned)
                .into(),
        };
        let other = words(&rustls::Error::InvalidCertificate(other), "koscom.example.com");
        assert!(
            other.contains("is for a.example.com, 192.0.2.1, and not for koscom.example.com"),
            "{other}"
        );
        let closed = from_io(&io::ErrorKind::UnexpectedEof.into(), "koscom.example.com");
        assert_eq!(closed.reason, GapReason::Unreachable);
        assert!(
            closed.detail.contains("one without TLS needs ws://"),
            "{}",
            closed.detail
        );
    }
}
