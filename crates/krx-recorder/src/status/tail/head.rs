//! What is said of a tail before its rows. Pure.

use chrono::NaiveDate;
use krx_store::FeedName;
use krx_store::dataset::Dataset;
use krx_store::tail::{Extent, FramesOfDate};

/// How many damaged stretches a head names.
const DAMAGED_MAX: usize = 10;

/// What is said of a tail before its rows.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) dataset: Dataset,
    pub(super) feed: FeedName,
    /// The feed's state now.
    pub(super) state: &'static str,
    /// The newest date, and after which of its frames the tail begins.
    pub(super) newest: (NaiveDate, u64),
    pub(super) extent: Extent,
    pub(super) follow: bool,
}

impl Head {
    /// By key: the frames that the tail has, date by date and in short, and the state of the feed. A tail without frames has
    /// a first frame one after its last one.
    pub(super) fn says(&self) -> Vec<(&'static str, String)> {
        let frames = &self.extent.frames;
        let (date, after) = self.newest;
        let first = frames
            .first()
            .map_or(after.saturating_add(1), |of| of.first_frame);
        let last = frames.last().map_or(after, |of| of.last_frame);
        let date = frames.last().map_or(date, |of| of.date);
        let each = |of: &FramesOfDate| format!("{}:{}-{}", of.date, of.first_frame, of.last_frame);
        let each: Vec<_> = frames.iter().map(each).collect();
        let mut says = vec![
            ("dataset", self.dataset.to_string()),
            ("feed", self.feed.to_string()),
            ("state", self.state.to_owned()),
            ("date", date.to_string()),
            ("first_frame", first.to_string()),
            ("last_frame", last.to_string()),
            ("frames", each.join(",")),
            ("follow", self.follow.to_string()),
        ];
        says.extend(frames.last().map(|of| ("last_recv", of.last_recv.0.to_string())));
        if !self.extent.damaged.is_empty() {
            let damaged = &self.extent.damaged;
            let named: Vec<_> = damaged.iter().take(DAMAGED_MAX).map(String::as_str).collect();
            says.push(("damaged", named.join("; ")));
        }
        says
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use krx_store::Moment;
    use krx_store::service::TRADES;

    use super::*;

    fn said(frames: &[(&str, u64, u64)], damaged: usize) -> HashMap<&'static str, String> {
        let of = |(date, first_frame, last_frame): &(&str, u64, u64)| FramesOfDate {
            date: date.parse().unwrap(),
            first_frame: *first_frame,
            last_frame: *last_frame,
            last_recv: Moment(7),
        };
        let head = Head {
            dataset: &TRADES,
            feed: "KOSPI".parse().unwrap(),
            state: "live",
            newest: ("2026-11-20".parse().unwrap(), 4711),
            extent: Extent {
                frames: frames.iter().map(of).collect(),
                damaged: (0..damaged).map(|nth| format!("stretch {nth}")).collect(),
                ..Extent::default()
            },
            follow: false,
        };
        head.says().into_iter().collect()
    }

    #[test]
    fn a_head_names_the_frames_of_each_date_and_where_an_empty_tail_is() {
        let none = said(&[], 0);
        assert_eq!(
            (none["first_frame"].as_str(), none["last_frame"].as_str()),
            ("4712", "4711")
        );
        assert_eq!(
            (none["frames"].as_str(), none["date"].as_str()),
            ("", "2026-11-20")
        );
        assert!(!none.contains_key("last_recv"), "nothing was received");
        let two = said(&[("2026-11-19", 90, 95), ("2026-11-20", 1, 3)], 2);
        assert_eq!(two["frames"], "2026-11-19:90-95,2026-11-20:1-3");
        assert_eq!(
            (two["first_frame"].as_str(), two["last_frame"].as_str()),
            ("90", "3")
        );
        assert_eq!(
            (two["date"].as_str(), two["last_recv"].as_str()),
            ("2026-11-20", "7")
        );
        assert_eq!(two["damaged"], "stretch 0; stretch 1");
        assert!(!none.contains_key("damaged"), "nothing is");
        let many = said(&[], 1000);
        assert!(many["damaged"].ends_with("stretch 9"), "a header has its limits");
    }
}
