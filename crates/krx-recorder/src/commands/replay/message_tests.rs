use proptest::prelude::*;

use super::*;

/// The rows that a message is recorded as.
fn read(text: &[u8]) -> Rows {
    let mut rows = Rows::default();
    Decoder::new().decode(text, &mut rows);
    rows
}

fn rebuilt(rows: &Rows) -> Result<Message, Withheld> {
    let mut builder = MessageBuilder::new();
    let quarantined = rows.0.iter().any(|row| matches!(row, Row::Rejected { .. }));
    builder.begin(quarantined);
    for row in &rows.0 {
        match row {
            Row::Trade {
                item,
                code,
                price,
                volume,
                trade_time,
                extra,
            } => builder.trade(
                *item,
                &Record {
                    code,
                    price: *price,
                    volume: *volume,
                    trade_time: *trade_time,
                    extra: extra.as_deref(),
                },
            ),
            Row::Rejected { item, reason, raw } => builder.rejected(*item, reason, raw),
        }
    }
    builder.finish()
}

/// Asserts that a message is recorded and replayed unchanged.
fn assert_comes_again(text: &str) {
    let rows = read(text.as_bytes());
    assert!(!rows.0.is_empty(), "{text}");
    let message = rebuilt(&rows).unwrap();
    assert_eq!(read(message.text.as_bytes()), rows, "{text}\nas {}", message.text);
    assert!(message.exact, "{text}\nas {}", message.text);
    assert_eq!(message.left_out, 0);
}

const GOOD: &str = r#"{"isuSrtCd":"005930","trdPrc":"71500","trdVol":"10","trdTm":"09450155"}"#;

