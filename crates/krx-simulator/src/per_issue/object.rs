//! Builds a JSON object, member by member.

/// A JSON object being built.
pub(crate) struct Object {
    text: String,
    digits: itoa::Buffer,
}

impl Object {
    /// An empty one, with room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Object {
        let mut text = String::with_capacity(bytes);
        text.push('{');
        Object {
            text,
            digits: itoa::Buffer::new(),
        }
    }

    fn name(&mut self, name: &str) {
        self.text.push_str(if self.text.len() > 1 { ",\"" } else { "\"" });
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    /// Adds a string, which needs no escapes.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.text.push('"');
        self.text.push_str(value);
        self.text.push('"');
    }

    /// Adds a whole number.
    pub(crate) fn integer(&mut self, name: &str, value: impl itoa::Integer) {
        self.name(name);
        self.text.push_str(self.digits.format(value));
    }

    /// Adds a number of hundredths as a decimal without trailing zeros: `308.75`, `0.5`, `352`.
    pub(crate) fn decimal(&mut self, name: &str, hundredths: i64) {
        self.name(name);
        if hundredths < 0 {
            self.text.push('-');
        }
        let (whole, rest) = (hundredths.unsigned_abs() / 100, hundredths.unsigned_abs() % 100);
        self.text.push_str(self.digits.format(whole));
        if rest > 0 {
            self.text.push_str(if rest < 10 { ".0" } else { "." });
            let shown = if rest.is_multiple_of(10) { rest / 10 } else { rest };
            self.text.push_str(self.digits.format(shown));
        }
    }

    /// Adds a number with so many digits at least, which is not JSON if some of them are leading zeros.
    pub(crate) fn padded(&mut self, name: &str, value: u32, digits: usize) {
        self.name(name);
        let text = self.digits.format(value);
        for _ in text.len()..digits {
            self.text.push('0');
        }
        self.text.push_str(text);
    }

    /// The whole object.
    pub(crate) fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let mut object = Object::with_capacity(0);
        for hundredths in [30_875, 50, 35_200, 1, -105, -30, 0, 10] {
            object.decimal("d", hundredths);
        }
        object.integer("i", -7_i64);
        object.padded("p", 9_450_155, 8);
        object.text("t", "a");
        assert_eq!(
            object.finish(),
            concat!(
                r#"{"d":308.75,"d":0.5,"d":352,"d":0.01,"d":-1.05,"d":-0.3,"d":0,"d":0.1,"#,
                r#""i":-7,"p":09450155,"t":"a"}"#
            )
        );
    }
}
