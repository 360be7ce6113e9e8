//! The conversation of the full-market service: `init`, and from then on data as it comes. The server need not reply.

use std::time::{Duration, Instant};

use super::heartbeats::Heartbeats;
use super::machine::{Conversation, Heartbeat, Meaning, Parting, Phase, Received};
use super::silence::{Silence, Stall};
use crate::control::{Control, Refusal};
use crate::scan::without_byte_order_mark;

/// A conversation with the full-market service.
#[derive(Clone, Debug)]
pub struct FullMarket {
    phase: Phase,
    silence: Silence,
    heartbeats: Heartbeats,
}

impl FullMarket {
    /// `init` is sent at `now`. Our heartbeats are sent at this interval, and silence of `silence_max` is too long.
    #[must_use]
    pub fn begin(heartbeat_interval: Duration, silence_max: Duration, now: Instant) -> Self {
        Self {
            phase: Phase::Asked,
            silence: Silence::new(silence_max, now),
            heartbeats: Heartbeats::begin(heartbeat_interval, now),
        }
    }

    /// Tells data from the few messages that concern the connection; those are objects, and data are arrays.
    fn message(&mut self, payload: &[u8]) -> Meaning {
        let text = without_byte_order_mark(payload).trim_ascii_start();
        match text.first() {
            None => return Meaning::Other,
            Some(b'{') => {}
            Some(_) => return self.data(),
        }
        match Control::classify(text) {
            Some(Control::Error(error)) => match error.refusal() {
                Refusal::Key => Meaning::Over(Parting::KeyRefused(error)),
                Refusal::Reconnect => Meaning::Over(Parting::Reconnect(error)),
                Refusal::Nothing => Meaning::Trouble(error),
            },
            // Of the per-issue service, but data all the same.
            Some(Control::Push) => self.data(),
            Some(Control::Reply) => {
                self.phase = self.phase.max(Phase::Accepted);
                Meaning::Other
            }
            Some(Control::Heartbeat | Control::Unknown) | None => Meaning::Other,
        }
    }

    fn data(&mut self) -> Meaning {
        self.phase = Phase::Data;
        Meaning::Data
    }
}

impl Conversation for FullMarket {
    fn heard(&mut self, received: Received<'_>, now: Instant) -> Meaning {
        match received {
            Received::Message(payload) => {
                let meaning = self.message(payload);
                match meaning {
                    Meaning::Data => self.silence.data(now),
                    _ => self.silence.heard(now),
                }
                meaning
            }
            Received::Ping => Meaning::Control,
            Received::Pong(payload) => {
                if self.heartbeats.answered_by(payload) {
                    self.silence.heard(now);
                }
                Meaning::Control
            }
            Received::Close(frame) => Meaning::Over(Parting::by_close_frame(frame)),
        }
    }

    fn phase(&self) -> Phase {
        self.phase
    }

    fn heartbeat_due(&self) -> Instant {
        self.heartbeats.due()
    }

    fn heartbeat(&mut self, now: Instant) -> Heartbeat {
        self.heartbeats.next(now)
    }

