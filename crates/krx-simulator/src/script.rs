//! The faults of one feed: which are due, and what they do to a session.

use std::collections::VecDeque;

use krx_exchange::{Bundle, Deed, Endpoint, Farewell, MessageKind, Script, TimedMessage, Treatment};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::fault::{Fault, FaultKind};

/// The ledger's words for what is sent in place of data, and for half a message, which no receiver ever gets.
const GARBAGE: MessageKind = MessageKind::Scripted("garbage");
const PARTIAL: MessageKind = MessageKind::Scripted("partial");

/// The ledger's word for a push of a code that is not registered, and the push.
const UNREGISTERED: MessageKind = MessageKind::Scripted("unregistered");
const UNREGISTERED_TEXT: &str = concat!(
    r#"{"jsonrpc":"2.0","method":"push","params":{"preset":"tick","isuSrtCd":"9999Z9","#,
    r#""trdPrc":1000,"trdvol":1,"trdTm":9000000}}"#
);

/// An error that answers nothing.
const ERROR_TEXT: &str = r#"{"jsonrpc":"2.0","error":{"message":"해당 종목이 없습니다","code":10040}}"#;

/// The faults of one feed, and which of them have happened.
#[derive(Debug)]
pub(crate) struct FaultScript {
    faults: Vec<(Fault, bool)>,
    endpoint: Endpoint,
    /// The last data messages sent, over all sessions, as far as a fault may need them.
    recent: VecDeque<TimedMessage>,
    recent_max: usize,
    /// The messages with which the next session begins.
    again: VecDeque<TimedMessage>,
}

impl FaultScript {
    /// The `faults` that happen at `endpoint`.
    pub(crate) fn new(faults: &[Fault], endpoint: Endpoint) -> FaultScript {
        let faults: Vec<(Fault, bool)> = faults
            .iter()
            .filter(|fault| fault.concerns(endpoint))
            .map(|fault| (fault.clone(), false))
            .collect();
        let kept = |(fault, _): &(Fault, bool)| match fault.kind {
            FaultKind::Resend(messages) => usize::try_from(messages).unwrap_or(usize::MAX),
            FaultKind::Half => 1,
            _ => 0,
        };
        FaultScript {
            recent_max: faults.iter().map(kept).max().unwrap_or(0),
            faults,
            endpoint,
            recent: VecDeque::new(),
            again: VecDeque::new(),
        }
    }

    /// What happens now that a session has come to `count` of what `counted` kinds of fault count, in the order of the
    /// script.
    fn due(&mut self, count: u64, counted: impl Fn(FaultKind) -> bool) -> Vec<FaultKind> {
        let mut due = Vec::new();
        for (fault, happened) in &mut self.faults {
            if counted(fault.kind) && fault.when.has_come(count, *happened) {
                *happened = true;
                due.push(fault.kind);
            }
        }
        due
    }

    /// What a fault does that does not end the session.
    fn harmless(&self, kind: FaultKind) -> Option<Deed> {
        let say = |kind: MessageKind, records, text: &'static str| {
            Some(Deed::Say {
                kind,
                records,
                text: text.into(),
            })
        };
        match kind {
            FaultKind::Garbage(garbage) => {
                let (text, records) = garbage.text();
                // Full-market records are none of the per-issue service.
                let good = if self.endpoint == Endpoint::PerIssue {
                    0
                } else {
                    records
                };
                say(GARBAGE, good, text)
            }
            FaultKind::Unregistered => say(UNREGISTERED, 0, UNREGISTERED_TEXT),
            FaultKind::Error => say(MessageKind::Error, 0, ERROR_TEXT),
            FaultKind::Stall(duration) => Some(Deed::Pause(duration)),
            FaultKind::Forget(percent) => Some(Deed::Forget { percent }),
            _ => None,
        }
    }

    fn last(&self, messages: u32) -> VecDeque<TimedMessage> {
        let before = self
            .recent
            .len()
            .saturating_sub(usize::try_from(messages).unwrap_or(usize::MAX));
        self.recent.iter().skip(before).cloned().collect()
    }
}

