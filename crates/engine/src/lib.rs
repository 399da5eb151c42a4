//! The imperative shell: writer, readers, jobs, clock, and the bridge between Stripe and the domain.
