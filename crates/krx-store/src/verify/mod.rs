//! Reading again what was sealed: is it still what it was?
//!
//! ```text
//!   a date ─▶ its files, its list of checksums, its journal ─▶ findings ─▶ looked at again ─▶ those that are left
//! ```
//!
//! A recorder may be at work meanwhile: it seals files, replaces lists and removes segments. Whatever it leaves in
//! between for a moment is gone when the date is looked at again, so only what is found every time is reported.
//! Nothing is locked and nothing is written.

mod coverage;
mod journal;
mod ranges;
mod sealed;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use chrono::NaiveDate;
use serde::Serialize;

use crate::archive;
use crate::checksums::{Checksums, List, Pending};
use crate::error::{StoreError, at};
use crate::export::Footer;
use crate::journal::list_segments;
use crate::layout::{DataDir, Dataset, Market, SealedName, SealedPath, SegmentName};
use crate::lock;
use crate::moment::{Moment, midnight_ms};
use journal::Last;
use ranges::{Break, breaks, held};
pub(crate) use sealed::look;
use sealed::{Content, Facts};

/// What is wrong, in a word that scripts can rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Something that the recorder did not put there.
    Foreign,
    /// A file's digest is not the one in its list; coverage without a line does not fit the checksum in its footer.
    Digest,
    /// A sealed file without a line in its list.
    Unlisted,
    /// A file that is in a list, or that another file tells of, does not exist.
    Missing,
    /// A line of a list cannot be read.
    List,
    /// A footer that cannot be read, or that disagrees with the file's name and place.
    Footer,
    /// Columns that cannot be decoded.
    Decode,
    /// Another number of rows than the footer says.
    Rows,
    /// Rows of frames that the file does not cover, out of order, or twice.
    Frames,
    /// Frames that no file has.
    Hole,
    /// Frames that two files have.
    Overlap,
    /// Two files of the same frames that disagree.
    Partner,
    /// Coverage does not say what the files say.
    Coverage,
    /// A stretch of a journal segment is damaged.
    Journal,
    /// An archived segment is damaged.
    Archive,
    /// A trading day on which nothing ran, and nothing says so.
    Unaccounted,
    /// The disk did not give it back.
    Unreadable,
}

impl Kind {
    /// The word in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Digest => "digest",
            Self::Unlisted => "unlisted",
            Self::Missing => "missing",
            Self::List => "list",
            Self::Footer => "footer",
            Self::Decode => "decode",
            Self::Rows => "rows",
            Self::Frames => "frames",
            Self::Hole => "hole",
            Self::Overlap => "overlap",
            Self::Partner => "partner",
            Self::Coverage => "coverage",
            Self::Journal => "journal",
            Self::Archive => "archive",
            Self::Unaccounted => "unaccounted",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Something wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) detail: String,
}

impl Fault {
    fn new(kind: Kind, detail: String) -> Self {
        Self { kind, detail }
    }
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Relative to the data directory.
    pub path: String,
    /// What, in a word.
    pub kind: Kind,
    /// What, in full.
    pub detail: String,
    /// The date that it belongs to, if any.
    #[serde(skip)]
    pub date: Option<NaiveDate>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.path, self.kind.as_str(), self.detail)
    }
}

/// What a market has on a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketDay {
    /// The date.
    pub date: NaiveDate,
    /// The market.
    pub market: Market,
    /// Sealed files of all datasets.
    pub files: u64,
    /// Rows of trades.
    pub trades: u64,
    /// Rows of quarantine.
    pub quarantined: u64,
    /// Frames that a sealed file covers.
    pub frames: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Journal segments, raw and archived.
    pub segments: u64,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether there is no finding.
    pub ok: bool,
    /// The dates that were looked at.
    pub dates: Vec<NaiveDate>,
    /// Sealed files.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Holes that the coverage dataset tells of: known, and no failure.
    pub known: Vec<Finding>,
    /// By date and market.
    #[serde(skip)]
    pub days: Vec<MarketDay>,
}

