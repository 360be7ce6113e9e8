//! The rows that a text must become, following docs/protocol.md in the plainest way.
//!
//! It knows what the simulator sends, not all that a server could send.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// One row of `trades` or `quarantine`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole record.
    Trade(Trade<'a>),
    /// A record (`item`) or a message that is not whole.
    Rejected {
        /// The record's position, or none for a whole message.
        item: Option<i16>,
        /// The word in the `reason` column.
        reason: &'static str,
        /// The bytes as sent.
        raw: &'a str,
    },
}

/// A record's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade<'a> {
    /// Its position.
    pub item: i16,
    /// `isuSrtCd`.
    pub code: &'a str,
    /// `trdPrc`.
    pub price: i64,
    /// `trdVol`.
    pub volume: i64,
    /// `trdTm`.
    pub time: i32,
}

/// A record as the full-market feed sends it: four strings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record<'a> {
    #[serde(rename = "isuSrtCd")]
    code: &'a str,
    #[serde(rename = "trdPrc")]
    price: &'a str,
    #[serde(rename = "trdVol")]
    volume: &'a str,
    #[serde(rename = "trdTm")]
    time: &'a str,
}

/// What a text must become; nothing for replies and heartbeats.
#[must_use]
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    if let Ok(records) = serde_json::from_str::<Vec<Record<'_>>>(text)
        && let Some(pieces) = records
            .iter()
            .zip(0..)
            .map(|(record, item)| trade(item, record))
            .collect()
    {
        return pieces;
    }
    match text.as_bytes().first() {
        Some(b'[') => elements(text),
        Some(b'{') => object(text),
        _ => vec![Piece::Rejected {
            item: None,
            reason: "malformed_json",
            raw: text,
        }],
    }
}

fn trade<'a>(item: i16, record: &Record<'a>) -> Option<Piece<'a>> {
    Some(Piece::Trade(Trade {
        item,
        code: record.code,
        price: digits(record.price)?,
        volume: digits(record.volume)?,
        time: i32::try_from(digits(record.time)?).ok()?,
    }))
}

fn digits(text: &str) -> Option<i64> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { text.parse().ok() } else { None }
}

/// An array with an element that is not a good record: each is examined separately.
fn elements(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), &text[1..]);
    for item in 0.. {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let Some(Ok(raw)) = values.next() else {
            // The simulator's broken arrays end in the middle of a record.
            pieces.push(Piece::Rejected {
                item: Some(item),
                reason: "truncated",
                raw: rest.trim(),
            });
            break;
        };
        let raw = raw.get();
        let record = serde_json::from_str::<Record<'_>>(raw).ok();
        let piece = record.and_then(|record| trade(item, &record));
        pieces.push(piece.unwrap_or(Piece::Rejected {
            item: Some(item),
            reason: "not_an_integer",
            raw,
        }));
        rest = &rest[values.byte_offset()..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    pieces
}

fn object(text: &str) -> Vec<Piece<'_>> {
    let rejected = |reason| {
        vec![Piece::Rejected {
            item: None,
            reason,
            raw: text,
        }]
    };
    match serde_json::from_str::<Value>(text) {
        Err(_) => rejected("malformed_json"),
        Ok(object) if object["method"] == "heartbeat" || !object["result"].is_null() => Vec::new(),
        Ok(object) if !object["error"].is_null() => rejected("server_error"),
        Ok(_) => rejected("unknown_message"),
    }
}

/// The milliseconds since midnight that a `trdTm` means, unless it is a signal.
#[must_use]
pub fn clock_ms(time: i32) -> Option<i64> {
    let text = format!("{time:08}");
    let field = |at: usize| text.get(at..at + 2)?.parse::<i64>().ok();
    let (hours, minutes, seconds, hundredths) = (field(0)?, field(2)?, field(4)?, field(6)?);
    let clock = time != 0 && text.len() == 8 && hours <= 23 && minutes <= 59 && seconds <= 59;
    clock.then_some(hours * 3_600_000 + minutes * 60_000 + seconds * 1000 + hundredths * 10)
}

/// The word in the `kind` column.
#[must_use]
pub fn kind(time: i32) -> &'static str {
    match time {
        0 => "before_first_trade",
        31_000_000 => "regular_close",
        41_000_000 => "after_hours_close",
        81_000_000 => "single_price_close",
        91_000_007 | 91_000_008 => "buy_in_close",
        51_000_000 => "block_before",
        61_000_000 => "block_during",
        71_000_000 => "block_after",
        time if clock_ms(time).is_some() => "trade",
        _ => "unknown_signal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_what_the_guide_says() {
        let good = r#"{"isuSrtCd":"000210","trdPrc":"81000","trdVol":"5","trdTm":"14340400"}"#;
        let bad = good.replace("81000", "8x000");
        let of_good = Piece::Trade(Trade {
            item: 0,
            code: "000210",
            price: 81_000,
            volume: 5,
            time: 14_340_400,
        });
        assert_eq!(pieces(&format!("[{good}]")), std::slice::from_ref(&of_good));
        let rejected = |item, reason, raw| Piece::Rejected { item, reason, raw };
        assert_eq!(
            pieces(&format!("[{good},{bad}]")),
            [of_good.clone(), rejected(Some(1), "not_an_integer", &bad)]
        );
        assert_eq!(
            pieces(&format!("[{good},{}", &bad[..30])),
            [of_good, rejected(Some(1), "truncated", &bad[..30])]
        );
        assert_eq!(pieces("[]"), []);
        assert_eq!(pieces("hello"), [rejected(None, "malformed_json", "hello")]);
        assert_eq!(
            pieces(r#"{"a":1}"#),
            [rejected(None, "unknown_message", r#"{"a":1}"#)]
        );
        assert_eq!(
            pieces(r#"{"error":{"code":47}}"#),
            [rejected(None, "server_error", r#"{"error":{"code":47}}"#)]
        );
        assert_eq!(pieces(r#"{"id":1,"result":{"message":"ok"}}"#), []);
        assert_eq!(pieces(r#"{"id":1,"method":"heartbeat"}"#), []);
    }

    #[test]
    fn times_and_signals_are_told_apart() {
        assert_eq!(
            (clock_ms(9_450_155), kind(9_450_155)),
            (Some(35_101_550), "trade")
        );
        for (time, word) in [
            (0, "before_first_trade"),
            (31_000_000, "regular_close"),
            (24_000_000, "unknown_signal"),
        ] {
            assert_eq!((clock_ms(time), kind(time)), (None, word));
        }
    }
}
