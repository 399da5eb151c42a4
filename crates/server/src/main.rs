//! The program `bursar`.
fn main() {}
