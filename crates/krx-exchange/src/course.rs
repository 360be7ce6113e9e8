//! When a day's items are due, and which of them pass unheard. Time is passed in, and so are the items.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::message::{Next, TimeOfDay, TimedMessage};

/// How a rate is kept: messages that are due are sent this often.
const RATE_SLICE: Duration = Duration::from_millis(10);

/// How much may be caught up at once after a hold-up; the rest is dropped.
const RATE_BACKLOG_MAX: Duration = Duration::from_secs(1);

/// How soon to ask again for messages that arrive more slowly than they are sent.
const MESSAGES_WAIT: Duration = Duration::from_millis(1);

/// How fast the day passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// This many seconds of the day per real second. The day continues while nobody listens.
    Speed(f64),
    /// As fast as the client reads. The day waits while nobody listens.
    Max,
    /// This many records per real second. The day waits while nobody listens.
    Rate(NonZeroU64),
}

impl FromStr for Pace {
    type Err = String;

    /// Parses a speed, or `max`.
    fn from_str(text: &str) -> Result<Pace, String> {
        if text == "max" {
            return Ok(Pace::Max);
        }
        match text.parse::<f64>() {
            Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(Pace::Speed(speed)),
            _ => Err("a speed is a number above 0, or max".to_owned()),
        }
    }
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step<T> {
    /// Send this.
    Send(T),
    /// Nothing is due before this time; without one, nothing ever will be.
    Wait(Option<Instant>),
    /// A day is over; asked again, the next one begins, or nothing follows.
    DayComplete(DayTotals),
}

/// What was sent of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DayTotals {
    pub(crate) messages: u64,
    pub(crate) records: u64,
    /// Records that fell due while nobody was listening.
    pub(crate) missed: u64,
}

/// Something that is due at a time.
pub(crate) trait Timed {
    /// When it is due. If that is earlier than the one before it, it is due right after that.
    fn at(&self) -> TimeOfDay;

    /// How many messages it is: one, or none if it only marks a time.
    fn messages(&self) -> u32;

    /// How many records are sent with it.
    fn records(&self) -> u32;
}

impl Timed for TimedMessage {
    fn at(&self) -> TimeOfDay {
        self.at
    }

    fn messages(&self) -> u32 {
        1
    }

    fn records(&self) -> u32 {
        self.records
    }
}

/// A feed's place in its day, whatever the day consists of.
#[derive(Debug)]
pub(crate) struct Course<T> {
    /// When the day's clock starts.
    start: TimeOfDay,
    pace: Pace,
    /// How many items are skipped before others get their turn.
    skip_max: u32,
    /// The next item, once known.
    next: Option<T>,
    totals: DayTotals,
    /// When the current day started, or will start, at a [`Pace::Speed`].
    opened: Option<Instant>,
    allowance: Allowance,
    /// No more days follow.
    over: bool,
}

impl<T: Timed> Course<T> {
    /// At the beginning of a day whose clock starts at `start`.
    pub(crate) fn new(start: TimeOfDay, pace: Pace, skip_max: u32) -> Course<T> {
        Course {
            start,
            pace,
            skip_max,
            next: None,
            totals: DayTotals::default(),
            opened: None,
            allowance: Allowance::default(),
            over: false,
        }
    }

    /// Whether the day continues while nobody listens.
    pub(crate) fn waits_for_nobody(&self) -> bool {
        matches!(self.pace, Pace::Speed(_))
    }

    /// A session begins; `opened` is when the endpoint's first one did.
    pub(crate) fn begin_session(&mut self, opened: Instant, now: Instant) {
        self.opened.get_or_insert(opened);
        self.allowance = Allowance {
            records: 0,
            counted_at: Some(now),
        };
    }

    /// What to do at `now` while nothing is to be sent whatever comes next: it goes as far as the start of the day.
    pub(crate) fn get_ready(&mut self, fetch: &mut dyn FnMut() -> Next<T>, now: Instant) -> Step<T> {
        match self.look_ahead(fetch) {
            Ahead::Item(_) | Ahead::Nothing => Step::Wait(None),
            Ahead::Searching => Step::Wait(Some(now)),
            Ahead::NotYet => Step::Wait(Some(now + MESSAGES_WAIT)),
            Ahead::DayComplete(totals) => Step::DayComplete(totals),
        }
    }

    /// What to do at `now` while a client is listening; `fetch` gives what comes next.
    pub(crate) fn step(&mut self, fetch: &mut dyn FnMut() -> Next<T>, now: Instant) -> Step<T> {
        match self.look_ahead(fetch) {
            Ahead::Item(_) => {}
            Ahead::Searching => return Step::Wait(Some(now)),
            Ahead::NotYet => return Step::Wait(Some(now + MESSAGES_WAIT)),
            Ahead::DayComplete(totals) => return Step::DayComplete(totals),
            Ahead::Nothing => return Step::Wait(None),
        }
        let wait = match self.pace {
            Pace::Max => None,
            Pace::Rate(rate) => self.allowance.wait(rate.get(), now),
            Pace::Speed(speed) => self.due(speed).filter(|&due| due > now),
        };
        match wait {
            Some(until) => Step::Wait(Some(until)),
            None => match self.next.take() {
                Some(item) => {
                    self.totals.messages += u64::from(item.messages());
                    self.totals.records += u64::from(item.records());
                    self.allowance.records -= i64::from(item.records());
                    Step::Send(item)
                }
                None => Step::Wait(None),
            },
        }
    }

