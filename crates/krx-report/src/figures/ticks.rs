//! The trades of registered stocks, each once: as the view `ticks` of `krx.sql` has them. Pure.
//!
//! 40 bytes are kept of each until all feeds are read. Only then is it known which came several times.

use std::collections::BTreeMap;

use krx_protocol::per_issue::Preset;
use krx_store::Moment;
use krx_store::read::Push;

/// A row of `ticks` that is no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// The digits of `trdTm`.
    pub(crate) time: i32,
    source: Source,
    kind: Kind,
    pub(crate) recv: Moment,
    pub(crate) price: i64,
    volume: i64,
    acc_volume: i64,
}

/// Where a row is from, the best source first: `tick10` before `tick`, and the feed with the first name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Source(u16);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Trade,
    Block,
    Signal,
}

/// Stands for an accumulated volume that was not sent.
const NOT_SENT: i64 = i64::MIN;

impl Source {
    /// `feed` is the feed's place among all by name.
    fn of(feed: usize, preset: Preset) -> Self {
        let feed =
            u16::try_from(feed).map_or(i16::MAX.unsigned_abs(), |feed| feed.min(i16::MAX.unsigned_abs()));
        Self(if preset == Preset::Tick {
            feed | 1 << 15
        } else {
            feed
        })
    }
}

impl Tick {
    /// A row of a stock's trade; `None` for any other row, and for a snapshot.
    pub(crate) fn of(feed: usize, push: &Push<'_>) -> Option<Self> {
        let trade = push.trade.filter(|_| !push.is_snapshot())?;
        Some(Self {
            time: trade.trade_time,
            source: Source::of(feed, push.preset),
            kind: match push.kind {
                "trade" => Kind::Trade,
                kind if kind.starts_with("block_") => Kind::Block,
                _ => Kind::Signal,
            },
            recv: push.recv,
            price: trade.price,
            volume: trade.volume,
            acc_volume: push.acc_volume.unwrap_or(NOT_SENT),
        })
    }

    /// The shares that it says were traded: of a trade or a block trade, and of no signal.
    pub(crate) fn shares(&self) -> i64 {
        if self.kind == Kind::Signal { 0 } else { self.volume }
    }

    /// Whether shares were traded at a time of the clock.
    pub(crate) fn is_trade(&self) -> bool {
        self.kind == Kind::Trade
    }

    /// Whether it is a trade or a block trade.
    pub(crate) fn counts(&self) -> bool {
        self.kind != Kind::Signal
    }

    /// The shares traded so far on the day, if it says that.
    pub(crate) fn acc_volume(&self) -> Option<i64> {
        (self.acc_volume != NOT_SENT).then_some(self.acc_volume)
    }
}

/// A day's ticks beyond this number are not kept, nor are any of the others: a server that sends without end must not fill
/// the memory. So many take a gigabyte.
const TICKS_MAX: usize = 25_000_000;

/// The rows of each stock, of one feed after the other, and of each feed in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Ticks {
    rows: BTreeMap<Box<str>, Vec<Tick>>,
    count: usize,
}

impl Ticks {
    /// Adds a row.
    pub(crate) fn add(&mut self, code: &str, tick: Tick) {
        self.count = self.count.saturating_add(1);
        if self.are_too_many() {
            self.rows.clear();
            return;
        }
        match self.rows.get_mut(code) {
            Some(ticks) => ticks.push(tick),
            None => {
                self.rows.insert(code.into(), vec![tick]);
            }
        }
    }

    /// Whether there were more than can be kept; then none are.
    pub(crate) fn are_too_many(&self) -> bool {
        self.count > TICKS_MAX
    }

    /// Takes those of a stock.
    pub(crate) fn take(&mut self, code: &str) -> Vec<Tick> {
        self.rows.remove(code).unwrap_or_default()
    }
}

