//! What has to be true after every step.

use bursar_domain::account::AccountKey;
use bursar_domain::command::{Command, Reply, Request};
use bursar_domain::id::UserId;

use crate::client::USERS;
use crate::run::{Run, text};
use crate::{truth, wish};

/// Wallets are what the second ledger says, and nothing was credited that Stripe does not know to be paid.
///
/// Only one of the nodes is asked, by `turn`: what a node remembers gets old when nobody asks it.
pub(crate) fn look(run: &mut Run, turn: usize) -> Result<(), String> {
    wallets(run, turn % run.nodes.len())?;
    turns(run)?;
    truth::nothing_invented(run)
}

/// Two nodes may both believe that it is their turn, as long as one of them has slept. They never have the same one.
fn turns(run: &Run) -> Result<(), String> {
    let held = run.nodes.iter().map(|node| node.reach.inner().turn);
    let mut held: Vec<i64> = held.flatten().collect();
    held.sort_unstable();
    match held.windows(2).find(|two| two[0] == two[1]) {
        Some(two) => Err(format!("two nodes have turn {}", two[0])),
        None => Ok(()),
    }
}

fn wallets(run: &mut Run, at: usize) -> Result<(), String> {
    let users: Vec<UserId> = USERS
        .iter()
        .filter_map(|user| UserId::parse(user))
        .collect();
    let euro = wish::euro().ok_or("there is no such unit")?;
    let credits = users.iter().map(AccountKey::wallet);
    let euros = users.iter().map(|user| AccountKey::wallet_in(user, euro));
    let request = Request {
        command: Command::ReadWallets(credits.chain(euros).collect()),
        idempotency: None,
    };
    let now = run.now(at);
    let outcome = run.nodes[at].write(&[&request]).map_err(text)?;
    let Some((Ok(Reply::Wallets(wallets)), _)) = outcome.answers.into_iter().next() else {
        return Err("wallets cannot be read".to_owned());
    };
    let model = &run.model;
    let credits = users.iter().map(|user| {
        let should = (model.balance(user), model.held(user), model.available(user));
        (user, "credits", should)
    });
    let euros = users.iter().map(|user| {
        let (all, available) = model.euros(user, now);
        (user, "euros", (all, 0, available))
    });
    for ((user, what, should), wallet) in credits.chain(euros).zip(wallets) {
        let has = wallet.map_or((0, 0, 0), |wallet| {
            (wallet.account.balance, wallet.held(), wallet.available(now))
        });
        if has != should {
            return Err(format!(
                "{user} has (balance, held, available) {has:?} {what}, and should have {should:?}"
            ));
        }
    }
    Ok(())
}

/// The journal adds up, rows agree with it, and the chain of seals is whole.
pub(crate) fn audit(run: &mut Run) -> Result<(), String> {
    let report = run.nodes[0]
        .reach
        .ask(bursar_store::audit::run)
        .map_err(text)?;
    if let Some(difference) = report.differences.first() {
        return Err(format!("the audit found: {difference:?}"));
    }
    if let Some((unit, sum)) = report.sums.iter().find(|(_, sum)| **sum != 0) {
        return Err(format!("all balances in {unit} add up to {sum}"));
    }
    let chain = run.nodes[0]
        .reach
        .ask(|reader| bursar_store::audit::chain(reader, &[]))
        .map_err(text)?;
    if !chain.broken.is_empty() {
        return Err(format!("the chain of seals is broken: {:?}", chain.broken));
    }
    Ok(())
}
