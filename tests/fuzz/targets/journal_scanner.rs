//! Any damage to a journal segment: see [`krx_fuzz::journal_scanner`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| krx_fuzz::journal_scanner::check(data));
