//! The conversation of the per-issue service: it answers requests, and pushes what they registered.

mod answers;

use std::time::{Duration, Instant};

use krx_protocol::per_issue::Pair;
use serde_json::Value;

use crate::config::PerIssueRules;
use crate::control::{Refusal, ok_answer};
use crate::conversation::{Act, Conversation, Saying};
use crate::course::{DayTotals, Step, Timed};
use crate::issues::{IssueDay, Push, Welcome, push_text};
use crate::message::{TimeOfDay, TimedMessage};
use crate::registrations::{Place, Registrations};
use crate::script::{Bundle, BundleForm, Script, Treatment};
use crate::subscription::{IssueRequest, Subscription};
use crate::transcript::MessageKind;
use answers::{Answers, Due};

/// How many marks of time are passed before others get their turn: each may stand for thousands of trades.
const MARKS_MAX: u32 = 16;

/// How long an answer waits to be overtaken: short of the time after which a client gives up on it.
const OVERTAKEN_AFTER: Duration = Duration::from_secs(2);

/// What is added to an `id` to make that of no request.
const NO_REQUEST: u64 = 900_000_000;

/// The word in the transcript for a snapshot that is not of what was asked for.
const SNAPSHOT_OF_ANOTHER: MessageKind = MessageKind::Scripted("snapshot_of_another");

/// The conversation of one key.
pub(crate) struct PerIssue {
    day: IssueDay,
    registrations: Registrations,
    /// `subscribe`s of the session so far.
    subscribes: u64,
    answers: Answers,
    /// Pushes that will be sent as one message.
    bundle: Option<Gathering>,
    /// The day is complete; to be said after what was gathered.
    complete: Option<DayTotals>,
}

struct Gathering {
    bundle: Bundle,
    at: TimeOfDay,
    /// Each with the number of its registration.
    texts: Vec<(u64, String)>,
}

impl PerIssue {
    pub(crate) fn new(day: IssueDay, rules: PerIssueRules) -> PerIssue {
        PerIssue {
            day,
            registrations: Registrations::new(rules.registrations_max),
            subscribes: 0,
            answers: Answers::default(),
            bundle: None,
            complete: None,
        }
    }

    /// Answers a `subscribe`.
    fn subscribe(
        &mut self,
        id: &Value,
        subscription: &Subscription,
        treatment: Treatment,
        now: Instant,
    ) -> Vec<Saying> {
        match treatment {
            Treatment::Ignored => return Vec::new(),
            Treatment::Refused { with_id } => {
                return vec![error(Refusal::NoSuchIssue, Some(id).filter(|_| with_id))];
            }
            _ => {}
        }
        let (number, welcome) = match self.register(id, subscription) {
            Ok(registered) => registered,
            Err(refusal) => return vec![error(refusal, Some(id))],
        };
        let state = |of: u64| self.state(id, of);
        let fair = match welcome {
            Welcome::WithState => state(number),
            Welcome::Plain | Welcome::NoSuchIssue => plain(id),
        };
        match treatment {
            Treatment::Fair | Treatment::Ignored | Treatment::Refused { .. } => vec![fair],
            Treatment::Unanswered => Vec::new(),
            Treatment::AnsweredTwice => vec![fair.clone(), fair],
            Treatment::SnapshotOfAnother => {
                let other = self.registrations.other_than(number).unwrap_or(number);
                vec![Saying {
                    kind: SNAPSHOT_OF_ANOTHER,
                    ..state(other)
                }]
            }
            Treatment::Misaddressed => {
                let other = Value::from(id.as_u64().unwrap_or(0).saturating_add(NO_REQUEST));
                vec![plain(&other)]
            }
            Treatment::Late(after) => self.answers.hold(fair, Due::At(now + after)),
            Treatment::Overtaken => self.answers.hold(fair, Due::Overtaken(now + OVERTAKEN_AFTER)),
            Treatment::SnapshotAfterPush => {
                self.answers.promise_state(id, number);
                Vec::new()
            }
        }
    }

