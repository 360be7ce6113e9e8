//! What is odd about a day's data: counts, a few examples, and a query that finds every case. Pure.

use chrono::NaiveDate;
use krx_store::Moment;
use krx_store::read::TradeRow;
use serde::Serialize;

use crate::time;

/// How many examples of each oddity are kept, over all markets.
pub(crate) const EXAMPLES_MAX: usize = 10;

/// The views for DuckDB; one of them finds records that were sent again.
const VIEWS: &str = include_str!("../../../../deploy/krx.sql");

/// KRX lets no price move more than 30 % from the previous close.
const LIMIT_PERCENT: i128 = 30;

/// The kinds of oddity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A trade's time is before that of the issue's trade before it.
    TradeTimeBack,
    /// `recv_ts` goes back from one frame to the next.
    ReceiveTimeBack,
    /// A session begins with the records that the session before it ended with.
    SentAgain,
    /// A trade's price is more than 30 % away from that of the issue's first trade.
    BeyondLimit,
    /// `trdTm` is neither a clock time nor a signal of the guide.
    UnknownSignal,
    /// Keys that the guide does not name.
    ExtraFields,
    /// An issue that is on none of the earlier dates.
    NeverSeen,
    /// An issue of the last recorded date that is missing on this one.
    Vanished,
}

/// One place to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The market.
    pub market: String,
    /// The issue, if it concerns one.
    pub code: Option<String>,
    /// The frame, if it concerns one.
    pub frame: Option<u64>,
    /// The record's position in the frame, if it concerns one record.
    pub item: Option<i16>,
    /// When it was received.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub recv_ts: Option<Moment>,
    /// When the trade was made.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub trade_ts: Option<Moment>,
    /// KRW.
    pub price: Option<i64>,
    /// What it is compared with, in words.
    pub detail: String,
}

impl Example {
    /// A row as an example.
    pub(crate) fn of_row(market: &str, row: &TradeRow<'_>, detail: String) -> Self {
        Self {
            market: market.to_owned(),
            code: Some(row.code.to_owned()),
            frame: Some(row.frame),
            item: Some(row.item),
            recv_ts: Some(row.recv),
            trade_ts: row.trade_ts.map(|ms| Moment(ms.saturating_mul(1000))),
            price: Some(row.price),
            detail,
        }
    }

    /// An issue as an example, without a particular row.
    pub(crate) fn of_issue(market: &str, code: &str, detail: String) -> Self {
        Self {
            market: market.to_owned(),
            code: Some(code.to_owned()),
            frame: None,
            item: None,
            recv_ts: None,
            trade_ts: None,
            price: None,
            detail,
        }
    }
}

/// What was found of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Oddity {
    /// The kind.
    pub kind: Kind,
    /// How often, in all markets: records, frames or issues.
    pub count: u64,
    /// In how many issues; `None` where frames are counted.
    pub issues: Option<u64>,
    /// The first ones, each of a different issue.
    pub examples: Vec<Example>,
    /// A DuckDB query, to be run in the data directory, that finds them all.
    pub sql: Option<String>,
}

