//! The trading day in half seconds: which session it is, and how busy the market is.

use std::fmt;
use std::time::Duration;

use krx_exchange::TimeOfDay;

/// A time of the simulated day in half seconds since midnight, Korea Standard Time.
///
/// Half a second is the feed's own step: within it, an issue is sent at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HalfSecond(u32);

impl HalfSecond {
    /// The first half second of the day: 08:30:00.
    pub const DAY_START: HalfSecond = HalfSecond::at(8, 30, 0);

    /// The half second from which nothing more is sent: 20:00:05, when the last signals are out.
    pub const DAY_END: HalfSecond = HalfSecond::at(20, 0, 5);

    /// The half second that begins at `hour:minute:second`.
    #[must_use]
    pub const fn at(hour: u32, minute: u32, second: u32) -> HalfSecond {
        HalfSecond((hour * 3_600 + minute * 60 + second) * 2)
    }

    /// The next half second.
    #[must_use]
    pub fn next(self) -> HalfSecond {
        HalfSecond(self.0 + 1)
    }

    /// The simulated time from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: HalfSecond) -> Duration {
        Duration::from_millis(u64::from(self.0.saturating_sub(earlier.0)) * 500)
    }

    /// The time as the eight digits `HHMMSScc` of `trdTm`, `hundredths` (0 to 49) into the half second.
    pub(crate) fn digits(self, hundredths: u32) -> [u8; 8] {
        let seconds = self.0 / 2;
        let cc = self.0 % 2 * 50 + hundredths;
        let mut digits = [b'0'; 8];
        for (pair, value) in
            digits
                .chunks_exact_mut(2)
                .zip([seconds / 3_600, seconds / 60 % 60, seconds % 60, cc])
        {
            pair[0] = digit(value / 10);
            pair[1] = digit(value % 10);
        }
        digits
    }
}

/// The ASCII digit of a number from 0 to 9.
fn digit(value: u32) -> u8 {
    b'0' + u8::try_from(value % 10).unwrap_or_default()
}

impl From<HalfSecond> for TimeOfDay {
    fn from(time: HalfSecond) -> TimeOfDay {
        TimeOfDay(u64::from(time.0) * 500_000)
    }
}

impl fmt::Display for HalfSecond {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 2;
        write!(
            formatter,
            "{:02}:{:02}:{:02}",
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60
        )
    }
}

/// What the market is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// 08:30: orders are collected; what is sent has no trade time yet.
    PreOpen,
    /// 09:00: every issue's first trade, within two seconds.
    OpeningAuction,
    /// 09:00:02: continuous trading.
    Regular,
    /// 15:20: orders are collected for the closing auction.
    ClosingCall,
    /// 15:30: every issue's closing trade, within two seconds.
    ClosingAuction,
    /// 15:30:02: an end-of-session signal for every issue.
    RegularClosed,
    /// 15:30:07: only blocks and buy-ins.
    Pause,
    /// 15:40: trading at the closing price.
    AfterHours,
    /// 16:00: its end-of-session signals.
    AfterHoursClosed,
    /// 16:00:05: the after-market.
    AfterMarket,
    /// 20:00: its end-of-session signals.
    AfterMarketClosed,
}

/// When each session begins, in order.
const SESSIONS: [(HalfSecond, Session); 11] = [
    (HalfSecond::DAY_START, Session::PreOpen),
    (HalfSecond::at(9, 0, 0), Session::OpeningAuction),
    (HalfSecond::at(9, 0, 2), Session::Regular),
    (HalfSecond::at(15, 20, 0), Session::ClosingCall),
    (HalfSecond::at(15, 30, 0), Session::ClosingAuction),
    (HalfSecond::at(15, 30, 2), Session::RegularClosed),
    (HalfSecond::at(15, 30, 7), Session::Pause),
    (HalfSecond::at(15, 40, 0), Session::AfterHours),
    (HalfSecond::at(16, 0, 0), Session::AfterHoursClosed),
    (HalfSecond::at(16, 0, 5), Session::AfterMarket),
    (HalfSecond::at(20, 0, 0), Session::AfterMarketClosed),
];

/// The number of half seconds over which an auction's trades, or a session's closing signals, are spread.
pub(crate) const AUCTION_STEPS: u32 = 4;
/// See [`AUCTION_STEPS`].
pub(crate) const SIGNAL_STEPS: u32 = 10;