impl Script for FaultScript {
    fn ahead(&mut self) -> Option<TimedMessage> {
        self.again.pop_front()
    }

    fn sending(&mut self, message: &TimedMessage) {
        if self.recent_max == 0 {
            return;
        }
        if self.recent.len() == self.recent_max {
            self.recent.pop_front();
        }
        self.recent.push_back(message.clone());
    }

    fn sent(&mut self, data_messages: u64) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for kind in self.due(data_messages, of_messages) {
            if let Some(deed) = self.harmless(kind) {
                deeds.push(deed);
                continue;
            }
            let farewell = match kind {
                FaultKind::Half => {
                    deeds.extend(self.recent.back().map(half));
                    Farewell::HangUp
                }
                FaultKind::Resend(messages) => {
                    self.again = self.last(messages);
                    Farewell::HangUp
                }
                FaultKind::Close(code) => Farewell::Close(code, "as scripted"),
                FaultKind::Reset => Farewell::Reset,
                _ => Farewell::HangUp,
            };
            let reason = format!("fault {kind}");
            deeds.push(Deed::End { farewell, reason });
            break;
        }
        deeds
    }

    fn subscribing(&mut self, nth: u64) -> Treatment {
        let due = self.due(nth, |kind| matches!(kind, FaultKind::Answer(_)));
        match due.first() {
            Some(FaultKind::Answer(treatment)) => *treatment,
            _ => Treatment::Fair,
        }
    }

    fn packing(&mut self, data_messages: u64) -> Option<Bundle> {
        let due = self.due(data_messages, |kind| matches!(kind, FaultKind::Bundle(_)));
        match due.first() {
            Some(FaultKind::Bundle(bundle)) if data_messages > 0 => Some(*bundle),
            _ => None,
        }
    }
}

/// Whether a kind of fault happens after data messages.
fn of_messages(kind: FaultKind) -> bool {
    !matches!(kind, FaultKind::Answer(_) | FaultKind::Bundle(_))
}

