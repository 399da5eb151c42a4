//! Rows that are asked for and not there.

use crate::state::{Needs, State, Wanted};

macro_rules! absent {
    ($needs:ident, $state:ident: $($table:ident)*) => {
        $(for key in $needs.$table {
            $state.$table.load(key, None);
        })*
    };
}

/// Takes in whatever is asked for and not here as absent, in as many rounds as it takes.
pub(crate) fn load_absent(state: &mut State, ask: impl Fn(&mut Wanted<'_>)) {
    loop {
        let mut needs = Needs::default();
        ask(&mut Wanted::new(state, &mut needs));
        if needs.is_empty() {
            return;
        }
        absent!(needs, state:
            accounts wallets grants holds limits limit_subjects causes topups payments payment_of_session payment_of_intent event_numbers events waiting_events unmatched_events awards refunds disputes payment_of_refund customers auto_topups marks coupons codes perks members member_of_code buyers jobs api_keys answers
        );
    }
}
