//! Where a feed is in its day, and when the next message is due. Time is passed in.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::day::Day;
use crate::market::Market;
use crate::supply::{Supplied, Supply, TimeOfDay, TimedMessage};
use crate::timetable::HalfSecond;
use crate::universe::Universe;

/// How a rate is kept: messages that have become due are sent this often.
const RATE_SLICE: Duration = Duration::from_millis(10);

/// How much of a rate may be caught up at once after a hold-up; more is given up.
const RATE_BACKLOG_MAX: Duration = Duration::from_secs(1);

/// The messages that are passed over before others get their turn: some milliseconds of work.
const SKIP_MAX: u32 = 1_000;

/// How soon a supplier is asked again that is slower than its feed.
const SUPPLY_WAIT: Duration = Duration::from_millis(1);

/// How fast the day passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many simulated seconds in a real one. The day goes on while nobody listens.
    Speed(f64),
    /// As fast as the client reads. The day waits while nobody listens.
    Max,
    /// So many records in a real second, over all markets served. The day waits while nobody listens.
    Rate(NonZeroU64),
}

impl FromStr for Pace {
    type Err = String;

    /// A speed, or `max`.
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

/// What a day is made from.
#[derive(Debug, Clone)]
pub(crate) struct DaySource {
    pub(crate) universe: Universe,
    pub(crate) market: Market,
    pub(crate) seed: u64,
    /// Trades in the whole day of this market.
    pub(crate) trades: u64,
    /// What is earlier is passed over.
    pub(crate) start: HalfSecond,
    /// Whether another day follows at the end of each.
    pub(crate) repeat: bool,
}

/// Where a feed's messages come from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A day that is made up here.
    Simulated(DaySource),
    /// A day that somebody else supplies, whose clock starts at `start`.
    Supplied { supply: Supply, start: TimeOfDay },
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this.
    Send(TimedMessage),
    /// Nothing is due before that time; without one, nothing will ever be.
    Wait(Option<Instant>),
    /// A day is over; asked again, the next one begins or silence does.
    DayComplete(DayTotals),
}

/// What was sent of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DayTotals {
    pub(crate) messages: u64,
    pub(crate) records: u64,
    /// Records that fell due while nobody listened.
    pub(crate) missed: u64,
}

/// One feed's place in its day.
#[derive(Debug)]
pub(crate) struct Cursor {
    messages: Messages,
    /// When the day's clock starts.
    start: TimeOfDay,
    pace: Pace,
    /// The next message, once it is known.
    next: Option<TimedMessage>,
    totals: DayTotals,
    /// When the simulated start of the present day was, or will be.
    opened: Option<Instant>,
    allowance: Allowance,
}

/// The messages of the present day.
#[derive(Debug)]
enum Messages {
    Simulated {
        source: DaySource,
        day: Box<Day>,
        /// Days before this one.
        days: u64,
    },
    Supplied(Supply),
    /// There is no day any more.
    None,
}

impl Cursor {
    /// At the start of the day. Of a [`Pace::Rate`], `pace` names this market's part.
    pub(crate) fn new(origin: Origin, pace: Pace) -> Cursor {
        let (messages, start) = match origin {
            Origin::Simulated(source) => {
                let start = source.start.into();
                let day = Box::new(source.day(0));
                (Messages::Simulated { source, day, days: 0 }, start)
            }
            Origin::Supplied { supply, start } => (Messages::Supplied(supply), start),
        };
        Cursor {
            messages,
            start,
            pace,
            next: None,
            totals: DayTotals::default(),
            opened: None,
            allowance: Allowance::default(),
        }
    }

    /// A session begins: `opened` is when the market's first one did.
    pub(crate) fn begin_session(&mut self, opened: Instant, now: Instant) {
        self.opened.get_or_insert(opened);
        self.allowance = Allowance {
            records: 0,
            counted_at: Some(now),
        };
    }

