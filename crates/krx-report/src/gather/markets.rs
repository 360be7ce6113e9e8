//! Full-market feeds: their rows in order of arrival.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use krx_store::read::{self, Quarantine, QuarantineRow, Trades, again_if_gone};
use krx_store::{DataDir, FeedName, StoreError, catalog};

use crate::figures::day::ComparedWith;
use crate::figures::fold::Fold;
use crate::figures::trd_vol::TrdVol;

/// How many earlier dates' issues are compared.
const EARLIER_DATES_MAX: usize = 20;

/// All rows of a market, those of both datasets in order of arrival. Its trades are compared with those that were pushed.
pub(super) fn fold(
    data: &DataDir,
    market: &FeedName,
    date: NaiveDate,
    trd_vol: &mut TrdVol,
    progress: &dyn Fn(u64),
) -> Result<Fold, StoreError> {
    let mut fold = Fold::new(market.as_str(), date);
    let mut compared = trd_vol.market();
    let mut trades = Trades::open(data, market, date)?;
    let mut pieces = Pieces::open(data, market, date)?;
    while let Some(batch) = trades.next_batch()? {
        for row in batch.rows() {
            while let Some(piece) = pieces.before(row.frame)? {
                fold.quarantined(&piece);
            }
            fold.trade(&row);
            if row.kind == "trade" {
                compared.trade(row.code, row.trade_time, row.price, row.volume);
            }
        }
        progress(batch.len() as u64);
    }
    while let Some(piece) = pieces.before(u64::MAX)? {
        fold.quarantined(&piece);
    }
    compared.finish();
    fold.finish();
    Ok(fold)
}

/// Quarantine, read piece by piece.
struct Pieces {
    reader: Quarantine,
    batch: std::iter::Peekable<std::vec::IntoIter<QuarantineRow>>,
    is_over: bool,
}

impl Pieces {
    fn open(data: &DataDir, market: &FeedName, date: NaiveDate) -> Result<Self, StoreError> {
        Ok(Self {
            reader: Quarantine::open(data, market, date)?,
            batch: Vec::new().into_iter().peekable(),
            is_over: false,
        })
    }

    /// The next piece, if it belongs to an earlier frame.
    fn before(&mut self, frame: u64) -> Result<Option<QuarantineRow>, StoreError> {
        while !self.is_over && self.batch.peek().is_none() {
            match self.reader.next_batch()? {
                Some(batch) => self.batch = batch.into_iter().peekable(),
                None => self.is_over = true,
            }
        }
        Ok(self.batch.next_if(|piece| piece.frame < frame))
    }
}

/// Compares each market's issues with those of the dates recorded before.
pub(super) fn compare_issues<T>(
    data: &DataDir,
    date: NaiveDate,
    folds: &mut [(&FeedName, Fold, T)],
) -> Result<ComparedWith, StoreError> {
    let dates = catalog::recorded_dates(data)?;
    let earlier: Vec<NaiveDate> = dates
        .range(..date)
        .rev()
        .take(EARLIER_DATES_MAX)
        .copied()
        .collect();
    let (Some(to), Some(from)) = (earlier.first(), earlier.last()) else {
        return Ok(ComparedWith::default());
    };
    for (market, fold, _) in folds {
        let (mut known, mut last) = (BTreeSet::new(), None);
        for date in &earlier {
            let codes = again_if_gone(|| read::codes(data, market, *date))?;
            last.get_or_insert_with(|| codes.clone());
            known.extend(codes);
        }
        fold.compare_issues(&known, &last.unwrap_or_default());
    }
    Ok(ComparedWith {
        dates: earlier.len(),
        from: Some(*from),
        to: Some(*to),
    })
}
