//! A feed: its connection to the server, from the socket to the queue.
//!
//! ```text
//!   session_loop ──▶ session ──▶ connect             backoff, pace, wire: how long to wait, how much to read
//!   hours, rests     one after   proxy, TLS,
//!                    the other   WebSocket
//!                       └───────▶ queue ──▶ pipeline
//! ```

pub(crate) mod session_loop;

pub(crate) mod session;

pub(crate) mod connect;

mod pace;
mod wire;

pub(crate) mod backoff;

pub(crate) mod feed_status;

pub(crate) mod queue;
pub(crate) mod registering;
pub(crate) mod registrations;
mod trades;

pub use connect::{Connector, ProxyVariables};
pub use feed_status::FeedStatus;
pub use queue::queue;
pub use session::Feed;
