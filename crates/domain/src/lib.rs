//! Pure rules of Bursar: amounts, accounts, the journal, top-ups, payments.
