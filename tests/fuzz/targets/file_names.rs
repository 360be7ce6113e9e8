//! Any text as a file's name: see [`krx_fuzz::file_names`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| krx_fuzz::file_names::check(data));
