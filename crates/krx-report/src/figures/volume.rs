//! Is `trdVol` the traded quantity or the cumulative one? Pure.
//!
//! Koscom's guide says both (docs/protocol.md). A cumulative volume never falls within an issue's day; a traded one
//! falls about as often as it rises.

use serde::Serialize;

/// An issue with fewer changes proves nothing: three volumes may well rise by chance.
const CHANGES_MIN: u64 = 20;
/// With fewer conclusive issues, the day proves nothing.
const ISSUES_MIN: u64 = 5;
/// An issue whose volume falls in no larger share of its changes counts as never falling: records may come late.
const FALLS_HARDLY: f64 = 0.01;
/// An issue whose volume falls in at least this share of its changes counts as traded volumes.
const FALLS_OFTEN: f64 = 0.25;
/// The share of the issues that must agree.
const AGREEING: f64 = 0.9;

/// The bars of the histogram: tenths, and one for "always".
pub(crate) const BINS: usize = 11;

/// The volumes of an issue's trades, in order of arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IssueVolume {
    trades: u64,
    rises: u64,
    falls: u64,
    sum: i128,
    last: i64,
    largest: i64,
}

/// The meaning of the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The quantity of each trade.
    Traded,
    /// The day's quantity up to each trade.
    Cumulative,
    /// The day is inconclusive.
    Unclear,
}

impl Verdict {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traded => "traded",
            Self::Cumulative => "cumulative",
            Self::Unclear => "unclear",
        }
    }
}

/// The verdict and what it is based on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VolumeFacts {
    /// Over all issues below.
    pub verdict: Verdict,
    /// Issues whose volume changed often enough, 20 times from one trade to the next.
    pub issues: u64,
    /// Those of them whose volume never falls, give or take one change in a hundred.
    pub issues_never_falling: u64,
    /// Those of them whose volume falls in a quarter of its changes or more.
    pub issues_falling: u64,
    /// Those of them whose last volume is the day's largest.
    pub issues_last_is_largest: u64,
    /// The median share of consecutive trades in which the volume does not fall.
    pub not_falling_share_median: Option<f64>,
    /// The median ratio of the last trade's volume to the sum of all.
    pub last_to_sum_median: Option<f64>,
    /// Issues by their share of trades that do not fall: tenths from 0 on, and those that never fall.
    pub issues_by_not_falling_share: [u64; BINS],
}

impl IssueVolume {
    /// Adds a trade's volume.
    pub fn add(&mut self, volume: i64) {
        if self.trades > 0 {
            self.rises += u64::from(volume > self.last);
            self.falls += u64::from(volume < self.last);
        }
        self.trades += 1;
        self.sum += i128::from(volume);
        self.largest = if self.trades == 1 {
            volume
        } else {
            self.largest.max(volume)
        };
        self.last = volume;
    }

    /// The number of trades.
    #[must_use]
    pub fn trades(&self) -> u64 {
        self.trades
    }

    /// The sum of their volumes.
    #[must_use]
    pub fn sum(&self) -> i64 {
        let clamped = self.sum.clamp(i64::MIN.into(), i64::MAX.into());
        i64::try_from(clamped).unwrap_or_default()
    }

    fn falls_of_changes(&self) -> f64 {
        self.falls as f64 / (self.rises + self.falls).max(1) as f64
    }

    fn not_falling_share(&self) -> f64 {
        let steps = self.trades.saturating_sub(1);
        (steps - self.falls) as f64 / steps.max(1) as f64
    }

    /// The bar, from 0 to 10, in which it belongs.
    fn bin(&self) -> usize {
        let steps = self.trades.saturating_sub(1).max(1);
        let tenth = (u128::from(steps - self.falls) * 10) / u128::from(steps);
        usize::try_from(tenth).map_or(BINS - 1, |tenth| tenth.min(BINS - 1))
    }
}

