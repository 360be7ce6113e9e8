//! A simulated exchange: speaks Koscom's full-market streaming protocol as a server, on loopback.
//!
//! ```text
//!  universe ─▶ day ─▶ cursor ─▶ feed ─▶ session ─▶ client
//!  (issues)   (what)  (when)     ▲  │      │
//!                                │  │      └─▶ ledger (what was sent: the oracle)
//!  listener ─▶ admission ─▶ server  └─▶ events on standard output
//!              (upgrade, init)
//! ```
//!
//! * [`Day`] makes up a market's day from a seed: the same seed, the same bytes, whatever the pace.
//! * A cursor decides when its messages are due, and what falls due unheard.
//! * A feed is a task that serves one market to one key, one session after another, faults included.
//! * [`serve`] owns them all, as `mini-redis` does: give it a listener and a future that ends it.
//!
//! A [`SuppliedDay`] takes the place of a day that is made up: `krx-recorder replay` serves a recorded day so.
//!
//! It is a test exchange, not a price model.

#![cfg_attr(test, allow(clippy::unwrap_used))]
// A stream that takes nothing would make these panic.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod admission;
mod config;
mod control;
mod cursor;
mod day;
mod dice;
mod error;
mod event;
mod fault;
mod feed;
mod frames;
mod issue;
mod ledger;
mod market;
mod packing;
mod price;
mod sampler;
mod server;
mod session;
mod supply;
mod timetable;
mod transport;
mod universe;

pub use config::{Config, DayConfig, InitReply, RefuseAll, SecondSession};
pub use control::Key;
pub use cursor::Pace;
pub use day::Day;
pub use error::{IssuesError, SimulatorError};
pub use event::EventFormat;
pub use fault::{Fault, FaultError, FaultKind, FaultTime, Garbage};
pub use frames::{FramesWritten, write_frames};
pub use issue::{Issue, IssueCode};
pub use market::Market;
pub use packing::{DayMessage, RECORDS_MAX};
pub use price::{PriceBand, PriceGrid, Won};
pub use server::serve;
pub use supply::{CHUNK_BYTES, NotWanted, SuppliedDay, Supplier, Supply, TimeOfDay, TimedMessage, supply};
pub use timetable::HalfSecond;
pub use transport::tls_config;
pub use universe::Universe;
