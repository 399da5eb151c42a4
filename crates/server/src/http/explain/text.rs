//! The same in plain sentences, for somebody who reads them out.

use bursar_domain::account::AccountKind;
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::grant::Grant;
use bursar_domain::journal::Reason;
use bursar_domain::time::Time;
use bursar_domain::wallet::Wallet;
use bursar_store::query::ReasonSum;

/// An amount with its unit: `1 credit`, `12.50 USD`.
pub(super) fn amount(steps: i64, unit: Unit) -> String {
    Amount::new(steps, unit).to_string()
}

/// Sums may be beyond 64 bits, where nobody reads them out any more.
fn sum(steps: i128, unit: Unit) -> String {
    i64::try_from(steps).map_or_else(|_| format!("{steps} steps"), |steps| amount(steps, unit))
}

pub(super) fn of_wallet(wallet: &Wallet, sums: &[ReasonSum], now: Time) -> Vec<String> {
    let (unit, balance) = (wallet.account.key.unit, wallet.account.balance);
    let mut said = vec![format!("The balance is {}.", amount(balance, unit))];
    for one in sums {
        said.push(of_sum(one, unit));
    }
    let total: i128 = sums.iter().map(|one| one.came - one.went).sum();
    said.push(format!(
        "Together that is {}, which is the balance.",
        sum(total, unit)
    ));
    said.extend(wallet.grants.iter().map(|grant| of_grant(grant, now)));
    if wallet.held() > 0 {
        let held = amount(wallet.held(), unit);
        said.push(match wallet.holds.len() {
            1 => format!("One open hold reserves {held}."),
            count => format!("{count} open holds reserve {held}."),
        });
    }
    if wallet.debt() > 0 {
        let debt = amount(wallet.debt(), unit);
        said.push(format!(
            "{debt} were spent beyond what was there; the next grant pays that back first."
        ));
    }
    said.push(match wallet.available(now) {
        _ if wallet.frozen => {
            "Nothing can be spent now: the wallet is frozen, because credit was spent whose payment was refunded or disputed."
                .to_owned()
        }
        available if available < 0 => {
            format!(
                "Nothing can be spent now: {} are owed.",
                amount(-available, unit)
            )
        }
        available => format!("{} can be spent now.", amount(available, unit)),
    });
    said
}

fn of_sum(one: &ReasonSum, unit: Unit) -> String {
    let times = match one.count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    let what = movement(one.reason, one.other);
    match (one.came, one.went) {
        (came, 0) => format!("{what}, {times}: {} came in.", sum(came, unit)),
        (0, went) => format!("{what}, {times}: {} went out.", sum(went, unit)),
        (came, went) => format!(
            "{what}, {times}: {} came in and {} went out.",
            sum(came, unit),
            sum(went, unit)
        ),
    }
}

/// A movement in words. What has none yet is called by the name it has in the books.
pub(super) fn movement(reason: Reason, other: AccountKind) -> String {
    let words = match (reason, other) {
        (Reason::Topup, _) => "Bought by top-ups",
        (Reason::Grant, AccountKind::Sold) => "Granted as paid for",
        (Reason::Grant, _) => "Given",
        (Reason::Charge, _) => "Charged for what was used",
        (Reason::Settle, _) => "Charged by holds when they ended",
        (Reason::Expire, _) => "Expired before it was used",
        (Reason::Void, _) => "Taken back by an administrator with a grant",
        (Reason::RollOver, _) => "Passed from expired grants to new ones",
        (Reason::Exchange, _) => "Exchanged with another unit",
        (Reason::Refund, _) => "Taken back because its payment was refunded or disputed",
        (Reason::Reinstate, _) => "Given back because the money of its payment came back",
        (Reason::Add, _) => "Added by an administrator",
        (Reason::Sub, _) => "Taken away by an administrator",
        _ => return format!("Booked as {} against {}", reason.as_str(), other.as_str()),
    };
    words.to_owned()
}

fn of_grant(grant: &Grant, now: Time) -> String {
    let unit = grant.wallet.unit;
    let left = amount(grant.remaining, unit);
    let until = match grant.expires_at {
        Some(expiry) if grant.is_usable(now) => format!(", until {expiry}"),
        Some(expiry) if expiry <= now => format!(", which expired at {expiry}"),
        _ => String::new(),
    };
    let from = match grant.starts_at {
        Some(start) if start > now => format!(", from {start} on"),
        _ => String::new(),
    };
    let reserved = match grant.held {
        0 => String::new(),
        held => format!(", of which {} are reserved", amount(held, unit)),
    };
    format!(
        "Of the {} {} grant {} over {}, {left} are left{from}{until}{reserved}.",
        grant.category.as_str(),
        grant.source.as_str().replace('_', "-"),
        grant.id,
        amount(grant.granted, unit),
    )
}
