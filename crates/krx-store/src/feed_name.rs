//! The name of a feed.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::error::StoreError;

/// A feed's name, such as `KOSPI`; it can name a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FeedName(String);

impl FeedName {
    const LEN_MAX: usize = 16;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FeedName {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let fits = (1..=Self::LEN_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(StoreError::BadFeedName(text.to_owned()))
        }
    }
}

impl fmt::Display for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
