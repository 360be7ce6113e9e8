//! A conversation under test: its clock, what it has sent, and what it has told.

use std::time::{Duration, Instant};

use super::{PerIssue, PerIssueSettings};
use crate::conversation::{Conversation, Meaning, Received};
use crate::per_issue::{
    Pair, Preset, RegistrationEvent, RegistrationState, RegistrationStates, WishGroup, WishList,
};

/// Each preset of each code, as `tick10 quote10: 005930 000660`; several groups apart by semicolons. Preset `change`
/// has item `trdPrc`.
pub(super) fn list(text: &str) -> WishList {
    list_with(text, "trdPrc")
}

/// The same with this item.
pub(super) fn list_with(text: &str, item: &str) -> WishList {
    let groups = text.split(';').map(|group| {
        let (presets, codes) = group.split_once(':').unwrap();
        WishGroup {
            presets: presets
                .split_whitespace()
                .map(|word| word.parse().unwrap())
                .collect(),
            codes: codes.split_whitespace().map(str::to_owned).collect(),
            items: vec![item.to_owned()],
            ..WishGroup::default()
        }
    });
    WishList::of(&groups.collect::<Vec<_>>()).unwrap()
}

/// That many codes: ` 000000 000001` and so on.
pub(super) fn codes(count: usize) -> String {
    (0..count).map(|number| format!(" {number:06}")).collect()
}

pub(super) fn ok(id: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"message":"ok"}}}}"#)
}

pub(super) fn snapshot(id: u64, code: &str) -> String {
    format!(
        r#"{{"id":{id},"result":{{"isuSrtCd":"{code}","trdPrc":1310000,"trdvol":86,"trdTm":09450155,"mkStatTpCd":1}}}}"#
    )
}

pub(super) fn refusal(id: u64, code: i64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"message":"no","code":{code}}}}}"#)
}

pub(super) fn push(preset: &str, code: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"push","params":{{"preset":"{preset}","isuSrtCd":"{code}","trdPrc":1}}}}"#
    )
}

/// An event in a few words; the details of refusals and the like are left out.
fn words(event: &RegistrationEvent) -> String {
    match event {
        RegistrationEvent::Wanted { wishes } => format!("wanted {}", wishes.len()),
        RegistrationEvent::Subscribe(registration) => {
            format!("subscribe {} {}", registration.id, registration.pair)
        }
        RegistrationEvent::Unsubscribe { id, pair } => format!("unsubscribe {id} {pair}"),
        RegistrationEvent::State { id, state, .. } => format!("{id} {state}"),
    }
}

/// A conversation and all around it.
pub(super) struct Bench {
    pub(super) conversation: PerIssue,
    pub(super) begun: Instant,
    pub(super) now: Instant,
    /// What was sent since it was last taken.
    pub(super) sent: Vec<String>,
    /// All events.
    pub(super) events: Vec<RegistrationEvent>,
    pub(super) states: RegistrationStates,
    told: usize,
}

impl Bench {
    pub(super) fn begin(list: &WishList) -> Self {
        Self::with(&PerIssueSettings::default(), list)
    }

    pub(super) fn with(settings: &PerIssueSettings, list: &WishList) -> Self {
        let now = Instant::now();
        let mut bench = Self {
            conversation: PerIssue::begin(settings, list, now),
            begun: now,
            now,
            sent: Vec::new(),
            events: Vec::new(),
            states: RegistrationStates::default(),
            told: 0,
        };
        bench.take();
        bench
    }

    /// One whose `init` is answered, and that has asked for all it wants; nothing of that is told any more.
    pub(super) fn registered(text: &str) -> Self {
        let mut bench = Self::begin(&list(text));
        bench.hear(&ok(1));
        bench.pass(Duration::from_secs(1));
        bench.told();
        bench.sent.clear();
        bench
    }

    fn take(&mut self) {
        let events = self.conversation.take_events();
        self.keep(events);
    }

    fn keep(&mut self, events: Vec<RegistrationEvent>) {
        for event in &events {
            self.states.apply(event);
        }
        self.events.extend(events);
    }

    pub(super) fn hear(&mut self, message: &str) -> Meaning {
        self.hear_bytes(message.as_bytes())
    }

    pub(super) fn hear_bytes(&mut self, message: &[u8]) -> Meaning {
        let meaning = self.conversation.heard(Received::Message(message), self.now);
        self.take();
        meaning
    }

    pub(super) fn want(&mut self, list: &WishList) {
        self.conversation.want(list, self.now);
        self.take();
    }

    /// Sends what is due now.
    pub(super) fn send(&mut self) {
        while let Some(request) = self.conversation.request(self.now) {
            self.sent.push(request.text);
            self.keep(request.events);
        }
        self.take();
        if let Some(due) = self.conversation.request_due() {
            assert!(due > self.now, "asked again and again for nothing");
        }
    }

    /// Lets time pass, and sends what becomes due, each when it does.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.conversation.request_due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.send();
        }
        self.now = end;
    }

    /// What has happened since it was last asked for.
    pub(super) fn told(&mut self) -> Vec<String> {
        let told = self.events[self.told..].iter().map(words).collect();
        self.told = self.events.len();
        told
    }

    pub(super) fn state(&self, preset: Preset, code: &str) -> Option<RegistrationState> {
        let code = code.to_owned();
        self.states.of(&Pair { preset, code })
    }

    /// How many pairs are in a state.
    pub(super) fn count(&self, state: RegistrationState) -> usize {
        self.states.iter().filter(|(_, of)| *of == state).count()
    }
}
