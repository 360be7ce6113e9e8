//! Reads a feed's day for one client, on its own thread, a little ahead of it.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use indicatif::HumanCount;
use krx_exchange::{NotWanted, PushMessage, Supplied, Supplier, TimeOfDay, TimedMessage};
use krx_store::{FeedName, StoreError};
use tokio::sync::mpsc;

use super::frames::Source;
use super::message::{Message, Withheld};
use super::push::Pushes;
use super::recording::time_of_day;
use crate::process::out;

/// How often to show progress on a terminal.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// What is sent for a frame.
pub(super) trait Outgoing {
    /// As the exchange takes it.
    type Timed: Supplied;
    /// What it holds, and what of the frame it lacks.
    fn facts(&self) -> Facts;
    /// To be sent at this time of day; `None` if the frame needs no message.
    fn timed(self, at: TimeOfDay) -> Option<Self::Timed>;
}

/// What is counted of a message.
pub(super) struct Facts {
    records: u32,
    left_out: u32,
    exact: bool,
}

impl Outgoing for Message {
    type Timed = TimedMessage;

    fn facts(&self) -> Facts {
        Facts {
            records: self.records,
            left_out: self.left_out,
            exact: self.exact,
        }
    }

    fn timed(self, at: TimeOfDay) -> Option<TimedMessage> {
        Some(TimedMessage {
            at,
            records: self.records,
            text: self.text.into(),
        })
    }
}

impl Outgoing for Pushes {
    type Timed = PushMessage;

    fn facts(&self) -> Facts {
        Facts {
            records: self.rows,
            left_out: self.left_out,
            exact: !self.has_lost_error,
        }
    }

    fn timed(self, at: TimeOfDay) -> Option<PushMessage> {
        let Self { parts, frame, .. } = self;
        (!parts.is_empty()).then_some(PushMessage { at, parts, frame })
    }
}

pub(super) struct Reader<S> {
    pub(super) frames: S,
    pub(super) feed: FeedName,
    pub(super) date: NaiveDate,
    /// Frames received earlier are skipped.
    pub(super) start: TimeOfDay,
    /// Rows in the whole day.
    pub(super) rows: u64,
}

/// An error, and the end of a supply that must stay open until the server has ended.
pub(super) type Failed = (StoreError, Box<dyn Send>);

/// Counts what was sent, and what could not be sent as it came.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    sent: u64,
    server_errors: u64,
    not_text: u64,
    left_out: u64,
    inexact: u64,
}

/// The end of a feed's day to which a source gives its frames.
type SupplierOf<S> = Supplier<<<S as Source>::Message as Outgoing>::Timed>;

impl<S: Source<Message: Outgoing>> Reader<S> {
    /// Gives all frames to `supplier`. If one cannot be read, sends the error to `failed`, together with the supplier,
    /// since dropping that would say that the day is complete.
    pub(super) fn run(mut self, mut supplier: SupplierOf<S>, failed: &mpsc::Sender<Failed>)
    where
        SupplierOf<S>: 'static,
    {
        let mut tally = Tally::default();
        let supplied = self.supply(&mut supplier, &mut tally);
        // First of all: once the day is complete or has failed, the program may end at any moment.
        if matches!(supplied, Ok(Ok(()))) && tally == Tally::default() {
            out::tell(format_args!(
                "{}: nothing was received after {}",
                self.feed, self.start
            ));
        }
        tally.tell(&self.feed);
        match supplied {
            Ok(Ok(())) => {
                let _ = supplier.finish();
            }
            Ok(Err(NotWanted)) => {}
            // The first failure ends the replay; another feed's need not be reported.
            Err(error) => drop(failed.try_send((error, Box::new(supplier)))),
        }
    }

    fn supply(
        &mut self,
        supplier: &mut SupplierOf<S>,
        tally: &mut Tally,
    ) -> Result<Result<(), NotWanted>, StoreError> {
        // Skip by time only up to the first wanted frame, so that a clock set back later loses nothing.
        while let Some((_, at)) = self.frames.head()?
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
            let facts = message.facts();
            tally.left_out += u64::from(facts.left_out);
            tally.inexact += u64::from(!facts.exact);
            records += u64::from(facts.records);
            let Some(timed) = message.timed(at) else { continue };
            tally.sent += 1;
            if supplier.give(timed).is_err() {
                return Ok(Err(NotWanted));
            }
            if at_terminal && told.elapsed() >= TOLD_EVERY {
                told = Instant::now();
                out::tell(format_args!(
                    "{}: at {at}, {} of {} records",
                    self.feed,
                    HumanCount(records),
                    HumanCount(self.rows)
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