    /// What to do at `now` while a client listens.
    pub(crate) fn step(&mut self, now: Instant) -> Step {
        match self.look_ahead() {
            Ahead::Message(_) => {}
            Ahead::Searching => return Step::Wait(Some(now)),
            Ahead::NotYet => return Step::Wait(Some(now + SUPPLY_WAIT)),
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
                Some(message) => {
                    self.totals.messages += 1;
                    self.totals.records += u64::from(message.records);
                    self.allowance.records -= i64::from(message.records);
                    Step::Send(message)
                }
                None => Step::Wait(None),
            },
        }
    }

    /// Passes over what fell due by `now` while nobody listened: some of it, until it answers
    /// [`Step::Wait`] with a later time.
    pub(crate) fn skip_missed(&mut self, now: Instant) -> Step {
        let (Pace::Speed(speed), Some(_)) = (self.pace, self.opened) else {
            return Step::Wait(None);
        };
        for _ in 0..SKIP_MAX {
            match self.look_ahead() {
                Ahead::Message(records) => match self.due(speed) {
                    Some(due) if due <= now => {
                        self.totals.missed += u64::from(records);
                        self.next = None;
                    }
                    due => return Step::Wait(due),
                },
                Ahead::Searching => break,
                Ahead::NotYet => return Step::Wait(Some(now + SUPPLY_WAIT)),
                Ahead::DayComplete(totals) => return Step::DayComplete(totals),
                Ahead::Nothing => return Step::Wait(None),
            }
        }
        Step::Wait(Some(now))
    }

    /// Makes the next message known, within bounds.
    fn look_ahead(&mut self) -> Ahead {
        if let Some(message) = &self.next {
            return Ahead::Message(message.records);
        }
        for _ in 0..SKIP_MAX {
            match self.messages.next() {
                Supplied::PassedOver => {}
                Supplied::Message(message) => {
                    let records = message.records;
                    self.next = Some(message);
                    return Ahead::Message(records);
                }
                Supplied::NotYet => return Ahead::NotYet,
                Supplied::End => return self.end_day(),
            }
        }
        Ahead::Searching
    }

    fn end_day(&mut self) -> Ahead {
        match std::mem::replace(&mut self.messages, Messages::None) {
            Messages::None => return Ahead::Nothing,
            Messages::Simulated { source, days, .. } if source.repeat => {
                let days = days + 1;
                let day = Box::new(source.day(days));
                if let Pace::Speed(speed) = self.pace {
                    self.opened = self.opened.and_then(|opened| {
                        opened.checked_add(real_time(HalfSecond::DAY_END.since(source.start), speed))
                    });
                }
                self.messages = Messages::Simulated { source, day, days };
            }
            Messages::Simulated { .. } | Messages::Supplied(_) => {}
        }
        Ahead::DayComplete(std::mem::take(&mut self.totals))
    }

    fn due(&self, speed: f64) -> Option<Instant> {
        let since_start = self.next.as_ref()?.at.since(self.start);
        self.opened?.checked_add(real_time(since_start, speed))
    }
}

impl DaySource {
    /// The day that follows `days` others.
    fn day(&self, days: u64) -> Day {
        Day::new(
            &self.universe,
            self.market,
            self.seed.wrapping_add(days),
            self.trades,
        )
    }
}

impl Messages {
    fn next(&mut self) -> Supplied {
        match self {
            Messages::Simulated { source, day, .. } => match day.next_message() {
                Some(message) if message.at <= source.start => Supplied::PassedOver,
                Some(message) => Supplied::Message(message.into()),
                None => Supplied::End,
            },
            Messages::Supplied(supply) => supply.next(),
            Messages::None => Supplied::End,
        }
    }
}

enum Ahead {
    Message(u32),
    Searching,
    NotYet,
    DayComplete(DayTotals),
    Nothing,
}

fn real_time(simulated: Duration, speed: f64) -> Duration {
    // Speeds so slow that a day takes longer than any clock can tell never get there.
    Duration::try_from_secs_f64(simulated.as_secs_f64() / speed).unwrap_or(Duration::MAX)
}