#[test]
fn a_record_is_sent_as_the_guide_describes_it() {
    let text = format!("[{GOOD}]");
    assert_eq!(rebuilt(&read(text.as_bytes())).unwrap().text, text);
    let signal = r#"[{"isuSrtCd":"0004V0","trdPrc":"0","trdVol":"0","trdTm":"0"}]"#;
    assert_eq!(rebuilt(&read(signal.as_bytes())).unwrap().text, signal);
    let numbers =
        r#"[ {"trdTm":9450155, "trdvol":10, "isuSrtCd":"005930","a":[1, 2],"trdPrc":71500,"b":null} ]"#;
    let with_extra = format!(r#"[{},"a":[1, 2],"b":null}}]"#, &GOOD[..GOOD.len() - 1]);
    assert_eq!(rebuilt(&read(numbers.as_bytes())).unwrap().text, with_extra);
}

#[test]
fn every_reason_round_trips() {
    let mut seen = std::collections::BTreeSet::new();
    let record = |from: &str, to: &str| GOOD.replace(from, to);
    let many = format!("[{}]", vec!["1"; 32_770].join(","));
    let cases = [
        String::new(),
        "  ".to_owned(),
        "hello".to_owned(),
        "{\"a\":".to_owned(),
        format!("[{GOOD},{GOOD},{}", &GOOD[..20]),
        format!("[{GOOD},"),
        format!("[{GOOD},{GOOD}"),
        format!("[{}", record("trdPrc", "price")),
        "[".to_owned(),
        format!("[{GOOD}] and more"),
        "[]]".to_owned(),
        format!("[{GOOD},5,\"x\",null,[{GOOD}],{GOOD}]"),
        format!("[{GOOD},,{GOOD},]"),
        format!("[{},{GOOD}]", record("trdPrc", "price")),
        format!("[{GOOD},{}]", record("trdVol", "trdPrc")),
        format!("[{GOOD},{}]", record("\"71500\"", "null")),
        format!("[{GOOD},{}]", record("\"71500\"", "true")),
        format!("[{GOOD},{}]", record("005930", "삼성")),
        format!("[{GOOD},{}]", record("71500", "7x")),
        format!("[{GOOD},{}]", record("71500", "7.5")),
        format!("[{GOOD},{}]", record("71500", "-7")),
        format!("[{GOOD},{}]", record("\"71500\"", "99999999999999999999")),
        format!("[{GOOD},{}]", record("09450155", "123456789")),
        format!("[{GOOD},{},{GOOD}]", record("\"71500\"", "71500\"")),
        format!("[{GOOD},{},{GOOD}]", record("\"09450155\"", "09450155")),
        format!("[{GOOD},{},{GOOD}]", GOOD.replace('}', "")),
        many,
        r#"{"jsonrpc":"2.0","method":"push","params":{"preset":"tick"}}"#.to_owned(),
        r#"{"notice":"점검"}"#.to_owned(),
        "null".to_owned(),
    ];
    for text in &cases {
        assert_comes_again(text);
        for row in read(text.as_bytes()).0 {
            if let Row::Rejected { reason, .. } = row {
                seen.insert(reason);
            }
        }
    }
    // Two have nothing to send again, and two belong to the per-issue service.
    let expected = Reason::ALL.into_iter().filter(|reason| {
        !matches!(
            reason,
            Reason::ServerError | Reason::Poison | Reason::NotANumber | Reason::NotRegistered
        )
    });
    let missing: Vec<_> = expected
        .filter(|reason| !seen.contains(reason.as_str()))
        .collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn server_errors_and_non_text_are_withheld() {
    let error = br#"{"jsonrpc":"2.0","error":{"message":"no","code":10070}}"#;
    assert_eq!(rebuilt(&read(error)), Err(Withheld::ServerError));
    let mut builder = MessageBuilder::new();
    builder.begin(true);
    builder.rejected(None, "poison", error);
    assert_eq!(
        builder.finish(),
        Err(Withheld::ServerError),
        "whatever it was recorded as"
    );
    assert_eq!(rebuilt(&read(b"\xff\xfe")), Err(Withheld::NotText));

    let text = [
        b"[",
        GOOD.as_bytes(),
        b",{\"a\":\"\xff\"},",
        GOOD.as_bytes(),
        b"]",
    ]
    .concat();
    let rows = read(&text);
    assert_eq!(rows.0.len(), 3);
    let message = rebuilt(&rows).unwrap();
    assert_eq!(
        (message.text, message.left_out, message.exact),
        (format!("[{GOOD},{GOOD}]"), 1, false),
        "its neighbours are sent"
    );
}

#[test]
fn a_message_that_decodes_differently_is_reported() {
    let mut builder = MessageBuilder::new();
    builder.begin(true);
    builder.rejected(None, "poison", format!("[{GOOD}]").as_bytes());
    let message = builder.finish().unwrap();
    assert_eq!((message.text, message.exact), (format!("[{GOOD}]"), false));
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u32>().prop_map(|number| format!("-{number}.50e-3")),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        Just("\"}],[{\\\"\"".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| format!("[{}]", values.join(" , "))),
            proptest::collection::vec((key(), inner), 0..4).prop_map(|members| object(&members)),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let known = ["isuSrtCd", "trdPrc", "trdVol", "trdvol", "trdTm"];
    any::<String>().prop_filter("a key that the guide has", move |key| {
        !known.contains(&key.as_str())
    })
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(key, value)| format!("{}: {value}", serde_json::Value::from(key.as_str())))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn row() -> impl Strategy<Value = (String, i64, i64, i32, Option<String>)> {
    let extra = proptest::collection::vec((key(), json()), 1..4).prop_map(|members| object(&members));
    (
        "[A-Za-z0-9]{1,12}",
        prop_oneof![0..=i64::MAX, 0..1_000_000_i64, Just(i64::MAX)],
        prop_oneof![0..=i64::MAX, 0..1_000_i64],
        prop_oneof![0..=99_999_999_i32, Just(0), 0..1_000_i32, Just(31_000_000)],
        proptest::option::weighted(0.3, extra),
    )
}

/// An element of an array: good, bad, or not JSON at all.
fn element() -> impl Strategy<Value = String> {
    let good = row().prop_map(|(code, price, volume, time, extra)| {
        let mut text = String::new();
        let record = Record {
            code: &code,
            price,
            volume,
            trade_time: time,
            extra: extra.as_deref(),
        };
        write_record(&mut text, &record);
        text
    });
    let bad = prop_oneof![
        json(),
        Just("{\"isuSrtCd\":\"000210\",\"trdPrc\":81000,\"trdVol\":5,\"trdTm\":09000000}".to_owned()),
        Just("{\"isuSrtCd\":\"000210\",\"trdPrc\":\"8x000\"}".to_owned()),
        Just("{\"isuSrtCd\":\"000210\",\"trdPrc\":}".to_owned()),
        Just("{\"isuSrtCd\" \"000210\"}".to_owned()),
        Just(String::new()),
    ];
    prop_oneof![3 => good, 1 => bad]
}

proptest! {
    #[test]
    fn rows_of_trades_round_trip_whatever_they_hold(rows in proptest::collection::vec(row(), 1..70)) {
        let rows = Rows(
            rows.into_iter()
                .zip(0..)
                .map(|((code, price, volume, trade_time, extra), item)| Row::Trade {
                    item,
                    code,
                    price,
                    volume,
                    trade_time,
                    extra,
                })
                .collect(),
        );
        let message = rebuilt(&rows).unwrap();
        prop_assert_eq!(usize::try_from(message.records).unwrap(), rows.0.len());
        prop_assert_eq!(read(message.text.as_bytes()), rows);
    }

    #[test]
    fn messages_with_bad_records_round_trip(
        elements in proptest::collection::vec(element(), 1..12),
        cut in proptest::option::weighted(0.3, any::<prop::sample::Index>()),
        trailing in proptest::option::weighted(0.2, "[ -~]{1,8}"),
    ) {
        let mut text = format!("[{}]", elements.join(","));
        match cut {
            Some(cut) => {
                let mut len = cut.index(text.len() - 1) + 1;
                while !text.is_char_boundary(len) {
                    len -= 1;
                }
                text.truncate(len.max(1));
            }
            None => text.push_str(trailing.as_deref().unwrap_or_default()),
        }
        let rows = read(text.as_bytes());
        prop_assume!(!rows.0.is_empty());
        let message = rebuilt(&rows).unwrap();
        prop_assert_eq!(read(message.text.as_bytes()), rows, "{}", message.text);
        prop_assert!(message.exact);
    }

    #[test]
    fn a_corrupted_message_that_decodes_differently_is_reported(
        elements in proptest::collection::vec(element(), 1..6),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"{}[]\",:\\ \xff0".to_vec())), 1..5),
    ) {
        let mut text = format!("[{}]", elements.join(",")).into_bytes();
        for (place, byte) in changes {
            let place = place.index(text.len());
            text[place] = byte;
        }
        let rows = read(&text);
        prop_assume!(!rows.0.is_empty());
        if let Ok(message) = rebuilt(&rows) {
            prop_assert_eq!(read(message.text.as_bytes()) == rows, message.exact);
        }
    }
}
