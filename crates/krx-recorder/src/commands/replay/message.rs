//! Turns a recorded frame back into a message: rows of trades and quarantine in, one text out. Pure.
//!
//! | rows | text |
//! |---|---|
//! | trades | an object of four strings in the guide's order, then the members of `extra` as they were sent |
//! | quarantined records | `raw`, at their place in the array |
//! | `truncated` as a record | the array is not closed after it |
//! | `truncated` without a record or bytes | the array is not closed |
//! | `trailing_bytes` | `raw` after the closed array |
//! | `too_many_records` | `raw`, which includes the end of the array |
//! | any other message quarantined whole | `raw` and nothing else |
//!
//! White space, the order of keys, and whether values were numbers or strings are not recorded: they make no difference
//! to what is decoded. Messages with quarantined records are decoded again, to find out where they do.

use std::fmt::Write as _;

use krx_protocol::{BatchSink, Control, Decoder, IssueCode, Reason, Trade};

/// Enough for a full message of ordinary records without reallocating.
const TEXT_CAPACITY: usize = 4096;

/// The columns of a row of trades that came over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// `isuSrtCd`.
    pub code: &'a str,
    /// `trdPrc`.
    pub price: i64,
    /// `trdVol`.
    pub volume: i64,
    /// The digits of `trdTm`.
    pub trade_time: i32,
    /// A JSON object of the other members.
    pub extra: Option<&'a str>,
}

/// A frame ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The text.
    pub text: String,
    /// Elements in its array; 0 if it is not an array.
    pub records: u32,
    /// Whether it decodes to the rows it was made from.
    pub exact: bool,
    /// Records left out because they are not text.
    pub left_out: u32,
}

/// Why a frame is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withheld {
    /// It is a server error, which would end or disturb a healthy session.
    ServerError,
    /// It is not UTF-8, so it cannot be a text message.
    NotText,
}

/// Builds messages, one frame after the other.
pub(crate) struct MessageBuilder {
    text: String,
    records: u32,
    left_out: u32,
    whole: Option<(Vec<u8>, bool)>,
    trailing: Option<String>,
    closed: bool,
    /// The rows of a frame with quarantined records, to compare with what the text decodes to.
    rows: Option<Rows>,
    decoder: Decoder,
}

/// The recorded rows of one frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rows(Vec<Row>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Row {
    Trade {
        item: i16,
        code: String,
        price: i64,
        volume: i64,
        trade_time: i32,
        extra: Option<String>,
    },
    Rejected {
        item: Option<i16>,
        reason: String,
        raw: Vec<u8>,
    },
}

impl Rows {
    fn trade(&mut self, item: i16, record: &Record<'_>) {
        self.0.push(Row::Trade {
            item,
            code: record.code.to_owned(),
            price: record.price,
            volume: record.volume,
            trade_time: record.trade_time,
            extra: record.extra.map(str::to_owned),
        });
    }

    fn rejected(&mut self, item: Option<i16>, reason: &str, raw: &[u8]) {
        self.0.push(Row::Rejected {
            item,
            reason: reason.to_owned(),
            raw: raw.to_owned(),
        });
    }
}

impl BatchSink for Rows {
    fn trade(&mut self, item: i16, trade: &Trade<'_>) {
        self.trade(item, &Record::from(trade));
    }

    fn reject(&mut self, item: Option<i16>, reason: Reason, _detail: &str, raw: &[u8]) {
        self.rejected(item, reason.as_str(), raw);
    }
}

impl<'a> From<&Trade<'a>> for Record<'a> {
    fn from(trade: &Trade<'a>) -> Self {
        Self {
            code: trade.code.as_str(),
            price: trade.price,
            volume: trade.volume,
            trade_time: trade.time.digits(),
            extra: trade.extra,
        }
    }
}

impl Default for MessageBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl MessageBuilder {
    /// A builder that has begun a frame of trades only.
    #[must_use]
    pub(crate) fn new() -> Self {
        let mut builder = Self {
            text: String::new(),
            records: 0,
            left_out: 0,
            whole: None,
            trailing: None,
            closed: true,
            rows: None,
            decoder: Decoder::new(),
        };
        builder.begin(false);
        builder
    }

    /// Begins a frame. If it has rows of quarantine (`checked`), it is decoded again when finished.
    pub(crate) fn begin(&mut self, checked: bool) {
        self.text = String::with_capacity(TEXT_CAPACITY);
        self.text.push('[');
        (self.records, self.left_out) = (0, 0);
        (self.whole, self.trailing, self.closed) = (None, None, true);
        self.rows = checked.then(Rows::default);
    }

