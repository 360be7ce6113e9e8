//! What `verify` can find.

use std::fmt;

use chrono::NaiveDate;
use serde::Serialize;

/// What is wrong, as a word that scripts can rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Something the recorder did not put there.
    Foreign,
    /// A file's digest is not the one in its list, or coverage without a line does not match the checksum in its
    /// footer.
    Digest,
    /// A committed file without a line in its list.
    Unlisted,
    /// A file is in a list, or another file refers to it, but it does not exist.
    Missing,
    /// A line of a list cannot be read.
    List,
    /// A footer cannot be read, or disagrees with the file's name and place.
    Footer,
    /// Columns from a newer recorder: not damage, but this version cannot vouch for them.
    Newer,
    /// Columns that cannot be decoded.
    Decode,
    /// The number of rows is not what the footer says.
    Rows,
    /// Rows of frames that the file does not cover, rows out of order, or rows twice.
    Frames,
    /// Frames that no file has.
    Hole,
    /// Frames that two files have.
    Overlap,
    /// Two files of the same frames disagree.
    Partner,
    /// Coverage disagrees with the files.
    Coverage,
    /// Derived rows are not what the committed files give, or were made of other files.
    Derived,
    /// A stretch of a journal segment is damaged.
    Journal,
    /// An archived segment is damaged.
    Archive,
    /// A trading day on which no recorder ran, with nothing on record about it.
    Unaccounted,
    /// The disk could not read it.
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
            Self::Newer => "newer",
            Self::Decode => "decode",
            Self::Rows => "rows",
            Self::Frames => "frames",
            Self::Hole => "hole",
            Self::Overlap => "overlap",
            Self::Partner => "partner",
            Self::Coverage => "coverage",
            Self::Derived => "derived",
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
    pub(super) fn new(kind: Kind, detail: String) -> Self {
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
    /// The details.
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

/// A finding about a file of `date`.
pub(super) fn finding(path: &str, date: NaiveDate, fault: Fault) -> Finding {
    Finding {
        path: path.to_owned(),
        kind: fault.kind,
        detail: fault.detail,
        date: Some(date),
    }
}

/// A finding about something that the recorder did not put there.
pub(super) fn foreign_finding(path: String, date: Option<NaiveDate>) -> Finding {
    let detail = "the recorder did not put it there, and readers of the dataset may fail on it".to_owned();
    Finding {
        path,
        kind: Kind::Foreign,
        detail,
        date,
    }
}