    fn stall(&mut self, now: Instant, expects_data: bool, open_since: Option<Instant>) -> Option<Stall> {
        self.silence.look(now, expects_data, open_since)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn begin(now: Instant) -> FullMarket {
        FullMarket::begin(10 * SECOND, 30 * SECOND, now)
    }

    #[test]
    fn each_message_says_how_far_it_has_come() {
        let now = Instant::now();
        let over = |parting: fn(crate::ServerError) -> Parting, code, message: &str| {
            let message = message.to_owned();
            Meaning::Over(parting(crate::ServerError { code, message }))
        };
        let cases = [
            ("[]", Meaning::Data, Phase::Data),
            ("\u{feff} [", Meaning::Data, Phase::Data),
            ("garbage", Meaning::Data, Phase::Data),
            (r#"{"method":"push","params":{}}"#, Meaning::Data, Phase::Data),
            (r#"{"id":1,"result":{}}"#, Meaning::Other, Phase::Accepted),
            (
                "\u{feff}{\"id\":1,\"result\":{}}",
                Meaning::Other,
                Phase::Accepted,
            ),
            (r#"{"id":1,"method":"heartbeat"}"#, Meaning::Other, Phase::Asked),
            (r#"{"hello":1}"#, Meaning::Other, Phase::Asked),
            (r#"{"hello":"#, Meaning::Other, Phase::Asked),
            (" \n", Meaning::Other, Phase::Asked),
            ("", Meaning::Other, Phase::Asked),
            (
                r#"{"error":{"code":47,"message":"x"}}"#,
                Meaning::Trouble(crate::ServerError {
                    code: 47,
                    message: "x".to_owned(),
                }),
                Phase::Asked,
            ),
            (
                r#"{"error":{"code":10070,"message":"x"}}"#,
                over(Parting::KeyRefused, 10_070, "x"),
                Phase::Asked,
            ),
            (
                r#"{"error":{"code":13004,"message":"x"}}"#,
                over(Parting::Reconnect, 13_004, "x"),
                Phase::Asked,
            ),
        ];
        for (text, meaning, phase) in cases {
            let mut conversation = begin(now);
            let heard = conversation.heard(Received::Message(text.as_bytes()), now);
            assert_eq!((heard, conversation.phase()), (meaning, phase), "{text}");
        }
    }

    #[test]
    fn a_close_frame_is_told_with_its_code() {
        let now = Instant::now();
        for (frame, words) in [
            (None, "no close code"),
            (Some((1001, "")), "close code 1001"),
            (Some((4001, "bye")), "close code 4001: bye"),
        ] {
            let Meaning::Over(parting) = begin(now).heard(Received::Close(frame), now) else {
                panic!("it is over")
            };
            assert_eq!(parting.words(), words);
        }
    }

    #[test]
    fn heartbeats_are_due_at_their_interval_and_never_made_up_for() {
        let now = Instant::now();
        let mut conversation = begin(now);
        assert_eq!(conversation.heartbeat_due(), now + 10 * SECOND);
        let late = now + 35 * SECOND;
        let first = conversation.heartbeat(late);
        assert_eq!(conversation.heartbeat_due(), late + 10 * SECOND);
        let second = conversation.heartbeat(late);
        assert_eq!((&first.text, first.ping < second.ping), (&second.text, true));
    }

    #[test]
    fn only_data_end_a_silence_of_data_and_only_answers_to_our_pings_are_heard() {
        let begun = Instant::now();
        // What is read again and again, and how a minute of it shows while data are due, and at other times.
        let (silent, no_data) = (Some(Stall::NothingCame), Some(Stall::NoData));
        let cases = [
            (Received::Message(b"[]"), None, None),
            (Received::Message(b"{\"method\":\"heartbeat\"}"), no_data, None),
            (Received::Ping, silent, silent),
            (Received::Pong(b"12345678"), silent, silent),
        ];
        for (received, due, at_other_times) in cases {
            for (expects_data, expected) in [(true, due), (false, at_other_times)] {
                let mut conversation = begin(begun);
                let stall = (0..60_u32).find_map(|second| {
                    let now = begun + second * SECOND;
                    conversation.heard(received, now);
                    conversation.stall(now, expects_data, None)
                });
                assert_eq!(stall, expected, "{received:?}");
            }
        }
        // One answer to each ping, half a minute of patience for each.
        let mut conversation = begin(begun);
        let asked = conversation.heartbeat(begun).ping;
        let told = (0..90_u32).find(|second| {
            let now = begun + *second * SECOND;
            if *second >= 20 {
                conversation.heard(Received::Pong(&asked), now);
            }
            conversation.stall(now, false, None).is_some()
        });
        assert_eq!(told, Some(52));
    }

    proptest! {
        #[test]
        fn no_message_makes_it_forget_how_far_it_has_come(
            messages in prop::collection::vec(
                prop_oneof![
                    Just(b"[]".to_vec()),
                    Just(b"{\"result\":1}".to_vec()),
                    Just(b"{\"error\":{\"code\":47}}".to_vec()),
                    prop::collection::vec(any::<u8>(), 0..20),
                ],
                0..20,
            ),
        ) {
            let now = Instant::now();
            let (mut conversation, mut phase) = (begin(now), Phase::Asked);
            for message in &messages {
                conversation.heard(Received::Message(message), now);
                prop_assert!(conversation.phase() >= phase);
                phase = conversation.phase();
            }
        }
    }
}
