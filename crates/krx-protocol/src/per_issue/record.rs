//! One record: its members, read into a table's columns.

use simd_json::{Node, StaticNode};

use super::fields::{Field, FieldKind};
use super::keys::{Keys, Target};
use super::message::{Data, Members, STANDARD_CODE, is_null, is_of_a_message, string};
use super::row::{RowKind, Value};
use super::table::Table;
use super::usual;
use crate::number;
use crate::reason::Reason;
use crate::record::Refused;
use crate::scan::{Span, members, value_of};
use crate::trade_time::TradeTime;
use crate::written::integer;

/// A message's object: its text as it was parsed and as it was received. They differ by leading zeros of numbers.
#[derive(Clone, Copy)]
pub(super) struct Text<'m> {
    pub(super) json: &'m [u8],
    pub(super) raw: &'m [u8],
}

/// Whose record it is, as the registrations have it.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) table: Table,
    /// The preset's word.
    pub(super) preset: &'static str,
    pub(super) code: &'a str,
}

/// The values of a row, of which a table uses as many as it has fields.
pub(super) type Values<'a> = [Value<'a>; Table::FIELDS_MAX];

/// What was read beside the values.
pub(super) struct Read {
    pub(super) kind: RowKind,
    /// Whether there are members that no column holds.
    pub(super) has_extra: bool,
}

/// A record of which some members have been read.
struct Reading<'v, 'a> {
    fields: &'static [Field],
    values: &'v mut Values<'a>,
    time: Option<TradeTime>,
    has_extra: bool,
}

impl<'v, 'a> Reading<'v, 'a> {
    /// Of none yet: all values are null.
    #[inline]
    fn of(fields: &'static [Field], values: &'v mut Values<'a>) -> Self {
        Self {
            fields,
            values,
            time: None,
            has_extra: false,
        }
    }

    /// Reads the value of a member whose key leads to the column at `slot`. `text` gives that of a number, if it must be
    /// looked at.
    #[inline]
    fn take<'m>(
        &mut self,
        slot: usize,
        nodes: &[Node<'a>],
        text: impl FnOnce() -> Option<&'m [u8]>,
    ) -> Result<(), Reason> {
        let kind = self.fields[slot].kind;
        match value(kind, nodes, text)? {
            // What the guide does not explain takes nothing from another key of this column.
            None => self.has_extra = true,
            Some(Value::Null) => {}
            Some(value) if self.values[slot] == Value::Null => {
                self.values[slot] = value;
                if let Some(read) = clock(kind, value, &mut self.values[..slot]) {
                    let read = read?;
                    if kind == FieldKind::TradeTime {
                        self.time = Some(read);
                    }
                }
            }
            Some(value) if self.values[slot] == value => {}
            Some(_) => return Err(Reason::DuplicateKey),
        }
        Ok(())
    }

    /// All members have been read.
    #[inline]
    fn end(self, is_snapshot: bool) -> Read {
        let kind = match self.time {
            _ if is_snapshot => RowKind::Snapshot,
            Some(time) => RowKind::Traded(time.kind()),
            None => RowKind::Update,
        };
        Read {
            kind,
            has_extra: self.has_extra,
        }
    }
}

