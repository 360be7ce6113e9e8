//! Why KRX is closed on a weekday.

use std::borrow::Cow;

/// A day on which KRX does not trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holiday {
    NewYear,
    /// Three days of it.
    Seollal,
    MarchFirst,
    Labour,
    Children,
    Buddha,
    Memorial,
    Constitution,
    Liberation,
    /// Three days of it.
    Chuseok,
    Foundation,
    Hangul,
    Christmas,
    /// KRX's own: the last weekday of the year.
    YearEnd,
    AssemblyElection,
    PresidentialElection,
    LocalElections,
    ArmedForces,
    Temporary,
}

impl Holiday {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NewYear => "New Year's Day",
            Self::Seollal => "Seollal (Lunar New Year)",
            Self::MarchFirst => "Independence Movement Day",
            Self::Labour => "Labour Day",
            Self::Children => "Children's Day",
            Self::Buddha => "Buddha's Birthday",
            Self::Memorial => "Memorial Day",
            Self::Constitution => "Constitution Day",
            Self::Liberation => "Liberation Day",
            Self::Chuseok => "Chuseok",
            Self::Foundation => "National Foundation Day",
            Self::Hangul => "Hangul Day",
            Self::Christmas => "Christmas Day",
            Self::YearEnd => "Year-end closing",
            Self::AssemblyElection => "National Assembly election",
            Self::PresidentialElection => "Presidential election",
            Self::LocalElections => "Local elections",
            Self::ArmedForces => "Armed Forces Day (temporary holiday)",
            Self::Temporary => "Temporary holiday",
        }
    }
}

/// The holiday itself, or the weekday given for one that fell on a weekend or on another holiday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    Day(Holiday),
    Substitute(Holiday),
}

impl Closing {
    pub(crate) fn note(self) -> Cow<'static, str> {
        match self {
            Self::Day(holiday) => Cow::Borrowed(holiday.name()),
            Self::Substitute(holiday) => Cow::Owned(format!("Substitute holiday for {}", holiday.name())),
        }
    }
}
