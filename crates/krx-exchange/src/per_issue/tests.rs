use std::collections::BTreeMap;
use std::num::NonZeroU64;

use crate::course::Pace;
use crate::issues::{Issues, PushFrame, PushMessage, PushPart};
use crate::message::Next;

use super::*;

/// Pushes its registrations in turn, each a hundredth of a second after the other. `gone` does not exist, and presets of
/// books answer with their state.
#[derive(Default)]
struct InTurn {
    registered: BTreeMap<u64, Subscription>,
    pushes_left: u64,
    nth: u64,
}

impl Issues for InTurn {
    fn register(&mut self, number: u64, subscription: &Subscription) -> Welcome {
        if subscription.pair.code == "gone" {
            return Welcome::NoSuchIssue;
        }
        self.registered.insert(number, subscription.clone());
        match subscription.pair.preset.as_str() {
            "quote10" => Welcome::WithState,
            _ => Welcome::Plain,
        }
    }

    fn cancel(&mut self, number: u64) {
        assert!(
            self.registered.remove(&number).is_some(),
            "{number} is not registered"
        );
    }

    fn state(&self, number: u64) -> Option<String> {
        let pair = &self.registered.get(&number)?.pair;
        Some(format!("{{\"of\":\"{}:{}\"}}", pair.preset, pair.code))
    }

    fn next(&mut self) -> Next<Push> {
        if self.pushes_left == 0 {
            return Next::DayOver { another_after: None };
        }
        self.nth += 1;
        let at = TimeOfDay(self.nth * 10_000);
        let len = u64::try_from(self.registered.len()).unwrap();
        if len == 0 || self.nth.is_multiple_of(3) {
            return Next::Message(Push::Mark(at));
        }
        self.pushes_left -= 1;
        let place = usize::try_from(self.nth % len).unwrap();
        let (number, of) = self.registered.iter().nth(place).unwrap();
        Next::Message(Push::Of {
            registration: *number,
            at,
            params: format!("{{\"of\":\"{}:{}\"}}", of.pair.preset, of.pair.code),
        })
    }
}

/// Treats each `subscribe`, and packs each message, as listed; then fairly.
#[derive(Default)]
struct Listed {
    treatments: Vec<Treatment>,
    bundles: Vec<Bundle>,
}

impl Script for Listed {
    fn subscribing(&mut self, nth: u64) -> Treatment {
        let place = usize::try_from(nth - 1).unwrap();
        self.treatments.get(place).copied().unwrap_or_default()
    }

    fn packing(&mut self, data_messages: u64) -> Option<Bundle> {
        self.bundles.get(usize::try_from(data_messages).unwrap()).copied()
    }
}

struct Talk {
    conversation: PerIssue,
    script: Listed,
    sent: u64,
    now: Instant,
}

impl Talk {
    fn new(pushes: u64, script: Listed) -> Talk {
        let issues = InTurn {
            pushes_left: pushes,
            ..InTurn::default()
        };
        Talk::of(issues, script)
    }

    fn of(issues: impl Issues + 'static, script: Listed) -> Talk {
        let day = IssueDay::new(issues, TimeOfDay(0), Pace::Max);
        let rules = PerIssueRules { registrations_max: 4 };
        let mut conversation = PerIssue::new(day, rules);
        let now = Instant::now();
        conversation.begin_session(now, now);
        Talk {
            conversation,
            script,
            sent: 0,
            now,
        }
    }

    fn treated(treatments: &[Treatment]) -> Talk {
        let script = Listed {
            treatments: treatments.to_vec(),
            ..Listed::default()
        };
        Talk::new(100, script)
    }

    fn ask(&mut self, text: &str) -> Vec<String> {
        let sayings = self.conversation.heard(text, &mut self.script, self.now).unwrap();
        sayings.iter().map(|saying| saying.text.to_string()).collect()
    }

    fn subscribe(&mut self, id: u64, preset: &str, code: &str) -> Vec<String> {
        self.ask(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"subscribe","params":{{"preset":"{preset}","isuSrtCd":"{code}"}}}}"#
        ))
    }

    fn unsubscribe(&mut self, id: u64, params: &str) -> Vec<String> {
        self.ask(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"unsubscribe"{params}}}"#
        ))
    }

    fn act(&mut self) -> Act {
        let act = self.conversation.act(&mut self.script, self.sent, self.now);
        self.sent += u64::from(matches!(act, Act::Send(_)));
        act
    }

    /// The text of the next message, whatever kind it is.
    fn next(&mut self) -> String {
        loop {
            match self.act() {
                Act::Send(message) => return message.text.to_string(),
                Act::Say(saying) => return saying.text.to_string(),
                Act::Wait(Some(until)) if until <= self.now => {}
                act => panic!("{act:?}"),
            }
        }
    }
}

