//! The usual message of the full-market service, read without the parser: an array of records in the layout that the guide
//! prints, byte for byte.
//!
//! `[{"isuSrtCd":"000210","trdPrc":"81000","trdVol":"5","trdTm":"14340400"},…]`
//!
//! A message with anything else in it, even a blank, is left to simd-json as a whole (docs/adr/0053).

use crate::issue_code::IssueCode;
use crate::record::{PACKED_RECORDS_MAX, Trade};
use crate::trade_time::TradeTime;
use crate::written::{alphanumerics, number};

const CODE: &[u8; 13] = br#"{"isuSrtCd":""#;
const PRICE: &[u8; 12] = br#"","trdPrc":""#;
const VOLUME: &[u8; 12] = br#"","trdVol":""#;
const TIME: &[u8; 11] = br#"","trdTm":""#;

/// The records of `message`, which are put into `room`, if it is a usual one.
#[inline]
pub(crate) fn trades<'r, 'm>(
    message: &'m [u8],
    room: &'r mut [Trade<'m>; PACKED_RECORDS_MAX],
) -> Option<&'r [Trade<'m>]> {
    let mut rest = message.strip_prefix(b"[")?;
    // Once for all codes: it costs less than one by one.
    let text = simdutf8::basic::from_utf8(message).ok()?;
    let mut count = 0;
    loop {
        let (trade, behind) = record(text, rest)?;
        *room.get_mut(count)? = trade;
        count += 1;
        match behind {
            [b',', behind @ ..] => rest = behind,
            [b']'] => return room.get(..count),
            _ => return None,
        }
    }
}

/// The record that `rest`, the end of `text`, begins with, and what follows it.
#[inline]
fn record<'a, 'r>(text: &'a str, rest: &'r [u8]) -> Option<(Trade<'a>, &'r [u8])> {
    let rest = rest.strip_prefix(CODE)?;
    let (start, len) = (text.len() - rest.len(), alphanumerics(rest)?);
    let code = text.get(start..start + len)?;
    let rest = rest.get(len..)?.strip_prefix(PRICE)?;
    let (price, len) = number(rest)?;
    let rest = rest.get(len..)?.strip_prefix(VOLUME)?;
    let (volume, len) = number(rest)?;
    let rest = rest.get(len..)?.strip_prefix(TIME)?;
    let (time, len) = number(rest)?;
    let trade = Trade {
        code: IssueCode::of_letters_and_digits(code)?,
        price: price.cast_signed(),
        volume: volume.cast_signed(),
        time: TradeTime::from_digits(time.cast_signed()).ok()?,
        extra: None,
    };
    Some((trade, rest.get(len..)?.strip_prefix(br#""}"#)?))
}

#[cfg(test)]
#[path = "usual_tests.rs"]
mod tests;
