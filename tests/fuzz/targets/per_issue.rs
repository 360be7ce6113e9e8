//! Any bytes as a frame of the per-issue service: see [`krx_fuzz::per_issue`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| krx_fuzz::per_issue::check(data));
