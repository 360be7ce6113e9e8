//! What an exporter has counted but not yet published. It counts privately, frame by frame, and publishes everything at
//! once, so that readers find consistent counters and a failing exporter never publishes half a frame.

use chrono::NaiveDate;
use krx_protocol::Reason;

use super::chart::minute_of;
use crate::lag::Lags;
use crate::moment::Moment;
use crate::service::FrameRows;

/// While catching up, the exporter publishes each time this much received time has passed; otherwise, whenever it has
/// caught up.
const TOLD_AFTER_US: i64 = 1_000_000;

/// Counts of frames that were not counted before.
#[derive(Debug)]
pub struct Tally {
    news: News,
    /// The last frame that was counted; what an earlier exporter counted is not counted again.
    counted: Option<(NaiveDate, u64)>,
    /// Whether the frame in hand counts.
    counting: bool,
    told_at: Moment,
    changed: bool,
}

/// What is published.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) records: u64,
    pub(super) quarantined: [u64; Reason::ALL.len()],
    pub(super) oversized: u64,
    pub(super) counted: Option<(NaiveDate, u64)>,
    /// Date, minute and records; there are few, since every change of minute is soon published.
    pub(super) minutes: Vec<(NaiveDate, usize, u64)>,
    /// The lags of seconds since the Unix epoch, in order of arrival; as few as minutes.
    pub(super) lags: Vec<(i64, Lags)>,
    /// When the last frame was received, counted or not.
    pub(super) until: Option<Moment>,
    /// Whether it is the first that this exporter publishes.
    pub(super) first: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Self::behind(None)
    }
}

impl Tally {
    pub(super) fn behind(counted: Option<(NaiveDate, u64)>) -> Self {
        Self {
            news: News {
                first: true,
                ..News::default()
            },
            counted,
            counting: false,
            told_at: Moment(0),
            changed: false,
        }
    }

    /// A frame is about to be decoded.
    pub(crate) fn begin(&mut self, date: NaiveDate, frame: u64) {
        self.counting = self.counted.is_none_or(|counted| counted < (date, frame));
        if self.counting {
            self.counted = Some((date, frame));
        }
    }

    /// A piece of the frame went into quarantine.
    pub(crate) fn reject(&mut self, reason: Reason) {
        self.news.quarantined[reason as usize] += u64::from(self.counting);
    }

    /// The frame, of the date that began at `midnight`, was received at `at` and gave this many records, those that could be
    /// read with what `decoded` says.
    pub(crate) fn end(&mut self, midnight: Moment, at: Moment, records: u64, decoded: &FrameRows) {
        self.changed = true;
        self.news.until = Some(at);
        let Some((date, _)) = self.counted.filter(|_| self.counting) else {
            return;
        };
        self.news.records += records;
        self.news.oversized += u64::from(decoded.is_oversized);
        let minute = minute_of(midnight, at);
        match self.news.minutes.last_mut() {
            Some((last_date, last, count)) if (*last_date, *last) == (date, minute) => *count += records,
            _ => self.news.minutes.push((date, minute, records)),
        }
        if decoded.lags.is_empty() {
            return;
        }
        let second = at.0.div_euclid(1_000_000);
        match self.news.lags.last_mut() {
            Some((last, lags)) if *last == second => lags.merge(decoded.lags),
            _ => self.news.lags.push((second, decoded.lags)),
        }
    }

    /// The ledger has changed.
    pub(crate) fn note(&mut self) {
        self.changed = true;
    }

    /// Whether there is anything to publish.
    pub(crate) fn has_news(&self) -> bool {
        self.changed
    }

    /// Whether it is time to publish, at a frame received at `at`.
    pub(crate) fn is_due(&mut self, at: Moment) -> bool {
        // The clock may have been set back: that counts as another time, too.
        let due = at.0.abs_diff(self.told_at.0) >= TOLD_AFTER_US.unsigned_abs();
        if due {
            self.told_at = at;
        }
        due
    }

    pub(super) fn take(&mut self) -> News {
        self.changed = false;
        let counted = self.counted;
        News {
            counted,
            ..std::mem::take(&mut self.news)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::bounds;

    const DATE: NaiveDate = NaiveDate::from_ymd_opt(2026, 11, 20).expect("a date");

    #[test]
    fn a_frame_is_counted_once_however_often_it_is_decoded() {
        let at = |minute: i64| Moment(bounds(DATE).0.0 + minute * 60_000_000);
        let lag = |lag| Lags {
            newest: Some(lag),
            newest_due: Some(lag),
        };
        let mut tally = Tally::behind(Some((DATE, 4)));
        for (frame, minute) in [(3, 0), (4, 0), (5, 1), (6, 1), (7, 2)] {
            tally.begin(DATE, frame);
            tally.reject(Reason::Sign);
            let decoded = FrameRows {
                rows: 10,
                is_oversized: frame == 4 || frame == 7,
                lags: lag(i32::try_from(frame).unwrap()),
            };
            tally.end(at(0), at(minute), 10, &decoded);
        }
        let news = tally.take();
        assert_eq!((news.records, news.oversized, news.first), (30, 1, true));
        assert_eq!(news.quarantined[Reason::Sign as usize], 3);
        assert_eq!(news.minutes, [(DATE, 1, 20), (DATE, 2, 10)]);
        assert_eq!(news.counted, Some((DATE, 7)));
        let second = |minute| at(minute).0 / 1_000_000;
        assert_eq!(news.lags, [(second(1), lag(5)), (second(2), lag(7))]);
        let news = tally.take();
        assert_eq!(
            (news.records, news.first, news.counted),
            (0, false, Some((DATE, 7)))
        );
        let tomorrow = DATE.succ_opt().unwrap();
        tally.begin(tomorrow, 1);
        tally.end(bounds(tomorrow).0, at(0), 1, &FrameRows::default());
        assert_eq!(tally.take().records, 1, "numbers start again with each date");
    }

    #[test]
    fn it_is_told_after_a_second_of_received_time() {
        let mut tally = Tally::default();
        assert!(tally.is_due(Moment(5_000_000)));
        assert!(!tally.is_due(Moment(5_999_999)));
        assert!(tally.is_due(Moment(6_000_000)));
        assert!(tally.is_due(Moment(4_000_000)), "the clock was set back");
    }
}
