//! The ledger as of now: what the exporter has written of it, and the rest of the journal.

use std::fs;

use chrono::NaiveDate;
use krx_protocol::{BatchSink, Decoder, Reason, Trade};

use super::file::load;
use super::interval::Interval;
use super::ledger::Ledger;
use super::restore::restore;
use crate::error::{StoreError, at};
use crate::journal::{Event, Followed, Follower, RecordKind, end_of_damage, list_segments};
use crate::layout::{DataDir, Dataset, Market};
use crate::lock;
use crate::moment::Moment;

/// The markets and dates that something is known of, in order.
///
/// # Errors
/// [`StoreError::Io`], when the data directory cannot be listed.
pub fn dates(data: &DataDir) -> Result<Vec<(NaiveDate, Market)>, StoreError> {
    let mut found = Vec::new();
    for dataset in [Dataset::Coverage, Dataset::Trades] {
        let root = data.path().join(dataset.as_str());
        for (date, dir) in partitions(&root, "date=")? {
            for (name, _) in partitions(&dir, "")? {
                found.extend(date.parse().ok().zip(dataset.parse_partition(&name)));
            }
        }
    }
    for (market, dir) in partitions(&data.journals(), "")? {
        if let Ok(market) = market.parse::<Market>() {
            let names = list_segments(&dir)?;
            found.extend(names.into_iter().map(|name| (name.date, market.clone())));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn partitions(dir: &std::path::Path, prefix: &str) -> Result<Vec<(String, std::path::PathBuf)>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at("listing", dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at("listing", dir))?;
        let name = entry.file_name();
        if let Some(value) = name.to_str().and_then(|name| name.strip_prefix(prefix)) {
            found.push((value.to_owned(), entry.path()));
        }
    }
    Ok(found)
}

/// The intervals of a market and date, up to `now` or the end of the date. Also while a recorder is at work, and after
/// one was killed: what the journal has beyond the coverage file is folded in.
///
/// # Errors
/// [`StoreError`], when file or journal cannot be read.
pub fn view(
    data: &DataDir,
    market: &Market,
    date: NaiveDate,
    now: Moment,
) -> Result<Vec<Interval>, StoreError> {
    // A recorder may replace the file and remove a segment while they are read; the second look then sees both.
    let ledger = match fold(data, market, date) {
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            fold(data, market, date)
        }
        other => other,
    }?;
    let (_, end) = super::bounds(date);
    // Whoever holds the lock may still be at work on this date; on an earlier one nobody is.
    Ok(if now < end && lock::is_held(data)? {
        ledger.until(now)
    } else {
        ledger.without_recorder(now)
    })
}

/// What the files say. A copy of coverage alone, without what it tells of, is believed.
fn known(data: &DataDir, market: &Market, date: NaiveDate) -> Result<Ledger, StoreError> {
    let has_files = data.partition(Dataset::Trades, date, market).exists();
    if !has_files
        && !list_segments(&data.journal(market))?
            .iter()
            .any(|name| name.date == date)
        && let Some(ledger) = load(data, market, date)?
    {
        return Ok(ledger);
    }
    Ok(restore(data, market, date)?.ledger)
}

fn fold(data: &DataDir, market: &Market, date: NaiveDate) -> Result<Ledger, StoreError> {
    let mut ledger = known(data, market, date)?;
    let mut follower = Follower::new(data.journal(market), None);
    if let Some(before) = list_segments(&data.journal(market))?
        .into_iter()
        .rfind(|name| name.date < date || ledger.folded().is_some_and(|folded| *name < folded.segment))
    {
        follower.skip_to_after(before);
    }
    let mut decoder = Decoder::new();
    loop {
        match follower.advance()? {
            Followed::Record(name, head) => {
                let position = follower.position();
                if name.date != date || position.is_none_or(|here| ledger.has(here)) {
                    continue;
                }
                match head.kind {
                    RecordKind::Frame if head.frame <= ledger.last_frame() => {}
                    RecordKind::Frame => {
                        let mut rows = Rows(0);
                        decoder.decode(follower.payload(), &mut rows);
                        ledger.frame(head.at, head.session, head.frame, rows.0);
                    }
                    RecordKind::Event => {
                        if let Ok(event) = serde_json::from_slice::<Event>(follower.payload()) {
                            ledger.event(head.at, head.session, head.frame, &event);
                        }
                    }
                }
            }
            Followed::Damage(name, span) if name.date == date => {
                let end = end_of_damage(&data.journal(market), name, &span);
                if !ledger.has(end) {
                    ledger.damage(damage_detail(name, &span));
                }
            }
            Followed::Damage(..) | Followed::SegmentEnd(_) => {}
            Followed::CaughtUp => return Ok(ledger),
        }
    }
}

pub(crate) fn damage_detail(name: crate::layout::SegmentName, span: &std::ops::Range<u64>) -> String {
    if span.end == u64::MAX {
        format!("both copies of the header of journal segment {name} are damaged")
    } else {
        format!(
            "journal segment {name} is damaged in bytes {} to {}",
            span.start, span.end
        )
    }
}

/// Counts the rows that a frame gives.
struct Rows(u64);

impl BatchSink for Rows {
    fn trade(&mut self, _item: i16, _trade: &Trade<'_>) {
        self.0 += 1;
    }

    fn reject(&mut self, _item: Option<i16>, _reason: Reason, _detail: &str, _raw: &[u8]) {
        self.0 += 1;
    }
}
