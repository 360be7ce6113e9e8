//! What can be registered for an issue, and what kind of issue it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the server pushes of an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Each trade, in short.
    Tick,
    /// The best bid and ask.
    Quote,
    /// Each trade, with the day's accumulated figures.
    Tick10,
    /// The book: ten levels of stocks, five of derivatives.
    Quote10,
    /// A sector index.
    Index,
    /// Chosen items, each when it changes.
    Change,
}

impl Preset {
    /// All of them, in the order of the column's dictionary: `ALL[preset as usize] == preset`.
    pub const ALL: [Self; 6] = [
        Self::Tick,
        Self::Quote,
        Self::Tick10,
        Self::Quote10,
        Self::Index,
        Self::Change,
    ];

    /// The word on the wire, in the configuration and in the `preset` columns.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::Quote => "quote",
            Self::Tick10 => "tick10",
            Self::Quote10 => "quote10",
            Self::Index => "index",
            Self::Change => "change",
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Preset {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|preset| preset.as_str() == text)
            .ok_or(())
    }
}

/// What kind of issue a code is: the message does not say, and it decides which fields there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instruments {
    /// Stocks and all that trades like them: prices in whole KRW, ten levels.
    #[default]
    Stocks,
    /// Futures and options: decimal prices, five levels with order counts.
    Derivatives,
    /// Sector indices.
    Indices,
}

impl Instruments {
    /// The word in the configuration and in the journal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stocks => "stocks",
            Self::Derivatives => "derivatives",
            Self::Indices => "indices",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_preset_has_its_place_and_its_word() {
        for (place, preset) in Preset::ALL.into_iter().enumerate() {
            assert_eq!(preset as usize, place);
            assert_eq!(preset.as_str().parse(), Ok(preset));
            assert_eq!(serde_json::to_string(&preset).unwrap(), format!("\"{preset}\""));
        }
        assert_eq!("tick5".parse::<Preset>(), Err(()));
    }
}
