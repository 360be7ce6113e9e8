//! Lists of the sealed files' checksums, one a date, which `sha256sum -c` reads.
//!
//! ```text
//!   DATA/.krx/checksums/2026-11-20.sha256, a line for each sealed file of the date, sorted by path:
//!   <SHA-256, 64 lower-case hexadecimal digits><two blanks><path relative to DATA>
//! ```
//!
//! A list is replaced as a whole: written to staging, synced, renamed. Whoever replaces one holds a lock on the
//! directory, so that threads and processes do so one after the other. A file has its line a moment after it has
//! its name; a crash in between leaves a file without a line, which the next start adds ([`complete`]).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::str::FromStr;

use chrono::NaiveDate;
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};

use crate::disk::Output;
use crate::error::{StoreError, at};
use crate::layout::{DataDir, Dataset, Market, SealedName, SealedPath};
use crate::lock;

/// A file's SHA-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDigest;

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(NoDigest),
        };
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return Err(NoDigest);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

/// Read at a time; a file is never in memory as a whole.
const CHUNK_BYTES: usize = 256 << 10;

/// The SHA-256 of a file.
///
/// # Errors
/// [`StoreError::Io`].
pub fn digest(path: &Path) -> Result<Digest, StoreError> {
    let mut file = File::open(path).map_err(at("opening", path))?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Digest(hash.finalize().into())),
            Ok(read) => hash.update(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(at("reading", path)(error)),
        }
    }
}

/// What a list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Digests by path.
    pub digests: BTreeMap<String, Digest>,
    /// The numbers of the lines, from 1, that are none of a list of this date, or say again what another has said.
    pub odd_lines: Vec<usize>,
    /// Whether there is a list.
    pub exists: bool,
}

impl List {
    /// Reads a list's bytes. Lines that cannot be read cost their neighbours nothing.
    #[must_use]
    pub fn parse(bytes: &[u8], date: NaiveDate) -> Self {
        let mut list = Self {
            exists: true,
            ..Self::default()
        };
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        for (index, line) in lines.enumerate() {
            let parsed = Self::line(line, date).filter(|(path, _)| !list.digests.contains_key(path));
            match parsed {
                Some((path, digest)) => drop(list.digests.insert(path, digest)),
                None => list.odd_lines.push(index + 1),
            }
        }
        list
    }

    fn line(line: &[u8], date: NaiveDate) -> Option<(String, Digest)> {
        let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let (digest, path) = text.split_once("  ")?;
        let digest = digest.parse().ok()?;
        (SealedPath::parse(path)?.date == date).then(|| (path.to_owned(), digest))
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digests
            .iter()
            .try_for_each(|(path, digest)| writeln!(f, "{digest}  {path}"))
    }
}

/// The list of one date.
#[derive(Clone, Debug)]
pub struct Checksums {
    data: DataDir,
    date: NaiveDate,
}

impl Checksums {
    /// The list of `date`; it need not exist yet.
    #[must_use]
    pub fn of(data: &DataDir, date: NaiveDate) -> Self {
        Self {
            data: data.clone(),
            date,
        }
    }

