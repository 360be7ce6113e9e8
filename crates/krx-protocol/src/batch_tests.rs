//! Tests of the decoder: every case of docs/protocol.md, and properties over arbitrary bytes.

use proptest::prelude::*;

use super::*;
use crate::record::Trade;

#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub(crate) struct Seen {
    pub(crate) trades: Vec<(i16, String, i64, i64, i32, Option<String>)>,
    pub(crate) rejects: Vec<(Option<i16>, Reason, String, Vec<u8>)>,
}

impl BatchSink for Seen {
    fn trade(&mut self, item: i16, trade: &Trade<'_>) {
        let extra = trade.extra.map(str::to_owned);
        self.trades.push((
            item,
            trade.code.to_string(),
            trade.price,
            trade.volume,
            trade.time.digits(),
            extra,
        ));
    }

    fn reject(&mut self, item: Option<i16>, reason: Reason, detail: &str, raw: &[u8]) {
        self.rejects.push((item, reason, detail.to_owned(), raw.to_vec()));
    }
}

/// Decodes a frame both ways, which must not differ.
pub(crate) fn decode(frame: &[u8]) -> (Seen, Decoded) {
    let (mut seen, mut parsed) = (Seen::default(), Seen::default());
    let decoded = Decoder::new().decode(frame, &mut seen);
    let decoded_by_parser = Decoder::new().decode_by_parser(frame, &mut parsed);
    assert_eq!(
        (&seen, &decoded),
        (&parsed, &decoded_by_parser),
        "{}",
        frame.escape_ascii()
    );
    (seen, decoded)
}

pub(crate) const GOOD: &str = r#"{"isuSrtCd":"000210","trdPrc":"81000","trdVol":"5","trdTm":"14340400"}"#;

fn good(item: i16) -> (i16, String, i64, i64, i32, Option<String>) {
    (item, "000210".to_owned(), 81_000, 5, 14_340_400, None)
}

/// Puts `bad` between two good records: both must come through, and `bad` with this reason and its bytes.
fn assert_refused(bad: &str, reason: Reason) {
    let (seen, decoded) = decode(format!("[{GOOD},{bad},{GOOD}]").as_bytes());
    assert_eq!(seen.trades, [good(0), good(2)], "{bad}");
    assert_eq!(seen.rejects.len(), 1, "{bad}");
    let (item, found, _, raw) = &seen.rejects[0];
    assert_eq!(
        (*item, *found, raw.as_slice()),
        (Some(1), reason, bad.as_bytes()),
        "{bad}"
    );
    assert_eq!(decoded, Decoded::Batch(3));
}

#[test]
fn the_guides_own_sample() {
    let (seen, decoded) = decode(format!("[{GOOD}, {GOOD}]").as_bytes());
    assert_eq!(
        seen,
        Seen {
            trades: vec![good(0), good(1)],
            rejects: vec![]
        }
    );
    assert_eq!(decoded, Decoded::Batch(2));
    assert_eq!(decode(b"[]"), (Seen::default(), Decoded::Batch(0)));
    assert_eq!(decode(b" [ ] "), (Seen::default(), Decoded::Batch(0)));
}

#[test]
fn numbers_strings_and_any_order_of_keys() {
    let frame = br#"[{"trdTm":9450155,"trdvol":86,"trdPrc":1310000,"isuSrtCd":"00088K"},
        {"isuSrtCd":"J0527101G","trdPrc":"0","trdVol":"9223372036854775807","trdTm":"0"},
        {"isuSrtCd":"\u0030\u00300210","trdPrc":1,"trdVol":1,"trdTm":"31000000"}]"#;
    let (seen, _) = decode(frame);
    assert_eq!(seen.rejects, []);
    assert_eq!(
        seen.trades,
        [
            (0, "00088K".to_owned(), 1_310_000, 86, 9_450_155, None),
            (1, "J0527101G".to_owned(), 0, i64::MAX, 0, None),
            (2, "000210".to_owned(), 1, 1, 31_000_000, None),
        ]
    );
}

