//! The conversation of the per-issue service: `init`, then a `subscribe` for each pair that is wanted, each with an id of
//! its own by which it is answered; and from then on data as it comes.

#[cfg(test)]
mod bench;
mod life;
mod pace;
mod peers;
mod registrar;
mod said;
mod session;
mod settings;
mod wanted;

pub use pace::Pace;
pub use session::PerIssue;
pub use settings::PerIssueSettings;
