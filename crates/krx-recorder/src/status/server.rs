//! The status port. It has a thread of its own, so that no feed waits for it, and so that it answers when they do not.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, error, info};

use super::router::router;
use super::view::View;
use crate::exit::Failure;

/// Connections that are served at a time; for one more, the oldest is dropped. A page and a Prometheus have one each,
/// for some milliseconds.
const CONNECTIONS_MAX: usize = 32;

/// A request's head must be there within this, and its answer be taken within this. A connection has one request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);

/// A request's head may have so many bytes: a browser's has less than two thousand. The least that hyper takes.
const HEAD_BYTES_MAX: usize = 8192;

/// After a connection that could not be taken, since there are too many files open, for instance.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How often counters are noted, for the rates of the last minute.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// A status port at work.
#[derive(Debug)]
pub struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Takes the port.
///
/// # Errors
/// [`Failure::System`], when it is in use.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    let listener = bound.map_err(|source| Failure::System {
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

impl Server {
    /// Answers for `view` from now on.
    ///
    /// # Errors
    /// [`Failure::System`], when its thread cannot be started.
    pub fn start(listener: TcpListener, view: View) -> Result<Self, Failure> {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("status".into())
            .spawn(move || {
                // Nothing but the status ends with it.
                if let Err(error) = run(listener, view, stopped) {
                    error!(%error, "the status is not served");
                }
            })
            .map_err(|source| Failure::System {
                doing: "starting the thread status".into(),
                source,
            })?;
        Ok(Self { stop, thread })
    }

    /// Answers no more.
    pub fn stop(self) {
        // It has ended by itself when nobody listens.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            error!("bug: the status panicked");
        }
    }
}

fn run(listener: TcpListener, view: View, stopped: oneshot::Receiver<()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let view = Arc::new(view);
        tokio::select! {
            () = serve(&listener, router(Arc::clone(&view))) => {}
            () = sample(&view) => {}
            // Whoever started it is gone, if not by a word of his.
            _ = stopped => {}
        }
        Ok(())
    })
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
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "a connection to the status port could not be taken");
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        connections.retain(|connection| !connection.is_finished());
        // Whoever hangs must not keep others from being answered, and who does not is done long before.
        if connections.len() >= CONNECTIONS_MAX
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        let connection = timeout(CONNECTION_TIME_MAX, converse(stream, router.clone()));
        // Not joined: each has a bound in time, and ends with the runtime at the latest.
        connections.push_back(tokio::spawn(async move { drop(connection.await) }).abort_handle());
    }
}

/// One request, one answer.
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
