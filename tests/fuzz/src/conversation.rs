//! The per-issue conversation, whatever the server says and whenever: what it sends, and what it tells, fits together.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use krx_protocol::conversation::{Conversation, PerIssue, PerIssueSettings, Received};
use krx_protocol::per_issue::{Pair, Preset, RegistrationEvent, RegistrationState, WishGroup, WishList};
use serde_json::Value;

/// Checks one course of events: lines of which the first byte is what happens.
///
/// # Panics
/// When something does not fit.
pub fn check(script: &[u8]) {
    let begun = Instant::now();
    let mut course = Course {
        now: begun,
        conversation: PerIssue::begin(&PerIssueSettings::default(), &wish_list(0xff), begun),
        server: Server::default(),
    };
    for line in script.split(|byte| *byte == b'\n') {
        let Some((first, rest)) = line.split_first() else {
            continue;
        };
        match first {
            b'w' => {
                let bits = rest.first().copied().unwrap_or_default();
                course.conversation.want(&wish_list(bits), course.now);
            }
            b't' => course.conversation.issue_traded("005930", 1, course.now),
            b'+' => {
                let steps = rest
                    .iter()
                    .take(4)
                    .map(|byte| u64::from(*byte) * u64::from(*byte) * 10);
                course.now += Duration::from_millis(steps.sum());
                course.send();
            }
            _ => course.hear(line),
        }
        course.server.follow(course.conversation.take_events());
    }
}

struct Course {
    now: Instant,
    conversation: PerIssue,
    server: Server,
}

impl Course {
    fn send(&mut self) {
        while let Some(request) = self.conversation.request(self.now) {
            let _: Value = serde_json::from_str(&request.text).expect("a request is JSON");
            assert!(!request.events.is_empty(), "what is sent is journaled");
            self.server.follow(request.events);
            self.now += Duration::from_millis(20);
        }
        let due = self.conversation.request_due();
        assert!(
            due.is_none_or(|due| due > self.now),
            "asked again and again for nothing"
        );
    }

    fn hear(&mut self, message: &[u8]) {
        // With a blank before it, a message is read in full, and what is JSON says the same.
        if serde_json::from_slice::<Value>(message).is_ok() {
            let (mut glanced, mut read) = (self.conversation.clone(), self.conversation.clone());
            glanced.heard(Received::Message(message), self.now);
            read.heard(Received::Message(&[b" ", message].concat()), self.now);
            assert_eq!(glanced.take_events(), read.take_events());
        }
        self.conversation.heard(Received::Message(message), self.now);
    }
}

/// The pairs whose bits are set.
fn wish_list(bits: u8) -> WishList {
    let presets = [Preset::Tick10, Preset::Quote10, Preset::Index, Preset::Change];
    let groups = ["005930", "201N6220*006"]
        .iter()
        .enumerate()
        .map(|(place, code)| WishGroup {
            presets: (0..4)
                .filter(|preset| bits >> (place * 4 + preset) & 1 == 1)
                .map(|preset| presets[preset])
                .collect(),
            codes: vec![(*code).to_owned()],
            items: vec!["trdPrc".to_owned()],
            ..WishGroup::default()
        });
    WishList::of(&groups.collect::<Vec<_>>()).expect("they do not contradict each other")
}

/// What the server has in force, if it does all that it says.
#[derive(Default)]
struct Server {
    last_id: u64,
    wanted: Vec<Pair>,
    in_force: BTreeMap<Pair, u64>,
}

impl Server {
    fn follow(&mut self, events: Vec<RegistrationEvent>) {
        for event in events {
            match event {
                RegistrationEvent::Wanted { wishes } => {
                    self.wanted = wishes.into_iter().map(|wish| wish.pair).collect();
                }
                RegistrationEvent::Subscribe(registration) => {
                    assert!(registration.id > self.last_id.max(1), "ids do not repeat");
                    self.last_id = registration.id;
                    assert!(
                        self.in_force.keys().all(|pair| self.wanted.contains(pair)),
                        "first cancel"
                    );
                    let before = self.in_force.insert(registration.pair, registration.id);
                    assert_eq!(before, None, "nothing is asked for twice at a time");
                }
                RegistrationEvent::Unsubscribe { id, pair } => {
                    assert_eq!(self.in_force.remove(&pair), Some(id), "cancels what is in force");
                }
                RegistrationEvent::State { id, pair, state, .. } => {
                    assert!(self.wanted.contains(&pair) && id <= self.last_id);
                    if state == RegistrationState::Refused {
                        self.in_force.remove(&pair);
                    } else {
                        self.in_force.insert(pair, id);
                    }
                }
            }
        }
    }
}
