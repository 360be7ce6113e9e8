//! `Decoder` on any frame, and its results beside those of `serde_json` where the frame is JSON.

use std::ops::Range;

use krx_protocol::{BatchSink, Control, Decoded, Decoder, MAX_ITEMS, Reason, Trade};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::members::Members;

const GOOD: &str = r#"{"isuSrtCd":"000210","trdPrc":"81000","trdVol":"5","trdTm":"14340400"}"#;

/// Longer values of a record reveal nothing new.
const VALUE_MAX: usize = 64;

/// Decodes the bytes by themselves, as a record between two good ones, and as a value of each key.
///
/// # Panics
/// When something does not hold.
pub fn check(data: &[u8]) {
    check_frame(data);
    // In the layout of the guide, with the bytes in the place of one value after the other.
    if data.len() <= VALUE_MAX {
        usual_frames_of_values(data).for_each(|frame| drop(check_frame(&frame)));
    }
    let frame = [b"[", GOOD.as_bytes(), b",", data, b",", GOOD.as_bytes(), b"]"].concat();
    let outcomes = check_frame(&frame);
    let good =
        |outcome: Option<&Outcome>| matches!(outcome, Some(Outcome::Trade(trade)) if *trade == good_values());
    assert!(good(outcomes.first()), "the record before is lost");
    // A bracket may close the array early; the record behind then is among the bytes that follow it.
    let closed_early = outcomes.iter().any(|outcome| {
        matches!(outcome, Outcome::Reject(reject)
            if matches!(reject.reason, Reason::TrailingBytes | Reason::TooManyRecords))
    });
    assert!(closed_early || good(outcomes.last()), "the record behind is lost");
    if data.len() <= VALUE_MAX {
        check_frame(&frame_of_values(data));
    }
}

/// A record for each of the keys, and one for an unknown key, with `value` there and good values elsewhere.
fn frame_of_values(value: &[u8]) -> Vec<u8> {
    let good = [&b"\"000210\""[..], b"81000", b"5", b"\"14340400\"", b"null"];
    let mut frame = b"[".to_vec();
    for changed in 0..good.len() {
        frame.extend(if changed == 0 { &b"{"[..] } else { b",{" });
        for (index, key) in KEYS.into_iter().chain(["extra"]).enumerate() {
            let separator = if index == 0 { "" } else { "," };
            frame.extend(format!("{separator}\"{key}\":").as_bytes());
            frame.extend(if index == changed { value } else { good[index] });
        }
        frame.push(b'}');
    }
    frame.push(b']');
    frame
}

/// A record in the layout of the guide for each of the keys, with `value` in the quotes there: each in a frame of its own, or a bad
/// code would send all values to the parser.
fn usual_frames_of_values(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..KEYS.len()).map(move |changed| {
        let good = [&b"000210"[..], b"81000", b"5", b"14340400"];
        let mut frame = b"[{".to_vec();
        for (index, key) in KEYS.into_iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            frame.extend(format!("{separator}\"{key}\":\"").as_bytes());
            frame.extend(if index == changed { value } else { good[index] });
            frame.push(b'"');
        }
        frame.extend(b"}]");
        frame
    })
}

/// The values of [`GOOD`].
fn good_values() -> Values {
    Values {
        code: "000210".to_owned(),
        price: 81_000,
        volume: 5,
        time: 14_340_400,
        extra: None,
    }
}

/// What the sink was given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Trade(Values),
    Reject(Rejected),
}

/// A trade's values; the item is not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Values {
    code: String,
    price: i64,
    volume: i64,
    time: i32,
    extra: Option<String>,
}

/// A reject; the bytes as their place in the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rejected {
    whole: bool,
    reason: Reason,
    detail: String,
    raw: Range<usize>,
}

struct Sink<'a> {
    frame: &'a [u8],
    items: usize,
    outcomes: Vec<Outcome>,
    rejected_up_to: usize,
}

impl Sink<'_> {
    /// Items are positions, so that the next one is always known.
    fn next(&mut self, item: i16) {
        assert_eq!(
            usize::try_from(item),
            Ok(self.items),
            "an item is left out, doubled or out of order"
        );
        self.items += 1;
    }
}