/// Judges all issues of one market, or of all.
#[must_use]
pub(crate) fn judge<'a>(all: impl Iterator<Item = &'a IssueVolume>) -> VolumeFacts {
    // A volume that is the same all day neither rises nor falls, and proves nothing.
    let telling: Vec<&IssueVolume> = all
        .filter(|issue| issue.rises + issue.falls >= CHANGES_MIN)
        .collect();
    let count = |of: &dyn Fn(&IssueVolume) -> bool| telling.iter().filter(|issue| of(issue)).count() as u64;
    let mut bins = [0; BINS];
    for issue in &telling {
        bins[issue.bin()] += 1;
    }
    let issues = telling.len() as u64;
    let never = count(&|issue| issue.falls_of_changes() <= FALLS_HARDLY);
    let falling = count(&|issue| issue.falls_of_changes() >= FALLS_OFTEN);
    let largest = count(&|issue| issue.last == issue.largest);
    let agree = |count: u64| count as f64 >= AGREEING * issues as f64;
    let verdict = if issues < ISSUES_MIN {
        Verdict::Unclear
    } else if agree(falling) {
        Verdict::Traded
    } else if agree(never) && agree(largest) {
        Verdict::Cumulative
    } else {
        Verdict::Unclear
    };
    VolumeFacts {
        verdict,
        issues,
        issues_never_falling: never,
        issues_falling: falling,
        issues_last_is_largest: largest,
        not_falling_share_median: median(telling.iter().map(|issue| issue.not_falling_share())),
        last_to_sum_median: median(
            telling
                .iter()
                .filter(|issue| issue.sum > 0)
                .map(|issue| issue.last as f64 / issue.sum as f64),
        ),
        issues_by_not_falling_share: bins,
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(volumes: impl IntoIterator<Item = i64>) -> IssueVolume {
        let mut issue = IssueVolume::default();
        volumes.into_iter().for_each(|volume| issue.add(volume));
        issue
    }

    /// Volumes that alternately rise and fall.
    fn traded() -> IssueVolume {
        issue((0..101).map(|trade| if trade % 2 == 0 { 3 } else { 40 }))
    }

    fn cumulative() -> IssueVolume {
        issue((1..=101).map(|trade| trade * 7))
    }

    #[test]
    fn traded_volume_falls_half_of_the_time() {
        let facts = judge([traded(); 10].iter());
        assert_eq!(
            (
                facts.verdict,
                facts.issues,
                facts.issues_falling,
                facts.issues_never_falling
            ),
            (Verdict::Traded, 10, 10, 0)
        );
        assert_eq!(facts.not_falling_share_median, Some(0.5));
        assert_eq!(
            facts.issues_by_not_falling_share,
            [0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0]
        );
        // 51 trades of 3 and 50 of 40; the last one is of 3.
        assert_eq!(facts.last_to_sum_median, Some(3.0 / 2153.0));
        assert_eq!(facts.issues_last_is_largest, 0);
    }

    #[test]
    fn cumulative_volume_never_falls_and_ends_at_its_largest() {
        let facts = judge([cumulative(); 10].iter());
        assert_eq!(
            (
                facts.verdict,
                facts.issues_never_falling,
                facts.issues_last_is_largest
            ),
            (Verdict::Cumulative, 10, 10)
        );
        assert_eq!(facts.not_falling_share_median, Some(1.0));
        assert_eq!(facts.issues_by_not_falling_share[10], 10);
        assert_eq!(
            facts.last_to_sum_median,
            Some(707.0 / (7.0 * 101.0 * 102.0 / 2.0))
        );
    }

    #[test]
    fn where_issues_disagree_or_say_nothing_it_is_unclear() {
        let mixed: Vec<_> = (0..10)
            .map(|index| if index < 5 { traded() } else { cumulative() })
            .collect();
        assert_eq!(judge(mixed.iter()).verdict, Verdict::Unclear);
        assert_eq!(
            judge([traded(); 4].iter()).verdict,
            Verdict::Unclear,
            "too few issues"
        );
        // The same volume all day, and too few trades: neither counts.
        let silent = [issue([1; 500]), issue([1, 2, 3, 4, 5])];
        let facts = judge(silent.iter());
        assert_eq!(
            (facts.verdict, facts.issues, facts.not_falling_share_median),
            (Verdict::Unclear, 0, None)
        );
        // Rising, but the last one is not the largest.
        let late: Vec<_> = (0..10).map(|_| issue((0..500).chain([498]))).collect();
        assert_eq!(judge(late.iter()).verdict, Verdict::Unclear);
    }

    #[test]
    fn absurd_volumes_do_not_panic() {
        let absurd: Vec<_> = (0..6)
            .map(|_| issue((0..100).map(|trade| if trade % 2 == 0 { i64::MAX } else { 0 })))
            .collect();
        assert_eq!(judge(absurd.iter()).verdict, Verdict::Traded);
    }
}