/// How busy continuous trading is at certain times, interpolated in between. Only the proportions matter. They are
/// those of an average day: a rush after the open, a quiet noon, a rise towards the close.
const ACTIVITY: [(HalfSecond, u32); 21] = [
    (HalfSecond::at(8, 30, 0), 12),
    (HalfSecond::at(8, 50, 0), 30),
    (HalfSecond::at(9, 0, 0), 90),
    (HalfSecond::at(9, 0, 2), 3_000),
    (HalfSecond::at(9, 5, 0), 2_400),
    (HalfSecond::at(9, 15, 0), 1_800),
    (HalfSecond::at(9, 30, 0), 1_400),
    (HalfSecond::at(10, 0, 0), 1_000),
    (HalfSecond::at(11, 0, 0), 700),
    (HalfSecond::at(12, 0, 0), 520),
    (HalfSecond::at(13, 0, 0), 560),
    (HalfSecond::at(14, 0, 0), 720),
    (HalfSecond::at(15, 0, 0), 1_050),
    (HalfSecond::at(15, 20, 0), 1_700),
    (HalfSecond::at(15, 40, 0), 220),
    (HalfSecond::at(15, 45, 0), 70),
    (HalfSecond::at(16, 0, 0), 30),
    (HalfSecond::at(16, 0, 5), 160),
    (HalfSecond::at(17, 0, 0), 60),
    (HalfSecond::at(18, 0, 0), 30),
    (HalfSecond::at(20, 0, 0), 40),
];

/// The activity while the closing auction is being called: a stray trade every few seconds at most.
const CLOSING_CALL_ACTIVITY: u32 = 2;

impl Session {
    /// The session at `time`, and how many half seconds old it is.
    pub(crate) fn at(time: HalfSecond) -> (Session, u32) {
        let (start, session) = SESSIONS
            .into_iter()
            .take_while(|(start, _)| *start <= time)
            .last()
            .unwrap_or(SESSIONS[0]);
        (session, time.0.saturating_sub(start.0))
    }

    /// Whether indices are computed.
    pub(crate) fn has_indices(self) -> bool {
        matches!(
            self,
            Session::OpeningAuction | Session::Regular | Session::ClosingCall | Session::ClosingAuction
        )
    }

    /// How busy continuous trading is at `time`, in the units of [`ACTIVITY`].
    pub(crate) fn activity(self, time: HalfSecond) -> u32 {
        match self {
            Session::PreOpen | Session::Regular | Session::AfterHours | Session::AfterMarket => {
                interpolate(time)
            }
            Session::ClosingCall => CLOSING_CALL_ACTIVITY,
            Session::OpeningAuction
            | Session::ClosingAuction
            | Session::RegularClosed
            | Session::Pause
            | Session::AfterHoursClosed
            | Session::AfterMarketClosed => 0,
        }
    }
}

fn interpolate(time: HalfSecond) -> u32 {
    let after = ACTIVITY
        .partition_point(|(knot, _)| *knot <= time)
        .min(ACTIVITY.len() - 1);
    let before = after.saturating_sub(1);
    let ((from, low), (to, high)) = (ACTIVITY[before], ACTIVITY[after]);
    let span = (to.0 - from.0).max(1);
    let done = time.0.saturating_sub(from.0).min(span);
    (low * (span - done) + high * done) / span
}

/// Every half second of the day, in order.
pub(crate) fn half_seconds() -> impl Iterator<Item = HalfSecond> {
    (HalfSecond::DAY_START.0..HalfSecond::DAY_END.0).map(HalfSecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_hours_minutes_seconds_and_hundredths() {
        assert_eq!(&HalfSecond::at(14, 34, 4).digits(0), b"14340400");
        assert_eq!(&HalfSecond::at(9, 5, 59).next().digits(49), b"09055999");
    }

    #[test]
    fn a_half_second_begins_at_a_time_of_the_day() {
        let time = HalfSecond::at(8, 30, 5).next();
        assert_eq!(TimeOfDay::from(time), TimeOfDay(30_605_500_000));
        assert_eq!(TimeOfDay::from(time).to_string(), time.to_string());
    }

    #[test]
    fn the_day_is_u_shaped_and_silent_between_sessions() {
        let activity = |hour, minute, second| {
            let time = HalfSecond::at(hour, minute, second);
            Session::at(time).0.activity(time)
        };
        assert!(activity(9, 1, 0) > 3 * activity(12, 0, 0));
        assert!(activity(15, 15, 0) > 2 * activity(12, 0, 0));
        assert!(activity(15, 25, 0) < 10);
        assert_eq!(activity(15, 35, 0), 0);
        assert!(activity(19, 0, 0) < activity(16, 1, 0));
    }

    #[test]
    fn sessions_begin_when_the_timetable_says() {
        let at = |hour, minute, second| Session::at(HalfSecond::at(hour, minute, second));
        assert_eq!(at(8, 30, 0), (Session::PreOpen, 0));
        assert_eq!(at(9, 0, 1), (Session::OpeningAuction, 2));
        assert_eq!(at(15, 19, 59).0, Session::Regular);
        assert_eq!(at(15, 30, 6), (Session::RegularClosed, 8));
        assert_eq!(at(20, 0, 4), (Session::AfterMarketClosed, 8));
    }
}
