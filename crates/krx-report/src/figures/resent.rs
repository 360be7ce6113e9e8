//! Records that a server sent again after a reconnect: the longest run at the beginning of a session that repeats,
//! record by record and in the same order, the end of the session before it. `resent` in `deploy/krx.sql` has the same
//! definition. Pure.
//!
//! ```text
//!   session 1   … A B C D E          the last ones are remembered
//!   session 2         C D E F G      three records were sent again
//! ```

use std::collections::{BTreeSet, VecDeque};

use krx_store::read::TradeRow;
use serde::Serialize;

use super::oddities::{EXAMPLES_MAX, Example, Found};
use crate::time;

/// How many messages are examined on each side of a reconnect.
const MESSAGES_MAX: u64 = 1_000;
/// How many records are remembered of a session: a message can have tens of thousands.
const RECORDS_MAX: usize = 100_000;
/// The characters of an issue code.
const CODE_BYTES: usize = 12;

/// What a session repeats of the previous one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentAgain {
    /// The session.
    pub session: u32,
    /// The session whose end it repeats.
    pub session_before: u32,
    /// The number of its first records that are repeats.
    pub records: u64,
}

/// A market's sessions so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resent {
    session: Option<u32>,
    /// The last records of the session.
    ending: VecDeque<Record>,
    comparison: Option<Comparison>,
    sessions: Vec<SentAgain>,
    issues: BTreeSet<[u8; CODE_BYTES]>,
    examples: Vec<Example>,
}

/// A session's beginning, compared with the end of the previous session.
#[derive(Clone, Debug)]
struct Comparison {
    ending: Vec<Record>,
    /// Places in `ending` from which everything has matched so far.
    starts: Vec<usize>,
    records: usize,
    first_frame: u64,
    longest: usize,
    session: u32,
    session_before: u32,
    example: Example,
}

/// What identifies a record, and where it is.
#[derive(Clone, Copy, Debug)]
struct Record {
    code: [u8; CODE_BYTES],
    trade_time: i32,
    price: i64,
    volume: i64,
    is_trade: bool,
    frame: u64,
}

impl Resent {
    /// The next row of a market, in order of arrival.
    pub(crate) fn row(&mut self, market: &str, row: &TradeRow<'_>) {
        let record = Record::of(row);
        if let Some(before) = self.session.replace(row.session).filter(|of| *of != row.session) {
            self.conclude();
            let ending = std::mem::take(&mut self.ending);
            self.comparison = Comparison::begin(ending, before, market, row);
        }
        if let Some(comparison) = &mut self.comparison
            && !comparison.goes_on(&record)
        {
            self.conclude();
        }
        let forgotten = |first: &Record| first.frame.saturating_add(MESSAGES_MAX) <= record.frame;
        while self.ending.len() >= RECORDS_MAX || self.ending.front().is_some_and(forgotten) {
            self.ending.pop_front();
        }
        self.ending.push_back(record);
    }

    /// All rows have come: what was found, by session, and as one oddity.
    pub(crate) fn finish(&mut self) -> (Vec<SentAgain>, Found) {
        self.conclude();
        let found = Found {
            count: self.sessions.iter().map(|session| session.records).sum(),
            issues: self.issues.len() as u64,
            examples: self.examples.clone(),
        };
        (self.sessions.clone(), found)
    }

    fn conclude(&mut self) {
        let Some(Comparison {
            ending,
            longest,
            session,
            session_before,
            mut example,
            ..
        }) = self.comparison.take().filter(|of| of.longest > 0)
        else {
            return;
        };
        let again = &ending[ending.len() - longest..];
        self.issues.extend(again.iter().map(|record| record.code));
        let records = longest as u64;
        if self.examples.len() < EXAMPLES_MAX {
            let verb = if longest == 1 { "repeats" } else { "repeat" };
            let many = time::plural(records, "record");
            example.detail =
                format!("{many} of session {session} {verb} the end of session {session_before}");
            self.examples.push(example);
        }
        self.sessions.push(SentAgain {
            session,
            session_before,
            records,
        });
    }
}

impl Comparison {
    /// Nothing is compared when the previous session has no trade at its end: a run of signals alone proves nothing,
    /// since signals have no time and repeat naturally.
    fn begin(
        ending: VecDeque<Record>,
        session_before: u32,
        market: &str,
        row: &TradeRow<'_>,
    ) -> Option<Self> {
        let ending = Vec::from(ending);
        let last_trade = ending.iter().rposition(|record| record.is_trade)?;
        Some(Self {
            starts: (0..=last_trade).collect(),
            ending,
            records: 0,
            first_frame: row.frame,
            longest: 0,
            session: row.session,
            session_before,
            example: Example::of_row(market, row, String::new()),
        })
    }

    /// Takes another record of the session's beginning; returns whether more could lengthen the run.
    fn goes_on(&mut self, record: &Record) -> bool {
        if record.frame.saturating_sub(self.first_frame) >= MESSAGES_MAX {
            return false;
        }
        let nth = self.records;
        self.records += 1;
        let Self {
            ending,
            starts,
            longest,
            ..
        } = self;
        starts.retain(|start| ending[start + nth].is_like(record));
        // The place that has just run to its end, if any, is the last one.
        if starts.last().is_some_and(|start| start + nth + 1 == ending.len()) {
            starts.pop();
            *longest = nth + 1;
        }
        !starts.is_empty()
    }
}

impl Record {
    fn of(row: &TradeRow<'_>) -> Self {
        let mut code = [0; CODE_BYTES];
        for (byte, given) in code.iter_mut().zip(row.code.bytes()) {
            *byte = given;
        }
        Self {
            code,
            trade_time: row.trade_time,
            price: row.price,
            volume: row.volume,
            is_trade: row.kind == "trade",
            frame: row.frame,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.code, self.trade_time, self.price, self.volume)
            == (other.code, other.trade_time, other.price, other.volume)
    }
}

