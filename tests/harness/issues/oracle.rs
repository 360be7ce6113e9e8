//! Compares what was sent to a per-issue feed with what was recorded of it, row by row.
//!
//! Frames count all texts of a feed and date from 1, including those without rows (answers, heartbeats). So the first row
//! of a session shows which text the session begins with, and from then on every later row has its place. Which of the
//! ledger's sessions it is, its time says: a feed has one session at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use chrono::NaiveDate;

use super::columns::{DATASETS, QUARANTINE};
use super::expected::Piece;
use super::list::IssueList;
use super::recorded::{Place, Rows, Table, What, segments};
use super::registrations::{Stretch, stretches};
use super::same::{same_reject, same_row};
use super::sent::{Sendings, beginnings};
use crate::ledger::Sent;
use crate::oracle::Mode;
use crate::recorded::korean_date;

/// Both programs read the same clock; it may be stepped back by this much between sending and receiving.
const CLOCK_STEP_US: i64 = 1_000_000;

/// One session of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssueSession {
    /// Texts sent.
    pub texts_sent: u64,
    /// Texts up to the last recorded one that has rows.
    pub texts_recorded: u64,
    /// When the first text that has rows and is not recorded was sent, µs since the Unix epoch.
    pub first_lost_us: Option<i64>,
    /// Date and number of the last recorded frame that has rows.
    pub last_frame: Option<(NaiveDate, i64)>,
    /// The requests that were heard, such as `subscribe tick10:005930`.
    pub requests: Vec<String>,
}

/// What was found to be equal.
#[derive(Clone, Debug, Default)]
pub struct IssueReport {
    /// Rows of each dataset, `quarantine` too.
    pub rows: BTreeMap<&'static str, u64>,
    /// Rows of each kind, over all datasets.
    pub kinds: BTreeMap<String, u64>,
    /// Rows of `quarantine` by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Frames, including those without rows.
    pub frames: u64,
    /// Bytes of the committed files of each dataset.
    pub bytes: BTreeMap<&'static str, u64>,
    /// Committed files of all datasets.
    pub files: u64,
    /// What is on record of its registrations, by pair and time.
    pub registrations: Vec<Stretch>,
    /// The ledger's sessions, by number.
    pub sessions: BTreeMap<u32, IssueSession>,
}

impl IssueReport {
    /// Rows of all datasets.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.rows.values().sum()
    }

    /// Rows of a dataset.
    #[must_use]
    pub fn rows_of(&self, dataset: &str) -> u64 {
        self.rows.get(dataset).copied().unwrap_or(0)
    }

    /// Rows of `quarantine`.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        self.rows_of(QUARANTINE)
    }
}

impl fmt::Display for IssueReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (dataset, rows) in &self.rows {
            let bytes = self.bytes.get(dataset).copied().unwrap_or(0);
            writeln!(
                f,
                "{dataset:<18} {rows:>9} rows, {:6.2} bytes per row",
                bytes as f64 / (*rows).max(1) as f64
            )?;
        }
        writeln!(f, "kinds {:?}, quarantined {:?}", self.kinds, self.reasons)?;
        write!(
            f,
            "{} frames in {} sessions, {} files",
            self.frames,
            self.sessions.len(),
            self.files
        )
    }
}

/// Compares the simulator's ledger of the per-issue service with what the list's feed recorded of it, in a data directory
/// that nobody is writing to. The feed must be the only one of its service, and the list must have all its derivatives.
///
/// # Errors
/// The first difference.
pub fn compare_issues(ledger: &Path, data_dir: &Path, list: &IssueList, mode: Mode) -> Result<IssueReport> {
    let mut comparison = Comparison {
        mode,
        beginnings: beginnings(ledger)?,
        sendings: Sendings::open(ledger, list.derivatives())?,
        report: IssueReport::default(),
        run: None,
        position: 0,
    };
    let (mut base, mut last) = (0, None::<(NaiveDate, i64)>);
    for segment in segments(data_dir, list.feed)? {
        if let Some((date, frame)) = last
            && date != segment.date
        {
            base += frame;
        }
        last = Some((segment.date, segment.last_frame));
        let rows = segment.read()?;
        comparison.count(&rows);
        for places in rows.order.chunk_by(|one, other| one.frame == other.frame) {
            let frame = Frame::of(segment.date, base, &rows, places);
            let what = || format!("frame {} of {}, {}", places[0].frame, segment.date, list.feed);
            comparison.frame(&frame.with_context(what)?).with_context(what)?;
        }
    }
    let covered = base + last.map_or(0, |(_, frame)| frame);
    comparison.end(covered)?;
    comparison.report.registrations = stretches(data_dir, list.feed)?;
    ensure!(
        covered == 0 || !comparison.report.registrations.is_empty(),
        "there are frames, and no registrations on record"
    );
    Ok(comparison.finish(covered))
}

