//! Words of the per-issue service as people write them: presets, kinds of instruments, names of fields.

use krx_protocol::per_issue::{Instruments, Preset};

use crate::sanitize::shorten;

/// The longest name of a field in Koscom's guide has 21 characters.
const ITEM_CHARS_MAX: usize = 64;

/// The preset of this name; the error says what to write.
pub(super) fn preset_of(text: &str) -> Result<Preset, String> {
    text.parse()
        .map_err(|()| format!("{:?} must be one of {}", shorten(text), presets()))
}

/// All presets, for a message.
pub(super) fn presets() -> String {
    let words = Preset::ALL.map(|preset| format!("\"{preset}\""));
    words.join(", ")
}

/// The kind of this name; the error says what to write.
pub(crate) fn instruments_of(text: &str) -> Result<Instruments, String> {
    let all = [
        Instruments::Stocks,
        Instruments::Derivatives,
        Instruments::Indices,
    ];
    let found = all.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| {
        format!(
            "{:?} must be \"stocks\", \"derivatives\" or \"indices\"",
            shorten(text)
        )
    })
}

/// Checks that a text can be the name of a field.
pub(super) fn check_item(text: &str) -> Result<(), String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if (1..=ITEM_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_name) {
        return Ok(());
    }
    Err(format!(
        "{:?} is not the name of a field, such as \"trdPrc\"",
        shorten(text)
    ))
}
