//! Any course of events in a per-issue conversation: see [`krx_fuzz::conversation`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| krx_fuzz::conversation::check(data));