    /// `item`, which was to be sent, is not.
    pub(crate) fn take_back(&mut self, item: &T) {
        self.totals.messages = self.totals.messages.saturating_sub(u64::from(item.messages()));
        self.totals.records = self.totals.records.saturating_sub(u64::from(item.records()));
        self.allowance.records += i64::from(item.records());
    }

    /// Takes back records of the last item: they are not sent.
    pub(crate) fn take_back_records(&mut self, records: u32) {
        self.totals.records = self.totals.records.saturating_sub(u64::from(records));
        self.allowance.records += i64::from(records);
    }

    /// Skips what fell due by `now` while nobody was listening: a limited number per call, until it returns
    /// [`Step::Wait`] with a later time.
    pub(crate) fn skip_missed(&mut self, fetch: &mut dyn FnMut() -> Next<T>, now: Instant) -> Step<T> {
        let (Pace::Speed(speed), Some(_)) = (self.pace, self.opened) else {
            return Step::Wait(None);
        };
        for _ in 0..self.skip_max {
            match self.look_ahead(fetch) {
                Ahead::Item(records) => match self.due(speed) {
                    Some(due) if due <= now => {
                        self.totals.missed += u64::from(records);
                        self.next = None;
                    }
                    due => return Step::Wait(due),
                },
                Ahead::Searching => break,
                Ahead::NotYet => return Step::Wait(Some(now + MESSAGES_WAIT)),
                Ahead::DayComplete(totals) => return Step::DayComplete(totals),
                Ahead::Nothing => return Step::Wait(None),
            }
        }
        Step::Wait(Some(now))
    }

    /// Fetches the next item, within limits.
    fn look_ahead(&mut self, fetch: &mut dyn FnMut() -> Next<T>) -> Ahead {
        if let Some(item) = &self.next {
            return Ahead::Item(item.records());
        }
        if self.over {
            return Ahead::Nothing;
        }
        for _ in 0..self.skip_max {
            match fetch() {
                Next::PassedOver => {}
                Next::Message(item) => {
                    let records = item.records();
                    self.next = Some(item);
                    return Ahead::Item(records);
                }
                Next::NotYet => return Ahead::NotYet,
                Next::DayOver { another_after } => {
                    self.end_day(another_after);
                    return Ahead::DayComplete(std::mem::take(&mut self.totals));
                }
            }
        }
        Ahead::Searching
    }

    fn end_day(&mut self, another_after: Option<Duration>) {
        match (another_after, self.pace) {
            (None, _) => self.over = true,
            (Some(length), Pace::Speed(speed)) => {
                self.opened = self
                    .opened
                    .and_then(|opened| opened.checked_add(real_time(length, speed)));
            }
            (Some(_), Pace::Max | Pace::Rate(_)) => {}
        }
    }

    fn due(&self, speed: f64) -> Option<Instant> {
        let since_start = self.next.as_ref()?.at().since(self.start);
        self.opened?.checked_add(real_time(since_start, speed))
    }
}

enum Ahead {
    /// An item with so many records.
    Item(u32),
    Searching,
    NotYet,
    DayComplete(DayTotals),
    Nothing,
}

fn real_time(of_day: Duration, speed: f64) -> Duration {
    // Speeds so slow that a day outlasts any clock never get there.
    Duration::try_from_secs_f64(of_day.as_secs_f64() / speed).unwrap_or(Duration::MAX)
}

/// How many records may be sent at a rate: it grows with time and shrinks with what is sent.
#[derive(Debug, Default)]
struct Allowance {
    records: i64,
    counted_at: Option<Instant>,
}

impl Allowance {
    /// Until when to wait before the next message, if at all.
    fn wait(&mut self, records_per_second: u64, now: Instant) -> Option<Instant> {
        if self.records > 0 {
            return None;
        }
        let since = self
            .counted_at
            .map_or(Duration::ZERO, |then| now.saturating_duration_since(then));
        if since < RATE_SLICE {
            return Some(now + (RATE_SLICE - since));
        }
        // Time that was too short for a whole record is kept for the next slice.
        let counted = since.min(RATE_BACKLOG_MAX);
        let earned = counted.as_micros() * u128::from(records_per_second) / 1_000_000;
        let spent = earned * 1_000_000 / u128::from(records_per_second);
        let kept = counted.saturating_sub(Duration::from_micros(u64::try_from(spent).unwrap_or(u64::MAX)));
        self.counted_at = now.checked_sub(kept);
        self.records = self
            .records
            .saturating_add(i64::try_from(earned).unwrap_or(i64::MAX));
        (self.records <= 0).then(|| now + RATE_SLICE)
    }
}
