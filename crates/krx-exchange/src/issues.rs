//! What the per-issue service has to say of each issue, and where that comes from.

use std::sync::Arc;

use krx_protocol::per_issue::Pair;

use crate::course::{Course, Pace, Timed};
use crate::message::{Next, TimeOfDay};
use crate::subscription::Subscription;

/// How many stretches of time are passed over at once before others get their turn: each may hold thousands of trades.
const SKIP_MAX: u32 = 16;

/// What happens to the issues of a day, as far as it is registered.
///
/// A registration is known by a number, which the exchange gives and never gives again.
pub trait Issues: Send {
    /// Registers what is asked for under `number`, from now on.
    fn register(&mut self, number: u64, subscription: &Subscription) -> Welcome;

    /// `number` is no longer registered.
    fn cancel(&mut self, number: u64);

    /// The current state of what is registered under `number`, as a JSON object; `None` if it is not.
    fn state(&self, number: u64) -> Option<String>;

    /// What comes next. If nothing that is registered happens for a while, [`Push::Mark`] says how far the day has got:
    /// at least once in half a second, or the day would run ahead of the clock.
    fn next(&mut self) -> Next<Push>;
}

/// Whether an issue can be registered, and what the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Welcome {
    /// There is no such issue, or it has no such preset.
    NoSuchIssue,
    /// It is registered, and the answer says no more.
    Plain,
    /// It is registered, and the answer is its state.
    WithState,
}

/// What comes next in [`Issues`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// Something happened to what is registered.
    Of {
        /// The number of the registration.
        registration: u64,
        /// When it is pushed. If it is earlier than the previous one, it is pushed right after that.
        at: TimeOfDay,
        /// The `params` of the push: a JSON object.
        params: String,
    },
    /// A recorded message. Each part is sent if its pair is registered when the message is due.
    Message(PushMessage),
    /// Nothing, until this time.
    Mark(TimeOfDay),
}

/// A message about several pairs, or with parts that are about none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushMessage {
    /// When it is sent. If it is earlier than the previous one, it is sent right after that.
    pub at: TimeOfDay,
    /// Its parts, in order.
    pub parts: Vec<PushPart>,
    /// What is around them.
    pub frame: PushFrame,
}

/// A part of a [`PushMessage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushPart {
    /// What it is about. Without one, it is sent while anything is registered.
    pub pair: Option<Arc<Pair>>,
    /// The whole text of the part.
    pub text: String,
}

/// What is around the parts of a [`PushMessage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushFrame {
    /// Nothing: there is one part.
    Bare,
    /// They are the elements of an array, which ends like this: `]`, unless it was cut off, or something followed it.
    Array {
        /// The end.
        end: String,
    },
}

impl PushMessage {
    /// The text made of the parts that `is_sent` accepts, and how many they are; `None` if it accepts none.
    pub(crate) fn text(&self, is_sent: impl Fn(Option<&Pair>) -> bool) -> Option<(String, u32)> {
        let parts = self.parts.iter().filter(|part| is_sent(part.pair.as_deref()));
        let texts: Vec<&str> = parts.map(|part| part.text.as_str()).collect();
        let text = match &self.frame {
            _ if texts.is_empty() => return None,
            PushFrame::Bare => texts.concat(),
            PushFrame::Array { end } => format!("[{}{end}", texts.join(",")),
        };
        Some((text, u32::try_from(texts.len()).unwrap_or(u32::MAX)))
    }
}

/// The message that pushes `params`, a JSON object.
#[must_use]
pub fn push_text(params: &str) -> String {
    const HEAD: &str = "{\"jsonrpc\":\"2.0\",\"method\":\"push\",\"params\":";
    let mut text = String::with_capacity(HEAD.len() + params.len() + 1);
    text.push_str(HEAD);
    text.push_str(params);
    text.push('}');
    text
}

impl Timed for Push {
    fn at(&self) -> TimeOfDay {
        match self {
            Push::Of { at, .. } | Push::Message(PushMessage { at, .. }) | Push::Mark(at) => *at,
        }
    }

    fn messages(&self) -> u32 {
        match self {
            Push::Of { .. } | Push::Message(_) => 1,
            Push::Mark(_) => 0,
        }
    }

    fn records(&self) -> u32 {
        match self {
            Push::Message(message) => u32::try_from(message.parts.len()).unwrap_or(u32::MAX),
            Push::Of { .. } | Push::Mark(_) => self.messages(),
        }
    }
}

/// A per-issue feed's place in its day.
pub struct IssueDay {
    pub(crate) issues: Box<dyn Issues>,
    pub(crate) course: Course<Push>,
}

impl IssueDay {
    /// At the beginning of a day whose clock starts at `start`. A rate counts messages; while nothing is registered, the
    /// day waits at a rate and at full speed.
    #[must_use]
    pub fn new(issues: impl Issues + 'static, start: TimeOfDay, pace: Pace) -> IssueDay {
        IssueDay {
            issues: Box::new(issues),
            course: Course::new(start, pace, SKIP_MAX),
        }
    }

    /// A day without issues.
    #[must_use]
    pub fn empty() -> IssueDay {
        IssueDay::new(NoIssues, TimeOfDay(0), Pace::Max)
    }
}

struct NoIssues;

impl Issues for NoIssues {
    fn register(&mut self, _: u64, _: &Subscription) -> Welcome {
        Welcome::NoSuchIssue
    }

    fn cancel(&mut self, _: u64) {}

    fn state(&self, _: u64) -> Option<String> {
        None
    }

    fn next(&mut self) -> Next<Push> {
        Next::DayOver { another_after: None }
    }
}
