//! A market's messages, and when each of them is due.

use std::time::Instant;

use crate::course::{Course, Pace, Step};
use crate::message::{Messages, TimeOfDay, TimedMessage};

/// How many messages are skipped before others get their turn: some milliseconds of work.
const SKIP_MAX: u32 = 1_000;

/// A feed's place in its day.
pub struct Cursor {
    messages: Box<dyn Messages>,
    course: Course<TimedMessage>,
}

impl Cursor {
    /// At the beginning of a day whose clock starts at `start`.
    #[must_use]
    pub fn new(messages: impl Messages + 'static, start: TimeOfDay, pace: Pace) -> Cursor {
        Cursor {
            messages: Box::new(messages),
            course: Course::new(start, pace, SKIP_MAX),
        }
    }

    /// A session begins; `opened` is when the market's first one did.
    pub(crate) fn begin_session(&mut self, opened: Instant, now: Instant) {
        self.course.begin_session(opened, now);
    }

    /// What to do at `now` while a client is listening.
    pub(crate) fn step(&mut self, now: Instant) -> Step<TimedMessage> {
        self.course.step(&mut || self.messages.next(), now)
    }

    /// Skips messages that fell due by `now` while nobody was listening: a limited number per call, until it returns
    /// [`Step::Wait`] with a later time.
    pub(crate) fn skip_missed(&mut self, now: Instant) -> Step<TimedMessage> {
        self.course.skip_missed(&mut || self.messages.next(), now)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::num::NonZeroU64;
    use std::time::Duration;

    use super::*;
    use crate::course::DayTotals;
    use crate::message::Next;

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
    fn drain(cursor: &mut Cursor, now: Instant) -> (Vec<TimedMessage>, Step<TimedMessage>) {
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
