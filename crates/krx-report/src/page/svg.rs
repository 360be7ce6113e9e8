//! SVG and HTML as text: every text and every attribute is escaped here and nowhere else. Pure.

use std::fmt::{self, Display, Write};

/// Text that contains no markup: codes, details and a server's words can be anything.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.chars() {
            match part {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Neither HTML nor a reader needs them, and text must not change the order of what follows it.
                control if control.is_control() && !control.is_whitespace() => f.write_char('\u{fffd}')?,
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                    f.write_char('\u{fffd}')?;
                }
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// How a text is aligned with its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A chart being drawn; coordinates are in its own units.
#[derive(Debug)]
pub(crate) struct Svg {
    text: String,
}

impl Svg {
    /// A chart; `label` describes it. It is scaled to the available width.
    pub(crate) fn new(class: &str, width: f64, height: f64, label: &str) -> Self {
        let text = format!(
            "<svg class=\"{class}\" role=\"img\" viewBox=\"0 0 {} {}\" aria-label=\"{}\">",
            Number(width),
            Number(height),
            Escaped(label)
        );
        Self { text }
    }

    /// A rectangle with `title` as its tooltip.
    pub(crate) fn rect(
        &mut self,
        class: &str,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        title: Option<&str>,
    ) {
        let (x, y, width, height) = (Number(x), Number(y), Number(width), Number(height));
        self.push(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\""
        ));
        match title {
            Some(title) => self.push(format_args!("><title>{}</title></rect>", Escaped(title))),
            None => self.push(format_args!("/>")),
        }
    }

    /// A line of the grid.
    pub(crate) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let (x1, y1, x2, y2) = (Number(x1), Number(y1), Number(x2), Number(y2));
        self.push(format_args!(
            "<line class=\"grid\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        ));
    }

    /// A text.
    pub(crate) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        self.push(format_args!(
            "<text x=\"{}\" y=\"{}\"{anchor}>{}</text>",
            Number(x),
            Number(y),
            Escaped(text)
        ));
    }

    /// A path.
    pub(crate) fn path(&mut self, class: &str, path: &str) {
        self.push(format_args!("<path class=\"{class}\" d=\"{}\"/>", Escaped(path)));
    }

    /// Finishes the chart.
    pub(crate) fn finish(mut self) -> String {
        self.text.push_str("</svg>");
        self.text
    }

    fn push(&mut self, part: fmt::Arguments<'_>) {
        // Writing to a string never fails.
        let _ = self.text.write_fmt(part);
    }
}

/// A coordinate, to a tenth.
pub(crate) struct Number(pub(crate) f64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() / 10.0;
        if tenths.is_finite() {
            write!(f, "{tenths}")
        } else {
            f.write_char('0')
        }
    }
}

/// The first of 1, 2, 5, 10, 20, … that is at least this number: where an axis ends.
pub(crate) fn nice(number: f64) -> f64 {
    let power = 10_f64.powf(number.max(1.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    steps
        .map(|step| step * power)
        .into_iter()
        .find(|step| *step >= number)
        .unwrap_or(10.0 * power)
}

/// A number on an axis: `950`, `12k`, `1.5M`.
pub(crate) fn short(number: f64) -> String {
    if number >= 1e6 {
        format!("{}M", Number(number / 1e6))
    } else if number >= 1e4 {
        format!("{}k", Number(number / 1e3))
    } else {
        Number(number).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let hostile = "</title><script>alert('x')</script>&\"\u{0}\u{1b}\u{202e}\n";
        let escaped = Escaped(hostile).to_string();
        assert_eq!(
            escaped,
            "&lt;/title&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}\u{fffd}\u{fffd}\n"
        );
        let mut svg = Svg::new("chart", 10.0, 10.0, hostile);
        svg.rect("gap", (0.0, 0.0), (1.0, 1.0), Some(hostile));
        svg.text((0.0, 0.0), Anchor::End, hostile);
        let text = svg.finish();
        assert!(
            !text.contains("<script") && text.matches("</title>").count() == 1,
            "{text}"
        );
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (number, expected) in [
            (0.0, 1.0),
            (1.0, 1.0),
            (1.2, 2.0),
            (9.9, 10.0),
            (51_234.0, 100_000.0),
            (20_000.0, 20_000.0),
        ] {
            assert_eq!(nice(number), expected, "{number}");
        }
        assert_eq!(
            [short(950.0), short(20_000.0), short(1_500_000.0), short(2.5)],
            ["950", "20k", "1.5M", "2.5"]
        );
        assert_eq!(Number(f64::NAN).to_string(), "0");
    }
}
