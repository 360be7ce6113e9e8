//! The contents of a list: the digest of each file, by its path.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::str::FromStr;

use chrono::NaiveDate;
use sha2::{Digest as _, Sha256};

use crate::error::{StoreError, at};
use crate::layout::DataDir;

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

/// The text is not a SHA-256 digest.
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

/// How much is read at a time; a file is never held in memory whole.
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

/// The contents of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Digests by path.
    pub digests: BTreeMap<String, Digest>,
    /// The numbers, from 1, of lines that cannot be read, are of another date, or contradict an earlier line. A line
    /// that repeats another verbatim is fine: two threads may have added the same file.
    pub odd_lines: Vec<usize>,
    /// Whether the list exists.
    pub exists: bool,
}

impl List {
    /// Parses a list. Lines that cannot be read do not affect their neighbours.
    #[must_use]
    pub fn parse(bytes: &[u8], data: &DataDir, date: NaiveDate) -> Self {
        let mut list = Self {
            exists: true,
            ..Self::default()
        };
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        for (index, line) in lines.enumerate() {
            let is_sound = Self::line(line, data, date)
                .is_some_and(|(path, digest)| *list.digests.entry(path).or_insert(digest) == digest);
            if !is_sound {
                list.odd_lines.push(index + 1);
            }
        }
        list
    }

    /// Whether the list is damaged. No list is ever empty, so an empty one is what a crash left.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.odd_lines.is_empty() || (self.exists && self.digests.is_empty())
    }

    fn line(line: &[u8], data: &DataDir, date: NaiveDate) -> Option<(String, Digest)> {
        let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let (digest, path) = text.split_once("  ")?;
        let digest = digest.parse().ok()?;
        (data.parse(path)?.date == date).then(|| (path.to_owned(), digest))
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digests
            .iter()
            .try_for_each(|(path, digest)| writeln!(f, "{digest}  {path}"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    const LINE: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  \
                        trades/date=2026-11-20/market=KOSPI/trades-20261120T090000-000000000001-000000004711.parquet\n";

    fn data() -> DataDir {
        DataDir::new("/data")
    }

    fn date() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
    }

    #[test]
    fn a_list_is_read_as_it_is_written() {
        let list = List::parse(LINE.as_bytes(), &data(), date());
        assert_eq!((list.digests.len(), list.odd_lines.len()), (1, 0));
        assert_eq!(list.to_string(), LINE);
    }

    #[test]
    fn a_line_that_cannot_be_read_costs_no_other() {
        let second = LINE.replace("KOSPI", "KOSDAQ");
        for bad in [
            "\n".to_owned(),
            "no line\n".to_owned(),
            LINE.replace("e3b0", "e3b1"),
            LINE.replace("  ", " "),
            LINE.replace("e3b0", "E3b0"),
            LINE.replace("e3b0", "e3b"),
            LINE.replace("date=2026-11-20", "date=2026-11-21"),
            LINE.replace("trades/", "/trades/"),
        ] {
            let list = List::parse(format!("{LINE}{bad}{second}").as_bytes(), &data(), date());
            assert_eq!((list.digests.len(), list.odd_lines), (2, vec![2]), "{bad}");
        }
        let twice = List::parse(LINE.repeat(2).as_bytes(), &data(), date());
        assert_eq!((twice.to_string(), twice.odd_lines.len()), (LINE.to_owned(), 0));
        let torn = List::parse(LINE.trim_end().as_bytes(), &data(), date());
        assert_eq!((torn.digests.len(), torn.odd_lines), (0, vec![1]));
    }

    #[test]
    fn the_digest_of_a_file_is_its_sha_256() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(&path).unwrap().to_string(), known);
        // The file is read in pieces.
        for bytes in [CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES - 1] {
            let text: Vec<u8> = (0_u8..251).cycle().take(bytes).collect();
            fs::write(&path, &text).unwrap();
            let whole = Digest(Sha256::digest(&text).into());
            assert_eq!(digest(&path).unwrap(), whole, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = List::parse(&bytes, &data(), date());
        }

        #[test]
        fn every_digest_is_read_back(bytes in any::<[u8; 32]>()) {
            let digest = Digest(bytes);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }
    }
}
