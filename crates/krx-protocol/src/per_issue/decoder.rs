//! Decodes per-issue messages: one object as a rule, or several one after the other, or an array of them.
//!
//! The usual push needs no parser (`super::usual`). Any other message that is one object takes one pass of simd-json.
//! Anything else is cut into pieces, each of which is parsed by itself, so that one bad record never costs its neighbours.
//!
//! `item` numbers what a frame holds, from 0: each row and each rejected record takes the next number. A push of `change`
//! takes one for each of its items. Answers without data, errors and heartbeats take none. So (`frame`, `item`) is unique
//! over all datasets, however many pushes are in a message. What goes beyond [`MAX_ITEMS`] numbers is rejected in one
//! piece; a push of `change` is not torn for it.

use simd_json::Node;

use super::message::{Answer, CODE, Data, Members, Object, PRESET, answer, classify, is_null, string};
use super::preset::Preset;
use super::record::{Read, Reader, Subject, Text, Values, is_item, time_of_items};
use super::registration::RegistrationBook;
use super::row::{Row, RowKind, RowSink, Value};
use super::table::Table;
use super::usual;
use crate::control::Control;
use crate::parser::Parser;
use crate::reason::Reason;
use crate::record::{MAX_ITEMS, Refused};
use crate::salvage::{cut, elements, fault, is_cut_off};
use crate::scan::{Ending, Span, next_value, without_byte_order_mark};

/// What a frame held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Rows that went to [`RowSink::row`].
    pub rows: usize,
    /// Calls of [`RowSink::reject`].
    pub rejected: usize,
    /// Heartbeats, acknowledgements and errors that answer a registration: they leave no row.
    pub control: usize,
}

/// Decodes frames of the per-issue service; holds the buffers that are reused between them.
pub struct PerIssueDecoder {
    parser: Parser,
    reader: Reader,
}

impl Default for PerIssueDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl PerIssueDecoder {
    /// A decoder with empty buffers; they grow to the largest frame seen.
    #[must_use]
    pub fn new() -> Self {
        Self {
            parser: Parser::new(),
            reader: Reader::new(),
        }
    }

    /// Decodes one frame into `sink`. `registrations` are those of the frame's session.
    ///
    /// The preset and the code of a record must be registered; what kind of issue it is decides the dataset. An answer
    /// with data is for the registration with its `id`, or, if it has none that is known, for the only one of its code.
    pub fn decode(
        &mut self,
        frame: &[u8],
        registrations: &RegistrationBook,
        sink: &mut impl RowSink,
    ) -> Facts {
        let mut output = Output::new(registrations, &mut self.reader, sink);
        if output.usual(frame).is_none() {
            general(frame, &mut self.parser, &mut output);
        }
        output.facts
    }

    /// The same, with the parser alone: slower, and never with another result. Tests and the fuzzer compare the two.
    pub fn decode_by_parser(
        &mut self,
        frame: &[u8],
        registrations: &RegistrationBook,
        sink: &mut impl RowSink,
    ) -> Facts {
        let mut output = Output::new(registrations, &mut self.reader, sink);
        general(frame, &mut self.parser, &mut output);
        output.facts
    }
}

/// Decodes any message.
fn general(frame: &[u8], parser: &mut Parser, output: &mut Output<'_, impl RowSink>) {
    let text = without_byte_order_mark(frame).trim_ascii();
    match text.first() {
        None => output.refuse_piece(Reason::EmptyMessage, "", frame),
        Some(b'{') => {
            let alone = parser.parse_with_zeros(text, |element, json| {
                output.element(element, Text { json, raw: text }, Some(frame));
            });
            if alone.is_err() {
                decode_pieces(frame, text, parser, output);
            } else if output.is_full {
                output.refuse_piece(Reason::TooManyRecords, "", frame);
            }
        }
        Some(b'[') => decode_pieces(frame, text, parser, output),
        Some(_) if parser.parse(text, |_| ()).is_ok() => {
            output.refuse_piece(Reason::UnknownMessage, "", frame);
        }
        Some(_) => decode_pieces(frame, text, parser, output),
    }
}

