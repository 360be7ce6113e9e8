//! Tests of messages that are not one sound object: packed, doubled, cut off, hostile; and properties over any input.

use proptest::prelude::*;

use super::{Facts, MAX_ITEMS, PerIssueDecoder};
use crate::per_issue::seen::{Seen, decode, push, usual_book};
use crate::reason::Reason;

/// A trade with this price.
fn tick(price: u32) -> String {
    push(&format!(
        r#"{{"preset":"tick","isuSrtCd":"005930","trdPrc":{price},"trdvol":1,"trdTm":9450155}}"#
    ))
}

/// The prices of the rows, with their items.
fn prices(seen: &Seen) -> Vec<(i16, u32)> {
    let price = |row: &crate::per_issue::seen::SeenRow| (row.item, row.values["price"].parse().unwrap());
    seen.rows.iter().map(price).collect()
}

#[test]
fn objects_in_a_row_and_arrays_are_decoded_one_by_one() {
    let (a, b, c) = (tick(1), tick(2), tick(3));
    let heartbeat = r#"{"method":"heartbeat"}"#;
    for message in [
        format!("{a}{b}{c}"),
        format!(" {a}\n{b}\r\n\t{c} "),
        format!("{a},{b},{c}"),
        format!("[{a},{b},{c}]"),
        format!("[{a},{b}]{c}"),
        format!("[{a}][{b}] [ {c} ]"),
        format!("{a}[{b},{c}]"),
        format!("\u{feff}{a}{heartbeat}{b}{heartbeat}{c}"),
        format!("[{heartbeat},{a},{b},{heartbeat},{c}]"),
        format!("[{},{b},{c}]", a.replace("9450155", "09450155")),
        format!("{a}{}{c}", b.replace("9450155", "09450155")),
    ] {
        let (seen, facts) = decode(&message);
        assert_eq!(seen.rejects, [], "{message}");
        assert_eq!(prices(&seen), [(0, 1), (1, 2), (2, 3)], "{message}");
        assert_eq!(facts.control, message.matches("heartbeat").count());
    }
    // A push of `change` takes a number for each of its items.
    let change = push(r#"{"isuSrtCd":"005930","isuCd":"KR7005930003","a":1,"b":2}"#);
    let (seen, _) = decode(format!("{a}{change}{b}{change}"));
    let items: Vec<_> = seen.rows.iter().map(|row| (row.table, row.item)).collect();
    let expected = ["ticks", "changes", "changes", "ticks", "changes", "changes"];
    assert_eq!(items, expected.into_iter().zip(0..).collect::<Vec<_>>());
}

#[test]
fn a_bad_piece_never_costs_its_neighbours() {
    let (a, b) = (tick(1), tick(2));
    for (bad, reason) in [
        (
            r#"{"jsonrpc":"2.0","method":"push","params":{"preset":"tick"}}"#,
            Reason::MissingKey,
        ),
        (r#"{"jsonrpc":"2.0","error":{"code":47}}"#, Reason::ServerError),
        (r#"{"hello":1}"#, Reason::UnknownMessage),
        // A missing brace, colon, quote; one quote too many; numbers that no parser takes.
        (
            r#"{"jsonrpc":"2.0","method":"push","params":{"preset":"tick"}"#,
            Reason::MalformedJson,
        ),
        (
            r#"{"jsonrpc""2.0","method":"push","params":{"preset":"tick"}}"#,
            Reason::MalformedJson,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"push,"params":{"preset":"tick"}}"#,
            Reason::MalformedJson,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"push"","params":{"preset":"tick"}}"#,
            Reason::MalformedJson,
        ),
        (
            r#"{"method":"push","params":{"trdPrc":99999999999999999999}}"#,
            Reason::Overflow,
        ),
        (
            r#"{"method":"push","params":{"trdPrc":NaN}}"#,
            Reason::MalformedJson,
        ),
        ("{\"\\ud800\":1}", Reason::MalformedJson),
    ] {
        for message in [
            format!("{a}{bad}{b}"),
            format!("{a}\n{bad}\n{b}"),
            format!("[{a},{bad},{b}]"),
        ] {
            let (seen, _) = decode(&message);
            assert_eq!(prices(&seen), [(0, 1), (2, 2)], "{message}");
            let rejects: Vec<_> = seen
                .rejects
                .iter()
                .map(|reject| (reject.0, reject.1, reject.3.as_slice()))
                .collect();
            assert_eq!(rejects, [(Some(1), reason, bad.as_bytes())], "{message}");
        }
        for message in [format!("{bad}{a}"), format!("[{bad},{a}]")] {
            let (seen, _) = decode(&message);
            assert_eq!(
                (prices(&seen), seen.reasons()),
                (vec![(1, 1)], vec![reason]),
                "{message}"
            );
        }
    }
    for bad in ["5", "null", "\"x\"", "[1,2]"] {
        let (seen, _) = decode(format!("[{a},{bad},{b}]"));
        assert_eq!(prices(&seen), [(0, 1), (2, 2)], "{bad}");
        assert_eq!(
            seen.rejects,
            [(
                Some(1),
                Reason::NotAnObject,
                String::new(),
                bad.as_bytes().to_vec()
            )]
        );
    }
    let (seen, _) = decode([b"[", a.as_bytes(), b",{\"a\":\"\xff\"},", b.as_bytes(), b"]"].concat());
    assert_eq!(
        (prices(&seen), seen.reasons()),
        (vec![(0, 1), (2, 2)], vec![Reason::MalformedJson])
    );
}

#[test]
fn bytes_between_objects_are_kept_as_they_are() {
    let (a, b) = (tick(1), tick(2));
    for (message, reason, raw) in [
        (format!("{a}}}{b}"), Reason::TrailingBytes, "}"),
        (format!("{a} and more{b}"), Reason::TrailingBytes, "and more"),
        (format!("[{a},{b}]]"), Reason::TrailingBytes, "]"),
        (format!("x{a}{b}"), Reason::MalformedJson, "x"),
        (format!("{a}:{b}"), Reason::TrailingBytes, ":"),
    ] {
        let (seen, _) = decode(&message);
        assert_eq!(prices(&seen), [(0, 1), (1, 2)], "{message}");
        assert_eq!(
            seen.rejects,
            [(None, reason, String::new(), raw.as_bytes().to_vec())],
            "{message}"
        );
    }
}

/// A bracket that closes nothing belongs to the piece in which it stands, and not to the array.
#[test]
fn a_stray_bracket_does_not_end_an_array() {
    let (a, b) = (tick(1), tick(2));
    let (seen, _) = decode(format!("[{a}}},{b}]"));
    assert_eq!(prices(&seen), [(1, 2)]);
    let reject = (
        Some(0),
        Reason::MalformedJson,
        String::new(),
        format!("{a}}}").into_bytes(),
    );
    assert_eq!(seen.rejects, [reject]);
    let (seen, _) = decode(format!("{{\"x\":1]}}{a}"));
    assert_eq!(
        (prices(&seen), seen.reasons()),
        (vec![(1, 1)], vec![Reason::MalformedJson])
    );
}

#[test]
fn a_message_cut_off_keeps_what_is_whole_and_says_so() {
    let (a, b) = (tick(1), tick(2));
    for message in [format!("{a}{b}"), format!("[{a},{b}]")] {
        let start = usize::from(message.starts_with('['));
        for length in start + a.len()..message.len() {
            let cut = &message[..length];
            let (seen, facts) = decode(cut);
            let whole = usize::from(length >= start + a.len())
                + usize::from(length >= start + a.len() + b.len() + start);
            assert_eq!(facts.rows, whole, "{cut}");
            // A piece that ends with a brace may as well lack one.
            let is_plain = start == 0 && cut.ends_with('}') && length > a.len();
            let told = seen.reasons();
            if length == a.len() && start == 0 {
                assert_eq!(told, [], "{cut}");
            } else if is_plain {
                assert_eq!(told, [Reason::MalformedJson], "{cut}");
            } else {
                assert_eq!(told, [Reason::Truncated], "{cut}");
            }
        }
    }
    let (seen, _) = decode("[");
    assert_eq!(
        seen.rejects,
        [(None, Reason::Truncated, String::new(), b"[".to_vec())]
    );
}

#[test]
fn depth_size_and_number_of_items_are_bounded() {
    let a = tick(1);
    for deep in [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{}{a}", "[".repeat(10_000)),
    ] {
        let (seen, _) = decode(&deep);
        assert!(!seen.rejects.is_empty());
    }
    let nested = format!("{}1{}", "{\"a\":[".repeat(300), "]}".repeat(300));
    let (seen, _) = decode(push(&format!(
        r#"{{"preset":"quote","isuSrtCd":"005930","x":{nested},"big":"{}"}}"#,
        "x".repeat(1 << 20)
    )));
    assert_eq!(seen.rejects, []);
    assert!(seen.rows[0].extra.as_ref().unwrap().len() > 1 << 20);
    let (seen, _) = decode(format!("{{{}}}", vec!["\"a\":1"; 100_000].join(",")));
    assert_eq!(seen.reasons(), [Reason::UnknownMessage]);

    let full = MAX_ITEMS;
    for (head, between, tail) in [("", "", ""), ("[", ",", "]")] {
        let of = |count: usize| format!("{head}{}{tail}", vec![a.as_str(); count].join(between));
        assert_eq!(
            decode(of(full)).1,
            Facts {
                rows: full,
                ..Facts::default()
            }
        );
        let (seen, facts) = decode(of(full + 2));
        assert_eq!((facts.rows, facts.rejected), (full, 1));
        let raw = format!("{a}{between}{a}{tail}").into_bytes();
        assert_eq!(seen.rejects, [(None, Reason::TooManyRecords, String::new(), raw)]);
    }
    // A push of `change` is whole, or not there.
    let change = |items: usize| {
        let items: String = (0..items).map(|item| format!(r#","i{item}":{item}"#)).collect();
        push(&format!(r#"{{"isuSrtCd":"005930"{items}}}"#))
    };
    assert_eq!(decode(change(full)).1.rows, full);
    let (alone, first) = (change(full + 1), format!("{a}{}", change(full)));
    let (seen, _) = decode(&alone);
    assert_eq!(
        (seen.rows.len(), seen.rejects[0].1, seen.rejects[0].3.len()),
        (0, Reason::TooManyRecords, alone.len())
    );
    let (seen, _) = decode(format!("{first}{a}"));
    assert_eq!(
        (seen.rows.len(), seen.reasons()),
        (1, vec![Reason::TooManyRecords])
    );
    assert_eq!(seen.rejects[0].3.len(), first.len());
}

/// A value of a column as it may be sent, and as it must come out.
#[derive(Clone, Debug)]
struct Sent {
    key: &'static str,
    column: &'static str,
    text: String,
    value: String,
}

/// A whole number or a decimal one, as a number or as a string, with or without leading zeros.
fn sent(key: &'static str, column: &'static str, is_decimal: bool) -> impl Strategy<Value = Sent> {
    let digits = if is_decimal {
        "-?(0|[1-9][0-9]{0,6})(\\.[0-9]{1,6})?"
    } else {
        "0|[1-9][0-9]{0,17}"
    };
    (digits, any::<bool>(), 0..3_usize, any::<Option<bool>>()).prop_map(
        move |(digits, quoted, zeros, there)| {
            let value = match is_decimal {
                true => (digits.parse::<f64>().unwrap() + 0.0).to_string(),
                false => digits.parse::<i64>().unwrap().to_string(),
            };
            let (sign, rest) = digits
                .strip_prefix('-')
                .map_or(("", digits.as_str()), |rest| ("-", rest));
            let padded = format!("{sign}{}{rest}", "0".repeat(zeros));
            let quote = if quoted { "\"" } else { "" };
            let text = match there {
                Some(false) => "null".to_owned(),
                _ => format!("{quote}{padded}{quote}"),
            };
            let value = if there == Some(false) {
                String::new()
            } else {
                value
            };
            Sent {
                key,
                column,
                text,
                value,
            }
        },
    )
}

/// A future's book: a push, and the columns that are not null.
fn derivative_book() -> impl Strategy<Value = (String, Vec<(&'static str, String)>)> {
    let fields = [
        sent("askStep1BstordPrc", "ask_price_01", true).boxed(),
        sent("bidStep5BstordPrc", "bid_price_05", true).boxed(),
        sent("askStep1BstordRqty", "ask_size_01", false).boxed(),
        sent("bidStep3BstordCnt", "bid_orders_03", false).boxed(),
        sent("askTotOrdRqty", "ask_total_size", false).boxed(),
        sent("deemTrdPrc", "expected_price", true).boxed(),
    ];
    (
        fields,
        Just([0, 1, 2, 3, 4, 5]).prop_shuffle(),
        0..=6_usize,
        "[ \n\t]{0,2}",
    )
        .prop_map(|(fields, order, count, blank)| {
            let all: Vec<_> = order[..count]
                .iter()
                .map(|place| fields[*place].clone())
                .collect();
            let members = all
                .iter()
                .map(|sent| format!(",{blank}\"{}\"{blank}:{}{blank}", sent.key, sent.text));
            let params = format!(
                r#"{{"preset":"quote10","isuSrtCd":"101N6000"{}}}"#,
                members.collect::<String>()
            );
            let mut values: Vec<_> = all.into_iter().map(|sent| (sent.column, sent.value)).collect();
            values.retain(|(_, value)| !value.is_empty());
            values.sort_unstable();
            (push(&params), values)
        })
}

proptest! {
    #[test]
    fn every_record_that_was_put_in_comes_out(
        books in prop::collection::vec(derivative_book(), 1..8),
        is_array in any::<bool>(),
        spoilt in any::<Option<prop::sample::Index>>(),
    ) {
        let mut texts: Vec<_> = books.iter().map(|(text, _)| text.clone()).collect();
        let spoilt = spoilt.map(|index| index.index(books.len()));
        if let Some(index) = spoilt {
            texts[index] = texts[index].replace(":{\"preset\"", "{\"preset\"");
        }
        let (head, between, tail) = if is_array { ("[", ",", "]") } else { ("", "", "") };
        let (seen, _) = decode(format!("{head}{}{tail}", texts.join(between)));
        let found: Vec<_> = seen.rows.iter().map(|row| {
            (row.item, row.values.iter().map(|(name, value)| (*name, value.clone())).collect::<Vec<_>>())
        }).collect();
        let expected: Vec<_> = (0_i16..).zip(&books).filter(|(item, _)| spoilt != usize::try_from(*item).ok())
            .map(|(item, (_, values))| (item, values.clone())).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(seen.rejects.len(), usize::from(spoilt.is_some()));
        prop_assert!(seen.rows.iter().all(|row| row.extra.is_none()));
    }

    #[test]
    fn no_bytes_make_it_panic_and_nothing_vanishes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_, facts) = decode(&bytes);
        let is_empty_array = bytes.trim_ascii().starts_with(b"[");
        prop_assert!(facts.rows + facts.rejected + facts.control > 0 || is_empty_array);
    }

    #[test]
    fn noise_between_records_costs_none_of_them(text in "[\\[\\]{},:\"0-9a-z\\\\ ]{0,80}") {
        for message in [text.clone(), format!("{}{text}", tick(1)), push(&text), format!("{{\"id\":2,\"result\":{text}}}")] {
            decode(&message);
        }
        let (seen, _) = decode(format!("{}{text}", tick(1)));
        prop_assert_eq!(prices(&seen).first().copied(), Some((0, 1)));
    }
}

#[test]
fn the_decoder_forgets_what_it_learnt_of_another_order_of_keys() {
    let (mut decoder, book) = (PerIssueDecoder::new(), usual_book());
    let orders = [
        r#"{"preset":"tick","isuSrtCd":"005930","trdPrc":1,"trdvol":2,"trdTm":3}"#,
        r#"{"trdTm":3,"trdvol":2,"trdPrc":1,"isuSrtCd":"005930","preset":"tick"}"#,
        r#"{"trdPrc":1,"preset":"tick","trdTm":3,"isuSrtCd":"005930","trdvol":2}"#,
    ];
    let mut seen = Seen::default();
    for params in orders.iter().cycle().take(20) {
        decoder.decode(push(params).as_bytes(), &book, &mut seen);
    }
    assert_eq!((seen.rows.len(), seen.rejects.len()), (20, 0));
    assert!(
        seen.rows
            .iter()
            .all(|row| row.text() == "preset=tick price=1 trade_time=3 trade_ts=30 volume=2")
    );
}
