//! Tests of the usual push: which messages need no parser, and that they give what the parser gives.

use proptest::prelude::*;

use super::{Output, PerIssueDecoder};
use crate::damage::{damaged, damages};
use crate::per_issue::record::Reader;
use crate::per_issue::seen::{Seen, decode, push, usual_book};

/// Of each preset the guide's own layout.
const PARAMS: [&str; 7] = [
    r#"{"preset":"tick","isuSrtCd":"005930","trdPrc":71500,"trdvol":86,"trdTm":"09450155"}"#,
    r#"{"preset":"tick10","isuSrtCd":"00088K","cmpprevddTpCd":"5","cmpprevddPrc":-500,"opnprc":72000,"hgprc":72100,"lwprc":71400,"trdPrc":71500,"trdvol":86,"accTrdvol":12345678,"accTrdval":9223372036854775,"lstAskbidTpCd":2,"trdTm":9450155,"askordPrc_1":71600,"bidordPrc_1":0}"#,
    r#"{"preset":"quote","isuSrtCd":"005930","accTrdvol":123456789,"askStep1BstordPrc":71600,"bidStep1BstordPrc":null,"askStep1BstordRqty":3,"bidStep1BstordRqty":4}"#,
    r#"{"preset":"quote10","isuSrtCd":"005930","accTrdvol":1,"askStep1BstordPrc":71600,"bidStep1BstordPrc":71500,"askStep1BstordRqty":3,"bidStep1BstordRqty":4,"askStep10BstordPrc":72500,"bidStep10BstordPrc":70600,"askStep10BstordRqty":1234567,"bidStep10BstordRqty":87654321,"askordTotRqty":33683,"bidordTotRqty":26771,"pstoffhrAskTotOrdRqty":0,"pstoffhrBidTotOrdRqty":0,"deemTrdPrc":24450,"deemTrdvol":419822,"deemAccTrdvol":419822}"#,
    r#"{"preset":"tick10","isuSrtCd":"201N6220*006","trdPrc":308.75,"opnprc":352,"hgprc":379.250,"lwprc":-1.5,"trdvol":1,"accTrdval":-3750000,"trdTm":9450155,"fstmmAgndaContrtPrc":-0.0}"#,
    r#"{"preset":"quote10","isuSrtCd":"101N6000","askStep1BstordPrc":308.75,"bidStep1BstordPrc":"308.70","askStep1BstordRqty":3,"bidStep1BstordCnt":4,"askValidOrdCnt":35,"ordAcptTm":9000012,"deemTrdPrc":0}"#,
    r#"{"preset":"index","isuSrtCd":"001","trdTm":"14340400","trdPrc":2456.37,"cmpprevddTpCd":"2","cmpprevddPrc":-0.37,"accTrdvol":1,"accTrdval":2}"#,
];

/// Whether a message needs no parser.
fn is_usual(message: &str) -> bool {
    let (book, mut reader, mut seen) = (usual_book(), Reader::new(), Seen::default());
    Output::new(&book, &mut reader, &mut seen)
        .usual(message.as_bytes())
        .is_some()
}

#[test]
fn the_guides_layouts_need_no_parser() {
    let (book, mut decoder) = (usual_book(), PerIssueDecoder::new());
    for params in PARAMS {
        assert!(is_usual(&push(params)), "{params}");
        decoder.decode(push(params).as_bytes(), &book, &mut Seen::default());
        assert!(decoder.parser.is_unused(), "{params}");
        let (seen, _) = decode(push(params));
        assert_eq!((seen.rows.len(), seen.rejects.len()), (1, 0), "{params}");
    }
}

