//! What comes out of a per-issue message: rows of the datasets, and what is not one.

use super::preset::Preset;
use super::table::Table;
use crate::reason::Reason;
use crate::trade_time::Kind;

/// The value of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Not sent, or null.
    Null,
    /// A whole number: the digits of a time, or milliseconds of the day, too.
    Integer(i64),
    /// A decimal number; zero is never negative.
    Decimal(f64),
    /// A word, by its place in the field's list, from 0.
    Word(u8),
    /// A text.
    Text(&'a str),
}

/// What a row is: the `kind` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKind {
    /// A push with a `trdTm`, which says what it is.
    Traded(Kind),
    /// A push without a `trdTm`.
    Update,
    /// The current state that answers a `subscribe`, and never a trade.
    Snapshot,
}

impl RowKind {
    /// Every kind, in the order of the column's dictionary: `ALL[kind.place()] == kind`. The trades' kinds come first, in
    /// the order of [`Kind::ALL`].
    pub const ALL: [Self; 12] = [
        Self::Traded(Kind::Trade),
        Self::Traded(Kind::BeforeFirstTrade),
        Self::Traded(Kind::RegularClose),
        Self::Traded(Kind::AfterHoursClose),
        Self::Traded(Kind::SinglePriceClose),
        Self::Traded(Kind::BuyInClose),
        Self::Traded(Kind::BlockBefore),
        Self::Traded(Kind::BlockDuring),
        Self::Traded(Kind::BlockAfter),
        Self::Traded(Kind::UnknownSignal),
        Self::Update,
        Self::Snapshot,
    ];

    /// Its place in [`RowKind::ALL`].
    #[inline]
    #[must_use]
    pub fn place(self) -> usize {
        match self {
            Self::Traded(kind) => kind as usize,
            Self::Update => Kind::ALL.len(),
            Self::Snapshot => Kind::ALL.len() + 1,
        }
    }

    /// The word in the `kind` column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traded(kind) => kind.as_str(),
            Self::Update => "update",
            Self::Snapshot => "snapshot",
        }
    }
}

/// A row of a dataset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// The dataset.
    pub table: Table,
    /// What was registered and is pushed.
    pub preset: Preset,
    /// `isuSrtCd`: a code that is registered for this preset.
    pub code: &'a str,
    /// What the row is.
    pub kind: RowKind,
    /// Its number within the frame, from 0. Rejected records are counted too.
    pub item: i16,
    /// The values, one for each of [`Table::fields`].
    pub values: &'a [Value<'a>],
    /// The keys that no column holds, and codes that the guide does not explain, as a JSON object of the bytes as sent.
    pub extra: Option<&'a str>,
}

/// Where rows go. Items rise within a frame.
pub trait RowSink {
    /// A row.
    fn row(&mut self, row: &Row<'_>);
    /// Anything else, except control messages: one record (`item`), or the message or a piece of it (`None`). `raw` is as
    /// received.
    fn reject(&mut self, item: Option<i16>, reason: Reason, detail: &str, raw: &[u8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_place_and_a_word_of_its_own() {
        for (place, kind) in RowKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.place(), place);
            let same = RowKind::ALL
                .into_iter()
                .filter(|other| other.as_str() == kind.as_str());
            assert_eq!(same.count(), 1, "{}", kind.as_str());
        }
        assert_eq!(
            RowKind::ALL[..10]
                .iter()
                .map(|kind| kind.as_str())
                .collect::<Vec<_>>(),
            Kind::ALL.map(Kind::as_str)
        );
    }
}
