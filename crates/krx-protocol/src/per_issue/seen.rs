//! What a decoder gave, for tests.

use std::collections::BTreeMap;

use super::decoder::{Facts, PerIssueDecoder};
use super::fields::FieldKind;
use super::preset::{Instruments, Preset};
use super::registration::{Pair, Registration, RegistrationBook};
use super::row::{Row, RowSink, Value};
use crate::reason::Reason;

/// A row as text: the columns that are not null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeenRow {
    pub(super) table: &'static str,
    pub(super) preset: &'static str,
    pub(super) code: String,
    pub(super) kind: &'static str,
    pub(super) item: i16,
    pub(super) values: BTreeMap<&'static str, String>,
    pub(super) extra: Option<String>,
}

impl SeenRow {
    /// The values as `column=value`, in the order of the columns' names.
    pub(super) fn text(&self) -> String {
        let all: Vec<_> = self
            .values
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        all.join(" ")
    }
}

/// A reject: item, reason, detail, bytes.
pub(super) type SeenReject = (Option<i16>, Reason, String, Vec<u8>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) rows: Vec<SeenRow>,
    pub(super) rejects: Vec<SeenReject>,
}

impl Seen {
    /// The reasons of what was rejected.
    pub(super) fn reasons(&self) -> Vec<Reason> {
        self.rejects.iter().map(|reject| reject.1).collect()
    }
}

impl RowSink for Seen {
    fn row(&mut self, row: &Row<'_>) {
        let fields = row.table.fields();
        assert_eq!(row.values.len(), fields.len());
        let values = fields.iter().zip(row.values).filter_map(|(field, value)| {
            let text = match (value, field.kind) {
                (Value::Null, _) => return None,
                (Value::Word(place), FieldKind::Word(words)) => words[usize::from(*place)].to_owned(),
                (Value::Decimal(number), FieldKind::Decimal) => number.to_string(),
                (Value::Text(text), FieldKind::Text) => (*text).to_owned(),
                (Value::Integer(_), FieldKind::Text | FieldKind::Decimal | FieldKind::Word(_)) => {
                    panic!("{}", field.name)
                }
                (Value::Integer(number), _) => number.to_string(),
                _ => panic!("{}: {value:?}", field.name),
            };
            Some((field.name, text))
        });
        if let Some(extra) = row.extra {
            let members: BTreeMap<String, Box<serde_json::value::RawValue>> =
                serde_json::from_str(extra).unwrap();
            assert!(!members.is_empty());
        }
        self.rows.push(SeenRow {
            table: row.table.name(),
            preset: row.preset.as_str(),
            code: row.code.to_owned(),
            kind: row.kind.as_str(),
            item: row.item,
            values: values.collect(),
            extra: row.extra.map(str::to_owned),
        });
    }

    fn reject(&mut self, item: Option<i16>, reason: Reason, detail: &str, raw: &[u8]) {
        self.rejects.push((item, reason, detail.to_owned(), raw.to_vec()));
    }
}

/// A book with an id from 2 on for each of `pairs`.
pub(super) fn book(pairs: &[(Preset, &str, Instruments)]) -> RegistrationBook {
    let mut book = RegistrationBook::default();
    for (id, (preset, code, instruments)) in (2..).zip(pairs) {
        book.add(Registration {
            id,
            pair: Pair {
                preset: *preset,
                code: (*code).to_owned(),
            },
            instruments: *instruments,
            items: Vec::new(),
        });
    }
    book
}

/// A stock with every preset (ids 2 to 6), one with `tick10` alone (7), a future (8 to 12), a sector (13).
pub(super) fn usual_book() -> RegistrationBook {
    use Instruments::{Derivatives, Indices, Stocks};
    let mut pairs = Vec::new();
    let presets = [
        Preset::Tick,
        Preset::Quote,
        Preset::Tick10,
        Preset::Quote10,
        Preset::Change,
    ];
    pairs.extend(presets.map(|preset| (preset, "005930", Stocks)));
    pairs.push((Preset::Tick10, "00088K", Stocks));
    pairs.extend(presets.map(|preset| (preset, "101N6000", Derivatives)));
    pairs.push((Preset::Index, "001", Indices));
    pairs.push((Preset::Tick10, "201N6220*006", Derivatives));
    book(&pairs)
}

/// Decodes with [`usual_book`], twice with the same decoder, and with the parser alone.
pub(super) fn decode(frame: impl AsRef<[u8]>) -> (Seen, Facts) {
    let (frame, book) = (frame.as_ref(), usual_book());
    let mut decoder = PerIssueDecoder::new();
    let (mut seen, mut again) = (Seen::default(), Seen::default());
    let facts = decoder.decode(frame, &book, &mut seen);
    assert_eq!(decoder.decode(frame, &book, &mut again), facts);
    assert_eq!(seen, again, "buffers carry nothing over");
    let mut parsed = Seen::default();
    assert_eq!(decoder.decode_by_parser(frame, &book, &mut parsed), facts);
    assert_eq!(seen, parsed, "the parser's word counts");
    assert_eq!(
        (facts.rows, facts.rejected),
        (seen.rows.len(), seen.rejects.len())
    );
    let items = seen
        .rows
        .iter()
        .map(|row| row.item)
        .chain(seen.rejects.iter().filter_map(|reject| reject.0));
    let mut items: Vec<_> = items.collect();
    items.sort_unstable();
    assert!(
        items
            .iter()
            .enumerate()
            .all(|(place, item)| usize::try_from(*item) == Ok(place)),
        "{items:?}"
    );
    (seen, facts)
}

/// A push with these `params`, in braces.
pub(super) fn push(params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"push","params":{params}}}"#)
}

/// The only row of a push with these params, as kind, dataset and values.
pub(super) fn row(params: &str) -> (&'static str, &'static str, String, Option<String>) {
    let (seen, facts) = decode(push(params));
    assert_eq!(seen.rejects, [], "{params}");
    assert_eq!((facts.rows, facts.control), (1, 0), "{params}");
    let row = &seen.rows[0];
    assert_eq!(row.item, 0);
    (row.table, row.kind, row.text(), row.extra.clone())
}
