#![no_main]
//! See `config` in the library.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bursar_fuzz::config(bytes));
