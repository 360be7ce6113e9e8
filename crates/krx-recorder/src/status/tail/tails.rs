//! The tails that are being sent: a few at a time, each on a thread of its own.

use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use axum::http::StatusCode;
use tracing::error;

use super::Refusal;

/// The most tails at a time. Each takes a thread and the memory of three batches of rows.
const TAILS_MAX: usize = 4;

/// The tails of a status port.
#[derive(Debug, Default)]
pub(in crate::status) struct Tails {
    count: Arc<AtomicUsize>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The right to send a tail; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct PlaceForOne(Arc<AtomicUsize>);

impl Drop for PlaceForOne {
    fn drop(&mut self) {
        self.0.fetch_sub(1, AcqRel);
    }
}

impl Tails {
    /// The right to send one more; `None` when there are as many as there may be.
    pub(super) fn take(&self) -> Option<PlaceForOne> {
        let free = |count: usize| (count < TAILS_MAX).then_some(count + 1);
        self.count.fetch_update(AcqRel, Acquire, free).ok()?;
        Some(PlaceForOne(Arc::clone(&self.count)))
    }

    /// Sends one on a thread of its own.
    pub(super) fn spawn(
        &self,
        place: PlaceForOne,
        send: impl FnOnce() + Send + 'static,
    ) -> Result<(), Refusal> {
        let thread = std::thread::Builder::new().name("tail".into()).spawn(move || {
            let _place = place;
            send();
        });
        let thread = thread.map_err(|error| {
            Refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("No thread can be started for this tail: {error}."),
            )
        })?;
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// Waits for all of them. Nobody takes what they send any more: each notices that soon.
    pub(in crate::status) fn join(&self) {
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

    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_tail_has_ended_however_it_did() {
        let tails = Tails::default();
        let (go, going) = mpsc::channel::<()>();
        let waits = move || assert!(going.recv().is_err());
        let panics = || panic!("a defect");
        tails.spawn(tails.take().unwrap(), waits).unwrap();
        tails.spawn(tails.take().unwrap(), panics).unwrap();
        let mut places: Vec<_> = (2..TAILS_MAX).map(|_| tails.take().unwrap()).collect();
        while tails.count.load(Acquire) == TAILS_MAX {
            std::thread::yield_now();
        }
        places.push(tails.take().unwrap());
        assert!(tails.take().is_none());
        drop(go);
        tails.join();
        assert_eq!(tails.count.load(Acquire), places.len());
        assert!(tails.take().is_some());
    }
}
