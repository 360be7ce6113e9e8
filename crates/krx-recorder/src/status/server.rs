//! The status port. It has its own thread, so that no feed waits for it, and so that it answers even when feeds hang.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Extension;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{debug, error, info, warn};

use super::connection::{Connection, Watched};
use super::router::router;
use super::view::View;

/// The most connections at a time; one more drops the oldest that sends no tail. A page and a Prometheus have one each, for a few
/// milliseconds.
const CONNECTIONS_MAX: usize = 32;

/// A request's head must arrive within this.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);

/// How long tails may go on after the recording has ended, to send what was received last.
const TAILS_END_MAX: Duration = Duration::from_secs(2);

/// How often is looked whether they have ended.
const TAILS_LOOK: Duration = Duration::from_millis(20);

/// The longest head of a request: a browser's is under two thousand bytes. This is the least that hyper accepts.
const HEAD_BYTES_MAX: usize = 8192;

/// The wait after a connection could not be accepted, for instance because too many files are open.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How often to try a port that is in use, and how often to log that.
const BIND_RETRY: Duration = Duration::from_secs(2);
const BUSY_REPEAT: Duration = Duration::from_secs(600);

/// How often counters are sampled for the rates of the last minute.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// A running status port.
#[derive(Debug)]
pub(crate) struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Binds the port.
///
/// # Errors
/// [`io::Error`], if it is in use.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Server {
    /// Serves `view` at `address` from now on; or, if the port is in use, as soon as it is free. If its thread cannot
    /// be started, logs that and returns `None`.
    pub(crate) fn start(address: SocketAddr, view: View) -> Option<Self> {
        // Bind before the recorder reports that it is ready: clients may connect from then on.
        let listener = taken(address, bind(address), true);
        Self::begin(address, listener, view)
    }

    fn begin(address: SocketAddr, listener: Option<TcpListener>, view: View) -> Option<Self> {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("status".into()).spawn(move || {
            // A failure ends nothing but the status.
            if let Err(error) = run(address, listener, view, stopped) {
                error!(%error, "the status is not served");
            }
        });
        match thread {
            Ok(thread) => Some(Self { stop, thread }),
            Err(error) => {
                error!(%error, "the status is not served: its thread cannot be started");
                None
            }
        }
    }

    /// Stops answering.
    pub(crate) fn stop(self) {
        // If nobody receives this, the thread has already ended.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            error!("bug: the status panicked");
        }
    }
}

/// Returns the listener, if the port was bound, and logs that; logs a failure only if it `is_told`.
fn taken(address: SocketAddr, bound: io::Result<TcpListener>, is_told: bool) -> Option<TcpListener> {
    match bound {
        Ok(listener) => {
            // With port 0, the system has chosen one.
            let address = listener.local_addr().unwrap_or(address);
            info!(%address, "status is served");
            Some(listener)
        }
        Err(error) => {
            if is_told {
                warn!(%address, %error,
                    "the status is not served, and recording goes on: the port is tried again every few seconds; stop \
                     what listens there, or choose another status.listen");
            }
            None
        }
    }
}

/// Tries until the port is free.
async fn take(address: SocketAddr) -> TcpListener {
    let mut told = Instant::now();
    loop {
        sleep(BIND_RETRY).await;
        let is_told = told.elapsed() >= BUSY_REPEAT;
        if let Some(listener) = taken(address, bind(address), is_told) {
            return listener;
        }
        if is_told {
            told = Instant::now();
        }
    }
}

fn run(
    address: SocketAddr,
    listener: Option<TcpListener>,
    view: View,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let view = Arc::new(view);
    let ended = runtime.block_on(async {
        let answer = async {
            let listener = match listener {
                Some(listener) => listener,
                None => take(address).await,
            };
            let listener = tokio::net::TcpListener::from_std(listener)?;
            serve(&listener, router(Arc::clone(&view))).await;
            Ok(())
        };
        tokio::select! {
            ended = answer => ended,
            () = sample(&view) => Ok(()),
            // Also if the sender is dropped: then the recorder is gone.
            _ = stopped => Ok(()),
        }
    });
    // The journal is closed, so they come to their end.
    runtime.block_on(async {
        let begun = Instant::now();
        while !view.tails.is_idle() && begun.elapsed() < TAILS_END_MAX {
            sleep(TAILS_LOOK).await;
        }
    });
    // The clients of others are gone with the runtime.
    drop(runtime);
    view.tails.join();
    ended
}

async fn sample(view: &View) {
    let mut second = interval(SAMPLE_INTERVAL);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        second.tick().await;
        view.sample();
    }
}

async fn serve(listener: &tokio::net::TcpListener, router: Router) {
    let mut connections: VecDeque<(Watched, AbortHandle)> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "a connection to the status port could not be accepted");
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        connections.retain(|(_, task)| !task.is_finished());
        // A client that hangs must not keep others waiting; any other is done long before. Tails that are being sent are few.
        let dropped = connections
            .iter()
            .position(|(connection, _)| !connection.sends_a_tail());
        if connections.len() >= CONNECTIONS_MAX
            && let Some((_, oldest)) = dropped.and_then(|place| connections.remove(place))
        {
            oldest.abort();
        }
        let connection = Connection::of(&stream);
        let watched = connection.watched();
        let conversation = bounded(stream, router.clone(), connection);
        // Not joined: each is bounded in time, and ends with the runtime at the latest.
        connections.push_back((watched, tokio::spawn(conversation).abort_handle()));
    }
}

/// Serves one request, for as long as that may take.
async fn bounded(stream: TcpStream, router: Router, connection: Connection) {
    tokio::select! {
        biased;
        // First: what is broken off must not come to a proper end instead.
        () = connection.broken_off() => {}
        () = connection.time_over() => {}
        () = converse(stream, router.layer(Extension(connection.clone()))) => {}
    }
}

/// Serves one request.
async fn converse(stream: TcpStream, router: Router) {
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = conversation.await {
        debug!(%error, "a connection to the status port broke");
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
