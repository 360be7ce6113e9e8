//! The 12-character standard code of an issue (ISIN), `isuCd`.

/// The standard code of a stock or a derivative, made of its short code with a right check digit.
pub(crate) fn standard_code(code: &str, stock: bool) -> String {
    let class = if stock { '7' } else { '4' };
    let mut text = format!("KR{class}");
    // A stock's code is followed by 00; what is longer is cut.
    text.extend(
        code.chars()
            .filter(char::is_ascii_alphanumeric)
            .chain("00000000".chars())
            .take(8),
    );
    text.push(check_digit(&text));
    text
}

/// The check digit: letters count as numbers from 10, and the digits are doubled in turn from the right.
fn check_digit(text: &str) -> char {
    let digits: Vec<u32> = text
        .chars()
        .filter_map(|character| character.to_digit(36))
        .flat_map(|value| [value / 10, value % 10].into_iter().skip(usize::from(value < 10)))
        .collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = if place % 2 == 0 { digit * 2 } else { *digit };
            value / 10 + value % 10
        })
        .sum();
    char::from_digit((10 - sum % 10) % 10, 10).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_come_out_right() {
        assert_eq!(standard_code("005930", true), "KR7005930003");
        assert_eq!(standard_code("000660", true), "KR7000660001");
        assert_eq!(standard_code("101N6000", false).len(), 12);
        assert!(standard_code("201N6220*006", false).starts_with("KR4201N6220"));
    }
}
