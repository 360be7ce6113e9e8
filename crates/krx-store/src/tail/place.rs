//! A frame of a date, as people and programs write it.

use std::str::FromStr;

use chrono::NaiveDate;

/// A frame of a date: `2026-11-20:4711`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameOfDate {
    /// The date.
    pub date: NaiveDate,
    /// The frame's number.
    pub frame: u64,
}

/// The text is not a date and a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a date and a frame such as 2026-11-20:4711")]
pub struct NotAFrameOfDate;

impl FrameOfDate {
    /// Reads the number of a frame, which fits the column `frame`.
    #[must_use]
    pub fn parse_frame(text: &str) -> Option<u64> {
        u64::try_from(text.parse::<i64>().ok()?).ok()
    }
}

impl FromStr for FrameOfDate {
    type Err = NotAFrameOfDate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once(':').and_then(|(date, frame)| {
            Some(Self {
                date: date.parse().ok()?,
                frame: Self::parse_frame(frame)?,
            })
        });
        parsed.ok_or(NotAFrameOfDate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_a_date_is_a_date_and_a_number_that_the_column_can_have() {
        let parsed: FrameOfDate = "2026-11-20:4711".parse().unwrap();
        assert_eq!(
            (parsed.date.to_string().as_str(), parsed.frame),
            ("2026-11-20", 4711)
        );
        assert_eq!(
            FrameOfDate::parse_frame("9223372036854775807"),
            Some(i64::MAX.unsigned_abs())
        );
        for wrong in [
            "",
            "4711",
            "2026-11-20",
            "2026-11-31:1",
            "2026-11-20:-1",
            "2026-11-20:1.0",
            "2026-11-20:9223372036854775808",
            "2026-11-20:18446744073709551615",
        ] {
            assert_eq!(wrong.parse::<FrameOfDate>(), Err(NotAFrameOfDate), "{wrong}");
        }
    }
}
