//! How long to wait before the next attempt to connect. Pure: time and randomness are arguments.
//!
//! The wait is normally random, between zero and a ceiling that doubles up to a cap (full jitter). A server may ask for
//! something else, which is obeyed within limits.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

/// After this many refusals in a row, before any session was accepted, the key must be considered wrong.
const REFUSALS_MAX: u32 = 2;

/// The wait after a refusal while the key may still be wrong, and after the refusal of a key that was accepted before.
const REFUSED_FIRST_WAIT: Duration = Duration::from_secs(2);
const REFUSED_WAIT: Duration = Duration::from_secs(60);

/// The shortest wait when the server wants a new connection "shortly"; up to the same again is added at random.
const RECONNECT_LEAST: Duration = Duration::from_secs(1);

/// The shortest wait when the server is too busy (429, 503) and does not say how long to wait.
const BUSY_LEAST: Duration = Duration::from_secs(5);

/// The longest wait that a server can impose: otherwise one wrong header could cost the day.
const BUSY_MAX: Duration = Duration::from_secs(300);

/// A session was good if it lasted this many times the next wait's ceiling. Shorter ones, such as those of two
/// recorders that share a key and displace each other, are no reason to come back faster.
const STEADY_CEILINGS: u32 = 8;

/// What the server asked for, explicitly or by refusing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// Nothing.
    #[default]
    Nothing,
    /// A new connection, shortly.
    Reconnect,
    /// Patience, perhaps with a duration.
    Patience(Option<Duration>),
    /// Another key.
    OtherKey,
}

/// An attempt, and the session that followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// How long the session lasted, if it brought data.
    pub data_for: Option<Duration>,
    /// What the server asked for.
    pub asked: Asked,
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait, then try again.
    After(Duration),
    /// The key is wrong: stop trying.
    GiveUp,
}

/// The attempts since the last good session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    initial: Duration,
    max: Duration,
    attempt: u32,
    refusals: u32,
}

impl Backoff {
    /// No attempt yet.
    #[must_use]
    pub(crate) fn new(initial: Duration, max: Duration) -> Self {
        Self {
            initial,
            max,
            attempt: 0,
            refusals: 0,
        }
    }

    /// What to do after `ended`. `accepted` says whether any session with this key was accepted. `fraction` is random
    /// in 0..1, so that a server's many clients do not all come back at once.
    pub(crate) fn next(&mut self, ended: Attempt, accepted: bool, fraction: f64) -> Next {
        let fraction = fraction.clamp(0.0, 1.0);
        if let Some(lasted) = ended.data_for {
            self.refusals = 0;
            if lasted >= self.ceiling().saturating_mul(STEADY_CEILINGS) {
                self.attempt = 0;
            }
        }
        let random = self.ceiling().mul_f64(fraction);
        self.attempt = self.attempt.saturating_add(1);
        Next::After(match ended.asked {
            Asked::Nothing => random,
            Asked::Reconnect => random.max(RECONNECT_LEAST.mul_f64(1.0 + fraction)),
            Asked::Patience(None) => random.max(BUSY_LEAST),
            Asked::Patience(Some(wait)) => random.max(wait.min(BUSY_MAX)),
            Asked::OtherKey if accepted => REFUSED_WAIT,
            Asked::OtherKey => {
                self.refusals += 1;
                if self.refusals >= REFUSALS_MAX {
                    return Next::GiveUp;
                }
                REFUSED_FIRST_WAIT
            }
        })
    }

    /// The upper limit of the next random wait.
    fn ceiling(&self) -> Duration {
        self.initial
            .saturating_mul(1 << self.attempt.min(16))
            .min(self.max)
    }
}