/// The records that may be sent at a rate: it grows with time and shrinks with what is sent.
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
        // Time that was not enough for a whole record is kept for the next slice.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supply::{CHUNK_BYTES, Supplier, supply};

    fn source(trades: u64) -> DaySource {
        DaySource {
            universe: Universe::synthetic(),
            market: Market::Kospi,
            seed: 1,
            trades,
            start: HalfSecond::DAY_START,
            repeat: false,
        }
    }

    fn cursor(source: DaySource, pace: Pace, now: Instant) -> Cursor {
        let mut cursor = Cursor::new(Origin::Simulated(source), pace);
        cursor.begin_session(now, now);
        cursor
    }

    /// What is sent at `now`, and what there is to do then.
    fn drain(cursor: &mut Cursor, now: Instant) -> (Vec<TimedMessage>, Step) {
        let mut sent = Vec::new();
        loop {
            match cursor.step(now) {
                Step::Send(message) => sent.push(message),
                Step::Wait(Some(until)) if until <= now => {}
                step => return (sent, step),
            }
        }
    }

    #[test]
    fn at_full_speed_the_whole_day_is_due_at_once() {
        let now = Instant::now();
        let mut cursor = cursor(source(20_000), Pace::Max, now);
        let (sent, step) = drain(&mut cursor, now);
        let Step::DayComplete(totals) = step else {
            panic!("{step:?}")
        };
        assert_eq!(totals.messages, u64::try_from(sent.len()).unwrap());
        assert_eq!(
            totals.records,
            sent.iter().map(|message| u64::from(message.records)).sum::<u64>()
        );
        assert!(matches!(cursor.step(now), Step::Wait(None)));
    }

    #[test]
    fn at_a_speed_messages_are_due_at_their_time() {
        let opened = Instant::now();
        let mut cursor = cursor(source(20_000), Pace::Speed(60.0), opened);
        // Half a minute of real time is half an hour of the simulated day.
        let (sent, step) = drain(&mut cursor, opened + Duration::from_secs(30));
        assert!(
            sent.iter()
                .all(|message| message.at <= HalfSecond::at(9, 0, 0).into())
        );
        let Step::Wait(Some(until)) = step else {
            panic!("{step:?}")
        };
        assert!(until > opened + Duration::from_secs(30));
        let (burst, _) = drain(&mut cursor, opened + Duration::from_secs_f64(30.05));
        assert!(
            burst.iter().map(|message| message.records).sum::<u32>() > 100,
            "the opening auction"
        );
    }

    #[test]
    fn what_falls_due_unheard_is_missed() {
        let opened = Instant::now();
        let mut all = cursor(source(20_000), Pace::Max, opened);
        let day: Vec<String> = drain(&mut all, opened)
            .0
            .iter()
            .map(|message| message.text.to_string())
            .collect();
        let mut cursor = cursor(source(20_000), Pace::Speed(60.0), opened);
        let (sent, _) = drain(&mut cursor, opened + Duration::from_secs(31));
        let later = opened + Duration::from_secs(60);
        while matches!(cursor.skip_missed(later), Step::Wait(Some(until)) if until <= later) {}
        let (after, _) = drain(&mut cursor, later + Duration::from_secs(5));
        let resumed = day
            .iter()
            .position(|text| *text == after[0].text.as_str())
            .unwrap();
        assert!(resumed > sent.len(), "resumed at {resumed} after {}", sent.len());
        assert!(after[0].at >= HalfSecond::at(9, 30, 0).into());
    }

    #[test]
    fn a_rate_is_kept_and_a_hold_up_is_not_caught_up() {
        for rate in [150_u64, 40_000] {
            let mut now = Instant::now();
            let mut cursor = cursor(source(1_000_000), Pace::Rate(NonZeroU64::new(rate).unwrap()), now);
            let mut sent = 0;
            let mut slices = 0;
            while slices < 1_000 {
                now += Duration::from_millis(10);
                slices += 1;
                sent += drain(&mut cursor, now)
                    .0
                    .iter()
                    .map(|message| u64::from(message.records))
                    .sum::<u64>();
            }
            assert!(
                sent.abs_diff(10 * rate) <= 100,
                "{sent} records in 10 s at {rate}/s"
            );
            now += Duration::from_secs(3_600);
            let burst: u64 = drain(&mut cursor, now)
                .0
                .iter()
                .map(|message| u64::from(message.records))
                .sum();
            assert!(burst <= rate + 50, "{burst} records after an hour's hold-up");
        }
    }

    #[test]
    fn the_start_passes_over_what_is_earlier() {
        let now = Instant::now();
        let start = HalfSecond::at(15, 29, 0);
        let mut cursor = cursor(
            DaySource {
                start,
                ..source(20_000)
            },
            Pace::Max,
            now,
        );
        let (sent, _) = drain(&mut cursor, now);
        assert!(sent[0].at > start.into() && sent[0].at < HalfSecond::at(15, 31, 0).into());
    }

    #[test]
    fn a_repeated_day_is_the_next_seeds() {
        let now = Instant::now();
        let mut cursor = cursor(
            DaySource {
                repeat: true,
                ..source(20_000)
            },
            Pace::Speed(1e9),
            now,
        );
        let later = now + Duration::from_millis(1);
        let (first, step) = drain(&mut cursor, later);
        assert!(matches!(step, Step::DayComplete(_)));
        let (second, _) = drain(&mut cursor, later);
        let mut next = Day::new(&Universe::synthetic(), Market::Kospi, 2, 20_000);
        assert_eq!(second[0].text, next.next_message().unwrap().text);
        assert_ne!(first[0].text, second[0].text);
    }

    /// A cursor over messages that are due so many seconds after nine; the supplier is kept to be ended.
    fn supplied(seconds: &[u64], pace: Pace, now: Instant) -> (Cursor, Supplier) {
        let nine = TimeOfDay::from(HalfSecond::at(9, 0, 0));
        let (mut supplier, supply) = supply();
        for &second in seconds {
            let message = TimedMessage {
                at: TimeOfDay(nine.0 + second * 1_000_000),
                records: 2,
                // Each is a chunk of its own: it need not wait for others.
                text: "x".repeat(CHUNK_BYTES).into(),
            };
            supplier.give(message).unwrap();
        }
        let origin = Origin::Supplied { supply, start: nine };
        let mut cursor = Cursor::new(origin, pace);
        cursor.begin_session(now, now);
        (cursor, supplier)
    }

    #[test]
    fn supplied_messages_are_due_at_their_time_and_those_of_the_start_at_once() {
        let opened = Instant::now();
        let (mut cursor, _supplier) = supplied(&[0, 60, 61], Pace::Speed(60.0), opened);
        let (sent, step) = drain(&mut cursor, opened);
        assert_eq!(sent.len(), 1);
        let Step::Wait(Some(until)) = step else {
            panic!("{step:?}")
        };
        assert_eq!(until - opened, Duration::from_secs(1));
        let (sent, _) = drain(&mut cursor, until);
        assert_eq!(sent.len(), 1);
    }

    #[test]
    fn supplied_time_that_goes_back_holds_nothing_up() {
        let opened = Instant::now();
        let (mut cursor, _supplier) = supplied(&[60, 30, 61], Pace::Speed(60.0), opened);
        let (sent, _) = drain(&mut cursor, opened + Duration::from_secs(1));
        assert_eq!(
            sent.len(),
            2,
            "both are sent, in the order in which they were supplied"
        );
    }

    #[test]
    fn a_slow_supplier_is_waited_for_and_its_end_is_the_days() {
        let now = Instant::now();
        let (mut cursor, supplier) = supplied(&[0, 1], Pace::Max, now);
        let mut sent = 0;
        while let Step::Send(_) = cursor.step(now) {
            sent += 1;
        }
        assert_eq!(sent, 2);
        let Step::Wait(Some(until)) = cursor.step(now) else {
            panic!("there is more to come")
        };
        assert!(until > now, "without using up a processor");
        drop(supplier);
        let Step::DayComplete(totals) = cursor.step(now) else {
            panic!("the supplier has ended")
        };
        assert_eq!((totals.messages, totals.records), (2, 4));
        assert!(matches!(cursor.step(now), Step::Wait(None)));
    }

    #[test]
    fn supplied_messages_that_fall_due_unheard_are_missed() {
        let opened = Instant::now();
        let (mut cursor, supplier) = supplied(&[0, 60, 3_600], Pace::Speed(60.0), opened);
        let later = opened + Duration::from_secs(30);
        assert!(matches!(cursor.skip_missed(later), Step::Wait(Some(until)) if until > later));
        let (sent, _) = drain(&mut cursor, later + Duration::from_secs(60));
        assert_eq!(sent.len(), 1);
        drop(supplier);
        let Step::DayComplete(totals) = cursor.step(later) else {
            panic!("the supplier has ended")
        };
        assert_eq!((totals.records, totals.missed), (2, 4));
    }
}