impl BatchSink for Sink<'_> {
    fn trade(&mut self, item: i16, trade: &Trade<'_>) {
        self.next(item);
        let extra = trade.extra.map(str::to_owned);
        if let Some(extra) = &extra {
            let Members(members) = serde_json::from_str(extra).expect("extra is a JSON object");
            assert!(
                !members.is_empty() && members.iter().all(|(key, _)| slot(key).is_none()),
                "{extra}"
            );
        }
        self.outcomes.push(Outcome::Trade(Values {
            code: trade.code.to_string(),
            price: trade.price,
            volume: trade.volume,
            time: trade.time.digits(),
            extra,
        }));
    }

    fn reject(&mut self, item: Option<i16>, reason: Reason, detail: &str, raw: &[u8]) {
        if let Some(item) = item {
            self.next(item);
        }
        let raw = place(self.frame, raw).expect("what is rejected is a piece of the frame");
        assert!(raw.start >= self.rejected_up_to, "rejected twice");
        self.rejected_up_to = raw.end;
        self.outcomes.push(Outcome::Reject(Rejected {
            whole: item.is_none(),
            reason,
            detail: detail.to_owned(),
            raw,
        }));
    }
}

/// Where `piece` lies in `whole`, by its address.
fn place(whole: &[u8], piece: &[u8]) -> Option<Range<usize>> {
    let start = piece.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (start + piece.len() <= whole.len()).then(|| start..start + piece.len())
}

fn check_frame(frame: &[u8]) -> Vec<Outcome> {
    let mut decoder = Decoder::new();
    let first = decode(frame, |sink| decoder.decode(frame, sink));
    let again = decode(frame, |sink| decoder.decode(frame, sink));
    assert_eq!(first, again, "buffers carry something over");
    let parsed = decode(frame, |sink| decoder.decode_by_parser(frame, sink));
    assert_eq!(first, parsed, "the parser's word counts");
    let (decoded, outcomes) = first;
    if let Decoded::Batch(elements) = decoded {
        compare(frame, elements, &outcomes);
    }
    outcomes
}

fn decode<'f>(frame: &'f [u8], decode: impl FnOnce(&mut Sink<'f>) -> Decoded) -> (Decoded, Vec<Outcome>) {
    let mut sink = Sink {
        frame,
        items: 0,
        outcomes: Vec::new(),
        rejected_up_to: 0,
    };
    let decoded = decode(&mut sink);
    let Sink { items, outcomes, .. } = sink;
    let of_the_whole: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Reject(reject) if reject.whole => Some(reject),
            _ => None,
        })
        .collect();
    match &decoded {
        Decoded::Batch(elements) => {
            assert_eq!(items, (*elements).min(MAX_ITEMS), "an element is lost");
            assert!(of_the_whole.len() <= 1);
            if let Some(reject) = of_the_whole.first() {
                assert!(matches!(
                    reject.reason,
                    Reason::TooManyRecords | Reason::TrailingBytes | Reason::Truncated
                ));
                assert_eq!(reject.raw.end, frame.trim_ascii_end().len());
            }
            assert!(
                *elements <= MAX_ITEMS || of_the_whole.len() == 1,
                "elements are lost"
            );
        }
        Decoded::Control(Control::Reply | Control::Heartbeat) => assert!(outcomes.is_empty()),
        Decoded::Control(_) | Decoded::Rejected => {
            assert_eq!((items, of_the_whole.len()), (0, 1));
            assert_eq!(of_the_whole[0].raw, 0..frame.len());
        }
    }
    (decoded, outcomes)
}

/// Parses the frame again with `serde_json`, if it is strict JSON, and compares each element.
fn compare(frame: &[u8], elements: usize, outcomes: &[Outcome]) {
    let text = frame.strip_prefix(b"\xef\xbb\xbf").unwrap_or(frame).trim_ascii();
    // As values, numbers must be in range and escapes be characters, which raw values leave open.
    if serde_json::from_slice::<Vec<Value>>(text).is_err() || elements > MAX_ITEMS {
        return;
    }
    let raws: Vec<&RawValue> = serde_json::from_slice(text).expect("an array of values is one of raw values");
    // An integer that 64 bits do not hold is JSON, and refused by the parser: the element may be cut further.
    if raws.iter().any(|raw| holds_long_integer(raw.get())) {
        return;
    }
    assert_eq!(raws.len(), elements);
    for (raw, outcome) in raws.into_iter().zip(outcomes) {
        let expected = match record(raw.get()) {
            Ok(values) => Outcome::Trade(values),
            Err((reason, detail)) => Outcome::Reject(Rejected {
                whole: false,
                reason,
                detail: detail.to_owned(),
                raw: place(frame, raw.get().as_bytes()).expect("a raw value is borrowed"),
            }),
        };
        assert_eq!(*outcome, expected, "{}", raw.get());
    }
}