impl Report {
    /// Whether the disk did not give something back: the report is then not whole.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.kind == Kind::Unreadable)
    }
}

/// How often a date with findings is looked at before they are believed, and how long is waited in between: longer
/// than an exporter takes to rename two files, and to add them to a list.
const LOOKS: usize = 3;
const PAUSE: Duration = Duration::from_millis(300);

/// The dates that the data directory has anything of.
///
/// # Errors
/// [`StoreError::Io`], when it cannot be listed.
pub fn dates(data: &DataDir) -> Result<BTreeSet<NaiveDate>, StoreError> {
    fs::read_dir(data.path()).map_err(at("reading the data directory", data.path()))?;
    let mut dates = BTreeSet::new();
    for dataset in Dataset::ALL {
        let names = names_in(&data.path().join(dataset.as_str()))?;
        dates.extend(
            names
                .iter()
                .filter_map(|(name, _)| parse_partition::<NaiveDate>(name, "date=")),
        );
    }
    let lists = names_in(&data.checksums())?;
    dates.extend(
        lists
            .iter()
            .filter_map(|(name, _)| DataDir::parse_checksum_list(name)),
    );
    for market in journal_markets(data)? {
        dates.extend(
            list_segments(&data.journal(&market))?
                .iter()
                .map(|name| name.date),
        );
        dates.extend(archive::list(data, &market)?.iter().map(|name| name.date));
    }
    Ok(dates)
}

/// The bytes that [`verify`] is going to read, about.
///
/// # Errors
/// [`StoreError::Io`], when a directory cannot be listed.
pub fn bytes_of(data: &DataDir, dates: &BTreeSet<NaiveDate>) -> Result<u64, StoreError> {
    let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut bytes = 0;
    for date in dates {
        let listed = Listed::of(data, *date)?;
        for sealed in listed.files.keys() {
            bytes += size(&data.path().join(sealed));
        }
        for (market, segments) in listed.segments {
            let raw = segments
                .raw
                .iter()
                .map(|name| data.journal(&market).join(name.to_string()));
            let archived = segments
                .archived
                .iter()
                .map(|name| archive::path(data, &market, *name));
            bytes += raw.chain(archived).map(|path| size(&path)).sum::<u64>();
        }
    }
    Ok(bytes)
}

/// Reads all sealed files, lists and journal segments of the dates. `read` is told of bytes as they are done.
///
/// # Errors
/// [`StoreError::Io`], when a directory cannot be listed. A file that cannot be read is a finding.
pub fn verify(data: &DataDir, dates: &BTreeSet<NaiveDate>, read: &dyn Fn(u64)) -> Result<Report, StoreError> {
    let mut report = Report::default();
    for date in dates {
        let mut looker = Looker {
            data,
            date: *date,
            read: Some(read),
            sound: HashMap::new(),
        };
        let mut day = looker.look()?;
        looker.read = None;
        for _ in 1..LOOKS {
            if day.findings.is_empty() {
                break;
            }
            // A recorder that has just ended leaves nothing half done: without one there is nothing to wait for.
            if lock::is_held(data)? {
                std::thread::sleep(PAUSE);
            }
            let before = std::mem::take(&mut day.findings);
            day = looker.look()?;
            day.findings.retain(|finding| before.contains(finding));
        }
        report.dates.push(*date);
        report.findings.append(&mut day.findings);
        report.known.append(&mut day.known);
        for market in day.markets.into_values() {
            report.files += market.files;
            report.bytes += market.bytes;
            report.days.push(market);
        }
        report.rows += day.rows;
    }
    report.ok = report.findings.is_empty();
    Ok(report)
}

