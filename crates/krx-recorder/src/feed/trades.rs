//! What a session of the per-issue service hears of its issues' trades in the full-market feeds.

use std::sync::Arc;
use std::time::Instant;

use krx_protocol::conversation::Conversation;
use krx_store::{Moment, Traded, Watched};

/// The trades that a session has not been told of yet.
#[derive(Debug)]
pub(super) struct Trades<'a> {
    traded: &'a Traded,
    watched: Arc<Watched>,
    /// What was told of each code, in the order of `watched`.
    told: Vec<u32>,
}

impl<'a> Trades<'a> {
    /// Those from now on.
    pub(super) fn from_now(traded: &'a Traded) -> Self {
        let watched = traded.watched();
        Self {
            told: watched.iter().map(|(_, trades, _)| trades).collect(),
            traded,
            watched,
        }
    }

    /// Tells a conversation what has been counted since it was last told. It is `now`, by both clocks.
    pub(super) fn tell(&mut self, conversation: &mut dyn Conversation, now: (Instant, Moment)) {
        let watched = self.traded.watched();
        if !Arc::ptr_eq(&watched, &self.watched) {
            // Another list is registered. The few trades that were counted and not told are not missed.
            self.told = watched.iter().map(|_| 0).collect();
            self.watched = watched;
        }
        for ((code, trades, last), told) in self.watched.iter().zip(&mut self.told) {
            let more = trades.wrapping_sub(std::mem::replace(told, trades));
            if more > 0 {
                conversation.issue_traded(code, more, instant_of(last, now));
            }
        }
    }
}

/// When something was received, by the clock that is never set.
fn instant_of(received: Moment, (now, wall): (Instant, Moment)) -> Instant {
    let age = u64::try_from(wall.0.saturating_sub(received.0)).unwrap_or(0);
    now.checked_sub(std::time::Duration::from_micros(age))
        .unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use krx_protocol::conversation::{Heartbeat, Meaning, Phase, Received, Stall};

    use super::*;

    /// Keeps what it is told.
    #[derive(Default)]
    struct Told(Vec<(String, u32, Instant)>);

    impl Conversation for Told {
        fn heard(&mut self, _: Received<'_>, _: Instant) -> Meaning {
            Meaning::Other
        }
        fn phase(&self) -> Phase {
            Phase::Data
        }
        fn heartbeat_due(&self) -> Instant {
            Instant::now()
        }
        fn heartbeat(&mut self, _: Instant) -> Heartbeat {
            Heartbeat {
                text: String::new(),
                ping: [0; 8],
            }
        }
        fn stall(&mut self, _: Instant, _: bool, _: Option<Instant>) -> Option<Stall> {
            None
        }
        fn issue_traded(&mut self, code: &str, trades: u32, last: Instant) {
            self.0.push((code.to_owned(), trades, last));
        }
    }

    #[test]
    fn each_trade_is_told_once_with_the_time_at_which_it_was_received() {
        let traded = Traded::default();
        traded.watch(["005930", "000660"]);
        let (now, wall) = (Instant::now(), Moment::now());
        let ago = |seconds: u64| {
            let micros = i64::try_from(seconds).unwrap() * 1_000_000;
            (Moment(wall.0 - micros), now - Duration::from_secs(seconds))
        };
        let mut conversation = Told::default();
        traded.watched().count("005930", ago(5).0);
        let mut trades = Trades::from_now(&traded);
        trades.tell(&mut conversation, (now, wall));
        assert_eq!(conversation.0, [], "it was before");
        for seconds in [4, 3] {
            traded.watched().count("005930", ago(seconds).0);
        }
        trades.tell(&mut conversation, (now, wall));
        trades.tell(&mut conversation, (now, wall));
        assert_eq!(conversation.0, [("005930".to_owned(), 2, ago(3).1)]);

        traded.watch(["000660", "00088K"]);
        traded.watched().count("00088K", ago(2).0);
        // The clock was set back meanwhile.
        traded.watched().count("000660", Moment(wall.0 + 9));
        conversation.0.clear();
        trades.tell(&mut conversation, (now, wall));
        // Codes are told in no order.
        conversation.0.sort_unstable();
        let expected = [("000660".to_owned(), 1, now), ("00088K".to_owned(), 1, ago(2).1)];
        assert_eq!(conversation.0, expected);
    }
}
