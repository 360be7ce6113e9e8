//! What is known of the clock, as it is shown.

use krx_store::Moment;
use krx_store::lag::FeedLag;
use serde::{Deserialize, Serialize};

use super::kst::Kst;
use super::view::View;

/// This machine's clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClockSnapshot {
    /// Whether something keeps it in step with a source of time; `null` when the kernel does not say.
    pub synchronised: Option<bool>,
    /// By how much the kernel is still putting it right; `null` when not known.
    pub offset_us: Option<i64>,
    /// The most that it may be off; `null` when not known.
    pub max_error_us: Option<i64>,
    /// Where this is from, or why it is not known.
    pub source: String,
    /// How often it was set since the start, by a second or more.
    pub steps: u64,
    /// When that was last noticed.
    pub last_step_at: Option<Kst>,
    /// By how much it was set then: forward if positive.
    pub last_step_seconds: Option<f64>,
    /// `clock.lag_max`.
    pub lag_max_seconds: f64,
}

/// What a feed's records show of the clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FeedClockSnapshot {
    /// `unknown`, `good`, `early` or `late`.
    pub verdict: String,
    /// How long after their trades records come; negative if before, `null` when not known.
    pub lag_seconds: Option<f64>,
    /// When the last record that was looked at came, to the second.
    pub at: Option<Kst>,
}

impl ClockSnapshot {
    pub(super) fn of(view: &View, now: Moment) -> Self {
        let state = view.clock.borrow();
        let row = state.row(now);
        Self {
            synchronised: row.synchronised,
            offset_us: row.offset_us,
            max_error_us: row.max_error_us,
            source: row.source,
            steps: state.steps,
            last_step_at: state.last_step.map(|step| Kst(step.at)),
            last_step_seconds: state.last_step.map(|step| step.by_us as f64 / 1e6),
            lag_max_seconds: view.lag_max.as_secs_f64(),
        }
    }
}

impl From<FeedLag> for FeedClockSnapshot {
    fn from(lag: FeedLag) -> Self {
        Self {
            verdict: lag.verdict.as_str().to_owned(),
            lag_seconds: lag.lag_ms.map(|lag| f64::from(lag) / 1000.0),
            at: lag.at.map(Kst),
        }
    }
}