/// What lies in the datasets beside dates: nothing does, as long as nobody puts it there.
///
/// # Errors
/// [`StoreError::Io`], when a directory cannot be listed.
pub fn foreign(data: &DataDir) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    for dataset in Dataset::ALL {
        for (name, is_dir) in names_in(&data.path().join(dataset.as_str()))? {
            if !is_dir || parse_partition::<NaiveDate>(&name, "date=").is_none() {
                findings.push(foreign_finding(format!("{}/{name}", dataset.as_str()), None));
            }
        }
    }
    Ok(findings)
}

fn foreign_finding(path: String, date: Option<NaiveDate>) -> Finding {
    let detail = "the recorder did not put it there, and readers of the dataset may fail on it".to_owned();
    Finding {
        path,
        kind: Kind::Foreign,
        detail,
        date,
    }
}

/// What the directories of a date have.
#[derive(Default)]
struct Listed {
    files: BTreeMap<String, SealedPath>,
    foreign: Vec<String>,
    segments: BTreeMap<Market, Segments>,
}

#[derive(Default)]
struct Segments {
    /// Of the date.
    raw: Vec<SegmentName>,
    archived: Vec<SegmentName>,
    /// Of any date.
    newest: Option<SegmentName>,
}

impl Listed {
    fn of(data: &DataDir, date: NaiveDate) -> Result<Self, StoreError> {
        let mut listed = Self::default();
        for dataset in Dataset::ALL {
            for (name, is_dir) in names_in(&data.date_dir(dataset, date))? {
                let path = format!("{}/date={date}/{name}", dataset.as_str());
                match dataset.parse_partition(&name) {
                    Some(market) if is_dir => listed.partition(data, dataset, date, &market)?,
                    _ => listed.foreign.push(path),
                }
            }
        }
        for market in journal_markets(data)? {
            let raw = list_segments(&data.journal(&market))?;
            let mut segments = Segments {
                newest: raw.last().copied(),
                raw,
                archived: archive::list(data, &market)?,
            };
            segments.raw.retain(|name| name.date == date);
            segments.archived.retain(|name| name.date == date);
            listed.segments.insert(market, segments);
        }
        Ok(listed)
    }

    fn partition(
        &mut self,
        data: &DataDir,
        dataset: Dataset,
        date: NaiveDate,
        market: &Market,
    ) -> Result<(), StoreError> {
        for (name, is_dir) in names_in(&data.partition(dataset, date, market))? {
            let parsed = SealedName::parse(&name).filter(|parsed| {
                let forwards = parsed.first_frame <= parsed.last_frame;
                !is_dir && parsed.dataset == dataset && parsed.partition.date() == date && forwards
            });
            match parsed {
                Some(name) => {
                    let market = market.clone();
                    let sealed = SealedPath { date, market, name };
                    self.files.insert(sealed.to_string(), sealed);
                }
                None => {
                    let dir = format!(
                        "{}/date={date}/{}",
                        dataset.as_str(),
                        dataset.partition_name(market)
                    );
                    self.foreign.push(format!("{dir}/{name}"));
                }
            }
        }
        Ok(())
    }
}

/// The names in a directory, and whether each is a directory's. One that does not exist has none.
fn names_in(dir: &Path) -> Result<Vec<(String, bool)>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(at("listing", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at("listing", dir))?;
        let is_dir = entry.file_type().map_err(at("listing", dir))?.is_dir();
        names.push((entry.file_name().to_string_lossy().into_owned(), is_dir));
    }
    names.sort();
    Ok(names)
}

fn parse_partition<T: std::str::FromStr + fmt::Display>(name: &str, key: &str) -> Option<T> {
    let text = name.strip_prefix(key)?;
    text.parse::<T>().ok().filter(|parsed| parsed.to_string() == text)
}

/// The markets that have a journal or an archive.
pub(crate) fn journal_markets(data: &DataDir) -> Result<BTreeSet<Market>, StoreError> {
    let mut markets = BTreeSet::new();
    for dir in ["journal", "archive"] {
        let names = names_in(&data.internal().join(dir))?;
        markets.extend(names.iter().filter_map(|(name, _)| name.parse::<Market>().ok()));
    }
    Ok(markets)
}

