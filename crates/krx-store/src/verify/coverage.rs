//! Whether coverage says what the files of a date say: their frames, rows and sessions, and the ledger in their footers.

use std::collections::BTreeMap;

use super::{Content, Day, Fault, Kind, Listed, Looker};
use crate::coverage::{Interval, Ledger, Slice, State, load};
use crate::error::StoreError;
use crate::layout::{Dataset, Market, SealedName, SealedPath};

impl Looker<'_> {
    /// Compares the coverage of a market with its files. Where one of them cannot be read, that is found already.
    pub(super) fn coverage(
        &self,
        market: &Market,
        listed: &Listed,
        contents: &BTreeMap<&str, Content>,
        day: &mut Day,
    ) {
        if self.is_expired(Dataset::Trades) || self.is_expired(Dataset::Coverage) {
            return;
        }
        let of = |dataset: Dataset| {
            let files = listed.files.iter();
            files.filter(move |(_, sealed)| sealed.market == *market && sealed.name.dataset == dataset)
        };
        let mut files: Vec<(&SealedPath, &Content)> = Vec::new();
        for (path, sealed) in of(Dataset::Trades) {
            let Some(content) = contents.get(path.as_str()) else {
                return;
            };
            files.push((sealed, content));
        }
        files.sort_by_key(|(sealed, _)| sealed.name.last_frame);
        let path = SealedPath {
            date: self.date,
            market: market.clone(),
            name: SealedName::coverage(self.date),
        };
        let name = path.to_string();
        // What is found of these files already says more than that coverage has other figures.
        let partition = format!(
            "trades/date={}/{}/",
            self.date,
            Dataset::Trades.partition_name(market)
        );
        let is_told = day.findings.iter().any(|finding| {
            let is_lost = matches!(
                finding.kind,
                Kind::Missing | Kind::Digest | Kind::Footer | Kind::Decode | Kind::Unreadable
            );
            finding.path == name || (is_lost && finding.path.starts_with(&partition))
        });
        if is_told {
            return;
        }
        let stored = match load(self.data, market, self.date) {
            Ok(stored) => stored,
            // It is listed as damaged, or is about to be replaced.
            Err(StoreError::ReadBack { what, .. }) => {
                day.find(&name, self.date, Fault::new(Kind::Coverage, what));
                return;
            }
            Err(error) => {
                day.find(&name, self.date, Fault::new(Kind::Unreadable, error.to_string()));
                return;
            }
        };
        // A commit that was cut off between its files and coverage: the next start goes on with it.
        let is_pending = listed
            .segments
            .get(market)
            .is_some_and(|segments| !segments.raw.is_empty());
        let slices: Vec<Slice> = files
            .iter()
            .filter_map(|(_, content)| content.footer.as_ref()?.slice.clone())
            .collect();
        let fault = match (&stored, Ledger::of_slices(self.date, &slices)) {
            (None, None) => None,
            (None, Some(_)) if is_pending => None,
            (None, Some(_)) => Some(
                "it does not exist, and there are files that it should tell of; `rebuild` makes it of them"
                    .to_owned(),
            ),
            (Some(stored), None) if stored.frames() == 0 => None,
            (Some(stored), None) => Some(format!(
                "it tells of {} frames, and no file has any",
                stored.frames()
            )),
            (Some(stored), Some(of_files)) => {
                let lags = is_pending && stored.last_held() < of_files.last_held();
                (!lags).then(|| difference(stored, of_files)).flatten()
            }
        };
        if let Some(detail) = fault {
            day.find(&name, self.date, Fault::new(Kind::Coverage, detail));
        }
        let partition = format!(
            "quarantine/date={}/{}/",
            self.date,
            Dataset::Quarantine.partition_name(market)
        );
        if !day
            .findings
            .iter()
            .any(|finding| finding.path.starts_with(&partition))
        {
            self.sessions(&files, of(Dataset::Quarantine), contents, day);
        }
    }

    /// Whether the rows of each session are as many as the footers' intervals say.
    fn sessions<'a>(
        &self,
        files: &[(&SealedPath, &Content)],
        quarantine: impl Iterator<Item = (&'a String, &'a SealedPath)>,
        contents: &BTreeMap<&str, Content>,
        day: &mut Day,
    ) {
        if self.is_expired(Dataset::Quarantine) {
            return;
        }
        let quarantine: Vec<_> = quarantine.collect();
        for (sealed, content) in files {
            let Some(footer) = &content.footer else { continue };
            let mut found = content.sessions.clone();
            for (path, other) in &quarantine {
                let name = other.name;
                if sealed.name.first_frame <= name.first_frame && name.last_frame <= sealed.name.last_frame {
                    let Some(content) = contents.get(path.as_str()) else {
                        return;
                    };
                    for (session, rows) in &content.sessions {
                        *found.entry(*session).or_default() += rows;
                    }
                }
            }
            let (mut told, mut frames) = (BTreeMap::<u32, u64>::new(), 0);
            for row in footer.slice.iter().flat_map(Slice::intervals) {
                frames += row.frames;
                if let Some(session) = row.session.filter(|_| row.rows > 0) {
                    *told.entry(session).or_default() += row.rows;
                }
            }
            let held: u64 = footer.frames().iter().map(|(first, last)| last + 1 - first).sum();
            let path = sealed.to_string();
            if told != found {
                let detail =
                    format!("its rows by session are {found:?}, and {told:?} by the intervals in its footer");
                day.find(&path, self.date, Fault::new(Kind::Coverage, detail));
            } else if frames != held {
                let detail = format!("it has {held} frames, and {frames} by the intervals in its footer");
                day.find(&path, self.date, Fault::new(Kind::Coverage, detail));
            }
        }
    }
}

/// What coverage says otherwise than the files; what it has behind their last frame is its own.
fn difference(stored: &Ledger, mut of_files: Ledger) -> Option<String> {
    if (stored.frames(), stored.last_held()) != (of_files.frames(), of_files.last_held()) {
        return Some(format!(
            "it tells of {} frames up to {}, and the files have {} up to {}; `rebuild` puts it right",
            stored.frames(),
            stored.last_held(),
            of_files.frames(),
            of_files.last_held()
        ));
    }
    if let Some(pair) = stored
        .intervals()
        .windows(2)
        .find(|pair| pair[0].to != pair[1].from)
    {
        return Some(format!(
            "one of its intervals ends at {}, and the next begins at {}",
            pair[0].to, pair[1].from
        ));
    }
    of_files.graft(stored);
    let (said, expected) = (stored.intervals(), of_files.intervals());
    let index = (0..said.len().max(expected.len())).find(|index| said.get(*index) != expected.get(*index))?;
    let words = |row: Option<&Interval>| {
        row.map_or_else(
            || "nothing more".to_owned(),
            |row| {
                let kind = if row.state == State::Live {
                    "live"
                } else {
                    row.reason.as_str()
                };
                format!(
                    "{kind} from {} to {}, {} frames, {} rows",
                    row.from, row.to, row.frames, row.rows
                )
            },
        )
    };
    Some(format!(
        "its row {index} is {}, and {} by the files; `rebuild` puts it right",
        words(said.get(index)),
        words(expected.get(index))
    ))
}
