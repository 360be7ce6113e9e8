use krx_protocol::per_issue::{
    Instruments, Pair, PerIssueDecoder, Registration, RegistrationBook, Row, RowSink, Table,
};
use krx_store::Moment;

use super::*;

/// What a text is decoded to: rows as they are stored, and rejects.
#[derive(Debug, Default, PartialEq)]
struct Decoded {
    rows: Vec<Stored>,
    rejects: Vec<(Option<i16>, String, Vec<u8>)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Stored {
    table: Table,
    preset: Preset,
    code: String,
    kind: &'static str,
    item: i16,
    values: Vec<Kept>,
    extra: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kept {
    Text(String),
    Other(Value<'static>),
}

impl Kept {
    fn of(value: Value<'_>) -> Self {
        match value {
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Null => Self::Other(Value::Null),
            Value::Integer(integer) => Self::Other(Value::Integer(integer)),
            Value::Decimal(decimal) => Self::Other(Value::Decimal(decimal)),
            Value::Word(word) => Self::Other(Value::Word(word)),
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(text),
            Self::Other(value) => *value,
        }
    }
}

impl RowSink for Decoded {
    fn row(&mut self, row: &Row<'_>) {
        self.rows.push(Stored {
            table: row.table,
            preset: row.preset,
            code: row.code.to_owned(),
            kind: row.kind.as_str(),
            item: row.item,
            values: row.values.iter().map(|value| Kept::of(*value)).collect(),
            extra: row.extra.map(str::to_owned),
        });
    }

    fn reject(&mut self, item: Option<i16>, reason: Reason, _detail: &str, raw: &[u8]) {
        self.rejects
            .push((item, reason.as_str().to_owned(), raw.to_vec()));
    }
}

impl Stored {
    fn record(&self) -> Record<'_> {
        Record {
            table: self.table,
            preset: self.preset,
            code: &self.code,
            kind: self.kind,
            values: self.values.iter().map(Kept::value).collect(),
            recv: Moment(0),
            frame: 1,
            item: self.item,
            extra: self.extra.as_deref(),
        }
    }
}

/// What is registered, with ids from 2.
fn book() -> RegistrationBook {
    let mut book = RegistrationBook::default();
    let stocks = [
        Preset::Tick,
        Preset::Tick10,
        Preset::Quote,
        Preset::Quote10,
        Preset::Change,
    ];
    let pairs = stocks
        .map(|preset| (preset, "005930", Instruments::Stocks))
        .into_iter()
        .chain(stocks.map(|preset| (preset, "101N6000", Instruments::Derivatives)))
        .chain([(Preset::Index, "001", Instruments::Indices)]);
    for (id, (preset, code, instruments)) in (2..).zip(pairs) {
        book.add(Registration {
            id,
            pair: Pair {
                preset,
                code: code.to_owned(),
            },
            instruments,
            items: vec![],
        });
    }
    book
}

fn decode(text: &str) -> Decoded {
    let mut decoded = Decoded::default();
    PerIssueDecoder::new().decode(text.as_bytes(), &book(), &mut decoded);
    decoded
}

/// What is sent for the rows of a message.
fn rebuilt(decoded: &Decoded) -> Result<Pushes, Withheld> {
    let mut builder = PushBuilder::default();
    let rejects = decoded.rejects.iter().map(|(item, reason, raw)| QuarantineRow {
        recv: Moment(0),
        frame: 1,
        item: *item,
        session: 1,
        reason: reason.clone(),
        detail: None,
        raw: raw.clone(),
    });
    let mut rejects: Vec<_> = rejects.collect();
    rejects.sort_by_key(|row| (row.item.is_none(), row.item));
    let mut rejects = rejects.into_iter().peekable();
    for row in &decoded.rows {
        while let Some(bad) = rejects.next_if(|bad| bad.item.is_some_and(|item| item < row.item)) {
            builder.rejected(&bad);
        }
        builder.row(&row.record());
    }
    for bad in rejects {
        builder.rejected(&bad);
    }
    let finished = builder.finish();
    if let Ok(pushes) = &finished {
        assert_eq!(usize::try_from(pushes.rows).unwrap(), decoded.rows.len());
    }
    finished
}

fn text_of(pushes: &Pushes) -> String {
    let parts: Vec<_> = pushes.parts.iter().map(|part| part.text.as_str()).collect();
    match &pushes.frame {
        PushFrame::Bare => parts.concat(),
        PushFrame::Array { end } => format!("[{}{end}", parts.join(",")),
    }
}

fn push(params: &str) -> String {
    push_text(params)
}

const TICK: &str = r#"{"preset":"tick","isuSrtCd":"005930","trdPrc":71500,"trdvol":7,"trdTm":9450155}"#;
const CHANGE: &str =
    r#"{"isuSrtCd":"005930","isuCd":"KR7005930003","trdPrc":71500,"trdTm":"09450155","x":null}"#;

fn good() -> Vec<String> {
    [
        TICK,
        r#"{"preset":"tick10","isuSrtCd":"005930","cmpprevddTpCd":"2","cmpprevddPrc":-100,"opnprc":null,"trdPrc":9007199254740993,
            "trdVol":"7","trdTm":"31000000","lstAskbidTpCd":0,"mkStatTpCd":1,"a":{"b":[1,"}"]}}"#,
        r#"{"preset":"quote","isuSrtCd":"005930"}"#,
        r#"{"preset":"quote10","isuSrtCd":"005930","askStep10BstordPrc":71500,"bidStep1BstordRqty":0,"askordTotRqty":5}"#,
        r#"{"preset":"tick10","isuSrtCd":"101N6000","trdPrc":308.75,"trdvol":1,"trdTm":9450155,"lstTrdTpCd":2,"opnprc":-0.05,
            "hgprc":352,"lwprc":1e20,"realtmUplmtprc":"0.000000000000001"}"#,
        r#"{"preset":"quote10","isuSrtCd":"101N6000","askStep5BstordCnt":3,"askTotOrdRqty":9,"ordAcptTm":9450155,"deemTrdPrc":0}"#,
        r#"{"preset":"quote","isuSrtCd":"101N6000","askStep1BstordPrc":308.9}"#,
        r#"{"preset":"index","isuSrtCd":"001","trdTm":10104849,"trdPrc":2639.05,"cmpprevddTpCd":5,"cmpprevddPrc":-11.26}"#,
        CHANGE,
        r#"{"isuSrtCd":"101N6000","trdPrc":309.50,"a b":"1 ","q":"\"","o":{"k": "v"},"long":12345678901234567890,"t":true}"#,
    ]
    .map(push)
    .to_vec()
}

