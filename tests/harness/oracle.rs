//! The oracle: whether what was recorded is what was sent, record by record.
//!
//! A session's frames must be an unbroken beginning of the texts that the simulator sent in it. Frames count all texts
//! of a market and date from 1, including those without rows (replies, heartbeats); so the first row of a session shows
//! which text it begins with, and from then on every later row has its place. Sessions are matched by their first text
//! with records, in order: a connection that broke before it was journaled has no number on one side.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use chrono::NaiveDate;

use crate::expected::{Piece, Trade, clock_ms, kind, pieces};
use crate::ledger::{Ledger, Sent};
use crate::recorded::{Frame, Frames, TradeRow, korean_date};

/// The simulator's markets.
pub const MARKETS: [&str; 2] = ["KOSPI", "KOSDAQ"];

/// Both programs read the same clock; it may be stepped back by this much between sending and receiving.
const CLOCK_STEP_US: i64 = 1_000_000;

/// A clock set back behind a date's midnight by no more than this leaves the date as it is.
const BACK_MIN_US: i64 = 60_000_000;

/// What makes a recorder with the defect `poison` panic.
pub const POISON: &str = "KRX-POISON";

/// How much of each session must have been recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All of it.
    Exact,
    /// A beginning: the recorder was killed, or the connection broke.
    Prefix,
}

/// One session of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionReport {
    /// Texts sent.
    pub texts_sent: u64,
    /// Texts up to the last recorded one that bears records.
    pub texts_recorded: u64,
    /// Records in the data messages sent.
    pub records_sent: u64,
    /// Rows recorded, of both datasets.
    pub records_recorded: u64,
    /// When the first text that bears records and was not recorded was sent, µs since the Unix epoch.
    pub first_lost_us: Option<i64>,
    /// Date and number of the last recorded frame that bears records.
    pub last_frame: Option<(NaiveDate, i64)>,
}

/// What was found to be equal in one market.
#[derive(Clone, Debug, Default)]
pub struct MarketReport {
    /// Rows of `trades`.
    pub trades: u64,
    /// Rows of `quarantine`.
    pub quarantined: u64,
    /// Frames, including those without rows.
    pub frames: u64,
    /// Committed files of both datasets.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of `trades` only.
    pub trades_bytes: u64,
    /// The ledger's sessions, by number.
    pub sessions: BTreeMap<u32, SessionReport>,
}

/// What was found to be equal.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By market.
    pub markets: BTreeMap<&'static str, MarketReport>,
}

impl Report {
    /// Rows of `trades` in all markets.
    #[must_use]
    pub fn trades(&self) -> u64 {
        self.markets.values().map(|market| market.trades).sum()
    }

    /// Rows of `quarantine` in all markets.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        self.markets.values().map(|market| market.quarantined).sum()
    }

    /// Committed files.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.markets.values().map(|market| market.files).sum()
    }

    /// Their bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.markets.values().map(|market| market.bytes).sum()
    }

    /// Bytes of `trades` for each of its rows.
    #[must_use]
    pub fn bytes_per_record(&self) -> f64 {
        let bytes: u64 = self.markets.values().map(|market| market.trades_bytes).sum();
        bytes as f64 / self.trades().max(1) as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, market) in &self.markets {
            let MarketReport {
                trades,
                quarantined,
                frames,
                files,
                bytes,
                ..
            } = market;
            writeln!(
                f,
                "{name:<6} {trades:>9} records, {quarantined} quarantined, {frames} frames, {files} files, {bytes} bytes"
            )?;
        }
        write!(f, "{:.2} bytes per record", self.bytes_per_record())
    }
}

/// Compares the simulator's ledger with a data directory that nobody is writing to.
///
/// # Errors
/// The first difference.
pub fn compare(ledger: &Path, data_dir: &Path, mode: Mode) -> Result<Report> {
    compare_markets(data_dir, |market: &str| {
        Comparison::new(ledger, data_dir, market, mode)?.run()
    })
}

/// Compares everything that was sent with what a recorder made of it while its clock was set forward and back, so that
/// it left dates and returned to them.
///
/// # Errors
/// The first difference.
pub fn compare_over_dates(ledger: &Path, data_dir: &Path) -> Result<Report> {
    compare_markets(data_dir, |market: &str| {
        Comparison::new(ledger, data_dir, market, Mode::Exact)?.run_over_dates()
    })
}

