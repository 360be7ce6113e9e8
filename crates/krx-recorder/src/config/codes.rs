//! Issue codes: which the configuration may have, and what kind of issue each looks like.

use std::fmt;

use krx_protocol::per_issue::{Instruments, WishList};

use crate::sanitize::shorten;

/// The longest code in Koscom's guide is a derivative's with a suffix, `201N6220*006`.
const CODE_CHARS_MAX: usize = 12;

/// Codes in a sentence; more are only counted.
const CODES_NAMED_MAX: usize = 5;

/// Checks that a text can be an issue code; the error says what to write.
pub(super) fn check_code(text: &str) -> Result<(), String> {
    let fits = (1..=CODE_CHARS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'*');
    if fits {
        return Ok(());
    }
    let text = shorten(text);
    Err(format!(
        "{text:?} is not an issue code: write {CODE_CHARS_MAX} letters, digits and * at most, as in \"005930\" or \
         \"101N6000\""
    ))
}

/// What kind of issue a code looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Stock,
    Derivative,
    Index,
    /// A standard code (ISIN), such as `KR7005930003`, which Koscom sends in `isuCd` and does not take.
    Standard,
}

impl Look {
    /// The forms of the guide: `005930`, `00088K`, `Q500061`, `J0527101G` and `F70100030` are stocks or trade like
    /// them; `101N6000`, `M2FA001` and `201N6220*006` are derivatives; `001` is an index. `None` if it is none of these.
    fn of(code: &str) -> Option<Self> {
        let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
        Some(match code.as_bytes() {
            code if code.contains(&b'*') => Self::Derivative,
            [_, _, _] => Self::Index,
            [_, _, _, _, _, _] => Self::Stock,
            [b'Q', number @ ..] if number.len() == 6 && digits(number) => Self::Stock,
            [b'J' | b'F', number @ .., _] if number.len() == 7 && digits(number) => Self::Stock,
            [b'K', b'R', .., _] if code.len() == 12 => Self::Standard,
            longer if longer.len() > 6 => Self::Derivative,
            _ => return None,
        })
    }

    fn fits(self, instruments: Instruments) -> bool {
        match self {
            Self::Stock => instruments == Instruments::Stocks,
            Self::Derivative => instruments == Instruments::Derivatives,
            Self::Index => instruments == Instruments::Indices,
            Self::Standard => false,
        }
    }

    /// One of them, several of them, and what to write if they are that.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Stock => ("a stock", "stocks", "instruments = \"stocks\""),
            Self::Derivative => (
                "a future or option",
                "futures or options",
                "instruments = \"derivatives\"",
            ),
            Self::Index => ("an index", "indices", "presets = [\"index\"]"),
            Self::Standard => (
                "a standard code",
                "standard codes",
                "the short code, such as \"005930\" for \"KR7005930003\"",
            ),
        }
    }
}

/// Codes that look like another kind of issue than the one they are listed with: a sentence for each mistake. The guide
/// does not list all forms of codes, so that an odd one may be right.
#[must_use]
pub fn odd_codes(wishes: &WishList) -> Vec<String> {
    let mut odd: Vec<(Instruments, Look, Vec<&str>)> = Vec::new();
    for wish in wishes.iter() {
        let (instruments, code) = (wish.instruments, wish.pair.code.as_str());
        let Some(look) = Look::of(code).filter(|look| !look.fits(instruments)) else {
            continue;
        };
        let known = odd
            .iter_mut()
            .find(|(listed, seems, _)| (*listed, *seems) == (instruments, look));
        match known {
            Some((_, _, codes)) if codes.contains(&code) => {}
            Some((_, _, codes)) => codes.push(code),
            None => odd.push((instruments, look, vec![code])),
        }
    }
    let sentence = |(instruments, look, codes): (Instruments, Look, Vec<&str>)| {
        let (one, several, remedy) = look.words();
        let (verbs, they_are) = match codes.len() {
            1 => (("is", "looks", one), "it is"),
            _ => (("are", "look", several), "they are"),
        };
        let (is, looks, like) = verbs;
        let (codes, listed) = (Listed(&codes), instruments.as_str());
        format!("{codes} {is} listed with {listed} but {looks} like {like}: if {they_are}, write {remedy}")
    };
    odd.into_iter().map(sentence).collect()
}

/// Codes as a sentence has them: the first few by name, and how many more there are.
pub(super) struct Listed<'a>(pub(super) &'a [&'a str]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = &self.0[..self.0.len().min(CODES_NAMED_MAX)];
        match (named, self.0.len() - named.len()) {
            ([first @ .., last], 0) if !first.is_empty() => write!(f, "{} and {last}", first.join(", ")),
            (named, 0) => f.write_str(&named.join(", ")),
            (named, more) => write!(f, "{} and {more} more", named.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use krx_protocol::per_issue::{Preset, WishGroup};

    use super::*;

    #[test]
    fn codes_that_look_like_another_kind_are_pointed_out() {
        let group = |preset, instruments, codes: &[&str]| WishGroup {
            presets: vec![preset, preset],
            codes: codes.iter().map(|code| (*code).to_owned()).collect(),
            instruments,
            items: Vec::new(),
        };
        let odd = |groups: &[WishGroup]| odd_codes(&WishList::of(groups).unwrap());
        let stocks = ["005930", "00088K", "0004V0", "Q500061", "J0527101G", "F70100030"];
        let derivatives = ["101N6000", "201N6220", "M2FA001", "105N3000", "201N6220*006"];
        let right = [
            group(Preset::Tick, Instruments::Stocks, &stocks),
            group(Preset::Tick, Instruments::Derivatives, &derivatives),
            group(Preset::Index, Instruments::Indices, &["001", "101"]),
            // Nothing is known of such codes.
            group(Preset::Quote, Instruments::Stocks, &["0059"]),
        ];
        assert_eq!(odd(&right), Vec::<String>::new());
        let exchanged = [
            group(Preset::Tick, Instruments::Derivatives, &stocks),
            group(Preset::Quote, Instruments::Derivatives, &stocks),
            group(Preset::Tick, Instruments::Stocks, &derivatives[..2]),
            group(Preset::Tick, Instruments::Stocks, &["001", "KR7005930003"]),
            group(Preset::Index, Instruments::Indices, &["000660"]),
        ];
        assert_eq!(
            odd(&exchanged),
            [
                "005930, 00088K, 0004V0, Q500061, J0527101G and 1 more are listed with derivatives but look like stocks: if \
                 they are, write instruments = \"stocks\"",
                "101N6000 and 201N6220 are listed with stocks but look like futures or options: if they are, write \
                 instruments = \"derivatives\"",
                "001 is listed with stocks but looks like an index: if it is, write presets = [\"index\"]",
                "KR7005930003 is listed with stocks but looks like a standard code: if it is, write the short code, such as \
                 \"005930\" for \"KR7005930003\"",
                "000660 is listed with indices but looks like a stock: if it is, write instruments = \"stocks\"",
            ]
        );
    }
}
