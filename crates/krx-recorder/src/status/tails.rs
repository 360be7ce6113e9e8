//! The tails that are being sent: a few at a time, each on a thread of its own.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tracing::error;

use super::connection::Connection;

/// The most tails at a time. Each takes a thread and the memory of three batches of rows.
const TAILS_MAX: usize = 4;

/// The tails of a status port.
#[derive(Debug, Default)]
pub(super) struct Tails {
    count: Arc<AtomicUsize>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The right to send a tail over a connection; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct PlaceForOne {
    count: Arc<AtomicUsize>,
    connection: Connection,
}

impl Drop for PlaceForOne {
    fn drop(&mut self) {
        self.connection.tail_is_sent();
        self.count.fetch_sub(1, AcqRel);
    }
}

impl Tails {
    /// The right to send one more; `None` when there are as many as there may be.
    pub(super) fn take(&self, connection: &Connection) -> Option<PlaceForOne> {
        let free = |count: usize| (count < TAILS_MAX).then_some(count + 1);
        self.count.fetch_update(AcqRel, Acquire, free).ok()?;
        connection.tail_begins();
        Some(PlaceForOne {
            count: Arc::clone(&self.count),
            connection: connection.clone(),
        })
    }

    /// Sends one on a thread of its own.
    pub(super) fn spawn(&self, place: PlaceForOne, send: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("tail".into()).spawn(move || {
            let _place = place;
            send();
        })?;
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// Whether none is being sent.
    pub(super) fn is_idle(&self) -> bool {
        self.count.load(Acquire) == 0
    }

    /// Waits for all of them. Nobody takes what they send any more: each notices that soon.
    pub(super) fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                error!("bug: a tail panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_place_is_free_again_when_its_tail_has_ended_however_it_did() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let connection = Connection::of(&stream);
        let tails = Tails::default();
        let take = || tails.take(&connection);
        let (go, going) = mpsc::channel::<()>();
        let waits = move || assert!(going.recv().is_err());
        let panics = || panic!("a defect");
        tails.spawn(take().unwrap(), waits).unwrap();
        assert!(connection.watched().sends_a_tail());
        tails.spawn(take().unwrap(), panics).unwrap();
        let mut places: Vec<_> = (2..TAILS_MAX).map(|_| take().unwrap()).collect();
        while tails.count.load(Acquire) == TAILS_MAX {
            std::thread::yield_now();
        }
        assert!(!connection.watched().sends_a_tail(), "its time is bounded again");
        places.push(take().unwrap());
        assert!(take().is_none());
        drop(go);
        tails.join();
        assert_eq!(tails.count.load(Acquire), places.len());
        assert!(take().is_some());
        assert!(!tails.is_idle() && !connection.client_is_gone());
        let (accepted, _) = listener.accept().await.unwrap();
        drop(accepted);
        while !connection.client_is_gone() {
            tokio::task::yield_now().await;
        }
    }
}
