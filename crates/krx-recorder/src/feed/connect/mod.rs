//! Opens a session, all of it within one time limit:
//!
//! ```text
//!   route ──▶ dial ──▶ [tunnel] ──▶ [tls] ──▶ upgrade ──▶ init
//!   proxy     TCP, all  CONNECT      wss://    WebSocket   the key
//!   or not    addresses
//! ```

mod connector;
mod dial;
mod failure;
mod http;
mod route;
mod step;
mod tls;
mod tunnel;
mod upgrade;

pub(crate) use connector::Connection;
pub use connector::Connector;
pub(crate) use failure::ConnectFailure;
pub use route::ProxyVariables;
pub(crate) use route::Route;