/// Reads records; holds what is reused between them.
pub(super) struct Reader {
    keys: [Keys; Table::ALL.len()],
    spans: Vec<Span>,
    extra: String,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            keys: Table::ALL.map(|table| Keys::new(table.fields())),
            spans: Vec::new(),
            extra: String::new(),
        }
    }

    /// Reads the members of a record of any table but [`Table::Changes`] into `values`, which are null so far.
    ///
    /// Two members for one column, as `trdvol` and `trdVol`, are one if their values are equal. If they are not, nobody
    /// knows which one counts, and the record is quarantined: a volume that may be the wrong one is worse than none. A
    /// null says nothing beside a value.
    ///
    /// # Errors
    /// Why the record is quarantined.
    #[inline]
    pub(super) fn read<'a>(
        &mut self,
        subject: &Subject<'a>,
        data: &Data<'_, 'a>,
        text: Text<'_>,
        values: &mut Values<'a>,
    ) -> Result<Read, Refused> {
        let Self { keys, spans, .. } = self;
        let (fields, keys) = (subject.table.fields(), &mut keys[subject.table as usize]);
        let mut cursor = keys.start();
        let mut reading = Reading::of(fields, values);
        let (mut is_short, mut located) = (None, None);
        for (position, (key, nodes)) in Members::of(data.element).enumerate() {
            let (key, slot) = match keys.find(&mut cursor, key) {
                Some((key, Target::Field(slot))) => (key, slot),
                Some((key, target)) => {
                    check_again(subject, key, target, nodes)?;
                    continue;
                }
                None => {
                    reading.has_extra = true;
                    continue;
                }
            };
            let digits = || {
                if *is_short.get_or_insert_with(|| has_short_numbers(text.json)) {
                    return None;
                }
                let data_text = *located.get_or_insert_with(|| locate(text.json, data.member, spans));
                let span = spans.get(position).cloned().unwrap_or_default();
                Some(value_of(&data_text[span]))
            };
            reading
                .take(slot, nodes, digits)
                .map_err(|reason| Refused(reason, key))?;
        }
        let read = reading.end(data.is_snapshot);
        match missing(fields, values) {
            Some(field) if !data.is_snapshot => Err(refused_without(field, data)),
            _ => Ok(read),
        }
    }

    /// Reads the members of a usual push, as they are written, into `values`, which are null so far; `None` if anything
    /// about them is not usual.
    #[inline]
    pub(super) fn read_usual<'a>(
        &mut self,
        table: Table,
        mut members: &'a [u8],
        values: &mut Values<'a>,
    ) -> Option<RowKind> {
        let (fields, keys) = (table.fields(), &mut self.keys[table as usize]);
        let mut cursor = keys.after_code();
        let mut reading = Reading::of(fields, values);
        while members != usual::END {
            let (Target::Field(slot), len) = keys.find_written(&mut cursor, members)? else {
                return None;
            };
            let text = &members[len..];
            // Most values are whole numbers in an empty column: `take` would say the same of them, later. If the number goes
            // on, with a fraction, no key follows here.
            if let (FieldKind::Integer { .. }, Value::Null) = (fields[slot].kind, reading.values[slot])
                && let Some((number, number_len)) = integer(text)
            {
                reading.values[slot] = Value::Integer(number.cast_signed());
                members = &text[number_len..];
                continue;
            }
            let (node, value_len) = usual::value(text)?;
            reading.take(slot, &[node], || None).ok()?;
            members = &text[value_len..];
        }
        let read = reading.end(false);
        (!read.has_extra && missing(fields, values).is_none()).then_some(read.kind)
    }

    /// Reads the items of a record of [`Table::Changes`], in their order, and gives each with its text: that of a string
    /// without its quotes, that of anything else as it was received; null of a null.
    pub(super) fn items<'a>(
        &mut self,
        data: &Data<'_, 'a>,
        text: Text<'_>,
        mut give: impl FnMut(&'a str, Value<'_>),
    ) {
        let data_text = locate(text.raw, data.member, &mut self.spans);
        for ((key, nodes), span) in Members::of(data.element).zip(&self.spans) {
            if is_item(key) {
                let raw = || String::from_utf8_lossy(value_of(&data_text[span.clone()]));
                match string(nodes) {
                    Some(text) => give(key, Value::Text(text)),
                    None if is_null(nodes) => give(key, Value::Null),
                    None => give(key, Value::Text(&raw())),
                }
            }
        }
    }

    /// The members that no column holds as one JSON object, with their bytes as sent: of the data, and of the message
    /// around it, `element`. `None` if there are none.
    #[cold]
    pub(super) fn extra(
        &mut self,
        table: Table,
        element: &[Node<'_>],
        data: &Data<'_, '_>,
        json: &[u8],
    ) -> Option<&str> {
        let Self { keys, spans, extra } = self;
        extra.clear();
        let mut keep = |member: &[u8]| {
            extra.push(if extra.is_empty() { '{' } else { ',' });
            extra.push_str(&String::from_utf8_lossy(member));
        };
        let data_text = locate(json, data.member, spans);
        for ((key, nodes), span) in Members::of(data.element).zip(&*spans) {
            if is_kept(&keys[table as usize], table, key, nodes) {
                keep(&data_text[span.clone()]);
            }
        }
        if data.has_others {
            members(json, spans);
            for ((key, _), span) in Members::of(element).zip(&*spans) {
                if !is_of_a_message(key) {
                    keep(&json[span.clone()]);
                }
            }
        }
        if extra.is_empty() {
            return None;
        }
        extra.push('}');
        Some(extra)
    }
}

