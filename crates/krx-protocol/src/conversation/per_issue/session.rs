//! A session of the per-issue service, as a [`Conversation`].

use std::time::Instant;

use super::registrar::{Concern, Registrar};
use super::said::{Said, read};
use super::settings::PerIssueSettings;
use crate::control::{Refusal, ServerError};
use crate::conversation::heartbeats::Heartbeats;
use crate::conversation::machine::{Conversation, Heartbeat, Meaning, Parting, Phase, Received, Request};
use crate::conversation::silence::{Silence, Stall};
use crate::per_issue::{RegistrationEvent, WishList};

/// A conversation with the per-issue service.
///
/// Its silence is judged by messages of any kind and by answers to our pings, never by data: a hundred quiet issues are
/// legal.
#[derive(Clone, Debug)]
pub struct PerIssue {
    phase: Phase,
    silence: Silence,
    heartbeats: Heartbeats,
    registrar: Registrar,
}

impl PerIssue {
    /// `init` is sent at `now`; then all of the list is registered.
    #[must_use]
    pub fn begin(settings: &PerIssueSettings, list: &WishList, now: Instant) -> Self {
        Self {
            phase: Phase::Asked,
            silence: Silence::new(settings.silence_max, now),
            heartbeats: Heartbeats::begin(settings.heartbeat_interval, now),
            registrar: Registrar::begin(settings, list, now),
        }
    }

    /// All that a message says. What matters most is what it means.
    fn message(&mut self, payload: &[u8], now: Instant) -> Meaning {
        let mut meaning = Meaning::Other;
        read(payload, |said| {
            let one = self.said(said, now);
            if weight(&one) > weight(&meaning) {
                meaning = one;
            }
        });
        meaning
    }

    fn said(&mut self, said: Said<'_>, now: Instant) -> Meaning {
        match said {
            Said::Push(subject) => {
                if let Some((preset, code)) = subject.pair_of_push() {
                    self.registrar.pushed(preset, code, now);
                }
                self.reached(Phase::Data, now);
                Meaning::Data
            }
            Said::Reply(id, subject) => {
                self.registrar.answered(id, &subject, now);
                if subject.code.is_some() {
                    self.reached(Phase::Data, now);
                    Meaning::Data
                } else {
                    self.reached(Phase::Accepted, now);
                    Meaning::Other
                }
            }
            Said::Error(id, error) => self.error(id, error, now),
            Said::Heartbeat | Said::Other => Meaning::Other,
        }
    }

    fn reached(&mut self, phase: Phase, now: Instant) {
        self.phase = self.phase.max(phase);
        self.registrar.accepted(now);
    }

    /// An error that refuses the key is about the session, unless it answers a `subscribe` of a session whose key the
    /// server has taken. Then that pair is refused and no other: if the key were bad, all would be, one by one; and to
    /// end the session, for good, would cost every pair that works.
    fn error(&mut self, id: Option<u64>, error: ServerError, now: Instant) -> Meaning {
        let concern = self.registrar.concern_of(id, &error);
        match error.refusal() {
            Refusal::Reconnect => return Meaning::Over(Parting::Reconnect(error)),
            Refusal::Key if concern == Concern::Unknown || self.phase == Phase::Asked => {
                return Meaning::Over(Parting::KeyRefused(error));
            }
            Refusal::Key | Refusal::Nothing => {}
        }
        match concern {
            // Told as an event, with its pair.
            Concern::Registration(id) if self.registrar.refused(id, &error, now) => Meaning::Other,
            Concern::Registration(_) | Concern::Past | Concern::Unknown => Meaning::Trouble(error),
        }
    }
}

/// Of several things that one message says, the heaviest is told.
fn weight(meaning: &Meaning) -> u8 {
    match meaning {
        Meaning::Control | Meaning::Other => 0,
        Meaning::Data => 1,
        Meaning::Trouble(_) => 2,
        Meaning::Over(_) => 3,
    }
}

impl Conversation for PerIssue {
    fn heard(&mut self, received: Received<'_>, now: Instant) -> Meaning {
        match received {
            Received::Message(payload) => {
                self.silence.heard(now);
                self.message(payload, now)
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

    fn stall(&mut self, now: Instant, _expects_data: bool, open_since: Option<Instant>) -> Option<Stall> {
        self.silence.look(now, false, open_since)
    }

    fn request(&mut self, now: Instant) -> Option<Request> {
        self.registrar.request(now)
    }

    fn request_due(&self) -> Option<Instant> {
        self.registrar.request_due()
    }

    fn take_events(&mut self) -> Vec<RegistrationEvent> {
        self.registrar.take_events()
    }

    fn want(&mut self, list: &WishList, now: Instant) {
        self.registrar.want(list, now);
    }

    fn issue_traded(&mut self, code: &str, trades: u32, last: Instant) {
        self.registrar.traded(code, trades, last);
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "silence_tests.rs"]
mod silence_tests;

#[cfg(test)]
#[path = "session_properties.rs"]
mod properties;