/// What a look at a date has found.
#[derive(Default)]
struct Day {
    markets: BTreeMap<Market, MarketDay>,
    rows: u64,
    findings: Vec<Finding>,
    known: Vec<Finding>,
}

/// Looks at a date, several times if need be.
struct Looker<'a> {
    data: &'a DataDir,
    date: NaiveDate,
    read: Option<&'a dyn Fn(u64)>,
    /// Files that were found sound, and what they were like then: they are not read again as long as they are.
    sound: HashMap<String, (Stamp, Facts)>,
}

/// A file's identity, length and time of change.
type Stamp = (u64, u64, i64, i64);

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    ))
}

impl Day {
    fn find(&mut self, path: &str, date: NaiveDate, fault: Fault) {
        self.findings.push(finding(path, date, fault));
    }

    fn market(&mut self, date: NaiveDate, market: &Market) -> &mut MarketDay {
        self.markets.entry(market.clone()).or_insert_with(|| MarketDay {
            date,
            market: market.clone(),
            files: 0,
            trades: 0,
            quarantined: 0,
            frames: 0,
            bytes: 0,
            segments: 0,
        })
    }
}

fn finding(path: &str, date: NaiveDate, fault: Fault) -> Finding {
    Finding {
        path: path.to_owned(),
        kind: fault.kind,
        detail: fault.detail,
        date: Some(date),
    }
}

