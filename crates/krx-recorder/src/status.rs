//! The status on a loopback port: `/healthz` for supervisors, `/status.json` for programs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::get;
use krx_store::{Market, Progress};
use serde::Serialize;
use tokio::net::TcpListener;
use tracing::info;

use crate::disk_watch::DiskStatus;
use crate::exit::Failure;
use crate::standing::{FeedStatus, Problem};

/// One market, as others may see it.
#[derive(Clone, Debug)]
pub struct MarketView {
    /// The market.
    pub market: Market,
    /// Its counters.
    pub progress: Arc<Progress>,
    /// Its feed.
    pub status: Arc<FeedStatus>,
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    disk_free_bytes: u64,
    disk_low: bool,
    markets: Vec<MarketStatus>,
}

#[derive(Serialize)]
struct MarketStatus {
    market: String,
    state: &'static str,
    sessions: u32,
    last_frame_us: i64,
    last_problem: Option<Problem>,
    frames_journaled: u64,
    bytes_journaled: u64,
    frames_behind: u64,
    rows_sealed: u64,
    quarantined_sealed: u64,
    files_sealed: u64,
    bytes_sealed: u64,
    oversized_batches: u64,
    journal_damage: u64,
    journal_renewals: u64,
    poison_frames: u64,
}

/// All that is shown.
struct View {
    disk: Arc<DiskStatus>,
    markets: Vec<MarketView>,
}

impl From<&MarketView> for MarketStatus {
    fn from(view: &MarketView) -> Self {
        let MarketView {
            market,
            progress,
            status,
        } = view;
        Self {
            market: market.to_string(),
            state: status.state().as_str(),
            sessions: status.sessions.load(Relaxed),
            last_frame_us: status.last_frame_us.load(Relaxed),
            last_problem: status.last_problem(),
            frames_journaled: progress.frames_journaled.load(Relaxed),
            bytes_journaled: progress.bytes_journaled.load(Relaxed),
            frames_behind: progress.frames_behind(),
            rows_sealed: progress.rows_sealed.load(Relaxed),
            quarantined_sealed: progress.quarantined_sealed.load(Relaxed),
            files_sealed: progress.files_sealed.load(Relaxed),
            bytes_sealed: progress.bytes_sealed.load(Relaxed),
            oversized_batches: progress.oversized_batches.load(Relaxed),
            journal_damage: progress.journal_damage.load(Relaxed),
            journal_renewals: progress.journal_renewals.load(Relaxed),
            poison_frames: progress.poison_frames.load(Relaxed),
        }
    }
}

/// Takes the port.
///
/// # Errors
/// [`Failure::System`], when it is in use.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| Failure::System {
            doing: format!(
                "listening on status.listen = {address} (choose another port, or end what listens there)"
            ),
            source,
        })?;
    // With port 0 the system has chosen one.
    if let Ok(address) = listener.local_addr() {
        info!(%address, "status is served");
    }
    Ok(listener)
}

/// Answers until the task is dropped.
///
/// # Errors
/// [`std::io::Error`], when the listener fails.
pub async fn serve(
    listener: TcpListener,
    disk: Arc<DiskStatus>,
    markets: Vec<MarketView>,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/status.json", get(status))
        .with_state(Arc::new(View { disk, markets }));
    axum::serve(listener, router).await
}

async fn status(State(view): State<Arc<View>>) -> Json<Status> {
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        disk_free_bytes: view.disk.free_bytes.load(Relaxed),
        disk_low: view.disk.low.load(Relaxed),
        markets: view.markets.iter().map(MarketStatus::from).collect(),
    })
}