/// Whether a member of a push of `change` is an item.
pub(super) fn is_item(key: &str) -> bool {
    !matches!(key, super::message::CODE | super::message::PRESET | STANDARD_CODE)
}

/// Whether a member belongs into `extra`.
fn is_kept(keys: &Keys, table: Table, key: &str, nodes: &[Node<'_>]) -> bool {
    match keys.look_up(key) {
        _ if table == Table::Changes => key == STANDARD_CODE,
        None => true,
        Some(Target::Field(slot)) => match table.fields()[slot].kind {
            FieldKind::Word(words) => !is_null(nodes) && word(words, nodes).is_none(),
            _ => false,
        },
        Some(Target::Code | Target::Preset) => false,
    }
}

/// The text of the message's member at position `member`, whose own members' places go into `spans`.
fn locate<'m>(message: &'m [u8], member: usize, spans: &mut Vec<Span>) -> &'m [u8] {
    members(message, spans);
    let data = spans
        .get(member)
        .map_or(&message[..0], |span| value_of(&message[span.clone()]));
    members(data, spans);
    data
}

/// Whether each number of a message that has a point has so few digits, and no exponent, that its double gives them back.
fn has_short_numbers(json: &[u8]) -> bool {
    /// With the point.
    const LONGEST: usize = 16;
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let mut from = 0;
    // One that is longer has a byte at one of these steps.
    while let Some(byte) = json.get(from) {
        if is_of_number(byte) {
            let before = json[..from]
                .iter()
                .rev()
                .take_while(|byte| is_of_number(byte))
                .count();
            let after = json[from..].iter().take_while(|byte| is_of_number(byte)).count();
            if before + after > LONGEST && json[from - before..from + after].contains(&b'.') {
                return false;
            }
            from += after;
        }
        from += LONGEST;
    }
    let is_exponent = |pair: (&u8, &u8)| pair.0.is_ascii_digit() & (pair.1 | 0x20 == b'e');
    !json
        .iter()
        .zip(&json[1..])
        .fold(false, |any, pair| any | is_exponent(pair))
}

