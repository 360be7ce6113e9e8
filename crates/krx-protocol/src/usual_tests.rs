//! Tests of the usual message: which messages need no parser, and that they give what the parser gives.

use proptest::prelude::*;

use super::trades;
use crate::batch::tests::{GOOD, decode};
use crate::damage::{damaged, damages};
use crate::record::{PACKED_RECORDS_MAX, Trade};

fn record(code: &str, price: &str, volume: &str, time: &str) -> String {
    format!(r#"{{"isuSrtCd":"{code}","trdPrc":"{price}","trdVol":"{volume}","trdTm":"{time}"}}"#)
}

fn is_usual(message: &str) -> bool {
    trades(message.as_bytes(), &mut [Trade::NONE; PACKED_RECORDS_MAX]).is_some()
}

#[test]
fn the_guides_layout_needs_no_parser() {
    let records = [
        record("000210", "81000", "5", "14340400"),
        record("00088K", "1310000", "86", "09450155"),
        record("J0527101G", "0", "1", "0"),
        record("KR4101S60003", "1234567890123456", "9999999999999999", "99999999"),
        record("7", "00012345678", "12345678", "31000000"),
        record("Q5000611", "00000000", "123456789", "000014340400"),
        record("q5000611a", "1234567", "0000000000000001", "7"),
    ];
    for count in 1..=PACKED_RECORDS_MAX {
        let message: Vec<_> = records.iter().cycle().take(count).cloned().collect();
        let message = format!("[{}]", message.join(","));
        assert!(is_usual(&message), "{message}");
        let (seen, _) = decode(message.as_bytes());
        assert_eq!((seen.trades.len(), seen.rejects.len()), (count, 0), "{message}");
    }
    for (index, record) in records.iter().enumerate() {
        let (seen, _) = decode(format!("[{record}]").as_bytes());
        let (_, code, price, volume, time, extra) = seen.trades[0].clone();
        assert_eq!(extra, None);
        let value = |key: &str| {
            let start = record.find(key).unwrap() + key.len() + 3;
            record[start..].split('"').next().unwrap().to_owned()
        };
        assert_eq!(code, value("isuSrtCd"), "{index}");
        assert_eq!(price, value("trdPrc").parse::<i64>().unwrap());
        assert_eq!(volume, value("trdVol").parse::<i64>().unwrap());
        assert_eq!(time, value("trdTm").parse::<i32>().unwrap());
    }
}

#[test]
fn whatever_else_a_message_holds_the_parser_decides() {
    let usual = format!("[{GOOD},{GOOD}]");
    assert!(is_usual(&usual));
    for (from, to) in [
        // Another form.
        ("[", " ["),
        ("[", "\u{feff}["),
        ("[", "[ "),
        ("]", "]\n"),
        ("]", " ]"),
        ("]", "]]"),
        ("]", "]{}"),
        ("]", ""),
        ("]", ",]"),
        ("},{", "}, {"),
        ("},{", "}{"),
        ("},{", "},,{"),
        ("}]", "]"),
        ("{\"", "{ \""),
        ("\":\"", "\": \""),
        ("\",\"", "\", \""),
        // Keys.
        ("isuSrtCd", "isuSrtCD"),
        ("trdPrc", "trdprc"),
        ("trdVol", "trdvol"),
        ("trdVol", "trd\\u0056ol"),
        ("trdTm", "trdTM"),
        ("\"trdVol\":\"5\",", ""),
        ("\"trdVol\":\"5\",", "\"trdVol\":\"5\",\"trdVol\":\"5\","),
        ("\"trdTm\"", "\"mkt\":\"1\",\"trdTm\""),
        ("\"}", "\",\"mkt\":\"1\"}"),
        (
            "\"trdPrc\":\"81000\",\"trdVol\":\"5\"",
            "\"trdVol\":\"5\",\"trdPrc\":\"81000\"",
        ),
        // Values.
        ("000210", ""),
        ("000210", "KR4101S600031"),
        ("000210", "KR4101S6000312345"),
        ("000210", "00021 "),
        ("000210", "../etc"),
        ("000210", "0002\u{ff11}"),
        ("000210", "삼성전자"),
        ("000210", "00021\u{7f}"),
        ("000210", "00021\0"),
        ("000210", "00\\u00310"),
        ("\"000210\"", "000210"),
        ("\"000210\"", "null"),
        ("\"81000\"", "81000"),
        ("\"81000\"", "null"),
        ("81000", ""),
        ("81000", "-81000"),
        ("81000", "+81000"),
        ("81000", "81000.0"),
        ("81000", "8100O"),
        ("81000", " 81000"),
        ("81000", "81000 "),
        ("81000", "81,000"),
        ("81000", "12345678901234567"),
        ("81000", "9223372036854775808"),
        ("81000", "1234567/"),
        ("81000", "1234567:"),
        ("\"5\"", "5"),
        ("\"5\"", "\"\""),
        ("14340400", ""),
        ("14340400", "143404000"),
        ("14340400", "1434040"),
        ("14340400", "14:34:04"),
        ("\"14340400\"", "14340400"),
    ] {
        for message in [usual.replacen(from, to, 1), {
            let at = usual.rfind(from).unwrap();
            format!("{}{to}{}", &usual[..at], &usual[at + from.len()..])
        }] {
            assert_ne!(message, usual, "{from}");
            assert_eq!(is_usual(&message), to == "1434040", "{message}");
            decode(message.as_bytes());
        }
    }
    for message in [
        "",
        "[",
        "[]",
        "[{",
        "{}",
        &format!("[{}]", vec![GOOD; PACKED_RECORDS_MAX + 1].join(",")),
    ] {
        assert!(!is_usual(message), "{message}");
        decode(message.as_bytes());
    }
}

/// Every byte of a record, changed to every other one.
#[test]
fn any_byte_that_is_another_gives_what_the_parser_gives() {
    let message = format!(
        "[{GOOD},{}]",
        record("KR4101S60003", "1234567890", "86", "9450155")
    );
    for at in 0..message.len() {
        for byte in 0..=u8::MAX {
            let mut damaged = message.clone().into_bytes();
            damaged[at] = byte;
            decode(&damaged);
        }
        let mut damaged = message.clone().into_bytes();
        damaged.remove(at);
        decode(&damaged);
        decode(&message.as_bytes()[..at]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_damaged_message_gives_what_the_parser_gives(
        values in prop::collection::vec(("[0-9A-Za-z]{1,13}", "[0-9]{1,20}", "[0-9]{1,17}", "[0-9]{1,9}"), 1..4),
        damages in damages(),
    ) {
        let records: Vec<_> = values.iter().map(|(code, price, volume, time)| record(code, price, volume, time)).collect();
        // It compares the two.
        decode(&damaged(format!("[{}]", records.join(",")), &damages));
    }
}
