//! Tables of the page. Pure.

use std::fmt::Write as _;

use super::svg::Escaped;

/// A cell: text, with more text below it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    more: Option<String>,
}

impl Cell {
    /// Text with more text below it.
    pub(crate) fn with(text: impl Into<String>, more: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            more: Some(more.into()).filter(|more| !more.is_empty()),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            more: None,
        }
    }
}

/// A table being written.
pub(crate) struct Table {
    html: String,
    columns: Vec<Column>,
    rows: usize,
}

/// The kind of a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// Text on one line.
    Text(&'static str),
    /// A number.
    Number(&'static str),
    /// Text of any length, on as many lines as it takes.
    Long(&'static str),
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Number(name) | Self::Long(name) => name,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Text(_) => "",
            Self::Number(_) => " class=\"number\"",
            Self::Long(_) => " class=\"long\"",
        }
    }
}

impl Table {
    pub(crate) fn new(caption: &str, columns: &[Column]) -> Self {
        let mut html = format!(
            "<div class=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption>{0}</caption><thead><tr>",
            Escaped(caption)
        );
        for column in columns {
            let _ = write!(
                html,
                "<th scope=\"col\"{}>{}</th>",
                column.class(),
                Escaped(column.name())
            );
        }
        html.push_str("</tr></thead><tbody>");
        Self {
            html,
            columns: columns.to_vec(),
            rows: 0,
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows += 1;
        self.html.push_str("<tr>");
        for (cell, column) in cells.into_iter().zip(&self.columns) {
            let _ = write!(self.html, "<td{}>{}", column.class(), Escaped(&cell.text));
            if let Some(more) = &cell.more {
                let _ = write!(self.html, " <span class=\"more\">{}</span>", Escaped(more));
            }
            self.html.push_str("</td>");
        }
        self.html.push_str("</tr>\n");
    }

    /// A line across all columns.
    pub(crate) fn note(&mut self, text: &str) {
        let _ = writeln!(
            self.html,
            "<tr><td class=\"none\" colspan=\"{}\">{}</td></tr>",
            self.columns.len(),
            Escaped(text)
        );
        self.rows += 1;
    }

    /// Finishes the table; `none` is shown if it has no rows.
    pub(crate) fn finish(mut self, none: &str) -> String {
        if self.rows == 0 {
            self.note(none);
        }
        self.html.push_str("</tbody></table></div>\n");
        self.html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_texts_whatever_is_in_them() {
        let mut table = Table::new(
            "A & B",
            &[
                Column::Text("code"),
                Column::Number("records"),
                Column::Long("detail"),
            ],
        );
        table.row(["<b>".into(), "12".into(), Cell::with("\"x\"", "</td><script>")]);
        let html = table.finish("none");
        assert!(html.contains("<caption>A &amp; B</caption>"));
        assert!(
            html.contains("<td>&lt;b&gt;</td><td class=\"number\">12</td>"),
            "{html}"
        );
        assert!(html.contains("&quot;x&quot; <span class=\"more\">&lt;/td&gt;&lt;script&gt;</span>"));
        let empty = Table::new("Gaps", &[Column::Text("from"), Column::Text("to")]).finish("none");
        assert!(empty.contains("<td class=\"none\" colspan=\"2\">none</td>"));
    }
}
