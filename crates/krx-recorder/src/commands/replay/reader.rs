//! Reads a feed's day for one client, on its own thread, a little ahead of it.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use indicatif::HumanCount;
use krx_exchange::{NotWanted, Supplier, TimeOfDay, TimedMessage};
use krx_store::{FeedName, StoreError};
use tokio::sync::mpsc;

use super::frames::Frames;
use super::message::Withheld;
use super::recording::time_of_day;
use crate::process::out;

/// How often to show progress on a terminal.
const TOLD_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Reader {
    pub(super) frames: Frames,
    pub(super) feed: FeedName,
    pub(super) date: NaiveDate,
    /// Frames received earlier are skipped.
    pub(super) start: TimeOfDay,
    /// Trades in the whole day.
    pub(super) trades: u64,
}

/// Counts what was sent, and what could not be sent as it came.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    sent: u64,
    server_errors: u64,
    not_text: u64,
    left_out: u64,
    inexact: u64,
}

impl Reader {
    /// Gives all frames to `supplier`. If one cannot be read, sends the error to `failed`, together with the supplier,
    /// since dropping that would say that the day is complete.
    pub(super) fn run(mut self, mut supplier: Supplier, failed: &mpsc::Sender<(StoreError, Supplier)>) {
        let mut tally = Tally::default();
        match self.supply(&mut supplier, &mut tally) {
            Ok(Ok(())) => {
                let _ = supplier.finish();
                if tally == Tally::default() {
                    out::tell(format_args!(
                        "{}: nothing was received after {}",
                        self.feed, self.start
                    ));
                }
            }
            Ok(Err(NotWanted)) => {}
            // The first failure ends the replay; another feed's need not be reported.
            Err(error) => drop(failed.try_send((error, supplier))),
        }
        tally.tell(&self.feed);
    }

    fn supply(
        &mut self,
        supplier: &mut Supplier,
        tally: &mut Tally,
    ) -> Result<Result<(), NotWanted>, StoreError> {
        // Skip by time only up to the first wanted frame, so that a clock set back later loses nothing.
        while let Some(at) = self.frames.begins()?
            && time_of_day(at, self.date) < self.start
        {
            if !supplier.is_wanted() {
                return Ok(Err(NotWanted));
            }
            self.frames.pass_over()?;
        }
        let (mut told, at_terminal) = (Instant::now(), std::io::stderr().is_terminal());
        let mut records = 0;
        while let Some(frame) = self.frames.next()? {
            let at = time_of_day(frame.at, self.date);
            let message = match frame.message {
                Ok(message) => message,
                Err(withheld) => {
                    tally.withhold(withheld);
                    continue;
                }
            };
            tally.sent += 1;
            tally.left_out += u64::from(message.left_out);
            tally.inexact += u64::from(!message.exact);
            records += u64::from(message.records);
            let timed = TimedMessage {
                at,
                records: message.records,
                text: message.text.into(),
            };
            if supplier.give(timed).is_err() {
                return Ok(Err(NotWanted));
            }
            if at_terminal && told.elapsed() >= TOLD_EVERY {
                told = Instant::now();
                out::tell(format_args!(
                    "{}: at {at}, {} of {} records",
                    self.feed,
                    HumanCount(records),
                    HumanCount(self.trades)
                ));
            }
        }
        Ok(Ok(()))
    }
}

impl Tally {
    fn withhold(&mut self, withheld: Withheld) {
        match withheld {
            Withheld::ServerError => self.server_errors += 1,
            Withheld::NotText => self.not_text += 1,
        }
    }

    /// Prints what was not sent as it came, if anything.
    fn tell(&self, feed: &FeedName) {
        let counts = [
            (self.server_errors, "server errors, not sent"),
            (self.not_text, "messages that are not UTF-8, not sent"),
            (
                self.left_out,
                "records that are not UTF-8, left out of their message",
            ),
            (
                self.inexact,
                "messages with quarantined records that do not decode as they did",
            ),
        ];
        for (count, words) in counts.into_iter().filter(|(count, _)| *count > 0) {
            out::tell(format_args!("{feed}: {words}: {}", HumanCount(count)));
        }
    }
}