/// The first half of a frame that repeats `message`: no receiver gets a message from it.
fn half(message: &TimedMessage) -> Deed {
    let whole = message.text.as_str();
    let text = Utf8Bytes::from(&whole[..whole.len() / 2]);
    let header = FrameHeader {
        opcode: OpCode::Data(Data::Text),
        ..FrameHeader::default()
    };
    let mut bytes = Vec::new();
    // Writing to a vector never fails.
    let _ = header.format(u64::try_from(whole.len()).unwrap_or(u64::MAX), &mut bytes);
    bytes.extend_from_slice(text.as_bytes());
    Deed::Write {
        kind: PARTIAL,
        text,
        bytes,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use krx_exchange::{BundleForm, Market, TimeOfDay};

    use super::*;

    fn script(faults: &[&str]) -> FaultScript {
        let faults: Vec<Fault> = faults.iter().map(|text| text.parse().unwrap()).collect();
        FaultScript::new(&faults, Endpoint::FullMarket(Market::Kospi))
    }

    fn message(text: &str) -> TimedMessage {
        TimedMessage {
            at: TimeOfDay(0),
            records: 1,
            text: text.into(),
        }
    }

    #[test]
    fn a_script_fires_once_or_again_and_only_in_its_market() {
        let mut script = script(&["reset@3", "half@every:2", "stall@3,market=KOSDAQ"]);
        assert_eq!(script.due(1, of_messages), []);
        assert_eq!(script.due(2, of_messages), [FaultKind::Half]);
        assert_eq!(script.due(3, of_messages), [FaultKind::Reset]);
        assert_eq!(script.due(4, of_messages), [FaultKind::Half]);
        // Each session counts from 1 again.
        assert_eq!(script.due(2, of_messages), [FaultKind::Half]);
        assert_eq!(script.due(3, of_messages), []);
    }

    #[test]
    fn as_many_messages_are_kept_as_may_be_needed() {
        let kept = |faults: &[&str]| script(faults).recent_max;
        assert_eq!(kept(&["reset@3"]), 0);
        assert_eq!(kept(&["reset@3", "half@3"]), 1);
        assert_eq!(
            kept(&["resend@3:7", "resend@9", "resend@4:900,market=KOSDAQ"]),
            20
        );
    }

    #[test]
    fn what_ends_the_session_is_the_last_of_its_deeds() {
        let mut script = script(&["garbage@1", "stall@1:2", "close@1:1001", "reset@1"]);
        let deeds = script.sent(1);
        assert_eq!(
            deeds[1..],
            [
                Deed::Pause(Duration::from_secs(2)),
                Deed::End {
                    farewell: Farewell::Close(1001, "as scripted"),
                    reason: "fault close".to_owned()
                }
            ]
        );
        assert!(matches!(
            deeds[0],
            Deed::Say {
                kind: GARBAGE,
                records: 0,
                ..
            }
        ));
        assert_eq!(script.sent(1), [], "each of them has happened");
    }

    #[test]
    fn what_is_sent_again_comes_ahead_of_the_day() {
        let mut script = script(&["resend@3:2"]);
        for text in ["1", "2", "3"] {
            script.sending(&message(text));
        }
        assert_eq!(script.sent(2), []);
        assert!(script.ahead().is_none());
        assert!(matches!(
            script.sent(3)[..],
            [Deed::End {
                farewell: Farewell::HangUp,
                ..
            }]
        ));
        let again: Vec<String> = std::iter::from_fn(|| script.ahead())
            .map(|message| message.text.to_string())
            .collect();
        assert_eq!(again, ["2", "3"]);
    }

    #[test]
    fn half_a_message_has_the_length_of_a_whole_one() {
        let mut script = script(&["half@1"]);
        script.sending(&message("[12345678]"));
        let [Deed::Write { kind, text, bytes }, Deed::End { .. }] = &script.sent(1)[..] else {
            panic!("half a message and the end")
        };
        assert_eq!((*kind, text.as_str()), (PARTIAL, "[1234"));
        assert_eq!(bytes, b"\x81\x0a[1234");
    }

    #[test]
    fn the_per_issue_service_has_faults_of_its_own() {
        let texts = [
            "answer@2:twice",
            "answer@every:3:withheld",
            "array@4:5",
            "unregistered@4",
            "error@4",
            "forget@4:25",
            "garbage@4:badrecord",
            "resend@1",
        ];
        let faults: Vec<Fault> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let mut script = FaultScript::new(&faults, Endpoint::PerIssue);
        let treatments: Vec<Treatment> = (1..=6).map(|nth| script.subscribing(nth)).collect();
        use Treatment::{AnsweredTwice, Fair, Unanswered};
        assert_eq!(
            treatments,
            [Fair, AnsweredTwice, Unanswered, Fair, Fair, Unanswered]
        );
        assert_eq!(script.sent(1), [], "nothing is resent");
        assert_eq!(script.packing(3), None);
        let bundle = Bundle {
            form: BundleForm::Array,
            pushes: 5,
        };
        assert_eq!(script.packing(4), Some(bundle));
        assert_eq!(script.packing(4), None, "once");
        let deeds = script.sent(4);
        let said: Vec<(&str, u32)> = deeds
            .iter()
            .filter_map(|deed| match deed {
                Deed::Say { kind, records, .. } => Some((kind.name(), *records)),
                _ => None,
            })
            .collect();
        assert_eq!(said, [("unregistered", 0), ("error", 0), ("garbage", 0)]);
        assert_eq!(deeds[2], Deed::Forget { percent: 25 });
    }
}
