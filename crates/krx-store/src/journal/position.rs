//! A place in the journal.

use serde::{Deserialize, Serialize};

use crate::layout::SegmentName;

/// A place in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The segment.
    pub segment: SegmentName,
    /// Bytes from its start.
    pub offset: u64,
}

/// As footers have it: the segment's name and the offset.
impl Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.segment.to_string(), self.offset).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (name, offset) = <(String, u64)>::deserialize(deserializer)?;
        let segment = SegmentName::parse(&name);
        let segment = segment.ok_or_else(|| serde::de::Error::custom("it names no journal segment"))?;
        Ok(Self { segment, offset })
    }
}
