//! Issue codes (`isuSrtCd`): 1 to 12 ASCII letters and digits.
//!
//! Six characters are usual, including letters (`00088K`, `0004V0`); ETNs (`Q500061`), rights (`J0527101G`) and funds
//! (`F70100030`) have longer codes, derivatives up to twelve characters (docs/protocol.md, "Issue codes").

use std::fmt;

use thiserror::Error;

/// A checked issue code, borrowed from the message in which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssueCode<'a>(&'a str);

/// Why a text is not an issue code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IssueCodeError {
    /// Empty, or longer than [`IssueCode::LEN_MAX`]; the length in bytes.
    #[error("an issue code has 1 to 12 characters, this one has {0}")]
    Length(usize),
    /// A byte that is neither an ASCII letter nor a digit.
    #[error("an issue code has ASCII letters and digits only, this one has the byte {0:#04x}")]
    Character(u8),
}

impl<'a> IssueCode<'a> {
    /// The longest code, in bytes: that of a derivative.
    pub const LEN_MAX: usize = 12;

    /// A placeholder.
    pub(crate) const NONE: Self = Self("");

    /// Checks `text`.
    ///
    /// # Errors
    /// [`IssueCodeError`], when the length or a character is not allowed.
    #[inline]
    pub fn new(text: &'a str) -> Result<Self, IssueCodeError> {
        if text.is_empty() || text.len() > Self::LEN_MAX {
            return Err(IssueCodeError::Length(text.len()));
        }
        match text.bytes().find(|byte| !byte.is_ascii_alphanumeric()) {
            Some(byte) => Err(IssueCodeError::Character(byte)),
            None => Ok(Self(text)),
        }
    }

    /// From a text of letters and digits; `None` if its length is not allowed.
    #[inline]
    pub(crate) fn of_letters_and_digits(text: &'a str) -> Option<Self> {
        debug_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        (1..=Self::LEN_MAX).contains(&text.len()).then_some(Self(text))
    }

    /// The code as it was sent.
    #[inline]
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for IssueCode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_real_shape_is_a_code() {
        for code in [
            "000210",
            "00088K",
            "0004V0",
            "Q500061",
            "J0527101G",
            "F70100030",
            "101S6000",
            "K",
            "KR4101S60003",
        ] {
            assert_eq!(IssueCode::new(code).map(IssueCode::as_str), Ok(code));
        }
    }

    #[test]
    fn a_code_has_one_to_twelve_characters() {
        let text = "KR4101S60003X";
        for len in 0..=text.len() {
            let found = IssueCode::new(&text[..len]).map(IssueCode::as_str);
            match len {
                1..=12 => assert_eq!(found, Ok(&text[..len])),
                _ => assert_eq!(found, Err(IssueCodeError::Length(len))),
            }
        }
    }

    #[test]
    fn what_is_no_code_says_why() {
        assert_eq!(IssueCode::new(""), Err(IssueCodeError::Length(0)));
        assert_eq!(
            IssueCode::new("../../etc/passwd"),
            Err(IssueCodeError::Length(16))
        );
        assert_eq!(IssueCode::new("../etc"), Err(IssueCodeError::Character(b'.')));
        assert_eq!(IssueCode::new("삼성"), Err(IssueCodeError::Character(0xec)));
        assert_eq!(IssueCode::new("0002 0"), Err(IssueCodeError::Character(b' ')));
    }
}
