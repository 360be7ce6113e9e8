//! Where a feed is in its day, and when its next message is due. Time is passed in.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::message::{Messages, Next, TimeOfDay, TimedMessage};

/// How a rate is kept: messages that are due are sent this often.
const RATE_SLICE: Duration = Duration::from_millis(10);

/// How much may be caught up at once after a hold-up; the rest is dropped.
const RATE_BACKLOG_MAX: Duration = Duration::from_secs(1);

/// How many messages are skipped before others get their turn: some milliseconds of work.
const SKIP_MAX: u32 = 1_000;

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
pub(crate) enum Step {
    /// Send this message.
    Send(TimedMessage),
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

/// A feed's place in its day.
pub struct Cursor {
    /// `None` when no more days follow.
    messages: Option<Box<dyn Messages>>,
    /// When the day's clock starts.
    start: TimeOfDay,
    pace: Pace,
    /// The next message, once known.
    next: Option<TimedMessage>,
    totals: DayTotals,
    /// When the current day started, or will start, at a [`Pace::Speed`].
    opened: Option<Instant>,
    allowance: Allowance,
}

impl Cursor {
    /// At the beginning of a day whose clock starts at `start`.
    #[must_use]
    pub fn new(messages: impl Messages + 'static, start: TimeOfDay, pace: Pace) -> Cursor {
        Cursor {
            messages: Some(Box::new(messages)),
            start,
            pace,
            next: None,
            totals: DayTotals::default(),
            opened: None,
            allowance: Allowance::default(),
        }
    }

    /// A session begins; `opened` is when the market's first one did.
    pub(crate) fn begin_session(&mut self, opened: Instant, now: Instant) {
        self.opened.get_or_insert(opened);
        self.allowance = Allowance {
            records: 0,
            counted_at: Some(now),
        };
    }

    /// What to do at `now` while a client is listening.
    pub(crate) fn step(&mut self, now: Instant) -> Step {
        match self.look_ahead() {
            Ahead::Message(_) => {}
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

    /// Skips messages that fell due by `now` while nobody was listening: a limited number per call, until it returns
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
                Ahead::NotYet => return Step::Wait(Some(now + MESSAGES_WAIT)),
                Ahead::DayComplete(totals) => return Step::DayComplete(totals),
                Ahead::Nothing => return Step::Wait(None),
            }
        }
        Step::Wait(Some(now))
    }

