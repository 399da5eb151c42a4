//! Stripe on the wire: objects, requests, form encoding, signatures, errors and one client.