fn compare_markets(data_dir: &Path, compare: impl Fn(&str) -> Result<MarketReport> + Sync) -> Result<Report> {
    for dataset in ["trades", "quarantine"] {
        for entry in crate::tree::files_under(&data_dir.join(dataset))? {
            let dir = entry.parent().unwrap_or(data_dir);
            let is_of = |market: &&str| dir.ends_with(crate::tree::partition(dataset, market));
            // Feeds of another service have a quarantine too.
            let of_any_feed = dir.file_name().unwrap_or_default().to_string_lossy();
            let known =
                MARKETS.iter().any(is_of) || (dataset == "quarantine" && of_any_feed.starts_with("feed="));
            ensure!(
                known && entry.extension().is_some_and(|end| end == "parquet"),
                "{} is not a committed file",
                entry.display()
            );
        }
    }
    std::thread::scope(|scope| {
        let compare = &compare;
        let threads = MARKETS.map(|market| {
            let compare = move || compare(market).with_context(|| format!("{market} differs"));
            (market, scope.spawn(compare))
        });
        let mut report = Report::default();
        for (market, thread) in threads {
            report.markets.insert(
                market,
                thread.join().map_err(|_| anyhow!("the oracle panicked"))??,
            );
        }
        Ok(report)
    })
}

/// A stretch of frames of one recorded session.
#[derive(Clone, Copy, Debug)]
struct Run {
    date: NaiveDate,
    session: i32,
    /// The ledger's number of the session.
    sent_as: u32,
    /// A frame's position minus its text's number.
    offset: i64,
}

struct Comparison {
    mode: Mode,
    ledger: Ledger,
    frames: Frames,
    report: MarketReport,
    run: Option<Run>,
    /// The last frame with rows, over all dates.
    position: i64,
}

impl Comparison {
    fn new(ledger: &Path, data_dir: &Path, market: &str, mode: Mode) -> Result<Self> {
        Ok(Self {
            mode,
            ledger: Ledger::open(ledger, market)?,
            frames: Frames::open(data_dir, market)?,
            report: MarketReport::default(),
            run: None,
            position: 0,
        })
    }

    fn run(mut self) -> Result<MarketReport> {
        while let Some(frame) = self.frames.next()? {
            let place = || {
                format!(
                    "frame {} of {} (session {})",
                    frame.number, frame.date, frame.session
                )
            };
            let received_on = korean_date(frame.recv_us);
            ensure!(
                received_on == Some(frame.date),
                "{}: recv_ts is of another date",
                place()
            );
            match self.run {
                Some(run) if (run.date, run.session) == (frame.date, frame.session) => {
                    self.go_on(run, &frame)
                }
                before => self.begin(before, &frame),
            }
            .with_context(place)?;
            self.position = frame.position;
            self.report.trades += frame.trades.len() as u64;
            self.report.quarantined += frame.quarantine.len() as u64;
        }
        self.end()?;
        Ok(self.finish())
    }

    /// Each text must be the next frame of one of the dates.
    fn run_over_dates(mut self) -> Result<MarketReport> {
        let mut dates = BTreeMap::<NaiveDate, VecDeque<Frame>>::new();
        while let Some(frame) = self.frames.next()? {
            let received_on = korean_date(frame.recv_us + BACK_MIN_US);
            ensure!(
                korean_date(frame.recv_us) == Some(frame.date) || received_on == Some(frame.date),
                "frame {} of {}: recv_ts is of another date",
                frame.number,
                frame.date
            );
            self.report.trades += frame.trades.len() as u64;
            self.report.quarantined += frame.quarantine.len() as u64;
            dates.entry(frame.date).or_default().push_back(frame);
        }
        let (mut texts, mut on, mut sessions) = (0, None, BTreeMap::new());
        while let Some(sent) = self.ledger.peek() {
            texts += 1;
            if pieces(&sent.text).is_empty() {
                self.pop()?;
                continue;
            }
            let (session, number) = (sent.session, sent.number);
            let is_next = |date: &&NaiveDate| {
                let next = dates.get(date).and_then(|frames| frames.front());
                next.is_some_and(|frame| same(sent, frame).is_ok())
            };
            let date = on.iter().chain(dates.keys()).find(is_next).copied();
            let frame = date.and_then(|date| dates.get_mut(&date)?.pop_front());
            let frame = frame
                .with_context(|| format!("text {number} of session {session} was sent and is missing"))?;
            let before = sessions.insert(frame.date, frame.session).unwrap_or(0);
            let rises = if date == on {
                before <= frame.session
            } else {
                before < frame.session
            };
            ensure!(
                rises,
                "frame {} of {}: session {} follows session {before}",
                frame.number,
                frame.date,
                frame.session
            );
            on = date;
            self.accept(&frame)?;
        }
        if let Some(frame) = dates.values().find_map(|frames| frames.front()) {
            bail!(
                "frame {} of {} was not sent, or is there twice",
                frame.number,
                frame.date
            );
        }
        let covered = self.frames.covered();
        ensure!(covered == texts, "{covered} frames where {texts} texts were sent");
        Ok(self.finish())
    }