/// A code or a preset may be there twice, as long as it is the same.
#[inline]
fn check_again(
    subject: &Subject<'_>,
    key: &'static str,
    target: Target,
    nodes: &[Node<'_>],
) -> Result<(), Refused> {
    let expected = if target == Target::Code {
        subject.code
    } else {
        subject.preset
    };
    if string(nodes) == Some(expected) || is_null(nodes) {
        return Ok(());
    }
    Err(Refused(Reason::DuplicateKey, key))
}

/// Reads a value; `None` when it is a code that the guide does not explain. `text` gives that of a number, if it must be
/// looked at.
#[inline]
fn value<'a, 'm>(
    kind: FieldKind,
    nodes: &[Node<'a>],
    text: impl FnOnce() -> Option<&'m [u8]>,
) -> Result<Option<Value<'a>>, Reason> {
    let [node, ..] = nodes else {
        return Ok(Some(Value::Null));
    };
    let number = |read: Result<i64, Reason>| read.map(|number| Some(Value::Integer(number)));
    match (kind, node) {
        (_, Node::Static(StaticNode::Null)) => Ok(Some(Value::Null)),
        (
            FieldKind::Integer {
                may_be_negative: true,
            },
            _,
        ) => number(number::signed(node)),
        (FieldKind::Integer { .. } | FieldKind::TradeTime | FieldKind::OrderTime, _) => {
            number(number::integer(node))
        }
        (FieldKind::Word(words), _) => Ok(word(words, nodes).map(Value::Word)),
        (FieldKind::Decimal, _) => decimal(node, text).map(|number| Some(Value::Decimal(number))),
        // No key leads to these.
        (FieldKind::TradeClock | FieldKind::OrderClock | FieldKind::Text, _) => Err(Reason::WrongType),
    }
}

#[inline]
fn decimal<'m>(node: &Node<'_>, text: impl FnOnce() -> Option<&'m [u8]>) -> Result<f64, Reason> {
    match node {
        Node::String(digits) => number::decimal(digits.as_bytes()),
        Node::Static(StaticNode::U64(number)) => number::decimal_of_integer(false, *number),
        // simd-json gives every number without a sign as `U64`.
        Node::Static(StaticNode::I64(number)) => number::decimal_of_integer(true, number.unsigned_abs()),
        // The parser has made a double of it. How many digits it had, only the text says. Zero is never negative.
        Node::Static(StaticNode::F64(number)) => text().map_or(Ok(number + 0.0), number::decimal),
        Node::Static(StaticNode::Null | StaticNode::Bool(_)) | Node::Object { .. } | Node::Array { .. } => {
            Err(Reason::WrongType)
        }
    }
}

/// The place of the word that a code stands for: 1 is the first.
#[inline]
fn word(words: &[&str], nodes: &[Node<'_>]) -> Option<u8> {
    let code = match nodes {
        [Node::Static(StaticNode::U64(code)), ..] => u8::try_from(*code).ok()?,
        [Node::String(text), ..] => match text.as_bytes() {
            [digit] if digit.is_ascii_digit() => digit - b'0',
            _ => return None,
        },
        _ => return None,
    };
    let place = code.checked_sub(1)?;
    (usize::from(place) < words.len()).then_some(place)
}

/// Reads the digits of a time, and sets the clock, which is the column before them; `None` for other columns.
#[inline]
fn clock(kind: FieldKind, value: Value<'_>, before: &mut [Value<'_>]) -> Option<Result<TradeTime, Reason>> {
    let (FieldKind::TradeTime | FieldKind::OrderTime, Value::Integer(digits)) = (kind, value) else {
        return None;
    };
    let Ok(time) = TradeTime::from_digits(digits) else {
        return Some(Err(Reason::BadTime));
    };
    if let (Some(clock), Some(millis)) = (before.last_mut(), time.millis_of_day()) {
        *clock = Value::Integer(millis.into());
    }
    Some(Ok(time))
}

/// The time of a push of `change`, if it has one that can be read.
pub(super) fn time_of_items(data: &Data<'_, '_>) -> Option<TradeTime> {
    let (_, nodes) = Members::of(data.element).find(|(key, _)| *key == "trdTm")?;
    TradeTime::from_digits(number::integer(nodes.first()?).ok()?).ok()
}

/// The first column that is required and has no value.
#[inline]
fn missing(fields: &'static [Field], values: &Values<'_>) -> Option<&'static Field> {
    let mut columns = fields.iter().zip(values);
    columns
        .find(|(field, value)| field.required && **value == Value::Null)
        .map(|(field, _)| field)
}

/// Why a push without a column that is required is quarantined.
#[cold]
fn refused_without(field: &'static Field, data: &Data<'_, '_>) -> Refused {
    let sent =
        Members::of(data.element).find_map(|(key, _)| field.sources.iter().find(|source| **source == key));
    match sent {
        Some(key) => Refused(Reason::NullValue, key),
        None => Refused(Reason::MissingKey, field.sources[0]),
    }
}
