//! Books to test the store with: commands decided by the domain and committed, as the engine does it.

#![allow(
    dead_code,
    reason = "no test needs everything that the books and the rolls can do"
)]

pub(crate) mod diary;
pub(crate) mod model;
pub(crate) mod pages;
pub(crate) mod roll;
pub(crate) mod spy;
pub(crate) mod twins;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bursar_domain::account::AccountKey;
use bursar_domain::amount::Unit;
use bursar_domain::charge::{Charge, Charged, Price};
use bursar_domain::checkout::{OpenCheckout, SessionOpened, SessionRead};
use bursar_domain::command::{self, Adjust, Command, Context, Reply, Request};
use bursar_domain::event::ReceiveEvent;
use bursar_domain::hold::CreateHold;
use bursar_domain::id::{HoldId, IdSource, PaymentId, UserId};
use bursar_domain::job::{JobKey, JobKind};
use bursar_domain::journal::Remark;
use bursar_domain::limit::Spender;
use bursar_domain::notice::{SessionFact, Standing};
use bursar_domain::policy::Policy;
use bursar_domain::refusal::Refusal;
use bursar_domain::state::{Needs, State};
use bursar_domain::time::Time;
use bursar_domain::topup::CreateTopup;
use bursar_domain::wallet::Wallet;
use bursar_store::connection::Connection;
use bursar_store::query::Chain;
use bursar_store::sqlite::Sqlite;
use bursar_store::{Sizes, Store, StoreError};
use tempfile::TempDir;

/// One answer for each request, and whether it was given before.
pub(crate) type Answers = Vec<(Result<Reply, Refusal>, bool)>;

/// Numbers in the order of asking.
#[derive(Clone)]
pub(crate) struct Counter(u64);

/// Books never begin with the same one while the tests run.
static LAST: AtomicU64 = AtomicU64::new(0);

impl IdSource for Counter {
    fn random80(&mut self) -> u128 {
        self.0 += 1;
        u128::from(self.0)
    }
}

pub(crate) struct Books {
    pub(crate) store: Store,
    pub(crate) now: Time,
    pub(crate) policy: Policy,
    pub(crate) ids: Counter,
}

/// Memory, where the system has a file system in it.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

/// A request without a key.
pub(crate) fn plain(command: Command) -> Request {
    Request {
        command,
        idempotency: None,
    }
}

pub(crate) fn charge_of(name: &str, credits: i64) -> Charge {
    Charge {
        user: user(name),
        unit: Unit::CREDIT,
        price: Price::Exactly(credits),
        allow_debt: false,
        spender: Spender::default(),
        remark: Remark::default(),
    }
}

impl Books {
    pub(crate) fn at(path: &Path) -> Self {
        Self::over(Box::new(Sqlite::open_writer(path).unwrap()))
    }

    pub(crate) fn over(connection: Box<dyn Connection>) -> Self {
        Self::sized(connection, Sizes::default())
    }

    pub(crate) fn sized(connection: Box<dyn Connection>, sizes: Sizes) -> Self {
        Self {
            store: Store::open_sized(connection, sizes).unwrap(),
            now: Time::from_seconds(1_767_225_600),
            policy: Policy::standard(),
            ids: Counter(LAST.fetch_add(1 << 32, Ordering::SeqCst)),
        }
    }

    /// Decides a command and commits what it changed.
    pub(crate) fn ask(&mut self, command: Command) -> Result<Reply, StoreError> {
        let request = Request {
            command,
            idempotency: None,
        };
        self.request(&request)
    }

    pub(crate) fn request(&mut self, request: &Request) -> Result<Reply, StoreError> {
        let answers = self.run(std::slice::from_ref(request))?;
        Ok(answers.into_iter().next().unwrap().0.unwrap())
    }

    /// Decides the commands one after the other and commits what they changed.
    pub(crate) fn run(&mut self, requests: &[Request]) -> Result<Answers, StoreError> {
        // Every batch at a time of its own, so that ids sort in the order of making.
        self.now = Time(self.now.0 + 1_000_000);
        let mut state = self.loaded(requests)?;
        let answers = self.decide(requests, &mut state);
        if state.has_changes() {
            self.store.commit(&state)?;
        } else {
            self.store.give_up()?;
        }
        Ok(answers)
    }

    pub(crate) fn decide(&mut self, requests: &[Request], state: &mut State) -> Answers {
        let mut context = Context {
            now: self.now,
            ids: &mut self.ids,
            policy: &self.policy,
        };
        let answers = requests
            .iter()
            .map(|request| command::answer(state, &mut context, request))
            .collect();
        assert_eq!(state.missed(), None);
        answers
    }

