//! Reads a date through the store and folds it into its figures.

mod issues;
mod markets;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{NaiveDate, NaiveTime};
use krx_calendar::Calendar;
use krx_protocol::per_issue::Table;
use krx_store::coverage::State;
use krx_store::lag::DayVerdicts;
use krx_store::read::{Pushes, Trades, again_if_gone};
use krx_store::service::PER_ISSUE;
use krx_store::{DataDir, FeedName, Moment, StoreError, catalog, clock, coverage, feed_service};

use crate::figures::clock::ClockFacts;
use crate::figures::day::{DayFacts, all_received};
use crate::figures::exchange::{ExchangeDay, at};
use crate::figures::market::MarketFacts;
use crate::figures::oddities::{Found, Kind, together};
use crate::figures::received::Received;
use crate::figures::registered::{registered, worries};
use crate::figures::trd_vol::is_cumulative;
use crate::figures::verdict::verdict;
use crate::figures::volume::judge;

/// Block trades may be made from then on: what was traded before a registration began is missing since then.
const FIRST_TRADES: NaiveTime = NaiveTime::from_hms_opt(8, 0, 0).expect("it is a time of the day");

/// A date of which something is known.
#[derive(Debug)]
pub struct RecordedDay<'a> {
    data: &'a DataDir,
    date: NaiveDate,
    markets: BTreeSet<FeedName>,
    /// Of the per-issue service.
    feeds: BTreeSet<FeedName>,
}

impl<'a> RecordedDay<'a> {
    /// The date if anything is known about it; otherwise the dates that are known.
    ///
    /// # Errors
    /// [`StoreError`], when the data directory cannot be read.
    pub fn find(data: &'a DataDir, date: NaiveDate) -> Result<Result<Self, Vec<NaiveDate>>, StoreError> {
        let known = coverage::dates(data)?;
        let mut all = catalog::feeds(data, date)?;
        let of_date = known.iter().filter(|(of, _)| *of == date);
        all.extend(of_date.map(|(_, feed)| feed.clone()));
        if all.is_empty() {
            let mut dates = catalog::recorded_dates(data)?;
            dates.extend(known.iter().map(|(of, _)| *of));
            return Ok(Err(dates.into_iter().collect()));
        }
        let (mut markets, mut feeds) = (BTreeSet::new(), BTreeSet::new());
        for feed in all {
            let service = feed_service::of_date(data, &feed, date)?;
            if *service == PER_ISSUE {
                feeds.insert(feed);
            } else {
                markets.insert(feed);
            }
        }
        let day = Self {
            data,
            date,
            markets,
            feeds,
        };
        Ok(Ok(day))
    }

    /// The number of rows to read.
    ///
    /// # Errors
    /// [`StoreError`], when they cannot be counted.
    pub fn rows(&self) -> Result<u64, StoreError> {
        again_if_gone(|| {
            let mut rows = 0;
            for market in &self.markets {
                rows += Trades::open(self.data, market, self.date)?.rows();
            }
            for feed in &self.feeds {
                for table in Table::ALL {
                    rows += Pushes::open(self.data, table, feed, self.date)?.rows();
                }
            }
            Ok(rows)
        })
    }

    /// Reads everything. `version` is that of the calling program; a record that came later than `lag_max` after its trade is
    /// late; `progress` is called with the number of rows read.
    ///
    /// # Errors
    /// [`StoreError`], when the data directory cannot be read.
    pub fn facts(
        &self,
        calendar: &Calendar,
        version: &'static str,
        lag_max: Duration,
        now: Moment,
        progress: &dyn Fn(u64),
    ) -> Result<DayFacts, StoreError> {
        gather(self, calendar, version, lag_max, now, progress)
    }
}

