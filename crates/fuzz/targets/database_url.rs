#![no_main]
//! See `database_url` in the library.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bursar_fuzz::database_url(bytes));