impl Kind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::TradeTimeBack,
        Self::ReceiveTimeBack,
        Self::SentAgain,
        Self::BeyondLimit,
        Self::UnknownSignal,
        Self::ExtraFields,
        Self::NeverSeen,
        Self::Vanished,
    ];

    /// What was found, in words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::TradeTimeBack => "Trade times that run backwards",
            Self::ReceiveTimeBack => "The recorder's clock went back",
            Self::SentAgain => "Records sent again after a reconnect",
            Self::BeyondLimit => "Prices more than 30 % from the day's first trade",
            Self::UnknownSignal => "Signals that the guide does not name",
            Self::ExtraFields => "Fields that the guide does not name",
            Self::NeverSeen => "Issues never seen before",
            Self::Vanished => "Issues that were in the last recorded date but not in this one",
        }
    }

    /// What is counted.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::TradeTimeBack | Self::BeyondLimit => "trade",
            Self::ReceiveTimeBack => "message",
            Self::SentAgain | Self::UnknownSignal | Self::ExtraFields => "record",
            Self::NeverSeen | Self::Vanished => "issue",
        }
    }

    /// What it may mean.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::TradeTimeBack => {
                "Within an issue, in order of arrival, trade_ts is before that of the trade before it. Some are corrections \
                 or late reports by the exchange; many at once mean that the feed sent old data again."
            }
            Self::ReceiveTimeBack => {
                "recv_ts is before that of the message before it: the machine's clock was set back. Order by frame and \
                 item, which never go back, rather than by recv_ts."
            }
            Self::SentAgain => {
                "The first records of a session are, one by one and in the same order, those that the session before it ended \
                 with: the server sent them again. The recorder keeps everything that it receives, so they are in trades \
                 twice, and count twice in sums. The query finds the repeats, by frame and item: exclude those."
            }
            Self::BeyondLimit => {
                "KRX lets no price move more than 30 % from the previous close. The feed does not carry the previous close, so \
                 the day's first trade stands in for it: this is a hint, not proof. Issues without a limit, such as newly \
                 listed ones, are among them."
            }
            Self::UnknownSignal => {
                "trdTm is neither a clock time nor a signal of Koscom's guide. The digits are in trade_time."
            }
            Self::ExtraFields => {
                "Keys other than the guide's four, kept in extra as they came. Ask Koscom whether the feed has changed."
            }
            Self::NeverSeen => "New listings, or codes that never traded while earlier dates were recorded.",
            Self::Vanished => "Halted, delisted, not traded, or missed in a gap.",
        }
    }

    /// Whether somebody should look at it, or it is merely good to know.
    #[must_use]
    pub fn is_worry(self) -> bool {
        match self {
            Self::TradeTimeBack
            | Self::ReceiveTimeBack
            | Self::SentAgain
            | Self::UnknownSignal
            | Self::ExtraFields => true,
            Self::BeyondLimit | Self::NeverSeen | Self::Vanished => false,
        }
    }

    /// The query that finds them all. `earlier` are the first and last date on which issues were looked for.
    #[must_use]
    pub fn sql(self, date: NaiveDate, earlier: Option<(NaiveDate, NaiveDate)>) -> Option<String> {
        const TRADES: &str = "read_parquet('trades/**/*.parquet', hive_partitioning = true)";
        let of_day = format!("date = DATE '{date}'");
        Some(match self {
            Self::TradeTimeBack => format!(
                "SELECT * FROM (\n  SELECT market, code, frame, item, recv_ts, trade_ts,\n    \
                 lag(trade_ts) OVER (PARTITION BY market, code ORDER BY frame, item) AS trade_before\n  \
                 FROM {TRADES}\n  WHERE {of_day} AND kind = 'trade' AND trade_ts IS NOT NULL)\n\
                 WHERE trade_ts < trade_before ORDER BY market, frame, item;"
            ),
            Self::ReceiveTimeBack => format!(
                "SELECT * FROM (\n  SELECT market, frame, recv_ts,\n    \
                 lag(recv_ts) OVER (PARTITION BY market ORDER BY frame) AS frame_before\n  \
                 FROM (SELECT DISTINCT market, frame, recv_ts\n    FROM {TRADES}\n    WHERE {of_day}))\n\
                 WHERE recv_ts < frame_before ORDER BY market, frame;"
            ),
            Self::SentAgain => resent_sql(date),
            Self::BeyondLimit => format!(
                "SELECT * FROM (\n  SELECT market, code, frame, item, recv_ts, trade_ts, price,\n    \
                 first_value(price) OVER (PARTITION BY market, code ORDER BY frame, item) AS first_price\n  \
                 FROM {TRADES}\n  WHERE {of_day} AND kind = 'trade' AND price > 0)\n\
                 WHERE abs(price - first_price)::HUGEINT * 100 > first_price::HUGEINT * {LIMIT_PERCENT} \
                 ORDER BY market, frame, item;"
            ),
            Self::UnknownSignal => format!(
                "SELECT market, code, frame, item, recv_ts, trade_time, price, volume\nFROM {TRADES}\n\
                 WHERE {of_day} AND kind = 'unknown_signal' ORDER BY market, frame, item;"
            ),
            Self::ExtraFields => format!(
                "SELECT market, code, frame, item, recv_ts, kind, extra\nFROM {TRADES}\n\
                 WHERE {of_day} AND extra IS NOT NULL ORDER BY market, frame, item;"
            ),
            Self::NeverSeen => {
                let (first, last) = earlier?;
                format!(
                    "SELECT market, code, count(*) AS records, min(frame) AS first_frame\nFROM {TRADES}\n\
                     WHERE {of_day} AND (market, code) NOT IN (\n  SELECT (market, code) FROM {TRADES}\n  \
                     WHERE date BETWEEN DATE '{first}' AND DATE '{last}')\n\
                     GROUP BY ALL ORDER BY records DESC, code;"
                )
            }
            Self::Vanished => {
                let (_, last) = earlier?;
                format!(
                    "SELECT market, code, count(*) AS records\nFROM {TRADES}\n\
                     WHERE date = DATE '{last}' AND (market, code) NOT IN (\n  SELECT (market, code) FROM {TRADES}\n  \
                     WHERE {of_day})\nGROUP BY ALL ORDER BY records DESC, code;"
                )
            }
        })
    }
}

