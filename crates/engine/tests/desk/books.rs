//! Everything in the books, to compare before and after.

use std::fmt::Debug;

use bursar_store::query::{
    EntryFilter, EventFilter, GrantFilter, HoldFilter, PageRequest, PaymentFilter, TopupFilter,
};

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
    let entries = reader.entries(&EntryFilter::default(), &all()).unwrap();
    rows.extend(written(&entries.items));
    let topups = reader.topups(&TopupFilter::default(), &all()).unwrap();
    rows.extend(written(&topups.items));
    let payments = reader.payments(&PaymentFilter::default(), &all()).unwrap();
    let payments = payments.items.iter();
    rows.extend(payments.map(|row| format!("{} {:?} {:?}", row.id, row.status, row.session)));
    let events = reader.events(&EventFilter::default(), &all()).unwrap();
    let events = events.items.iter();
    rows.extend(events.map(|row| format!("{} {:?} {:?}", row.id, row.status, row.payment)));
    rows.extend(of_wallets(desk));
    rows.push(format!("{:?}", desk.audit().balances));
    rows
}

/// Wallets as the writer has them, and the rows that are never older than the journal.
fn of_wallets(desk: &mut Desk) -> Vec<String> {
    let reader = &mut desk.reader;
    let mut rows = Vec::new();
    let ended = GrantFilter {
        live: Some(false),
        ..GrantFilter::default()
    };
    rows.extend(written(&reader.grants(&ended, &all()).unwrap().items));
    let holds = reader.holds(&HoldFilter::default(), &all()).unwrap();
    rows.extend(written(&holds.items));
    rows.extend(written(&reader.limits(None, &all()).unwrap().items));
    rows.extend(written(&reader.announcements(0, 100_000).unwrap()));
    let accounts = reader.wallets(&all()).unwrap().items;
    let keys = accounts.into_iter().map(|account| account.key).collect();
    rows.extend(written(&desk.wallets(keys)));
    rows
}

fn written(rows: &[impl Debug]) -> Vec<String> {
    rows.iter().map(|row| format!("{row:?}")).collect()
}
