//! Warns when this machine's clock cannot be trusted: when nothing keeps it in step, and when the records that come say
//! that it is wrong. Every frame is stamped by it.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use krx_clock::Discipline;
use krx_store::clock::ClockRow;
use krx_store::lag::{FeedLag, LagVerdict};
use krx_store::{Event, FeedName, Moment};
use tokio::sync::watch;
use tracing::{info, warn};

use super::pause::{self, Clocks};

/// How often a warning is repeated.
const REPEAT_INTERVAL: Duration = Duration::from_secs(600);

/// What is known of the clock.
#[derive(Clone, Debug)]
pub(crate) struct ClockState {
    /// What the kernel says, or why it does not say anything.
    pub kernel: Result<Discipline, String>,
    /// How often the clock was set since the start, by a second or more.
    pub steps: u64,
    /// The last time.
    pub last_step: Option<ClockStep>,
}

/// One time that the clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockStep {
    /// When that was noticed, by the new time.
    pub at: Moment,
    /// By how much: forward if positive.
    pub by_us: i64,
}

impl ClockState {
    fn of(kernel: io::Result<Discipline>) -> Self {
        Self {
            kernel: kernel.map_err(|error| error.to_string()),
            steps: 0,
            last_step: None,
        }
    }

    /// Whether something keeps the clock in step; `None` when the kernel does not say.
    #[must_use]
    pub(crate) fn is_synchronised(&self) -> Option<bool> {
        let kernel = self.kernel.as_ref().ok()?;
        Some(*kernel != Discipline::Unsynchronised)
    }

    /// Where this is from, or why nothing is known.
    #[must_use]
    pub(crate) fn source(&self) -> String {
        match &self.kernel {
            Ok(_) => "kernel".to_owned(),
            Err(error) => format!("not known: {error}"),
        }
    }

    /// A row of the dataset `clock`.
    #[must_use]
    pub(crate) fn row(&self, now: Moment) -> ClockRow {
        let (max_error_us, offset_us) = match self.kernel {
            Ok(Discipline::Synchronised {
                max_error_us,
                offset_us,
            }) => (Some(max_error_us), offset_us),
            Ok(Discipline::Unsynchronised) | Err(_) => (None, None),
        };
        ClockRow {
            ts: now,
            synchronised: self.is_synchronised(),
            offset_us,
            max_error_us,
            source: self.source(),
        }
    }
}

/// What to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Nothing,
    Bad,
    GoodAgain,
}

/// `is_bad` is `None` while nothing is known; `warned` is how long ago the last warning was given, if nothing was good since.
fn word(is_bad: Option<bool>, warned: Option<Duration>) -> Word {
    match (is_bad, warned) {
        (Some(true), None) => Word::Bad,
        (Some(true), Some(ago)) if ago >= REPEAT_INTERVAL => Word::Bad,
        (Some(false), Some(_)) => Word::GoodAgain,
        _ => Word::Nothing,
    }
}

/// Watches the clock for all feeds.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    state: watch::Sender<ClockState>,
    clocks: Clocks,
    /// When the log last said that nothing keeps the clock in step.
    unsynchronised: Option<Instant>,
    /// Of each feed whose records are at odds with the clock: how, and when the log last said so.
    at_odds: BTreeMap<FeedName, (LagVerdict, Instant)>,
}

impl ClockWatch {
    /// Asks the kernel for the first time.
    #[must_use]
    pub(crate) fn begin() -> Self {
        let state = ClockState::of(krx_clock::read());
        if let Err(error) = &state.kernel {
            info!(%error, "the kernel does not say whether this machine's clock is synchronised");
        }
        Self {
            state: watch::Sender::new(state),
            clocks: Clocks::now(),
            unsynchronised: None,
            at_odds: BTreeMap::new(),
        }
    }

    /// What is known, from now on.
    #[must_use]
    pub(crate) fn state(&self) -> watch::Receiver<ClockState> {
        self.state.subscribe()
    }