#[cfg(test)]
mod tests {
    use krx_store::Moment;

    use super::*;

    /// A record of the issue named by a letter, with its own time and price; a lower-case letter is a signal.
    fn row(letter: char, session: u32, frame: u64) -> TradeRow<'static> {
        let number = letter as i32;
        TradeRow {
            code: if letter.is_ascii_uppercase() {
                "000210"
            } else {
                "00088K"
            },
            trade_ts: None,
            price: i64::from(number),
            volume: 5,
            kind: if letter.is_ascii_uppercase() {
                "trade"
            } else {
                "before_first_trade"
            },
            trade_time: number,
            recv: Moment(0),
            frame,
            item: 0,
            session,
            extra: None,
        }
    }

    /// Sessions with one record per frame.
    fn of(sessions: &[(u32, &str)]) -> (Vec<SentAgain>, Found) {
        let (mut resent, mut frame) = (Resent::default(), 0);
        for (session, letters) in sessions {
            for letter in letters.chars() {
                frame += 1;
                resent.row("KOSPI", &row(letter, *session, frame));
            }
        }
        resent.finish()
    }

    fn counts(sessions: &[(u32, &str)]) -> Vec<(u32, u32, u64)> {
        let (sessions, found) = of(sessions);
        assert_eq!(found.count, sessions.iter().map(|of| of.records).sum::<u64>());
        sessions
            .iter()
            .map(|of| (of.session_before, of.session, of.records))
            .collect()
    }

    #[test]
    fn the_beginning_of_a_session_is_held_against_the_end_of_the_one_before() {
        assert_eq!(counts(&[(1, "ABCDE"), (2, "CDEFG")]), [(1, 2, 3)]);
        assert_eq!(
            counts(&[(1, "AB"), (4, "ABCD"), (5, "CD")]),
            [(1, 4, 2), (4, 5, 2)]
        );
        assert_eq!(counts(&[(1, "XABAB"), (2, "ABABC")]), [(1, 2, 4)], "the longest");
        assert_eq!(counts(&[(1, "XAAA"), (2, "AAAAB")]), [(1, 2, 3)]);
        assert_eq!(
            counts(&[(1, "XABAB"), (2, "ABAC")]),
            [(1, 2, 2)],
            "the longest that is whole"
        );
    }

    #[test]
    fn what_repeats_otherwise_is_not_sent_again() {
        for sessions in [
            [(1, "ABCDE"), (2, "ABCDF")],
            [(1, "ABCD"), (2, "CXD")],
            [(1, "ABCD"), (2, "BACD")],
            [(1, "ABAB"), (1, "AB")],
            [(1, "ABCD"), (2, "EFGH")],
            // Signals alone, and signals after the last trade.
            [(1, "ab"), (2, "ab")],
            [(1, "Aab"), (2, "abA")],
        ] {
            assert_eq!(counts(&sessions), [], "{sessions:?}");
        }
        assert_eq!(
            counts(&[(1, "Aab"), (2, "Aabc")]),
            [(1, 2, 3)],
            "a trade among signals"
        );
    }

    #[test]
    fn each_value_counts() {
        let changes: [fn(&mut TradeRow<'static>); 4] = [
            |row| row.code = "000211",
            |row| row.trade_time += 1,
            |row| row.price += 1,
            |row| row.volume += 1,
        ];
        for (nth, change) in changes.iter().enumerate() {
            let mut changed = row('A', 2, 2);
            change(&mut changed);
            let mut resent = Resent::default();
            resent.row("KOSPI", &row('A', 1, 1));
            resent.row("KOSPI", &changed);
            assert_eq!(resent.finish().0, [], "{nth}");
        }
    }

    #[test]
    fn it_is_told_how_many_of_how_many_issues_and_where() {
        let (_, found) = of(&[(1, "XABa"), (2, "ABaY"), (3, "Y")]);
        assert_eq!((found.count, found.issues, found.examples.len()), (4, 2, 2));
        let first = &found.examples[0];
        assert_eq!(
            (first.frame, first.item, first.price),
            (Some(5), Some(0), Some(65))
        );
        assert_eq!(first.detail, "3 records of session 2 repeat the end of session 1");
        assert_eq!(
            found.examples[1].detail,
            "1 record of session 3 repeats the end of session 2"
        );
    }

    #[test]
    fn no_more_is_remembered_and_looked_at_than_so_much() {
        for (messages, records) in [(MESSAGES_MAX, 1), (MESSAGES_MAX + 1, 0)] {
            // Packed into different frames, so that each side has its own bound.
            for sides in [(1, 0), (0, 1)] {
                let mut resent = Resent::default();
                for session in 1..=2 {
                    let (base, apart) = if session == 1 {
                        (1, sides.0)
                    } else {
                        (10_000, sides.1)
                    };
                    for nth in 0..messages {
                        let mut one = row('A', session, base + nth * apart);
                        one.trade_time = i32::try_from(nth).unwrap();
                        resent.row("KOSPI", &one);
                    }
                }
                let found = resent.finish().0.len();
                assert_eq!(found, records, "{messages} messages, {sides:?}");
            }
        }
        let mut resent = Resent::default();
        for nth in 0..RECORDS_MAX + 7 {
            let mut one = row('A', 1, 1);
            one.price = i64::try_from(nth).unwrap();
            resent.row("KOSPI", &one);
        }
        assert_eq!(resent.ending.len(), RECORDS_MAX);
        assert_eq!(resent.ending[0].price, 7);
    }
}
