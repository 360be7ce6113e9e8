//! The server's side of Koscom's streaming protocol, on loopback.
//!
//! ```text
//!   Program ─▶ Messages ─▶ Cursor ─▶ feed ─▶ session ─▶ client
//!   (given)    (what)      (when)    ▲ │ ▲      │
//!                                    │ │ │      └─▶ Transcript (everything, before it is sent)
//!   listener ─▶ admission ─▶ server ─┘ │ └─ Script (what else is done to the session)
//!               (upgrade, init)        └──▶ events on standard output
//! ```
//!
//! * [`serve`] owns everything: give it a listener, a [`Program`] and a future that ends it.
//! * A [`Cursor`] decides when a day's [`Messages`] are due, and which of them pass unheard.
//! * [`supply()`] lets a thread supply the messages of a day.
//! * A [`Script`] does what a well-behaved server would not; there is none unless the program has one.
//!
//! What a session says once its client is initialised depends on the service. `full_market` is the conversation of the
//! full-market feeds; another service's would be a module beside it, with its own task that `server` starts. Everything
//! else here is the same for every service.

#![cfg_attr(test, allow(clippy::unwrap_used))]
// These would panic if the stream accepts nothing.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod admission;
mod config;
mod control;
mod cursor;
mod door;
mod error;
mod event;
mod full_market;
mod market;
mod message;
mod packing;
mod program;
mod pulse;
mod script;
mod server;
mod session;
mod supply;
mod transcript;
mod transport;

pub use config::{Admits, Config, InitReply, SecondSession};
pub use control::Key;
pub use cursor::{Cursor, Pace};
pub use error::ExchangeError;
pub use event::EventFormat;
pub use market::Market;
pub use message::{Messages, Next, TimeOfDay, TimedMessage};
pub use packing::{Packed, Packer, RECORDS_MAX, RecordHead};
pub use program::Program;
pub use script::{Deed, Script};
pub use server::{listen, serve};
pub use session::Farewell;
pub use supply::{NotWanted, Supplier, Supply, supply};
pub use transcript::{Entry, MessageKind, Note, Transcript, transcript};