    /// Adds a row of trades. Rows must come in order of `item`.
    pub(crate) fn trade(&mut self, item: i16, record: &Record<'_>) {
        if let Some(rows) = &mut self.rows {
            rows.trade(item, record);
        }
        self.separate();
        write_record(&mut self.text, record);
    }

    /// Adds a row of quarantine. Rows without `item` come last.
    pub(crate) fn rejected(&mut self, item: Option<i16>, reason: &str, raw: &[u8]) {
        if let Some(rows) = &mut self.rows {
            rows.rejected(item, reason, raw);
        }
        let place = Place::of(item, reason, raw);
        match (place, std::str::from_utf8(raw)) {
            (Place::End, _) => self.closed = false,
            (Place::Whole, _) => self.whole = Some((raw.to_owned(), reason == Reason::ServerError.as_str())),
            (Place::AfterArray | Place::InArray { .. }, Err(_)) => self.left_out += 1,
            (Place::AfterArray, Ok(text)) => self.trailing = Some(text.to_owned()),
            (Place::InArray { is_last }, Ok(text)) => {
                self.separate();
                self.text.push_str(text);
                self.closed &= !is_last;
            }
        }
    }

    /// The message.
    ///
    /// # Errors
    /// [`Withheld`], if it must not be sent.
    pub(crate) fn finish(&mut self) -> Result<Message, Withheld> {
        if let Some((raw, server_error)) = self.whole.take() {
            if server_error || is_server_error(&raw) {
                return Err(Withheld::ServerError);
            }
            self.text = String::from_utf8(raw).map_err(|_| Withheld::NotText)?;
            self.records = 0;
        } else {
            if self.closed {
                self.text.push(']');
            }
            if let Some(trailing) = self.trailing.take() {
                self.text.push_str(&trailing);
            }
        }
        let text = std::mem::take(&mut self.text);
        let exact = self.rows.take().is_none_or(|rows| {
            let mut read = Rows::default();
            self.decoder.decode(text.as_bytes(), &mut read);
            read == rows
        });
        Ok(Message {
            text,
            records: self.records,
            exact,
            left_out: self.left_out,
        })
    }

    fn separate(&mut self) {
        if self.records > 0 {
            self.text.push(',');
        }
        self.records += 1;
    }
}

/// Where in its message the bytes of a quarantine row were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// They are the whole message.
    Whole,
    /// An element of its array; the message ends with the last one, which includes the array's end or lacks it.
    InArray { is_last: bool },
    /// Behind the closed array.
    AfterArray,
    /// There are no bytes; the array was never closed.
    End,
}

impl Place {
    pub(super) fn of(item: Option<i16>, reason: &str, raw: &[u8]) -> Self {
        let is = |one: Reason| reason == one.as_str();
        match item {
            Some(_) => Self::InArray {
                is_last: is(Reason::Truncated),
            },
            None if is(Reason::Truncated) && raw.is_empty() => Self::End,
            None if is(Reason::TrailingBytes) => Self::AfterArray,
            None if is(Reason::TooManyRecords) => Self::InArray { is_last: true },
            None => Self::Whole,
        }
    }
}

/// The text between the braces of `extra`, a JSON object; `None` if it is empty.
pub(super) fn members_of(extra: Option<&str>) -> Option<&str> {
    extra
        .and_then(|object| object.strip_prefix('{')?.strip_suffix('}'))
        .filter(|members| !members.is_empty())
}

/// Whether a recorder would take it for a server error, whatever it was recorded as.
pub(super) fn is_server_error(raw: &[u8]) -> bool {
    let text = krx_protocol::without_byte_order_mark(raw);
    matches!(Control::classify(text.trim_ascii()), Some(Control::Error(_)))
}

fn write_record(text: &mut String, record: &Record<'_>) {
    text.push_str("{\"isuSrtCd\":");
    match IssueCode::new(record.code) {
        Ok(code) => {
            let _ = write!(text, "\"{code}\"");
        }
        // No recorder writes such a row; if there is one anyway, it must not break its neighbours.
        Err(_) => {
            let _ = write!(text, "{}", serde_json::Value::from(record.code));
        }
    }
    // Writing to a string does not fail.
    let _ = write!(
        text,
        ",\"trdPrc\":\"{}\",\"trdVol\":\"{}\"",
        record.price, record.volume
    );
    let _ = match record.trade_time {
        0 => write!(text, ",\"trdTm\":\"0\""),
        digits => write!(text, ",\"trdTm\":\"{digits:08}\""),
    };
    if let Some(members) = members_of(record.extra) {
        text.push(',');
        text.push_str(members);
    }
    text.push('}');
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