    pub(crate) fn loaded(&mut self, requests: &[Request]) -> Result<State, StoreError> {
        let mut state = self.store.state();
        loop {
            let mut needs = Needs::default();
            for request in requests {
                command::needs(request, &state, &mut needs);
            }
            if needs.is_empty() {
                if self.store.settle(&mut state, true)? {
                    return Ok(state);
                }
                state = self.store.state();
                continue;
            }
            self.store.load(needs, &mut state)?;
        }
    }

    /// Wallets as the writer knows them.
    pub(crate) fn wallets(&mut self, keys: &[AccountKey]) -> Vec<Option<Arc<Wallet>>> {
        match self.ask(Command::ReadWallets(keys.to_vec())).unwrap() {
            Reply::Wallets(wallets) => wallets,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn wallet(&mut self, name: &str) -> Arc<Wallet> {
        let key = AccountKey::wallet(&user(name));
        self.wallets(&[key]).remove(0).unwrap()
    }

    /// Where the entries of a wallet are found.
    pub(crate) fn chain(&mut self, name: &str) -> Chain {
        let wallet = self.wallet(name);
        Chain {
            wallet: wallet.account.key.clone(),
            account: wallet.account.number,
            head: wallet.account.head,
        }
    }

    pub(crate) fn adjust(&mut self, name: &str, credits: i64) {
        let adjust = Adjust {
            user: user(name),
            credits,
            remark: Remark::default(),
        };
        self.ask(Command::Adjust(adjust)).unwrap();
    }

    pub(crate) fn charge(&mut self, name: &str, credits: i64) -> Charged {
        let charge = charge_of(name, credits);
        match self.ask(Command::Charge(charge)).unwrap() {
            Reply::Charged(charged) => charged,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn hold(&mut self, name: &str, credits: i64) -> HoldId {
        let wish = CreateHold {
            charge: charge_of(name, credits),
            seconds: None,
            overage: None,
        };
        match self.ask(Command::CreateHold(wish)).unwrap() {
            Reply::Hold(hold) => hold.id,
            other => panic!("{other:?}"),
        }
    }

    /// A top-up with a payment whose session is open.
    pub(crate) fn checkout(&mut self, name: &str, credits: i64) -> PaymentId {
        let (payment, opened) = self.opened(name, credits);
        self.ask(opened).unwrap();
        payment
    }

    /// The same, and the news that its session has been opened, which nobody has heard of yet.
    pub(crate) fn opened(&mut self, name: &str, credits: i64) -> (PaymentId, Command) {
        let wish = CreateTopup::plain(user(name), credits);
        let Ok(Reply::Topup(topup)) = self.ask(Command::CreateTopup(wish)) else {
            panic!("no top-up");
        };
        let wish = OpenCheckout {
            topup: topup.id,
            user: user(name),
            success_url: String::new(),
            cancel_url: String::new(),
            save_card: false,
        };
        let Ok(Reply::Payment(payment)) = self.ask(Command::OpenCheckout(wish)) else {
            panic!("no payment");
        };
        let key = JobKey::of_payment(JobKind::OpenSession, &payment.id);
        let Ok(Reply::Claimed(claim)) = self.ask(Command::ClaimJob(key)) else {
            panic!("no claim");
        };
        let opened = SessionOpened {
            claim,
            checkout_url: None,
            fact: fact(&payment.id, credits, Standing::Open),
        };
        (payment.id, Command::SessionOpened(opened))
    }

    pub(crate) fn settle(&mut self, payment: &PaymentId, credits: i64, standing: Standing) {
        let read = SessionRead {
            payment: payment.clone(),
            claim: None,
            fact: fact(payment, credits, standing),
        };
        self.ask(Command::SessionRead(read)).unwrap();
    }

    pub(crate) fn receive(&mut self, id: &str, object: &str) -> i64 {
        let event = ReceiveEvent {
            id: id.to_owned(),
            kind: "checkout.session.completed".to_owned(),
            created: 1,
            livemode: false,
            api_version: String::new(),
            object: object.to_owned(),
            body: b"{}".to_vec().into(),
        };
        match self.ask(Command::ReceiveEvent(event)).unwrap() {
            Reply::Received { number, .. } => number,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn fact(payment: &PaymentId, amount: i64, standing: Standing) -> SessionFact {
    SessionFact {
        session: format!("cs_{payment}"),
        amount: Some(amount),
        currency: Some("usd".to_owned()),
        livemode: Some(false),
        intent: Some(format!("pi_{payment}")),
        standing,
    }
}
