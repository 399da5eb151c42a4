//! A Stripe that behaves: a pure world with a thin HTTP skin.