#[test]
fn a_push_is_sent_so_that_it_becomes_the_same_rows() {
    for text in good() {
        let decoded = decode(&text);
        assert!(
            !decoded.rows.is_empty() && decoded.rejects.is_empty(),
            "{text}: {decoded:?}"
        );
        let pushes = rebuilt(&decoded).unwrap();
        assert_eq!(pushes.parts.len(), 1, "{text}");
        assert_eq!(pushes.frame, PushFrame::Bare);
        let pair = pushes.parts[0].pair.as_ref().unwrap();
        assert_eq!(
            (pair.preset, &pair.code),
            (decoded.rows[0].preset, &decoded.rows[0].code)
        );
        assert_eq!(decode(&text_of(&pushes)), decoded, "{}", text_of(&pushes));
    }
}

#[test]
fn several_in_one_message_stay_together_with_what_was_refused_between_them() {
    let unregistered = push(&TICK.replace("005930", "000660"));
    let bad = push(&TICK.replace("71500", "\"x\""));
    let all = good().join(",");
    for text in [
        format!("[{all}]"),
        good().concat(),
        format!("[{unregistered},{all},{bad}]"),
        format!("[5,{all}] and more"),
        format!("[{all}"),
        format!("[{},{}", push(TICK), &push(CHANGE)[..60]),
        unregistered,
        bad,
        "hello".to_owned(),
        r#"{"notice":"x"}"#.to_owned(),
        String::new(),
    ] {
        let decoded = decode(&text);
        let pushes = rebuilt(&decoded).unwrap();
        assert_eq!(decode(&text_of(&pushes)), decoded, "{text}\n{}", text_of(&pushes));
    }
}

