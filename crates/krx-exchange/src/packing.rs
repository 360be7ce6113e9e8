//! Packs records into the full-market feed's messages: JSON arrays of up to 50 objects, all values strings.

use tokio_tungstenite::tungstenite::Utf8Bytes;

/// The most records one message holds, by the feed's definition.
pub const RECORDS_MAX: u32 = 50;

/// Room for a full message of ordinary records (about 70 bytes each) without growing.
const MESSAGE_CAPACITY: usize = 3_840;

/// One packed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// How many records it holds, from 1 to 50.
    pub records: u32,
    /// The text of the message.
    pub text: Utf8Bytes,
}

/// The constant part of an issue's records, ready to be copied.
#[derive(Debug, Clone)]
pub struct RecordHead(Box<str>);

impl RecordHead {
    /// The head of the records of the issue `code`, which consists of digits and upper-case letters only.
    #[must_use]
    pub fn new(code: &str) -> RecordHead {
        RecordHead(format!("{{\"isuSrtCd\":\"{code}\",\"trdPrc\":\"").into())
    }
}

/// Packs records into messages, one after another.
#[derive(Debug, Default)]
pub struct Packer {
    text: String,
    records: u32,
}

impl Packer {
    /// Adds a record; `time` is `trdTm` as sent. Returns the message that it completes.
    #[must_use]
    pub fn push(&mut self, head: &RecordHead, price: u32, volume: u32, time: &str) -> Option<Packed> {
        if self.records == 0 {
            self.text = String::with_capacity(MESSAGE_CAPACITY);
            self.text.push('[');
        } else {
            self.text.push(',');
        }
        let mut digits = itoa::Buffer::new();
        self.text.push_str(&head.0);
        self.text.push_str(digits.format(price));
        self.text.push_str("\",\"trdVol\":\"");
        self.text.push_str(digits.format(volume));
        self.text.push_str("\",\"trdTm\":\"");
        self.text.push_str(time);
        self.text.push_str("\"}");
        self.records += 1;
        if self.records == RECORDS_MAX {
            self.close()
        } else {
            None
        }
    }

    /// Returns the records that do not fill a message as one of their own.
    #[must_use]
    pub fn close(&mut self) -> Option<Packed> {
        if self.records == 0 {
            return None;
        }
        self.text.push(']');
        Some(Packed {
            records: std::mem::take(&mut self.records),
            text: std::mem::take(&mut self.text).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_up_to_fifty_records_in_the_guides_form() {
        let (mut packer, head) = (Packer::default(), RecordHead::new("000210"));
        assert_eq!(packer.close(), None);
        for _ in 1..RECORDS_MAX {
            assert_eq!(packer.push(&head, 81_000, 5, "14340400"), None);
        }
        let full = packer.push(&head, 81_000, 5, "14340400").unwrap();
        assert_eq!(full.records, RECORDS_MAX);
        assert_eq!(packer.push(&head, 81_500, 1, "0"), None);
        let rest = packer.close().unwrap();
        assert_eq!(rest.records, 1);
        assert_eq!(
            rest.text.as_str(),
            r#"[{"isuSrtCd":"000210","trdPrc":"81500","trdVol":"1","trdTm":"0"}]"#
        );
    }
}