    /// A row of the dataset `clock`.
    #[must_use]
    pub(crate) fn row(&self) -> ClockRow {
        self.state.borrow().row(Moment::now())
    }

    /// The look that is due once a second.
    pub(crate) fn second(&mut self) {
        self.look(krx_clock::read(), Clocks::now(), Instant::now());
    }

    fn look(&mut self, kernel: io::Result<Discipline>, clocks: Clocks, now: Instant) {
        let before = std::mem::replace(&mut self.clocks, clocks);
        let stepped = match pause::between(before, clocks) {
            // The feeds' queues put it on record and log it.
            Some(Event::ClockStep { by_us }) => Some(ClockStep {
                at: clocks.wall,
                by_us,
            }),
            _ => None,
        };
        self.state.send_modify(|state| {
            *state = ClockState {
                steps: state.steps + u64::from(stepped.is_some()),
                last_step: stepped.or(state.last_step),
                ..ClockState::of(kernel)
            };
        });
        let is_bad = self.state.borrow().is_synchronised().map(|is| !is);
        let warned = self.unsynchronised.map(|at| now.duration_since(at));
        match word(is_bad, warned) {
            Word::Nothing => {}
            Word::Bad => {
                warn!(
                    "nothing keeps this machine's clock in step, and every record is stamped by it: set up time \
                     synchronisation"
                );
                self.unsynchronised = Some(now);
            }
            Word::GoodAgain => {
                info!("this machine's clock is synchronised");
                self.unsynchronised = None;
            }
        }
    }