impl Looker<'_> {
    fn look(&mut self) -> Result<Day, StoreError> {
        // Files first: one that is sealed in between has a line and is not known, which is no contradiction.
        let listed = Listed::of(self.data, self.date)?;
        let mut day = Day::default();
        for path in &listed.foreign {
            day.findings.push(foreign_finding(path.clone(), Some(self.date)));
        }
        let list = self.list(&listed, &mut day);
        let mut contents = BTreeMap::new();
        for (path, sealed) in &listed.files {
            if let Some(content) = self.file(path, sealed, &list, &mut day) {
                contents.insert(path.as_str(), content);
            }
        }
        self.between_files(&listed, &list, &contents, &mut day);
        let markets: BTreeSet<_> = listed.files.values().map(|sealed| &sealed.market).collect();
        for market in markets {
            self.coverage(market, &listed, &contents, &mut day);
        }
        for (market, segments) in &listed.segments {
            self.segments(market, segments, &mut day)?;
        }
        Ok(day)
    }

    fn tell(&self, bytes: u64) {
        if let Some(read) = self.read {
            read(bytes);
        }
    }

    /// Reads the list, and looks whether the files in it exist.
    fn list(&self, listed: &Listed, day: &mut Day) -> List {
        let name = self.data.checksum_list(self.date);
        let name = name
            .strip_prefix(self.data.path())
            .unwrap_or(&name)
            .display()
            .to_string();
        let list = Checksums::of(self.data, self.date)
            .read()
            .unwrap_or_else(|error| {
                day.find(&name, self.date, Fault::new(Kind::Unreadable, error.to_string()));
                List::default()
            });
        for line in &list.odd_lines {
            let detail = format!("line {line} is no digest and path of this date, or says a path again");
            day.find(&name, self.date, Fault::new(Kind::List, detail));
        }
        for path in list.digests.keys() {
            if !listed.files.contains_key(path) && !self.data.path().join(path).exists() {
                let detail = format!("it is in {name}, and does not exist");
                day.find(path, self.date, Fault::new(Kind::Missing, detail));
            }
        }
        list
    }

    /// Reads a file, unless it was sound before and is as it was then.
    fn file(&mut self, path: &str, sealed: &SealedPath, list: &List, day: &mut Day) -> Option<Content> {
        let full = self.data.path().join(path);
        let expected = list.digests.get(path).copied();
        let stamped = stamp(&full);
        let known = self.sound.get(path).filter(|(before, facts)| {
            Some(*before) == stamped && expected.is_none_or(|expected| expected == facts.digest)
        });
        let looked = match known {
            Some((_, facts)) => Ok(facts.clone()),
            None => look(self.data.path(), sealed, expected),
        };
        let facts = match looked {
            Ok(facts) => facts,
            Err(error) => {
                day.find(path, self.date, Fault::new(Kind::Unreadable, error.to_string()));
                return None;
            }
        };
        self.tell(facts.bytes);
        let market = day.market(self.date, &sealed.market);
        market.files += 1;
        market.bytes += facts.bytes;
        match &facts.content {
            Ok(content) => {
                match sealed.name.dataset {
                    Dataset::Trades => market.trades += content.rows,
                    Dataset::Quarantine => market.quarantined += content.rows,
                    Dataset::Coverage => {}
                }
                day.rows += content.rows;
                if let Some(stamp) = stamped {
                    self.sound.insert(path.to_owned(), (stamp, facts.clone()));
                }
            }
            Err(fault) => day.find(path, self.date, fault.clone()),
        }
        facts.content.ok()
    }

    /// Whether [`crate::retention`] has removed the date from a dataset.
    fn is_expired(&self, dataset: Dataset) -> bool {
        let is_there = self.data.date_dir(dataset, self.date).exists();
        !is_there && self.data.expired(dataset, self.date).exists()
    }

    /// What files tell of each other.
    fn between_files(&self, listed: &Listed, list: &List, contents: &BTreeMap<&str, Content>, day: &mut Day) {
        let markets: BTreeSet<_> = listed.files.values().map(|sealed| &sealed.market).collect();
        for market in markets {
            let of = |dataset: Dataset| {
                let files = listed.files.iter();
                files.filter(move |(_, sealed)| sealed.market == *market && sealed.name.dataset == dataset)
            };
            let mut trades: Vec<_> = of(Dataset::Trades).collect();
            trades.sort_by_key(|(_, sealed)| (sealed.name.first_frame, sealed.name.last_frame));
            let covered = trades
                .iter()
                .map(|(_, sealed)| sealed.name.last_frame)
                .max()
                .unwrap_or(0);
            let damage: Vec<_> = of(Dataset::Coverage)
                .filter_map(|(path, _)| contents.get(path.as_str()))
                .flat_map(|content| content.damage.iter().copied())
                .collect();
            let frames = self.frames(&trades, contents, &damage, day);
            day.market(self.date, market).frames = frames;
            // What retention has taken out of a dataset is missing nowhere.
            if !self.is_expired(Dataset::Quarantine) {
                for (path, sealed) in &trades {
                    self.partner(path, sealed, listed, contents, day);
                }
            }
            let trades_expired = self.is_expired(Dataset::Trades);
            let segments = listed.segments.get(market);
            let pending = Pending {
                has_journal: segments.is_some_and(|segments| !segments.raw.is_empty()),
                covered,
            };
            for (path, sealed) in of(Dataset::Quarantine) {
                let twin = twin(sealed, Dataset::Trades).to_string();
                let is_there = listed.files.contains_key(&twin)
                    || trades
                        .iter()
                        .any(|(path, day)| is_day(contents, path) && contains(&day.name, &sealed.name));
                if !pending.has(&sealed.name) && !trades_expired && !is_there {
                    let trades = twin;
                    let detail = format!("{trades} does not exist, which covers the same frames");
                    day.find(path, self.date, Fault::new(Kind::Partner, detail));
                }
            }
            let files = listed.files.iter().filter(|(_, sealed)| sealed.market == *market);
            for (path, sealed) in files {
                if !pending.has(&sealed.name) && !list.digests.contains_key(path) {
                    let detail = "the list of its date has no line for it".to_owned();
                    day.find(path, self.date, Fault::new(Kind::Unlisted, detail));
                }
            }
        }
    }

    /// The frames that the files cover.
    fn frames(
        &self,
        trades: &[(&String, &SealedPath)],
        contents: &BTreeMap<&str, Content>,
        damage: &[(Moment, Moment)],
        day: &mut Day,
    ) -> u64 {
        let footer = |index: usize| contents.get(trades.get(index)?.0.as_str())?.footer.as_ref();
        // A sealed day has the ranges of the files that it was made of.
        let (ranges, files): (Vec<_>, Vec<_>) = trades
            .iter()
            .enumerate()
            .flat_map(|(index, (_, sealed))| {
                let by_name = || vec![(sealed.name.first_frame, sealed.name.last_frame)];
                let ranges = footer(index).map_or_else(by_name, Footer::frames);
                ranges.into_iter().map(move |range| (range, index))
            })
            .unzip();
        for found in breaks(&ranges) {
            match found {
                Break::Overlap { first, last, at } => {
                    let detail = format!("frames {first} to {last} are in an earlier file too");
                    day.find(trades[files[at]].0, self.date, Fault::new(Kind::Overlap, detail));
                }
                Break::Hole { first, last, after } => {
                    let before = after.checked_sub(1).map(|before| files[before]);
                    let after = files[after];
                    let hole = if before == Some(after) {
                        footer(after).map(|day| (day.first_recv, day.last_recv))
                    } else {
                        let begin = before.map_or_else(
                            || Some(Moment(midnight_ms(self.date) * 1000)),
                            |before| footer(before).map(|footer| footer.last_recv),
                        );
                        begin.zip(footer(after).map(|footer| footer.first_recv))
                    };
                    let known = hole.is_some_and(|(begin, end)| {
                        damage.iter().any(|(from, to)| *from <= end && *to >= begin)
                    });
                    let detail = if before == Some(after) {
                        format!("frames {first} to {last} were in none of the files that it was made of")
                    } else {
                        format!("frames {first} to {last} before it are in no file")
                    };
                    let detail = if known {
                        format!("{detail}; coverage tells of it: the journal was damaged there")
                    } else {
                        detail
                    };
                    let found = finding(trades[after].0, self.date, Fault::new(Kind::Hole, detail));
                    if known {
                        day.known.push(found);
                    } else {
                        day.findings.push(found);
                    }
                }
            }
        }
        held(&ranges)
    }

    /// A sealed day, and the quarantine files of its frames, which stay as they were.
    fn partners_of_day(
        &self,
        path: &str,
        sealed: &SealedPath,
        quarantined: u64,
        listed: &Listed,
        contents: &BTreeMap<&str, Content>,
        day: &mut Day,
    ) {
        let partners: Vec<_> = listed
            .files
            .iter()
            .filter(|(_, other)| {
                other.name.dataset == Dataset::Quarantine
                    && other.market == sealed.market
                    && contains(&sealed.name, &other.name)
            })
            .collect();
        // One that cannot be read, or is listed and missing, is reported already.
        let rows: Option<u64> = partners
            .iter()
            .map(|(path, _)| contents.get(path.as_str()).map(|content| content.rows))
            .sum();
        let dir = format!("quarantine/date={}/feed={}/", self.date, sealed.market);
        let is_told = rows.is_none() || day.findings.iter().any(|finding| finding.path.starts_with(&dir));
        if let Some(rows) = rows.filter(|rows| *rows != quarantined && !is_told) {
            let detail =
                format!("it says that {quarantined} pieces of its frames are in quarantine, and {rows} are");
            day.find(path, self.date, Fault::new(Kind::Partner, detail));
        }
        let partners: Vec<_> = partners.into_iter().map(|(_, sealed)| sealed).collect();
        if let Err(fault) = sealed::double_in_day(self.data.path(), sealed, &partners) {
            day.find(path, self.date, fault);
        }
    }

    /// A trades file, and the quarantine file of the same frames that its footer may tell of.
    fn partner(
        &self,
        path: &str,
        sealed: &SealedPath,
        listed: &Listed,
        contents: &BTreeMap<&str, Content>,
        day: &mut Day,
    ) {
        let quarantine = twin(sealed, Dataset::Quarantine);
        let name = quarantine.to_string();
        let Some(footer) = contents.get(path).and_then(|content| content.footer.as_ref()) else {
            return;
        };
        if footer.day.is_some() {
            self.partners_of_day(path, sealed, footer.quarantined, listed, contents, day);
            return;
        }
        if !listed.files.contains_key(&name) {
            // In the list, it is reported as missing already.
            if footer.quarantined > 0 && !day.findings.iter().any(|finding| finding.path == name) {
                let detail = format!(
                    "{path} says that it has {} rows; it does not exist",
                    footer.quarantined
                );
                day.find(&name, self.date, Fault::new(Kind::Missing, detail));
            }
            return;
        }
        let Some(other) = contents.get(name.as_str()) else {
            return;
        };
        if other.footer.as_ref() != Some(&footer.of_sibling()) {
            let detail = format!("its footer is not that of {path}");
            day.find(&name, self.date, Fault::new(Kind::Partner, detail));
        } else if let Err(fault) = sealed::double(self.data.path(), sealed, &quarantine) {
            day.find(&name, self.date, fault);
        }
    }

    fn segments(&self, market: &Market, segments: &Segments, day: &mut Day) -> Result<(), StoreError> {
        let relative = |dir: &str, name: String| format!(".krx/{dir}/{market}/{name}");
        let mut looked = Vec::new();
        for name in &segments.raw {
            let path = self.data.journal(market).join(name.to_string());
            let bytes = stamp(&path).map_or(0, |stamp| stamp.1);
            let is_newest = segments.newest == Some(*name);
            let last = if is_newest { Last::AtRest } else { Last::No };
            let mut faults = journal::look(&path, market, *name, last);
            // Whether a recorder is at work is asked only where it matters: the asking takes the lock for a moment.
            let is_odd = faults.as_ref().is_ok_and(|faults| !faults.is_empty());
            if is_newest && is_odd && lock::is_held(self.data)? {
                faults = journal::look(&path, market, *name, Last::Written);
            }
            looked.push((relative("journal", name.to_string()), bytes, faults));
        }
        for name in &segments.archived {
            let path = archive::path(self.data, market, *name);
            let bytes = stamp(&path).map_or(0, |stamp| stamp.1);
            looked.push((
                relative("archive", name.archived()),
                bytes,
                journal::look_archived(&path),
            ));
        }
        if looked.is_empty() {
            return Ok(());
        }
        day.market(self.date, market).segments += looked.len() as u64;
        for (path, bytes, faults) in looked {
            self.tell(bytes);
            match faults {
                Ok(faults) => faults
                    .into_iter()
                    .for_each(|fault| day.find(&path, self.date, fault)),
                // Exported or expired meanwhile.
                Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                Err(error) => day.find(&path, self.date, Fault::new(Kind::Unreadable, error.to_string())),
            }
        }
        Ok(())
    }
}

/// Whether a file's footer says that it is a sealed day.
fn is_day(contents: &BTreeMap<&str, Content>, path: &str) -> bool {
    let footer = contents.get(path).and_then(|content| content.footer.as_ref());
    footer.is_some_and(|footer| footer.day.is_some())
}

/// Whether all frames of a file are among those of a sealed day.
fn contains(day: &SealedName, other: &SealedName) -> bool {
    day.first_frame <= other.first_frame && other.last_frame <= day.last_frame
}

/// The file of another dataset with the same frames.
fn twin(sealed: &SealedPath, dataset: Dataset) -> SealedPath {
    let name = SealedName {
        dataset,
        ..sealed.name
    };
    SealedPath {
        name,
        ..sealed.clone()
    }
}
