use std::collections::BTreeSet;

use bursar_domain::account::{AccountKey, AccountKind, Owner};
use bursar_domain::amount::Unit;
use bursar_domain::journal::{PostingRow, Side};
use bursar_store::query::RecordedPosting;
use jiff::civil::date;

use super::chart::{Money, Name, class, sign};
use super::{Days, day_of, midnight};

fn account(kind: AccountKind, owner: &str, unit: Unit) -> AccountKey {
    AccountKey {
        kind,
        owner: Owner::from(owner),
        unit,
    }
}

fn name(owner: &str) -> String {
    Name(&account(AccountKind::Wallet, owner, Unit::CREDIT)).to_string()
}

#[test]
fn names_have_only_what_the_stricter_format_takes() {
    let usd = Unit::currency("usd").unwrap();
    assert_eq!(name("anna"), "Liabilities:Wallet:Of-anna:CREDIT");
    assert_eq!(
        name("a-b@x.eu"),
        "Liabilities:Wallet:Of-a--b-40x-2eeu:CREDIT"
    );
    assert_eq!(
        Name(&account(AccountKind::Clearing, "stripe", usd)).to_string(),
        "Assets:Clearing:Of-stripe:USD"
    );
    assert_eq!(
        Name(&account(AccountKind::RolledOver, "", Unit::CREDIT)).to_string(),
        "Equity:RolledOver:CREDIT"
    );
}

#[test]
fn no_two_owners_have_one_name() {
    let signs = [
        "a", "-", "--", "-2d", "2", "d", "@", "-40", "4", ":", "Z", ".",
    ];
    let mut owners = BTreeSet::new();
    for first in signs {
        for second in signs {
            for third in signs {
                owners.insert(format!("{first}{second}{third}"));
            }
        }
    }
    let names: BTreeSet<String> = owners.iter().map(|owner| name(owner)).collect();
    assert_eq!(names.len(), owners.len());
}

#[test]
fn amounts_have_the_decimals_of_their_unit_up_to_the_end_of_the_range() {
    let written = |steps, code| match Unit::currency(code) {
        Some(unit) => Money(steps, unit).to_string(),
        None => Money(steps, Unit::CREDIT).to_string(),
    };
    assert_eq!(written(-5, "usd"), "-0.05 USD");
    assert_eq!(written(1234, "kwd"), "1.234 KWD");
    assert_eq!(written(-1000, "jpy"), "-1000 JPY");
    assert_eq!(written(0, "credit"), "0 CREDIT");
    assert_eq!(
        written(i128::from(i64::MIN), "usd"),
        "-92233720368547758.08 USD"
    );
}

fn posting(from: AccountKind, to: AccountKind) -> RecordedPosting {
    let side = Side {
        account: 1,
        chain: None,
    };
    RecordedPosting {
        row: PostingRow {
            number: 1,
            from: side,
            to: side,
            amount: 1,
            grant: None,
        },
        from: account(from, "", Unit::CREDIT),
        to: account(to, "", Unit::CREDIT),
    }
}

#[test]
fn what_is_owned_is_positive_and_what_is_owed_negative() {
    use AccountKind::{Clearing, Granted, Received, RolledOver, Spent, Wallet};
    // (from, to, what the receiving account gets)
    for (from, to, expected) in [
        (Received, Clearing, 1),
        (Granted, Wallet, -1),
        (Wallet, Spent, -1),
        (Wallet, RolledOver, -1),
        (RolledOver, Wallet, -1),
    ] {
        assert_eq!(sign(&posting(from, to)), expected, "{from:?} {to:?}");
    }
    assert_eq!(
        [Clearing, Wallet, Spent, Granted, Received].map(class),
        ["Assets", "Liabilities", "Income", "Expenses", "Equity"]
    );
}

#[test]
fn days_never_go_back() {
    let day = day_of(midnight(date(2027, 1, 15)).unwrap());
    let mut days = Days::at(day);
    days.reach(day - 3);
    assert_eq!(days.text, "2027-01-15");
    days.reach(day + 17);
    assert_eq!(days.text, "2027-02-01");
    assert_eq!(
        Days::at(day_of(bursar_domain::time::Time(-1))).text,
        "1969-12-31"
    );
}