    fn register(&mut self, id: &Value, subscription: &Subscription) -> Result<(u64, Welcome), Refusal> {
        let pair = &subscription.pair;
        let Place::Taken { number, instead_of } = self.registrations.add(pair, id) else {
            return Err(Refusal::TooManyRegistrations);
        };
        self.cancel(Vec::from_iter(instead_of));
        match self.day.issues.register(number, subscription) {
            Welcome::NoSuchIssue => {
                self.registrations.remove(pair);
                Err(Refusal::NoSuchIssue)
            }
            welcome => Ok((number, welcome)),
        }
    }

    /// Cancels a pair, or what the request `id` registered. What is not registered needs no cancelling: that is no error.
    fn unsubscribe(&mut self, id: &Value, pair: Option<&Pair>) -> Saying {
        let cancelled = match pair {
            Some(pair) => self.registrations.remove(pair).into_iter().collect(),
            None => self.registrations.remove_request(id),
        };
        self.cancel(cancelled);
        plain(id)
    }

    fn cancel(&mut self, numbers: Vec<u64>) {
        if let Some(gathering) = &mut self.bundle {
            gathering.texts.retain(|(number, _)| !numbers.contains(number));
        }
        for number in numbers {
            self.day.issues.cancel(number);
        }
    }

    /// The state of a registration as the answer to the request `id`.
    fn state(&self, id: &Value, number: u64) -> Saying {
        match self.day.issues.state(number) {
            None => plain(id),
            Some(state) => Saying {
                kind: MessageKind::Snapshot,
                records: 1,
                text: format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{state}}}").into(),
            },
        }
    }

    /// An answer that is due.
    fn answer_due(&mut self, now: Instant) -> Option<Saying> {
        if let Some(saying) = self.answers.due(now) {
            return Some(saying);
        }
        let (id, number) = self.answers.kept_promise()?;
        Some(self.state(&id, number))
    }

    /// Makes a message of a push, or keeps it for one with others.
    fn pack(
        &mut self,
        registration: u64,
        at: TimeOfDay,
        params: &str,
        script: &mut dyn Script,
        sent: u64,
    ) -> Option<TimedMessage> {
        let text = push_text(params);
        let gathering = match &mut self.bundle {
            Some(gathering) => gathering,
            None => {
                let Some(bundle) = script.packing(sent) else {
                    return Some(TimedMessage {
                        at,
                        records: 1,
                        text: text.into(),
                    });
                };
                self.bundle.insert(Gathering {
                    bundle,
                    at,
                    texts: Vec::new(),
                })
            }
        };
        gathering.texts.push((registration, text));
        let wanted = usize::try_from(gathering.bundle.pushes).unwrap_or(usize::MAX);
        if gathering.texts.len() < wanted {
            return None;
        }
        self.bundle.take().and_then(Gathering::message)
    }

    /// What comes next of the day.
    fn next(&mut self, script: &mut dyn Script, sent: u64, now: Instant) -> Act {
        for _ in 0..MARKS_MAX {
            let IssueDay { issues, course } = &mut self.day;
            match course.step(&mut || issues.next(), now) {
                Step::Send(Push::Mark(_)) => {}
                Step::Send(push) => {
                    if let Some(message) = self.pushed(push, script, sent) {
                        return Act::Send(message);
                    }
                }
                Step::Wait(until) => return Act::Wait(until),
                Step::DayComplete(totals) => {
                    let Some(rest) = self.bundle.take().and_then(Gathering::message) else {
                        return Act::DayComplete(totals);
                    };
                    self.complete = Some(totals);
                    return Act::Send(rest);
                }
            }
        }
        Act::Wait(Some(now))
    }

    /// While nothing is registered, the day waits at its start, or where it is.
    fn get_ready(&mut self, now: Instant) -> Act {
        let IssueDay { issues, course } = &mut self.day;
        match course.get_ready(&mut || issues.next(), now) {
            Step::DayComplete(totals) => Act::DayComplete(totals),
            Step::Wait(until) => Act::Wait(until),
            Step::Send(_) => Act::Wait(Some(now)),
        }
    }

    /// The message that a push completes, if it is still registered.
    fn pushed(&mut self, push: Push, script: &mut dyn Script, sent: u64) -> Option<TimedMessage> {
        match push {
            Push::Of {
                registration,
                at,
                ref params,
            } if self.registrations.has(registration) => {
                self.answers.pushed(registration);
                self.pack(registration, at, params, script, sent)
            }
            Push::Message(ref message) => {
                let registrations = &self.registrations;
                let is_sent = |pair: Option<&Pair>| {
                    pair.map_or(!registrations.is_empty(), |pair| registrations.has_pair(pair))
                };
                let Some((text, records)) = message.text(is_sent) else {
                    self.day.course.take_back(&push);
                    return None;
                };
                self.day
                    .course
                    .take_back_records(push.records().saturating_sub(records));
                Some(TimedMessage {
                    at: message.at,
                    records,
                    text: text.into(),
                })
            }
            // It was fetched before it was cancelled.
            push => {
                self.day.course.take_back(&push);
                None
            }
        }
    }
}

