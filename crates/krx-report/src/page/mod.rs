//! The figures as one HTML document: `html` is the whole, `days`, `registered`, `spreads`, `shares`, `measures` and
//! `findings` its sections, `timeline` and `bars` its charts, `svg` and `table` what they are drawn with. All pure.

mod bars;
mod days;
mod findings;
pub(crate) mod html;
#[cfg(test)]
mod html_tests;
mod measures;
mod registered;
mod shares;
mod spreads;
mod svg;
mod table;
mod timeline;
