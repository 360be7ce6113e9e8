//! Feeds of every kind, with a clock that is right or wrong.

use chrono::{Days, NaiveDate};
use fastrand::Rng;

use super::super::lags::RecvTime;
use super::*;

const HOUR_S: i64 = 3600;
const LAG_MAX: Duration = Duration::from_secs(10);

fn friday() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
}

/// A feed whose records are received by a clock that is off.
struct Feed {
    watch: LagWatch,
    random: Rng,
    midnight_s: i64,
    /// By how much the clock is fast, ms.
    clock_ms: i64,
    /// How late the records come in truth, ms.
    late_ms: i64,
}

impl Feed {
    fn on(date: NaiveDate, seed: u64) -> Self {
        Self {
            watch: LagWatch::new(LAG_MAX),
            random: Rng::with_seed(seed),
            midnight_s: Moment::midnight(date).0 / 1_000_000,
            clock_ms: 0,
            late_ms: 0,
        }
    }

    /// A record that is received at this second of the day in truth; `trade_ms` is what it says.
    fn record(&mut self, second: i64, trade_ms: i64) {
        let recv_ms = (self.midnight_s + second) * 1000 + self.random.i64(0..1000) + self.clock_ms;
        let recv = Moment(recv_ms * 1000);
        let mut lags = Lags::default();
        let of_day = trade_ms.rem_euclid(24 * HOUR_S * 1000);
        lags.add(RecvTime::of(recv), i32::try_from(of_day).unwrap());
        self.watch.second(recv_ms.div_euclid(1000), lags);
    }

    /// A second in which this many trades come as they should: within 0.6 s.
    fn live(&mut self, second: i64, records: usize) {
        for _ in 0..records {
            let trade_ms = second * 1000 - self.random.i64(0..600) - self.late_ms;
            self.record(second, trade_ms);
        }
    }

    fn verdict(&self) -> LagVerdict {
        self.watch.now().verdict
    }

    /// The second, counted from the first of them, in which the verdict is this one.
    fn until(&mut self, verdict: LagVerdict, seconds: std::ops::Range<i64>, every: usize) -> Option<i64> {
        let first = seconds.start;
        for second in seconds.step_by(every) {
            self.live(second, 3);
            if self.verdict() == verdict {
                return Some(second - first);
            }
        }
        None
    }
}

#[test]
fn an_hour_wrong_either_way_is_noticed_within_a_minute_of_data() {
    for hours in [-11, -9, -1, 1, 9, 11] {
        let mut feed = Feed::on(friday(), 1);
        feed.clock_ms = hours * HOUR_S * 1000;
        let verdict = if hours > 0 {
            LagVerdict::Late
        } else {
            LagVerdict::Early
        };
        let after = feed.until(verdict, 12 * HOUR_S..12 * HOUR_S + 60, 1);
        assert!(after.is_some_and(|after| after <= 25), "{hours} h: {after:?}");
        let lag = i64::from(feed.watch.now().lag_ms.unwrap());
        assert!((lag - feed.clock_ms).abs() < 2_000, "{hours} h: {lag} ms");
        // Put right again.
        feed.clock_ms = 0;
        let after = feed.until(LagVerdict::Good, 12 * HOUR_S + 60..12 * HOUR_S + 120, 1);
        assert!(after.is_some_and(|after| after <= 10), "{hours} h: {after:?}");
        assert!(feed.watch.now().lag_ms.unwrap() < 1_700);
    }
}

#[test]
fn a_clock_that_is_set_while_all_is_well_is_noticed_too() {
    for (hours, verdict) in [(1, LagVerdict::Late), (-1, LagVerdict::Early)] {
        let mut feed = Feed::on(friday(), 2);
        assert_eq!(feed.until(LagVerdict::Good, 36_000..36_600, 1), Some(5));
        feed.until(LagVerdict::Unknown, 36_006..36_600, 1);
        feed.clock_ms = hours * HOUR_S * 1000;
        let after = feed.until(verdict, 36_600..36_660, 1);
        assert!(after.is_some_and(|after| after <= 25), "{hours} h: {after:?}");
        // And to the other side at once.
        feed.clock_ms = -feed.clock_ms;
        let other = if hours > 0 {
            LagVerdict::Early
        } else {
            LagVerdict::Late
        };
        assert!(feed.until(other, 36_660..36_720, 1).is_some(), "{hours} h");
    }
}

#[test]
fn a_quiet_feed_needs_no_more_records_than_a_busy_one_needs_seconds() {
    for (hours, verdict) in [(1, LagVerdict::Late), (-1, LagVerdict::Early)] {
        let mut feed = Feed::on(friday(), 3);
        feed.clock_ms = hours * HOUR_S * 1000;
        assert_eq!(feed.until(verdict, 36_000..40_000, 40), Some(200), "{hours} h");
    }
}

#[test]
fn the_limits_are_two_seconds_early_and_lag_max_late() {
    for (clock_ms, verdict) in [
        (-4_000, LagVerdict::Early),
        (-1_500, LagVerdict::Good),
        (8_000, LagVerdict::Good),
        (12_000, LagVerdict::Late),
    ] {
        let mut feed = Feed::on(friday(), 4);
        feed.clock_ms = clock_ms;
        let after = feed.until(verdict, 36_000..36_060, 1);
        assert!(after.is_some(), "{clock_ms} ms: {:?}", feed.watch.now());
    }
}

