//! Why an exchange stopped, or could not start.

use std::io;
use std::net::SocketAddr;

/// Why an exchange stopped, or could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The address is not on this machine's loopback interface.
    #[error("{0} is not a loopback address; the exchange serves 127.0.0.1 or [::1] only")]
    NotLoopback(SocketAddr),
    /// The address could not be listened on.
    #[error("listening on {address}: {source}; choose another --listen address, or port 0 for any free port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something the exchange cannot do without.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}