/// Leaves of a stock's rows each trade once, that of the best source. Rows are the same trade if time, price, volume and
/// accumulated volume are equal (without the last, unless all rows have it); of several that are alike in one source, the
/// first is the same as the first of another.
pub(crate) fn each_once(rows: Vec<Tick>) -> Vec<Tick> {
    let Some(first) = rows.first().map(|row| row.source) else {
        return rows;
    };
    if rows.iter().all(|row| row.source == first) {
        return rows;
    }
    let have_totals = rows.iter().all(|row| row.acc_volume != NOT_SENT);
    let same = |row: &Tick| {
        let total = if have_totals { row.acc_volume } else { NOT_SENT };
        (row.time, row.price, row.volume, total)
    };
    let mut order: Vec<usize> = (0..rows.len()).collect();
    // Stable: the rows of a source stay in order.
    order.sort_by_key(|row| (same(&rows[*row]), rows[*row].source));
    let mut kept: Vec<usize> = Vec::with_capacity(rows.len() / 2);
    for alike in order.chunk_by(|one, other| same(&rows[*one]) == same(&rows[*other])) {
        let mut known = 0;
        for of_source in alike.chunk_by(|one, other| rows[*one].source == rows[*other].source) {
            kept.extend(of_source.iter().skip(known));
            known = known.max(of_source.len());
        }
    }
    // As they came.
    kept.sort_unstable();
    kept.into_iter().map(|row| rows[row]).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use krx_store::read::PushedTrade;

    /// A trade at a time, of so many shares, received at a second.
    pub(crate) fn push(
        code: &str,
        preset: Preset,
        time: i32,
        volume: i64,
        acc_volume: Option<i64>,
        at: i64,
    ) -> Push<'_> {
        Push {
            preset,
            code,
            kind: "trade",
            recv: Moment(at * 1_000_000),
            frame: 1,
            session: 1,
            trade_ts: None,
            acc_volume,
            trade: Some(PushedTrade {
                trade_time: time,
                price: 100,
                volume,
            }),
            quote: None,
        }
    }

    fn tick(feed: usize, preset: Preset, time: i32, volume: i64, acc_volume: Option<i64>, at: i64) -> Tick {
        Tick::of(feed, &push("005930", preset, time, volume, acc_volume, at)).unwrap()
    }

    fn received(rows: Vec<Tick>) -> Vec<i64> {
        each_once(rows).iter().map(|row| row.recv.0 / 1_000_000).collect()
    }

    #[test]
    fn a_row_takes_forty_bytes() {
        assert_eq!(size_of::<Tick>(), 40);
    }

    #[test]
    fn more_than_can_be_kept_are_none() {
        let mut ticks = Ticks::default();
        ticks.add("005930", tick(0, Preset::Tick10, 1, 5, None, 1));
        ticks.count = TICKS_MAX - 1;
        ticks.add("000660", tick(0, Preset::Tick10, 1, 5, None, 1));
        assert!(!ticks.are_too_many() && ticks.take("000660").len() == 1);
        ticks.add("000660", tick(0, Preset::Tick10, 1, 5, None, 1));
        assert!(ticks.are_too_many() && ticks.take("005930").is_empty());
    }

    #[test]
    fn of_trades_that_came_several_times_the_best_stays() {
        use Preset::{Tick as Short, Tick10};
        let alike = [
            tick(0, Short, 1, 5, Some(5), 1),
            tick(0, Tick10, 1, 5, Some(5), 2),
            tick(1, Tick10, 1, 5, Some(5), 3),
        ];
        assert_eq!(received(alike.to_vec()), [2]);
        assert_eq!(received(vec![alike[0], alike[2]]), [3], "tick10 of any feed");
        // Two that are alike in one source: the second of another is the second.
        let twice = vec![
            tick(0, Tick10, 1, 5, Some(5), 1),
            tick(1, Tick10, 1, 5, Some(5), 2),
            tick(1, Tick10, 1, 5, Some(5), 3),
        ];
        assert_eq!(received(twice), [1, 3]);
        // All of one source stay, however alike they are.
        assert_eq!(received(vec![alike[0], alike[0]]), [1, 1]);
        assert_eq!(received(Vec::new()), Vec::<i64>::new());
    }

    #[test]
    fn accumulated_volumes_tell_trades_apart_only_where_all_rows_have_one() {
        use Preset::{Tick as Short, Tick10};
        let of = |acc: Option<i64>| {
            vec![
                tick(0, Tick10, 1, 5, Some(5), 1),
                tick(0, Short, 1, 5, acc, 2),
                tick(0, Tick10, 1, 5, Some(10), 3),
            ]
        };
        assert_eq!(received(of(Some(10))), [1, 3]);
        assert_eq!(received(of(Some(15))), [1, 2, 3]);
        assert_eq!(received(of(None)), [1, 3]);
    }

    #[test]
    fn signals_have_no_shares_and_snapshots_are_no_ticks() {
        let of = |kind: &'static str| Push {
            kind,
            ..push("005930", Preset::Tick10, 1, 5, None, 1)
        };
        let shares =
            |kind| Tick::of(0, &of(kind)).map(|tick| (tick.shares(), tick.counts(), tick.is_trade()));
        assert_eq!(shares("trade"), Some((5, true, true)));
        assert_eq!(shares("block_during"), Some((5, true, false)));
        assert_eq!(shares("regular_close"), Some((0, false, false)));
        assert_eq!(shares("snapshot"), None);
        assert_eq!(Tick::of(0, &of("trade")).unwrap().acc_volume(), None);
    }
}
