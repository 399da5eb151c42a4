//! Commands about one wallet that meet in one batch: the same books as if each had come alone, and none of them looks at a row
//! that was not loaded. Which commands meet is chance, so every order of a few is tried.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

#[path = "desk/books.rs"]
mod books;
mod desk;
#[path = "desk/meeting.rs"]
mod meeting;

use bursar_domain::account::AccountKey;
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::charge::{Charge, Price};
use bursar_domain::command::{Adjust, ChargeAll, Command, Reply};
use bursar_domain::exchange::Exchange;
use bursar_domain::grant::{Category, CreateGrant, RollOver, Source};
use bursar_domain::hold::{CreateHold, Overage};
use bursar_domain::id::{GrantId, HoldId, LimitId, UserId};
use bursar_domain::journal::Remark;
use bursar_domain::limit::{Period, SetLimit, Spender, Subject, SubjectKind};
use bursar_domain::sweep::Sweep;
use bursar_engine::clock::Clock as _;
use bursar_store::query::{GrantFilter, HoldFilter};

use desk::Desk;
use meeting::compare;

/// A customer that nobody has heard of.
fn newcomer(desk: &Desk) -> UserId {
    UserId::parse(&format!("user-{}", desk.clock.now().seconds())).unwrap()
}

fn terms(user: &UserId, credits: i64) -> CreateGrant {
    let (category, source) = (Category::Promotional, Source::Manual);
    CreateGrant::plain(user.clone(), Amount::credits(credits), category, source)
}

fn grant(desk: &mut Desk, terms: CreateGrant) -> GrantId {
    match desk.ask(Command::CreateGrant(terms)) {
        Ok(Reply::Grant(grant)) => grant.id,
        other => panic!("{other:?}"),
    }
}

fn charge(user: &UserId, credits: i64) -> Charge {
    Charge {
        user: user.clone(),
        unit: Unit::CREDIT,
        price: Price::Exactly(credits),
        allow_debt: false,
        spender: Spender {
            api_key: None,
            labels: vec!["team".to_owned()],
        },
        remark: Remark::default(),
    }
}

fn hold(desk: &mut Desk, user: &UserId, credits: i64, seconds: i64) -> HoldId {
    let wish = CreateHold {
        charge: charge(user, credits),
        seconds: Some(seconds),
        overage: Some(Overage::Debt),
    };
    match desk.ask(Command::CreateHold(wish)) {
        Ok(Reply::Hold(hold)) => hold.id,
        other => panic!("{other:?}"),
    }
}

fn limit(user: &UserId, credits: i64) -> SetLimit {
    SetLimit {
        subject: Subject {
            kind: SubjectKind::User,
            name: user.to_string(),
        },
        most: Amount::credits(credits),
        period: Period::Day,
    }
}

fn settle(hold: HoldId, used: i64) -> Command {
    Command::SettleHold {
        hold,
        used,
        remark: Remark::default(),
    }
}

/// A wallet whose oldest grant is about to roll over, with one hold that is open and one whose time has run out.
struct Wallet {
    user: UserId,
    grant: GrantId,
    open: HoldId,
    expired: HoldId,
}

impl Wallet {
    fn new(desk: &mut Desk) -> Self {
        let (user, now) = (newcomer(desk), desk.clock.now());
        let expiring = CreateGrant {
            expires_at: Some(now.plus_seconds(5)),
            roll_over: Some(RollOver {
                cap: 10,
                seconds: 1_000,
            }),
            ..terms(&user, 40)
        };
        grant(desk, expiring);
        let grant = grant(desk, terms(&user, 60));
        let expired = hold(desk, &user, 10, 5);
        let open = hold(desk, &user, 40, 900);
        let progress = Command::ProgressHold {
            hold: expired,
            used: 7,
        };
        desk.ask(progress).unwrap();
        desk.clock.set(now.plus_seconds(5));
        Self {
            user,
            grant,
            open,
            expired,
        }
    }

    fn key(&self) -> AccountKey {
        AccountKey::wallet(&self.user)
    }

    fn sweep(&self) -> Command {
        Command::Sweep(Sweep {
            holds: vec![self.expired],
            wallets: vec![self.key()],
        })
    }
}

