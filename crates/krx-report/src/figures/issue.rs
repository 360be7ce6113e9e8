//! The day of each issue of a market, in memory proportional to the number of issues. Pure.

use std::collections::HashMap;

use serde::Serialize;

use super::volume::IssueVolume;

/// Issues beyond this number are counted together: a server that invents codes must not fill the memory.
const ISSUES_MAX: usize = 200_000;

/// An issue's day so far.
#[derive(Clone, Debug)]
pub struct Issue {
    /// `isuSrtCd`.
    pub code: Box<str>,
    /// Rows of any kind.
    pub records: u64,
    /// The time of its last trade, ms since 1970.
    pub last_trade_ms: Option<i64>,
    /// Prices of its trades.
    pub prices: Option<Prices>,
    /// Volumes of its trades.
    pub volume: IssueVolume,
    /// The sum of the volumes of its block trades; `None` without one.
    pub blocks: Option<i64>,
    /// The frame in which it first came.
    pub first_frame: u64,
    /// Trades earlier than the trade before them.
    pub trades_back: u64,
    /// Trades beyond the price limit around the first price.
    pub trades_beyond: u64,
    /// Signals that the guide does not name.
    pub signals_unknown: u64,
    /// Records with fields that the guide does not name.
    pub records_extra: u64,
}

/// Prices of an issue's trades, above zero, in KRW.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Prices {
    /// The first one.
    pub first: i64,
    /// The lowest.
    pub low: i64,
    /// The highest.
    pub high: i64,
    /// The last one.
    pub last: i64,
}

/// An issue as listed among those with the most records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopIssue {
    /// `isuSrtCd`.
    pub code: String,
    /// Rows of any kind.
    pub records: u64,
    /// Rows whose `kind` is `trade`.
    pub trades: u64,
    /// The prices of these; `None` without one.
    pub prices: Option<Prices>,
}

/// All issues of a market.
#[derive(Clone, Debug, Default)]
pub struct Issues {
    places: HashMap<Box<str>, usize>,
    all: Vec<Issue>,
    /// Rows of issues beyond those tracked individually.
    pub records_of_others: u64,
}

impl Issue {
    fn new(code: &str, frame: u64) -> Self {
        Self {
            code: code.into(),
            records: 0,
            last_trade_ms: None,
            prices: None,
            volume: IssueVolume::default(),
            blocks: None,
            first_frame: frame,
            trades_back: 0,
            trades_beyond: 0,
            signals_unknown: 0,
            records_extra: 0,
        }
    }

    /// The price of the first trade, which may be this one.
    pub fn price(&mut self, price: i64) -> i64 {
        let prices = self.prices.get_or_insert(Prices {
            first: price,
            low: price,
            high: price,
            last: price,
        });
        prices.low = prices.low.min(price);
        prices.high = prices.high.max(price);
        prices.last = price;
        prices.first
    }

    /// The sum of the volumes of its trades and block trades; `None` without any.
    pub fn shares(&self) -> Option<i64> {
        let trades = (self.volume.trades() > 0).then(|| self.volume.sum());
        match (trades, self.blocks) {
            (Some(trades), Some(blocks)) => Some(trades.saturating_add(blocks)),
            (trades, blocks) => trades.or(blocks),
        }
    }
}

impl Issues {
    /// The issue of a row in `frame`; `None` when there are too many.
    pub fn of(&mut self, code: &str, frame: u64) -> Option<&mut Issue> {
        let place = match self.places.get(code) {
            Some(place) => *place,
            None if self.all.len() >= ISSUES_MAX => {
                self.records_of_others += 1;
                return None;
            }
            None => {
                self.places.insert(code.into(), self.all.len());
                self.all.push(Issue::new(code, frame));
                self.all.len() - 1
            }
        };
        self.all.get_mut(place)
    }

    /// All issues, in the order in which they first came.
    #[must_use]
    pub fn all(&self) -> &[Issue] {
        &self.all
    }

    /// An issue that had a row.
    pub fn get(&self, code: &str) -> Option<&Issue> {
        self.all.get(*self.places.get(code)?)
    }

    /// Whether an issue had a row.
    #[must_use]
    pub fn contains(&self, code: &str) -> bool {
        self.places.contains_key(code)
    }

    /// The issues with the most records, most first.
    #[must_use]
    pub fn top(&self, count: usize) -> Vec<TopIssue> {
        let mut all: Vec<&Issue> = self.all.iter().collect();
        all.sort_unstable_by(|one, other| other.records.cmp(&one.records).then(one.code.cmp(&other.code)));
        let shown = all.into_iter().take(count);
        shown
            .map(|issue| TopIssue {
                code: issue.code.to_string(),
                records: issue.records,
                trades: issue.volume.trades(),
                prices: issue.prices,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_remembered_and_the_first_stays() {
        let mut issues = Issues::default();
        for price in [100, 130, 90, 110] {
            let issue = issues.of("000210", 7).unwrap();
            issue.records += 1;
            assert_eq!(issue.price(price), 100);
        }
        issues.of("00088K", 8).unwrap().records = 9;
        let top = issues.top(5);
        assert_eq!((top[0].code.as_str(), top[1].code.as_str()), ("00088K", "000210"));
        let prices = Prices {
            first: 100,
            low: 90,
            high: 130,
            last: 110,
        };
        assert_eq!((top[1].prices, top[0].prices), (Some(prices), None));
        assert!(issues.contains("000210") && !issues.contains("000211"));
    }

    #[test]
    fn made_up_codes_are_counted_and_take_no_more_memory() {
        let mut issues = Issues::default();
        for number in 0..ISSUES_MAX + 10 {
            let _ = issues.of(&format!("{number:012}"), 1);
        }
        assert_eq!((issues.all().len(), issues.records_of_others), (ISSUES_MAX, 10));
        assert!(
            issues.of("000000000000", 1).is_some(),
            "those that are known stay known"
        );
    }
}
