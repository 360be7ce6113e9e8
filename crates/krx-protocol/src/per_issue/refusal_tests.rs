//! Tests of the decoder: control, what is quarantined, and what is kept as `extra`.

use super::{Facts, PerIssueDecoder};
use crate::per_issue::seen::{Seen, decode, push, row, usual_book};
use crate::reason::Reason;

#[test]
fn control_leaves_no_row_and_an_error_without_a_registration_is_kept() {
    for (message, reason) in [
        (r#"{"jsonrpc":"2.0","id":1,"result":{"message":"ok"}}"#, None),
        (r#"{"jsonrpc":"2.0","id":3,"result":{"message":"ok"}}"#, None),
        (r#"{"id":1,"result":{"session":"x"}}"#, None),
        (r#"{"id":1,"result":{}}"#, None),
        (r#"{"id":1,"result":"ok"}"#, None),
        (r#"{"jsonrpc":"2.0","id":1,"method":"heartbeat"}"#, None),
        (
            r#"{"jsonrpc":"2.0","id":3,"error":{"message":"종목 없음","code":10040}}"#,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"3","error":{"message":"종목 없음","code":10040}}"#,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","error":{"message":"종목 없음","code":10040}}"#,
            Some((Reason::ServerError, "10040: no such issue")),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"error":{"message":"x","code":13001}}"#,
            Some((Reason::ServerError, "13001: customer data do not match")),
        ),
        (
            r#"{"jsonrpc":"2.0","id":99,"error":5}"#,
            Some((Reason::ServerError, "0: a code that the guide does not have")),
        ),
        (r#"{"hello":1}"#, Some((Reason::UnknownMessage, ""))),
        (r#"{"id":1,"result":null}"#, Some((Reason::UnknownMessage, ""))),
        (
            r#"{"id":1,"result":[{"isuSrtCd":"005930"}]}"#,
            Some((Reason::UnknownMessage, "")),
        ),
        (
            r#"{"method":"subscribe","params":{}}"#,
            Some((Reason::UnknownMessage, "")),
        ),
        ("{}", Some((Reason::UnknownMessage, ""))),
        ("null", Some((Reason::UnknownMessage, ""))),
        ("\"a{b\"", Some((Reason::UnknownMessage, ""))),
        ("not json", Some((Reason::MalformedJson, ""))),
        ("{", Some((Reason::Truncated, ""))),
        ("}", Some((Reason::MalformedJson, ""))),
        (",\n,", Some((Reason::MalformedJson, ""))),
        ("", Some((Reason::EmptyMessage, ""))),
        (" \n", Some((Reason::EmptyMessage, ""))),
        ("\u{feff}{\"a\":1} ", Some((Reason::UnknownMessage, ""))),
    ] {
        let (seen, facts) = decode(message);
        assert_eq!(seen.rows, [], "{message}");
        let expected =
            reason.map(|(reason, detail)| (None, reason, detail.to_owned(), message.as_bytes().to_vec()));
        assert_eq!(
            seen.rejects,
            expected.into_iter().collect::<Vec<_>>(),
            "{message}"
        );
        assert_eq!(facts.control, usize::from(reason.is_none()), "{message}");
    }
    assert_eq!(decode("[]"), (Seen::default(), Facts::default()));
}

#[test]
fn what_cannot_be_represented_is_kept_with_its_reason() {
    let tick = |change: &str| {
        format!(
            r#"{{"preset":"tick10","isuSrtCd":"005930","trdPrc":71500,"trdvol":86,"trdTm":9450155{change}}}"#
        )
    };
    let without = |key: &str, new: &str| tick("").replace(key, new);
    for (params, reason, detail) in [
        (without(r#""trdPrc":71500,"#, ""), Reason::MissingKey, "trdPrc"),
        (without(r#""trdvol":86,"#, ""), Reason::MissingKey, "trdvol"),
        (without(r#","trdTm":9450155"#, ""), Reason::MissingKey, "trdTm"),
        (
            without(r#""isuSrtCd":"005930","#, ""),
            Reason::MissingKey,
            "isuSrtCd",
        ),
        (without("71500", "null"), Reason::NullValue, "trdPrc"),
        (
            without(r#""trdvol":86"#, r#""trdVol":null"#),
            Reason::NullValue,
            "trdVol",
        ),
        (without("\"005930\"", "null"), Reason::NullValue, "isuSrtCd"),
        (without("\"005930\"", "5930"), Reason::WrongType, "isuSrtCd"),
        (without("\"tick10\"", "10"), Reason::WrongType, "preset"),
        (
            without("\"tick10\"", "\"tick5\""),
            Reason::NotRegistered,
            "preset",
        ),
        (without("005930", "000660"), Reason::NotRegistered, "tick10"),
        (
            without("005930", "../../etc/passwd"),
            Reason::NotRegistered,
            "tick10",
        ),
        (without("tick10", "index"), Reason::NotRegistered, "index"),
        (
            without(r#""preset":"tick10","#, "").replace("005930", "00088K"),
            Reason::NotRegistered,
            "change",
        ),
        (without("71500", "-71500"), Reason::Sign, "trdPrc"),
        (without("86", "-0"), Reason::Sign, "trdvol"),
        (without("71500", "71500.0"), Reason::Fraction, "trdPrc"),
        (without("71500", "\"\""), Reason::NotAnInteger, "trdPrc"),
        (without("71500", "[1]"), Reason::WrongType, "trdPrc"),
        (
            without("71500", "18446744073709551615"),
            Reason::Overflow,
            "trdPrc",
        ),
        (without("9450155", "143404000"), Reason::BadTime, "trdTm"),
        (tick(r#","cmpprevddPrc":1.5"#), Reason::Fraction, "cmpprevddPrc"),
        // One column, two values.
        (tick(r#","trdVol":87"#), Reason::DuplicateKey, "trdVol"),
        (tick(r#","trdPrc":1"#), Reason::DuplicateKey, "trdPrc"),
        (tick(r#","isuSrtCd":"00088K""#), Reason::DuplicateKey, "isuSrtCd"),
        (tick(r#","preset":"tick""#), Reason::DuplicateKey, "preset"),
        (
            tick(r#","lstAskbidTpCd":1,"lstTrdTpCd":2"#),
            Reason::DuplicateKey,
            "lstTrdTpCd",
        ),
        (
            r#"{"preset":"index","isuSrtCd":"001","trdTm":0,"trdPrc":1234567890.123456}"#.to_owned(),
            Reason::Overflow,
            "trdPrc",
        ),
        (
            r#"{"preset":"index","isuSrtCd":"001","trdTm":0,"trdPrc":1234567890123456}"#.to_owned(),
            Reason::Overflow,
            "trdPrc",
        ),
        (
            r#"{"preset":"index","isuSrtCd":"001","trdTm":0,"trdPrc":"1,234.5"}"#.to_owned(),
            Reason::NotANumber,
            "trdPrc",
        ),
        (
            r#"{"preset":"index","isuSrtCd":"001","trdTm":0,"trdPrc":false}"#.to_owned(),
            Reason::WrongType,
            "trdPrc",
        ),
        (
            r#"{"preset":"index","isuSrtCd":"001","trdPrc":1}"#.to_owned(),
            Reason::MissingKey,
            "trdTm",
        ),
        (
            r#"{"preset":"quote10","isuSrtCd":"101N6000","ordAcptTm":123456789}"#.to_owned(),
            Reason::BadTime,
            "ordAcptTm",
        ),
    ] {
        let message = push(&params);
        let (seen, _) = decode(&message);
        assert_eq!(seen.rows, [], "{params}");
        assert_eq!(
            seen.rejects,
            [(Some(0), reason, detail.to_owned(), message.clone().into_bytes())],
            "{params}"
        );
    }
    for (message, reason, detail) in [
        (r#"{"method":"push"}"#, Reason::MissingKey, "params"),
        (r#"{"method":"push","params":[]}"#, Reason::NotAnObject, "params"),
        (
            r#"{"method":"push","params":{},"params":{}}"#,
            Reason::DuplicateKey,
            "params",
        ),
        (
            r#"{"id":5,"result":{"trdPrc":1}}"#,
            Reason::MissingKey,
            "isuSrtCd",
        ),
    ] {
        let (seen, _) = decode(message);
        assert_eq!(
            seen.rejects,
            [(Some(0), reason, detail.to_owned(), message.as_bytes().to_vec())],
            "{message}"
        );
    }
}

#[test]
fn what_the_columns_do_not_hold_is_extra() {
    let ticks = "preset=tick10 price=71500 trade_time=9450155 trade_ts=35101550 volume=86";
    let tick = |more: &str| {
        row(&format!(
            r#"{{"preset":"tick10","isuSrtCd":"005930","trdPrc":71500,"trdvol":86,"trdTm":9450155{more}}}"#
        ))
    };
    for (more, extra) in [
        // The same value twice is one.
        (
            r#","trdVol":86,"trdPrc":"71500","preset":"tick10","isuSrtCd":"005930","trdvol":null"#,
            None,
        ),
        (r#","lstAskbidTpCd":0"#, Some(r#"{"lstAskbidTpCd":0}"#)),
        (
            r#","lstTrdTpCd": "0" ,"cmpprevddTpCd":{"a":[]}"#,
            Some(r#"{"lstTrdTpCd": "0","cmpprevddTpCd":{"a":[]}}"#),
        ),
        (r#","cmpprevddTpCd":"10""#, Some(r#"{"cmpprevddTpCd":"10"}"#)),
        (
            r#","a":1.50,"b":"},{","a":null,"c":007"#,
            Some(r#"{"a":1.50,"b":"},{","a":null,"c":7}"#),
        ),
    ] {
        assert_eq!(
            tick(more),
            ("ticks", "trade", ticks.to_owned(), extra.map(str::to_owned)),
            "{more}"
        );
    }
    // What one key leaves unexplained another one may say.
    let (_, _, values, extra) = tick(r#","lstAskbidTpCd":0,"lstTrdTpCd":2"#);
    assert!(values.contains("side=buy"), "{values}");
    assert_eq!(extra.as_deref(), Some(r#"{"lstAskbidTpCd":0}"#));
    // Members beside the params.
    let message = r#"{"seq":7,"jsonrpc":"2.0","method":"push","params":{"preset":"index","isuSrtCd":"001","trdTm":1,"trdPrc":1.5,"x":2},"y":{"z":1}}"#;
    let (seen, _) = decode(message);
    assert_eq!(
        seen.rows[0].extra.as_deref(),
        Some(r#"{"x":2,"seq":7,"y":{"z":1}}"#)
    );
    assert_eq!(seen.rows[0].text(), "trade_time=1 trade_ts=10 value=1.5");
}

#[test]
fn a_cancelled_sessions_registrations_count_no_more() {
    let mut book = usual_book();
    book.clear();
    let mut seen = Seen::default();
    let message = push(r#"{"preset":"tick","isuSrtCd":"005930","trdPrc":1,"trdvol":1,"trdTm":0}"#);
    PerIssueDecoder::new().decode(message.as_bytes(), &book, &mut seen);
    assert_eq!(seen.reasons(), [Reason::NotRegistered]);
}
