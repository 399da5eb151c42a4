//! Coupons: at Stripe's page the total is ours to the last step, and no interleaving lets more customers pay with one than may.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod desk;

use std::collections::BTreeMap;
use std::sync::Arc;

use bursar_domain::account::AccountKey;
use bursar_domain::amount::{Amount, CreditPrice, Unit};
use bursar_domain::checkout::{OpenCheckout, SessionOpened, SessionRead};
use bursar_domain::command::{BonusCommand, Command, Reply};
use bursar_domain::coupon::{Benefit, CouponTerms};
use bursar_domain::id::{PaymentId, TopupId, UserId};
use bursar_domain::job::{JobKey, JobKind};
use bursar_domain::notice::{SessionFact, Standing};
use bursar_domain::payment::{Payment, PaymentStatus};
use bursar_domain::policy::Policy;
use bursar_domain::topup::{CreateTopup, TopupStatus};
use bursar_engine::clock::SystemClock;
use bursar_engine::{Engine, EngineConfig};
use bursar_sandbox::pay::{CardEntry, Payment as Pay};
use bursar_sandbox::{Sandbox, SandboxConfig};
use bursar_store::query::{PageRequest, PaymentFilter, TopupFilter};
use bursar_stripe::client::{Client, ClientConfig};
use bursar_stripe::secret_key::SecretKey;
use desk::Desk;
use proptest::prelude::*;

const KEY: &str = "sk_test_aB3dE5fG7hJ9kL1mN2pQ";
const CODE: &str = "SOME-OFF";

fn user(number: usize) -> UserId {
    UserId::parse(&format!("u{number}")).unwrap()
}

fn coupon(benefit: Benefit, uses_max: Option<i64>) -> Command {
    Command::Bonus(BonusCommand::CreateCoupon(CouponTerms {
        code: CODE.to_owned(),
        benefit,
        least_price: None,
        uses_max,
        expires_at: None,
        note: String::new(),
    }))
}

fn wish(number: usize, credits: i64, currency: &str) -> Command {
    Command::CreateTopup(CreateTopup {
        coupon: Some(CODE.to_owned()),
        currency: Unit::currency(currency),
        ..CreateTopup::plain(user(number), credits)
    })
}

fn checkout(topup: TopupId, number: usize) -> OpenCheckout {
    OpenCheckout {
        topup,
        user: user(number),
        success_url: "http://127.0.0.1/paid".to_owned(),
        cancel_url: "http://127.0.0.1/canceled".to_owned(),
        save_card: false,
    }
}

