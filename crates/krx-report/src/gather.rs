//! Reads a date through the store and folds it into its figures.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use krx_calendar::Calendar;
use krx_store::coverage::State;
use krx_store::read::{self, Quarantine, QuarantineRow, Trades, again_if_gone};
use krx_store::service::FULL_MARKET;
use krx_store::{DataDir, FeedName, Moment, StoreError, catalog, coverage};

use crate::figures::day::{ComparedWith, DayFacts};
use crate::figures::exchange::{ExchangeDay, at};
use crate::figures::fold::Fold;
use crate::figures::market::MarketFacts;
use crate::figures::oddities::{Found, Kind, together};
use crate::figures::verdict::verdict;
use crate::figures::volume::judge;

/// How many earlier dates' issues are compared.
const EARLIER_DATES_MAX: usize = 20;

/// A date of which something is known.
#[derive(Debug)]
pub struct RecordedDay<'a> {
    data: &'a DataDir,
    date: NaiveDate,
    markets: BTreeSet<FeedName>,
}

impl<'a> RecordedDay<'a> {
    /// The date if anything is known about it; otherwise the dates that are known.
    ///
    /// # Errors
    /// [`StoreError`], when the data directory cannot be read.
    pub fn find(data: &'a DataDir, date: NaiveDate) -> Result<Result<Self, Vec<NaiveDate>>, StoreError> {
        let known = coverage::dates(data)?;
        let mut markets = catalog::feeds(data, date)?;
        markets.extend(
            known
                .iter()
                .filter(|(of, _)| *of == date)
                .map(|(_, market)| market.clone()),
        );
        // The page is about trades: it has nothing to say of another service's feeds.
        markets.retain(|feed| {
            catalog::service_of(data, feed, date).is_none_or(|service| *service == FULL_MARKET)
        });
        if !markets.is_empty() {
            return Ok(Ok(Self { data, date, markets }));
        }
        let mut dates = catalog::recorded_dates(data)?;
        dates.extend(known.iter().map(|(of, _)| *of));
        Ok(Err(dates.into_iter().collect()))
    }

    /// The number of rows to read.
    ///
    /// # Errors
    /// [`StoreError`], when they cannot be counted.
    pub fn rows(&self) -> Result<u64, StoreError> {
        again_if_gone(|| {
            let each = self
                .markets
                .iter()
                .map(|market| Ok(Trades::open(self.data, market, self.date)?.rows()));
            each.sum()
        })
    }

    /// Reads everything. `version` is that of the calling program; `progress` is called with the number of rows read.
    ///
    /// # Errors
    /// [`StoreError`], when the data directory cannot be read.
    pub fn facts(
        &self,
        calendar: &Calendar,
        version: &'static str,
        now: Moment,
        progress: &dyn Fn(u64),
    ) -> Result<DayFacts, StoreError> {
        gather(self, calendar, version, now, progress)
    }
}

fn gather(
    RecordedDay { data, date, markets }: &RecordedDay<'_>,
    calendar: &Calendar,
    version: &'static str,
    now: Moment,
    progress: &dyn Fn(u64),
) -> Result<DayFacts, StoreError> {
    let date = *date;
    let exchange = ExchangeDay::of(calendar, &catalog::recorded_dates(data)?, date);
    let mut folds = Vec::new();
    for market in markets {
        // Rows committed while the files are being read must be in the ledger too.
        let fold = again_if_gone(|| fold(data, market, date, progress))?;
        folds.push((market, fold, coverage::view(data, market, date, now)?));
    }
    let compared = compare_issues(data, date, &mut folds)?;

    // The last sessions may be over even if the date is not.
    let sessions_end = calendar
        .day(date)
        .sessions()
        .last()
        .map(|session| at(date, session.to));
    let is_live = folds
        .iter()
        .any(|(_, _, ledger)| ledger.last().is_some_and(|last| last.state == State::Live));
    let goes_on = now.date() == date && (is_live || sessions_end.is_some_and(|end| now < end));

    let facts: Vec<MarketFacts> = folds
        .iter()
        .map(|(market, fold, ledger)| {
            MarketFacts::new(market.as_str(), fold, ledger.clone(), exchange.regular(), now)
        })
        .collect();
    let oddities: Vec<_> = Kind::ALL
        .into_iter()
        .filter(|kind| compared.dates > 0 || !matches!(kind, Kind::NeverSeen | Kind::Vanished))
        .map(|kind| {
            let of_markets: Vec<&Found> = folds
                .iter()
                .filter_map(|(_, fold, _)| fold.found.get(&kind))
                .collect();
            together(
                kind,
                kind.sql(date, compared.from.zip(compared.to)),
                of_markets.into_iter(),
            )
        })
        .collect();
    Ok(DayFacts {
        date,
        made_at: Some(now),
        version,
        data_dir: std::path::absolute(data.path()).unwrap_or_else(|_| data.path().to_owned()),
        verdict: verdict(&exchange, &facts, &oddities, goes_on),
        goes_on,
        volume: judge(
            folds
                .iter()
                .flat_map(|(_, fold, _)| fold.issues.all().iter().map(|issue| &issue.volume)),
        ),
        exchange,
        markets: facts,
        oddities,
        issues_compared_with: compared,
    })
}

/// All rows of a market, those of both datasets in order of arrival.
fn fold(
    data: &DataDir,
    market: &FeedName,
    date: NaiveDate,
    progress: &dyn Fn(u64),
) -> Result<Fold, StoreError> {
    let mut fold = Fold::new(market.as_str(), date);
    let mut trades = Trades::open(data, market, date)?;
    let mut pieces = Pieces::open(data, market, date)?;
    while let Some(batch) = trades.next_batch()? {
        for row in batch.rows() {
            while let Some(piece) = pieces.before(row.frame)? {
                fold.quarantined(&piece);
            }
            fold.trade(&row);
        }
        progress(batch.len() as u64);
    }
    while let Some(piece) = pieces.before(u64::MAX)? {
        fold.quarantined(&piece);
    }
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
fn compare_issues<T>(
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
