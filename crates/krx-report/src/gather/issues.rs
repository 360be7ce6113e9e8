//! Per-issue feeds: the rows of each pair in order, table by table.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use krx_protocol::per_issue::Table;
use krx_store::read::{Push, Pushes, Quarantine, Stretch, registrations};
use krx_store::{DataDir, FeedName, Moment, StoreError, coverage};

use crate::figures::active::Active;
use crate::figures::exchange::ExchangeDay;
use crate::figures::feed::{FeedFold, FeedHours};
use crate::figures::quotes::Quotes;
use crate::figures::shares::{Comparing, Volumes};
use crate::figures::ticks::{Tick, Ticks, each_once};
use crate::figures::trd_vol::TrdVol;

/// All that was pushed on a date.
pub(super) struct Pushed {
    /// By name.
    pub(super) feeds: Vec<Feed>,
    quotes: Quotes,
    volumes: Volumes,
    ticks: Ticks,
}

/// One feed of them.
pub(super) struct Feed {
    pub(super) name: FeedName,
    /// `None` when nothing says what was registered.
    pub(super) registrations: Option<Vec<Stretch>>,
    pub(super) fold: FeedFold,
}

impl Pushed {
    /// What concerns the issues of all feeds.
    pub(super) fn parts(self) -> (Quotes, Volumes, Vec<Active>, Ticks) {
        let active = self.feeds.into_iter().map(|feed| feed.fold.into_active());
        (self.quotes, self.volumes, active.collect(), self.ticks)
    }
}

/// Reads all rows of the feeds of a date.
pub(super) fn fold(
    data: &DataDir,
    names: &BTreeSet<FeedName>,
    (date, exchange): (NaiveDate, &ExchangeDay),
    now: Moment,
    progress: &dyn Fn(u64),
) -> Result<Pushed, StoreError> {
    let mut feeds = Vec::new();
    for name in names {
        let registrations = registrations(data, name, date)?;
        let ledger = coverage::view(data, name, date, now)?;
        let known = registrations.as_deref().unwrap_or_default();
        let (active, hours) = (Active::of(known, &ledger), FeedHours::of(exchange, known, now));
        feeds.push(Feed {
            name: name.clone(),
            fold: FeedFold::new(date, active, hours),
            registrations,
        });
    }
    let of_feeds: Vec<_> = feeds
        .iter()
        .map(|feed| (feed.name.as_str(), feed.fold.active()))
        .collect();
    let mut pushed = Pushed {
        quotes: Quotes::new(&of_feeds, exchange.continuous()),
        volumes: Volumes::default(),
        ticks: Ticks::default(),
        feeds,
    };
    for place in 0..pushed.feeds.len() {
        for table in Table::ALL {
            let mut pushes = Pushes::open(data, table, &pushed.feeds[place].name, date)?;
            while let Some(batch) = pushes.next_batch()? {
                for push in batch.rows() {
                    pushed.row(place, table, &push);
                }
                progress(batch.len() as u64);
            }
        }
        let feed = &mut pushed.feeds[place];
        let mut pieces = Quarantine::open(data, &feed.name, date)?;
        while let Some(batch) = pieces.next_batch()? {
            batch.iter().for_each(|piece| feed.fold.quarantined(piece));
        }
    }
    Ok(pushed)
}

impl Pushed {
    fn row(&mut self, place: usize, table: Table, push: &Push<'_>) {
        let (before, feed) = self.feeds.split_at_mut(place);
        let Some(feed) = feed.first_mut() else { return };
        let (pair, stretch) = feed.fold.row(push);
        if let Some(stretch) = stretch
            && self.quotes.wants(feed.name.as_str(), pair)
        {
            self.quotes.quote(push, &stretch);
        }
        match table {
            Table::Ticks => {
                self.volumes.push(push, false);
                if let Some(tick) = Tick::of(place, push) {
                    self.ticks.add(push.code, tick);
                }
            }
            Table::Quotes | Table::Books => {
                // A feed with an earlier name had the same pair then.
                let is_superseded = before.iter().any(|of| of.fold.active().has(pair, push.recv));
                self.volumes.push(push, !is_superseded);
            }
            _ => {}
        }
    }
}

/// Compares what was pushed of each stock with itself; its trades are what records are compared with next.
pub(super) fn compare<'a>(
    volumes: &'a Volumes,
    active: &'a [Active],
    mut ticks: Ticks,
    begin: Moment,
) -> (Comparing<'a>, TrdVol) {
    let mut comparing = Comparing::new(volumes, active, begin, ticks.are_too_many());
    let mut trd_vol = TrdVol::default();
    for code in comparing.codes() {
        let trades = each_once(ticks.take(code));
        comparing.issue(code, &trades);
        trd_vol.issue(code, &trades);
    }
    (comparing, trd_vol)
}
