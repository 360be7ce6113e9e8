//! Messages that somebody else supplies, in place of a day that is made up.
//!
//! ```text
//!   supplier's thread ──chunks──▶ Supply ──▶ cursor
//! ```
//!
//! A supplier gives a market's messages in the order in which they are to be sent. It is asked for them anew for each
//! feed, and runs ahead of the feed by a few chunks only, whatever the day's length.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::market::Market;
use crate::timetable::HalfSecond;

/// The text at which a chunk is handed on: large enough that handing over does not count.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// The chunks that may wait for a feed: with the one at each end, about a megabyte and a half.
const CHUNKS_MAX: usize = 4;

/// A time of the day in microseconds since midnight, Korea Standard Time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay(pub u64);

impl TimeOfDay {
    /// The time from `earlier` to here; nothing when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: TimeOfDay) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl From<HalfSecond> for TimeOfDay {
    fn from(time: HalfSecond) -> TimeOfDay {
        let micros = time.since(HalfSecond::at(0, 0, 0)).as_micros();
        TimeOfDay(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000_000;
        write!(
            formatter,
            "{:02}:{:02}:{:02}",
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60
        )
    }
}

/// A message and when it is due.
#[derive(Debug, Clone)]
pub struct TimedMessage {
    /// When it is sent. One that is earlier than the one before it is sent right behind it.
    pub at: TimeOfDay,
    /// How many records it holds.
    pub records: u32,
    /// The text of the message.
    pub text: Utf8Bytes,
}

/// The end at which a feed takes messages.
#[derive(Debug)]
pub struct Supply {
    chunks: mpsc::Receiver<Vec<TimedMessage>>,
    chunk: std::vec::IntoIter<TimedMessage>,
}

/// The end at which a supplier gives them. Dropped, it ends the day.
#[derive(Debug)]
pub struct Supplier {
    chunks: mpsc::Sender<Vec<TimedMessage>>,
    chunk: Vec<TimedMessage>,
    bytes: usize,
}

/// The feed is gone: nothing more is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotWanted;

/// What there is to take.
#[derive(Debug)]
pub(crate) enum Supplied {
    Message(TimedMessage),
    /// One that lies before the day's start.
    PassedOver,
    /// The supplier is slower than the feed.
    NotYet,
    End,
}

/// Both ends of one feed's supply.
#[must_use]
pub fn supply() -> (Supplier, Supply) {
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

impl Supplier {
    /// Gives the next message. Waits as long as the feed has enough: not to be called in a task.
    ///
    /// # Errors
    ///
    /// [`NotWanted`], when the feed has ended.
    pub fn give(&mut self, message: TimedMessage) -> Result<(), NotWanted> {
        self.bytes += message.text.len() + size_of::<TimedMessage>();
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

    /// Hands over what is left, and ends the day.
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

impl Supply {
    pub(crate) fn next(&mut self) -> Supplied {
        loop {
            if let Some(message) = self.chunk.next() {
                return Supplied::Message(message);
            }
            match self.chunks.try_recv() {
                Ok(chunk) => self.chunk = chunk.into_iter(),
                Err(mpsc::error::TryRecvError::Empty) => return Supplied::NotYet,
                Err(mpsc::error::TryRecvError::Disconnected) => return Supplied::End,
            }
        }
    }
}

/// Begins to supply a market's messages, of which those before the start may be left out.
type Open = dyn Fn(Market) -> Supply + Send + Sync;

/// A day that somebody else supplies. The markets have one clock: it starts with the first session of any.
#[derive(Clone)]
pub struct SuppliedDay {
    /// The time of day at which that clock starts.
    pub start: TimeOfDay,
    open: Arc<Open>,
}

impl SuppliedDay {
    /// A day whose clock starts at `start`. Each feed calls `open` once, in a task of its own; what takes time belongs
    /// on a thread that `open` starts.
    pub fn new(start: TimeOfDay, open: impl Fn(Market) -> Supply + Send + Sync + 'static) -> SuppliedDay {
        SuppliedDay {
            start,
            open: Arc::new(open),
        }
    }

    pub(crate) fn open(&self, market: Market) -> Supply {
        (self.open)(market)
    }
}

impl fmt::Debug for SuppliedDay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SuppliedDay(from {})", self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(nth: u64, len: usize) -> TimedMessage {
        TimedMessage {
            at: TimeOfDay(nth),
            records: 1,
            text: "x".repeat(len).into(),
        }
    }

    #[test]
    fn times_are_told_to_the_second() {
        assert_eq!(TimeOfDay::from(HalfSecond::at(8, 30, 5)).to_string(), "08:30:05");
        assert_eq!(TimeOfDay(5).since(TimeOfDay(9)), Duration::ZERO);
    }

    #[test]
    fn messages_come_out_in_order_and_the_end_is_told() {
        let (mut supplier, mut supply) = supply();
        assert!(matches!(supply.next(), Supplied::NotYet));
        for nth in 0..5 {
            supplier.give(message(nth, 10)).unwrap();
        }
        assert!(matches!(supply.next(), Supplied::NotYet), "a chunk is not full");
        supplier.finish().unwrap();
        for nth in 0..5 {
            let Supplied::Message(message) = supply.next() else {
                panic!("message {nth}")
            };
            assert_eq!(message.at, TimeOfDay(nth));
        }
        assert!(matches!(supply.next(), Supplied::End));
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