/// Decodes a message that is not one object, value by value.
#[cold]
fn decode_pieces(frame: &[u8], text: &[u8], parser: &mut Parser, output: &mut Output<'_, impl RowSink>) {
    let mut start = 0;
    while let Some((span, is_whole)) = next_value(text, start) {
        start = span.end;
        let alone = (span == (0..text.len())).then_some(frame);
        match (text[span.start], alone) {
            (b'[', _) => decode_array(text, span, parser, output),
            (b'{', _) => {
                let is_cut_off = !is_whole && !text.ends_with(b"}");
                decode_element(text, span, is_cut_off, alone, parser, output);
            }
            (_, Some(frame)) => output.refuse_piece(Reason::MalformedJson, "", frame),
            (_, None) if span.start == 0 => output.refuse_piece(Reason::MalformedJson, "", &text[span]),
            (_, None) => output.refuse_piece(Reason::TrailingBytes, "", &text[span]),
        }
        if output.is_full {
            return;
        }
    }
    if start == 0 {
        output.refuse_piece(Reason::MalformedJson, "", frame);
    }
}

/// Decodes the array at `span`, element by element.
fn decode_array(text: &[u8], span: Span, parser: &mut Parser, output: &mut Output<'_, impl RowSink>) {
    let array = &text[span.clone()];
    let (spans, ending) = elements(array);
    let last = spans.len().saturating_sub(1);
    let mut is_told = false;
    for (index, element) in spans.iter().enumerate() {
        let element = span.start + element.start..span.start + element.end;
        let cut_off = index == last && is_cut_off(array, ending);
        is_told |= decode_element(text, element, cut_off, None, parser, output);
        if output.is_full {
            return;
        }
    }
    match ending {
        Ending::Open if spans.is_empty() => output.refuse_piece(Reason::Truncated, "", array),
        // All that came is decoded, but nobody knows what was to follow.
        Ending::Open if !is_told && is_cut_off(array, ending) => {
            output.refuse_piece(Reason::Truncated, "", &text[text.len()..]);
        }
        Ending::Open | Ending::Closed(_) => {}
    }
}

/// Decodes the value at `span`, in pieces if it is not JSON as a whole. Returns whether the end of the message cut it off,
/// and this was told.
fn decode_element(
    text: &[u8],
    span: Span,
    is_cut_off: bool,
    alone: Option<&[u8]>,
    parser: &mut Parser,
    output: &mut Output<'_, impl RowSink>,
) -> bool {
    let mut decode = |raw: &[u8], alone: Option<&[u8]>, output: &mut Output<'_, _>| {
        parser.parse_with_zeros(raw, |element, json| {
            output.element(element, Text { json, raw }, alone);
        })
    };
    let start = span.start;
    if decode(&text[span.clone()], alone, output).is_ok() {
        if output.is_full {
            output.refuse_piece(Reason::TooManyRecords, "", &text[start..]);
        }
        return false;
    }
    let mut is_told = false;
    for piece in cut(text, span.clone(), true) {
        let start = piece.start;
        let alone = alone.filter(|_| piece == span);
        let raw = &text[piece];
        if let Err(error) = decode(raw, alone, output) {
            let ends_here = is_cut_off && start + raw.len() == text.len();
            is_told |= ends_here;
            let reason = if ends_here {
                Reason::Truncated
            } else {
                fault(&error, raw)
            };
            output.refuse(Refused(reason, ""), raw, alone);
        }
        if output.is_full {
            output.refuse_piece(Reason::TooManyRecords, "", &text[start..]);
            break;
        }
    }
    is_told
}

/// Where the rows of a frame go, and how far they are.
struct Output<'o, S> {
    registrations: &'o RegistrationBook,
    reader: &'o mut Reader,
    sink: &'o mut S,
    /// The next item's number.
    next: usize,
    /// Something did not fit any more.
    is_full: bool,
    facts: Facts,
}

impl<'o, S: RowSink> Output<'o, S> {
    fn new(registrations: &'o RegistrationBook, reader: &'o mut Reader, sink: &'o mut S) -> Self {
        Self {
            registrations,
            reader,
            sink,
            next: 0,
            is_full: false,
            facts: Facts::default(),
        }
    }

