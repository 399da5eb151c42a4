//! What the connections ask of a wallet.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;

use super::book::{Book, GRANTED};
use super::request::{
    BATCH, CHARGE, CHARGES_OF_A_BATCH, Form, GRANT, HOLD, SETTLE, hold_id, not_charged,
};
use crate::cli::bench::load::{Client, Judgement};

/// What a hold keeps back.
const HELD: i64 = 5;

/// What is taken of a hold in the end.
const SETTLED: i64 = 3;

/// Which wallets are charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// Any, each as likely as the others.
    Uniform,
    /// Always the first.
    Hot,
}

/// Charges one credit with each request.
#[derive(Debug)]
pub(super) struct Charging {
    book: Arc<Book>,
    form: Form,
    choice: Choice,
    wallet: usize,
}

impl Charging {
    pub(super) fn new(book: &Arc<Book>, admin_key: &str, choice: Choice) -> anyhow::Result<Self> {
        Ok(Self {
            book: Arc::clone(book),
            form: Form::post(CHARGE, admin_key)?,
            choice,
            wallet: 0,
        })
    }
}

impl Client for Charging {
    fn next(&mut self) -> anyhow::Result<Option<Request<Full<Bytes>>>> {
        if self.choice == Choice::Uniform {
            self.wallet = self.book.draw();
        }
        let (wallet, key) = (self.wallet, self.book.key());
        let mut body = Vec::with_capacity(192);
        write!(
            body,
            r#"{{"user_id":"u{wallet:05}","credits":1,"idempotency_key":"{key:032x}","note":"picture","ref":"order-{:x}"}}"#,
            key & 0xfff_ffff
        )?;
        Ok(Some(self.form.request(body)))
    }

    fn judge(&mut self, status: StatusCode, _: &[u8]) -> Judgement {
        if status != StatusCode::OK {
            return Judgement::refused(1);
        }
        self.book.charge(self.wallet, 1);
        Judgement::done(1)
    }
}

/// Charges a thousand times with each request, one credit each.
#[derive(Debug)]
pub(super) struct Batching {
    book: Arc<Book>,
    form: Form,
    /// Charges that are left to make, shared with other connections; none: no end.
    left: Option<Arc<AtomicU64>>,
    wallets: Vec<usize>,
}

impl Batching {
    pub(super) fn new(
        book: &Arc<Book>,
        admin_key: &str,
        left: Option<Arc<AtomicU64>>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            book: Arc::clone(book),
            form: Form::post(BATCH, admin_key)?,
            left,
            wallets: Vec::with_capacity(CHARGES_OF_A_BATCH),
        })
    }

    /// How many charges the next request holds.
    fn share(&self) -> usize {
        let Some(left) = &self.left else {
            return CHARGES_OF_A_BATCH;
        };
        let most = CHARGES_OF_A_BATCH as u64;
        let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            Some(left.saturating_sub(most))
        });
        let share = before.unwrap_or(0).min(most);
        usize::try_from(share).unwrap_or(0)
    }
}

