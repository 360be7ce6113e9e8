//! `krx-recorder replay`: a recorded day, served as the exchange would.

pub mod message;
