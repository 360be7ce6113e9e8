//! Each trade of a feed once, although `tick` and `tick10` of an issue both push it: within a feed, the same rows as in the
//! view `ticks` of `krx.sql`.

use std::collections::BTreeMap;

use super::candle::NO_TOTAL;
use super::price::Price;
use super::source::{Halt, Index, Row, Source, What};
use crate::day::Watch;

/// The most rows of issues with both presets that are held at a time. They take 170 MB.
const KEPT_ROWS_MAX: u64 = 2 << 20;

/// Shows all rows of the issues that matter, except that a trade or signal that came twice is shown once. Only rows of issues
/// with both presets are held in memory. An issue with more rows than may be held is taken from `tick10` alone.
pub(super) fn each_once<P: Price>(
    source: &Source,
    watch: Watch<'_>,
    index: Index<'_>,
    show: &mut dyn FnMut(usize, &Row<P>),
) -> Result<(), Halt> {
    each_once_within(KEPT_ROWS_MAX, source, watch, index, show)
}

fn each_once_within<P: Price>(
    rows_max: u64,
    source: &Source,
    watch: Watch<'_>,
    index: Index<'_>,
    show: &mut dyn FnMut(usize, &Row<P>),
) -> Result<(), Halt> {
    let doubled = doubled(source, watch, index)?;
    let rest: Index<'_> = &mut |code| {
        if doubled.contains_key(code) {
            None
        } else {
            index(code)
        }
    };
    source.scan(watch, rest, show)?;
    for group in groups(&doubled, rows_max) {
        let mut kept: BTreeMap<usize, Vec<Row<P>>> = BTreeMap::new();
        // Such an issue is a group of its own.
        let is_too_long = group.iter().any(|code| doubled[*code] > rows_max);
        let of_group: Index<'_> = &mut |code| if group.contains(&code) { index(code) } else { None };
        source.scan(watch, of_group, &mut |place, row| match row.what {
            What::Snapshot => show(place, row),
            _ if !is_too_long => kept.entry(place).or_default().push(*row),
            _ if !row.is_tick => show(place, row),
            _ => {}
        })?;
        for (place, rows) in kept {
            once(rows).iter().for_each(|row| show(place, row));
        }
    }
    Ok(())
}

/// The issues that have rows of both presets, and how many rows each has.
fn doubled(source: &Source, watch: Watch<'_>, index: Index<'_>) -> Result<BTreeMap<String, u64>, Halt> {
    if !source.is_per_issue() {
        return Ok(BTreeMap::new());
    }
    let (mut codes, mut rows): (BTreeMap<String, usize>, Vec<[u64; 2]>) = Default::default();
    let number: Index<'_> = &mut |code| {
        index(code)?;
        let next = codes.len();
        Some(*codes.entry(code.to_owned()).or_insert(next))
    };
    source.presets(watch, number, &mut |place, is_tick| {
        if rows.len() <= place {
            rows.resize(place + 1, [0; 2]);
        }
        rows[place][usize::from(is_tick)] += 1;
    })?;
    let codes = codes.into_iter();
    Ok(codes
        .filter_map(|(code, place)| {
            let [longer, shorter] = *rows.get(place)?;
            (longer > 0 && shorter > 0).then_some((code, longer + shorter))
        })
        .collect())
}

/// Issues whose rows can be held together.
fn groups(doubled: &BTreeMap<String, u64>, rows_max: u64) -> Vec<Vec<&str>> {
    let (mut groups, mut left): (Vec<Vec<&str>>, u64) = (Vec::new(), 0);
    for (code, rows) in doubled {
        match groups.last_mut() {
            Some(group) if *rows <= left => group.push(code),
            _ => {
                groups.push(vec![code]);
                left = rows_max;
            }
        }
        left = left.saturating_sub(*rows);
    }
    groups
}