/// One of the guide's samples has such a time. JSON knows no leading zeros, and simd-json refuses the whole message.
#[test]
fn leading_zeros_of_numbers_are_passed_over_wherever_they_stand() {
    let record = |price: &str, volume: &str, time: &str| {
        format!(r#"{{"isuSrtCd":"005930","trdPrc":{price},"trdvol":{volume},"trdTm" : {time}}}"#)
    };
    for (bad, values) in [
        (record("1310000", "86", "09450155"), (1_310_000, 86, 9_450_155)),
        (record("01310000", "86", "9450155"), (1_310_000, 86, 9_450_155)),
        (record("1310000", "0086", "9450155"), (1_310_000, 86, 9_450_155)),
        (record("000", "00", "0000"), (0, 0, 0)),
        (
            record("00000000000000000000000007", "086", "09450155"),
            (7, 86, 9_450_155),
        ),
        // As text they were always allowed.
        (
            record("\"01310000\"", "\"0086\"", "\"09450155\""),
            (1_310_000, 86, 9_450_155),
        ),
    ] {
        let (seen, _) = decode(format!("[{GOOD},{bad},{GOOD}]").as_bytes());
        assert_eq!(seen.rejects, [], "{bad}");
        assert_eq!((&seen.trades[0], &seen.trades[2]), (&good(0), &good(2)), "{bad}");
        let trade = &seen.trades[1];
        assert_eq!((trade.2, trade.3, trade.4), values, "{bad}");
    }
    // What is rejected is rejected for its real fault, with its bytes as received.
    for (bad, reason) in [
        (record("-007", "1", "0"), Reason::Sign),
        (record("007.5", "1", "0"), Reason::Fraction),
        (record("007e01", "1", "0"), Reason::Fraction),
        (record("007x", "1", "0"), Reason::MalformedJson),
        (record("0x7", "1", "0"), Reason::MalformedJson),
        (record("0099999999999999999999", "1", "0"), Reason::Overflow),
        (record("1", "1", "0143404000"), Reason::BadTime),
        (
            r#"{"isuSrtCd":005930,"trdPrc":1,"trdVol":1,"trdTm":0}"#.to_owned(),
            Reason::WrongType,
        ),
        ("007".to_owned(), Reason::NotAnObject),
        ("[007]".to_owned(), Reason::NotAnObject),
    ] {
        assert_refused(&bad, reason);
    }
    // Also in members that the guide does not name. Text is unchanged, and so are exponents and fractions.
    let frame = r#"[{"isuSrtCd":"000210","trdPrc":"81000","trdVol":"5","trdTm":014340400,"a":[00,-01, 0.05],"b":"x:007, 08","c":1e-05,"d":[{"e":1},{"e":02}]}]"#;
    let (seen, _) = decode(frame.as_bytes());
    assert_eq!(seen.rejects, []);
    let extra = r#"{"a":[0,-1, 0.05],"b":"x:007, 08","c":1e-05,"d":[{"e":1},{"e":2}]}"#;
    assert_eq!(seen.trades[0].5.as_deref(), Some(extra));
}

#[test]
fn unknown_keys_are_kept_as_sent() {
    let frame = r#"[{"isuSrtCd":"000210","mkt":"장후","trdPrc":"81000","trdVol":"5","n": {"a":[1, 2],"b":"},{"} ,"trdTm":"14340400","big":18446744073709551615}]"#;
    let (seen, _) = decode(frame.as_bytes());
    assert_eq!(seen.rejects, []);
    let extra = r#"{"mkt":"장후","n": {"a":[1, 2],"b":"},{"},"big":18446744073709551615}"#;
    assert_eq!(seen.trades[0].5.as_deref(), Some(extra));
    assert_eq!((seen.trades[0].2, seen.trades[0].4), (81_000, 14_340_400));
}

#[test]
fn one_bad_record_never_costs_its_neighbours() {
    let cases = [
        (
            r#"{"isuSrtCd":"000210","trdPrc":"81000","trdVol":"5"}"#,
            Reason::MissingKey,
        ),
        (
            r#"{"isuSrtCd":"1","isuSrtCd":"2","trdPrc":"8","trdVol":"5","trdTm":"0"}"#,
            Reason::DuplicateKey,
        ),
        (
            r#"{"isuSrtCd":"1","trdvol":"2","trdPrc":"8","trdVol":"5","trdTm":"0"}"#,
            Reason::DuplicateKey,
        ),
        (
            r#"{"isuSrtCd":null,"trdPrc":"8","trdVol":"5","trdTm":"0"}"#,
            Reason::NullValue,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":null,"trdVol":"5","trdTm":"0"}"#,
            Reason::NullValue,
        ),
        (
            r#"{"isuSrtCd":5930,"trdPrc":"8","trdVol":"5","trdTm":"0"}"#,
            Reason::WrongType,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":{"a":[1]},"trdVol":"5","trdTm":"0"}"#,
            Reason::WrongType,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":true,"trdVol":"5","trdTm":"0"}"#,
            Reason::WrongType,
        ),
        (
            r#"{"isuSrtCd":"../../etc/passwd","trdPrc":"8","trdVol":"5","trdTm":"0"}"#,
            Reason::BadCode,
        ),
        (
            r#"{"isuSrtCd":"","trdPrc":"8","trdVol":"5","trdTm":"0"}"#,
            Reason::BadCode,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":"","trdVol":"5","trdTm":"0"}"#,
            Reason::NotAnInteger,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":"8.5","trdVol":"5","trdTm":"0"}"#,
            Reason::Fraction,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":8.5,"trdVol":"5","trdTm":"0"}"#,
            Reason::Fraction,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":-8,"trdVol":"5","trdTm":"0"}"#,
            Reason::Sign,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":-0,"trdVol":"5","trdTm":"0"}"#,
            Reason::Sign,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":"+8","trdVol":"5","trdTm":"0"}"#,
            Reason::Sign,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":18446744073709551615,"trdVol":"5","trdTm":"0"}"#,
            Reason::Overflow,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":99999999999999999999,"trdVol":"5","trdTm":"0"}"#,
            Reason::Overflow,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":"99999999999999999999","trdVol":"5","trdTm":"0"}"#,
            Reason::Overflow,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":1e400,"trdVol":"5","trdTm":"0"}"#,
            Reason::MalformedJson,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":NaN,"trdVol":"5","trdTm":"0"}"#,
            Reason::MalformedJson,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":"8","trdVol":"5","trdTm":"143404000"}"#,
            Reason::BadTime,
        ),
        (
            r#"{"isuSrtCd":"\ud800","trdPrc":"8","trdVol":"5","trdTm":"0"}"#,
            Reason::MalformedJson,
        ),
        // A missing colon, quote, brace, and one brace too many.
        (
            r#"{"isuSrtCd""1","trdPrc":"8","trdVol":"5","trdTm":"0"}"#,
            Reason::MalformedJson,
        ),
        (
            r#"{"isuSrtCd":"1,"trdPrc":"8","trdVol":"5","trdTm":"0"}"#,
            Reason::MalformedJson,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":"8","trdVol":"5","trdTm":"0""#,
            Reason::MalformedJson,
        ),
        (
            r#"{"isuSrtCd":"1","trdPrc":"8","trdVol":"5","trdTm":"0"}}"#,
            Reason::MalformedJson,
        ),
        ("5", Reason::NotAnObject),
        ("null", Reason::NotAnObject),
        ("[1,2]", Reason::NotAnObject),
        ("", Reason::MalformedJson),
        ("\0", Reason::MalformedJson),
    ];
    for (bad, reason) in cases {
        assert_refused(bad, reason);
    }
    let long = "A".repeat(10_000);
    assert_refused(
        &format!(r#"{{"isuSrtCd":"{long}","trdPrc":1,"trdVol":1,"trdTm":0}}"#),
        Reason::BadCode,
    );
}

#[test]
fn whatever_bytes_a_record_has_its_neighbours_stand() {
    let (seen, _) = decode(
        &[
            b"[",
            GOOD.as_bytes(),
            b",{\"isuSrtCd\":\"\xff\xfe\"},",
            GOOD.as_bytes(),
            b"]",
        ]
        .concat(),
    );
    assert_eq!(seen.trades, [good(0), good(2)]);
    assert_eq!(seen.rejects[0].1, Reason::MalformedJson);
}

#[test]
fn a_message_cut_short_keeps_what_came_before() {
    let (seen, _) = decode(format!("[{GOOD},{}", &GOOD[..30]).as_bytes());
    assert_eq!(seen.trades, [good(0)]);
    assert_eq!(
        seen.rejects,
        [(
            Some(1),
            Reason::Truncated,
            String::new(),
            GOOD.as_bytes()[..30].to_vec()
        )]
    );
    let (seen, _) = decode(b"[");
    assert_eq!(
        seen.rejects,
        [(None, Reason::Truncated, String::new(), b"[".to_vec())]
    );
}

/// Every prefix of a message keeps its whole records, and has one row that says that it was cut off, also when all that is
/// missing is the bracket at the end.
#[test]
fn a_message_cut_short_anywhere_says_so_once() {
    let bad = r#"{"isuSrtCd":"1","trdPrc":null,"trdVol":"5","trdTm":"0"}"#;
    for elements in [&[GOOD, GOOD, GOOD][..], &[GOOD, bad]] {
        let text = format!("[{}]", elements.join(", "));
        for length in 1..text.len() {
            let (seen, _) = decode(&text.as_bytes()[..length]);
            let ends = elements.iter().scan(1, |end, element| {
                *end += element.len() + 2;
                Some(*end - 2)
            });
            let whole = ends.filter(|end| *end <= length).count();
            let whole_good = elements[..whole]
                .iter()
                .filter(|element| **element == GOOD)
                .count();
            assert_eq!(seen.trades.len(), whole_good, "{}", &text[..length]);
            let cut: Vec<_> = seen
                .rejects
                .iter()
                .filter(|reject| reject.1 == Reason::Truncated)
                .collect();
            assert_eq!(cut.len(), 1, "{}: {:?}", &text[..length], seen.rejects);
            assert_eq!(
                seen.rejects.len(),
                1 + whole - whole_good,
                "{}: {:?}",
                &text[..length],
                seen.rejects
            );
        }
    }
    let (seen, decoded) = decode(format!("[{GOOD},{GOOD}").as_bytes());
    assert_eq!(seen.trades, [good(0), good(1)]);
    assert_eq!(
        seen.rejects,
        [(None, Reason::Truncated, String::new(), Vec::new())]
    );
    assert_eq!(decoded, Decoded::Batch(2));
}

#[test]
fn bytes_around_the_array() {
    let (seen, _) = decode(format!("[{GOOD}]garbage").as_bytes());
    assert_eq!(seen.trades, [good(0)]);
    assert_eq!(
        seen.rejects,
        [(None, Reason::TrailingBytes, String::new(), b"garbage".to_vec())]
    );
    let (seen, _) = decode(format!("\u{feff}[{GOOD}]").as_bytes());
    assert_eq!(
        seen,
        Seen {
            trades: vec![good(0)],
            rejects: vec![]
        }
    );
    let (seen, _) = decode(format!("[{GOOD},]").as_bytes());
    assert_eq!(seen.trades, [good(0)]);
    assert_eq!(
        seen.rejects,
        [(Some(1), Reason::MalformedJson, String::new(), vec![])]
    );
}

#[test]
fn messages_that_are_no_array() {
    let reason = |frame: &[u8]| decode(frame).0.rejects.first().map(|reject| reject.1);
    assert_eq!(reason(b""), Some(Reason::EmptyMessage));
    assert_eq!(reason(b" \n"), Some(Reason::EmptyMessage));
    assert_eq!(reason(b"null"), Some(Reason::UnknownMessage));
    assert_eq!(reason(b"not json"), Some(Reason::MalformedJson));
    assert_eq!(reason(b"{"), Some(Reason::MalformedJson));
    assert_eq!(reason(b"{\"a\":1}"), Some(Reason::UnknownMessage));
    assert_eq!(reason(br#"{"method":"push","params":{}}"#), Some(Reason::Push));
    assert_eq!(
        reason(br#"{"error":{"code":47,"message":"x"}}"#),
        Some(Reason::ServerError)
    );
    assert_eq!(reason(br#"{"result":{"message":"ok"}}"#), None);
    assert_eq!(
        decode(br#"{"method":"heartbeat"}"#),
        (Seen::default(), Decoded::Control(Control::Heartbeat))
    );
}

#[test]
fn depth_and_number_of_records_are_bounded() {
    let (seen, _) = decode(&b"[".repeat(100_000));
    assert_eq!(seen.trades, []);
    assert!(!seen.rejects.is_empty());
    let many = vec!["1"; MAX_ITEMS + 3].join(",");
    let (seen, decoded) = decode(format!("[{many}]").as_bytes());
    assert_eq!(decoded, Decoded::Batch(MAX_ITEMS + 3));
    assert_eq!(seen.rejects.len(), MAX_ITEMS + 1);
    assert_eq!(
        seen.rejects[MAX_ITEMS],
        (None, Reason::TooManyRecords, String::new(), b"1,1,1]".to_vec())
    );
    let (seen, _) = decode(format!("[{many},x]").as_bytes());
    assert_eq!(seen.rejects.len(), MAX_ITEMS + 1);
    assert_eq!(
        seen.rejects[MAX_ITEMS],
        (None, Reason::TooManyRecords, String::new(), b"1,1,1,x]".to_vec())
    );
    let fifty_one = vec![GOOD; 51].join(",");
    assert_eq!(decode(format!("[{fifty_one}]").as_bytes()).0.trades.len(), 51);
}

/// Documents and readers rely on this number: `item` goes up to 32,766.
#[test]
fn the_first_32767_elements_are_decoded_one_by_one() {
    let one_behind = format!("{GOOD}]");
    // This many good records, what follows them, and the part of it that is rejected in one piece.
    for (records, end, piece) in [
        (32_766, "]", None),
        (32_767, "]", None),
        (32_768, "]", Some(one_behind.as_str())),
        // A message that is not JSON as a whole takes another path.
        (32_765, ",x]", None),
        (32_766, ",x]", None),
        (32_767, ",x]", Some("x]")),
    ] {
        let frame = format!("[{}{end}", vec![GOOD; records].join(","));
        let (seen, _) = decode(frame.as_bytes());
        let whole = seen.trades.len();
        assert_eq!(whole, records.min(32_767), "{records}{end}");
        assert_eq!(
            seen.trades.last().map(|trade| usize::try_from(trade.0).unwrap()),
            Some(whole - 1)
        );
        let pieces: Vec<_> = seen.rejects.iter().filter(|reject| reject.0.is_none()).collect();
        let expected = piece.map(|raw| {
            (
                None,
                Reason::TooManyRecords,
                String::new(),
                raw.as_bytes().to_vec(),
            )
        });
        assert_eq!(pieces, expected.iter().collect::<Vec<_>>(), "{records}{end}");
    }
}

/// What a record should decode to, in its own representation: the oracle of the property test.
#[derive(Clone, Debug)]
struct Sent {
    code: String,
    price: i64,
    volume: i64,
    time: i32,
    text: String,
}

prop_compose! {
    fn sent()(code in "[0-9A-Z]{1,12}", price in 0..=i64::MAX, volume in 0..10_000_000_i64, time in 0..=99_999_999_i32,
              quoted in prop::array::uniform3(any::<bool>()), order in Just([0_usize, 1, 2, 3]).prop_shuffle(),
              blank in "[ \n\t]{0,2}") -> Sent {
        let value = |quoted: bool, number: String| if quoted { format!("\"{number}\"") } else { number };
        let members = [
            format!("\"isuSrtCd\":{blank}\"{code}\""),
            format!("\"trdPrc\"{blank}:{}", value(quoted[0], price.to_string())),
            format!("\"trdVol\":{}", value(quoted[1], volume.to_string())),
            format!("\"trdTm\":{}", value(quoted[2], format!("{}{time}", if quoted[2] { "0" } else { "" }))),
        ];
        let text = format!("{{{}}}", order.map(|index| members[index].clone()).join(&format!(",{blank}")));
        Sent { code, price, volume, time, text }
    }
}

proptest! {
    #[test]
    fn any_record_in_any_form_comes_back(records in prop::collection::vec(sent(), 0..60), spoilt in any::<Option<prop::sample::Index>>()) {
        let mut texts: Vec<_> = records.iter().map(|record| record.text.clone()).collect();
        let spoilt = spoilt.filter(|_| !records.is_empty()).map(|index| index.index(records.len()));
        if let Some(index) = spoilt {
            let half = texts[index].len() / 2;
            texts[index].truncate(half);
        }
        let (seen, decoded) = decode(format!("[{}]", texts.join(",")).as_bytes());
        prop_assert_eq!(decoded, Decoded::Batch(records.len()));
        let expected: Vec<_> = records.iter().enumerate().filter(|(index, _)| Some(*index) != spoilt).map(|(index, record)| {
            (i16::try_from(index).unwrap(), record.code.clone(), record.price, record.volume, record.time, None)
        }).collect();
        prop_assert_eq!(seen.trades, expected);
        prop_assert_eq!(seen.rejects.len(), usize::from(spoilt.is_some()));
    }

    #[test]
    fn no_bytes_make_it_panic_and_nothing_vanishes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (seen, decoded) = decode(&bytes);
        if !matches!(decoded, Decoded::Batch(0) | Decoded::Control(_)) {
            prop_assert!(seen.trades.len() + seen.rejects.len() > 0);
        }
    }

    #[test]
    fn json_like_noise_neither(text in "[\\[\\]{},:\"0-9a-z\\\\ ]{0,80}") {
        for frame in [text.clone(), format!("[{GOOD},{text},{GOOD}]")] {
            let mut decoder = Decoder::new();
            let (mut first, mut second) = (Seen::default(), Seen::default());
            decoder.decode(frame.as_bytes(), &mut first);
            decoder.decode(frame.as_bytes(), &mut second);
            prop_assert_eq!(first, second, "buffers carry nothing over");
        }
    }
}