    fn finish(mut self) -> MarketReport {
        let Frames {
            files,
            bytes,
            trades_bytes,
            ..
        } = self.frames;
        self.report.frames = self.frames.covered().unsigned_abs();
        (self.report.files, self.report.bytes, self.report.trades_bytes) = (files, bytes, trades_bytes);
        self.report
    }

    /// A frame of the session being compared.
    fn go_on(&mut self, run: Run, frame: &Frame) -> Result<()> {
        let number = frame.position - run.offset;
        while let Some(sent) = self.ledger.peek() {
            if sent.session != run.sent_as || sent.number.cast_signed() >= number {
                break;
            }
            ensure!(
                pieces(&sent.text).is_empty(),
                "text {} of session {} was sent and is missing",
                sent.number,
                sent.session
            );
            self.pop()?;
        }
        let sent = self.ledger.peek().filter(|sent| sent.session == run.sent_as);
        let sent = sent.with_context(|| {
            format!(
                "there is no text {number} of session {} in the ledger",
                run.sent_as
            )
        })?;
        same_by_one_clock(sent, frame)?;
        self.accept(frame)
    }

    /// The first frame of a recorded session.
    fn begin(&mut self, before: Option<Run>, frame: &Frame) -> Result<()> {
        let same_date = before.filter(|run| run.date == frame.date);
        ensure!(
            same_date.is_none_or(|run| run.session < frame.session),
            "the session's number does not rise"
        );
        let gap = frame.position - self.position - 1;
        let mut without_rows = match before {
            Some(run) => self.pop_without_rows(run.sent_as)?,
            None => 0,
        };
        // At midnight a session continues under a new number.
        if let Some(run) = before
            && same_date.is_none()
            && self
                .ledger
                .peek()
                .is_some_and(|sent| sent.session == run.sent_as && same_by_one_clock(sent, frame).is_ok())
        {
            ensure!(
                gap == without_rows,
                "{gap} frames without rows where {without_rows} were sent"
            );
            return self.accept(frame);
        }
        if let Some(run) = before {
            self.leave(run.sent_as)?;
        }
        let mut first_difference = None;
        loop {
            let Some(session) = self.ledger.peek().map(|sent| sent.session) else {
                let difference =
                    first_difference.unwrap_or_else(|| anyhow!("no session is left in the ledger"));
                return Err(difference.context("it begins no session of the ledger"));
            };
            without_rows += self.pop_without_rows(session)?;
            let Some(sent) = self.ledger.peek().filter(|sent| sent.session == session) else {
                continue;
            };
            match same_by_one_clock(sent, frame) {
                Ok(()) => {
                    let before_it = sent.number.cast_signed() - 1;
                    ensure!(
                        gap >= before_it,
                        "the session's first {before_it} texts do not fit before it"
                    );
                    ensure!(
                        gap <= without_rows,
                        "{gap} frames without rows where {without_rows} were sent: some are lost"
                    );
                    let all = self.mode == Mode::Prefix || gap == without_rows;
                    ensure!(all, "{gap} frames without rows where {without_rows} were sent");
                    return self.accept(frame);
                }
                Err(difference) => {
                    first_difference.get_or_insert(difference);
                    self.leave(session)?;
                }
            }
        }
    }

