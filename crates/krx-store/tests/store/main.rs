//! The store from outside, in one program: each one links arrow and parquet, which takes longer than its tests.
#![allow(clippy::unwrap_used)]

mod archive;
mod checksums;
mod checksums_appended;
mod clock;
mod coverage;
mod daily;
mod daily_computed;
mod daily_days;
mod day;
mod day_proved;
mod day_sorted;
mod export;
mod faults;
mod journal;
mod newer;
mod newest;
mod per_issue;
mod progress;
mod pushes;
mod rebuild;
mod registrations;
mod removed;
mod replaced;
mod support;
mod tail;
mod toy;
mod verify;
mod verify_coverage;
