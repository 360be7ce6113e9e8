//! The runtime of commands that talk to others.

use std::time::Duration;

use super::exit::Failure;
use super::limits;

const FOREVER: Duration = Duration::from_secs(365 * 86_400);

/// Runs a command that talks to others.
///
/// # Errors
/// The command's own failure, or that the process gets no thread or no runtime.
pub(crate) fn in_runtime<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // Fails only if a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // All sockets together take a few percent of one core: one thread serves them, and the rest is left to the exporters.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(FOREVER)
        .build()
        .map_err(|source| Failure::System {
            doing: "starting the runtime".into(),
            source,
        })?;
    // tokio panics if it needs a thread for blocking work, such as a name lookup, and can neither find nor start one. So
    // one is started now and kept; later ones may fail.
    limits::probe_threads()?;
    drop(runtime.spawn_blocking(|| ()));
    let result = runtime.block_on(command);
    // A hanging resolver may hold a thread for a minute. Nothing is lost by leaving it behind.
    runtime.shutdown_background();
    result
}
