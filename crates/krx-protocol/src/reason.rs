//! Why something received is in quarantine: the fixed set of words of the `reason` column.

/// The reason column's words. A word, once published, keeps its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The message has no bytes but white space.
    EmptyMessage,
    /// Not JSON: the whole message, or one record of it.
    MalformedJson,
    /// The message ends inside its array; what came before is kept. Without a record, when it ends behind a whole one: then
    /// no bytes are left over, unless the message has no record at all.
    Truncated,
    /// Bytes after the end of the array; the array is kept.
    TrailingBytes,
    /// An element of the array that is no object.
    NotAnObject,
    /// `isuSrtCd`, `trdPrc`, `trdVol` or `trdTm` is missing.
    MissingKey,
    /// One of these four twice: which one counts cannot be known.
    DuplicateKey,
    /// One of these four is null.
    NullValue,
    /// A value of another JSON type than the guide allows.
    WrongType,
    /// `isuSrtCd` is not 1 to 12 ASCII letters and digits.
    BadCode,
    /// A value that should be an integer is other text, or empty.
    NotAnInteger,
    /// A value that should be an integer has a fraction or an exponent.
    Fraction,
    /// A sign before a value that never has one.
    Sign,
    /// An integer beyond 63 bits.
    Overflow,
    /// `trdTm` has more than eight digits.
    BadTime,
    /// Elements past [`crate::MAX_ITEMS`], as one piece.
    TooManyRecords,
    /// The server reported an error (docs/protocol.md, "Errors").
    ServerError,
    /// A push of the per-issue service, which this feed does not carry.
    Push,
    /// JSON, but no message that the guide describes.
    UnknownMessage,
    /// The exporter failed over this message; it is kept whole.
    Poison,
}

impl Reason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 20] = [
        Self::EmptyMessage,
        Self::MalformedJson,
        Self::Truncated,
        Self::TrailingBytes,
        Self::NotAnObject,
        Self::MissingKey,
        Self::DuplicateKey,
        Self::NullValue,
        Self::WrongType,
        Self::BadCode,
        Self::NotAnInteger,
        Self::Fraction,
        Self::Sign,
        Self::Overflow,
        Self::BadTime,
        Self::TooManyRecords,
        Self::ServerError,
        Self::Push,
        Self::UnknownMessage,
        Self::Poison,
    ];

    /// The word in the `reason` column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EmptyMessage => "empty_message",
            Self::MalformedJson => "malformed_json",
            Self::Truncated => "truncated",
            Self::TrailingBytes => "trailing_bytes",
            Self::NotAnObject => "not_an_object",
            Self::MissingKey => "missing_key",
            Self::DuplicateKey => "duplicate_key",
            Self::NullValue => "null_value",
            Self::WrongType => "wrong_type",
            Self::BadCode => "bad_code",
            Self::NotAnInteger => "not_an_integer",
            Self::Fraction => "fraction",
            Self::Sign => "sign",
            Self::Overflow => "overflow",
            Self::BadTime => "bad_time",
            Self::TooManyRecords => "too_many_records",
            Self::ServerError => "server_error",
            Self::Push => "push",
            Self::UnknownMessage => "unknown_message",
            Self::Poison => "poison",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reasons_are_listed_at_their_own_place() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{}", reason.as_str());
        }
        // The last of the declaration: whoever adds one behind it finds this line.
        assert_eq!(Reason::ALL.last(), Some(&Reason::Poison));
    }
}