/// What a `Retry-After` header asks for: seconds, or a date in one of HTTP's three forms (RFC 9110, 10.2.3 and 5.6.7).
/// A date in the past asks for no wait; anything else asks for nothing.
#[must_use]
pub(crate) fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    const FORMS: [&str; 3] = [
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
    ];
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = FORMS
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(value, form).ok())?;
    Some((until.and_utc() - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOTHING: Attempt = Attempt {
        data_for: None,
        asked: Asked::Nothing,
    };

    fn asked(asked: Asked) -> Attempt {
        Attempt {
            asked,
            ..Attempt::default()
        }
    }

    #[test]
    fn only_a_long_session_resets_the_wait() {
        let mut backoff = Backoff::new(SECOND, 16 * SECOND);
        for wait in [1, 2, 4, 8, 16, 16] {
            assert_eq!(backoff.next(NOTHING, true, 1.0), Next::After(wait * SECOND));
        }
        let session = |seconds| Attempt {
            data_for: Some(seconds * SECOND),
            ..Attempt::default()
        };
        // Another recorder with our key displaces us again and again.
        for _ in 0..10 {
            assert_eq!(backoff.next(session(127), true, 1.0), Next::After(16 * SECOND));
        }
        assert_eq!(backoff.next(session(128), true, 1.0), Next::After(SECOND));
        assert_eq!(backoff.next(session(15), true, 1.0), Next::After(2 * SECOND));
        assert_eq!(backoff.next(session(32), true, 1.0), Next::After(SECOND));
    }

    #[test]
    fn a_server_that_wants_a_new_connection_gets_it_shortly() {
        let mut backoff = Backoff::new(SECOND / 4, 15 * SECOND);
        assert_eq!(
            backoff.next(asked(Asked::Reconnect), true, 0.0),
            Next::After(SECOND)
        );
        assert_eq!(
            backoff.next(asked(Asked::Reconnect), true, 1.0),
            Next::After(2 * SECOND)
        );
        // A server that always says so is not contacted every second.
        let waits = [(); 5].map(|()| backoff.next(asked(Asked::Reconnect), true, 1.0));
        assert_eq!(waits[4], Next::After(15 * SECOND));
    }

    #[test]
    fn a_requested_wait_is_obeyed_within_limits() {
        let patience = |seconds: Option<u64>| asked(Asked::Patience(seconds.map(Duration::from_secs)));
        let mut backoff = Backoff::new(SECOND / 4, SECOND);
        for (seconds, wait) in [
            (None, BUSY_LEAST),
            (Some(1), SECOND),
            (Some(7), 7 * SECOND),
            (Some(300), 300 * SECOND),
            (Some(86_400), BUSY_MAX),
            (Some(u64::MAX), BUSY_MAX),
        ] {
            assert_eq!(
                backoff.next(patience(seconds), true, 0.0),
                Next::After(wait),
                "{seconds:?}"
            );
        }
        // "At once" does not override the backoff.
        assert_eq!(backoff.next(patience(Some(0)), true, 1.0), Next::After(SECOND));
    }

    #[test]
    fn a_refused_key_is_tried_twice_and_a_once_accepted_one_every_minute() {
        let mut backoff = Backoff::new(SECOND, SECOND);
        assert_eq!(
            backoff.next(asked(Asked::OtherKey), false, 0.0),
            Next::After(REFUSED_FIRST_WAIT)
        );
        assert_eq!(backoff.next(asked(Asked::OtherKey), false, 0.0), Next::GiveUp);
        let mut backoff = Backoff::new(SECOND, SECOND);
        for _ in 0..10 {
            assert_eq!(
                backoff.next(asked(Asked::OtherKey), true, 0.0),
                Next::After(REFUSED_WAIT)
            );
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_in_three_forms() {
        let now = DateTime::from_timestamp(784_111_777 - 90, 0).unwrap();
        let cases = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(90)),
            ("Sun Nov  6 08:49:37 1994", Some(90)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 KST", None),
            ("Mon, 06 Nov 1994 08:49:37 GMT", None),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ];
        for (value, seconds) in cases {
            assert_eq!(
                retry_after(value, now),
                seconds.map(Duration::from_secs),
                "{value:?}"
            );
        }
    }

    fn attempts() -> impl Strategy<Value = Attempt> {
        let asked = prop_oneof![
            Just(Asked::Nothing),
            Just(Asked::Reconnect),
            prop::option::of(any::<u64>()).prop_map(|s| Asked::Patience(s.map(Duration::from_secs))),
            Just(Asked::OtherKey),
        ];
        (prop::option::of(0..10_000_u64), asked).prop_map(|(seconds, asked)| Attempt {
            data_for: seconds.map(Duration::from_secs),
            asked,
        })
    }

    proptest! {
        #[test]
        fn waits_stay_below_a_ceiling_that_doubles_up_to_the_cap(initial_ms in 1..1000_u64, factor in 1..100_u64, fraction in 0.0..1.0_f64) {
            let (initial, max) = (Duration::from_millis(initial_ms), Duration::from_millis(initial_ms * factor));
            let mut backoff = Backoff::new(initial, max);
            let mut ceiling = initial;
            for _ in 0..40 {
                let Next::After(wait) = backoff.next(NOTHING, true, fraction) else { panic!("nothing was refused") };
                prop_assert!(wait <= ceiling);
                ceiling = (ceiling * 2).min(max);
            }
            prop_assert_eq!(backoff.next(NOTHING, true, 1.0), Next::After(max));
            let good = Attempt { data_for: Some(max * STEADY_CEILINGS), ..Attempt::default() };
            prop_assert_eq!(backoff.next(good, true, 1.0), Next::After(initial));
        }

        /// Whatever a server does, it is tried again within minutes, unless it refuses a key that was never accepted.
        #[test]
        fn no_server_can_keep_us_away(story in prop::collection::vec((attempts(), 0.0..1.0_f64), 1..50), accepted: bool) {
            let (initial, max) = (Duration::from_millis(250), 15 * SECOND);
            let mut backoff = Backoff::new(initial, max);
            for (attempt, fraction) in story {
                match backoff.next(attempt, accepted, fraction) {
                    Next::GiveUp => {
                        prop_assert!(!accepted && attempt.asked == Asked::OtherKey);
                        return Ok(());
                    }
                    Next::After(wait) => {
                        prop_assert!(wait <= BUSY_MAX);
                        let least = match attempt.asked {
                            Asked::Nothing => Duration::ZERO,
                            Asked::Reconnect => RECONNECT_LEAST,
                            Asked::Patience(None) => BUSY_LEAST,
                            Asked::Patience(Some(wait)) => wait.min(BUSY_MAX),
                            Asked::OtherKey => REFUSED_FIRST_WAIT,
                        };
                        prop_assert!(wait >= least);
                    }
                }
            }
        }

        #[test]
        fn no_header_makes_it_panic(value in ".{0,40}") {
            let _ = retry_after(&value, DateTime::UNIX_EPOCH);
        }
    }
}