fn gather(
    RecordedDay {
        data,
        date,
        markets,
        feeds,
    }: &RecordedDay<'_>,
    calendar: &Calendar,
    version: &'static str,
    lag_max: Duration,
    now: Moment,
    progress: &dyn Fn(u64),
) -> Result<DayFacts, StoreError> {
    let date = *date;
    let exchange = ExchangeDay::of(calendar, &catalog::recorded_dates(data)?, date);
    let regular = exchange.regular();

    // Those of the per-issue service first: the others are compared with them.
    let pushed = again_if_gone(|| issues::fold(data, feeds, (date, &exchange), now, progress))?;
    let (mut feed_facts, mut shown) = (Vec::new(), Vec::new());
    for of in &pushed.feeds {
        shown.push((of.name.clone(), of.fold.lags().verdicts(date, lag_max)));
        let ledger = coverage::view(data, &of.name, date, now)?;
        let registrations = of.registrations.as_deref();
        feed_facts.push(of.fold.facts(of.name.as_str(), registrations, ledger));
    }
    let (quotes, volumes, active, ticks) = pushed.parts();
    let (shares, mut trd_vol) = issues::compare(&volumes, &active, ticks, at(date, FIRST_TRADES));

    let mut folds = Vec::new();
    for market in markets {
        // Rows committed while the files are being read must be in the ledger too.
        let fold = again_if_gone(|| markets::fold(data, market, date, &mut trd_vol, progress))?;
        folds.push((market, fold, coverage::view(data, market, date, now)?));
    }
    let of_markets = folds.iter().map(|(market, fold, _)| {
        let verdicts = fold.lags.verdicts(date, lag_max);
        ((*market).clone(), verdicts)
    });
    let clock = clock_facts(data, date, of_markets.chain(shown), lag_max);
    let compared = markets::compare_issues(data, date, &mut folds)?;
    let market_facts: Vec<MarketFacts> = folds
        .iter()
        .map(|(market, fold, ledger)| MarketFacts::new(market.as_str(), fold, ledger.clone(), regular, now))
        .collect();

    let received: Vec<&Received> = all_received(&market_facts, &feed_facts).collect();
    // The last sessions may be over even if the date is not.
    let sessions_end = calendar
        .day(date)
        .sessions()
        .last()
        .map(|session| at(date, session.to));
    let is_live = |feed: &&Received| feed.ledger.last().is_some_and(|last| last.state == State::Live);
    let goes_on =
        now.date() == date && (received.iter().any(is_live) || sessions_end.is_some_and(|end| now < end));
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
    let shares = shares.facts(|code| {
        let of_markets = folds
            .iter()
            .filter_map(|(_, fold, _)| fold.issues.get(code)?.shares());
        of_markets.reduce(i64::saturating_add)
    });
    let quotes = quotes.facts();
    let volume = judge(
        folds
            .iter()
            .flat_map(|(_, fold, _)| fold.issues.all().iter().map(|issue| &issue.volume)),
    );
    let trd_vol = trd_vol.facts();
    let is_cumulative = is_cumulative(trd_vol.as_ref(), &volume);
    let registered = registered(&feed_facts, goes_on);
    let more = worries(&feed_facts, (&shares, &quotes), is_cumulative, goes_on);
    Ok(DayFacts {
        date,
        made_at: Some(now),
        version,
        data_dir: std::path::absolute(data.path()).unwrap_or_else(|_| data.path().to_owned()),
        verdict: verdict(&exchange, &received, (&registered, more), &oddities, goes_on).with_clock(&clock),
        clock,
        goes_on,
        volume,
        trd_vol,
        exchange,
        markets: market_facts,
        feeds: feed_facts,
        quotes,
        shares,
        oddities,
        issues_compared_with: compared,
    })
}

/// What is known of the clock. A file of the dataset that cannot be read leaves the kernel's part unknown: `verify` finds it.
fn clock_facts(
    data: &DataDir,
    date: NaiveDate,
    feeds: impl Iterator<Item = (FeedName, DayVerdicts)>,
    lag_max: Duration,
) -> ClockFacts {
    let rows = clock::load(data, date).unwrap_or_default();
    let feeds: Vec<_> = feeds.collect();
    ClockFacts::of(&rows, &feeds, lag_max)
}
