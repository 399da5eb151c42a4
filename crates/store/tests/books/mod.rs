//! Books to test the store with: commands decided by the domain, one after the other, each committed.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bursar_domain::checkout::{OpenCheckout, SessionOpened, SessionRead};
use bursar_domain::command::{self, Adjust, Command, Context, Reply, Request};
use bursar_domain::event::ReceiveEvent;
use bursar_domain::id::{IdSource, PaymentId, UserId};
use bursar_domain::job::{JobKey, JobKind};
use bursar_domain::journal::Remark;
use bursar_domain::notice::{SessionFact, Standing};
use bursar_domain::policy::Policy;
use bursar_domain::state::{Needs, State};
use bursar_domain::time::Time;
use bursar_domain::topup::CreateTopup;
use bursar_store::connection::Connection;
use bursar_store::sqlite::Sqlite;
use bursar_store::{Store, StoreError};
use tempfile::TempDir;

/// Numbers in the order of asking, never the same twice while the tests run.
struct Counter;

static LAST: AtomicU64 = AtomicU64::new(0);

impl IdSource for Counter {
    fn random80(&mut self) -> u128 {
        u128::from(LAST.fetch_add(1, Ordering::SeqCst)) + 1
    }
}

pub(crate) struct Books {
    pub(crate) store: Store,
    now: Time,
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

impl Books {
    pub(crate) fn at(path: &Path) -> Self {
        Self::over(Box::new(Sqlite::open_writer(path).unwrap()))
    }

    pub(crate) fn over(connection: Box<dyn Connection>) -> Self {
        Self {
            store: Store::open(connection).unwrap(),
            now: Time::from_seconds(1_767_225_600),
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
        // Every command at a time of its own, so that ids sort in the order of making.
        self.now = Time(self.now.0 + 1_000_000);
        let mut state = self.loaded(request);
        let mut context = Context {
            now: self.now,
            ids: &mut Counter,
            policy: &Policy::standard(),
        };
        let (reply, _) = command::answer(&mut state, &mut context, request);
        self.store.commit(&state)?;
        Ok(reply.unwrap())
    }

    fn loaded(&mut self, request: &Request) -> State {
        let mut state = self.store.state();
        loop {
            let mut needs = Needs::default();
            command::needs(request, &state, &mut needs);
            if needs.is_empty() {
                return state;
            }
            self.store.load(needs, &mut state).unwrap();
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

    /// A top-up with a payment whose session is open.
    pub(crate) fn checkout(&mut self, name: &str, credits: i64) -> PaymentId {
        let wish = CreateTopup {
            user: user(name),
            credits,
            remark: Remark::default(),
        };
        let Ok(Reply::Topup(topup)) = self.ask(Command::CreateTopup(wish)) else {
            panic!("no top-up");
        };
        let wish = OpenCheckout {
            topup: topup.id,
            user: user(name),
            success_url: String::new(),
            cancel_url: String::new(),
        };
        let Ok(Reply::Payment(payment)) = self.ask(Command::OpenCheckout(wish)) else {
            panic!("no payment");
        };
        let key = JobKey {
            kind: JobKind::OpenSession,
            payment: payment.id.clone(),
        };
        let Ok(Reply::Claimed(claim)) = self.ask(Command::ClaimJob(key)) else {
            panic!("no claim");
        };
        let opened = SessionOpened {
            claim,
            checkout_url: None,
            fact: fact(&payment.id, credits, Standing::Open),
        };
        self.ask(Command::SessionOpened(opened)).unwrap();
        payment.id
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