/// The macro `resent` for one date, as a query that runs in the data directory without the views.
fn resent_sql(date: NaiveDate) -> String {
    let (_, query) = VIEWS
        .split_once("MACRO resent(day) AS TABLE\nWITH ")
        .expect("the views have it");
    let (query, _) = query.split_once(";\n").expect("it ends");
    format!(
        "WITH trades AS NOT MATERIALIZED (\n    FROM read_parquet('trades/**/*.parquet', hive_partitioning = true)\n), {};",
        query.replace("day::DATE", &format!("DATE '{date}'"))
    )
}

/// Whether a price is further from the first one than the daily limit allows.
#[must_use]
pub(crate) fn is_beyond_limit(price: i64, first: i64) -> bool {
    (i128::from(price) - i128::from(first)).abs() * 100 > i128::from(first) * LIMIT_PERCENT
}

/// What a market's rows gave for one kind.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How often.
    pub count: u64,
    /// In how many issues.
    pub issues: u64,
    /// The first.
    pub examples: Vec<Example>,
}

impl Found {
    /// Adds one. `is_first` of its issue: only then is the example made, so that each shows a different issue.
    pub fn add(&mut self, is_first: bool, example: impl FnOnce() -> Example) {
        self.count += 1;
        self.issues += u64::from(is_first);
        if is_first && self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example());
        }
    }
}

/// Combines the markets' findings of one kind.
#[must_use]
pub(crate) fn together<'a>(
    kind: Kind,
    sql: Option<String>,
    of_markets: impl Iterator<Item = &'a Found> + Clone,
) -> Oddity {
    let count = of_markets.clone().map(|found| found.count).sum();
    let issues = of_markets.clone().map(|found| found.issues).sum();
    // Markets take turns, so that none hides the others.
    let mut examples: Vec<(usize, &Example)> = of_markets
        .flat_map(|found| found.examples.iter().enumerate())
        .collect();
    examples.sort_by_key(|(turn, _)| *turn);
    Oddity {
        kind,
        count,
        issues: (kind != Kind::ReceiveTimeBack).then_some(issues),
        examples: examples
            .into_iter()
            .take(EXAMPLES_MAX)
            .map(|(_, example)| example.clone())
            .collect(),
        sql: sql.filter(|_| count > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_for_records_sent_again_is_that_of_the_views() {
        let query = resent_sql(NaiveDate::from_ymd_opt(2026, 11, 20).unwrap());
        assert!(!query.contains("day") && query.ends_with("nth + 1;"), "{query}");
        assert_eq!(query.matches("DATE '2026-11-20'").count(), 3);
    }

    #[test]
    fn the_limit_is_thirty_percent_of_the_first_price() {
        for (price, beyond) in [
            (700, false),
            (699, true),
            (1300, false),
            (1301, true),
            (1000, false),
        ] {
            assert_eq!(is_beyond_limit(price, 1000), beyond, "{price}");
        }
        assert!(is_beyond_limit(i64::MAX, 1));
        assert!(!is_beyond_limit(i64::MAX, i64::MAX));
    }

    #[test]
    fn examples_are_of_all_markets_and_no_more_than_ten() {
        let found = |market: &str, count: u64| {
            let mut found = Found::default();
            for number in 0..count {
                found.add(number % 2 == 0, || Example {
                    market: market.to_owned(),
                    code: Some(format!("{number:06}")),
                    frame: None,
                    item: None,
                    recv_ts: None,
                    trade_ts: None,
                    price: None,
                    detail: String::new(),
                });
            }
            found
        };
        let (many, few) = (found("KOSDAQ", 100), found("KOSPI", 3));
        assert_eq!(
            (many.count, many.issues, many.examples.len()),
            (100, 50, EXAMPLES_MAX)
        );
        let all = together(
            Kind::BeyondLimit,
            Some("SELECT".to_owned()),
            [&many, &few].into_iter(),
        );
        assert_eq!(
            (all.count, all.issues, all.examples.len()),
            (103, Some(52), EXAMPLES_MAX)
        );
        assert_eq!(
            all.examples
                .iter()
                .filter(|example| example.market == "KOSPI")
                .count(),
            2
        );
        // Where nothing was found, there is nothing to query.
        let none = together(Kind::BeyondLimit, Some("SELECT".to_owned()), [].into_iter());
        assert_eq!((none.count, none.sql), (0, None));
    }

    #[test]
    fn issues_of_earlier_dates_need_earlier_dates() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        for kind in Kind::ALL {
            let needs = matches!(kind, Kind::NeverSeen | Kind::Vanished);
            assert_eq!(kind.sql(date, None).is_none(), needs, "{kind:?}");
            assert!(kind.sql(date, Some((date, date))).unwrap().ends_with(';'));
        }
    }
}
