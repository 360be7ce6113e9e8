//! The oracle of the per-issue service: whether what was recorded is what was sent and what was registered for it.
//!
//! ```text
//!   list ──▶ the recorder's configuration
//!     └─────────────┐
//!   ledger ──▶ expected ──▶ oracle ◀── recorded ◀── ticks/, books/ … quarantine/
//!              (columns)               (columns)
//! ```
//!
//! `registrations` reads the dataset of that name, which must be sound wherever rows are compared.
//!
//! It shares no code with the recorder. What must become of a text follows from the text, from the requests that the
//! simulator heard before it in the same session, and from the list, which alone says what is a derivative.

mod columns;
mod expected;
mod list;
mod oracle;
mod recorded;
mod registered;
pub mod registrations;
mod same;
mod sent;
mod shown;
mod told;

pub use columns::dataset_names;
pub use list::{Group, IssueList};
pub use oracle::{IssueReport, IssueSession, compare_issues};
pub use shown::{TextRow, first_rows, span, text_rows};
pub use told::{IssueRow, issue_rows};
