//! Everything in the books, to compare before and after.

use bursar_store::query::{EntryFilter, EventFilter, PageRequest, PaymentFilter, TopupFilter};

use crate::desk::Desk;

pub(crate) fn all() -> PageRequest {
    PageRequest {
        limit: 100_000,
        cursor: None,
    }
}

/// All that must not change when something is done again.
pub(crate) fn of(desk: &mut Desk) -> Vec<String> {
    let reader = &mut desk.reader;
    let mut rows = Vec::new();
    let entries = reader
        .entries(&EntryFilter::default(), &all())
        .unwrap()
        .items;
    rows.extend(entries.iter().map(|row| format!("{row:?}")));
    let topups = reader
        .topups(&TopupFilter::default(), &all())
        .unwrap()
        .items;
    rows.extend(topups.iter().map(|row| format!("{row:?}")));
    let payments = reader
        .payments(&PaymentFilter::default(), &all())
        .unwrap()
        .items;
    rows.extend(
        payments
            .iter()
            .map(|row| format!("{} {:?} {:?}", row.id, row.status, row.session)),
    );
    let events = reader
        .events(&EventFilter::default(), &all())
        .unwrap()
        .items;
    rows.extend(
        events
            .iter()
            .map(|row| format!("{} {:?} {:?}", row.id, row.status, row.payment)),
    );
    rows.push(format!("{:?}", desk.audit().balances));
    rows
}
