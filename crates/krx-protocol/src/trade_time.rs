//! `trdTm`: a time of day as `HHMMSScc`, or a signal that only looks like one.

use thiserror::Error;

/// The digits of `trdTm` as one number, at most eight of them; a leading zero lost in a JSON number makes no
/// difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TradeTime(i32);

/// More than eight digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("trdTm has at most eight digits (HHMMSScc)")]
pub struct TradeTimeError;

/// What a record is, according to its `trdTm` (docs/protocol.md, "trdTm").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A clock time: a trade.
    Trade,
    /// `0`: before the open, or before the first trade of the regular session.
    BeforeFirstTrade,
    /// `31000000`: the regular session has closed.
    RegularClose,
    /// `41000000`: the after-hours session at the closing price has closed.
    AfterHoursClose,
    /// `81000000`: the single-price session has closed.
    SinglePriceClose,
    /// `91000007` or `91000008`: general or same-day buy-in has closed.
    BuyInClose,
    /// `51000000`: a block trade before the session.
    BlockBefore,
    /// `61000000`: a block trade during the session.
    BlockDuring,
    /// `71000000`: a block trade after the session.
    BlockAfter,
    /// Neither a clock time nor a signal that the guide names.
    UnknownSignal,
}

impl Kind {
    /// Every kind, in the order of the column's dictionary: `ALL[kind as usize] == kind`.
    pub const ALL: [Self; 10] = [
        Self::Trade,
        Self::BeforeFirstTrade,
        Self::RegularClose,
        Self::AfterHoursClose,
        Self::SinglePriceClose,
        Self::BuyInClose,
        Self::BlockBefore,
        Self::BlockDuring,
        Self::BlockAfter,
        Self::UnknownSignal,
    ];

    /// The word in the `kind` column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::BeforeFirstTrade => "before_first_trade",
            Self::RegularClose => "regular_close",
            Self::AfterHoursClose => "after_hours_close",
            Self::SinglePriceClose => "single_price_close",
            Self::BuyInClose => "buy_in_close",
            Self::BlockBefore => "block_before",
            Self::BlockDuring => "block_during",
            Self::BlockAfter => "block_after",
            Self::UnknownSignal => "unknown_signal",
        }
    }
}

impl TradeTime {
    const DIGITS_MAX: i64 = 99_999_999;

    /// A placeholder.
    pub(crate) const NONE: Self = Self(0);

    /// From the digits, read as a non-negative number.
    ///
    /// # Errors
    /// [`TradeTimeError`], when there are more than eight digits.
    #[inline]
    pub fn from_digits(digits: i64) -> Result<Self, TradeTimeError> {
        match i32::try_from(digits) {
            Ok(small) if (0..=Self::DIGITS_MAX).contains(&digits) => Ok(Self(small)),
            _ => Err(TradeTimeError),
        }
    }

    /// The digits as sent, for the `trade_time` column.
    #[inline]
    #[must_use]
    pub fn digits(self) -> i32 {
        self.0
    }

    /// Milliseconds since midnight, Korea Standard Time; `None` when this is not a clock time.
    #[inline]
    #[must_use]
    pub fn millis_of_day(self) -> Option<i32> {
        let (hour, minute) = (self.0 / 1_000_000, self.0 / 10_000 % 100);
        let (second, hundredth) = (self.0 / 100 % 100, self.0 % 100);
        let clock = self.0 != 0 && hour < 24 && minute < 60 && second < 60;
        clock.then_some(((hour * 60 + minute) * 60 + second) * 1000 + hundredth * 10)
    }

    /// What a record with this `trdTm` is.
    #[inline]
    #[must_use]
    pub fn kind(self) -> Kind {
        if self.millis_of_day().is_some() {
            return Kind::Trade;
        }
        match self.0 {
            0 => Kind::BeforeFirstTrade,
            31_000_000 => Kind::RegularClose,
            41_000_000 => Kind::AfterHoursClose,
            51_000_000 => Kind::BlockBefore,
            61_000_000 => Kind::BlockDuring,
            71_000_000 => Kind::BlockAfter,
            81_000_000 => Kind::SinglePriceClose,
            91_000_007 | 91_000_008 => Kind::BuyInClose,
            _ => Kind::UnknownSignal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(digits: i64) -> TradeTime {
        TradeTime::from_digits(digits).unwrap()
    }

    #[test]
    fn a_lost_leading_zero_is_the_same_time() {
        assert_eq!(
            time(9_450_155).millis_of_day(),
            Some(((9 * 60 + 45) * 60 + 1) * 1000 + 550)
        );
        assert_eq!(
            time(14_340_400).millis_of_day(),
            Some(((14 * 60 + 34) * 60 + 4) * 1000)
        );
    }

    #[test]
    fn signals_are_no_times() {
        let cases = [
            (0, Kind::BeforeFirstTrade),
            (31_000_000, Kind::RegularClose),
            (41_000_000, Kind::AfterHoursClose),
            (81_000_000, Kind::SinglePriceClose),
            (91_000_007, Kind::BuyInClose),
            (91_000_008, Kind::BuyInClose),
            (51_000_000, Kind::BlockBefore),
            (61_000_000, Kind::BlockDuring),
            (71_000_000, Kind::BlockAfter),
            (91_000_009, Kind::UnknownSignal),
            (24_000_000, Kind::UnknownSignal),
            (12_600_000, Kind::UnknownSignal),
            (12_006_000, Kind::UnknownSignal),
            (99_999_999, Kind::UnknownSignal),
        ];
        for (digits, kind) in cases {
            assert_eq!(
                (time(digits).kind(), time(digits).millis_of_day()),
                (kind, None),
                "{digits}"
            );
        }
        assert_eq!(time(23_595_999).kind(), Kind::Trade);
    }

    #[test]
    fn nine_digits_and_signs_are_refused() {
        assert_eq!(TradeTime::from_digits(100_000_000), Err(TradeTimeError));
        assert_eq!(TradeTime::from_digits(-1), Err(TradeTimeError));
        assert_eq!(TradeTime::from_digits(i64::MAX), Err(TradeTimeError));
    }

    #[test]
    fn the_dictionary_is_in_the_order_of_the_enum() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }
}
