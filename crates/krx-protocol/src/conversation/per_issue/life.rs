//! What an active registration brings, and when it brings too little to be believed.

use std::time::{Duration, Instant};

/// The length of a registration's past that is remembered, and of a silence that its own past can prove.
pub(super) const PAST: Duration = Duration::from_secs(MINUTES as u64 * 60);

const MINUTES: usize = 10;

/// More pushes than this within [`PAST`] make a registration busy: one every six seconds. Of one that brings so many at
/// random, a silence of ten minutes is no accident.
const BUSY: u32 = 100;

/// A registration is lively while its last push is not older than this.
const LIVELY: Duration = Duration::from_secs(60);

/// The number of records of the full-market feed that prove that an issue trades. In a day an issue has one signal of
/// each kind, of which there are nine with a code of their own, and signals need not be pushed.
const TRADES: u32 = 10;

/// What an active registration has brought, of which minute.
#[derive(Clone, Debug)]
pub(super) struct Life {
    began: Instant,
    last: Option<Instant>,
    /// Pushes of the minutes up to that of the last push, as a ring.
    minutes: [u32; MINUTES],
    /// The minute of the last push, counted from the beginning.
    minute: u64,
    /// The issue's trades that another feed has shown since the last push, and when the first of them was.
    trades: u32,
    trading_since: Instant,
    /// Up to when that feed has told of trades.
    told_until: Option<Instant>,
    suspected: bool,
}

/// Why a registration is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Another feed has shown so many trades of the issue, over this time.
    IssueTrades(u32, Duration),
    /// It used to bring so many messages in ten minutes, and has brought nothing for this time.
    UsedTo(u32, Duration),
}

impl Doubt {
    pub(super) fn words(self) -> String {
        match self {
            Self::IssueTrades(trades, time) => format!(
                "nothing for {} s while the full-market feed shows {trades} trades of the issue",
                time.as_secs()
            ),
            Self::UsedTo(pushes, time) => format!(
                "nothing for {} s after {pushes} messages in ten minutes",
                time.as_secs()
            ),
        }
    }
}