fn ok(id: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"message":"ok"}}}}"#)
}

fn state(id: u64, of: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"of":"{of}"}}}}"#)
}

fn push(of: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"push","params":{{"of":"{of}"}}}}"#)
}

fn no_such_issue(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"message":"해당 종목이 없습니다","code":10040}}}}"#)
}

#[test]
fn what_is_registered_is_pushed_and_nothing_else() {
    let mut talk = Talk::new(1_000, Listed::default());
    assert!(matches!(talk.act(), Act::Wait(None)), "the day waits");
    assert_eq!(talk.subscribe(2, "tick10", "005930"), [ok(2)]);
    assert_eq!(talk.next(), push("tick10:005930"));
    assert_eq!(
        talk.subscribe(3, "quote10", "005930"),
        [state(3, "quote10:005930")]
    );
    assert_eq!(talk.subscribe(4, "tick", "gone"), [no_such_issue(r#""id":4,"#)]);
    let both: Vec<String> = (0..20).map(|_| talk.next()).collect();
    assert!(both.contains(&push("tick10:005930")) && both.contains(&push("quote10:005930")));
    assert_eq!(talk.unsubscribe(2, ""), [ok(2)]);
    assert!((0..20).all(|_| talk.next() == push("quote10:005930")));
    let params = r#","params":{"preset":"quote10","isuSrtCd":"005930"}"#;
    assert_eq!(talk.unsubscribe(9, params), [ok(9)]);
    assert_eq!(talk.unsubscribe(9, params), [ok(9)], "already cancelled");
    assert!(matches!(talk.act(), Act::Wait(None)));
}

#[test]
fn a_push_that_was_fetched_before_it_was_cancelled_is_not_sent() {
    let mut talk = Talk::new(3, Listed::default());
    talk.conversation.day.course =
        crate::course::Course::new(TimeOfDay(0), Pace::Rate(NonZeroU64::new(1).unwrap()), 16);
    talk.conversation.begin_session(talk.now, talk.now);
    talk.subscribe(2, "tick", "005930");
    assert!(
        matches!(talk.act(), Act::Wait(Some(_))),
        "it is fetched, and not due"
    );
    talk.unsubscribe(2, "");
    talk.subscribe(3, "quote", "005930");
    talk.now += Duration::from_secs(1);
    assert_eq!(talk.next(), push("quote:005930"), "in its place");
}

#[test]
fn limits_duplicates_and_senseless_requests_are_answered_as_documented() {
    let mut talk = Talk::new(100, Listed::default());
    for (id, preset) in (2..).zip(["tick", "quote", "tick10", "quote10"]) {
        assert_eq!(talk.subscribe(id, preset, "005930").len(), 1);
    }
    let full = talk.subscribe(6, "tick", "000660");
    assert!(
        full[0].contains(r#""id":6,"error""#) && full[0].contains("10080"),
        "{full:?}"
    );
    assert_eq!(talk.subscribe(7, "tick", "005930"), [ok(7)], "it counts once");
    assert_eq!(talk.unsubscribe(2, ""), [ok(2)]);
    let still_full = talk.subscribe(8, "tick", "000660");
    assert!(
        still_full[0].contains("10080"),
        "id 2 no longer stands for anything"
    );
    let wrong = talk.subscribe(9, "tick5", "005930");
    assert!(
        wrong[0].contains(r#""id":9,"error""#) && wrong[0].contains(r#""code":47"#),
        "{wrong:?}"
    );
    let text = r#"{"id":1,"method":"init"}"#;
    assert_eq!(talk.conversation.heard(text, &mut (), talk.now), None);
}

#[test]
fn answers_are_withheld_doubled_and_misdirected_as_scripted() {
    let mut talk = Talk::treated(&[
        Treatment::Unanswered,
        Treatment::Ignored,
        Treatment::AnsweredTwice,
        Treatment::SnapshotOfAnother,
    ]);
    assert_eq!(talk.subscribe(2, "tick", "a"), [""; 0]);
    assert_eq!(talk.next(), push("tick:a"), "it is registered all the same");
    assert_eq!(talk.subscribe(3, "tick", "b"), [""; 0]);
    assert_eq!(
        talk.subscribe(4, "quote10", "c"),
        [state(4, "quote10:c"), state(4, "quote10:c")]
    );
    assert_eq!(talk.subscribe(5, "tick", "d"), [state(5, "tick:a")]);
    let pushed: Vec<String> = (0..20).map(|_| talk.next()).collect();
    assert!(!pushed.contains(&push("tick:b")), "it is not registered");

    let mut talk = Talk::treated(&[
        Treatment::Misaddressed,
        Treatment::Refused { with_id: true },
        Treatment::Refused { with_id: false },
    ]);
    assert_eq!(talk.subscribe(2, "tick", "a"), [ok(900_000_002)]);
    assert_eq!(talk.subscribe(3, "tick", "b"), [no_such_issue(r#""id":3,"#)]);
    assert_eq!(talk.subscribe(4, "tick", "c"), [no_such_issue("")]);
    assert!((0..20).all(|_| talk.next() == push("tick:a")));
}

#[test]
fn answers_come_late_out_of_order_and_after_the_first_push() {
    let mut talk = Talk::treated(&[Treatment::Overtaken, Treatment::Fair, Treatment::Overtaken]);
    assert_eq!(talk.subscribe(2, "tick", "a"), [""; 0]);
    assert_eq!(talk.subscribe(3, "tick", "b"), [ok(3), ok(2)]);
    assert_eq!(talk.subscribe(4, "tick", "c"), [""; 0]);
    talk.now += OVERTAKEN_AFTER;
    assert_eq!(talk.next(), ok(4), "nothing overtook it");

    let after = Duration::from_secs(9);
    let mut talk = Talk::treated(&[Treatment::Late(after), Treatment::SnapshotAfterPush]);
    assert_eq!(talk.subscribe(2, "tick", "a"), [""; 0]);
    assert_eq!(talk.next(), push("tick:a"));
    talk.now += after;
    assert_eq!(talk.next(), ok(2));
    assert_eq!(talk.subscribe(3, "quote10", "b"), [""; 0]);
    let texts: Vec<String> = (0..20).map(|_| talk.next()).collect();
    let place = |text: &str| texts.iter().position(|one| one == text).unwrap();
    assert_eq!(place(&state(3, "quote10:b")), place(&push("quote10:b")) + 1);

    let mut talk = Talk::treated(&[Treatment::Late(after)]);
    talk.subscribe(2, "tick", "a");
    talk.unsubscribe(2, "");
    let Act::Wait(Some(until)) = talk.act() else {
        panic!("an answer is owed")
    };
    assert_eq!(until, talk.now + after);
    talk.conversation.end_session();
    talk.conversation.begin_session(talk.now, talk.now);
    assert!(matches!(talk.act(), Act::Wait(None)), "not in the next session");
}

#[test]
fn pushes_are_put_together_as_scripted() {
    let bundle = |form, pushes| Bundle { form, pushes };
    let script = Listed {
        bundles: vec![
            bundle(BundleForm::Array, 3),
            bundle(BundleForm::Concatenated, 2),
            bundle(BundleForm::Array, 100),
        ],
        ..Listed::default()
    };
    let mut talk = Talk::new(9, script);
    talk.subscribe(2, "tick", "a");
    let one = push("tick:a");
    assert_eq!(talk.next(), format!("[{one},{one},{one}]"));
    assert_eq!(talk.next(), format!("{one}{one}"));
    let Act::Send(rest) = talk.act() else {
        panic!("what is left of the day")
    };
    assert_eq!(rest.records, 4);
    let Act::DayComplete(totals) = talk.act() else {
        panic!("the end of the day")
    };
    assert_eq!(totals.records, 9);
    assert!(matches!(talk.act(), Act::Wait(None)));
}

#[test]
fn a_push_that_waits_for_others_is_not_sent_once_it_is_cancelled() {
    let script = Listed {
        bundles: vec![Bundle {
            form: BundleForm::Array,
            pushes: 3,
        }],
        ..Listed::default()
    };
    let mut talk = Talk::new(1_000, script);
    talk.conversation.day.course =
        crate::course::Course::new(TimeOfDay(0), Pace::Rate(NonZeroU64::new(1).unwrap()), 16);
    talk.conversation.begin_session(talk.now, talk.now);
    talk.subscribe(2, "tick", "a");
    for _ in 0..2 {
        talk.now += Duration::from_secs(1);
        assert!(matches!(talk.act(), Act::Wait(_)), "it waits for the others");
    }
    talk.unsubscribe(2, "");
    talk.subscribe(3, "tick", "b");
    let text = loop {
        talk.now += Duration::from_secs(1);
        if let Act::Send(message) = talk.act() {
            break message.text;
        }
    };
    let one = push("tick:b");
    assert_eq!(text.as_str(), format!("[{one},{one},{one}]"));
}

#[test]
fn at_a_speed_the_day_goes_on_whether_anything_is_registered_or_anybody_listens() {
    let mut talk = Talk::new(1_000, Listed::default());
    talk.conversation.day.course = crate::course::Course::new(TimeOfDay(0), Pace::Speed(1.0), 16);
    let opened = talk.now;
    talk.conversation.begin_session(opened, opened);
    let until_later = |talk: &mut Talk, unheard: bool| loop {
        let act = if unheard {
            talk.conversation.pass_unheard(talk.now)
        } else {
            talk.act()
        };
        match act {
            Act::Wait(Some(until)) if until <= talk.now => {}
            Act::Wait(Some(until)) => return until - talk.now,
            act => panic!("{act:?}"),
        }
    };
    talk.now += Duration::from_secs(1);
    assert_eq!(until_later(&mut talk, false), Duration::from_millis(10));
    talk.conversation.end_session();
    talk.now += Duration::from_secs(1);
    assert_eq!(until_later(&mut talk, true), Duration::from_millis(10));
    talk.conversation.begin_session(opened, talk.now);
    talk.subscribe(2, "tick", "a");
    talk.now += Duration::from_millis(20);
    let Act::Send(first) = talk.act() else {
        panic!("a push is due")
    };
    assert!(first.at > TimeOfDay(2_000_000), "{first:?}");
}

#[test]
fn what_is_forgotten_is_pushed_no_more_and_may_be_registered_again() {
    let mut talk = Talk::new(1_000, Listed::default());
    for (id, code) in (2..).zip(["a", "b", "c", "d"]) {
        talk.subscribe(id, "tick", code);
    }
    talk.conversation.forget(50);
    let pushed: std::collections::BTreeSet<String> = (0..50).map(|_| talk.next()).collect();
    assert_eq!(pushed.len(), 2, "{pushed:?}");
    for (id, code) in (6..).zip(["a", "b", "c", "d"]) {
        assert_eq!(talk.subscribe(id, "tick", code), [ok(id)]);
    }
    let pushed: std::collections::BTreeSet<String> = (0..50).map(|_| talk.next()).collect();
    assert_eq!(pushed.len(), 4, "{pushed:?}");
}

/// A day of messages as they once were; every pair can be registered.
struct Recorded(std::collections::VecDeque<PushMessage>);

impl Issues for Recorded {
    fn register(&mut self, _: u64, _: &Subscription) -> Welcome {
        Welcome::Plain
    }

    fn cancel(&mut self, _: u64) {}

    fn state(&self, _: u64) -> Option<String> {
        None
    }

    fn next(&mut self) -> Next<Push> {
        match self.0.pop_front() {
            Some(message) => Next::Message(Push::Message(message)),
            None => Next::DayOver { another_after: None },
        }
    }
}

#[test]
fn of_a_message_those_parts_are_sent_that_are_registered_when_it_is_due() {
    let part = |code: Option<&str>, text: &str| PushPart {
        pair: code.map(|code| {
            let code = code.to_owned();
            std::sync::Arc::new(Pair {
                preset: krx_protocol::per_issue::Preset::Tick,
                code,
            })
        }),
        text: text.to_owned(),
    };
    let message = |parts: Vec<PushPart>, end: Option<&str>| PushMessage {
        at: TimeOfDay(0),
        parts,
        frame: end.map_or(PushFrame::Bare, |end| PushFrame::Array { end: end.to_owned() }),
    };
    let all = || {
        vec![
            part(Some("a"), "1"),
            part(None, "x"),
            part(Some("b"), "2"),
            part(Some("a"), "3"),
        ]
    };
    let day = [
        message(all(), Some("]")),
        message(vec![part(Some("b"), "2")], None),
        message(vec![part(Some("a"), "1")], None),
        message(all(), Some("")),
        message(all(), Some("] more")),
    ];
    let mut talk = Talk::of(Recorded(day.into()), Listed::default());
    talk.subscribe(2, "tick", "a");
    assert!(matches!(talk.act(), Act::Send(message) if (&*message.text, message.records) == ("[1,x,3]", 3)));
    assert_eq!(talk.next(), "1", "what is not registered is left out");
    talk.subscribe(3, "tick", "b");
    assert_eq!(talk.next(), "[1,x,2,3");
    talk.unsubscribe(2, "");
    assert_eq!(talk.next(), "[x,2] more");
    let Act::DayComplete(totals) = talk.act() else {
        panic!("all is sent")
    };
    assert_eq!((totals.messages, totals.records), (4, 3 + 1 + 4 + 2));
}
