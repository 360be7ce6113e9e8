//! Opening a session: TCP, TLS, the WebSocket handshake and `init`, all within one time.

use std::io;
use std::sync::Arc;

use chrono::Utc;
use futures_util::SinkExt;
use krx_store::journal::GapReason;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::header::{LOCATION, RETRY_AFTER, SEC_WEBSOCKET_EXTENSIONS};
use tokio_tungstenite::tungstenite::http::{HeaderName, StatusCode, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_with_config};

use crate::backoff::{Asked, retry_after};
use crate::config::ConnectionConfig;
use crate::key::InitRequest;
use crate::wire::{BYTES_AT_A_TIME, Wire};

/// An open connection.
pub type Connection = WebSocketStream<Wire<MaybeTlsStream<TcpStream>>>;

/// What we have to say is held back up to here when the server does not read. Without a bound a server that sends
/// pings and reads no pongs would fill the memory with them; past it only the newest pong waits.
const WRITE_BUFFER_BYTES_MAX: usize = 64 << 10;

/// Written to the socket as soon as there is so much; everything is flushed anyway.
const WRITE_BUFFER_BYTES: usize = 4 << 10;

/// Why there is no session.
#[derive(Debug)]
pub struct ConnectFailure {
    /// The word for the ledger.
    pub reason: GapReason,
    /// What happened, for a person.
    pub detail: String,
    /// What the server asked for.
    pub asked: Asked,
}

impl ConnectFailure {
    fn new(reason: GapReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            asked: Asked::Nothing,
        }
    }

    fn unreachable(detail: impl Into<String>) -> Self {
        Self::new(GapReason::Unreachable, detail)
    }
}

/// Connects and sends `init`.
///
/// # Errors
/// [`ConnectFailure`], also when `connect_timeout` is over. Its words are fit for a log, whatever the server sent.
pub async fn connect(
    url: &Uri,
    init: &InitRequest,
    config: &ConnectionConfig,
) -> Result<Connection, ConnectFailure> {
    let timeout = config.connect_timeout;
    let connecting = async {
        let mut connection = open(url, config.message_bytes_max).await?;
        connection
            .send(Message::text(init.text()))
            .await
            .map_err(|error| from_tungstenite(&error))?;
        Ok(connection)
    };
    let connected = tokio::time::timeout(timeout, connecting)
        .await
        .unwrap_or_else(|_| {
            Err(ConnectFailure::unreachable(format!(
                "no session within {timeout:?}"
            )))
        });
    connected.map_err(|failure| ConnectFailure {
        detail: init.plain(&failure.detail),
        ..failure
    })
}

async fn open(url: &Uri, message_bytes_max: usize) -> Result<Connection, ConnectFailure> {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let secure = url.scheme_str() == Some("wss");
    let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let tcp = TcpStream::connect((host, port))
        .await
        .map_err(|error| from_io(&error, host, port))?;
    tcp.set_nodelay(true)
        .map_err(|error| from_io(&error, host, port))?;
    let stream = if secure {
        MaybeTlsStream::Rustls(tls(host, tcp).await?)
    } else {
        MaybeTlsStream::Plain(tcp)
    };
    let request = url
        .clone()
        .into_client_request()
        .map_err(|error| from_tungstenite(&error))?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max))
        .read_buffer_size(BYTES_AT_A_TIME)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX);
    let (connection, response) = client_async_with_config(request, Wire::new(stream), Some(config))
        .await
        .map_err(|error| from_tungstenite(&error))?;
    // tungstenite leaves this to us (RFC 6455, 4.1): we asked for none, and could not decode what it does.
    match header(&response, &SEC_WEBSOCKET_EXTENSIONS) {
        Some(extension) => Err(ConnectFailure::new(
            GapReason::Protocol,
            format!("the server uses an extension that was not asked for: {extension}"),
        )),
        None => Ok(connection),
    }
}

async fn tls(host: &str, tcp: TcpStream) -> Result<TlsStream<TcpStream>, ConnectFailure> {
    let failed = |detail: String| ConnectFailure::new(GapReason::Tls, detail);
    // Read for each connection, since certificates are replaced while a daemon runs; on a thread that may wait for it.
    let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs)
        .await
        .map_err(|error| failed(format!("reading the trusted certificates: {error}")))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let errors = found.errors;
        return Err(failed(format!(
            "no trusted certificates on this machine: {errors:?}"
        )));
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(format!("{host}: {error}")))?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
    connected.map_err(|error| {
        // What rustls finds wrong needs a person; a connection that breaks meanwhile does not.
        let ours = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        let reason = if ours {
            GapReason::Tls
        } else {
            GapReason::Unreachable
        };
        ConnectFailure::new(reason, format!("TLS: {error}"))
    })
}