    /// Reads the list.
    ///
    /// # Errors
    /// [`StoreError::Io`]; a list that does not exist is empty.
    pub fn read(&self) -> Result<List, StoreError> {
        let path = self.data.checksum_list(self.date);
        match fs::read(&path) {
            Ok(bytes) => Ok(List::parse(&bytes, self.date)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(List::default()),
            Err(error) => Err(at("reading the checksums", &path)(error)),
        }
    }

    /// Puts files, by their paths relative to the data directory, into the list, and takes others out of it; the
    /// list is on disk when this returns. A list that is damaged is made anew from what can be read of it and from
    /// the files themselves.
    ///
    /// # Errors
    /// [`StoreError::Io`], when the list or a file that it lacks cannot be read or written.
    pub fn record(&self, entries: &[(SealedPath, Digest)], removed: &[SealedPath]) -> Result<(), StoreError> {
        let dir = self.data.checksums();
        self.data.create_dir(&dir)?;
        // Held by others for as long as it takes to write a list of some hundred lines.
        let _lock = lock::wait_for(&dir)?;
        let before = self.read_leniently();
        let mut list = List {
            digests: before.digests.clone(),
            ..List::default()
        };
        for (path, digest) in entries {
            list.digests.insert(path.to_string(), *digest);
        }
        if !before.odd_lines.is_empty() || !before.exists {
            self.salvage(&before, &mut list)?;
        }
        for path in removed {
            list.digests.remove(&path.to_string());
        }
        if list.digests == before.digests && before.odd_lines.is_empty() {
            return Ok(());
        }
        if list.digests.is_empty() {
            // `sha256sum -c` takes a list of nothing for a mistake.
            let path = self.data.checksum_list(self.date);
            self.data.disk().remove_left_over(&path)?;
            return self.data.disk().sync_parent(&path);
        }
        self.write(&list)
    }

    /// Digests files as they are now, and records them.
    ///
    /// # Errors
    /// As [`Checksums::record`].
    pub fn record_files(&self, paths: &[SealedPath]) -> Result<(), StoreError> {
        let entries: Result<Vec<_>, _> = paths
            .iter()
            .map(|path| Ok((path.clone(), digest(&self.data.path().join(path.to_string()))?)))
            .collect();
        self.record(&entries?, &[])
    }

    /// A list that the disk does not give back never stops recording: it counts as one with nothing but odd lines.
    fn read_leniently(&self) -> List {
        self.read().unwrap_or_else(|error| {
            warn!(%error, "the list of checksums cannot be read; it is made anew");
            List {
                odd_lines: vec![1],
                exists: true,
                ..List::default()
            }
        })
    }

    /// Adds the files that a damaged or lost list does not have.
    fn salvage(&self, before: &List, list: &mut List) -> Result<(), StoreError> {
        let mut added = 0;
        for sealed in self.sealed_files()? {
            if let Entry::Vacant(line) = list.digests.entry(sealed.to_string()) {
                let digest = digest(&self.data.path().join(line.key()))?;
                line.insert(digest);
                added += 1;
            }
        }
        let path = self.data.checksum_list(self.date);
        if !before.odd_lines.is_empty() {
            warn!(list = %path.display(), lines = ?before.odd_lines, added,
                "the list of checksums is damaged; these lines are left out, and files without one added as they are");
        } else if added > 0 {
            info!(list = %path.display(), added, "there was no list of checksums; files are added as they are");
        }
        Ok(())
    }

    fn write(&self, list: &List) -> Result<(), StoreError> {
        let staged = self
            .data
            .staging()
            .join(format!("checksums-{}.partial", self.date));
        let disk = self.data.disk();
        self.data.create_dir(&self.data.staging())?;
        let mut output = Output::create(disk, &staged)?;
        output
            .write_all(list.to_string().as_bytes())
            .map_err(at("writing the checksums to", &staged))?;
        output.sync()?;
        disk.replace(&staged, &self.data.checksum_list(self.date))
    }

    /// All sealed files of the date.
    fn sealed_files(&self) -> Result<Vec<SealedPath>, StoreError> {
        let mut files = Vec::new();
        for market in sealed_markets(&self.data, self.date)? {
            files.extend(sealed_files(&self.data, &market, self.date)?);
        }
        Ok(files)
    }
}

/// The markets that have a partition of a date.
pub(crate) fn sealed_markets(data: &DataDir, date: NaiveDate) -> Result<BTreeSet<Market>, StoreError> {
    let mut markets = BTreeSet::new();
    for dataset in Dataset::ALL {
        let names = list_names(&data.date_dir(dataset, date))?;
        markets.extend(
            names
                .iter()
                .filter_map(|name| name.strip_prefix("market=")?.parse::<Market>().ok()),
        );
    }
    Ok(markets)
}

/// The sealed files of a market and date, of all datasets, by dataset and frames.
///
/// # Errors
/// [`StoreError::Io`].
pub fn sealed_files(data: &DataDir, market: &Market, date: NaiveDate) -> Result<Vec<SealedPath>, StoreError> {
    let mut files = Vec::new();
    for dataset in Dataset::ALL {
        let mut names = list_names(&data.partition(dataset, date, market))?;
        names.sort();
        let names = names.iter().filter_map(|name| SealedName::parse(name));
        files.extend(
            names
                .filter(|name| name.dataset == dataset)
                .map(|name| SealedPath {
                    date,
                    market: market.clone(),
                    name,
                }),
        );
    }
    Ok(files)
}

/// The names in a directory that can be one of ours: those that are UTF-8. A directory that does not exist has none.
pub(crate) fn list_names(dir: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at("listing", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(at("listing", dir))?.file_name();
        names.extend(name.into_string().ok());
    }
    Ok(names)
}

/// The sealed files of a market and date that have no line: a crash came between their rename and the list's.
///
/// # Errors
/// [`StoreError::Io`]. A list that cannot be read is taken for an empty one.
pub fn missing(data: &DataDir, market: &Market, date: NaiveDate) -> Result<Vec<SealedPath>, StoreError> {
    let list = Checksums::of(data, date).read().unwrap_or_default();
    let mut files = sealed_files(data, market, date)?;
    files.retain(|path| !list.digests.contains_key(&path.to_string()));
    Ok(files)
}

/// Adds the lines that are missing.
///
/// # Errors
/// As [`Checksums::record`].
pub fn complete(data: &DataDir, market: &Market, date: NaiveDate) -> Result<(), StoreError> {
    let paths = missing(data, market, date)?;
    if paths.is_empty() {
        return Ok(());
    }
    info!(market = %market, %date, files = paths.len(), "sealed files had no checksum; they have one now");
    Checksums::of(data, date).record_files(&paths)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  \
                        trades/date=2026-11-20/market=KOSPI/trades-20261120T090000-000000000001-000000004711.parquet\n";

    fn date() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
    }

    #[test]
    fn a_list_is_read_as_it_is_written() {
        let list = List::parse(LINE.as_bytes(), date());
        assert_eq!((list.digests.len(), list.odd_lines.len()), (1, 0));
        assert_eq!(list.to_string(), LINE);
    }

    #[test]
    fn a_line_that_cannot_be_read_costs_no_other() {
        let second = LINE.replace("KOSPI", "KOSDAQ");
        for bad in [
            "\n".to_owned(),
            "no line\n".to_owned(),
            LINE.to_owned(),
            LINE.replace("  ", " "),
            LINE.replace("e3b0", "E3b0"),
            LINE.replace("e3b0", "e3b"),
            LINE.replace("date=2026-11-20", "date=2026-11-21"),
            LINE.replace("trades/", "/trades/"),
        ] {
            let list = List::parse(format!("{LINE}{bad}{second}").as_bytes(), date());
            assert_eq!((list.digests.len(), list.odd_lines), (2, vec![2]), "{bad}");
        }
        let torn = List::parse(LINE.trim_end().as_bytes(), date());
        assert_eq!((torn.digests.len(), torn.odd_lines), (0, vec![1]));
    }

    #[test]
    fn the_digest_of_a_file_is_its_sha_256() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(&path).unwrap().to_string(), known);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = List::parse(&bytes, date());
        }

        #[test]
        fn every_digest_is_read_back(bytes in any::<[u8; 32]>()) {
            let digest = Digest(bytes);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }
}
