//! Opening a session: TCP, TLS, the WebSocket handshake and `init`, each within its time.

use std::io;
use std::time::Duration;

use futures_util::SinkExt;
use krx_store::journal::GapReason;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{StatusCode, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::key::InitRequest;

/// An open connection.
pub type Connection = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The longest message that is taken: three hundred times a full batch. A longer one ends the connection.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// How much is read from a socket at a time.
const READ_BUFFER_BYTES: usize = 256 << 10;

/// Why there is no session.
#[derive(Debug)]
pub struct ConnectFailure {
    /// The word for the ledger.
    pub reason: GapReason,
    /// What happened, for a person.
    pub detail: String,
}

impl ConnectFailure {
    fn unreachable(detail: impl Into<String>) -> Self {
        Self {
            reason: GapReason::Unreachable,
            detail: detail.into(),
        }
    }
}

/// Connects and sends `init`.
///
/// # Errors
/// [`ConnectFailure`], also when `timeout` is over.
pub async fn connect(url: &Uri, init: &InitRequest, timeout: Duration) -> Result<Connection, ConnectFailure> {
    let connecting = async {
        let mut connection = open(url).await?;
        connection
            .send(Message::text(init.text()))
            .await
            .map_err(|error| from_tungstenite(&error))?;
        Ok(connection)
    };
    tokio::time::timeout(timeout, connecting)
        .await
        .unwrap_or_else(|_| {
            Err(ConnectFailure::unreachable(format!(
                "no session within {timeout:?}"
            )))
        })
}

async fn open(url: &Uri) -> Result<Connection, ConnectFailure> {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = url
        .port_u16()
        .unwrap_or(if url.scheme_str() == Some("wss") { 443 } else { 80 });
    let tcp = TcpStream::connect((host, port))
        .await
        .map_err(|error| from_io(&error, host, port))?;
    tcp.set_nodelay(true)
        .map_err(|error| from_io(&error, host, port))?;
    let request = url
        .clone()
        .into_client_request()
        .map_err(|error| from_tungstenite(&error))?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .read_buffer_size(READ_BUFFER_BYTES);
    let (connection, _) = tokio_tungstenite::client_async_tls_with_config(request, tcp, Some(config), None)
        .await
        .map_err(|error| from_tungstenite(&error))?;
    Ok(connection)
}

fn from_io(error: &io::Error, host: &str, port: u16) -> ConnectFailure {
    ConnectFailure::unreachable(format!("connecting to {host}:{port}: {error}"))
}

fn from_tungstenite(error: &tungstenite::Error) -> ConnectFailure {
    match error {
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            // A gateway's page may be long; its first line says what matters.
            let body: String = String::from_utf8_lossy(body)
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(200)
                .collect();
            let refused = matches!(
                response.status(),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
            );
            let reason = if refused {
                GapReason::Refused
            } else {
                GapReason::Unreachable
            };
            ConnectFailure {
                reason,
                detail: format!("HTTP {}: {body}", response.status()),
            }
        }
        tungstenite::Error::Io(error) => ConnectFailure::unreachable(error.to_string()),
        other => ConnectFailure {
            reason: GapReason::Protocol,
            detail: other.to_string(),
        },
    }
}
