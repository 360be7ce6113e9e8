//! What holds whatever the server says, and whenever.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::super::bench::{Bench, ok, push, refusal, snapshot};
use super::super::{Pace, PerIssueSettings};
use super::*;
use crate::per_issue::{Pair, Preset, Registration, RegistrationState, RegistrationStates, WishGroup};

const PRESETS: [Preset; 4] = [Preset::Tick10, Preset::Quote10, Preset::Index, Preset::Change];
const CODES: [&str; 4] = ["005930", "000660", "001", "201N6220*006"];

const ROOM: usize = 3;

/// Something that happens.
#[derive(Clone, Debug)]
enum Op {
    Hear(Vec<String>),
    Pass(u64),
    Want(WishList),
    Traded(usize),
    /// The recorder does not ask for requests for a while.
    Late(u64),
}

/// The pairs whose bits are set. `change` has other items when another bit is.
fn wish_list(bits: u32) -> WishList {
    let mut groups = Vec::new();
    for (place, code) in CODES.iter().enumerate() {
        let presets = PRESETS.iter().enumerate();
        let presets = presets.filter(|(preset, _)| bits >> (place * 4 + preset) & 1 == 1);
        let mut items = vec!["trdPrc".to_owned()];
        if bits >> (16 + place) & 1 == 1 {
            items.push("trdTm".to_owned());
        }
        groups.push(WishGroup {
            presets: presets.map(|(_, preset)| *preset).collect(),
            codes: vec![(*code).to_owned()],
            items,
            ..WishGroup::default()
        });
    }
    WishList::of(&groups).unwrap()
}

