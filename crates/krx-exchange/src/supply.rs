//! Messages supplied by a thread: those of a market, or whatever else a day consists of.
//!
//! ```text
//!   supplier's thread ──chunks──▶ Supply ──▶ cursor
//! ```
//!
//! The supplier is only a few chunks ahead of the feed, whatever the day's length.

use tokio::sync::mpsc;

use crate::issues::PushMessage;
use crate::message::{Messages, Next, TimedMessage};

/// The amount of text in a chunk: large enough that passing it on does not matter.
const CHUNK_BYTES: usize = 256 * 1024;

/// How many chunks may wait for a feed: with the one at each end, about a megabyte and a half.
const CHUNKS_MAX: usize = 4;

/// What can be supplied.
pub trait Supplied: Send {
    /// About how much memory it takes, in bytes.
    fn bytes(&self) -> usize;
}

impl Supplied for TimedMessage {
    fn bytes(&self) -> usize {
        self.text.len() + size_of::<TimedMessage>()
    }
}

impl Supplied for PushMessage {
    fn bytes(&self) -> usize {
        let parts = self.parts.iter().map(|part| part.text.len() + size_of_val(part));
        parts.sum::<usize>() + size_of::<PushMessage>()
    }
}

/// The end from which a feed takes messages.
#[derive(Debug)]
pub struct Supply<T = TimedMessage> {
    chunks: mpsc::Receiver<Vec<T>>,
    chunk: std::vec::IntoIter<T>,
}

/// The end at which a supplier gives them. Dropping it ends the day.
#[derive(Debug)]
pub struct Supplier<T = TimedMessage> {
    chunks: mpsc::Sender<Vec<T>>,
    chunk: Vec<T>,
    bytes: usize,
}

/// The feed is gone: nothing more is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotWanted;

/// Both ends of one feed's supply.
#[must_use]
pub fn supply<T: Supplied>() -> (Supplier<T>, Supply<T>) {
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let supplier = Supplier {
        chunks: sender,
        chunk: Vec::new(),
        bytes: 0,
    };
    let supply = Supply {
        chunks: receiver,
        chunk: Vec::new().into_iter(),
    };
    (supplier, supply)
}

impl<T: Supplied> Supplier<T> {
    /// Gives the next message. It waits while the feed has enough, so it must not be called in a task.
    ///
    /// # Errors
    ///
    /// [`NotWanted`], when the feed has ended.
    pub fn give(&mut self, message: T) -> Result<(), NotWanted> {
        self.bytes += message.bytes();
        self.chunk.push(message);
        if self.bytes < CHUNK_BYTES {
            return Ok(());
        }
        self.hand_over()
    }

    /// Whether there is a feed that wants more.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.chunks.is_closed()
    }

    /// Passes on what is left, and ends the day.
    ///
    /// # Errors
    ///
    /// [`NotWanted`], when the feed has ended.
    pub fn finish(mut self) -> Result<(), NotWanted> {
        self.hand_over()
    }

    fn hand_over(&mut self) -> Result<(), NotWanted> {
        self.bytes = 0;
        let chunk = std::mem::take(&mut self.chunk);
        self.chunks.blocking_send(chunk).map_err(|_| NotWanted)
    }
}

impl Messages for Supply {
    fn next(&mut self) -> Next {
        self.take()
    }
}

impl<T> Supply<T> {
    /// The next message, if there is one yet.
    pub fn take(&mut self) -> Next<T> {
        loop {
            if let Some(message) = self.chunk.next() {
                return Next::Message(message);
            }
            match self.chunks.try_recv() {
                Ok(chunk) => self.chunk = chunk.into_iter(),
                Err(mpsc::error::TryRecvError::Empty) => return Next::NotYet,
                Err(mpsc::error::TryRecvError::Disconnected) => return Next::DayOver { another_after: None },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::message::TimeOfDay;

    fn message(nth: u64, len: usize) -> TimedMessage {
        TimedMessage {
            at: TimeOfDay(nth),
            records: 1,
            text: "x".repeat(len).into(),
        }
    }

    #[test]
    fn messages_come_out_in_order_and_the_end_is_told() {
        let (mut supplier, mut supply) = supply();
        assert!(matches!(supply.next(), Next::NotYet));
        for nth in 0..5 {
            supplier.give(message(nth, 10)).unwrap();
        }
        assert!(matches!(supply.next(), Next::NotYet), "a chunk is not full");
        supplier.finish().unwrap();
        for nth in 0..5 {
            let Next::Message(message) = supply.next() else {
                panic!("message {nth}")
            };
            assert_eq!(message.at, TimeOfDay(nth));
        }
        assert!(matches!(supply.next(), Next::DayOver { another_after: None }));
    }

    #[test]
    fn a_supplier_runs_ahead_by_a_few_chunks_and_hears_that_nobody_wants_more() {
        let (mut supplier, supply) = supply();
        let (told, given) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            loop {
                let result = supplier.give(message(0, CHUNK_BYTES));
                if told.send(result).is_err() || result.is_err() {
                    return;
                }
            }
        });
        for _ in 0..CHUNKS_MAX {
            assert_eq!(given.recv_timeout(Duration::from_secs(10)), Ok(Ok(())));
        }
        assert!(
            given.recv_timeout(Duration::from_millis(100)).is_err(),
            "it waits for room"
        );
        drop(supply);
        assert_eq!(given.recv_timeout(Duration::from_secs(10)), Ok(Err(NotWanted)));
        thread.join().unwrap();
    }
}
