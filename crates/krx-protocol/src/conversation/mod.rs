//! The conversation with the server as a state machine without I/O. It is told what came and what time it is; it says
//! what that means, when our heartbeat is due, what else to send, and when silence is a fault.
//!
//! ```text
//!   init is sent ──▶ Asked ──reply──▶ Accepted ──data──▶ Data
//!                      └───────────────data───────────────▲
//!   each ends with a Parting, or with a Stall
//! ```
//!
//! Each service has a type of its own behind [`Conversation`].

mod full_market;
mod heartbeats;
mod machine;
mod per_issue;
pub(crate) mod request;
mod silence;

pub use full_market::FullMarket;
pub use machine::{Conversation, Heartbeat, Meaning, Parting, Phase, Received, Request};
pub use per_issue::{Pace, PerIssue, PerIssueSettings};
pub use silence::Stall;
