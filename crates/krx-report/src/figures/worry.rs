//! What somebody should look at, and how serious it is. Pure.

use serde::Serialize;

/// How serious something is, as on the status page; worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Data is missing.
    Act,
    /// Worth a look.
    Look,
    /// Good to know.
    None,
    /// All is well.
    Good,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Worry {
    /// How serious it is.
    pub level: Level,
    /// In one sentence.
    pub words: String,
}

impl Level {
    /// Its name in the HTML.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Look => "look",
            Self::Act => "act",
            Self::None => "none",
        }
    }

    /// Its sign.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Self::Good => "●",
            Self::Look => "▲",
            Self::Act => "■",
            Self::None => "○",
        }
    }
}