impl Conversation for PerIssue {
    fn begin_session(&mut self, opened: Instant, now: Instant) {
        self.day.course.begin_session(opened, now);
    }

    fn end_session(&mut self) {
        let all = self.registrations.clear();
        self.cancel(all);
        self.subscribes = 0;
        self.answers = Answers::default();
        self.bundle = None;
    }

    fn act(&mut self, script: &mut dyn Script, sent: u64, now: Instant) -> Act {
        if let Some(saying) = self.answer_due(now) {
            return Act::Say(saying);
        }
        if let Some(totals) = self.complete.take() {
            return Act::DayComplete(totals);
        }
        let idle = self.registrations.is_empty() && !self.day.course.waits_for_nobody();
        let act = if idle {
            self.get_ready(now)
        } else {
            self.next(script, sent, now)
        };
        match (act, self.answers.next_due()) {
            (Act::Wait(until), Some(due)) => Act::Wait(Some(until.map_or(due, |until| until.min(due)))),
            (act, _) => act,
        }
    }

    fn pass_unheard(&mut self, now: Instant) -> Act {
        if let Some(totals) = self.complete.take() {
            return Act::DayComplete(totals);
        }
        let IssueDay { issues, course } = &mut self.day;
        match course.skip_missed(&mut || issues.next(), now) {
            Step::DayComplete(totals) => Act::DayComplete(totals),
            Step::Wait(until) => Act::Wait(until),
            Step::Send(_) => Act::Wait(Some(now)),
        }
    }

    fn heard(&mut self, text: &str, script: &mut dyn Script, now: Instant) -> Option<Vec<Saying>> {
        let sayings = match IssueRequest::parse(text)? {
            IssueRequest::Subscribe { id, subscription } => {
                self.subscribes += 1;
                let treatment = script.subscribing(self.subscribes);
                let overtaken = self.answers.overtaken();
                let mut sayings = self.subscribe(&id, &subscription, treatment, now);
                sayings.extend(overtaken);
                sayings
            }
            IssueRequest::Unsubscribe { id, pair } => vec![self.unsubscribe(&id, pair.as_ref())],
            IssueRequest::Wrong { id } => vec![error(Refusal::Malformed, id.as_ref())],
        };
        Some(sayings)
    }

    fn forget(&mut self, percent: u32) {
        let forgotten = self.registrations.remove_share(percent);
        self.cancel(forgotten);
    }
}

impl Gathering {
    /// All pushes as one message; `None` without pushes.
    fn message(self) -> Option<TimedMessage> {
        let records = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let texts: Vec<String> = self.texts.into_iter().map(|(_, text)| text).collect();
        let text = match self.bundle.form {
            BundleForm::Array => format!("[{}]", texts.join(",")),
            BundleForm::Concatenated => texts.concat(),
        };
        (records > 0).then(|| TimedMessage {
            at: self.at,
            records,
            text: text.into(),
        })
    }
}

fn plain(id: &Value) -> Saying {
    Saying {
        kind: MessageKind::Answer,
        records: 0,
        text: ok_answer(id).into(),
    }
}

fn error(refusal: Refusal, id: Option<&Value>) -> Saying {
    Saying {
        kind: MessageKind::Error,
        records: 0,
        text: refusal.text(id).into(),
    }
}

#[cfg(test)]
mod tests;
