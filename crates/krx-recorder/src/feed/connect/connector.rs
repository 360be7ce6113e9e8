//! Opens a feed's sessions.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use futures_util::SinkExt;
use krx_store::journal::GapReason;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tracing::{info, warn};

use super::failure::ConnectFailure;
use super::route::{ProxyVariables, Route};
use super::step::Step;
use super::{dial, tls, tunnel, upgrade};
use crate::config::key::InitRequest;
use crate::config::problem::ConfigError;
use crate::config::proxy::{CREDENTIALS_KEY, read_credentials};
use crate::config::{ConnectionConfig, FeedConfig};
use crate::feed::wire::{BYTES_AT_A_TIME, Wire};

/// An open connection.
pub(crate) type Connection = WebSocketStream<Wire<MaybeTlsStream<TcpStream>>>;

/// How much outgoing data is held back while the server does not read. Without a bound, a server that sends pings and
/// never reads the pongs would fill the memory with them; past it only the newest pong waits.
const WRITE_BUFFER_BYTES_MAX: usize = 64 << 10;

/// Buffered data is written to the socket from this size on; everything is flushed anyway.
const WRITE_BUFFER_BYTES: usize = 4 << 10;

/// Opens the sessions of one feed.
#[derive(Debug)]
pub struct Connector {
    feed: FeedConfig,
    config: ConnectionConfig,
    route: Route,
    /// The address at which the last session could not be opened; all others are tried before it.
    failed: Mutex<Option<Address>>,
}

/// The address of the host that was connected to.
#[derive(Clone, Copy, Debug)]
struct Address {
    at: SocketAddr,
    is_the_only_one: bool,
}

impl Connector {
    /// A connector for a feed; `variables` may name a proxy.
    ///
    /// # Errors
    /// [`ConfigError`], if a proxy or its credentials cannot be used.
    pub fn new(
        feed: &FeedConfig,
        config: &ConnectionConfig,
        variables: &ProxyVariables,
    ) -> Result<Self, ConfigError> {
        let credentials = config
            .proxy_credentials_file
            .as_deref()
            .map(read_credentials)
            .transpose()
            .map_err(|problem| ConfigError::invalid(CREDENTIALS_KEY, problem))?;
        let route = Route::to(&feed.url, &config.proxy, credentials.as_ref(), variables)?;
        if matches!(route, Route::Direct { .. }) && credentials.is_some() {
            return Err(ConfigError::invalid(
                CREDENTIALS_KEY,
                "is set, but no proxy is used: set connection.proxy, or remove it",
            ));
        }
        Ok(Self {
            feed: feed.clone(),
            config: config.clone(),
            route,
            failed: Mutex::default(),
        })
    }

    /// The feed.
    #[must_use]
    pub fn feed(&self) -> &FeedConfig {
        &self.feed
    }

    /// The route to its service.
    #[must_use]
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Logs the route once, if it leads through a proxy or a proxy that is set is not used.
    pub fn log_route(&self) {
        let FeedConfig { name: feed, url, .. } = &self.feed;
        match &self.route {
            Route::Through(proxy) => info!(%feed, %url, %proxy, "connecting through a proxy"),
            Route::Direct {
                passed_over: Some(why),
            } => {
                warn!(%feed, %url, why, "connecting without the proxy that is set");
            }
            Route::Direct { passed_over: None } => {}
        }
    }

    /// Whether the last session could not be opened at one address and the host has others, which come next.
    #[must_use]
    pub fn has_other_addresses(&self) -> bool {
        self.last_failed().is_some_and(|address| !address.is_the_only_one)
    }

    fn last_failed(&self) -> Option<Address> {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects and sends `init`.
    ///
    /// # Errors
    /// `ConnectFailure`, also when `connect_timeout` runs out. Its text is fit for a log, whatever the server sent.
    pub async fn connect(&self, init: &InitRequest) -> Result<Connection, ConnectFailure> {
        let (step, timeout) = (Step::default(), self.config.connect_timeout);
        let address = Mutex::new(None);
        let connecting = async {
            let mut connection = self.open(&step, &address).await?;
            step.begin("the server to accept init");
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
                    "no session within {timeout:?}: still waiting for {}",
                    step.words()
                )))
            });
        let address = address.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = match connected {
            Ok(_) => None,
            Err(_) => address,
        };
        connected.map_err(|failure| ConnectFailure {
            detail: init.plain(&failure.detail),
            ..failure
        })
    }

    /// Everything but `init`. Stores in `address` where it connected.
    async fn open(
        &self,
        step: &Step,
        address: &Mutex<Option<Address>>,
    ) -> Result<Connection, ConnectFailure> {
        let url = &self.feed.url;
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_secure = url.scheme_str() == Some("wss");
        let port = url.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let (to_host, to_port) = match &self.route {
            Route::Direct { .. } => (host, port),
            Route::Through(proxy) => (proxy.host.as_str(), proxy.port),
        };
        let last = self.last_failed().map(|address| address.at);
        let dialed = dial::dial(to_host, to_port, last, step).await;
        let dialed = dialed.map_err(|failure| match &self.route {
            Route::Direct { .. } => failure,
            Route::Through(proxy) => ConnectFailure {
                detail: format!("the proxy {proxy}: {}", failure.detail),
                ..failure
            },
        })?;
        *address.lock().unwrap_or_else(PoisonError::into_inner) = Some(Address {
            at: dialed.address,
            is_the_only_one: dialed.addresses == 1,
        });
        if !dialed.missed.is_empty() {
            warn!(host = to_host, address = %dialed.address, missed = dialed.missed,
                "connected to one of several addresses");
        }
        let at = match &self.route {
            Route::Direct { .. } => format!(" ({})", dialed.address),
            Route::Through(proxy) => format!(" (through the proxy {proxy})"),
        };
        let mut tcp = dialed.stream;
        tcp.set_nodelay(true).map_err(|error| {
            ConnectFailure::unreachable(format!("connecting to {to_host}:{to_port}: {error}"))
        })?;
        if let Route::Through(proxy) = &self.route {
            step.begin(format!("the answer from the proxy {proxy}"));
            tcp = tunnel::open(tcp, proxy, host, port).await?;
        }
        let stream = if is_secure {
            step.begin(format!("the TLS handshake with {host}{at}"));
            MaybeTlsStream::Rustls(tls::open(host, tcp, self.config.ca_file.clone()).await?)
        } else {
            MaybeTlsStream::Plain(tcp)
        };
        step.begin(format!("the answer from {host}{at} to the WebSocket handshake"));
        let (stream, read) = upgrade::open(stream, url).await?;
        let bytes_max = self.config.message_bytes_max;
        let config = WebSocketConfig::default()
            .max_message_size(Some(bytes_max))
            .max_frame_size(Some(bytes_max))
            .read_buffer_size(BYTES_AT_A_TIME)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX);
        let wire = Wire::new(stream, &read);
        Ok(WebSocketStream::from_partially_read(wire, read.into(), Role::Client, Some(config)).await)
    }
}

fn from_tungstenite(error: &tungstenite::Error) -> ConnectFailure {
    match error {
        tungstenite::Error::Io(error) => ConnectFailure::unreachable(error.to_string()),
        other => ConnectFailure::new(GapReason::Protocol, other.to_string()),
    }
}
