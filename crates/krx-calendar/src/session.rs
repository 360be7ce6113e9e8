//! A day's sessions: how trading works, from when to when.

use chrono::{NaiveDate, NaiveTime};

use crate::hours::{Hours, LAST_TRADES_MINUTES, at, earlier, later};

/// A part of the trading day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The kind.
    pub kind: SessionKind,
    /// Its beginning, KST.
    pub from: NaiveTime,
    /// Its end, KST.
    pub to: NaiveTime,
}

/// How trading works in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// Orders are collected for the opening.
    PreOpenAuction,
    /// From the opening to the close.
    Regular,
    /// The regular session's last ten minutes: orders are collected for the close.
    ClosingAuction,
    /// Off-hours, at the closing price.
    ClosingPrice,
    /// Off-hours, at a single price, until the after-market replaced it.
    SinglePrice,
    /// The KRX after-market.
    AfterMarket,
}

impl SessionKind {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreOpenAuction => "pre_open_auction",
            Self::Regular => "regular",
            Self::ClosingAuction => "closing_auction",
            Self::ClosingPrice => "closing_price",
            Self::SinglePrice => "single_price",
            Self::AfterMarket => "after_market",
        }
    }
}

const PRE_OPEN_MINUTES: i64 = 30;
pub(crate) const CLOSING_AUCTION_MINUTES: i64 = 10;
/// After the close: when the session at the closing price begins and ends.
const CLOSING_PRICE_MINUTES: (i64, i64) = (LAST_TRADES_MINUTES, 30);

/// From this date the after-market replaces the single-price session.
const AFTER_MARKET_FIRST: NaiveDate = NaiveDate::from_ymd_opt(2026, 9, 14).expect("a date");
const AFTER_MARKET_END: NaiveTime = at(20, 0);
const SINGLE_PRICE_END: NaiveTime = at(18, 0);

/// The sessions of a trading day in the order in which they begin (docs/protocol.md, "Market hours"). They move with
/// the opening and the close of the regular session; only the end of the last one is fixed. KRX has not said whether
/// that applies to the after-market of a CSAT day: 17:00 to 20:00 follows from the days before it.
pub(crate) fn sessions(date: NaiveDate, hours: Hours) -> Vec<Session> {
    let Hours { open, close } = hours;
    let (closing_price, evening) = (
        later(close, CLOSING_PRICE_MINUTES.0),
        later(close, CLOSING_PRICE_MINUTES.1),
    );
    let last = if date < AFTER_MARKET_FIRST {
        (SessionKind::SinglePrice, evening, SINGLE_PRICE_END)
    } else {
        (SessionKind::AfterMarket, evening, AFTER_MARKET_END)
    };
    [
        (SessionKind::PreOpenAuction, earlier(open, PRE_OPEN_MINUTES), open),
        (SessionKind::Regular, open, close),
        (
            SessionKind::ClosingAuction,
            earlier(close, CLOSING_AUCTION_MINUTES).max(open),
            close,
        ),
        (SessionKind::ClosingPrice, closing_price, evening),
        last,
    ]
    .into_iter()
    // The hours of an override may leave no room for one.
    .filter(|(_, from, to)| from < to)
    .map(|(kind, from, to)| Session { kind, from, to })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hours::normal_hours;

    fn text(date: &str, hours: Option<Hours>) -> String {
        let date = date.parse().unwrap();
        sessions(date, hours.unwrap_or_else(|| normal_hours(date)))
            .iter()
            .map(|session| {
                format!(
                    "{} {}-{}",
                    session.kind.as_str(),
                    session.from.format("%H:%M"),
                    session.to.format("%H:%M")
                )
            })
            .collect::<Vec<_>>()
            .join(", ")
    }

    #[test]
    fn a_normal_day_of_each_epoch() {
        assert_eq!(
            text("2026-09-14", None),
            "pre_open_auction 08:30-09:00, regular 09:00-15:30, closing_auction 15:20-15:30, \
             closing_price 15:40-16:00, after_market 16:00-20:00"
        );
        assert_eq!(
            text("2026-09-11", None),
            "pre_open_auction 08:30-09:00, regular 09:00-15:30, closing_auction 15:20-15:30, \
             closing_price 15:40-16:00, single_price 16:00-18:00"
        );
        assert_eq!(
            text("2016-07-29", None),
            "pre_open_auction 08:30-09:00, regular 09:00-15:00, closing_auction 14:50-15:00, \
             closing_price 15:10-15:30, single_price 15:30-18:00"
        );
    }

    #[test]
    fn sessions_move_with_the_hours_but_the_evening_ends_as_always() {
        let late = |close| {
            Some(Hours {
                open: at(10, 0),
                close,
            })
        };
        assert_eq!(
            text("2027-01-04", late(at(15, 30))),
            "pre_open_auction 09:30-10:00, regular 10:00-15:30, closing_auction 15:20-15:30, \
             closing_price 15:40-16:00, after_market 16:00-20:00"
        );
        assert_eq!(
            text("2026-11-19", late(at(16, 30))),
            "pre_open_auction 09:30-10:00, regular 10:00-16:30, closing_auction 16:20-16:30, \
             closing_price 16:40-17:00, after_market 17:00-20:00"
        );
        assert_eq!(
            text("2026-11-20", late(at(19, 45))),
            "pre_open_auction 09:30-10:00, regular 10:00-19:45, closing_auction 19:35-19:45, \
             closing_price 19:55-20:15",
            "no room for an evening"
        );
    }
}