    /// What a feed's records show.
    pub(crate) fn feed(&mut self, feed: &FeedName, lag: FeedLag, now: Instant) {
        let told = self.at_odds.get(feed).copied();
        // From early to late, or back, is news.
        let told = told.filter(|(verdict, _)| *verdict == lag.verdict || !lag.verdict.is_bad());
        let is_bad = match lag.verdict {
            LagVerdict::Unknown => None,
            verdict => Some(verdict.is_bad()),
        };
        let lag_seconds = f64::from(lag.lag_ms.unwrap_or_default()) / 1000.0;
        match word(is_bad, told.map(|(_, at)| now.duration_since(at))) {
            Word::Nothing => {}
            Word::Bad => {
                match lag.verdict {
                    LagVerdict::Early => warn!(%feed, lag_seconds,
                        "records are received before they were traded: this machine's clock is slow"),
                    _ => warn!(%feed, lag_seconds,
                        "records are received long after they were traded: this machine's clock is fast, or the feed is \
                         behind"),
                }
                self.at_odds.insert(feed.clone(), (lag.verdict, now));
            }
            Word::GoodAgain => {
                info!(%feed, lag_seconds, "records agree with this machine's clock again");
                self.at_odds.remove(feed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::logging::logged;

    const SECOND: Duration = Duration::from_secs(1);

    fn discipline(is_synchronised: bool) -> io::Result<Discipline> {
        Ok(if is_synchronised {
            Discipline::Synchronised {
                max_error_us: 175_500,
                offset_us: Some(-479),
            }
        } else {
            Discipline::Unsynchronised
        })
    }

    fn clocks(second: u64, fast_us: i64) -> Clocks {
        let uptime = Duration::from_secs(1000 + second);
        let wall = 1_795_100_400_000_000 + i64::try_from(uptime.as_micros()).unwrap() + fast_us;
        Clocks {
            uptime,
            wall: Moment(wall),
        }
    }

    fn watch() -> ClockWatch {
        ClockWatch {
            state: watch::Sender::new(ClockState::of(discipline(true))),
            clocks: clocks(0, 0),
            unsynchronised: None,
            at_odds: BTreeMap::new(),
        }
    }

    #[test]
    fn an_unsynchronised_clock_is_told_at_once_then_every_ten_minutes_and_so_is_its_end() {
        let (mut watch, start) = (watch(), Instant::now());
        let mut told = |second: u64, kernel| {
            let now = start + Duration::from_secs(second);
            logged(|| watch.look(kernel, clocks(second, 0), now))
        };
        assert_eq!(told(1, discipline(true)), "");
        assert!(
            told(2, discipline(false))
                .contains("WARN krx_recorder::watch::clock: nothing keeps this machine's clock in step")
        );
        assert_eq!(told(3, discipline(false)), "");
        let forbidden = || Err(io::Error::from_raw_os_error(1));
        assert_eq!(told(4, forbidden()), "", "not known is neither good nor bad");
        assert_eq!(told(601, discipline(false)), "");
        assert!(told(602, discipline(false)).contains("WARN krx_recorder::watch::clock: nothing keeps"));
        assert!(
            told(603, discipline(true))
                .contains("INFO krx_recorder::watch::clock: this machine's clock is synchronised")
        );
        assert_eq!(told(604, discipline(true)), "");
    }

    #[test]
    fn the_records_verdict_is_told_when_it_changes_and_every_ten_minutes() {
        let (mut watch, start) = (watch(), Instant::now());
        let [kospi, kosdaq]: [FeedName; 2] = ["KOSPI", "KOSDAQ"].map(|feed| feed.parse().unwrap());
        let mut told = |second: u32, feed: &FeedName, verdict, lag_ms| {
            let lag = FeedLag {
                verdict,
                lag_ms,
                at: None,
            };
            logged(|| watch.feed(feed, lag, start + second * SECOND))
        };
        let (late, early, good) = (LagVerdict::Late, LagVerdict::Early, LagVerdict::Good);
        assert_eq!(told(0, &kospi, LagVerdict::Unknown, None), "");
        assert_eq!(told(1, &kospi, good, Some(120)), "");
        let line = told(2, &kospi, late, Some(3_600_250));
        assert!(
            line.contains(
                "WARN krx_recorder::watch::clock: records are received long after they were traded"
            ),
            "{line}"
        );
        assert!(line.contains("feed=KOSPI lag_seconds=3600.25"), "{line}");
        assert_eq!(told(3, &kospi, late, Some(3_600_250)), "");
        assert!(told(3, &kosdaq, late, Some(3_600_250)).contains("feed=KOSDAQ"));
        let line = told(4, &kospi, early, Some(-3_600_000));
        assert!(
            line.contains("WARN krx_recorder::watch::clock: records are received before they were traded"),
            "{line}"
        );
        assert_eq!(told(5, &kospi, LagVerdict::Unknown, None), "", "the next day");
        assert_eq!(told(603, &kospi, early, Some(-3_600_000)), "");
        assert!(
            told(604, &kospi, early, Some(-3_600_000))
                .contains("WARN krx_recorder::watch::clock: records are received before")
        );
        assert!(
            told(605, &kospi, good, Some(90))
                .contains("INFO krx_recorder::watch::clock: records agree with this machine's clock again")
        );
        assert_eq!(told(606, &kospi, good, Some(90)), "");
    }

    #[test]
    fn steps_are_counted_and_rows_have_what_is_known() {
        let (mut watch, now) = (watch(), Instant::now());
        watch.look(discipline(true), clocks(1, 0), now);
        watch.look(discipline(true), clocks(2, 3_600_000_000), now);
        watch.look(discipline(true), clocks(3, -3_600_000_000), now);
        let state = watch.state.borrow().clone();
        assert_eq!(state.steps, 2);
        let step = ClockStep {
            at: clocks(3, -3_600_000_000).wall,
            by_us: -7_200_000_000,
        };
        assert_eq!(state.last_step, Some(step));
        let row = state.row(Moment(5));
        assert_eq!((row.synchronised, row.offset_us), (Some(true), Some(-479)));
        assert_eq!((row.max_error_us, row.source.as_str()), (Some(175_500), "kernel"));
        let forbidden = ClockState::of(Err(io::Error::from_raw_os_error(1))).row(Moment(5));
        assert_eq!((forbidden.synchronised, forbidden.max_error_us), (None, None));
        assert!(forbidden.source.starts_with("not known: Operation not permitted"));
    }
}
