//! When a registration, and when a session, is found silent.

use std::time::Duration;

use super::super::bench::{Bench, codes, list, list_with, ok, push};
use super::*;
use crate::per_issue::RegistrationState;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_registration_that_another_feed_shows_to_be_silent_is_registered_again() {
    let mut bench = Bench::registered("tick10 quote10: 005930; tick10: 000660");
    for id in 2..5 {
        bench.hear(&ok(id));
    }
    bench.told();
    // Books come, trades do not; an issue that does not trade may bring nothing.
    for _ in 0..120 {
        bench.conversation.issue_traded("005930", 1, bench.now);
        bench.conversation.issue_traded("035420", 1, bench.now);
        bench.hear(&push("quote10", "005930"));
        bench.pass(SECOND);
    }
    assert_eq!(
        bench.told(),
        [
            "2 silent",
            "unsubscribe 2 tick10:005930",
            "subscribe 5 tick10:005930",
            "5 unanswered",
            "unsubscribe 5 tick10:005930",
            "subscribe 6 tick10:005930",
            "6 unanswered",
        ]
    );
    // It is accepted, and brings nothing still; but that is not found again for some minutes.
    bench.hear(&ok(6));
    let mut silent = Vec::new();
    for second in 120..480 {
        bench.conversation.issue_traded("005930", 1, bench.now);
        bench.hear(&push("quote10", "005930"));
        bench.pass(SECOND);
        silent.extend(bench.told().contains(&"6 silent".to_owned()).then_some(second));
    }
    assert!(matches!(silent[..], [365..=375]), "{silent:?}");
}

#[test]
fn only_what_each_trade_must_change_is_held_against_a_registration() {
    let presets = "tick quote tick10 quote10 change: 005930; index: 001";
    for (item, silent) in [("trdPrc", 4), ("accTrdvol", 5), ("accTrdval", 5)] {
        let list = list_with(presets, item);
        let mut bench = Bench::begin(&list);
        bench.hear(&ok(1));
        for id in 2..8 {
            bench.pass(SECOND / 10);
            bench.hear(&ok(id));
        }
        bench.told();
        for code in ["005930", "001"] {
            bench.conversation.issue_traded(code, 1, bench.now);
            bench.conversation.issue_traded(code, 20, bench.now);
        }
        bench.pass(75 * SECOND);
        let told = bench.told();
        let found = told.iter().filter(|event| event.ends_with(" silent")).count();
        assert_eq!(found, silent, "{item}: {told:?}");
    }
}

#[test]
fn a_short_patience_is_kept_to() {
    let settings = PerIssueSettings {
        silent_after: SECOND,
        ..PerIssueSettings::default()
    };
    let mut bench = Bench::with(&settings, &list("tick10: 005930"));
    bench.hear(&ok(1));
    bench.pass(SECOND / 10);
    bench.hear(&ok(2));
    bench.told();
    bench.conversation.issue_traded("005930", 1, bench.now);
    bench.conversation.issue_traded("005930", 9, bench.now);
    bench.pass(SECOND);
    assert_eq!(bench.told(), Vec::<String>::new());
    bench.pass(3 * SECOND);
    assert!(bench.told().contains(&"2 silent".to_owned()));
}

#[test]
fn a_silent_one_that_brings_something_after_all_is_active() {
    let mut bench = Bench::registered("tick10: 005930");
    bench.hear(&ok(2));
    for _ in 0..20 {
        bench.conversation.issue_traded("005930", 1, bench.now);
    }
    bench.pass(66 * SECOND);
    bench.told();
    // While another one is open, nothing is asked for again.
    bench.want(&list("tick10: 005930 000660"));
    bench.pass(4 * SECOND);
    assert_eq!(
        bench.told(),
        ["wanted 2", "subscribe 3 tick10:000660", "2 silent"]
    );
    // That it was accepted once more is no proof; a push is.
    bench.hear(&ok(2));
    assert_eq!(bench.told(), Vec::<String>::new());
    bench.hear(&push("tick10", "005930"));
    bench.hear(&ok(3));
    bench.pass(60 * SECOND);
    assert_eq!(bench.told(), ["2 active", "3 active"]);
}