fn object() -> impl Strategy<Value = String> {
    let id = prop_oneof![8 => 0_u64..30, 1 => any::<u64>()];
    let code = prop::sample::select(&CODES[..]);
    let error = prop::sample::select(&[10_040_i64, 10_070, 20_054, 47, 10_090][..]);
    prop_oneof![
        4 => id.clone().prop_map(ok),
        2 => (id.clone(), code.clone()).prop_map(|(id, code)| snapshot(id, code)),
        3 => (id, error.clone()).prop_map(|(id, error)| refusal(id, error)),
        1 => error.prop_map(|error| format!(r#"{{"error":{{"code":{error}}}}}"#)),
        4 => (prop::sample::select(&PRESETS[..]), code)
            .prop_map(|(preset, code)| push(preset.as_str(), code)),
        1 => Just(r#"{"method":"push","params":{"isuSrtCd":"005930"}}"#.to_owned()),
        1 => Just(r#"{"id":1,"method":"heartbeat"}"#.to_owned()),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let millis = prop_oneof![4 => 0_u64..100, 2 => 0_u64..10_000, 1 => 0_u64..1_000_000];
    prop_oneof![
        6 => prop::collection::vec(object(), 1..4).prop_map(Op::Hear),
        4 => millis.clone().prop_map(Op::Pass),
        1 => millis.prop_map(Op::Late),
        1 => any::<u32>().prop_map(|bits| Op::Want(wish_list(bits))),
        2 => (0..CODES.len()).prop_map(Op::Traded),
    ]
}

/// What the server has in force, if it does all that it says, followed from the events alone.
#[derive(Default)]
struct Server {
    seen: usize,
    last_id: u64,
    asked: BTreeMap<u64, Registration>,
    in_force: BTreeMap<Pair, u64>,
    /// What was asked for, is still wanted, and has no answer yet.
    waiting: BTreeMap<Pair, u64>,
    wanted: BTreeMap<Pair, crate::per_issue::Wish>,
    states: RegistrationStates,
}

impl Server {
    /// Follows the events that are new, and checks each.
    fn follow(&mut self, bench: &Bench) {
        for event in &bench.events[self.seen..] {
            match event {
                RegistrationEvent::Wanted { wishes } => {
                    let wishes = wishes.iter();
                    self.wanted = wishes.map(|wish| (wish.pair.clone(), wish.clone())).collect();
                    let waiting = std::mem::take(&mut self.waiting).into_iter();
                    self.waiting = waiting
                        .filter(|(pair, id)| self.is_as_wanted(pair, *id))
                        .collect();
                }
                RegistrationEvent::Subscribe(registration) => self.subscribe(registration),
                RegistrationEvent::Unsubscribe { id, pair } => {
                    assert_eq!(self.in_force.remove(pair), Some(*id), "cancels what is in force");
                }
                RegistrationEvent::State { id, pair, state, .. } => {
                    assert_eq!(self.asked[id].pair, *pair);
                    self.waiting.remove(pair);
                    assert_ne!(self.states.of(pair), Some(*state), "each change once");
                    if *state == RegistrationState::Refused {
                        self.in_force.remove(pair);
                    } else {
                        // What was refused may turn out to be accepted.
                        let before = self.in_force.insert(pair.clone(), *id);
                        assert!(before.is_none_or(|before| before == *id));
                    }
                }
            }
            self.states.apply(event);
            assert!(self.waiting.len() <= ROOM);
        }
        self.seen = bench.events.len();
        let registrar: BTreeMap<_, _> = bench.conversation.registrar.states().into_iter().collect();
        let told = self.states.iter().map(|(wish, state)| (wish.pair.clone(), state));
        assert_eq!(told.collect::<BTreeMap<_, _>>(), registrar);
        assert!(registrar.keys().eq(self.wanted.keys()));
    }

    fn is_as_wanted(&self, pair: &Pair, id: u64) -> bool {
        let wish = self.wanted.get(pair);
        wish.is_some_and(|wish| wish.with_id(id) == self.asked[&id])
    }

    fn subscribe(&mut self, registration: &Registration) {
        assert!(registration.id > self.last_id.max(1), "ids do not repeat");
        self.last_id = registration.id;
        assert_eq!(
            self.wanted[&registration.pair].with_id(registration.id),
            *registration
        );
        for (pair, id) in &self.in_force {
            assert_ne!(*pair, registration.pair, "nothing is asked for twice at a time");
            let wish = self.wanted.get(pair).map(|wish| wish.with_id(*id));
            assert_eq!(
                wish.as_ref(),
                Some(&self.asked[id]),
                "first cancel, then subscribe"
            );
        }
        self.in_force.insert(registration.pair.clone(), registration.id);
        self.waiting.insert(registration.pair.clone(), registration.id);
        self.asked.insert(registration.id, registration.clone());
    }
}

fn begin(bits: u32) -> Bench {
    let settings = PerIssueSettings {
        pace: Pace {
            open_max: ROOM,
            ..Pace::default()
        },
        ..PerIssueSettings::default()
    };
    Bench::with(&settings, &wish_list(bits))
}

fn happen(bench: &mut Bench, op: &Op) {
    match op {
        Op::Hear(objects) => {
            bench.hear(&objects.concat());
        }
        Op::Pass(millis) => bench.pass(Duration::from_millis(*millis)),
        Op::Want(list) => bench.want(list),
        Op::Traded(code) => {
            for _ in 0..5 {
                bench.conversation.issue_traded(CODES[*code], 1, bench.now);
            }
        }
        Op::Late(millis) => bench.now += Duration::from_millis(*millis),
    }
}

/// A server that answers all that it is asked from now on.
fn is_honest(bench: &mut Bench) {
    for _ in 0..400 {
        bench.pass(Duration::from_secs(5));
        for text in std::mem::take(&mut bench.sent) {
            let request: serde_json::Value = serde_json::from_str(&text).unwrap();
            bench.hear(&ok(request["id"].as_u64().unwrap()));
        }
    }
}

proptest! {
    #[test]
    fn each_wanted_pair_is_in_one_state_and_every_change_is_told(
        bits in any::<u32>(),
        ops in prop::collection::vec(op(), 0..120),
    ) {
        let mut bench = begin(bits);
        let mut server = Server::default();
        server.follow(&bench);
        for op in &ops {
            happen(&mut bench, op);
            server.follow(&bench);
        }
        // Refused is refused; all else comes right when the server does.
        let refused = bench.count(RegistrationState::Refused);
        is_honest(&mut bench);
        server.follow(&bench);
        let settled = [RegistrationState::Active, RegistrationState::Refused].map(|state| bench.count(state));
        prop_assert_eq!(settled[0] + settled[1], server.wanted.len());
        prop_assert!(settled[1] <= refused);
    }

    #[test]
    fn nothing_that_comes_makes_it_panic(
        messages in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                prop::collection::vec(
                    prop::sample::select(&[
                        "{", "}", "[", "]", ",", ":", "\"", "\"id\":", "\"result\":", "\"error\":", "\"params\":",
                        "\"method\":\"push\"", "\"preset\":\"tick10\"", "\"isuSrtCd\":\"005930\"", "null", "2", "007",
                        "\"code\":10040", "\\", "\u{feff}", " ", "-", "1e999",
                    ][..]),
                    0..30,
                ).prop_map(|tokens| tokens.concat().into_bytes()),
            ],
            0..20,
        ),
    ) {
        let mut bench = begin(u32::MAX);
        let mut server = Server::default();
        for message in &messages {
            bench.hear_bytes(message);
            bench.pass(Duration::from_secs(1));
            server.follow(&bench);
        }
    }

    #[test]
    fn two_lists_differ_by_what_is_sent_between_them(first in any::<u32>(), second in any::<u32>()) {
        let mut bench = begin(first);
        is_honest(&mut bench);
        let mut server = Server::default();
        server.follow(&bench);
        let (old, new) = (wish_list(first), wish_list(second));
        bench.want(&new);
        bench.pass(Duration::from_millis(1));
        let difference = old.difference(&new);
        is_honest(&mut bench);
        let words: Vec<_> = bench.events[server.seen..].iter().filter_map(|event| match event {
            RegistrationEvent::Unsubscribe { pair, .. } => Some(format!("-{pair}")),
            RegistrationEvent::Subscribe(registration) => Some(format!("+{}", registration.pair)),
            _ => None,
        }).collect();
        let cancels = difference.to_cancel.iter().map(|wish| format!("-{}", wish.pair));
        let adds = difference.to_add.iter().map(|wish| format!("+{}", wish.pair));
        prop_assert_eq!(words, cancels.chain(adds).collect::<Vec<_>>());
        server.follow(&bench);
        prop_assert_eq!(bench.count(RegistrationState::Active), new.len());
    }
}
