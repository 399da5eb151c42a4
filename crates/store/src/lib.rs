//! The only crate of Bursar that knows SQL.
