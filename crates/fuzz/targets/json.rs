#![no_main]
//! See `json` in the library.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bursar_fuzz::json(bytes));
