//! Pushes of every kind, and what is none.

use std::fmt::Write as _;

use krx_tests::hostile::{BINARY, TEXT};
use krx_tests::issue_server::{ok, push, quote10, refusal, tick10};

use super::case::{Case, PAIRS, between, case, neighbour, ok_to_all, quarantined, rows_between, run_all};

fn tick_with(fields: &str) -> String {
    push(&format!(
        r#""preset":"tick10","isuSrtCd":"005930",{fields},"trdTm":9450155"#
    ))
}

fn tick_words(values: &str) -> String {
    format!("ticks 005930 trade preset=tick10 trade_ts=09:45:01.550 trade_time=9450155 {values}")
}

/// A book of so many levels, and the words of its row.
fn book(levels: usize) -> (String, String) {
    let (mut fields, mut extra) = (
        String::from(r#""preset":"quote10","isuSrtCd":"005930""#),
        String::new(),
    );
    let mut columns: [String; 2] = Default::default();
    for level in 1..=levels {
        for (column, side) in columns.iter_mut().zip(["ask", "bid"]) {
            let (price, size) = (1_000 * level, 10 * level);
            let members =
                format!(r#""{side}Step{level}BstordPrc":{price},"{side}Step{level}BstordRqty":{size}"#);
            let _ = write!(fields, ",{members}");
            if level <= 10 {
                let _ = write!(
                    column,
                    " {side}_price_{level:02}={price} {side}_size_{level:02}={size}"
                );
            } else {
                let comma = if extra.is_empty() { "" } else { "," };
                let _ = write!(extra, "{comma}{members}");
            }
        }
    }
    let mut words = format!("books 005930 update{}", columns.concat());
    if !extra.is_empty() {
        let _ = write!(words, " extra={{{extra}}}");
    }
    (push(&fields), words)
}

/// So many members that no column holds.
fn members(count: usize) -> String {
    let members: Vec<_> = (0..count)
        .map(|member| format!(r#""unknown{member}":"{member:060}""#))
        .collect();
    members.join(",")
}

fn nested(depth: usize) -> String {
    format!(r#""x":{}1{}"#, "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn pushes_of_every_kind() {
    static CASES: [Case; 14] = [
        case(
            "two objects in one message",
            |session, ids| {
                session.say(&format!("{}{}", ok(ids[0]), ok(ids[1])))?;
                session.say(&format!(
                    "{} {}\n{}",
                    ok(ids[2]),
                    neighbour().0,
                    refusal(ids[3], 10_040)
                ))?;
                ok_to_all(session, &ids[4..])?;
                session.say(&format!("{}{}", tick10("005930", 1).0, quote10("005930", 2).0))
            },
            || vec![neighbour().1, tick10("005930", 1).1, quote10("005930", 2).1],
        )
        .but(&[(PAIRS[3], "refused")]),
        case(
            "an array of pushes, with what is none among them",
            |session, ids| {
                let (first, second) = (tick10("005930", 1).0, quote10("005930", 2).0);
                session.say(&format!("[{},{},{}]", ok(ids[0]), first, ok(ids[1])))?;
                ok_to_all(session, &ids[2..])?;
                session.say(&format!(
                    "[{first},null,[{first}],{second},{{\"hello\":1}},{first}]"
                ))?;
                session.say(&format!("[{first},{second}"))?;
                session.say("[]")
            },
            || {
                let (first, second) = (tick10("005930", 1), quote10("005930", 2));
                vec![
                    first.1.clone(),
                    first.1.clone(),
                    quarantined("not_an_object", "null"),
                    quarantined("not_an_object", &format!("[{}]", first.0)),
                    second.1.clone(),
                    quarantined("unknown_message", r#"{"hello":1}"#),
                    first.1.clone(),
                    quarantined("truncated", ""),
                    first.1,
                    second.1,
                ]
            },
        ),
        case(
            "five thousand pushes in one message",
            |session, ids| {
                ok_to_all(session, ids)?;
                let pushes: Vec<_> = (0..5_000).map(|price| tick10("005930", price).0).collect();
                session.say(&format!("[{}]", pushes.join(",")))
            },
            || (0..5_000).map(|price| tick10("005930", price).1).collect(),
        ),
        case(
            "deep objects",
            |session, ids| {
                let deep = |depth| tick_with(&format!(r#""trdPrc":1,"trdvol":2,{}"#, nested(depth)));
                between(session, ids, &[deep(100), deep(100_000)])?;
                session.say(&format!("[{0},{1},{0}]", neighbour().0, deep(100_000)))
            },
            || {
                let deep = tick_with(&format!(r#""trdPrc":1,"trdvol":2,{}"#, nested(100_000)));
                let kept = tick_words(&format!("price=1 volume=2 extra={{{}}}", nested(100)));
                let refused = quarantined("malformed_json", &deep);
                let mut rows = rows_between([kept.as_str(), &refused]);
                rows.extend([neighbour().1, refused, neighbour().1]);
                rows
            },
        ),
        case(
            "a huge object",
            |session, ids| {
                let huge = tick_with(&format!(r#""trdPrc":1,"trdvol":2,{}"#, members(10_000)));
                between(session, ids, &[huge])
            },
            || {
                let words = tick_words(&format!("price=1 volume=2 extra={{{}}}", members(10_000)));
                rows_between([words.as_str()])
            },
        ),
        case(
            "more items of a change than a frame has places for",
            |session, ids| between(session, ids, &[items(33_000)]),
            || rows_between([quarantined("too_many_records", &items(33_000)).as_str()]),
        ),
        case(
            "eleven levels",
            |session, ids| between(session, ids, &[book(10).0, book(11).0]),
            || rows_between([book(10).1.as_str(), &book(11).1]),
        ),
        case(
            "negative prices and zero",
            |session, ids| between(session, ids, &SIGNS.map(|(text, _)| push(text))),
            || rows_of(&SIGNS.map(|(text, words)| (push(text), words))),
        ),
        case(
            "trdvol and trdVol both",
            |session, ids| between(session, ids, &VOLUMES.map(|(text, _)| tick_with(text))),
            || rows_of(&VOLUMES.map(|(text, words)| (tick_with(text), words))),
        ),
        case(
            "leading zeros in numbers",
            |session, ids| between(session, ids, &ZEROS.map(|(text, _)| push(text))),
            || rows_of(&ZEROS.map(|(text, words)| (push(text), words))),
        ),
        case(
            "pushes of what was never registered",
            |session, ids| between(session, ids, &STRANGERS.map(push)),
            || rows_of(&STRANGERS.map(|text| (push(text), "not_registered"))),
        ),
        case(
            "pushes that lack what they must have, or have it twice",
            |session, ids| between(session, ids, &WRONG.map(|(text, _)| push(text))),
            || rows_of(&WRONG.map(|(text, reason)| (push(text), reason))),
        ),
        case(
            "what is no push",
            |session, ids| between(session, ids, &NO_PUSHES.map(|(text, _)| text.to_owned())),
            || rows_of(&NO_PUSHES.map(|(text, reason)| (text.to_owned(), reason))),
        ),
        case(
            "a push in a binary frame, with a byte order mark",
            |session, ids| {
                ok_to_all(session, ids)?;
                session.send(BINARY, neighbour().0.as_bytes())?;
                session.send(TEXT, format!("\u{feff}{}", neighbour().0).as_bytes())?;
                session.send(BINARY, b"\xff\xfe{")
            },
            || {
                vec![
                    neighbour().1,
                    neighbour().1,
                    quarantined("malformed_json", "\u{fffd}\u{fffd}"),
                    quarantined("truncated", "{"),
                ]
            },
        ),
    ];
    run_all(&CASES);
}

fn items(count: usize) -> String {
    let items: Vec<_> = (0..count).map(|item| format!(r#""i{item}":{item}"#)).collect();
    push(&format!(r#""isuSrtCd":"005930",{}"#, items.join(",")))
}

/// The rows of messages between good ones: their words, or one word, the reason for which they are quarantined; none if
/// they leave no row.
fn rows_of(messages: &[(String, &str)]) -> Vec<String> {
    let rows = messages.iter().map(|(text, words)| match words.contains(' ') {
        false if !words.is_empty() => quarantined(words, text),
        _ => (*words).to_owned(),
    });
    let rows: Vec<_> = rows.collect();
    rows_between(rows.iter().map(String::as_str))
}

/// Params, and the words of their row, or the reason for which they are quarantined.
const SIGNS: [(&str, &str); 7] = [
    (
        r#""preset":"tick10","isuSrtCd":"005930","trdPrc":-71500,"trdvol":5,"trdTm":9450155"#,
        "sign",
    ),
    (
        r#""preset":"tick10","isuSrtCd":"005930","trdPrc":"-0","trdvol":5,"trdTm":9450155"#,
        "sign",
    ),
    (
        r#""preset":"tick10","isuSrtCd":"005930","trdPrc":0,"trdvol":0,"trdTm":0"#,
        "ticks 005930 before_first_trade preset=tick10 trade_time=0 price=0 volume=0",
    ),
    (
        r#""preset":"tick10","isuSrtCd":"005930","trdPrc":71500,"trdvol":5,"trdTm":9450155,"cmpprevddPrc":-500,"cmpprevddTpCd":5"#,
        "ticks 005930 trade preset=tick10 trade_ts=09:45:01.550 trade_time=9450155 price=71500 volume=5 change=-500 change_kind=down",
    ),
    (
        r#""preset":"quote10","isuSrtCd":"005930","askStep1BstordPrc":-1"#,
        "sign",
    ),
    (
        r#""preset":"quote10","isuSrtCd":"005930","askStep1BstordPrc":0,"askStep1BstordRqty":0"#,
        "books 005930 update ask_price_01=0 ask_size_01=0",
    ),
    (
        r#""preset":"index","isuSrtCd":"001","trdTm":14340400,"trdPrc":2456.37,"cmpprevddPrc":-12.5"#,
        "indices 001 trade trade_ts=14:34:04.000 trade_time=14340400 value=2456.37 change=-12.5",
    ),
];

const VOLUMES: [(&str, &str); 4] = [
    (
        r#""trdPrc":1,"trdvol":5,"trdVol":5"#,
        "ticks 005930 trade preset=tick10 trade_ts=09:45:01.550 trade_time=9450155 price=1 volume=5",
    ),
    (
        r#""trdPrc":1,"trdVol":"5","trdvol":null"#,
        "ticks 005930 trade preset=tick10 trade_ts=09:45:01.550 trade_time=9450155 price=1 volume=5",
    ),
    (r#""trdPrc":1,"trdvol":5,"trdVol":6"#, "duplicate_key"),
    (r#""trdPrc":1,"trdvol":5,"trdVol":"five""#, "not_an_integer"),
];

const ZEROS: [(&str, &str); 5] = [
    (
        r#""preset":"tick10","isuSrtCd":"005930","trdPrc":0071500,"trdvol":005,"trdTm":09450155"#,
        "ticks 005930 trade preset=tick10 trade_ts=09:45:01.550 trade_time=9450155 price=71500 volume=5",
    ),
    (
        r#""preset":"tick10","isuSrtCd":"005930","trdPrc":"0071500","trdvol":"005","trdTm":"09450155""#,
        "ticks 005930 trade preset=tick10 trade_ts=09:45:01.550 trade_time=9450155 price=71500 volume=5",
    ),
    (
        r#""preset":"index","isuSrtCd":"001","trdTm":00000000,"trdPrc":002456.370,"cmpprevddPrc":-012.50"#,
        "indices 001 before_first_trade trade_time=0 value=2456.37 change=-12.5",
    ),
    // The text of an item is what was sent.
    (
        r#""isuSrtCd":"005930","trdPrc":0071500"#,
        "changes 005930 update field=trdPrc value=0071500",
    ),
    (
        r#""preset":"tick10","isuSrtCd":005930,"trdPrc":1,"trdvol":1,"trdTm":0"#,
        "wrong_type",
    ),
];

/// Codes and presets that were not registered.
const STRANGERS: [&str; 6] = [
    r#""preset":"tick10","isuSrtCd":"035420","trdPrc":1,"trdvol":1,"trdTm":0"#,
    r#""preset":"tick","isuSrtCd":"005930","trdPrc":1,"trdvol":1,"trdTm":0"#,
    r#""preset":"tick99","isuSrtCd":"005930","trdPrc":1,"trdvol":1,"trdTm":0"#,
    r#""isuSrtCd":"000660","trdPrc":1"#,
    r#""preset":"index","isuSrtCd":"005930","trdPrc":1,"trdTm":0"#,
    r#""preset":"tick10","isuSrtCd":"../../etc/passwd","trdPrc":1,"trdvol":1,"trdTm":0"#,
];

const WRONG: [(&str, &str); 8] = [
    (
        r#""preset":"tick10","isuSrtCd":"005930","trdvol":1,"trdTm":0"#,
        "missing_key",
    ),
    (
        r#""preset":"tick10","trdPrc":1,"trdvol":1,"trdTm":0"#,
        "missing_key",
    ),
    (
        r#""preset":"tick10","isuSrtCd":"005930","trdPrc":null,"trdvol":1,"trdTm":0"#,
        "null_value",
    ),
    (
        r#""preset":"tick10","isuSrtCd":"005930","trdPrc":1,"trdPrc":2,"trdvol":1,"trdTm":0"#,
        "duplicate_key",
    ),
    (
        r#""preset":"tick10","isuSrtCd":"005930","trdPrc":1.5,"trdvol":1,"trdTm":0"#,
        "fraction",
    ),
    (
        r#""preset":"tick10","isuSrtCd":"005930","trdPrc":99999999999999999999,"trdvol":1,"trdTm":0"#,
        "overflow",
    ),
    (
        r#""preset":"tick10","isuSrtCd":"005930","trdPrc":1,"trdvol":1,"trdTm":143404000"#,
        "bad_time",
    ),
    (
        r#""preset":"index","isuSrtCd":"001","trdTm":0,"trdPrc":1234567890.123456"#,
        "overflow",
    ),
];

const NO_PUSHES: [(&str, &str); 8] = [
    ("", "empty_message"),
    ("null", "unknown_message"),
    ("NaN", "malformed_json"),
    (r#"{"jsonrpc":"2.0","method":"push"}"#, "missing_key"),
    (
        r#"{"jsonrpc":"2.0","method":"push","params":[]}"#,
        "not_an_object",
    ),
    (
        r#"{"jsonrpc":"2.0","method":"subscribe","params":{}}"#,
        "unknown_message",
    ),
    (
        r#"{"error":{"code":10090,"message":"data under maintenance"}}"#,
        "server_error",
    ),
    (r#"{"jsonrpc":"2.0","id":1,"method":"heartbeat"}"#, ""),
];