    /// Everything recorded has been compared: the rest of the ledger may be missing only where that is allowed.
    fn end(&mut self) -> Result<()> {
        let gap = self.frames.covered() - self.position;
        let mut without_rows = 0;
        while let Some(session) = self.ledger.peek().map(|sent| sent.session) {
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

    /// Takes the next texts of a session that have no rows; returns how many.
    fn pop_without_rows(&mut self, session: u32) -> Result<i64> {
        let mut count = 0;
        while self
            .ledger
            .peek()
            .is_some_and(|sent| sent.session == session && pieces(&sent.text).is_empty())
        {
            self.pop()?;
            count += 1;
        }
        Ok(count)
    }

    /// Skips the rest of a session, which was not recorded.
    fn leave(&mut self, session: u32) -> Result<()> {
        while let Some(sent) = self.ledger.peek().filter(|sent| sent.session == session) {
            ensure!(
                self.mode == Mode::Prefix,
                "text {} of session {session} was sent and is missing",
                sent.number
            );
            let lost_us = (!pieces(&sent.text).is_empty()).then_some(sent.sent_us);
            self.pop()?;
            let report = self.report.sessions.entry(session).or_default();
            report.first_lost_us = report.first_lost_us.or(lost_us);
        }
        Ok(())
    }

    /// Takes the text that `frame` turned out to be.
    fn accept(&mut self, frame: &Frame) -> Result<()> {
        let sent = self.pop()?;
        let (session, number) = (sent.session, sent.number);
        self.run = Some(Run {
            date: frame.date,
            session: frame.session,
            sent_as: session,
            offset: frame.position - number.cast_signed(),
        });
        let report = self.report.sessions.entry(session).or_default();
        report.texts_recorded = number;
        report.last_frame = Some((frame.date, frame.number));
        report.records_recorded += (frame.trades.len() + frame.quarantine.len()) as u64;
        Ok(())
    }

    fn pop(&mut self) -> Result<Sent> {
        let sent = self.ledger.pop()?.context("a text of the ledger")?;
        let report = self.report.sessions.entry(sent.session).or_default();
        report.texts_sent += 1;
        if sent.is_data {
            report.records_sent += u64::from(sent.records);
        }
        Ok(sent)
    }
}

/// Whether a frame's rows are those of a text, each once and in order.
fn same(sent: &Sent, frame: &Frame) -> Result<()> {
    let expected = pieces(&sent.text);
    if sent.is_data {
        ensure!(
            expected.len() == sent.records as usize,
            "the ledger counts {} records in {}",
            sent.records,
            sent.text
        );
    }
    let midnight_ms = frame
        .date
        .and_time(chrono::NaiveTime::MIN)
        .and_utc()
        .timestamp_millis()
        - 9 * 3_600_000;
    let (mut trades, mut quarantine) = (frame.trades.iter(), frame.quarantine.iter());
    for piece in &expected {
        match piece {
            Piece::Trade(trade) => {
                let row = trades
                    .next()
                    .with_context(|| format!("item {} is missing in trades", trade.item))?;
                ensure!(
                    row_is(row, trade, midnight_ms),
                    "trades has {row:?} where {trade:?} was sent"
                );
            }
            Piece::Rejected { item, reason, raw } => {
                let row = quarantine
                    .next()
                    .with_context(|| format!("item {item:?} is missing in quarantine: {raw}"))?;
                // A recorder with the defect `poison` quarantines such a text for a reason of its own.
                let same_reason = row.reason == *reason || (row.reason == "poison" && raw.contains(POISON));
                let equal = same_reason && (row.item, row.raw.as_slice()) == (*item, raw.as_bytes());
                ensure!(equal, "quarantine has {row:?} where {piece:?} was sent");
            }
        }
    }
    if let Some(row) = trades.next() {
        bail!("trades has {row:?}, which was not sent or is there twice");
    }
    if let Some(row) = quarantine.next() {
        bail!("quarantine has {row:?}, which was not sent or is there twice");
    }
    Ok(())
}

/// The same, where both programs read the same clock: nothing is received before it is sent.
fn same_by_one_clock(sent: &Sent, frame: &Frame) -> Result<()> {
    same(sent, frame)?;
    ensure!(
        frame.recv_us + CLOCK_STEP_US >= sent.sent_us,
        "it was received before it was sent"
    );
    Ok(())
}

fn row_is(row: &TradeRow, trade: &Trade<'_>, midnight_ms: i64) -> bool {
    row.item == trade.item
        && row.code == trade.code
        && row.price == trade.price
        && row.volume == trade.volume
        && row.trade_time == trade.time
        && row.trade_ts == clock_ms(trade.time).map(|ms| midnight_ms + ms)
        && row.kind == kind(trade.time)
        && row.extra.is_none()
}