    /// Fetches the next message, within limits.
    fn look_ahead(&mut self) -> Ahead {
        if let Some(message) = &self.next {
            return Ahead::Message(message.records);
        }
        let Some(messages) = &mut self.messages else {
            return Ahead::Nothing;
        };
        for _ in 0..SKIP_MAX {
            match messages.next() {
                Next::PassedOver => {}
                Next::Message(message) => {
                    let records = message.records;
                    self.next = Some(message);
                    return Ahead::Message(records);
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
            (None, _) => self.messages = None,
            (Some(length), Pace::Speed(speed)) => {
                self.opened = self
                    .opened
                    .and_then(|opened| opened.checked_add(real_time(length, speed)));
            }
            (Some(_), Pace::Max | Pace::Rate(_)) => {}
        }
    }

    fn due(&self, speed: f64) -> Option<Instant> {
        let since_start = self.next.as_ref()?.at.since(self.start);
        self.opened?.checked_add(real_time(since_start, speed))
    }
}

enum Ahead {
    Message(u32),
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const NINE: TimeOfDay = TimeOfDay(9 * 3_600 * 1_000_000);

    /// What is next, one after another; at the end there is nothing yet.
    struct Listed(VecDeque<Next>);

    impl Messages for Listed {
        fn next(&mut self) -> Next {
            self.0.pop_front().unwrap_or(Next::NotYet)
        }
    }

    const LAST_DAY: Next = Next::DayOver { another_after: None };

    /// A message of `records` records, this many milliseconds after nine.
    fn message(after_ms: u64, records: u32) -> Next {
        Next::Message(TimedMessage {
            at: TimeOfDay(NINE.0 + after_ms * 1_000),
            records,
            text: "[]".into(),
        })
    }

    /// This many messages of two records each, half a second apart.
    fn day(messages: u64) -> impl Iterator<Item = Next> {
        (0..messages).map(|nth| message(nth * 500, 2))
    }

    fn cursor(next: impl IntoIterator<Item = Next>, pace: Pace, now: Instant) -> Cursor {
        let mut cursor = Cursor::new(Listed(next.into_iter().collect()), NINE, pace);
        cursor.begin_session(now, now);
        cursor
    }

    /// What is sent at `now`, and what there is to do afterwards.
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

    fn records(messages: &[TimedMessage]) -> u64 {
        messages.iter().map(|message| u64::from(message.records)).sum()
    }

    #[test]
    fn at_full_speed_the_whole_day_is_due_at_once() {
        let now = Instant::now();
        let mut cursor = cursor(day(5_000).chain([LAST_DAY]), Pace::Max, now);
        let (sent, step) = drain(&mut cursor, now);
        let Step::DayComplete(totals) = step else {
            panic!("{step:?}")
        };
        let expected = DayTotals {
            messages: 5_000,
            records: records(&sent),
            missed: 0,
        };
        assert_eq!((sent.len(), totals), (5_000, expected));
        assert!(matches!(cursor.step(now), Step::Wait(None)));
    }

    #[test]
    fn at_a_speed_messages_are_due_at_their_time_and_those_of_the_start_at_once() {
        let opened = Instant::now();
        let mut cursor = cursor(
            [message(0, 1), message(60_000, 1), message(61_000, 1)],
            Pace::Speed(60.0),
            opened,
        );
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
    fn time_that_goes_back_holds_nothing_up() {
        let opened = Instant::now();
        let listed = [message(60_000, 1), message(30_000, 1), message(61_000, 1)];
        let mut cursor = cursor(listed, Pace::Speed(60.0), opened);
        let (sent, _) = drain(&mut cursor, opened + Duration::from_secs(1));
        assert_eq!(sent.len(), 2, "both are sent, in their order");
    }

    #[test]
    fn what_falls_due_unheard_is_missed() {
        let opened = Instant::now();
        let listed = [message(0, 2), message(60_000, 2), message(3_600_000, 2), LAST_DAY];
        let mut cursor = cursor(listed, Pace::Speed(60.0), opened);
        let later = opened + Duration::from_secs(30);
        assert!(matches!(cursor.skip_missed(later), Step::Wait(Some(until)) if until > later));
        let (sent, step) = drain(&mut cursor, later + Duration::from_secs(60));
        assert_eq!(sent.len(), 1);
        let Step::DayComplete(totals) = step else {
            panic!("{step:?}")
        };
        assert_eq!((totals.records, totals.missed), (2, 4));
    }

    #[test]
    fn a_rate_is_kept_and_a_hold_up_is_not_caught_up() {
        for rate in [150_u64, 40_000] {
            let mut now = Instant::now();
            let listed = (0..50_000).map(|_| message(0, 50));
            let mut cursor = cursor(listed, Pace::Rate(NonZeroU64::new(rate).unwrap()), now);
            let mut sent = 0;
            for _ in 0..1_000 {
                now += Duration::from_millis(10);
                sent += records(&drain(&mut cursor, now).0);
            }
            assert!(
                sent.abs_diff(10 * rate) <= 100,
                "{sent} records in 10 s at {rate}/s"
            );
            now += Duration::from_secs(3_600);
            let burst = records(&drain(&mut cursor, now).0);
            assert!(burst <= rate + 50, "{burst} records after an hour's hold-up");
        }
    }

    #[test]
    fn a_long_way_to_the_start_is_gone_in_steps() {
        let now = Instant::now();
        let passed = (0..SKIP_MAX + 1).map(|_| Next::PassedOver);
        let mut cursor = cursor(passed.chain([message(0, 1)]), Pace::Max, now);
        assert!(matches!(cursor.step(now), Step::Wait(Some(until)) if until == now));
        assert!(matches!(cursor.step(now), Step::Send(_)));
    }

    #[test]
    fn another_day_begins_when_its_clock_does() {
        let opened = Instant::now();
        let another_after = Some(Duration::from_secs(3_600));
        let listed = [message(0, 1), Next::DayOver { another_after }, message(0, 3)];
        let mut cursor = cursor(listed, Pace::Speed(60.0), opened);
        let (sent, step) = drain(&mut cursor, opened);
        assert!(matches!(step, Step::DayComplete(totals) if totals.records == records(&sent)));
        let Step::Wait(Some(until)) = cursor.step(opened) else {
            panic!("another day follows")
        };
        assert_eq!(until - opened, Duration::from_secs(60));
        assert_eq!(records(&drain(&mut cursor, until).0), 3);
    }

    #[test]
    fn messages_that_come_slowly_are_waited_for() {
        let now = Instant::now();
        let mut cursor = cursor([message(0, 2)], Pace::Max, now);
        assert!(matches!(cursor.step(now), Step::Send(_)));
        let Step::Wait(Some(until)) = cursor.step(now) else {
            panic!("there is more to come")
        };
        assert!(until > now, "without using up a processor");
    }
}
