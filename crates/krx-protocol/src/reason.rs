//! Why something is in quarantine: the fixed set of words of the `reason` column.

/// The words of the reason column. A published word keeps its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The message is empty, or only white space.
    EmptyMessage,
    /// The whole message, or one record of it, is not JSON.
    MalformedJson,
    /// The message ends inside its array or object; the records before that are kept. `raw` is empty if the message ends
    /// after a whole record, unless it has no record at all.
    Truncated,
    /// Bytes after the end of the array or object, which is kept.
    TrailingBytes,
    /// An element of the array that is not an object.
    NotAnObject,
    /// A key is missing without which there is no record: `isuSrtCd`, `trdPrc`, `trdVol` or `trdTm` of a trade.
    MissingKey,
    /// A key occurs twice, and it is impossible to know which one counts.
    DuplicateKey,
    /// A value is null without which there is no record.
    NullValue,
    /// A value of a JSON type that the guide does not allow.
    WrongType,
    /// `isuSrtCd` is not 1 to 12 ASCII letters and digits; the per-issue service has [`Reason::NotRegistered`] instead.
    BadCode,
    /// A value that should be an integer is some other text, or empty.
    NotAnInteger,
    /// A value that should be an integer has a fraction or an exponent.
    Fraction,
    /// A sign before a value that is never negative.
    Sign,
    /// An integer beyond 63 bits, or a decimal number with more than 15 significant digits.
    Overflow,
    /// A time has more than eight digits.
    BadTime,
    /// Elements past [`crate::MAX_ITEMS`], as one piece; of the per-issue service, rows past that.
    TooManyRecords,
    /// The server reported an error (docs/protocol.md, "Errors").
    ServerError,
    /// A push of the per-issue service, which this feed does not carry.
    Push,
    /// JSON, but not a message that the guide describes.
    UnknownMessage,
    /// The exporter failed on this message, which is kept whole.
    Poison,
    /// A value that should be a decimal number is some other text, or empty.
    NotANumber,
    /// A push or snapshot of a pair of preset and code that was not registered in this session.
    NotRegistered,
}

impl Reason {
    /// All of them, in order of declaration.
    pub const ALL: [Self; 22] = [
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
        Self::NotANumber,
        Self::NotRegistered,
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
            Self::NotANumber => "not_a_number",
            Self::NotRegistered => "not_registered",
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
        // The last one declared: anyone who adds another will find this line.
        assert_eq!(Reason::ALL.last(), Some(&Reason::NotRegistered));
    }
}
