//! Horizontal bars with names and an axis: readable at any width. Pure.

use super::svg::{Anchor, Svg, nice, short};
use super::timeline::Size;

/// A bar.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// The text at its end.
    pub(crate) text: String,
    /// The tooltip.
    pub(crate) title: String,
    /// Whether it is of a different kind from the others.
    pub(crate) is_other: bool,
}

const ROW: f64 = 19.0;
const THICK: f64 = 12.0;
const TOP: f64 = 20.0;
/// The width of a letter of a name, and of the text after a bar.
const LETTER: f64 = 7.6;
const RIGHT: f64 = 12.0;

/// Draws the bars. `unit` is that of the values.
pub(crate) fn bars(all: &[Bar], label: &str, unit: &str, size: Size) -> String {
    let letters =
        |of: fn(&Bar) -> &str| all.iter().map(|bar| of(bar).chars().count()).max().unwrap_or(0) as f64;
    // The unit goes above the names, before the axis' first number.
    let unit_letters = unit.chars().count() as f64 + 1.0;
    let left = (letters(|bar| &bar.name).max(unit_letters) * LETTER + 8.0).min(size.width() / 2.0);
    let behind = letters(|bar| &bar.text) * LETTER + 8.0;
    let plot = (size.width() - left - behind - RIGHT).max(40.0);
    let most = nice(all.iter().map(|bar| bar.value).fold(0.0, f64::max));
    let height = TOP + ROW * all.len() as f64 + 6.0;
    let x = |value: f64| left + value / most * plot;
    let mut svg = Svg::new(&format!("{} bars", size.class()), size.width(), height, label);
    for level in [0.0, most / 2.0, most] {
        svg.line((x(level), TOP - 4.0), (x(level), height - 4.0));
        svg.text((x(level), TOP - 8.0), Anchor::Middle, &short(level));
    }
    svg.text((0.0, TOP - 8.0), Anchor::Start, unit);
    for (index, bar) in all.iter().enumerate() {
        let top = TOP + ROW * index as f64;
        svg.text((left - 8.0, top + 10.0), Anchor::End, &bar.name);
        let class = if bar.is_other { "bar other" } else { "bar" };
        // Anything above zero is visible, however little.
        let wide = if bar.value > 0.0 {
            (x(bar.value) - left).max(1.0)
        } else {
            0.0
        };
        svg.rect(class, (left, top), (wide, THICK), None);
        svg.text((left + wide + 6.0, top + 10.0), Anchor::Start, &bar.text);
        svg.rect("hit", (0.0, top - 3.0), (size.width(), ROW), Some(&bar.title));
    }
    svg.finish()
}

/// A chart of bars, and its table.
pub(crate) fn beside(all: &[Bar], label: &str, unit: &str, table: &str) -> String {
    format!(
        "<div class=\"beside\">\n<figure>{}{}</figure>\n{table}</div>\n",
        bars(all, label, unit, Size::Half),
        bars(all, label, unit, Size::Narrow)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_names_texts_titles_and_an_axis() {
        let bar = |name: &str, value: f64| Bar {
            name: name.to_owned(),
            value,
            text: format!("{value} %"),
            title: format!("{name}: <{value}>"),
            is_other: value < 1.0,
        };
        let text = bars(
            &[bar("0 to 10 ms", 61.0), bar("over 1 h", 0.001)],
            "Lags",
            "% of trades",
            Size::Wide,
        );
        assert!(
            text.contains(">100</text>")
                && text.contains(">50</text>")
                && text.contains(">% of trades</text>")
        );
        assert!(text.contains("<title>over 1 h: &lt;0.001&gt;</title>"));
        assert!(
            text.contains("class=\"bar other\"") && text.contains("width=\"1\""),
            "{text}"
        );
        assert_eq!(bars(&[], "none", "", Size::Narrow).matches("<rect").count(), 0);
    }
}