/// All rows of a frame.
struct Frame<'r> {
    date: NaiveDate,
    /// Its number over all dates, from 1.
    position: i64,
    session: i32,
    recv_us: i64,
    rows: &'r Rows,
    places: &'r [Place],
}

impl<'r> Frame<'r> {
    fn of(date: NaiveDate, base: i64, rows: &'r Rows, places: &'r [Place]) -> Result<Self> {
        let head = |place: &Place| {
            let table = &rows.tables[place.table];
            (table.session.value(place.row), table.recv_us.value(place.row))
        };
        let (session, recv_us) = head(&places[0]);
        ensure!(
            places.iter().all(|place| head(place) == (session, recv_us)),
            "its rows differ in session or recv_ts"
        );
        ensure!(
            korean_date(recv_us) == Some(date),
            "its recv_ts is of another date"
        );
        Ok(Self {
            date,
            position: base + places[0].frame,
            session,
            recv_us,
            rows,
            places,
        })
    }
}

/// A recorded session.
#[derive(Clone, Copy, Debug)]
struct Run {
    date: NaiveDate,
    session: i32,
    /// The ledger's number of the session.
    sent_as: u32,
    /// A frame's position minus its text's number.
    offset: i64,
}

struct Comparison<'l> {
    mode: Mode,
    beginnings: BTreeMap<u32, i64>,
    sendings: Sendings<'l>,
    report: IssueReport,
    run: Option<Run>,
    /// The last frame with rows, over all dates.
    position: i64,
}

