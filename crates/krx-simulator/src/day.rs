//! A market's day, made up message by message: plausible, and identical for the same seed.

use std::collections::VecDeque;

use krx_exchange::{Market, Packed, Packer, RecordHead, TimedMessage};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::tape::{PrintTime, Tape};
use crate::timetable::HalfSecond;
use crate::universe::Universe;

/// One data message of the day.
#[derive(Debug, Clone)]
pub struct DayMessage {
    /// The simulated time at which it is sent: the end of the half second in which its trades happened.
    pub at: HalfSecond,
    /// How many records it holds, from 1 to 50.
    pub records: u32,
    /// The text of the message.
    pub text: Utf8Bytes,
}

impl From<DayMessage> for TimedMessage {
    fn from(message: DayMessage) -> TimedMessage {
        TimedMessage {
            at: message.at.into(),
            records: message.records,
            text: message.text,
        }
    }
}

/// One market's day as a stream of messages. Nothing is computed more than half a second ahead.
#[derive(Debug)]
pub struct Day {
    tape: Tape,
    /// The constant part of each issue's records.
    heads: Vec<RecordHead>,
    packer: Packer,
    /// Messages of the current half second, or what is left of those of the last one.
    ready: VecDeque<DayMessage>,
}

impl Day {
    /// The day of `market` with about `trades` trades, not counting signals.
    ///
    /// The same arguments give the same messages on every machine.
    #[must_use]
    pub fn new(universe: &Universe, market: Market, seed: u64, trades: u64) -> Day {
        let heads = universe.issues(market).iter();
        Day {
            tape: Tape::new(universe, market, seed, trades),
            heads: heads.map(|issue| RecordHead::new(issue.code.as_str())).collect(),
            packer: Packer::default(),
            ready: VecDeque::new(),
        }
    }

    /// The next message; `None` at the end of the day.
    pub fn next_message(&mut self) -> Option<DayMessage> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            let (time, prints) = self.tape.next_half_second()?;
            let at = time.next();
            let ready = &mut self.ready;
            let mut get_ready = |packed: Option<Packed>| {
                if let Some(Packed { records, text }) = packed {
                    ready.push_back(DayMessage { at, records, text });
                }
            };
            for print in prints {
                let digits;
                let trade_time = match print.time {
                    PrintTime::Signal(signal) => signal.digits(),
                    PrintTime::At(hundredths) => {
                        digits = time.digits(hundredths);
                        str::from_utf8(&digits).unwrap_or_default()
                    }
                };
                let head = &self.heads[print.issue as usize];
                get_ready(self.packer.push(head, print.price, print.volume, trade_time));
            }
            get_ready(self.packer.close());
        }
    }
}

#[cfg(test)]
mod tests;