/// A sandbox behind HTTP.
async fn sandbox() -> (Sandbox, Client) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let sandbox = Sandbox::open(SandboxConfig::new(&base, KEY)).unwrap();
    let router = sandbox.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = ClientConfig::new(SecretKey::new(KEY).unwrap());
    let client = Client::new(&ClientConfig {
        base_url: base,
        ..config
    });
    (sandbox, client.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_total_at_stripe_is_ours_whatever_the_currency() {
    let (sandbox, stripe) = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let price = |code, text| CreditPrice::parse(text, Unit::currency(code).unwrap()).unwrap();
    let policy = Policy {
        credit_prices: vec![price("jpy", "3/2"), price("kwd", "3"), price("isk", "150")],
        ..Policy::standard()
    };
    let engine = Engine::start(EngineConfig {
        policy,
        clock: Arc::new(SystemClock),
        ..config(&folder, stripe)
    });
    let engine = engine.unwrap();
    engine
        .submit(coupon(Benefit::Percent(7), None))
        .await
        .unwrap();
    // 7 % of 10.05 is 70.35 cents: 70 are taken off. Of 1,508 yen 105; of 3.020 dinars 0.210; of 1,508 crowns 105.
    let cases = [
        ("usd", 1005, 70),
        ("jpy", 1508, 105),
        ("kwd", 3020, 210),
        ("isk", 150_800, 10_500),
    ];
    for (number, (code, full, off)) in cases.into_iter().enumerate() {
        let Ok(Reply::Topup(topup)) = engine.submit(wish(number, 1005, code)).await else {
            panic!("no top-up in {code}");
        };
        assert_eq!(
            (topup.price.minor, topup.discount),
            (full - off, off),
            "{code}"
        );
        let opened = engine.open_checkout(checkout(topup.id, number), None).await;
        let session = opened.unwrap().into_inner().session.unwrap();
        let card = Pay::Card(CardEntry {
            number: "4242424242424242".to_owned(),
            exp_month: 12,
            exp_year: 2040,
            cvc: Some("123".to_owned()),
            email: None,
        });
        sandbox
            .change(|world, now| {
                let path = format!("/v1/checkout/sessions/{session}");
                let said = world
                    .call("GET", &path, serde_json::json!({}), None, now)
                    .body;
                assert_eq!(
                    (&said["amount_subtotal"], &said["amount_total"]),
                    (&full.into(), &(full - off).into()),
                    "{code}"
                );
                world.pay_session(&session, &card, now);
            })
            .unwrap();
        let paid = engine.settle_by_session(&session).await.unwrap().unwrap();
        assert_eq!(paid.status, PaymentStatus::Paid, "{code} {paid:?}");
        let wallet = engine
            .wallet(AccountKey::wallet(&user(number)))
            .await
            .unwrap();
        assert_eq!(wallet.unwrap().account.balance, 1005, "{code}");
    }
    let report = engine.read(bursar_store::audit::run).await.unwrap();
    assert_eq!(report.differences, vec![]);
    engine.shutdown().await;
}

fn config(folder: &tempfile::TempDir, stripe: Client) -> EngineConfig {
    EngineConfig {
        database: folder.path().join("bursar.db").into(),
        policy: Policy::standard(),
        stripe: Some(stripe),
        clock: Arc::new(SystemClock),
    }
}

/// What may happen, by a user or at Stripe.
#[derive(Debug, Clone, Copy)]
enum Step {
    Wish(usize),
    /// The user wants to pay one of his top-ups.
    Checkout(usize, usize),
    /// Some page that is open is paid, or expires.
    Pay(usize),
    Expire(usize),
    /// The provider refuses to open a page.
    Refuse(usize),
    Cancel(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    // Few, so that they get into each other's way, and into their own.
    let whose = 0..3_usize;
    prop_oneof![
        3 => whose.clone().prop_map(Step::Wish),
        4 => (whose.clone(), 0..2_usize).prop_map(|(who, which)| Step::Checkout(who, which)),
        3 => (0..3_usize).prop_map(Step::Pay),
        1 => (0..3_usize).prop_map(Step::Expire),
        1 => (0..6_usize).prop_map(Step::Refuse),
        1 => (whose, 0..3_usize).prop_map(|(who, which)| Step::Cancel(who, which)),
    ]
}

/// A shop with one coupon, and the pages that are open at Stripe: one stays open until it is paid or expires, whatever we want.
struct Shop {
    desk: Desk,
    pages: BTreeMap<PaymentId, String>,
}

fn all() -> PageRequest {
    PageRequest {
        limit: 1_000,
        cursor: None,
    }
}

impl Shop {
    fn new(uses_max: i64) -> Self {
        let mut desk = Desk::new();
        let off = Amount::new(100, Unit::currency("usd").unwrap());
        desk.ask(coupon(Benefit::Amount(off), Some(uses_max)))
            .unwrap();
        Self {
            desk,
            pages: BTreeMap::new(),
        }
    }

    fn topup(&mut self, who: usize, which: usize) -> Option<TopupId> {
        let filter = TopupFilter {
            user: Some(user(who)),
            status: None,
        };
        let topups = self.desk.reader.topups(&filter, &all()).unwrap().items;
        topups.get(which).map(|topup| topup.id.clone())
    }

    fn payments(&mut self) -> Vec<Payment> {
        let filter = PaymentFilter::default();
        self.desk.reader.payments(&filter, &all()).unwrap().items
    }

    fn fact(&mut self, id: &PaymentId, session: &str, standing: Standing) -> SessionFact {
        let payment = self.desk.reader.payment(id).unwrap().unwrap();
        SessionFact {
            session: session.to_owned(),
            amount: Some(payment.amount.minor),
            currency: Some("usd".to_owned()),
            livemode: Some(false),
            intent: None,
            standing,
        }
    }

    /// Stripe opens a page for every payment that has none.
    fn open_pages(&mut self, refuse: Option<usize>) {
        let waits = |payment: &Payment| payment.session.is_none() && payment.status.is_open();
        let waiting: Vec<_> = self.payments().into_iter().filter(waits).collect();
        for (place, payment) in waiting.into_iter().enumerate() {
            let key = JobKey::of_payment(JobKind::OpenSession, &payment.id);
            let Ok(Reply::Claimed(claim)) = self.desk.ask(Command::ClaimJob(key)) else {
                continue;
            };
            if refuse == Some(place) {
                let (code, message) = ("odd".to_owned(), String::new());
                let refused = Command::SessionRefused {
                    claim,
                    code,
                    message,
                };
                self.desk.ask(refused).unwrap();
                continue;
            }
            let session = format!("cs_{}", payment.id);
            let fact = self.fact(&payment.id, &session, Standing::Open);
            let opened = SessionOpened {
                claim,
                checkout_url: None,
                fact,
            };
            self.desk.ask(Command::SessionOpened(opened)).unwrap();
            self.pages.insert(payment.id, session);
        }
    }

    fn end_page(&mut self, which: usize, standing: Standing) {
        let Some(id) = self.pages.keys().nth(which).cloned() else {
            return;
        };
        let session = self.pages.remove(&id).unwrap();
        let fact = self.fact(&id, &session, standing);
        let read = SessionRead {
            payment: id,
            claim: None,
            fact,
        };
        self.desk.ask(Command::SessionRead(read)).unwrap();
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Wish(who) => drop(self.desk.ask(wish(who, 500, "usd"))),
            Step::Checkout(who, which) => {
                if let Some(topup) = self.topup(who, which) {
                    drop(self.desk.ask(Command::OpenCheckout(checkout(topup, who))));
                }
            }
            Step::Pay(which) => {
                self.open_pages(None);
                self.end_page(which, Standing::Paid);
            }
            Step::Expire(which) => {
                self.open_pages(None);
                self.end_page(which, Standing::Expired);
            }
            Step::Refuse(which) => self.open_pages(Some(which)),
            Step::Cancel(who, which) => {
                if let Some(topup) = self.topup(who, which) {
                    let remark = bursar_domain::journal::Remark::default();
                    drop(self.desk.ask(Command::CancelTopup { topup, remark }));
                }
            }
        }
    }

    /// How many have paid with the coupon; no user twice.
    fn paid(&mut self) -> usize {
        let filter = TopupFilter {
            user: None,
            status: Some(TopupStatus::Paid),
        };
        let paid = self.desk.reader.topups(&filter, &all()).unwrap().items;
        let mut users: Vec<UserId> = paid.iter().map(|topup| topup.user.clone()).collect();
        users.sort();
        users.dedup();
        assert_eq!(
            users.len(),
            paid.len(),
            "a user has paid twice with one coupon"
        );
        paid.len()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_lets_more_pay_with_a_coupon_than_may(
        steps in proptest::collection::vec(step(), 1..50), uses_max in 1..4_i64,
    ) {
        let mut shop = Shop::new(uses_max);
        for step in steps {
            shop.run(step);
            let paid = i64::try_from(shop.paid()).unwrap();
            prop_assert!(paid <= uses_max, "{paid} of {uses_max}");
        }
        // That the coupon counts what its users have, the audit compares.
        prop_assert_eq!(shop.desk.audit().differences, vec![]);
    }
}
