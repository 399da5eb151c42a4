#![no_main]
//! See `form_encoding` in the library.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bursar_fuzz::form_encoding(bytes));
