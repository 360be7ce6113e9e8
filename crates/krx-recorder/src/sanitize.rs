//! Makes what a server says fit for a log line, a ledger and a status: short, and free of control characters.

/// The longest detail, in characters.
pub(crate) const DETAIL_CHARS_MAX: usize = 300;

/// `text` without the characters that could forge a log line or reverse its direction. Does not shorten it.
#[must_use]
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|c| !is_control(*c)).collect()
}

/// The beginning of `text`, at most [`DETAIL_CHARS_MAX`] characters, ending in an ellipsis if it was cut.
#[must_use]
pub(crate) fn shorten(text: &str) -> String {
    if text.chars().nth(DETAIL_CHARS_MAX).is_none() {
        return text.to_owned();
    }
    text.chars().take(DETAIL_CHARS_MAX - 1).chain(['…']).collect()
}

/// Control characters proper, and the invisible ones that separate lines or change the writing direction.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(text: &str) -> String {
        shorten(&clean(text))
    }

    #[test]
    fn control_characters_are_removed_and_words_kept() {
        assert_eq!(
            plain("고객\r\n정보\0 \u{1b}[31mred\u{202e}\u{2028}!"),
            "고객정보 [31mred!"
        );
        assert_eq!(plain(&"x".repeat(300)), "x".repeat(300));
        assert_eq!(plain(&"x".repeat(301)), format!("{}…", "x".repeat(299)));
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_is_short_and_one_line(text in "\\PC{0,400}|(?s).{0,400}") {
            let words = plain(&text);
            prop_assert!(words.chars().count() <= DETAIL_CHARS_MAX);
            prop_assert!(!words.chars().any(char::is_control));
        }
    }
}