/// Everybody wants the same credits.
fn spending(desk: &mut Desk) -> Vec<Command> {
    let wallet = Wallet::new(desk);
    let user = &wallet.user;
    let debt = Charge {
        allow_debt: true,
        ..charge(user, 50)
    };
    let all = [20, 25].map(|credits| (charge(user, credits), None));
    vec![
        Command::Charge(charge(user, 30)),
        Command::Charge(debt),
        Command::ChargeAll(ChargeAll {
            charges: all.to_vec(),
            atomic: true,
        }),
        Command::CreateHold(CreateHold {
            charge: charge(user, 25),
            seconds: None,
            overage: None,
        }),
        settle(wallet.open, 45),
        Command::ExtendHold {
            hold: wallet.open,
            more: 15,
            seconds: Some(1_000),
        },
        wallet.sweep(),
        Command::VoidGrant {
            grant: wallet.grant,
            remark: Remark::default(),
        },
        Command::SetLimit(limit(user, 35)),
    ]
}

/// Everything ends, and something new begins.
fn ending(desk: &mut Desk) -> Vec<Command> {
    let wallet = Wallet::new(desk);
    let user = &wallet.user;
    let Ok(Reply::Limit(set)) = desk.ask(Command::SetLimit(limit(user, 60))) else {
        panic!("no limit");
    };
    vec![
        Command::ReleaseHold {
            hold: wallet.open,
            remark: Remark::default(),
        },
        settle(wallet.open, 20),
        wallet.sweep(),
        Command::CreateGrant(terms(user, 30)),
        Command::Exchange(Exchange {
            user: user.clone(),
            give: Amount::credits(15),
            get: Amount::new(5, Unit::currency("usd").unwrap()),
            category: Category::Paid,
            remark: Remark::default(),
        }),
        Command::RemoveLimit(set.id),
        Command::SetOverdraft {
            user: user.clone(),
            unit: Unit::CREDIT,
            overdraft: Some(10),
        },
        Command::Adjust(Adjust {
            user: user.clone(),
            credits: -12,
            remark: Remark::default(),
        }),
        Command::ReadWallets(vec![wallet.key()]),
    ]
}

/// Takes all limits away; the id that the next one will have.
fn without_limits(desk: &mut Desk, user: &UserId) -> LimitId {
    desk.ask(Command::SetLimit(limit(user, 1))).unwrap();
    let limits = desk.reader.limits(None, &books::all()).unwrap().items;
    for limit in &limits {
        desk.ask(Command::RemoveLimit(limit.id)).unwrap();
    }
    let newest = limits.iter().map(|limit| limit.id.number()).max();
    LimitId::of(newest.unwrap() + 1)
}

/// Nobody has heard of this customer before the batch, and there is no limit: what one command makes, the next one finds.
fn beginning(desk: &mut Desk) -> Vec<Command> {
    let user = newcomer(desk);
    let next_limit = without_limits(desk, &user);
    let next = |of: usize| i64::try_from(of).unwrap() + 1;
    let page = books::all();
    let grants = desk.reader.grants(&GrantFilter::default(), &page).unwrap();
    let holds = desk.reader.holds(&HoldFilter::default(), &page).unwrap();
    vec![
        Command::CreateGrant(terms(&user, 50)),
        Command::Charge(charge(&user, 20)),
        Command::CreateHold(CreateHold {
            charge: charge(&user, 25),
            seconds: None,
            overage: None,
        }),
        settle(HoldId::of(next(holds.items.len())), 5),
        Command::VoidGrant {
            grant: GrantId::of(next(grants.items.len())),
            remark: Remark::default(),
        },
        Command::SetLimit(limit(&user, 15)),
        Command::RemoveLimit(next_limit),
        Command::Adjust(Adjust {
            user: user.clone(),
            credits: 10,
            remark: Remark::default(),
        }),
    ]
}

#[test]
fn everybody_spends_in_one_batch() {
    compare(spending, 9);
}

#[test]
fn everything_about_a_wallet_ends_in_one_batch() {
    compare(ending, 9);
}

#[test]
fn a_wallet_begins_in_one_batch() {
    compare(beginning, 8);
}
