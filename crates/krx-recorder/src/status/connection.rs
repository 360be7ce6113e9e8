//! A connection to the status port, as what answers its request may see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::Notify;

/// A connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_a_tail: AtomicBool,
    over: Notify,
}

impl Connection {
    /// It sends a tail from now on, which bounds its own time.
    pub(super) fn is_a_tail(&self) {
        self.0.is_a_tail.store(true, Relaxed);
    }

    /// Whether it sends a tail.
    pub(super) fn sends_a_tail(&self) -> bool {
        self.0.is_a_tail.load(Relaxed)
    }

    /// Ends it, whatever is still to be sent.
    pub(super) fn end(&self) {
        self.0.over.notify_one();
    }

    /// Returns once it is to end.
    pub(super) async fn ended(&self) {
        self.0.over.notified().await;
    }
}
