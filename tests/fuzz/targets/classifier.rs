//! Any bytes as an object message: see [`krx_fuzz::classifier`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| krx_fuzz::classifier::check(data));
