//! A simulated exchange: plausible trading days and scripted faults, served on loopback.
//!
//! ```text
//!  universe ─▶ tape ─▶ day ───────▶ program ─▶ krx_exchange::serve ─▶ clients
//!  (issues)   (prints) per_issue       ▲            │
//!                      (what)          │            └─▶ ledger (what was sent: the oracle)
//!                   script (faults) ───┘
//! ```
//!
//! * A tape makes up a market's day from a seed, and both services are views of it. [`Day`] makes messages of its prints:
//!   the same seed gives the same bytes, whatever the pace. `per_issue` makes up the trades behind each print, and books,
//!   indices and derivatives around them.
//! * The program serves each feed such days, along with a script of [`Fault`]s.
//! * The server is that of `krx-exchange`, which knows about neither.
//!
//! It is a test exchange, not a price model.

#![cfg_attr(test, allow(clippy::unwrap_used))]
// These would panic if the stream accepts nothing.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod config;
mod day;
mod dice;
mod error;
mod fault;
mod frames;
mod issue;
mod ledger;
mod per_issue;
mod price;
mod program;
mod sampler;
mod script;
mod server;
mod tape;
mod timetable;
mod tls;
mod universe;

pub use config::{Answers, Config, DayConfig, PerIssueConfig, RefuseAll};
pub use day::{Day, DayMessage};
pub use error::{IssuesError, SimulatorError};
pub use fault::{Fault, FaultError, FaultKind, FaultTime, Garbage};
pub use frames::{FramesWritten, Pushes, write_frames, write_pushes};
pub use issue::{Issue, IssueCode};
pub use krx_exchange::{
    Endpoint, EventFormat, InitReply, Key, Market, Pace, PerIssueRules, SecondSession, TimeOfDay,
};
pub use krx_protocol::per_issue::Preset;
pub use price::{PriceBand, PriceGrid, Won};
pub use server::serve;
pub use timetable::HalfSecond;
pub use tls::tls_config;
pub use universe::Universe;