#[test]
fn old_records_and_garbage_do_not_hide_a_wrong_clock() {
    for (hours, verdict) in [(1, LagVerdict::Late), (-1, LagVerdict::Early)] {
        let mut feed = Feed::on(friday(), 5);
        feed.clock_ms = hours * HOUR_S * 1000;
        let mut noticed = None;
        for second in 0..60 {
            let at = 12 * HOUR_S + second;
            feed.live(at, 5);
            // An issue whose last trade is repeated, and a time that means nothing now and then.
            feed.record(at, (9 * HOUR_S + 7) * 1000);
            if second % 7 == 3 {
                let garbage_ms = feed.random.i64(0..24 * HOUR_S * 1000);
                feed.record(at, garbage_ms);
            }
            if feed.verdict() == verdict {
                noticed.get_or_insert(second);
            }
        }
        assert!(noticed.is_some(), "{hours} h");
    }
}

#[test]
fn a_feed_that_is_behind_is_late_and_one_that_catches_up_is_not() {
    // A socket that is read too slowly: each second brings 0.7 s of the market.
    let mut feed = Feed::on(friday(), 6);
    let mut noticed = None;
    for second in 0..240 {
        feed.late_ms = second * 300;
        feed.live(36_000 + second, 3);
        if feed.verdict() == LagVerdict::Late {
            noticed.get_or_insert(second);
        }
    }
    let noticed = noticed.unwrap();
    assert!((33..100).contains(&noticed), "{noticed}");
    // Ten minutes that come within thirty seconds, and then all is well.
    let mut feed = Feed::on(friday(), 7);
    for second in 0..60 {
        feed.late_ms = (600_000 - second * 20_000).max(0);
        feed.live(36_000 + second, 3);
        assert!(!feed.verdict().is_bad(), "second {second}");
    }
    assert_eq!(feed.verdict(), LagVerdict::Good);
}

/// A day of a feed with a good clock, with everything in it that looks wrong.
fn good_day(date: NaiveDate, seed: u64, records_per_s: f64) -> (LagWatch, Vec<(i64, FeedLag)>) {
    let mut feed = Feed::on(date, seed);
    // As well as NTP keeps it.
    feed.clock_ms = feed.random.i64(-30..=30);
    let mut bad = Vec::new();
    let closes = 15 * HOUR_S + 30 * 60;
    let mut again: Option<(i64, i64)> = None;
    for second in 8 * HOUR_S + 20 * 60..20 * HOUR_S {
        let is_pause = (closes..closes + 600).contains(&second);
        if second < 9 * HOUR_S || is_pause {
            // The state of the issues, with the times of their last trades: of yesterday, or of today.
            let last = if is_pause { closes } else { 20 * HOUR_S };
            for _ in 0..feed.random.usize(0..4) {
                let trade_ms = (last - feed.random.i64(0..4 * HOUR_S)) * 1000;
                feed.record(second, trade_ms);
            }
        } else {
            // Of this many that may come in a second, each with its share of the chances.
            let some = (0..24).filter(|_| feed.random.f64() < records_per_s / 24.0);
            let records = some.count();
            feed.live(second, records);
        }
        // A reconnect now and then, after which a part of the past is sent again, between the live records or before them.
        if again.is_none() && feed.random.u32(0..1800) == 0 {
            let length = feed.random.i64(10..1200);
            again = Some((second - length, length / feed.random.i64(1..20) + 2));
        }
        if let Some((from, pace)) = &mut again {
            for back in *from..(*from + *pace).min(second) {
                feed.record(second, back * 1000 + 500);
            }
            *from += *pace;
            if *from >= second {
                again = None;
            }
        }
        if feed.random.u32(0..300) == 0 {
            let garbage_ms = feed.random.i64(0..24 * HOUR_S * 1000);
            feed.record(second, garbage_ms);
        }
        if feed.verdict().is_bad() {
            bad.push((second, feed.watch.now()));
        }
    }
    (feed.watch, bad)
}

#[test]
fn a_good_clock_never_alarms_in_a_week() {
    for records_per_s in [0.02, 0.3, 2.0, 12.0] {
        for day in 0..7 {
            let date = friday() + Days::new(day);
            let (watch, bad) = good_day(date, day * 7 + 1, records_per_s);
            assert!(
                bad.is_empty(),
                "{date}, {records_per_s} records/s: {} seconds, first {:?}",
                bad.len(),
                bad[0]
            );
            assert_eq!(watch.now().verdict, LagVerdict::Good, "{date}");
        }
    }
}

#[test]
fn states_alone_say_nothing() {
    for seed in 0..200 {
        let mut feed = Feed::on(friday(), seed);
        for second in 8 * HOUR_S..8 * HOUR_S + 1800 {
            if feed.random.bool() {
                let last = 15 * HOUR_S + 30 * 60 - feed.random.i64(0..600);
                feed.record(second, last * 1000);
            }
            assert_eq!(
                feed.verdict(),
                LagVerdict::Unknown,
                "seed {seed}, second {second}"
            );
        }
    }
}

#[test]
fn another_day_begins_with_nothing_known() {
    let mut feed = Feed::on(friday(), 8);
    feed.clock_ms = HOUR_S * 1000;
    assert!(feed.until(LagVerdict::Late, 36_000..36_060, 1).is_some());
    feed.live(36_000 + 24 * HOUR_S, 3);
    feed.watch.finish();
    let now = feed.watch.now();
    assert_eq!((now.verdict, now.lag_ms), (LagVerdict::Unknown, None));
    assert_eq!(now.at.unwrap().date(), friday() + Days::new(1));
}
