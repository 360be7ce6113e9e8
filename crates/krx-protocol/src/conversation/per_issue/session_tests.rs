//! What the conversation sends, and what it makes of whatever a server may answer.

use std::time::Duration;

use super::super::bench::{Bench, codes, list, ok, push, refusal, snapshot};
use super::*;
use crate::per_issue::{Preset, RegistrationState, WishGroup};

const SECOND: Duration = Duration::from_secs(1);

/// What a server does.
#[derive(Clone)]
enum Step {
    Says(String),
    Waits(u32),
}
use Step::{Says, Waits};

fn both(first: &str, second: &str) -> Step {
    Says(format!("{first}{second}"))
}

fn array(parts: &[String]) -> Step {
    Says(format!("[{}]", parts.join(",")))
}

/// An error that does not say which request it is about.
fn nameless(code: i64) -> Step {
    Says(format!(r#"{{"error":{{"code":{code},"message":"no"}}}}"#))
}

fn play(pairs: &str, steps: &[Step]) -> Vec<String> {
    let mut bench = Bench::registered(pairs);
    for step in steps {
        match step {
            Says(message) => {
                bench.hear(message);
            }
            Waits(seconds) => bench.pass(*seconds * SECOND),
        }
    }
    bench.told()
}

/// What it is, what is wanted, what the server does, and what is told.
type Case = (&'static str, &'static str, Vec<Step>, &'static [&'static str]);

fn answers() -> Vec<Case> {
    let samsung = "005930";
    vec![
        ("ok", "tick10: 005930", vec![Says(ok(2))], &["2 active"]),
        (
            "a state of the issue",
            "tick10: 005930",
            vec![Says(snapshot(2, samsung))],
            &["2 active"],
        ),
        (
            "a refusal, told once and never tried again",
            "tick10: 005930",
            vec![Says(refusal(2, 10_040)), Waits(3_600)],
            &["2 refused"],
        ),
        (
            "out of order",
            "tick10 quote10: 005930",
            vec![Says(refusal(3, 10_040)), Says(ok(2))],
            &["3 refused", "2 active"],
        ),
        (
            "an id that nobody asked with",
            "tick10: 005930",
            vec![
                Says(ok(0)),
                Says(ok(3)),
                Says(ok(u64::MAX)),
                Says(refusal(99, 10_040)),
            ],
            &[],
        ),
        (
            "each answer twice",
            "tick10 quote10: 005930",
            vec![
                Says(ok(2)),
                Says(ok(2)),
                Says(refusal(3, 10_040)),
                Says(refusal(3, 10_040)),
            ],
            &["2 active", "3 refused"],
        ),
        (
            "yes and no in turns: each is believed once",
            "tick10: 005930",
            vec![Says(ok(2)), Says(refusal(2, 1)), Says(ok(2)), Says(refusal(2, 1))],
            &["2 active", "2 refused", "2 active"],
        ),
        ("no answer", "tick10: 005930", vec![Waits(5)], &["2 unanswered"]),
        (
            "an answer that is late",
            "tick10 quote10: 005930",
            vec![Waits(6), Says(ok(2)), Says(refusal(3, 10_040)), Waits(3_600)],
            &["2 unanswered", "3 unanswered", "2 active", "3 refused"],
        ),
        (
            "an answer to a request that was given up",
            "tick10: 005930",
            vec![Waits(36), Says(ok(2)), Says(ok(3))],
            &[
                "2 unanswered",
                "unsubscribe 2 tick10:005930",
                "subscribe 3 tick10:005930",
                "3 active",
            ],
        ),
    ]
}

fn pushes() -> Vec<Case> {
    let samsung = "005930";
    let hynix = "000660";
    vec![
        (
            "a push before the answer, and the state after it",
            "tick10: 005930",
            vec![Says(push("tick10", samsung)), Says(snapshot(2, samsung))],
            &["2 active"],
        ),
        (
            "a push instead of an answer",
            "tick10: 005930",
            vec![Waits(6), Says(push("tick10", samsung)), Waits(3_600)],
            &["2 unanswered", "2 active"],
        ),
        (
            "a push of what was refused",
            "tick10: 005930",
            vec![Says(refusal(2, 10_040)), Says(push("tick10", samsung))],
            &["2 refused", "2 active"],
        ),
        (
            "the state of another issue, with our id",
            "tick10: 005930",
            vec![Says(snapshot(2, hynix))],
            &["2 active"],
        ),
        (
            "a state with the id of init, of an issue that was asked for once",
            "tick10: 005930 000660",
            vec![Says(snapshot(1, hynix))],
            &["3 active"],
        ),
        (
            "a state without a usable id, of an issue that was asked for twice",
            "tick10 quote10: 005930",
            vec![Says(snapshot(99, samsung))],
            &[],
        ),
        (
            "a state without a usable id that names a preset",
            "tick10 quote10: 005930",
            vec![
                Says(r#"{"result":{"preset":"tick","isuSrtCd":"005930"}}"#.to_owned()),
                Says(r#"{"result":{"preset":"quote10","isuSrtCd":"005930"}}"#.to_owned()),
            ],
            &["3 active"],
        ),
        (
            "pushes of a code, and of a preset, that were never registered",
            "tick10: 005930",
            vec![
                Says(push("tick10", hynix)),
                Says(push("quote10", samsung)),
                Says(push("tick5", samsung)),
            ],
            &[],
        ),
        (
            "a push of preset change has no preset",
            "change: 005930",
            vec![Says(
                r#"{"method":"push","params":{"isuSrtCd":"005930","isuCd":"KR7005930003"}}"#.to_owned(),
            )],
            &["2 active"],
        ),
    ]
}

fn shapes() -> Vec<Case> {
    let samsung = "005930";
    vec![
        (
            "two objects in one message",
            "tick10 quote10: 005930",
            vec![both(&ok(3), &refusal(2, 10_040))],
            &["3 active", "2 refused"],
        ),
        (
            "an array of pushes",
            "tick10 quote10: 005930",
            vec![array(&[
                push("quote10", samsung),
                push("quote10", samsung),
                push("tick10", samsung),
            ])],
            &["3 active", "2 active"],
        ),
        (
            "an array of answers, one of them spoilt",
            "tick10 quote10: 005930",
            vec![Says(format!("[{},{}", ok(3), &ok(2)[..20]))],
            &["3 active"],
        ),
        (
            "an error without id, with one request open",
            "tick10: 005930",
            vec![nameless(10_040)],
            &["2 refused"],
        ),
        (
            "an error without id that may be about anything",
            "tick10: 005930",
            vec![nameless(47), nameless(20_054), Waits(5)],
            &["2 unanswered"],
        ),
        (
            "an error without id, with two requests open",
            "tick10 quote10: 005930",
            vec![nameless(10_040), Says(ok(2)), Waits(5)],
            &["2 active", "3 unanswered"],
        ),
        (
            "an error without id, believed of the wrong one until that is answered",
            "tick10: 005930",
            vec![nameless(10_040), Says(ok(2))],
            &["2 refused", "2 active"],
        ),
        (
            "a server in trouble is asked again, without a cancelling of what it has not",
            "tick10: 005930",
            vec![Says(refusal(2, 20_054)), Waits(31), Says(ok(3))],
            &["2 refused", "subscribe 3 tick10:005930", "3 active"],
        ),
        (
            "a bad key, said of one pair of a session that works",
            "tick10 quote10: 005930",
            vec![Says(refusal(2, 10_070)), Says(ok(3))],
            &["2 refused", "3 active"],
        ),
    ]
}

#[test]
fn answers_of_every_kind_have_the_state_that_they_mean() {
    for (name, pairs, steps, expected) in [answers(), pushes(), shapes()].concat() {
        assert_eq!(play(pairs, &steps), expected, "{name}");
    }
}

#[test]
fn what_is_not_answered_is_asked_for_again_ever_more_slowly_and_alone() {
    let mut bench = Bench::registered("tick10 quote10: 005930");
    bench.pass(3_600 * SECOND);
    let mut at = Vec::new();
    let told = bench.told();
    for (place, event) in told.iter().enumerate() {
        if event.starts_with("subscribe") {
            let id: u64 = event.split(' ').nth(1).unwrap().parse().unwrap();
            let pair = event.split(' ').nth(2).unwrap();
            assert_eq!(
                told[place - 1],
                format!("unsubscribe {} {pair}", id - 2),
                "{told:?}"
            );
            assert_eq!(told[place + 1], format!("{id} unanswered"), "one at a time");
            at.push(id);
        }
    }
    // 30, 60, 120, 240, 480, 600, 600, 600, 600: nine times within the hour, of each.
    assert_eq!(at, (4..22).collect::<Vec<u64>>());
    assert_eq!(bench.count(RegistrationState::Unanswered), 2);
}

#[test]
fn errors_that_concern_the_session_end_it_and_others_do_not() {
    let key = [10_070, 13_001, 13_003];
    let mut cases = vec![
        (true, refusal(2, 13_004), "reconnect"),
        (true, refusal(2, 10_040), "noted by its event"),
        (true, refusal(99, 10_040), "trouble"),
        (true, refusal(1, 47), "trouble"),
        (true, r#"{"error":{"code":10040}}"#.to_owned(), "trouble"),
    ];
    for code in key {
        cases.push((true, refusal(1, code), "key"));
        cases.push((true, format!(r#"{{"error":{{"code":{code}}}}}"#), "key"));
        cases.push((true, refusal(99, code), "key"));
        cases.push((true, refusal(2, code), "noted by its event"));
        // Nothing has said yet that the key is good.
        cases.push((false, refusal(2, code), "key"));
    }
    for (accepted, message, expected) in cases {
        let mut bench = Bench::begin(&list("tick10 quote10: 005930"));
        if accepted {
            bench.hear(&ok(1));
        }
        bench.pass(2 * SECOND);
        let found = match bench.hear(&message) {
            Meaning::Over(Parting::KeyRefused(_)) => "key",
            Meaning::Over(Parting::Reconnect(_)) => "reconnect",
            Meaning::Trouble(_) => "trouble",
            Meaning::Other => "noted by its event",
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{accepted} {message}");
    }
}

#[test]
fn the_heaviest_of_a_message_is_told_and_all_of_it_is_heard() {
    let mut bench = Bench::registered("tick10: 005930");
    let (push, trouble) = (push("tick10", "005930"), refusal(99, 47));
    assert_eq!(bench.hear(&ok(2)), Meaning::Other);
    assert_eq!(bench.conversation.phase(), Phase::Accepted);
    assert_eq!(bench.hear(&format!("{}{push}", ok(9))), Meaning::Data);
    assert_eq!(bench.conversation.phase(), Phase::Data);
    let meaning = bench.hear(&format!("[{trouble},{push}]"));
    assert!(matches!(meaning, Meaning::Trouble(_)));
    let meaning = bench.hear(&format!("{trouble}{}{push}", refusal(1, 13_004)));
    assert!(matches!(meaning, Meaning::Over(Parting::Reconnect(_))));
    assert_eq!(bench.hear("garbage"), Meaning::Other);
}

#[test]
fn the_server_s_words_are_kept_with_the_refusal_unless_they_have_no_end() {
    let mut bench = Bench::registered("tick10 quote10 tick quote: 005930");
    let long = refusal(3, 10_040).replace("no", &"x".repeat(10_000));
    bench.hear(&refusal(2, 10_040));
    bench.hear(&long);
    bench.hear(&snapshot(4, "000660"));
    bench.hear(&push("quote", "005930"));
    let details: Vec<_> = bench
        .events
        .iter_mut()
        .filter_map(RegistrationEvent::detail_mut)
        .collect();
    assert_eq!(
        details,
        [
            "error 10040: no",
            "error 10040: no such issue",
            "answered with the state of another issue",
            "a push came",
        ]
    );
}

#[test]
fn registrations_wait_for_the_answer_to_init_but_not_for_ever() {
    let cases = [
        (Some(ok(1)), 200),
        (Some(push("tick10", "005930")), 200),
        (Some("{}".to_owned()), 1_000),
        (None, 1_000),
    ];
    for (answer, first) in cases {
        let mut bench = Bench::begin(&list("tick10: 005930"));
        bench.pass(Duration::from_millis(200));
        assert_eq!(bench.sent, Vec::<String>::new());
        if let Some(answer) = answer {
            bench.hear(&answer);
        }
        while bench.sent.is_empty() {
            bench.pass(Duration::from_millis(1));
        }
        let waited = bench.now - bench.begun;
        assert!(
            waited.abs_diff(Duration::from_millis(first)) <= Duration::from_millis(1),
            "{waited:?}"
        );
    }
}

#[test]
fn two_hundred_are_registered_within_seconds_and_few_are_open_at_a_time() {
    // A server that answers after a tenth of a second, and one that never does.
    for (answers, limit) in [(true, 5), (false, 40)] {
        let mut bench = Bench::begin(&list(&format!("tick10 quote10:{}", codes(100))));
        bench.hear(&ok(1));
        let (mut answered, mut asked) = (0, 0);
        for tenth in 0..limit * 10 {
            bench.pass(SECOND / 10);
            assert!(bench.sent.len() - asked <= 6, "not more than fifty a second");
            if answers {
                for id in answered..asked {
                    bench.hear(&ok(id as u64 + 2));
                }
                answered = asked;
            }
            asked = bench.sent.len();
            let open = asked - answered;
            assert!(!answers || open <= 32, "{open} open after {tenth}");
        }
        let (text, last) = (&bench.sent[0], &bench.sent[199]);
        assert!(
            text.contains(r#""id":2,"method":"subscribe","params":{"preset":"tick10","isuSrtCd":"000000"}"#)
        );
        assert!(
            last.contains(
                r#""id":201,"method":"subscribe","params":{"preset":"quote10","isuSrtCd":"000099"}"#
            )
        );
    }
}

#[test]
fn a_changed_list_cancels_and_then_adds_the_difference_and_nothing_else() {
    let mut bench = Bench::registered("tick10: 1 2 3 4; change: 5");
    for id in [2, 3, 6] {
        bench.hear(&ok(id));
    }
    bench.hear(&refusal(4, 10_040));
    bench.told();
    let items = |items: &[&str]| {
        let mut groups = vec![WishGroup {
            presets: vec![Preset::Tick10],
            codes: ["6", "2", "7"].map(str::to_owned).into(),
            ..WishGroup::default()
        }];
        groups.push(WishGroup {
            presets: vec![Preset::Change],
            codes: vec!["5".to_owned()],
            items: items.iter().map(|item| (*item).to_owned()).collect(),
            ..WishGroup::default()
        });
        WishList::of(&groups).unwrap()
    };
    bench.want(&items(&["trdPrc", "trdTm"]));
    // What no longer counts changes nothing.
    bench.hear(&ok(4));
    bench.hear(&ok(5));
    bench.hear(&push("tick10", "1"));
    bench.pass(SECOND);
    assert_eq!(
        bench.told(),
        [
            "wanted 4",
            "unsubscribe 2 tick10:1",
            // What was refused is not registered; what is not answered may be.
            "unsubscribe 5 tick10:4",
            "unsubscribe 6 change:5",
            "subscribe 7 tick10:6",
            "subscribe 8 tick10:7",
            "subscribe 9 change:5",
        ]
    );
    let cancelled = &bench.sent[2];
    assert!(
        cancelled.contains(
            r#""id":6,"method":"unsubscribe","params":{"preset":"change","isuSrtCd":"5","items":["trdPrc"]}"#
        ),
        "{cancelled}"
    );
    assert!(bench.sent[5].contains(r#""items":["trdPrc","trdTm"]"#));
    assert_eq!(bench.state(Preset::Tick10, "2"), Some(RegistrationState::Active));
    // The same again, and what is asked for and cancelled before it was sent.
    bench.want(&items(&["trdPrc", "trdTm"]));
    assert_eq!(bench.told(), Vec::<String>::new());
    let before = bench.sent.len();
    bench.want(&items(&["trdPrc"]));
    bench.want(&items(&["trdPrc", "trdTm", "trdvol"]));
    bench.pass(SECOND);
    let events = [
        "wanted 4",
        "wanted 4",
        "unsubscribe 9 change:5",
        "subscribe 10 change:5",
    ];
    assert_eq!(bench.told(), events);
    assert_eq!(bench.sent.len(), before + 2);
}
