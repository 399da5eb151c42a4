#![no_main]
//! See `event_body` in the library.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bursar_fuzz::event_body(bytes));