    /// Takes a message that is one usual push; `None` if it is not, and nothing has been done.
    #[inline]
    fn usual(&mut self, frame: &[u8]) -> Option<()> {
        let head = usual::head(frame)?;
        let instruments = self.registrations.instruments(head.preset, head.code)?;
        // That of `change` has no keys, so none of its pushes is usual.
        let table = Table::of(head.preset, instruments)?;
        let mut values: Values<'_> = [Value::Null; Table::FIELDS_MAX];
        let kind = self.reader.read_usual(table, head.members, &mut values)?;
        if matches!(table, Table::Ticks | Table::DerivativeTicks) {
            // Their first column.
            values[0] = Value::Word(head.preset as u8);
        }
        self.facts.rows += 1;
        self.sink.row(&Row {
            table,
            preset: head.preset,
            code: head.code,
            kind,
            item: 0,
            values: &values[..table.fields().len()],
            extra: None,
        });
        Some(())
    }

    /// The number of the first of `count` items, if there are as many left.
    #[inline]
    fn take(&mut self, count: usize) -> Option<i16> {
        let end = self.next.checked_add(count).filter(|end| *end <= MAX_ITEMS);
        let first = end.and_then(|_| i16::try_from(self.next).ok());
        self.is_full |= first.is_none();
        self.next = first.and(end).unwrap_or(self.next);
        first
    }

    /// Rejects the message, or a piece of it that is not exactly one record.
    fn refuse_piece(&mut self, reason: Reason, detail: &str, raw: &[u8]) {
        self.facts.rejected += 1;
        self.sink.reject(None, reason, detail, raw);
    }

    /// Rejects a record, or the frame, if it is all that the frame holds (`alone`).
    fn refuse(&mut self, Refused(reason, detail): Refused, raw: &[u8], alone: Option<&[u8]>) {
        self.refuse_with(reason, detail, raw, alone);
    }

    fn refuse_with(&mut self, reason: Reason, detail: &str, raw: &[u8], alone: Option<&[u8]>) {
        if let Some(frame) = alone {
            self.refuse_piece(reason, detail, frame);
        } else if let Some(item) = self.take(1) {
            self.facts.rejected += 1;
            self.sink.reject(Some(item), reason, detail, raw);
        }
    }

