//! Packs records into the feed's messages: JSON arrays of up to 50 objects, all values strings.

use std::collections::VecDeque;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::issue::IssueCode;
use crate::price::Won;
use crate::supply::TimedMessage;
use crate::timetable::HalfSecond;

/// The most records one message holds, by the feed's definition.
pub const RECORDS_MAX: u32 = 50;

/// Room for a full message of ordinary records (about 70 bytes each) without growing.
const MESSAGE_CAPACITY: usize = 3_840;

/// One data message of the day.
#[derive(Debug, Clone)]
pub struct DayMessage {
    /// The simulated time at which it is sent: the end of the half second its trades are from.
    pub at: HalfSecond,
    /// How many records it holds, from 1 to 50.
    pub records: u32,
    /// The text of the message.
    pub text: Utf8Bytes,
}

impl From<DayMessage> for TimedMessage {
    fn from(message: DayMessage) -> TimedMessage {
        TimedMessage {
            at: message.at.into(),
            records: message.records,
            text: message.text,
        }
    }
}

/// The part of an issue's records that never changes, ready to be copied.
#[derive(Debug, Clone)]
pub(crate) struct RecordHead(Box<str>);

impl RecordHead {
    pub(crate) fn new(code: &IssueCode) -> RecordHead {
        RecordHead(format!("{{\"isuSrtCd\":\"{}\",\"trdPrc\":\"", code.as_str()).into())
    }
}

/// Packs one half second's records after another into messages.
#[derive(Debug)]
pub(crate) struct Packer {
    text: String,
    records: u32,
    ready: VecDeque<DayMessage>,
}

impl Packer {
    pub(crate) fn new() -> Packer {
        Packer {
            text: String::new(),
            records: 0,
            ready: VecDeque::new(),
        }
    }

    /// Adds one record; `time` is `trdTm` as it is sent, and `now` the half second it is from.
    pub(crate) fn push(&mut self, head: &RecordHead, price: Won, volume: u32, time: &str, now: HalfSecond) {
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
            self.close(now);
        }
    }

    /// Ends the half second `now`: what is not yet in a full message goes out in one of its own.
    pub(crate) fn close(&mut self, now: HalfSecond) {
        if self.records > 0 {
            self.text.push(']');
            let text = std::mem::take(&mut self.text);
            self.ready.push_back(DayMessage {
                at: now.next(),
                records: self.records,
                text: text.into(),
            });
            self.records = 0;
        }
    }

    /// The next finished message.
    pub(crate) fn pop(&mut self) -> Option<DayMessage> {
        self.ready.pop_front()
    }
}
