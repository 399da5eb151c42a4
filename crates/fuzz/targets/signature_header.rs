#![no_main]
//! See `signature_header` in the library.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bursar_fuzz::signature_header(bytes));