impl Comparison<'_> {
    fn count(&mut self, rows: &Rows) {
        for (dataset, bytes) in &rows.bytes {
            *self.report.bytes.entry(dataset).or_default() += bytes;
        }
        self.report.files += rows.tables.len() as u64;
        for Table { what, session, .. } in &rows.tables {
            let (dataset, counts, words) = match what {
                What::Records { dataset, kind, .. } => {
                    (DATASETS[*dataset].name, &mut self.report.kinds, kind)
                }
                What::Rejects { reason, .. } => (QUARANTINE, &mut self.report.reasons, reason),
            };
            for word in words.iter().flatten() {
                match counts.get_mut(word) {
                    Some(count) => *count += 1,
                    None => drop(counts.insert(word.to_owned(), 1)),
                }
            }
            *self.report.rows.entry(dataset).or_default() += session.len() as u64;
        }
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<()> {
        let begun = self.beginnings.iter().rev().find(|(_, at)| **at <= frame.recv_us);
        let sent_as = *begun.context("it was received before anything was sent")?.0;
        let run = match self.run {
            Some(run) if run.sent_as == sent_as => {
                ensure!(
                    run.date != frame.date || run.session == frame.session,
                    "its session is {} where {} goes on",
                    frame.session,
                    run.session
                );
                Run {
                    date: frame.date,
                    session: frame.session,
                    ..run
                }
            }
            before => self.begin(before, sent_as, frame)?,
        };
        let number = frame.position - run.offset;
        while let Some(sent) = self.sendings.peek() {
            if sent.session != sent_as || sent.number.cast_signed() >= number {
                break;
            }
            self.ensure_without_rows("was sent and is missing")?;
            self.pop()?;
        }
        let sent = self.sendings.peek().filter(|sent| sent.session == sent_as);
        let sent = sent.with_context(|| format!("there is no text {number} of session {sent_as}"))?;
        ensure!(
            frame.recv_us + CLOCK_STEP_US >= sent.sent_us,
            "it was received before it was sent"
        );
        self.same(sent, frame)
            .with_context(|| format!("text {} of session {sent_as}: {}", sent.number, sent.text))?;
        let number = sent.number;
        self.pop()?;
        let session = self.session(sent_as);
        session.texts_recorded = number;
        session.last_frame = Some((frame.date, frame.places[0].frame));
        (self.run, self.position) = (Some(run), frame.position);
        Ok(())
    }

    /// Finds the text that is the first frame with rows of a recorded session.
    fn begin(&mut self, before: Option<Run>, sent_as: u32, frame: &Frame<'_>) -> Result<Run> {
        let same_date = before.filter(|run| run.date == frame.date);
        ensure!(
            same_date.is_none_or(|run| run.session < frame.session),
            "the session's number does not rise"
        );
        let mut without_rows = 0;
        while let Some(session) = self.sendings.peek().map(|sent| sent.session)
            && session < sent_as
        {
            without_rows += self.pop_without_rows(session)?;
            self.leave(session)?;
        }
        without_rows += self.pop_without_rows(sent_as)?;
        let first = self.sendings.peek().filter(|sent| sent.session == sent_as);
        let first = first.with_context(|| format!("no text of session {sent_as} has rows"))?;
        let number = first.number.cast_signed();
        let gap = frame.position - self.position - 1;
        ensure!(
            gap >= number - 1,
            "the session's first {} texts do not fit before it",
            number - 1
        );
        let all = self.mode == Mode::Prefix || gap == without_rows;
        ensure!(
            gap <= without_rows && all,
            "{gap} frames without rows where {without_rows} were sent"
        );
        Ok(Run {
            date: frame.date,
            session: frame.session,
            sent_as,
            offset: frame.position - number,
        })
    }

    /// Everything recorded has been compared: the rest of the ledger may be missing only where that is allowed.
    fn end(&mut self, covered: i64) -> Result<()> {
        let gap = covered - self.position;
        let mut without_rows = 0;
        while let Some(session) = self.sendings.peek().map(|sent| sent.session) {
            without_rows += self.pop_without_rows(session)?;
            self.leave(session)?;
        }
        let all = self.mode == Mode::Prefix || gap == without_rows;
        ensure!(
            gap <= without_rows && all,
            "the last {gap} frames have no rows, and {without_rows} such texts were sent"
        );
        Ok(())
    }

    fn finish(mut self, covered: i64) -> IssueReport {
        for (session, requests) in std::mem::take(&mut self.sendings.requests) {
            self.session(session).requests = requests;
        }
        self.report.frames = covered.unsigned_abs();
        self.report
    }

    fn session(&mut self, number: u32) -> &mut IssueSession {
        self.report.sessions.entry(number).or_default()
    }

    fn ensure_without_rows(&self, words: &str) -> Result<()> {
        if let (Some(sent), [first, ..]) = (self.sendings.peek(), &self.sendings.pieces()[..]) {
            bail!(
                "text {} of session {} {words}: {first:?}",
                sent.number,
                sent.session
            );
        }
        Ok(())
    }

    /// Takes the next texts of a session that have no rows; returns how many.
    fn pop_without_rows(&mut self, session: u32) -> Result<i64> {
        let mut count = 0;
        while self.sendings.peek().is_some_and(|sent| sent.session == session)
            && self.sendings.pieces().is_empty()
        {
            self.pop()?;
            count += 1;
        }
        Ok(count)
    }

    /// Skips the rest of a session, which was not recorded.
    fn leave(&mut self, session: u32) -> Result<()> {
        while self.sendings.peek().is_some_and(|sent| sent.session == session) {
            if self.mode == Mode::Exact {
                self.ensure_without_rows("was sent and is missing at the session's end")?;
            }
            let lost = self
                .sendings
                .peek()
                .filter(|_| !self.sendings.pieces().is_empty());
            let lost_us = lost.map(|sent| sent.sent_us);
            let session = self.session(session);
            session.first_lost_us = session.first_lost_us.or(lost_us);
            self.pop()?;
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<()> {
        let sent = self.sendings.pop()?.context("a text of the ledger")?;
        self.session(sent.session).texts_sent += 1;
        Ok(())
    }

    /// Whether a frame's rows are those of the next text, each once and in order.
    fn same(&self, sent: &Sent, frame: &Frame<'_>) -> Result<()> {
        let (mut pieces, good) = self.sendings.pieces_and_records();
        ensure!(
            !sent.is_data || good == sent.records,
            "the ledger counts {} records, and {good} are good",
            sent.records
        );
        // What has no item comes first, as in the order of the rows.
        pieces.sort_by_key(|piece| match piece {
            Piece::Row(row) => Some(row.item),
            Piece::Rejected { item, .. } => *item,
        });
        let midnight = frame.date.and_time(chrono::NaiveTime::MIN).and_utc();
        let midnight_ms = midnight.timestamp_millis() - 9 * 3_600_000;
        for (piece, place) in pieces.iter().zip(frame.places) {
            let table = &frame.rows.tables[place.table];
            let same = match piece {
                Piece::Row(row) => same_row(row, table, *place, midnight_ms),
                Piece::Rejected { item, reason, raw } => same_reject((*item, reason, raw), table, *place),
            };
            same.with_context(|| {
                format!(
                    "row {} of {}: {piece:?} was sent",
                    place.row,
                    table.path.display()
                )
            })?;
        }
        match (pieces.get(frame.places.len()), frame.places.get(pieces.len())) {
            (Some(piece), _) => bail!("{piece:?} is missing"),
            (_, Some(place)) => bail!(
                "row {} of {} was not sent or is there twice",
                place.row,
                frame.rows.tables[place.table].path.display()
            ),
            _ => Ok(()),
        }
    }
}
