//! One record: its four values, what is wrong with it, and where it goes.

use simd_json::Node;

use crate::issue_code::IssueCode;
use crate::number;
use crate::parser::node_count;
use crate::reason::Reason;
use crate::scan::members;
use crate::trade_time::TradeTime;

/// The most elements of one array that are decoded individually, so that a position fits into 16 bits; the rest is
/// rejected in one piece.
pub const MAX_ITEMS: usize = i16::MAX as usize;

/// The most records that the guide allows in one message. More are accepted, and counted by the caller.
pub const PACKED_RECORDS_MAX: usize = 50;

/// A whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade<'a> {
    /// `isuSrtCd`.
    pub code: IssueCode<'a>,
    /// `trdPrc`, KRW.
    pub price: i64,
    /// `trdVol` as sent; it is not known whether it is traded or cumulative volume.
    pub volume: i64,
    /// `trdTm`.
    pub time: TradeTime,
    /// The keys that the guide does not name, as a JSON object of the bytes as sent.
    pub extra: Option<&'a str>,
}

impl Trade<'_> {
    /// A placeholder.
    pub(crate) const NONE: Self = Self {
        code: IssueCode::NONE,
        price: 0,
        volume: 0,
        time: TradeTime::NONE,
        extra: None,
    };
}

/// Where records go. Items are positions in the frame's array, from 0, in rising order.
pub trait BatchSink {
    /// A whole record.
    fn trade(&mut self, item: i16, trade: &Trade<'_>);
    /// All records of a message, each of them whole and without an `extra`.
    #[inline]
    fn trades(&mut self, trades: &[Trade<'_>]) {
        for (item, trade) in (0..).zip(trades) {
            self.trade(item, trade);
        }
    }
    /// Anything else: one record (`item`), or the message or a piece of it (`None`). `raw` is as received.
    fn reject(&mut self, item: Option<i16>, reason: Reason, detail: &str, raw: &[u8]);
}

/// Why a record is rejected: the reason, and the key concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Reason, pub(crate) &'static str);

/// A record's four values, and whether it has no others.
pub(crate) struct Fields<'a> {
    pub(crate) trade: Trade<'a>,
    pub(crate) plain: bool,
}

const KEYS: [&str; 4] = ["isuSrtCd", "trdPrc", "trdVol", "trdTm"];

/// Which of [`KEYS`] a key is. The per-issue service spells the volume `trdvol`, and the guide mixes both.
#[inline]
fn known_key(key: &str) -> Option<usize> {
    match key {
        "isuSrtCd" => Some(0),
        "trdPrc" => Some(1),
        "trdVol" | "trdvol" => Some(2),
        "trdTm" => Some(3),
        _ => None,
    }
}

/// Reads one element of the array from its nodes.
#[inline]
pub(crate) fn record<'a>(element: &[Node<'a>]) -> Result<Fields<'a>, Refused> {
    // Nearly every record of a day has exactly the guide's keys in the guide's order.
    if let [
        Node::Object { len: 4, .. },
        Node::String("isuSrtCd"),
        code,
        Node::String("trdPrc"),
        price,
        Node::String("trdVol"),
        volume,
        Node::String("trdTm"),
        time,
    ] = element
    {
        return Ok(Fields {
            trade: trade(code, price, volume, time)?,
            plain: true,
        });
    }
    record_in_any_order(element)
}

fn record_in_any_order<'a>(element: &[Node<'a>]) -> Result<Fields<'a>, Refused> {
    let Some(Node::Object { len, .. }) = element.first() else {
        return Err(Refused(Reason::NotAnObject, ""));
    };
    let mut values: [Option<&Node<'a>>; 4] = [None; 4];
    let mut members = &element[1..];
    let mut plain = true;
    for _ in 0..*len {
        let [Node::String(key), rest @ ..] = members else {
            break;
        };
        match known_key(key) {
            Some(slot) if values[slot].is_some() => return Err(Refused(Reason::DuplicateKey, KEYS[slot])),
            Some(slot) => values[slot] = rest.first(),
            None => plain = false,
        }
        members = &rest[node_count(rest)..];
    }
    let value = |slot: usize| values[slot].ok_or(Refused(Reason::MissingKey, KEYS[slot]));
    Ok(Fields {
        trade: trade(value(0)?, value(1)?, value(2)?, value(3)?)?,
        plain,
    })
}

#[inline]
fn trade<'a>(
    code: &Node<'a>,
    price: &Node<'_>,
    volume: &Node<'_>,
    time: &Node<'_>,
) -> Result<Trade<'a>, Refused> {
    let code = match code {
        Node::String(text) => IssueCode::new(text).map_err(|_| Refused(Reason::BadCode, KEYS[0]))?,
        Node::Static(simd_json::StaticNode::Null) => return Err(Refused(Reason::NullValue, KEYS[0])),
        _ => return Err(Refused(Reason::WrongType, KEYS[0])),
    };
    let integer = |node, slot: usize| number::integer(node).map_err(|reason| Refused(reason, KEYS[slot]));
    let (price, volume) = (integer(price, 1)?, integer(volume, 2)?);
    let time = TradeTime::from_digits(integer(time, 3)?).map_err(|_| Refused(Reason::BadTime, KEYS[3]))?;
    Ok(Trade {
        code,
        price,
        volume,
        time,
        extra: None,
    })
}

/// Passes a record that is rejected, or has unknown keys, to the sink. `json` is what was parsed, `raw` what was
/// received.
#[cold]
pub(crate) fn give(
    item: i16,
    decoded: Result<Fields<'_>, Refused>,
    element: &[Node<'_>],
    json: &[u8],
    raw: &[u8],
    extra: &mut String,
    sink: &mut impl BatchSink,
) {
    match decoded {
        Ok(Fields { trade, plain: true }) => sink.trade(item, &trade),
        Ok(Fields { trade, plain: false }) => {
            unknown_members(element, json, extra);
            sink.trade(
                item,
                &Trade {
                    extra: Some(extra),
                    ..trade
                },
            );
        }
        Err(Refused(reason, key)) => sink.reject(Some(item), reason, key, raw),
    }
}

/// Writes the members that [`known_key`] does not know as one JSON object, with their bytes as sent. `json` is the text
/// of `element`, which parsed.
fn unknown_members(element: &[Node<'_>], json: &[u8], object: &mut String) {
    object.clear();
    object.push('{');
    let (mut nodes, mut spans) = (&element[1..], Vec::new());
    members(json, &mut spans);
    for member in spans {
        let [Node::String(key), value @ ..] = nodes else {
            break;
        };
        nodes = &value[node_count(value)..];
        if known_key(key).is_none() {
            if object.len() > 1 {
                object.push(',');
            }
            object.push_str(&String::from_utf8_lossy(&json[member]));
        }
    }
    object.push('}');
}
