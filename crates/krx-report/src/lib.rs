//! A recorded date as one HTML file with charts, for whoever reviews it the next morning.
//!
//! ```text
//!   krx-store ─▶ gather ─▶ figures ─▶ DayFacts ─┬▶ page ─▶ HTML
//!                                               └▶ JSON, by serde
//! ```
//!
//! `gather` reads; everything else is pure.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod gather;

mod figures;

mod page;

mod interval;
pub mod time;

pub use figures::day::DayFacts;
pub use figures::verdict::Verdict;
pub use gather::RecordedDay;
pub use interval::IntervalRow;
pub use page::html::page;
