//! The commands about wallets: giving, spending, reserving, limiting.

use super::{Command, Context, Reply, charges};
use crate::account::AccountKey;
use crate::amount::Unit;
use crate::grant::{self, AMOUNT_MAX, within};
use crate::id::UserId;
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::Time;
use crate::{charge, exchange, hold, limit, sweep, wallet};

/// Decides on a command about wallets.
pub(super) fn decide(
    state: &mut State,
    context: &mut Context<'_>,
    command: &Command,
) -> Result<Reply, Refusal> {
    let now = context.now;
    match command {
        Command::CreateGrant(terms) => grant::create(state, context, terms).map(Reply::Grant),
        Command::VoidGrant { grant, remark } => {
            grant::void(state, now, *grant, remark).map(Reply::Grant)
        }
        Command::Charge(charge) => charge::charge(state, context, charge).map(Reply::Charged),
        Command::ChargeAll(all) => charges::charge_all(state, context, all).map(Reply::ChargedAll),
        Command::Precheck(asked) => charges::precheck(state, context, asked).map(Reply::Prechecked),
        Command::CreateHold(wish) => hold::create(state, context, wish).map(Reply::Hold),
        Command::ProgressHold { hold, used } => {
            hold::progress(state, now, *hold, *used).map(Reply::Hold)
        }
        Command::ExtendHold {
            hold,
            more,
            seconds,
        } => hold::extend(state, context, *hold, *more, *seconds).map(Reply::Hold),
        Command::SettleHold { hold, used, remark } => {
            hold::settle(state, context, *hold, *used, remark).map(Reply::Hold)
        }
        Command::ReleaseHold { hold, remark } => {
            hold::release(state, context, *hold, remark).map(Reply::Hold)
        }
        Command::SetOverdraft {
            user,
            unit,
            overdraft,
        } => set_overdraft(state, now, (user, *unit), *overdraft),
        Command::SetFrozen { user, unit, frozen } => {
            let key = AccountKey::wallet_in(user, *unit);
            wallet::open(state, &key, now);
            wallet::change(state, &key, |wallet| wallet.frozen = *frozen);
            Ok(Reply::Done)
        }
        Command::Exchange(wish) => exchange::exchange(state, context, wish).map(Reply::Exchanged),
        Command::SetLimit(wish) => limit::set(state, now, wish).map(Reply::Limit),
        Command::RemoveLimit(limit) => limit::remove(state, *limit).map(Reply::Limit),
        Command::Sweep(sweep) => sweep::sweep(state, context, sweep).map(|()| Reply::Done),
        Command::ReadWallets(keys) => {
            let wallets = keys.iter().map(|key| state.wallets.get(key).cloned());
            Ok(Reply::Wallets(wallets.collect()))
        }
        _ => Ok(Reply::Done),
    }
}

fn set_overdraft(
    state: &mut State,
    now: Time,
    (user, unit): (&UserId, Unit),
    overdraft: Option<i64>,
) -> Result<Reply, Refusal> {
    if let Some(overdraft) = overdraft {
        within("overdraft", overdraft, 0, AMOUNT_MAX)?;
    }
    let key = AccountKey::wallet_in(user, unit);
    wallet::open(state, &key, now);
    wallet::change(state, &key, |wallet| wallet.overdraft = overdraft);
    Ok(Reply::Overdraft(overdraft))
}