#[test]
fn pushes_of_chosen_items_are_told_apart_where_that_makes_a_difference() {
    let update = push(r#"{"isuSrtCd":"005930","trdPrc":1}"#);
    let text = format!("[{update},{update},{}]", push(CHANGE));
    let decoded = decode(&text);
    let pushes = rebuilt(&decoded).unwrap();
    assert_eq!(pushes.parts.len(), 3);
    assert_eq!(decode(&text_of(&pushes)), decoded);
}

#[test]
fn an_answer_is_no_push_but_the_state_of_its_pair() {
    for (id, state) in [
        (3, r#"{"isuSrtCd":"005930","trdPrc":71500,"lstAskbidTpCd":1}"#),
        (
            6,
            r#"{"isuSrtCd":"005930","isuCd":"KR7005930003","trdPrc":71500,"trdTm":9450155}"#,
        ),
        (11, r#"{"isuSrtCd":"101N6000","trdPrc":309.50}"#),
    ] {
        let answer = |state: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{state}}}"#);
        let decoded = decode(&answer(state));
        assert!(
            decoded.rows.iter().all(|row| row.kind == "snapshot"),
            "{decoded:?}"
        );
        assert_eq!(rebuilt(&decoded).unwrap().parts, []);
        let mut states = StateBuilder::default();
        for row in decoded.rows.iter().rev() {
            states.row(&row.record(), 1);
        }
        let [built] = &states.finish()[..] else {
            panic!("{state}")
        };
        assert_eq!(decode(&answer(built)), decoded, "{built}");
    }
}

#[test]
fn the_first_states_of_a_pair_are_kept() {
    let decoded = decode(r#"{"id":3,"result":{"isuSrtCd":"005930","trdPrc":71500}}"#);
    let mut states = StateBuilder::default();
    for frame in [9, 2, 5] {
        let row = decoded.rows[0].record();
        states.row(&Record { frame, ..row }, 2);
    }
    assert_eq!(states.states.keys().copied().collect::<Vec<_>>(), [2, 5]);
}

#[test]
fn errors_and_what_is_not_text_are_withheld() {
    let row = |reason: Reason, item, raw: &[u8]| QuarantineRow {
        recv: Moment(0),
        frame: 1,
        item,
        session: 1,
        reason: reason.as_str().to_owned(),
        detail: None,
        raw: raw.to_vec(),
    };
    let mut builder = PushBuilder::default();
    builder.rejected(&row(
        Reason::ServerError,
        None,
        br#"{"error":{"code":47,"message":""}}"#,
    ));
    assert_eq!(builder.finish(), Err(Withheld::ServerError));
    builder.rejected(&row(Reason::MalformedJson, None, b"\xff"));
    assert_eq!(builder.finish(), Err(Withheld::NotText));
    builder.rejected(&row(Reason::NotAnObject, Some(0), b"\xff"));
    builder.rejected(&row(
        Reason::ServerError,
        Some(1),
        br#"{"error":{"code":47,"message":""}}"#,
    ));
    builder.rejected(&row(Reason::NotAnObject, Some(2), b"5"));
    let pushes = builder.finish().unwrap();
    assert_eq!((pushes.left_out, text_of(&pushes)), (1, "5".to_owned()));
    assert!(pushes.has_lost_error);
    assert!(!builder.finish().unwrap().has_lost_error);
}