const KEYS: [&str; 4] = ["isuSrtCd", "trdPrc", "trdVol", "trdTm"];

fn slot(key: &str) -> Option<usize> {
    KEYS.iter()
        .position(|known| *known == key)
        .or((key == "trdvol").then_some(2))
}

/// Reads a record by the rules of docs/protocol.md.
fn record(element: &str) -> Result<Values, (Reason, &'static str)> {
    if !element.starts_with('{') {
        return Err((Reason::NotAnObject, ""));
    }
    let Members(members) = serde_json::from_str(element).expect("an object");
    let mut values = [None; 4];
    let mut extra = Vec::new();
    let mut end = 0;
    for (key, value) in members {
        let start = end;
        end = place(element.as_bytes(), value.get().as_bytes())
            .expect("a raw value is borrowed")
            .end;
        match slot(&key) {
            Some(slot) if values[slot].is_some() => return Err((Reason::DuplicateKey, KEYS[slot])),
            Some(slot) => values[slot] = Some(value.get()),
            None => extra.push(element[start..end].trim_start_matches(['{', ',', ' ', '\t', '\r', '\n'])),
        }
    }
    for (slot, value) in values.iter().enumerate() {
        if value.is_none() {
            return Err((Reason::MissingKey, KEYS[slot]));
        }
    }
    let [code, price, volume, time] = values.map(Option::unwrap_or_default);
    let code = match code.as_bytes()[0] {
        b'"' => serde_json::from_str::<String>(code).expect("a string"),
        b'n' => return Err((Reason::NullValue, KEYS[0])),
        _ => return Err((Reason::WrongType, KEYS[0])),
    };
    if !(1..=12).contains(&code.len()) || !code.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return Err((Reason::BadCode, KEYS[0]));
    }
    let price = integer(price).map_err(|reason| (reason, KEYS[1]))?;
    let volume = integer(volume).map_err(|reason| (reason, KEYS[2]))?;
    let time = integer(time).map_err(|reason| (reason, KEYS[3]))?;
    if time > 99_999_999 {
        return Err((Reason::BadTime, KEYS[3]));
    }
    Ok(Values {
        code,
        price,
        volume,
        time: i32::try_from(time).expect("eight digits"),
        extra: (!extra.is_empty()).then(|| format!("{{{}}}", extra.join(","))),
    })
}

fn integer(raw: &str) -> Result<i64, Reason> {
    let digits = |text: &str| {
        let text = text.trim_start_matches('0');
        if text.is_empty() {
            Ok(0)
        } else {
            text.parse().map_err(|_| Reason::Overflow)
        }
    };
    match raw.as_bytes()[0] {
        b'"' => {
            let text: String = serde_json::from_str(raw).expect("a string");
            let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
            let bytes = text.as_bytes();
            if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit) {
                digits(&text)
            } else if matches!(bytes.first(), Some(b'+' | b'-')) && is_digit(bytes.get(1)) {
                Err(Reason::Sign)
            } else if is_digit(bytes.first()) && bytes.iter().all(|byte| b"0123456789.eE+-".contains(byte)) {
                Err(Reason::Fraction)
            } else {
                Err(Reason::NotAnInteger)
            }
        }
        b'n' => Err(Reason::NullValue),
        b't' | b'f' | b'[' | b'{' => Err(Reason::WrongType),
        _ if raw.contains(['.', 'e', 'E']) => Err(Reason::Fraction),
        b'-' => Err(Reason::Sign),
        _ => digits(raw),
    }
}

/// Whether the JSON text has, outside of strings, an integer that neither `i64` nor `u64` holds.
fn holds_long_integer(json: &str) -> bool {
    let mut outside = String::new();
    let mut chars = json.chars();
    while let Some(char) = chars.next() {
        if char != '"' {
            outside.push(char);
            continue;
        }
        while let Some(char) = chars.next() {
            match char {
                '\\' => drop(chars.next()),
                '"' => break,
                _ => {}
            }
        }
    }
    outside
        .split(|char: char| !(char.is_ascii_digit() || "+-.eE".contains(char)))
        .filter(|run| !run.contains(['.', 'e', 'E']))
        .any(|run| run.len() > 18 && run.parse::<i64>().is_err() && run.parse::<u64>().is_err())
}
