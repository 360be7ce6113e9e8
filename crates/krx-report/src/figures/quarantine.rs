//! What could not be read, by reason. Pure.

use std::collections::BTreeMap;

use krx_store::Moment;
use krx_store::read::QuarantineRow;
use serde::Serialize;

use crate::time;

/// How many characters of a quarantined piece and of its detail are shown.
const PIECE_CHARS_MAX: usize = 200;

/// The pieces in quarantine for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// How many.
    pub count: u64,
    /// When the first was received.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub first_recv_ts: Option<Moment>,
    /// When the last one was received.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub last_recv_ts: Option<Moment>,
    /// The frame of the first one.
    pub frame: u64,
    /// Its position in the frame.
    pub item: Option<i16>,
    /// Its detail, shortened if long.
    pub detail: Option<String>,
    /// Its bytes as text, shortened if long.
    pub raw: Option<String>,
    /// The number of its bytes.
    pub raw_bytes: u64,
}

/// By reason.
pub(crate) type ByReason = BTreeMap<String, Quarantined>;

/// Counts a piece.
pub(crate) fn add(to: &mut ByReason, row: &QuarantineRow) {
    if let Some(of) = to.get_mut(&row.reason) {
        of.count += 1;
        of.last_recv_ts = Some(row.recv);
        return;
    }
    // A character takes at most four bytes.
    let raw = &row.raw[..row.raw.len().min(PIECE_CHARS_MAX * 4)];
    let first = Quarantined {
        count: 1,
        first_recv_ts: Some(row.recv),
        last_recv_ts: Some(row.recv),
        frame: row.frame,
        item: row.item,
        detail: row.detail.as_deref().map(cut_off),
        // A whole message may be the server's own words, which may repeat the API key; and reports get mailed.
        raw: row.item.map(|_| cut_off(&String::from_utf8_lossy(raw))),
        raw_bytes: row.raw.len() as u64,
    };
    to.insert(row.reason.clone(), first);
}

/// A text that anybody may have sent, shortened if long.
pub(crate) fn cut_off(text: &str) -> String {
    match text.char_indices().nth(PIECE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
