//! Whether what was acknowledged is on disk.

use std::fmt;
use std::net::SocketAddr;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use super::book::{Book, user};
use super::request::WALLETS;
use crate::cli::trigger;

/// Wallets in one answer, the most there can be.
const PAGE: usize = 100;

/// What was found of a database after its server was killed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Proof {
    /// Charges and settlements that were acknowledged.
    pub(super) charges: u64,
    /// Whether `bursar audit` found the books right.
    pub(super) audit_passed: bool,
    /// What it said.
    pub(super) audit: String,
    /// What is left in the wallets.
    pub(super) balances: Balances,
    /// Size of all files after the server was stopped cleanly.
    pub(super) file_bytes: u64,
}

impl Proof {
    /// Whether nothing is missing and nothing is too much.
    pub(super) const fn holds(&self) -> bool {
        self.audit_passed && self.balances.are_right()
    }

    /// Size of all files, divided by the charges, rounded up.
    pub(super) fn bytes_per_charge(&self) -> u64 {
        self.file_bytes.div_ceil(self.charges.max(1))
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Balances {
            wallets,
            differing,
            granted,
            spent,
            left,
            ..
        } = &self.balances;
        let first_line = self.audit.lines().next().unwrap_or("it said nothing");
        write!(
            f,
            "after kill -9: {} charges acknowledged; {wallets} wallets were given {granted}, have spent {spent} and hold {left}; \
             {differing} differ; audit: {first_line}",
            self.charges,
        )?;
        match &self.balances.first_difference {
            Some(difference) => write!(f, "\nthe first difference: {difference}"),
            None => Ok(()),
        }
    }
}

/// The wallets compared with the benchmark's own book.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Balances {
    /// Wallets that were found.
    pub(super) wallets: u64,
    /// Wallets that hold something else than they were given less what they have spent, are missing or are not ours.
    pub(super) differing: u64,
    /// What all of them were given.
    pub(super) granted: i64,
    /// What was acknowledged as spent.
    pub(super) spent: i64,
    /// What was found in them.
    pub(super) left: i64,
    /// The first wallet that differs.
    pub(super) first_difference: Option<String>,
}

impl Balances {
    /// Whether every wallet holds what it should.
    pub(super) const fn are_right(&self) -> bool {
        self.differing == 0 && self.granted - self.spent == self.left
    }

    fn differ(&mut self, difference: String) {
        self.differing += 1;
        self.first_difference.get_or_insert(difference);
    }
}

/// Reads every wallet of a running server and compares it with what was acknowledged.
pub(super) async fn acknowledged_is_on_disk(
    address: SocketAddr,
    admin_key: &str,
    book: &Book,
) -> anyhow::Result<Balances> {
    let mut found: Vec<Option<i64>> = vec![None; book.wallets()];
    let mut balances = Balances::default();
    let mut cursor = String::new();
    loop {
        let url = format!("http://{address}{WALLETS}?limit={PAGE}{cursor}");
        let page = trigger::get(&url, admin_key).await?;
        let items = page["items"]
            .as_array()
            .context("a list of wallets has no items")?;
        for item in items {
            let (owner, credits) = wallet(item)?;
            balances.wallets += 1;
            balances.left += credits;
            let place = owner
                .strip_prefix('u')
                .and_then(|number| number.parse::<usize>().ok());
            match place.and_then(|place| found.get_mut(place)) {
                Some(space @ None) => *space = Some(credits),
                Some(Some(_)) => balances.differ(format!("{owner} was listed twice")),
                None => balances.differ(format!("{owner} is not one of ours")),
            }
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    for (place, credits) in found.into_iter().enumerate() {
        let (granted, spent) = book.of(place);
        balances.granted += granted;
        balances.spent += spent;
        if credits != Some(granted - spent) {
            let holds = credits.map_or("is missing".to_owned(), |credits| {
                format!("holds {credits}")
            });
            balances.differ(format!(
                "{} was given {granted}, has spent {spent} and {holds}",
                user(place)
            ));
        }
    }
    Ok(balances)
}

fn wallet(item: &Value) -> anyhow::Result<(&str, i64)> {
    item["user_id"]
        .as_str()
        .zip(item["credits"].as_i64())
        .with_context(|| format!("this is no wallet: {item}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(file_bytes: u64, charges: u64, differing: u64, audit_passed: bool) -> Proof {
        Proof {
            charges,
            audit_passed,
            audit: String::new(),
            balances: Balances {
                differing,
                ..Balances::default()
            },
            file_bytes,
        }
    }

    #[test]
    fn a_proof_needs_the_audit_and_every_wallet() {
        assert!(proof(1, 1, 0, true).holds());
        assert!(!proof(1, 1, 0, false).holds());
        assert!(!proof(1, 1, 1, true).holds());
        let shifted = Balances {
            granted: 5,
            spent: 2,
            left: 4,
            ..Balances::default()
        };
        assert!(!shifted.are_right());
    }

    #[test]
    fn bytes_per_charge_are_rounded_up() {
        assert_eq!(proof(2_500, 10, 0, true).bytes_per_charge(), 250);
        assert_eq!(proof(2_501, 10, 0, true).bytes_per_charge(), 251);
        assert_eq!(proof(7, 0, 0, true).bytes_per_charge(), 7);
    }
}