fn from_io(error: &io::Error, host: &str, port: u16) -> ConnectFailure {
    ConnectFailure::unreachable(format!("connecting to {host}:{port}: {error}"))
}

fn from_tungstenite(error: &tungstenite::Error) -> ConnectFailure {
    match error {
        tungstenite::Error::Http(response) => from_http(response),
        tungstenite::Error::Io(error) => ConnectFailure::unreachable(error.to_string()),
        // A gateway that has nothing behind it ends the connection without a word.
        tungstenite::Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            ConnectFailure::unreachable(error.to_string())
        }
        other => ConnectFailure::new(GapReason::Protocol, other.to_string()),
    }
}

/// An answer that is no upgrade.
fn from_http(response: &Response) -> ConnectFailure {
    let status = response.status();
    let asked_wait = || {
        let value = header(response, &RETRY_AFTER)?;
        retry_after(&value, Utc::now())
    };
    let (reason, asked) = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (GapReason::Refused, Asked::OtherKey),
        StatusCode::TOO_MANY_REQUESTS => (GapReason::Throttled, Asked::Patience(asked_wait())),
        StatusCode::SERVICE_UNAVAILABLE => (GapReason::Unavailable, Asked::Patience(asked_wait())),
        status if status.is_client_error() || status.is_server_error() => {
            (GapReason::Unreachable, Asked::Nothing)
        }
        // A page or a redirection: whatever it is, it is no WebSocket. The key goes nowhere but where we were told.
        _ => (GapReason::Protocol, Asked::Nothing),
    };
    let mut detail = format!("HTTP {status}");
    for name in [LOCATION, RETRY_AFTER] {
        if let Some(value) = header(response, &name) {
            detail.push_str(&format!(", {name}: {value}"));
        }
    }
    // A gateway's page may be long; its first line says what matters.
    let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default());
    if let Some(line) = body.lines().find(|line| !line.trim().is_empty()) {
        detail.push_str(": ");
        detail.push_str(line);
    }
    ConnectFailure {
        reason,
        detail,
        asked,
    }
}

fn header(response: &Response, name: &HeaderName) -> Option<String> {
    let value = response.headers().get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let mut response = Response::new(Some(body.as_bytes().to_vec()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    }

    #[test]
    fn each_answer_has_its_reason_and_what_it_asks_for() {
        let patience = |seconds: Option<u64>| Asked::Patience(seconds.map(Duration::from_secs));
        let cases = [
            (200, GapReason::Protocol, Asked::Nothing),
            (301, GapReason::Protocol, Asked::Nothing),
            (400, GapReason::Unreachable, Asked::Nothing),
            (401, GapReason::Refused, Asked::OtherKey),
            (403, GapReason::Refused, Asked::OtherKey),
            (404, GapReason::Unreachable, Asked::Nothing),
            (429, GapReason::Throttled, patience(Some(7))),
            (500, GapReason::Unreachable, Asked::Nothing),
            (502, GapReason::Unreachable, Asked::Nothing),
            (503, GapReason::Unavailable, patience(Some(7))),
            (504, GapReason::Unreachable, Asked::Nothing),
            (999, GapReason::Protocol, Asked::Nothing),
        ];
        for (status, reason, asked) in cases {
            let failure = from_http(&answer(status, &[("retry-after", "7")], ""));
            assert_eq!((failure.reason, failure.asked), (reason, asked), "{status}");
        }
        for value in ["", "soon"] {
            let failure = from_http(&answer(503, &[("retry-after", value)], ""));
            assert_eq!(failure.asked, patience(None), "{value:?}");
        }
        assert_eq!(from_http(&answer(429, &[], "")).asked, patience(None));
    }

    #[test]
    fn the_words_have_what_a_person_wants_to_know() {
        let moved = from_http(&answer(
            301,
            &[("location", "wss://elsewhere/")],
            "\n<html>\nmore",
        ));
        assert_eq!(
            moved.detail,
            "HTTP 301 Moved Permanently, location: wss://elsewhere/: <html>"
        );
    }
}