impl Client for Batching {
    fn next(&mut self) -> anyhow::Result<Option<Request<Full<Bytes>>>> {
        let share = self.share();
        if share == 0 {
            return Ok(None);
        }
        let mut body = Vec::with_capacity(100 * share + 40);
        self.wallets.clear();
        body.extend_from_slice(br#"{"atomic":false,"charges":["#);
        for place in 0..share {
            let comma = if place == 0 { "" } else { "," };
            let (wallet, key) = (self.book.draw(), self.book.key());
            write!(
                body,
                r#"{comma}{{"user_id":"u{wallet:05}","credits":1,"idempotency_key":"{key:032x}"}}"#
            )?;
            self.wallets.push(wallet);
        }
        body.extend_from_slice(b"]}");
        Ok(Some(self.form.request(body)))
    }

    fn judge(&mut self, status: StatusCode, answer: &[u8]) -> Judgement {
        let asked = self.wallets.len();
        let refused = if status == StatusCode::OK {
            not_charged(answer, asked)
        } else {
            asked
        };
        // Which ones were refused is not told apart: a run with a refusal has failed, whatever the balances are.
        for wallet in &self.wallets[refused..] {
            self.book.charge(*wallet, 1);
        }
        Judgement {
            done: (asked - refused) as u64,
            refused: refused as u64,
        }
    }
}

/// Keeps credits back, then takes a part of them: two requests, one after the other.
#[derive(Debug)]
pub(super) struct Holding {
    book: Arc<Book>,
    hold_form: Form,
    settle_form: Form,
    wallet: usize,
    /// The hold that was made last, until it is settled.
    open: Option<String>,
}

impl Holding {
    pub(super) fn new(book: &Arc<Book>, admin_key: &str) -> anyhow::Result<Self> {
        Ok(Self {
            book: Arc::clone(book),
            hold_form: Form::post(HOLD, admin_key)?,
            settle_form: Form::post(SETTLE, admin_key)?,
            wallet: 0,
            open: None,
        })
    }
}

impl Client for Holding {
    fn next(&mut self) -> anyhow::Result<Option<Request<Full<Bytes>>>> {
        let mut body = Vec::with_capacity(160);
        let key = self.book.key();
        let form = if let Some(hold) = &self.open {
            write!(
                body,
                r#"{{"hold_id":"{hold}","credits":{SETTLED},"idempotency_key":"{key:032x}"}}"#
            )?;
            &self.settle_form
        } else {
            self.wallet = self.book.draw();
            let wallet = self.wallet;
            write!(
                body,
                r#"{{"user_id":"u{wallet:05}","credits":{HELD},"expires_in":600,"idempotency_key":"{key:032x}"}}"#
            )?;
            &self.hold_form
        };
        Ok(Some(form.request(body)))
    }

    fn judge(&mut self, status: StatusCode, answer: &[u8]) -> Judgement {
        let settled = self.open.take().is_some();
        if status != StatusCode::OK {
            return Judgement::refused(1);
        }
        if settled {
            self.book.charge(self.wallet, SETTLED);
            return Judgement::done(1);
        }
        self.open = hold_id(answer).map(ToOwned::to_owned);
        match &self.open {
            Some(_) => Judgement::done(1),
            None => Judgement::refused(1),
        }
    }

    /// A hold that stays open would be missing from its wallet at the end.
    fn owes(&self) -> bool {
        self.open.is_some()
    }
}

/// Fills one wallet after the other.
#[derive(Debug)]
pub(super) struct Granting {
    book: Arc<Book>,
    form: Form,
    next: Arc<AtomicU64>,
    wallet: usize,
}

impl Granting {
    /// The connections that share `next` fill every wallet once.
    pub(super) fn new(
        book: &Arc<Book>,
        admin_key: &str,
        next: &Arc<AtomicU64>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            book: Arc::clone(book),
            form: Form::post(GRANT, admin_key)?,
            next: Arc::clone(next),
            wallet: 0,
        })
    }
}

impl Client for Granting {
    fn next(&mut self) -> anyhow::Result<Option<Request<Full<Bytes>>>> {
        let wallet = usize::try_from(self.next.fetch_add(1, Ordering::Relaxed))?;
        if wallet >= self.book.wallets() {
            return Ok(None);
        }
        self.wallet = wallet;
        let key = self.book.key();
        let body = format!(
            r#"{{"user_id":"u{wallet:05}","credits":{GRANTED},"category":"promotional","idempotency_key":"{key:032x}"}}"#
        );
        Ok(Some(self.form.request(body)))
    }

    fn judge(&mut self, status: StatusCode, _: &[u8]) -> Judgement {
        if status != StatusCode::OK {
            return Judgement::refused(1);
        }
        self.book.grant(self.wallet, GRANTED);
        Judgement::done(1)
    }
}

