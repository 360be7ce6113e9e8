//! `PerIssueDecoder` on any frame, and its values beside those that the text of a push has.

use std::ops::Range;

use krx_protocol::per_issue::{
    Facts, Field, FieldKind, Instruments, Pair, PerIssueDecoder, Preset, Registration, RegistrationBook, Row,
    RowSink, Table, Value,
};
use krx_protocol::{MAX_ITEMS, Reason, TradeTime};
use serde_json::value::RawValue;

use crate::members::Members;

const GOOD: &str = r#"{"jsonrpc":"2.0","method":"push","params":{"preset":"tick","isuSrtCd":"005930","trdPrc":71500,"trdvol":5,"trdTm":14340400}}"#;

/// The beginning of a push that needs no parser.
const USUAL: &str =
    r#"{"jsonrpc":"2.0","method":"push","params":{"preset":"tick","isuSrtCd":"005930","trdPrc":71500"#;

/// Longer values reveal nothing new.
const VALUE_MAX: usize = 64;

/// Decodes the bytes by themselves, between two pushes, as an object's params, as a value of some keys, and within a push
/// that is otherwise usual.
///
/// # Panics
/// When something does not hold.
pub fn check(data: &[u8]) {
    check_frame(data);
    let outcomes = check_frame(&[b"[", GOOD.as_bytes(), b",", data, b",", GOOD.as_bytes(), b"]"].concat());
    assert!(is_good(outcomes.first()), "the record before is lost");
    // A bracket may close the array early, and the record behind then be part of something else.
    assert!(
        data.contains(&b']') || is_good(outcomes.last()),
        "the record behind is lost"
    );
    let outcomes = check_frame(&[GOOD.as_bytes(), data].concat());
    assert!(is_good(outcomes.first()), "the record before is lost");
    let params = |params: &[u8]| [br#"{"method":"push","params":"#, params, b"}"].concat();
    check_frame(&params(data));
    check_frame(&[USUAL.as_bytes(), data, b"}}"].concat());
    if data.len() <= VALUE_MAX {
        for (head, key) in [
            (r#""preset":"tick10","isuSrtCd":"101N6000""#, "trdPrc"),
            (r#""preset":"quote","isuSrtCd":"005930""#, "askStep1BstordPrc"),
            (r#""preset":"quote10","isuSrtCd":"101N6000""#, "ordAcptTm"),
            (
                r#""preset":"index","isuSrtCd":"001","trdTm":0,"trdPrc":1"#,
                "cmpprevddTpCd",
            ),
            (r#""isuSrtCd":"005930""#, "trdTm"),
        ] {
            let frame = params(&[b"{", head.as_bytes(), b",\"", key.as_bytes(), b"\":", data, b"}"].concat());
            compare(&frame, &check_frame(&frame));
        }
    }
}

/// What the sink was given.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Row {
        table: Table,
        values: Vec<Option<String>>,
        extra: Option<String>,
    },
    Reject {
        reason: Reason,
        raw: Range<usize>,
    },
}

fn is_good(outcome: Option<&Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Row { table: Table::Ticks, values, extra: None }) if values[3].as_deref() == Some("71500"))
}

struct Sink<'a> {
    frame: &'a [u8],
    items: usize,
    outcomes: Vec<Outcome>,
    rejected_up_to: usize,
}

impl Sink<'_> {
    /// Items are numbered without a gap.
    fn next(&mut self, item: i16) {
        assert_eq!(
            usize::try_from(item),
            Ok(self.items),
            "an item is left out, doubled or out of order"
        );
        self.items += 1;
    }
}

impl RowSink for Sink<'_> {
    fn row(&mut self, row: &Row<'_>) {
        self.next(row.item);
        let fields = row.table.fields();
        assert_eq!(fields.len(), row.values.len());
        let values = fields
            .iter()
            .zip(row.values)
            .map(|(field, value)| match (field.kind, value) {
                (_, Value::Null) => None,
                (FieldKind::Word(words), Value::Word(place)) => Some(words[usize::from(*place)].to_owned()),
                (FieldKind::Text, Value::Text(text)) => Some((*text).to_owned()),
                (FieldKind::Decimal, Value::Decimal(number)) => {
                    assert!(
                        number.is_finite() && (*number != 0.0 || number.is_sign_positive()),
                        "{number}"
                    );
                    let digits = format!("{number:e}");
                    let digits = digits.split('e').next().unwrap_or_default();
                    assert!(
                        digits.bytes().filter(u8::is_ascii_digit).count() <= 15,
                        "{number}"
                    );
                    Some(number.to_string())
                }
                (FieldKind::Decimal | FieldKind::Word(_) | FieldKind::Text, _) => {
                    panic!("{}: {value:?}", field.name)
                }
                (kind, Value::Integer(number)) => {
                    let is_unsigned = !matches!(
                        kind,
                        FieldKind::Integer {
                            may_be_negative: true
                        }
                    );
                    assert!(*number >= 0 || !is_unsigned, "{}", field.name);
                    Some(number.to_string())
                }
                _ => panic!("{}: {value:?}", field.name),
            });
        if let Some(extra) = row.extra {
            let Members(members) = serde_json::from_str(extra).expect("extra is a JSON object");
            assert!(!members.is_empty());
        }
        self.outcomes.push(Outcome::Row {
            table: row.table,
            values: values.collect(),
            extra: row.extra.map(str::to_owned),
        });
    }

    fn reject(&mut self, item: Option<i16>, reason: Reason, _detail: &str, raw: &[u8]) {
        if let Some(item) = item {
            self.next(item);
        }
        let raw = place(self.frame, raw).expect("what is rejected is a piece of the frame");
        assert!(raw.start >= self.rejected_up_to, "rejected twice");
        self.rejected_up_to = raw.end;
        self.outcomes.push(Outcome::Reject { reason, raw });
    }
}

