//! Tests of the decoder: each preset's form, and snapshots.

use crate::per_issue::seen::{decode, push, row};
use crate::reason::Reason;

const LEVELS: [(&str, &str); 4] = [("ask", "Prc"), ("ask", "Rqty"), ("bid", "Prc"), ("bid", "Rqty")];

/// A stock's book: the params and the columns.
fn book_of(levels: usize) -> (String, String) {
    let (mut params, mut columns) = (
        String::from(r#"{"preset":"quote10","isuSrtCd":"005930","accTrdvol":12345"#),
        vec!["acc_volume=12345".to_owned()],
    );
    for level in 1..=levels {
        for (place, (side, what)) in LEVELS.into_iter().enumerate() {
            let value = 1000 * level + place;
            params += &format!(r#","{side}Step{level}Bstord{what}":{value}"#);
            if level <= 10 {
                let column = if what == "Prc" { "price" } else { "size" };
                columns.push(format!("{side}_{column}_{level:02}={value}"));
            }
        }
    }
    params += r#","askordTotRqty":7,"bidordTotRqty":8,"pstoffhrAskTotOrdRqty":0,"pstoffhrBidTotOrdRqty":9,"deemTrdPrc":71500,"deemTrdvol":10,"deemAccTrdvol":11}"#;
    columns.extend(
        [
            "ask_total_size=7",
            "bid_total_size=8",
            "after_hours_ask_total_size=0",
            "after_hours_bid_total_size=9",
            "expected_price=71500",
            "expected_volume=10",
            "expected_acc_volume=11",
        ]
        .map(str::to_owned),
    );
    columns.sort_unstable();
    (params, columns.join(" "))
}

#[test]
fn each_preset_of_stocks_fills_its_dataset() {
    let time = "trade_time=9450155 trade_ts=35101550";
    for (params, table, kind, values) in [
        (
            r#"{"preset":"tick","isuSrtCd":"005930","trdPrc":71500,"trdvol":86,"trdTm":"09450155"}"#,
            "ticks",
            "trade",
            format!("preset=tick price=71500 {time} volume=86"),
        ),
        (
            r#"{"trdTm":9450155,"accTrdvol":"1000","accTrdval":71500000,"trdVol":"86","trdPrc":"71500","isuSrtCd":"005930","preset":"tick"}"#,
            "ticks",
            "trade",
            format!("acc_value=71500000 acc_volume=1000 preset=tick price=71500 {time} volume=86"),
        ),
        (
            r#"{"preset":"tick10","isuSrtCd":"005930","cmpprevddTpCd":"5","cmpprevddPrc":-500,"opnprc":72000,"hgprc":72100,"lwprc":71400,"trdPrc":71500,"trdvol":86,"accTrdvol":1000,"accTrdval":9223372036854775807,"lstAskbidTpCd":2,"trdTm":31000000,"askordPrc_1":71600,"bidordPrc_1":71500}"#,
            "ticks",
            "regular_close",
            "acc_value=9223372036854775807 acc_volume=1000 ask_price=71600 bid_price=71500 change=-500 change_kind=down high=72100 low=71400 open=72000 preset=tick10 price=71500 side=buy trade_time=31000000 volume=86".to_owned(),
        ),
        (
            r#"{"preset":"tick10","isuSrtCd":"00088K","trdPrc":0,"trdvol":0,"trdTm":0,"opnprc":null,"cmpprevddTpCd":null}"#,
            "ticks",
            "before_first_trade",
            "preset=tick10 price=0 trade_time=0 volume=0".to_owned(),
        ),
        (
            r#"{"preset":"quote","isuSrtCd":"005930","accTrdvol":12,"askStep1BstordPrc":71600,"bidStep1BstordPrc":71500,"askStep1BstordRqty":3,"bidStep1BstordRqty":4}"#,
            "quotes",
            "update",
            "acc_volume=12 ask_price=71600 ask_size=3 bid_price=71500 bid_size=4".to_owned(),
        ),
        (
            r#"{"preset":"quote","isuSrtCd":"005930","askStep1BstordPrc":null,"bidStep1BstordPrc":0}"#,
            "quotes",
            "update",
            "bid_price=0".to_owned(),
        ),
    ] {
        assert_eq!(row(params), (table, kind, values, None), "{params}");
    }
    let (params, values) = book_of(10);
    assert_eq!(row(&params), ("books", "update", values, None));
    let (params, values) = book_of(3);
    assert_eq!(row(&params), ("books", "update", values, None));
}

#[test]
fn an_eleventh_level_is_kept_as_extra() {
    let (params, values) = book_of(11);
    let extra = r#"{"askStep11BstordPrc":11000,"askStep11BstordRqty":11001,"bidStep11BstordPrc":11002,"bidStep11BstordRqty":11003}"#;
    assert_eq!(row(&params), ("books", "update", values, Some(extra.to_owned())));
}

#[test]
fn each_preset_of_derivatives_and_indices_fills_its_dataset() {
    let mut book = (
        r#"{"preset":"quote10","isuSrtCd":"101N6000""#.to_owned(),
        Vec::new(),
    );
    for level in 1..=5 {
        for side in ["ask", "bid"] {
            book.0 += &format!(
                r#","{side}Step{level}BstordPrc":-{level}.05,"{side}Step{level}BstordRqty":{level},"{side}Step{level}BstordCnt":"{level}""#
            );
            book.1.extend([
                format!("{side}_price_{level:02}=-{level}.05"),
                format!("{side}_size_{level:02}={level}"),
                format!("{side}_orders_{level:02}={level}"),
            ]);
        }
    }
    book.0 += r#","askTotOrdRqty":1,"bidTotOrdRqty":2,"askValidOrdCnt":3,"bidValidOrdCnt":4,"ordAcptTm":9000012,"deemTrdPrc":0}"#;
    book.1.extend(
        [
            "ask_total_size=1",
            "bid_total_size=2",
            "ask_total_orders=3",
            "bid_total_orders=4",
            "order_time=9000012",
            "order_ts=32400120",
            "expected_price=0",
        ]
        .map(str::to_owned),
    );
    book.1.sort_unstable();
    for (params, table, kind, values, extra) in [
        (
            r#"{"preset":"tick","isuSrtCd":"101N6000","trdPrc":308.75,"trdvol":1,"trdTm":14340400}"#,
            "derivative_ticks",
            "trade",
            "preset=tick price=308.75 trade_time=14340400 trade_ts=52444000 volume=1",
            None,
        ),
        (
            r#"{"preset":"tick10","isuSrtCd":"201N6220*006","isuCd":"KR4201N62206","trdPrc":"0.01","opnprc":352,"hgprc":379.250,"lwprc":-1.5,"trdvol":1,"accTrdvol":10,"accTrdval":-3750000,"negoBlkAccTrdvol":5,"lstTrdTpCd":1,"trdTm":"0","realtmUplmtprc":400.5,"realtmLwlmtprc":200,"fstmmAgndaContrtPrc":0,"futrmmAgndaContrtPrc":-0.0}"#,
            "derivative_ticks",
            "before_first_trade",
            "acc_value=-3750000 acc_volume=10 block_acc_volume=5 far_leg_price=0 high=379.25 low=-1.5 lower_limit_price=200 near_leg_price=0 open=352 preset=tick10 price=0.01 side=sell trade_time=0 upper_limit_price=400.5 volume=1",
            Some(r#"{"isuCd":"KR4201N62206"}"#),
        ),
        (
            r#"{"preset":"quote","isuSrtCd":"101N6000","accTrdvol":12,"askStep1BstordPrc":308.8,"bidStep1BstordPrc":"308.75","askStep1BstordRqty":3,"bidStep1BstordRqty":4}"#,
            "derivative_quotes",
            "update",
            "acc_volume=12 ask_price=308.8 ask_size=3 bid_price=308.75 bid_size=4",
            None,
        ),
        (&book.0, "derivative_books", "update", &book.1.join(" "), None),
        (
            r#"{"preset":"index","isuSrtCd":"001","trdTm":14340400,"trdPrc":2456.37,"cmpprevddTpCd":2,"cmpprevddPrc":-12.5,"accTrdvol":1,"accTrdval":2}"#,
            "indices",
            "trade",
            "acc_value=2 acc_volume=1 change=-12.5 change_kind=up trade_time=14340400 trade_ts=52444000 value=2456.37",
            None,
        ),
    ] {
        assert_eq!(
            row(params),
            (table, kind, values.to_owned(), extra.map(str::to_owned)),
            "{params}"
        );
    }
}

#[test]
fn a_push_of_change_is_a_row_for_each_item() {
    let params = r#"{"isuCd":"KR7005930003","isuSrtCd":"005930","trdPrc":71500,"trdTm":09450155,"lwprc":"71400","x":null,"y":"\u0041\"","z":[1, 02],"w":308.750,"v":true}"#;
    let (seen, facts) = decode(push(params));
    assert_eq!((seen.rejects.as_slice(), facts.rows), (&[][..], 8));
    let items: Vec<_> = seen.rows.iter().map(|row| (row.item, row.text())).collect();
    let expected = [
        "field=trdPrc value=71500",
        "field=trdTm value=09450155",
        "field=lwprc value=71400",
        "field=x",
        "field=y value=A\"",
        "field=z value=[1, 02]",
        "field=w value=308.750",
        "field=v value=true",
    ];
    assert_eq!(items, (0..).zip(expected.map(str::to_owned)).collect::<Vec<_>>());
    for row in &seen.rows {
        assert_eq!(
            (row.table, row.preset, row.code.as_str(), row.kind),
            ("changes", "change", "005930", "trade")
        );
        assert_eq!(row.extra.as_deref(), Some(r#"{"isuCd":"KR7005930003"}"#));
    }
    // Without a time it is an update; so it is with one that cannot be read, which is kept all the same.
    for (params, value) in [
        (r#""trdPrc":1"#, "field=trdPrc value=1"),
        (r#""trdTm":"143404000""#, "field=trdTm value=143404000"),
    ] {
        let (seen, _) = decode(push(&format!(
            r#"{{"preset":"change","isuSrtCd":"101N6000",{params}}}"#
        )));
        assert_eq!(
            (
                seen.rows[0].kind,
                seen.rows[0].text().as_str(),
                &seen.rows[0].extra
            ),
            ("update", value, &None)
        );
    }
    // Each item is sent as it is, twice too.
    let (seen, _) = decode(push(r#"{"isuSrtCd":"005930","trdPrc":1,"trdPrc":2}"#));
    assert_eq!(
        seen.rows.iter().map(|row| row.text()).collect::<Vec<_>>(),
        ["field=trdPrc value=1", "field=trdPrc value=2"]
    );
    let (seen, _) = decode(push(r#"{"isuSrtCd":"005930","isuCd":"KR7005930003"}"#));
    assert_eq!(seen.rejects[0].1, Reason::MissingKey);
}

#[test]
fn a_snapshot_is_found_by_its_id_or_by_its_code() {
    let price = r#""trdPrc":71500,"trdvol":86,"trdTm":09450155"#;
    let ticks = "price=71500 trade_time=9450155 trade_ts=35101550 volume=86";
    for (message, expected) in [
        // By the id, whatever else it may be.
        (
            format!(r#"{{"jsonrpc":"2.0","id":2,"result":{{"isuSrtCd":"005930",{price}}}}}"#),
            Ok(("ticks", "tick", format!("preset=tick {ticks}"))),
        ),
        (
            format!(r#"{{"id":"4","result":{{"isuSrtCd":"005930",{price}}}}}"#),
            Ok(("ticks", "tick10", format!("preset=tick10 {ticks}"))),
        ),
        (
            r#"{"id":5,"result":{"isuSrtCd":"005930"}}"#.to_owned(),
            Ok(("books", "quote10", String::new())),
        ),
        (
            r#"{"id":8,"result":{"isuSrtCd":"101N6000","trdPrc":null,"opnprc":1.5}}"#.to_owned(),
            Ok(("derivative_ticks", "tick", "open=1.5 preset=tick".to_owned())),
        ),
        (
            r#"{"id":13,"result":{"isuSrtCd":"001","trdPrc":2456.37}}"#.to_owned(),
            Ok(("indices", "index", "value=2456.37".to_owned())),
        ),
        (
            r#"{"id":6,"result":{"isuSrtCd":"005930","trdPrc":1}}"#.to_owned(),
            Ok(("changes", "change", "field=trdPrc value=1".to_owned())),
        ),
        // The preset that it names, if it names one.
        (
            r#"{"id":2,"result":{"preset":"quote","isuSrtCd":"005930","accTrdvol":1}}"#.to_owned(),
            Ok(("quotes", "quote", "acc_volume=1".to_owned())),
        ),
        (
            r#"{"id":2,"result":{"preset":"tick","isuSrtCd":"00088K"}}"#.to_owned(),
            Err("tick"),
        ),
        (
            r#"{"id":2,"result":{"preset":"index","isuSrtCd":"005930"}}"#.to_owned(),
            Err("index"),
        ),
        // An answer about another code than the request's.
        (
            format!(r#"{{"id":4,"result":{{"isuSrtCd":"00088K",{price}}}}}"#),
            Ok(("ticks", "tick10", format!("preset=tick10 {ticks}"))),
        ),
        (
            format!(r#"{{"id":2,"result":{{"isuSrtCd":"00088K",{price}}}}}"#),
            Err("tick"),
        ),
        // Without an id that is known, the only one of the code.
        (
            format!(r#"{{"id":99,"result":{{"isuSrtCd":"00088K",{price}}}}}"#),
            Ok(("ticks", "tick10", format!("preset=tick10 {ticks}"))),
        ),
        (
            format!(r#"{{"result":{{"isuSrtCd":"00088K",{price}}}}}"#),
            Ok(("ticks", "tick10", format!("preset=tick10 {ticks}"))),
        ),
        (
            format!(r#"{{"id":99,"result":{{"isuSrtCd":"005930",{price}}}}}"#),
            Err("preset"),
        ),
        (
            format!(r#"{{"result":{{"isuSrtCd":"000660",{price}}}}}"#),
            Err("preset"),
        ),
    ] {
        let (seen, _) = decode(&message);
        match expected {
            Ok((table, preset, values)) => {
                assert_eq!(seen.rejects, [], "{message}");
                let row = &seen.rows[0];
                let found = (row.table, row.preset, row.text());
                assert_eq!(found, (table, preset, values), "{message}");
                assert_eq!((row.kind, row.item), ("snapshot", 0));
            }
            Err(detail) => {
                let reject = (
                    Some(0),
                    Reason::NotRegistered,
                    detail.to_owned(),
                    message.clone().into_bytes(),
                );
                assert_eq!(seen.rejects, [reject], "{message}");
            }
        }
    }
}

/// The parser makes a double of a number, and only the text says how many digits it had: wherever it stands.
#[test]
fn decimals_come_back_whatever_their_length_and_place() {
    for blanks in 0..20 {
        for (text, value) in [
            ("308.75", Ok("308.75")),
            ("-0.0", Ok("0")),
            ("1.2345678901234", Ok("1.2345678901234")),
            ("1234567890123.45", Ok("1234567890123.45")),
            ("0.00000000000000012345", Ok("0.00000000000000012345")),
            ("1.00000000000000000000", Ok("1")),
            ("2.5e3", Ok("2500")),
            ("25E-1", Ok("2.5")),
            ("1e-5", Ok("0.00001")),
            ("12345678901234.56", Err(Reason::Overflow)),
            ("0.1000000000000000055", Err(Reason::Overflow)),
            ("1e-400", Err(Reason::Overflow)),
            ("1.5e-320", Err(Reason::Overflow)),
        ] {
            for (before, text) in [
                ("", text.to_owned()),
                ("", format!("\"{text}\"")),
                (r#""cmpprevddPrc":-1.25,"#, text.to_owned()),
            ] {
                let params = format!(
                    r#"{{"preset":"index",{}"isuSrtCd":"001",{before}"accTrdval":123456789012345678,"trdPrc":{text},"trdTm":0}}"#,
                    " ".repeat(blanks)
                );
                let (seen, _) = decode(push(&params));
                match value {
                    Ok(value) => assert_eq!(seen.rows[0].values["value"], value, "{params}"),
                    Err(reason) => assert_eq!(seen.reasons(), [reason], "{params}"),
                }
            }
        }
    }
}