#[test]
fn a_server_that_forgets_half_of_the_registrations_is_asked_for_just_those_again() {
    let mut bench = Bench::begin(&list(&format!("tick10 quote10:{}; tick10: 777777", codes(40))));
    bench.hear(&ok(1));
    for id in 2..83 {
        bench.pass(SECOND / 10);
        bench.hear(&ok(id));
    }
    bench.told();
    let forgotten = |number: usize| number.is_multiple_of(2);
    for second in 0..1_400 {
        // Each issue once in three seconds; one of them once in ten minutes.
        for number in (0..40).filter(|number| (number + second) % 3 == 0) {
            for preset in ["tick10", "quote10"] {
                if second < 600 || !forgotten(number) {
                    bench.hear(&push(preset, &format!("{number:06}")));
                }
            }
        }
        if second % 600 == 599 {
            bench.hear(&push("tick10", "777777"));
        }
        // Those that are asked for again are answered.
        let sent = std::mem::take(&mut bench.sent);
        for text in sent.iter().filter(|text| text.contains("\"subscribe\"")) {
            let request: serde_json::Value = serde_json::from_str(text).unwrap();
            bench.hear(&ok(request["id"].as_u64().unwrap()));
        }
        bench.pass(SECOND);
    }
    let told = bench.told();
    let of = |word: &str| told.iter().filter(|event| event.contains(word)).count();
    assert_eq!((of("silent"), of("unsubscribe"), of("subscribe")), (40, 40, 80));
    for event in told.iter().filter(|event| event.starts_with("unsubscribe")) {
        let number: usize = event.rsplit(':').next().unwrap().parse().unwrap();
        assert!(forgotten(number), "{event}");
    }
    assert_eq!(bench.count(RegistrationState::Active), 81);
}

#[test]
fn when_all_of_a_kind_rest_none_is_silent() {
    let mut bench = Bench::begin(&list(&format!("tick10 quote10:{}", codes(20))));
    bench.hear(&ok(1));
    for id in 2..42 {
        bench.pass(SECOND / 10);
        bench.hear(&ok(id));
    }
    bench.told();
    for second in 0..3_000 {
        for number in 0..20 {
            let code = format!("{number:06}");
            if second < 700 {
                bench.hear(&push("tick10", &code));
            }
            // In an auction the books go on; after the close two issues trade.
            if second < 1_500 || number < 2 {
                bench.hear(&push("quote10", &code));
            }
        }
        bench.pass(SECOND);
    }
    assert_eq!(bench.told(), Vec::<String>::new());
}

#[test]
fn silence_of_the_session_is_judged_by_any_message_and_by_our_pings() {
    let cases = [
        (Received::Message(br#"{"id":1,"method":"heartbeat"}"#), None),
        (Received::Message(b"garbage"), None),
        (Received::Ping, Some(Stall::NothingCame)),
        (Received::Pong(b"12345678"), Some(Stall::NothingCame)),
    ];
    for (received, expected) in cases {
        let mut bench = Bench::registered("tick10: 005930");
        let found = (0..120).find_map(|_| {
            bench.now += SECOND;
            bench.conversation.heard(received, bench.now);
            bench.conversation.stall(bench.now, true, None)
        });
        assert_eq!(found, expected, "{received:?}");
    }
    let mut bench = Bench::registered("tick10: 005930");
    for _ in 0..12 {
        bench.now = bench.conversation.heartbeat_due();
        let ping = bench.conversation.heartbeat(bench.now).ping;
        bench.conversation.heard(Received::Pong(&ping), bench.now);
        assert_eq!(bench.conversation.stall(bench.now, true, None), None);
    }
    let open_since = Some(bench.now);
    bench.now += 31 * SECOND;
    bench.conversation.stall(bench.now, true, open_since);
    assert_eq!(
        bench.conversation.stall(bench.now, true, open_since),
        Some(Stall::Unfinished)
    );
}
