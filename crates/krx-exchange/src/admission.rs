//! From an accepted connection to a client that may receive data: TLS, the HTTP upgrade, then `init`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{
    Callback, ErrorResponse, Request as Upgrade, Response,
};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::http::header::{CONTENT_LENGTH, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use crate::config::Admits;
use crate::control::{Key, Refusal, Request};
use crate::endpoint::Endpoint;
use crate::session::{Broken, CLOSE_POLICY, Farewell, Heard, Session};
use crate::transcript::{MessageKind, Transcript};
use crate::transport::Transport;

/// How long TLS and the upgrade may take, and then again the first message.
const ADMISSION_MAX: Duration = Duration::from_secs(10);

/// How much is collected before it is written to the socket: large enough that system calls do not matter.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// The memory limit for a client that does not read: sending waits long before that.
const WRITE_BUFFER_BYTES_MAX: usize = 1024 * 1024;

/// The longest message a client may send; requests are far shorter.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// Admits clients.
pub(crate) struct Admission {
    /// Other paths are unknown.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) admits: Admits,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) transcript: Option<Transcript>,
}

/// A client whose `init` was accepted.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) session: Session,
    pub(crate) key: Key,
    /// The `id` of its `init`, for the reply.
    pub(crate) init_id: Value,
}

impl Admission {
    /// Admits the connection; `None` when it is refused, which the client has been told if possible.
    pub(crate) async fn admit(self: Arc<Self>, tcp: TcpStream) -> Result<Option<Admitted>, Broken> {
        let Ok(Some((endpoint, socket))) = timeout(ADMISSION_MAX, self.upgrade(tcp)).await else {
            return Ok(None);
        };
        let mut session = Session::new(endpoint, socket, self.transcript.clone());
        let refused = match timeout(ADMISSION_MAX, first_text(&mut session)).await {
            Err(_) => {
                session.end(Farewell::Close(CLOSE_POLICY, "no init")).await;
                return Ok(None);
            }
            Ok(None) => return Ok(None),
            Ok(Some(text)) => match Request::parse(&text) {
                Request::Init { id, key } if self.admits.accepts(&key) => {
                    return Ok(Some(Admitted {
                        session,
                        key,
                        init_id: id,
                    }));
                }
                Request::Init { id, .. } => Refusal::BadKey.text(Some(&id)),
                Request::Unknown { id } => Refusal::Malformed.text(id.as_ref()),
                Request::Heartbeat | Request::Malformed => Refusal::Malformed.text(None),
            },
        };
        match session.send(MessageKind::Error, 0, refused).await {
            Err(Broken::Transcript) => return Err(Broken::Transcript),
            Ok(()) | Err(Broken::Socket(_)) => session.end(Farewell::Close(CLOSE_POLICY, "refused")).await,
        }
        Ok(None)
    }

    async fn upgrade(&self, tcp: TcpStream) -> Option<(Endpoint, WebSocketStream<Transport>)> {
        // Batches are built here; delaying them in the kernel would only add latency.
        let _ = tcp.set_nodelay(true);
        let transport = match &self.tls {
            None => Transport::Plain(tcp),
            Some(acceptor) => Transport::Tls(Box::new(acceptor.accept(tcp).await.ok()?)),
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(REQUEST_BYTES_MAX)
            .max_message_size(Some(REQUEST_BYTES_MAX))
            .max_frame_size(Some(REQUEST_BYTES_MAX))
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX);
        let mut endpoint = None;
        let route = Route {
            admission: self,
            endpoint: &mut endpoint,
        };
        let socket = accept_hdr_async_with_config(transport, route, Some(config))
            .await
            .ok()?;
        Some((endpoint?, socket))
    }
}

async fn first_text(session: &mut Session) -> Option<String> {
    loop {
        match session.hear().await {
            Heard::Text(text) => return Some(text.as_str().to_owned()),
            Heard::Other => {}
            Heard::Left(_) => return None,
        }
    }
}

/// Answers the upgrade: finds the endpoint, or the HTTP status that says why it cannot.
struct Route<'a> {
    admission: &'a Admission,
    endpoint: &'a mut Option<Endpoint>,
}

impl Callback for Route<'_> {
    fn on_request(self, request: &Upgrade, response: Response) -> Result<Response, ErrorResponse> {
        if self.admission.admits == Admits::Nobody {
            return Err(http_error(
                StatusCode::UNAUTHORIZED,
                "Invalid authentication credentials",
            ));
        }
        match Endpoint::at_path(request.uri().path()) {
            Some(endpoint) if self.admission.endpoints.contains(&endpoint) => {
                *self.endpoint = Some(endpoint);
                Ok(response)
            }
            _ => Err(http_error(
                StatusCode::NOT_FOUND,
                "no Route matched with those values",
            )),
        }
    }
}

fn http_error(status: StatusCode, message: &str) -> ErrorResponse {
    let body = format!("{{\"message\":\"{message}\"}}");
    let length = HeaderValue::from(body.len());
    let mut response = ErrorResponse::new(Some(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}
