//! Serves the simulation, and keeps its ledger.

use krx_exchange::{Admits, transcript};
use tokio::net::TcpListener;

use crate::config::{Config, RefuseAll};
use crate::error::SimulatorError;
use crate::ledger::Ledger;
use crate::program::Simulation;

/// Serves a simulated exchange on `listener` until `shutdown` resolves, or until the day is over if so configured.
///
/// # Errors
///
/// When the listener is not on loopback, or the ledger cannot be written.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), SimulatorError> {
    let (ledger, transcript) = match &config.ledger {
        Some(path) => {
            let (transcript, notes) = transcript();
            (Some(Ledger::create(path, notes)?), Some(transcript))
        }
        None => (None, None),
    };
    let simulation = Simulation {
        day: config.day,
        pace: config.pace,
        markets: config.markets.len(),
        per_issue: config.per_issue.unwrap_or_default(),
        repeat: config.repeat,
        faults: config.faults,
    };
    let exchange = krx_exchange::Config {
        markets: config.markets,
        per_issue: config.per_issue.map(|per_issue| per_issue.rules),
        admits: match config.refuse {
            None => Admits::keys_if_any(config.keys),
            Some(RefuseAll::Json) => Admits::Keys(Vec::new()),
            Some(RefuseAll::Http) => Admits::Nobody,
        },
        init_reply: config.init_reply,
        second_session: config.second_session,
        heartbeat_interval: config.heartbeat_interval,
        one_clock: false,
        exit_at_end: config.exit_at_end,
        tls: config.tls,
        transcript,
        events: config.events,
    };
    let served = krx_exchange::serve(listener, exchange, simulation, shutdown).await;
    let served = served.map_err(SimulatorError::from);
    match ledger {
        // The ledger's own error says more than the exchange's, which is only that the ledger is gone.
        Some(ledger) => ledger.finish().await.and(served),
        None => served,
    }
}
