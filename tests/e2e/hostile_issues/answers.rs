//! Answers of every kind, and none.

use krx_tests::issue_server::{ok, refusal, state, tick10};

use super::case::{Case, PAIRS, case, neighbour, ok_to_all, quarantined, run_all};

fn nothing() -> Vec<String> {
    Vec::new()
}

/// A state of 005930, and the words of its row.
const STATE: (&str, &str) = (
    r#""isuSrtCd":"005930","trdPrc":1310000,"trdvol":86,"trdTm":09450155,"mkStatTpCd":1"#,
    "ticks 005930 snapshot preset=tick10 trade_ts=09:45:01.550 trade_time=9450155 price=1310000 volume=86 extra={\"mkStatTpCd\":1}",
);

#[test]
fn answers_of_every_kind() {
    static CASES: [Case; 14] = [
        case(
            "answers out of order",
            |session, ids| {
                for id in ids.iter().rev() {
                    session.ok(*id)?;
                }
                session.say(&neighbour().0)
            },
            || vec![neighbour().1],
        ),
        case(
            "answers for ids that nobody used",
            |session, ids| {
                session.say(&ok(900))?;
                session.say(&refusal(901, 10_040))?;
                session.say(&state(902, r#""isuSrtCd":"035420","trdPrc":1"#))?;
                ok_to_all(session, ids)
            },
            || {
                vec![
                    quarantined("server_error", &refusal(901, 10_040)),
                    quarantined("not_registered", &state(902, r#""isuSrtCd":"035420","trdPrc":1"#)),
                ]
            },
        ),
        case(
            "each answer twice",
            |session, ids| {
                ok_to_all(session, ids)?;
                ok_to_all(session, ids)?;
                session.say(&state(ids[0], STATE.0))?;
                session.say(&state(ids[0], STATE.0))
            },
            || vec![STATE.1.to_owned(); 2],
        ),
        case("no answer", |session, ids| ok_to_all(session, &ids[1..]), nothing)
            .impatient()
            .but(&[(PAIRS[0], "unanswered")]),
        case(
            "a push instead of an answer",
            |session, ids| {
                ok_to_all(session, &ids[1..])?;
                session.say(&tick10("005930", 71_500).0)
            },
            || vec![tick10("005930", 71_500).1],
        ),
        case(
            "a snapshot after the first push",
            |session, ids| {
                session.say(&tick10("005930", 71_500).0)?;
                session.say(&state(ids[0], STATE.0))?;
                session.say(&tick10("005930", 71_600).0)?;
                ok_to_all(session, &ids[1..])
            },
            || {
                vec![
                    tick10("005930", 71_500).1,
                    STATE.1.to_owned(),
                    tick10("005930", 71_600).1,
                ]
            },
        ),
        case(
            "a snapshot for a preset that was not asked for",
            |session, ids| {
                session.say(&state(
                    ids[0],
                    r#""preset":"quote","isuSrtCd":"005930","accTrdvol":1"#,
                ))?;
                ok_to_all(session, ids)
            },
            || {
                let text = state(2, r#""preset":"quote","isuSrtCd":"005930","accTrdvol":1"#);
                vec![quarantined("not_registered", &text)]
            },
        ),
        case(
            "a snapshot for another code",
            |session, ids| {
                session.say(&state(ids[0], r#""isuSrtCd":"000660","trdPrc":5"#))?;
                session.say(&state(ids[1], r#""isuSrtCd":"035420","askStep1BstordPrc":5"#))?;
                ok_to_all(session, &ids[2..])
            },
            || {
                vec![
                    "ticks 000660 snapshot preset=tick10 price=5".to_owned(),
                    quarantined(
                        "not_registered",
                        &state(3, r#""isuSrtCd":"035420","askStep1BstordPrc":5"#),
                    ),
                ]
            },
        )
        .saying(&[
            (PAIRS[0], "answered with the state of another issue"),
            (PAIRS[1], "answered with the state of another issue"),
        ]),
        case(
            "an error without an id while several are open",
            |session, ids| {
                session.say(WITHOUT_ID)?;
                ok_to_all(session, ids)
            },
            || vec![quarantined("server_error", WITHOUT_ID)],
        )
        .logging(&[
            ("the server reports an error", 1),
            ("the server refuses a registration", 0),
        ]),
        case(
            "an error without an id while one is open",
            |session, ids| {
                ok_to_all(session, &ids[1..])?;
                session.say(WITHOUT_ID)
            },
            || vec![quarantined("server_error", WITHOUT_ID)],
        )
        .but(&[(PAIRS[0], "refused")]),
        case(
            "10040 for two, too many registrations for one, and once more",
            |session, ids| {
                for id in [ids[0], ids[3], ids[0]] {
                    session.say(&refusal(id, 10_040))?;
                }
                session.say(&refusal(ids[5], 99))?;
                ok_to_all(session, &[ids[1], ids[2], ids[4]])?;
                session.say(&neighbour().0)
            },
            || vec![neighbour().1],
        )
        .but(&[
            (PAIRS[0], "refused"),
            (PAIRS[3], "refused"),
            (PAIRS[5], "refused"),
        ])
        .logging(&[("the server refuses a registration", 3)]),
        case(
            "the key is refused in answer to one registration",
            |session, ids| {
                session.say(&refusal(ids[0], 13_001))?;
                ok_to_all(session, &ids[1..])?;
                session.say(&neighbour().0)
            },
            || vec![neighbour().1],
        )
        .but(&[(PAIRS[0], "refused")]),
        case(
            "garbage in answer to registrations",
            |session, ids| {
                for (id, garbage) in ids.iter().zip(GARBAGE) {
                    session.say(&garbage.replace("ID", &id.to_string()))?;
                }
                session.say(&neighbour().0)
            },
            || {
                let text = |index: usize| GARBAGE[index].replace("ID", &(index + 2).to_string());
                vec![
                    quarantined("malformed_json", &text(0)),
                    quarantined("unknown_message", &text(1)),
                    quarantined("truncated", &text(2)),
                    quarantined("unknown_message", &text(3)),
                    quarantined("missing_key", &text(4)),
                    quarantined("duplicate_key", &text(5)),
                    neighbour().1,
                ]
            },
        )
        .impatient()
        // The push of the neighbour shows that 000660 is registered; a result without a code is an answer.
        .but(&[
            (PAIRS[0], "unanswered"),
            (PAIRS[1], "unanswered"),
            (PAIRS[3], "unanswered"),
            (PAIRS[5], "unanswered"),
        ]),
        case(
            "ids as texts and with leading zeros",
            |session, ids| {
                session.say(&format!(r#"{{"id":"{}","result":{{"message":"ok"}}}}"#, ids[0]))?;
                session.say(&format!(r#"{{"id":00{},"result":{{"message":"ok"}}}}"#, ids[1]))?;
                session.say(&state(ids[2], r#""isuSrtCd":"000660","trdPrc":0071500"#))?;
                ok_to_all(session, &ids[3..])
            },
            || vec!["ticks 000660 snapshot preset=tick10 price=71500".to_owned()],
        ),
    ];
    run_all(&CASES);
}

const WITHOUT_ID: &str = r#"{"jsonrpc":"2.0","error":{"message":"종목 없음","code":10040}}"#;

/// One for each registration.
const GARBAGE: [&str; 6] = [
    "*** 시스템 점검 안내 ***",
    r#"{"jsonrpc":"2.0","id":ID,"result":null}"#,
    r#"{"jsonrpc":"2.0","id":ID,"result":{"message":"o"#,
    r#"{"jsonrpc":"2.0","id":ID}"#,
    r#"{"jsonrpc":"2.0","id":ID,"result":{"trdPrc":1}}"#,
    r#"{"jsonrpc":"2.0","id":ID,"id":ID,"result":{"message":"ok"}}"#,
];