/// An issue's rows without those that came twice: if both presets have a row, the row of `tick10` stays. Rows are the same if
/// they have equal time, price, volume and accumulated volume, which only counts if all rows have it. If a preset has several
/// equal rows, its first is the same as the other's first, and so on.
fn once<P: Price>(rows: Vec<Row<P>>) -> Vec<Row<P>> {
    let have_totals = rows.iter().all(|row| row.order.total != NO_TOTAL);
    let same = |row: &Row<P>| {
        let total = if have_totals { row.order.total } else { NO_TOTAL };
        let deal = row.deal.map(|(price, volume)| (price.key(), volume));
        (row.what, row.ts, deal, total)
    };
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|row| (same(&rows[*row]), rows[*row].is_tick, rows[*row].order.place));
    let mut kept: Vec<usize> = Vec::with_capacity(rows.len());
    for alike in order.chunk_by(|one, other| same(&rows[*one]) == same(&rows[*other])) {
        let longer = alike.iter().filter(|row| !rows[**row].is_tick).count();
        let (of_longer, of_tick) = alike.split_at(longer);
        kept.extend(of_longer);
        kept.extend(of_tick.iter().skip(longer));
    }
    // As they came.
    kept.sort_unstable_by_key(|row| rows[*row].order.place);
    kept.into_iter().map(|row| rows[row]).collect()
}

#[cfg(test)]
mod tests {
    use krx_protocol::per_issue::Preset::{Tick, Tick10};

    use super::*;
    use crate::derived::candle::Order;
    use crate::derived::made_up::ticks;

    fn row(place: i64, is_tick: bool, ts: i64, volume: i64, total: Option<i64>) -> Row<i64> {
        Row {
            what: What::Trade,
            is_tick,
            ts,
            order: Order {
                ts,
                total: total.unwrap_or(NO_TOTAL),
                recv: place,
                place,
            },
            deal: Some((100, volume)),
        }
    }

    fn places(rows: Vec<Row<i64>>) -> Vec<i64> {
        once(rows).iter().map(|row| row.order.place).collect()
    }

    #[test]
    fn a_trade_that_came_twice_is_that_of_tick10() {
        let (tick, tick10) = (true, false);
        assert_eq!(
            places(vec![row(1, tick, 1, 5, Some(5)), row(2, tick10, 1, 5, Some(5))]),
            [2]
        );
        // Two alike, of which tick10 has one.
        let rows = vec![
            row(1, tick, 1, 5, None),
            row(2, tick10, 1, 5, None),
            row(3, tick, 1, 5, None),
        ];
        assert_eq!(places(rows), [2, 3]);
        // One that tick10 lacks stays.
        let rows = vec![row(1, tick, 1, 5, Some(5)), row(2, tick10, 1, 5, Some(10))];
        assert_eq!(places(rows), [1, 2]);
        // Where one row has no accumulated volume, it does not tell any of them apart.
        let rows = vec![
            row(1, tick, 1, 5, None),
            row(2, tick10, 1, 5, Some(10)),
            row(3, tick10, 2, 5, Some(15)),
        ];
        assert_eq!(places(rows), [2, 3]);
    }

    #[test]
    fn issues_are_held_together_while_there_is_room() {
        let doubled = [("A", 40), ("B", 60), ("C", 1), ("D", 200), ("E", 5)];
        let doubled = doubled.map(|(code, rows)| (code.to_owned(), rows)).into();
        assert_eq!(
            groups(&doubled, 100),
            [vec!["A", "B"], vec!["C"], vec!["D"], vec!["E"]]
        );
    }

    #[test]
    fn an_issue_with_more_rows_than_there_is_room_for_is_taken_from_tick10_alone() {
        let trades = [
            ("A", Tick, 1),
            ("A", Tick10, 1),
            ("A", Tick10, 2),
            ("A", Tick, 3),
            ("B", Tick, 4),
            ("B", Tick10, 5),
            ("C", Tick10, 6),
            ("C", Tick, 6),
            ("D", Tick, 7),
        ];
        let dir = tempfile::tempdir().unwrap();
        let source = ticks(dir.path(), &trades);
        let shown = |rows_max| {
            let mut shown = Vec::new();
            let index: Index<'_> = &mut |code| "ABCD".find(code);
            each_once_within::<i64>(rows_max, &source, Watch::nobody(), index, &mut |place, row| {
                shown.push(("ABCD".as_bytes()[place], row.ts));
            })
            .unwrap();
            shown.sort_unstable();
            shown
        };
        let others = [(b'B', 4), (b'B', 5), (b'C', 6), (b'D', 7)];
        let all_of_a = [(b'A', 1), (b'A', 2), (b'A', 3)];
        assert_eq!(shown(8), [&all_of_a[..], &others].concat(), "all at once");
        assert_eq!(shown(4), [&all_of_a[..], &others].concat(), "A, then B and C");
        assert_eq!(shown(3), [&all_of_a[..2], &others].concat(), "A has four rows");
    }
}