#[test]
fn whatever_else_a_message_holds_the_parser_decides() {
    let usual = push(PARAMS[0]);
    for (from, to) in [
        // Another form.
        ("{\"jsonrpc\"", "{ \"jsonrpc\""),
        ("}}", "} }"),
        ("}}", "}}\n"),
        ("}}", "}}{}"),
        ("}}", "},\"id\":2}"),
        ("}}", "}"),
        (":71500", ": 71500"),
        ("\"method\":\"push\"", "\"method\":\"heartbeat\""),
        (
            "\"preset\":\"tick\",\"isuSrtCd\":\"005930\"",
            "\"isuSrtCd\":\"005930\",\"preset\":\"tick\"",
        ),
        // Whose record it is.
        ("\"tick\"", "\"tock\""),
        ("005930", "005931"),
        ("005930", "005\\u0039\\u0033\\u0030"),
        ("005930", "삼성전자"),
        ("\"preset\":\"tick\"", "\"preset\":\"change\""),
        // Keys.
        ("trdvol", "trdVoL"),
        ("trdvol", "trd\\u0076ol"),
        ("\"trdvol\":86", "\"trdvol\":86,\"trdVol\":87"),
        ("\"trdvol\":86,", ""),
        ("\"trdvol\":86", "\"trdvol\":86,\"isuSrtCd\":\"005930\""),
        ("\"trdvol\":86", "\"trdvol\":86,\"mkStatTpCd\":1"),
        ("\"trdvol\":86", "\"trdvol\":86,\"lstAskbidTpCd\":0"),
        ("\"trdvol\":86", "\"trdvol\":86,\"lstAskbidTpCd\":\"buy\""),
        // Values.
        (":86", ":086"),
        (":86", ":00"),
        (":86", ":-86"),
        (":86", ":-"),
        (":86", ":86."),
        (":86", ":86.0"),
        (":86", ":86e0"),
        (":86", ":86E1"),
        (":86", ":12345678901234567"),
        (":86", ":123456789012345678901"),
        (":86", ":\"-86\""),
        (":86", ":\"8\\u0036\""),
        (":86", ":\"86원\""),
        (":86", ":\"8\t6\""),
        (":86", ":\"\""),
        (":86", ":\"86"),
        (":86", ":"),
        (":86", ":null"),
        (":86", ":nul"),
        (":86", ":true"),
        (":86", ":{}"),
        (":86", ":[86]"),
        ("09450155", "109450155"),
    ] {
        let message = usual.replacen(from, to, 1);
        assert_ne!(message, usual, "{from}");
        assert!(!is_usual(&message), "{message}");
        decode(&message);
    }
    let index = push(PARAMS[6]);
    for number in [
        "0.1234567890123456",
        "1.",
        ".5",
        "1.5e3",
        "-.5",
        "1.2.3",
        "00.5",
        "12345678901234567.5",
    ] {
        let message = index.replace("2456.37", number);
        assert!(!is_usual(&message), "{message}");
        decode(&message);
    }
}

/// A number or a string of one.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,20}",
        "-?(0|[1-9][0-9]{0,17})",
        "-?[0-9]{1,9}[.][0-9]{0,9}",
        "\"-?[0-9]{1,20}\"",
        "\"[0-9]{1,9}[.][0-9]{1,9}\"",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_damaged_push_gives_what_the_parser_gives(
        params in prop::sample::select(&PARAMS[..]),
        damages in damages(),
    ) {
        // It compares the two.
        decode(damaged(push(params), &damages));
    }

    #[test]
    fn any_number_is_what_it_is_for_the_parser(
        params in prop::sample::select(&PARAMS[..]),
        place in any::<prop::sample::Index>(),
        number in number(),
    ) {
        let message = push(params);
        // Behind the head, so that its record is a registered one's.
        let head = message.find("isuSrtCd").unwrap() + 12;
        let colons: Vec<usize> = message.match_indices("\":").map(|(at, _)| at + 2).filter(|at| *at > head).collect();
        let start = colons[place.index(colons.len())];
        let end = start + message[start..].find([',', '}']).unwrap();
        decode(format!("{}{number}{}", &message[..start], &message[end..]));
    }
}
