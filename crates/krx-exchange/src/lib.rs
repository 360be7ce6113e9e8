//! The server's side of Koscom's streaming protocol, on loopback.
//!
//! ```text
//!   Program ─▶ Messages ─▶ Cursor ────▶ feed ─▶ session ─▶ client
//!   (given)    Issues      (when)       ▲ │ ▲      │
//!              (what)      PerIssue     │ │ │      └─▶ Transcript (everything, before it is sent)
//!                          (who asked)  │ │ │
//!   listener ─▶ admission ─▶ server ────┘ │ └─ Script (what else is done to the session)
//!               (upgrade, init)           └──▶ events on standard output
//! ```
//!
//! * [`serve`] owns everything: give it a listener, a [`Program`] and a future that ends it.
//! * A [`Cursor`] decides when a day's [`Messages`] are due, and which of them pass unheard.
//! * [`supply()`] lets a thread supply the messages of a day.
//! * A [`Script`] does what a well-behaved server would not; there is none unless the program has one.
//!
//! What a session says once its client is initialised depends on the service: a `Conversation`, which decides and does no
//! input or output. That of the full-market service sends [`Messages`] unasked; that of the per-issue service answers
//! requests and sends what they registered of its [`Issues`]. Everything else here is the same for both.

#![cfg_attr(test, allow(clippy::unwrap_used))]
// These would panic if the stream accepts nothing.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod admission;
mod config;
mod control;
mod conversation;
mod course;
mod cursor;
mod door;
mod endpoint;
mod error;
mod event;
mod feed;
mod full_market;
mod issues;
mod market;
mod message;
mod packing;
mod per_issue;
mod program;
mod pulse;
mod registrations;
mod script;
mod server;
mod session;
mod subscription;
mod supply;
mod transcript;
mod transport;

pub use config::{Admits, Config, InitReply, PerIssueRules, SecondSession};
pub use control::Key;
pub use course::Pace;
pub use cursor::Cursor;
pub use endpoint::Endpoint;
pub use error::ExchangeError;
pub use event::EventFormat;
pub use issues::{IssueDay, Issues, Push, PushFrame, PushMessage, PushPart, Welcome, push_text};
pub use market::Market;
pub use message::{Messages, Next, TimeOfDay, TimedMessage};
pub use packing::{Packed, Packer, RECORDS_MAX, RecordHead};
pub use program::Program;
pub use script::{Bundle, BundleForm, Deed, Script, Treatment};
pub use server::{listen, serve};
pub use session::Farewell;
pub use subscription::Subscription;
pub use supply::{NotWanted, Supplied, Supplier, Supply, supply};
pub use transcript::{Entry, MessageKind, Note, Transcript, transcript};
