//! One listed issue.

use krx_exchange::Market;

use crate::price::{PriceGrid, Won};

/// The longest code the feed carries, in characters (derivatives; stocks have at most 9).
const CODE_LEN_MAX: usize = 12;

/// An issue's short code: 1 to 12 upper-case letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssueCode(pub(crate) String);

impl IssueCode {
    /// The code written as `text`; `None` if it does not have the form of a code.
    #[must_use]
    pub fn parse(text: &str) -> Option<IssueCode> {
        let shaped = (1..=CODE_LEN_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        shaped.then(|| IssueCode(text.to_owned()))
    }

    /// The code as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The code with every digit replaced by `9` and every letter by `A`: its kind.
    #[must_use]
    pub fn shape(&self) -> String {
        self.0
            .chars()
            .map(|character| if character.is_ascii_digit() { '9' } else { 'A' })
            .collect()
    }
}

/// A listed issue at the start of the day.
#[derive(Debug, Clone)]
pub struct Issue {
    /// The code that is sent as `isuSrtCd`.
    pub code: IssueCode,
    /// The market the issue is listed on.
    pub market: Market,
    /// The price in won on which the day's limits are based; at least 1.
    pub base_price: Won,
    /// How often the issue trades compared with the others.
    pub weight: u32,
    /// A halted issue never trades but takes part in the closing signals.
    pub halted: bool,
    /// The grid of its prices.
    pub grid: PriceGrid,
}