/// Reads something once.
#[derive(Debug)]
pub(super) struct Asking(pub(super) Option<Form>);

impl Client for Asking {
    fn next(&mut self) -> anyhow::Result<Option<Request<Full<Bytes>>>> {
        Ok(self.0.take().map(|form| form.request(Bytes::new())))
    }

    fn judge(&mut self, status: StatusCode, _: &[u8]) -> Judgement {
        if status == StatusCode::OK {
            Judgement::done(1)
        } else {
            Judgement::refused(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: StatusCode = StatusCode::OK;
    const NOT_COVERED: StatusCode = StatusCode::PAYMENT_REQUIRED;

    fn book() -> Arc<Book> {
        Arc::new(Book::new(10).unwrap())
    }

    #[test]
    fn only_an_acknowledged_charge_is_noted() {
        let book = book();
        let mut client = Charging::new(&book, "key", Choice::Hot).unwrap();
        client.next().unwrap();
        assert_eq!(client.judge(NOT_COVERED, b"{}"), Judgement::refused(1));
        assert_eq!(book.of(0), (0, 0));
        client.next().unwrap();
        assert_eq!(client.judge(OK, b"{}"), Judgement::done(1));
        assert_eq!(book.of(0), (0, 1));
    }

    #[test]
    fn a_hold_is_settled_before_the_connection_rests() {
        let book = book();
        let mut client = Holding::new(&book, "key").unwrap();
        let asked = client.next().unwrap().unwrap();
        assert_eq!(asked.uri(), HOLD);
        assert!(!client.owes());
        assert_eq!(
            client.judge(OK, br#"{"hold_id":"hld_1"}"#),
            Judgement::done(1)
        );
        assert!(client.owes());
        assert_eq!(book.charges(), 0);
        let asked = client.next().unwrap().unwrap();
        assert_eq!(asked.uri(), SETTLE);
        assert_eq!(
            client.judge(OK, br#"{"hold_id":"hld_1"}"#),
            Judgement::done(1)
        );
        assert!(!client.owes());
        assert_eq!(book.of(client.wallet), (0, 3));
        assert_eq!(client.next().unwrap().unwrap().uri(), HOLD);
    }

    #[test]
    fn a_hold_without_an_id_and_one_that_cannot_be_settled_are_refused() {
        let book = book();
        let mut client = Holding::new(&book, "key").unwrap();
        assert_eq!(client.judge(OK, b"{}"), Judgement::refused(1));
        assert!(!client.owes());
        client.judge(OK, br#"{"hold_id":"hld_1"}"#);
        assert_eq!(client.judge(NOT_COVERED, b"{}"), Judgement::refused(1));
        assert!(!client.owes());
        assert_eq!(book.charges(), 0);
    }

    #[test]
    fn connections_that_share_a_rest_make_exactly_so_many_charges() {
        let book = book();
        let left = Arc::new(AtomicU64::new(2_500));
        let mut clients =
            [0; 2].map(|_: usize| Batching::new(&book, "key", Some(Arc::clone(&left))).unwrap());
        let mut asked = Vec::new();
        for place in [0, 1, 0, 1] {
            if clients[place].next().unwrap().is_some() {
                asked.push(clients[place].wallets.len());
            }
        }
        assert_eq!(asked, [1_000, 1_000, 500]);
    }

    #[test]
    fn what_a_batch_refuses_is_not_noted() {
        let book = book();
        let left = Arc::new(AtomicU64::new(2));
        let mut client = Batching::new(&book, "key", Some(left)).unwrap();
        client.next().unwrap();
        let answer = br#"{"items":[{"charge_id":"chg_1"},{"error":{"code":"x"}}]}"#;
        let expected = Judgement {
            done: 1,
            refused: 1,
        };
        assert_eq!(client.judge(OK, answer), expected);
        assert_eq!(client.judge(NOT_COVERED, answer), Judgement::refused(2));
        assert_eq!(book.charges(), 1);
    }
}
