//! Any bytes as a frame: see [`krx_fuzz::decoder`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| krx_fuzz::decoder::check(data));
