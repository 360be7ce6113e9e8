//! When a session must be taken for dead though nobody closed it. Pure: the time is an argument.
//!
//! What counts as a sign of life is decided here. While the feed trades, data alone. At all other times, and with
//! `schedule.mode = "always"`, any message, and a pong that answers one of our own pings. A server's pings count for
//! nothing, and nor do pongs that nobody asked for: both can come for ever from something that has long lost its
//! feed, and every living peer must answer a ping (RFC 6455, 5.5.2).

use std::time::{Duration, Instant};

/// How a session shows that it is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// Not even an answer to our pings.
    NothingCame,
    /// No data, at a time at which there must be some.
    NoData,
    /// The first part of a message, and never its end.
    Unfinished,
}

impl Stall {
    /// For the ledger.
    #[must_use]
    pub fn words(self, limit: Duration) -> String {
        match self {
            Self::NothingCame => format!("nothing came for {limit:?}"),
            Self::NoData => format!("no data came for {limit:?}"),
            Self::Unfinished => format!("a message began and did not end within {limit:?}"),
        }
    }
}

/// A session's signs of life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    limit: Duration,
    heard: Instant,
    data: Instant,
    expecting_since: Option<Instant>,
    suspected: Option<Stall>,
}

impl Silence {
    /// A session that begins at `now`; silence of `limit` is too long.
    #[must_use]
    pub(super) fn new(limit: Duration, now: Instant) -> Self {
        Self {
            limit,
            heard: now,
            data: now,
            expecting_since: None,
            suspected: None,
        }
    }

    /// Data came.
    pub(super) fn data(&mut self, now: Instant) {
        (self.heard, self.data) = (now, now);
    }

    /// Another sign of life came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Looks at the clock: whether data are due at `now`, and since when a message has been under way.
    ///
    /// Only what two looks in a row have found is told. Between them the socket is read: after a pause of the whole
    /// machine the first one finds a long silence, and all that came meanwhile is still in the socket.
    pub(super) fn look(
        &mut self,
        now: Instant,
        expects_data: bool,
        open_since: Option<Instant>,
    ) -> Option<Stall> {
        // Silence before data was due says nothing.
        self.expecting_since = expects_data.then(|| self.expecting_since.unwrap_or(now));
        let too_long = |since: Instant| now.saturating_duration_since(since) > self.limit;
        let found = if open_since.is_some_and(too_long) {
            Some(Stall::Unfinished)
        } else if too_long(self.heard) {
            Some(Stall::NothingCame)
        } else if self
            .expecting_since
            .is_some_and(|since| too_long(since.max(self.data)))
        {
            Some(Stall::NoData)
        } else {
            None
        };
        let suspected = std::mem::replace(&mut self.suspected, found);
        suspected.and(found)
    }
}

/// Our pings of a session, numbered so that an answer can be told from a pong that nobody asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pings {
    sent: u64,
    answered: u64,
}

impl Pings {
    /// The next ping's payload.
    pub(super) fn next_payload(&mut self) -> [u8; 8] {
        self.sent += 1;
        self.sent.to_be_bytes()
    }

    /// Whether a pong answers a ping that was not answered before. A server may answer the newest of several.
    pub(super) fn answered_by(&mut self, pong: &[u8]) -> bool {
        let Ok(payload) = <[u8; 8]>::try_from(pong) else {
            return false;
        };
        let number = u64::from_be_bytes(payload);
        let answers = (self.answered + 1..=self.sent).contains(&number);
        if answers {
            self.answered = number;
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Looks four times a second from `from` to `to`; when the stall was told first.
    fn first_stall(
        silence: &mut Silence,
        start: Instant,
        seconds: std::ops::Range<u32>,
        expects_data: bool,
        open_since: Option<Instant>,
    ) -> Option<(f64, Stall)> {
        (seconds.start * 4..seconds.end * 4).find_map(|tick| {
            let now = start + tick * SECOND / 4;
            let stall = silence.look(now, expects_data, open_since)?;
            Some((f64::from(tick) / 4.0, stall))
        })
    }

    #[test]
    fn silence_of_every_kind_is_told_after_its_limit() {
        let start = Instant::now();
        for expects in [false, true] {
            let mut silence = Silence::new(30 * SECOND, start);
            let stall = first_stall(&mut silence, start, 0..60, expects, None);
            assert_eq!(stall, Some((30.5, Stall::NothingCame)));
        }
    }

    #[test]
    fn signs_of_life_do_not_hide_missing_data_while_data_is_due() {
        let start = Instant::now();
        let mut silence = Silence::new(30 * SECOND, start);
        let mut told = None;
        for second in 0..60 {
            silence.heard(start + second * SECOND);
            told = told.or(first_stall(&mut silence, start, second..second + 1, true, None));
        }
        assert_eq!(told, Some((30.5, Stall::NoData)));
        let mut silence = Silence::new(30 * SECOND, start);
        for second in 0..600 {
            silence.heard(start + second * SECOND);
            assert_eq!(silence.look(start + second * SECOND, false, None), None);
        }
    }

    #[test]
    fn at_the_opening_the_silence_before_it_is_forgotten() {
        let start = Instant::now();
        let mut silence = Silence::new(30 * SECOND, start);
        for second in 0..600 {
            silence.heard(start + second * SECOND);
            assert_eq!(silence.look(start + second * SECOND, second >= 590, None), None);
        }
    }

    #[test]
    fn a_message_that_never_ends_is_told_whatever_else_comes() {
        let start = Instant::now();
        let mut silence = Silence::new(2 * SECOND, start);
        let mut told = None;
        for second in 0..6 {
            silence.heard(start + second * SECOND);
            told = told.or(first_stall(
                &mut silence,
                start,
                second..second + 1,
                false,
                Some(start),
            ));
        }
        assert_eq!(told, Some((2.5, Stall::Unfinished)));
    }

    #[test]
    fn after_a_pause_of_the_machine_the_socket_is_read_first() {
        let start = Instant::now();
        let mut silence = Silence::new(SECOND, start);
        let later = start + 60 * SECOND;
        assert_eq!(silence.look(later, true, None), None);
        silence.data(later);
        assert_eq!(silence.look(later + SECOND / 4, true, None), None);
    }

    #[test]
    fn only_answers_to_our_own_pings_are_answers_and_each_once() {
        let mut pings = Pings::default();
        assert!(!pings.answered_by(&0_u64.to_be_bytes()));
        assert!(!pings.answered_by(&1_u64.to_be_bytes()));
        let payloads = [(); 3].map(|()| pings.next_payload());
        assert!(!pings.answered_by(b""));
        assert!(pings.answered_by(&payloads[1]));
        assert!(!pings.answered_by(&payloads[1]));
        assert!(!pings.answered_by(&payloads[0]));
        assert!(pings.answered_by(&payloads[2]));
        assert!(!pings.answered_by(&4_u64.to_be_bytes()));
    }
}