impl Life {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            last: None,
            minutes: [0; MINUTES],
            minute: 0,
            trades: 0,
            told_until: None,
            trading_since: now,
            suspected: false,
        }
    }

    /// A push came.
    pub(super) fn brought(&mut self, now: Instant) {
        let minute = now.saturating_duration_since(self.began).as_secs() / 60;
        if minute > self.minute {
            let passed = minute - self.minute;
            for step in 1..=passed.min(MINUTES as u64) {
                *self.slot(self.minute + step) = 0;
            }
            self.minute = minute;
        }
        let slot = self.slot(self.minute);
        *slot = slot.saturating_add(1);
        self.last = Some(now);
        self.trades = 0;
    }

    fn slot(&mut self, minute: u64) -> &mut u32 {
        let place = usize::try_from(minute % MINUTES as u64).expect("a remainder of ten");
        &mut self.minutes[place]
    }

    /// Another feed shows that the issue traded: `trades` times since the last call, most recently at `last`. A trade from
    /// before the last push, or from before the registration was accepted, proves nothing. If the trades began before
    /// that, only the last one is known to have come after it.
    pub(super) fn traded(&mut self, trades: u32, last: Instant) {
        if trades == 0 {
            return;
        }
        let since = self.last.unwrap_or(self.began);
        let are_all_after = self.told_until.is_some_and(|before| before >= since);
        self.told_until = Some(last);
        if last < since {
            return;
        }
        if self.trades == 0 {
            self.trading_since = last;
        }
        let trades = if are_all_after { trades } else { 1 };
        self.trades = self.trades.saturating_add(trades);
    }

    /// Pushes in the ten minutes up to the last one.
    fn pushes(&self) -> u32 {
        self.minutes
            .iter()
            .fold(0, |sum, pushes| sum.saturating_add(*pushes))
    }

    /// Whether it used to bring a lot.
    pub(super) fn is_busy(&self) -> bool {
        self.pushes() > BUSY
    }

    /// Whether it has just brought something.
    pub(super) fn is_lively(&self, now: Instant) -> bool {
        let passed = |last| now.saturating_duration_since(last);
        self.last.is_some_and(|last| passed(last) <= LIVELY)
    }

    /// Looks at the clock. `silent_after`: how long an issue may trade elsewhere; `peers_lively_since`: since when
    /// enough of the registrations like this one have been bringing something.
    ///
    /// Only what two looks in a row have found is told: between them the socket is read (as in `silence`).
    pub(super) fn look(
        &mut self,
        now: Instant,
        silent_after: Duration,
        peers_lively_since: Option<Instant>,
    ) -> Option<Doubt> {
        let doubt = self.doubt(now, silent_after, peers_lively_since);
        let suspected = std::mem::replace(&mut self.suspected, doubt.is_some());
        doubt.filter(|_| suspected)
    }

    fn doubt(
        &self,
        now: Instant,
        silent_after: Duration,
        peers_lively_since: Option<Instant>,
    ) -> Option<Doubt> {
        let passed = |since| now.saturating_duration_since(since);
        let trading = passed(self.trading_since);
        if self.trades >= TRADES && trading >= silent_after {
            return Some(Doubt::IssueTrades(self.trades, trading));
        }
        let (last, since) = (self.last?, peers_lively_since?);
        (self.is_busy() && passed(last.max(since)) >= PAST)
            .then(|| Doubt::UsedTo(self.pushes(), passed(last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Looks every five seconds; when doubt is told first.
    fn first_doubt(life: &mut Life, begun: Instant, from: u32, to: u32) -> Option<(u32, Doubt)> {
        (from / 5..to / 5).find_map(|step| {
            let doubt = life.look(begun + step * 5 * SECOND, 60 * SECOND, Some(begun))?;
            Some((step * 5, doubt))
        })
    }

    #[test]
    fn an_issue_that_trades_elsewhere_for_a_minute_must_bring_something() {
        let begun = Instant::now();
        for (trades, told) in [(9, None), (10, Some(105))] {
            let mut life = Life::new(begun);
            for trade in 0..trades {
                life.traded(1, begun + (40 + trade) * SECOND);
            }
            let doubt = first_doubt(&mut life, begun, 0, 3_600);
            let expected = told.map(|at| (at, Doubt::IssueTrades(10, 65 * SECOND)));
            assert_eq!(doubt, expected);
            life.brought(begun + 3_600 * SECOND);
            assert_eq!(first_doubt(&mut life, begun, 3_600, 4_000), None);
        }
    }

    #[test]
    fn trades_that_are_told_late_count_from_when_they_were_received() {
        let begun = Instant::now();
        let at = |second: u32| begun + second * SECOND;
        let mut life = Life::new(at(10));
        life.traded(30, at(9));
        life.brought(at(20));
        life.traded(30, at(19));
        assert_eq!(first_doubt(&mut life, begun, 20, 3_600), None);
        life.traded(0, at(3_600));
        life.traded(7, at(3_700));
        life.traded(9, at(3_740));
        let expected = Doubt::IssueTrades(10, 65 * SECOND);
        assert_eq!(
            first_doubt(&mut life, begun, 3_740, 4_000),
            Some((3_765, expected))
        );
    }

    #[test]
    fn trades_that_were_pushed_but_are_told_together_prove_nothing() {
        let begun = Instant::now();
        let mut life = Life::new(begun);
        life.traded(1, begun);
        life.brought(begun + 10 * SECOND);
        // The other feed has the last of them a moment later than this one.
        life.traded(12, begun + 11 * SECOND);
        assert_eq!(first_doubt(&mut life, begun, 10, 3_600), None);
        life.traded(9, begun + 3_600 * SECOND);
        assert!(first_doubt(&mut life, begun, 3_600, 3_700).is_some());
    }

    #[test]
    fn one_that_used_to_be_busy_may_not_be_silent_for_ten_minutes() {
        let begun = Instant::now();
        for (pushes, told) in [(100, None), (101, Some(1_305))] {
            let mut life = Life::new(begun);
            // What it brought before the last ten minutes of its life does not count.
            for _ in 0..1_000 {
                life.brought(begun);
            }
            for push in 0..pushes {
                life.brought(begun + (600 + push) * SECOND);
            }
            let doubt = first_doubt(&mut life, begun, 700, 3_600);
            let expected = told.map(|at| (at, Doubt::UsedTo(101, 605 * SECOND)));
            assert_eq!(doubt, expected);
        }
    }

    #[test]
    fn the_silence_counts_from_when_its_peers_are_lively() {
        let begun = Instant::now();
        let mut life = Life::new(begun);
        for _ in 0..200 {
            life.brought(begun);
        }
        let late = begun + 50_000 * SECOND;
        for (since, now, told) in [
            (None, late, false),
            (Some(late), late + 599 * SECOND, false),
            (Some(late), late + 600 * SECOND, true),
        ] {
            life.look(now, 60 * SECOND, since);
            assert_eq!(life.look(now, 60 * SECOND, since).is_some(), told);
        }
    }

    #[test]
    fn only_the_last_ten_minutes_are_remembered() {
        let begun = Instant::now();
        let mut life = Life::new(begun);
        for minute in 0..25_u32 {
            for _ in 0..7 {
                life.brought(begun + minute * 60 * SECOND);
            }
            assert_eq!(life.pushes(), 7 * (minute + 1).min(10));
        }
        assert!(life.is_lively(begun + 1_500 * SECOND));
        assert!(!life.is_lively(begun + 1_501 * SECOND));
        life.brought(begun + 100_000 * SECOND);
        assert_eq!(life.pushes(), 1);
    }
}
