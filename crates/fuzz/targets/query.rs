#![no_main]
//! See `query` in the library.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bursar_fuzz::query(bytes));