/// Where `piece` lies in `whole`, by its address.
fn place(whole: &[u8], piece: &[u8]) -> Option<Range<usize>> {
    let start = piece.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (start + piece.len() <= whole.len()).then(|| start..start + piece.len())
}

fn book() -> RegistrationBook {
    let mut book = RegistrationBook::default();
    let stock =
        [Preset::Tick, Preset::Quote, Preset::Change].map(|preset| (preset, "005930", Instruments::Stocks));
    let future =
        [Preset::Tick10, Preset::Quote10].map(|preset| (preset, "101N6000", Instruments::Derivatives));
    let sector = [(Preset::Index, "001", Instruments::Indices)];
    for (id, (preset, code, instruments)) in (2..).zip(stock.into_iter().chain(future).chain(sector)) {
        book.add(Registration {
            id,
            pair: Pair {
                preset,
                code: code.to_owned(),
            },
            instruments,
            items: Vec::new(),
        });
    }
    book
}

fn check_frame(frame: &[u8]) -> Vec<Outcome> {
    let (mut decoder, book) = (PerIssueDecoder::new(), book());
    let first = decode(frame, |sink| decoder.decode(frame, &book, sink));
    let again = decode(frame, |sink| decoder.decode(frame, &book, sink));
    assert_eq!(first, again, "buffers carry something over");
    let parsed = decode(frame, |sink| decoder.decode_by_parser(frame, &book, sink));
    assert_eq!(first, parsed, "the parser's word counts");
    first.1
}

fn decode<'f>(frame: &'f [u8], decode: impl FnOnce(&mut Sink<'f>) -> Facts) -> (Facts, Vec<Outcome>) {
    let mut sink = Sink {
        frame,
        items: 0,
        outcomes: Vec::new(),
        rejected_up_to: 0,
    };
    let facts = decode(&mut sink);
    let rows = sink
        .outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Row { .. }))
        .count();
    assert_eq!((facts.rows, facts.rejected), (rows, sink.outcomes.len() - rows));
    assert!(sink.items <= MAX_ITEMS);
    let is_empty_array = frame.contains(&b'[');
    assert!(
        rows + facts.rejected + facts.control > 0 || is_empty_array,
        "a frame vanishes"
    );
    (facts, sink.outcomes)
}

/// A push's last member, if the frame is strict JSON and no other member may fill the same column.
fn last_member(frame: &[u8]) -> Option<(String, &RawValue)> {
    let Members(message) = serde_json::from_slice::<Members<'_>>(frame).ok()?;
    let [_, (_, params)] = message.as_slice() else {
        return None;
    };
    let Members(mut params) = serde_json::from_str::<Members<'_>>(params.get()).ok()?;
    let (key, raw) = params.pop()?;
    // A value that is more than one may have brought other members with it.
    let is_of_head = |other: &str| ["preset", "isuSrtCd", "trdTm", "trdPrc"].contains(&other) && other != key;
    // Numbers in range and whole characters are more than raw values ask for.
    let is_value = serde_json::from_str::<serde_json::Value>(raw.get()).is_ok();
    (is_value && params.iter().all(|(other, _)| is_of_head(other))).then_some((key, raw))
}

/// Compares a push's last value with its text.
fn compare(frame: &[u8], outcomes: &[Outcome]) {
    let Some((key, raw)) = last_member(frame) else {
        return;
    };
    let [Outcome::Row { table, values, extra }] = outcomes else {
        return;
    };
    if *table == Table::Changes {
        assert_eq!(values[0], Some(key));
        assert_eq!(values[1], text_of(raw));
        return;
    }
    let fills = |field: &Field| field.sources.contains(&key.as_str()) && !is_clock(field.kind);
    let Some(place) = table.fields().iter().position(fills) else {
        return;
    };
    let kind = table.fields()[place].kind;
    let expected = match kind {
        FieldKind::Decimal => {
            text_of(raw).map(|text| (text.parse::<f64>().expect("a decimal number") + 0.0).to_string())
        }
        FieldKind::Word(words) => {
            let code = text_of(raw)
                .filter(|text| text.len() == 1)
                .and_then(|text| text.parse::<usize>().ok());
            let word = code.and_then(|code| words.get(code.wrapping_sub(1)));
            assert_eq!(
                extra.is_some(),
                word.is_none() && raw.get() != "null",
                "{}",
                raw.get()
            );
            word.map(|word| (*word).to_owned())
        }
        _ => text_of(raw).map(|text| text.parse::<i64>().expect("an integer").to_string()),
    };
    assert_eq!(values[place], expected, "{}", raw.get());
    if kind == FieldKind::OrderTime {
        let digits = expected.and_then(|digits| digits.parse().ok());
        let time = digits.and_then(|digits| TradeTime::from_digits(digits).ok());
        let millis = time
            .and_then(TradeTime::millis_of_day)
            .map(|millis| millis.to_string());
        assert_eq!(values[place - 1], millis);
    }
}

fn is_clock(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::TradeClock | FieldKind::OrderClock)
}

/// A value's text, without quotes; `None` for null.
fn text_of(raw: &RawValue) -> Option<String> {
    match raw.get() {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str(text).ok(),
        text => Some(text.to_owned()),
    }
}
