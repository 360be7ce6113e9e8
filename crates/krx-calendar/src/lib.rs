//! KRX trading dates and hours, by rule: weekends are closed, and every other date is open.
//!
//! A date that is wrongly taken for open costs a connection to a silent server; one wrongly taken for closed costs
//! a day that nobody can ever get again. So whatever is not known to be closed is open.

use chrono::{Datelike, NaiveDate, NaiveTime, Weekday};

/// Whether KRX may trade on `date`.
#[must_use]
pub fn may_trade(date: NaiveDate) -> bool {
    !matches!(date.weekday(), Weekday::Sat | Weekday::Sun)
}

/// The first date after `date` on which KRX may trade.
#[must_use]
pub fn next_after(date: NaiveDate) -> NaiveDate {
    date.iter_days()
        .skip(1)
        .find(|next| may_trade(*next))
        .unwrap_or(NaiveDate::MAX)
}

/// Whether the time of day (KST) lies in continuous trading, when a market of hundreds of issues is never silent for
/// long: 09:00 to the closing auction at 15:20 (docs/protocol.md, "Market hours"). On a day that opens an hour late
/// silence before 10:00 only means a few connections more.
#[must_use]
pub fn trades_continuously(time: NaiveTime) -> bool {
    let at = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).expect("a time of day");
    (at(9, 0)..at(15, 20)).contains(&time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekends_are_closed_and_nothing_else() {
        let friday = NaiveDate::from_ymd_opt(2026, 11, 20).expect("a date");
        assert!(may_trade(friday));
        assert!(!may_trade(friday.succ_opt().expect("a date")));
        assert_eq!(next_after(friday).to_string(), "2026-11-23");
        assert_eq!(next_after(next_after(friday)).to_string(), "2026-11-24");
    }

    #[test]
    fn silence_is_a_fault_in_continuous_trading_only() {
        let time = |text| NaiveTime::parse_from_str(text, "%H:%M:%S").expect("a time");
        for (text, expected) in [
            ("08:59:59", false),
            ("09:00:00", true),
            ("15:19:59", true),
            ("15:20:00", false),
        ] {
            assert_eq!(trades_continuously(time(text)), expected, "{text}");
        }
    }
}