    /// Takes a value that parsed. `alone` is the frame if it is all that the frame holds.
    #[inline]
    fn element(&mut self, element: &[Node<'_>], text: Text<'_>, alone: Option<&[u8]>) {
        if !matches!(element, [Node::Object { .. }, ..]) {
            self.refuse(Refused(Reason::NotAnObject, ""), text.raw, alone);
            return;
        }
        match classify(element) {
            Ok(Object::Data(data)) => self.data(element, &data, text),
            Ok(Object::Control) => self.facts.control += 1,
            Ok(Object::Error(id)) => self.error(id, text, alone),
            Ok(Object::Unknown) => self.refuse(Refused(Reason::UnknownMessage, ""), text.raw, alone),
            Err(refused) => self.refuse(refused, text.raw, None),
        }
    }

    /// An error that answers a registration is on record with it. Any other would be recorded nowhere, and is quarantined.
    #[cold]
    fn error(&mut self, id: Option<u64>, text: Text<'_>, alone: Option<&[u8]>) {
        if id.is_some_and(|id| self.registrations.of_id(id).is_some()) {
            self.facts.control += 1;
            return;
        }
        let detail = match Control::classify(text.json) {
            Some(Control::Error(error)) => format!("{}: {}", error.code, error.meaning()),
            _ => String::new(),
        };
        self.refuse_with(Reason::ServerError, &detail, text.raw, alone);
    }

    #[inline]
    fn data(&mut self, element: &[Node<'_>], data: &Data<'_, '_>, text: Text<'_>) {
        if data.is_snapshot {
            match answer(data.element) {
                Answer::State => {}
                // Without a code and a registration it can only be an acknowledgement, of `init`.
                Answer::Nameless if data.id.is_some_and(|id| self.registrations.of_id(id).is_some()) => {
                    return self.refuse(Refused(Reason::MissingKey, CODE), text.raw, None);
                }
                Answer::Words | Answer::Nameless => {
                    self.facts.control += 1;
                    return;
                }
            }
        }
        let given = self.subject(data).and_then(|(preset, subject)| {
            if subject.table == Table::Changes {
                self.changes(&subject, element, data, text)
            } else {
                self.record(preset, &subject, element, data, text)
            }
        });
        if let Err(refused) = given {
            self.refuse(refused, text.raw, None);
        }
    }

    /// Whose record it is.
    #[inline]
    fn subject<'a>(&self, data: &Data<'_, 'a>) -> Result<(Preset, Subject<'a>), Refused> {
        let (mut code, mut preset) = (None, None);
        for (key, value) in Members::of(data.element) {
            match key {
                CODE if code.is_none() => code = Some(value),
                PRESET if preset.is_none() && !is_null(value) => preset = Some(value),
                _ => continue,
            }
            if code.is_some() && preset.is_some() {
                break;
            }
        }
        let code = code.ok_or(Refused(Reason::MissingKey, CODE))?;
        if is_null(code) {
            return Err(Refused(Reason::NullValue, CODE));
        }
        let code = string(code).ok_or(Refused(Reason::WrongType, CODE))?;
        let preset = match preset {
            Some(preset) => {
                let word = string(preset).ok_or(Refused(Reason::WrongType, PRESET))?;
                word.parse()
                    .map_err(|()| Refused(Reason::NotRegistered, PRESET))?
            }
            // A push without a preset is one of `change`.
            None if !data.is_snapshot => Preset::Change,
            None => self
                .preset_of_answer(data.id, code)
                .ok_or(Refused(Reason::NotRegistered, PRESET))?,
        };
        let table = self
            .registrations
            .instruments(preset, code)
            .and_then(|instruments| Table::of(preset, instruments))
            .ok_or(Refused(Reason::NotRegistered, preset.as_str()))?;
        let subject = Subject {
            table,
            preset: preset.as_str(),
            code,
        };
        Ok((preset, subject))
    }

    /// The preset of the registration that an answer is for, or else the only one of the code.
    fn preset_of_answer(&self, id: Option<u64>, code: &str) -> Option<Preset> {
        if let Some(registration) = id.and_then(|id| self.registrations.of_id(id)) {
            return Some(registration.pair.preset);
        }
        let mut all = Preset::ALL
            .into_iter()
            .filter(|preset| self.registrations.instruments(*preset, code).is_some());
        all.next().filter(|_| all.next().is_none())
    }

    #[inline]
    fn record<'a>(
        &mut self,
        preset: Preset,
        subject: &Subject<'a>,
        element: &[Node<'_>],
        data: &Data<'_, 'a>,
        text: Text<'_>,
    ) -> Result<(), Refused> {
        let table = subject.table;
        let mut values: Values<'a> = [Value::Null; Table::FIELDS_MAX];
        let Read { kind, has_extra } = self.reader.read(subject, data, text, &mut values)?;
        if matches!(table, Table::Ticks | Table::DerivativeTicks) {
            // Their first column.
            values[0] = Value::Word(preset as u8);
        }
        let Some(item) = self.take(1) else { return Ok(()) };
        let extra = if has_extra || data.has_others {
            self.reader.extra(table, element, data, text.json)
        } else {
            None
        };
        self.facts.rows += 1;
        self.sink.row(&Row {
            table,
            preset,
            code: subject.code,
            kind,
            item,
            values: &values[..table.fields().len()],
            extra,
        });
        Ok(())
    }

    /// A row for each item. What is no item is in `extra` of each.
    fn changes(
        &mut self,
        subject: &Subject<'_>,
        element: &[Node<'_>],
        data: &Data<'_, '_>,
        text: Text<'_>,
    ) -> Result<(), Refused> {
        let mut items = 0;
        for (key, value) in Members::of(data.element) {
            match key {
                CODE if string(value) != Some(subject.code) => {
                    return Err(Refused(Reason::DuplicateKey, CODE));
                }
                key => items += usize::from(is_item(key)),
            }
        }
        if items == 0 {
            return Err(Refused(Reason::MissingKey, "items"));
        }
        let Some(mut item) = self.take(items) else {
            return Ok(());
        };
        let kind = match time_of_items(data) {
            _ if data.is_snapshot => RowKind::Snapshot,
            Some(time) => RowKind::Traded(time.kind()),
            None => RowKind::Update,
        };
        let extra = self
            .reader
            .extra(subject.table, element, data, text.json)
            .map(str::to_owned);
        let (reader, sink) = (&mut *self.reader, &mut *self.sink);
        reader.items(data, text, |field, value| {
            sink.row(&Row {
                table: subject.table,
                preset: Preset::Change,
                code: subject.code,
                kind,
                item,
                values: &[Value::Text(field), value],
                extra: extra.as_deref(),
            });
            item += 1;
        });
        self.facts.rows += items;
        Ok(())
    }
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod refusals;

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod pieces;

#[cfg(test)]
#[path = "usual_tests.rs"]
mod usual_push;
