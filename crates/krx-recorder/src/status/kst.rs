//! An instant as it is shown.

use chrono::DateTime;
use krx_report::time::rfc3339;
use krx_store::Moment;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant, as RFC 3339 in Korean time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kst(pub Moment);

impl Serialize for Kst {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(self.0))
    }
}

impl<'de> Deserialize<'de> for Kst {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
        Ok(Self(Moment(time.timestamp_micros())))
    }
}
