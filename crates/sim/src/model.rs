//! The second ledger: plain maps, told what was asked and answered, and saying what should have been.
//!
//! It knows no grants, no postings and no jobs. What a user has is what was given to him, less what he spent, plus what each paid
//! top-up bought, less the share of it that went back. It is naive on purpose: it can be read and believed.

mod administrator;
mod bonus;
mod card;
mod charge;
mod exchange;
mod expect;
mod frozen;
mod limit;
mod lots;
mod refund;
mod told;
mod turn;
mod wallet;

use std::collections::BTreeMap;

use bursar_domain::command::{Reply, RequestHash};
use bursar_domain::dispute::DisputeFact;
use bursar_domain::hold::{HoldStatus, Overage};
use bursar_domain::id::{HoldId, LimitId, PaymentId, RefundId, TopupId, UserId};
use bursar_domain::job::JobKey;
use bursar_domain::limit::Subject;
use bursar_domain::notice::{Notice, SessionFact, Standing};
use bursar_domain::package::Package;
use bursar_domain::payment::{Flow, Payment};
use bursar_domain::policy::Policy;
use bursar_domain::refund::{RefundFact, RefundStatus};
use bursar_domain::refusal::Refusal;
use bursar_domain::reversal::SpentCredit;
use bursar_domain::time::Time;

use bonus::Bonuses;
pub(crate) use card::Attempt;
use card::Auto;
use frozen::Frozen;
use limit::Limit;
use lots::Lots;
use refund::Owed;
use turn::Turn;

/// A top-up.
#[derive(Debug, Clone)]
pub(crate) struct Bought {
    pub(crate) user: UserId,
    pub(crate) credits: i64,
    /// What comes on top.
    pub(crate) bonus: i64,
    /// In cents.
    pub(crate) price: i64,
    pub(crate) package: Option<String>,
    pub(crate) coupon: Option<String>,
    /// The payment that was heard to be paid first.
    pub(crate) paid_by: Option<PaymentId>,
    /// Whether an administrator said that it is paid, and no payment had.
    pub(crate) by_hand: bool,
}

/// A payment, with what was heard of it.
#[derive(Debug, Clone)]
pub(crate) struct Paying {
    pub(crate) topup: TopupId,
    pub(crate) flow: Flow,
    pub(crate) amount: i64,
    pub(crate) paid: bool,
    /// Whether it was heard that it ended unpaid; it may be paid all the same.
    pub(crate) ended: bool,
    pub(crate) session: Option<String>,
    pub(crate) intent: Option<String>,
    /// Amount and furthest status of each refund.
    pub(crate) refunds: BTreeMap<String, (i64, RefundStatus)>,
    /// What each movement of a dispute took.
    pub(crate) movements: BTreeMap<String, i64>,
}

/// A hold.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) user: UserId,
    pub(crate) amount: i64,
    pub(crate) progress: i64,
    pub(crate) overage: Overage,
    pub(crate) expires_at: Time,
    pub(crate) status: HoldStatus,
    pub(crate) settled: i64,
    /// Whose limits count.
    pub(crate) subjects: Vec<Subject>,
    /// Which of them have counted what it reserves.
    pub(crate) counted: Vec<LimitId>,
}

/// Refusals that are counted, and as what.
const REFUSALS: [(&str, &str); 6] = [
    ("second_approver_needed", "refused_alone"),
    ("wallet_frozen", "refused_frozen"),
    ("insufficient_credits", "refused_poor"),
    ("spending_limit_reached", "refused_limit"),
    ("hold_expired", "refused_late"),
    ("nothing_to_refund", "refused_refund"),
];

/// Everything the second ledger knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    /// What so many credits cost, in cents.
    price: (i64, i64),
    /// What is sold together, since the operator changed it last.
    packages: Vec<Package>,
    /// So much of a payment goes back without a second administrator, in cents.
    free_refund: Option<i64>,
    pub(crate) topups: BTreeMap<TopupId, Bought>,
    pub(crate) payments: BTreeMap<PaymentId, Paying>,
    pub(crate) holds: BTreeMap<HoldId, Held>,
    pub(crate) refunds: BTreeMap<RefundId, Owed>,
    pub(crate) sessions: BTreeMap<String, PaymentId>,
    /// Who users are at Stripe.
    pub(crate) customers: BTreeMap<UserId, String>,
    pub(crate) auto: BTreeMap<UserId, Auto>,
    pub(crate) limits: Vec<Limit>,
    /// How far below zero wallets may go of which somebody has said it.
    overdrafts: BTreeMap<UserId, i64>,
    lots: Lots,
    bonuses: Bonuses,
    frozen: BTreeMap<UserId, Frozen>,
    /// Whether wallets are frozen where credit was spent whose money goes back.
    freezes: bool,
    /// How often what was refused.
    refused: BTreeMap<&'static str, u64>,
    /// Sessions, and intents without one, in the order in which they became known.
    pub(crate) known: Vec<(String, PaymentId)>,
    intents: BTreeMap<String, PaymentId>,
    given: BTreeMap<UserId, i64>,
    spent: BTreeMap<UserId, i64>,
    answers: BTreeMap<String, (RequestHash, Result<Reply, Refusal>)>,
    events: BTreeMap<String, i64>,
    claims: BTreeMap<JobKey, (i64, Time)>,
    turn: Turn,
    /// So many payments reconciliation has bound to their sessions.
    adopted: usize,
    batches: usize,
    /// So many batches were refused as a whole.
    batches_undone: usize,
    exchanges: usize,
    prechecks: usize,
}

impl Model {
    pub(crate) fn new(policy: &Policy) -> Self {
        let price = &policy.credit_price;
        Self {
            price: (price.numerator, price.denominator),
            packages: policy.packages.clone(),
            free_refund: policy.refund_approval_above,
            bonuses: Bonuses::of(policy),
            freezes: policy.spent_credit == SpentCredit::Freeze,
            ..Self::default()
        }
    }

    /// The process has died: claims are void.
    pub(crate) fn restart(&mut self) {
        self.claims.clear();
    }

    /// The operator sells other packages from now on.
    pub(crate) fn reprice(&mut self, packages: &[Package]) {
        self.packages = packages.to_vec();
    }

    /// How much of what there was.
    pub(crate) fn count(&self, seen: &mut BTreeMap<&'static str, u64>) {
        let mut count = |what, number: usize| *seen.entry(what).or_default() += number as u64;
        let payments = || self.payments.values();
        count("sessions", self.sessions.len());
        let of = |flow: Flow| payments().filter(move |it| it.flow == flow);
        count("by_intent", of(Flow::Intent).filter(|it| it.paid).count());
        count("by_card", of(Flow::OffSession).filter(|it| it.paid).count());
        count(
            "card_failed",
            of(Flow::OffSession).filter(|it| it.ended).count(),
        );
        let auto = self.auto.values().flat_map(|auto| &auto.attempts);
        count("auto_topups", auto.count());
        count("customers", self.customers.len());
        count("payments", self.payments.len());
        count("paid", payments().filter(|it| it.paid).count());
        count("refunds", payments().map(|it| it.refunds.len()).sum());
        count("refunds_ours", self.refunds.len());
        count(
            "disputed",
            payments().filter(|it| !it.movements.is_empty()).count(),
        );
        for (code, what) in REFUSALS {
            let often = self.refused.get(code).copied().unwrap_or(0);
            *seen.entry(what).or_default() += often;
        }
        let mut count = |what, number: usize| *seen.entry(what).or_default() += number as u64;
        count("welcomed", self.bonuses.given);
        count("redeemed", self.bonuses.redeemed);
        count("referrals", self.bonuses.rewarded);
        let with_coupon = self.topups.values().filter(|it| it.coupon.is_some());
        count("coupons", with_coupon.filter(|it| it.is_paid()).count());
        let with_package = self.topups.values().filter(|it| it.package.is_some());
        count("packages", with_package.filter(|it| it.is_paid()).count());
        let by_hand = self.topups.values().filter(|it| it.by_hand);
        count("finished_by_hand", by_hand.count());
        count("prechecks", self.prechecks);
        let agreed = self.refunds.values().filter(|owed| owed.was_agreed_to());
        count("refunds_agreed", agreed.count());
        count("charge_batches", self.batches);
        count("charge_batches_undone", self.batches_undone);
        count("exchanges", self.exchanges);
        count("turns", usize::try_from(self.turn.newest).unwrap_or(0));
        count("expired", self.lots.expired);
        count("rolled_over", self.lots.passed_on);
        count("holds", self.holds.len());
        count("adopted", self.adopted);
        count("events", self.events.len());
        count("answers", self.answers.len());
    }

    /// Whether an event is stored.
    pub(crate) fn has_received(&self, event: &str) -> bool {
        self.events.contains_key(event)
    }

    /// What was answered under a key.
    pub(crate) fn answer(&self, key: &str) -> Option<&Result<Reply, Refusal>> {
        self.answers.get(key).map(|(_, answer)| answer)
    }

    /// An event was taken into account.
    fn hear(&mut self, notice: &Notice) -> Result<(), String> {
        let unknown =
            |what: &str| format!("an event about {what} was applied, but nothing of ours has that");
        match notice {
            Notice::Session { fact, .. } => {
                let payment = self.sessions.get(&fact.session).cloned();
                let payment = payment.ok_or_else(|| unknown(&fact.session))?;
                self.hear_session(&payment, fact);
            }
            Notice::Intent { fact, .. } => {
                if let Some(payment) = self.intents.get(&fact.intent).cloned() {
                    self.hear_intent(&payment, fact);
                }
            }
            Notice::Refund { intent, fact } => {
                let payment = self.intents.get(intent).cloned();
                self.hear_refund(&payment.ok_or_else(|| unknown(intent))?, fact);
            }
            Notice::Dispute { intent, fact } => {
                let payment = self.intents.get(intent).cloned();
                self.hear_dispute(&payment.ok_or_else(|| unknown(intent))?, fact);
            }
            _ => {}
        }
        Ok(())
    }

    fn hear_session(&mut self, id: &PaymentId, fact: &SessionFact) {
        let Some(paying) = self.payments.get_mut(id) else {
            return;
        };
        if let (None, Some(intent)) = (&paying.intent, &fact.intent) {
            paying.intent = Some(intent.clone());
            self.intents.insert(intent.clone(), id.clone());
        }
        if fact.standing == Standing::Paid {
            self.hear_paid(id);
        }
    }

    fn hear_paid(&mut self, id: &PaymentId) {
        let Some(paying) = self.payments.get_mut(id) else {
            return;
        };
        paying.paid = true;
        let bought = self.topups.get_mut(&paying.topup);
        if let Some(bought) = bought.filter(|bought| !bought.is_paid()) {
            bought.paid_by = Some(id.clone());
            let user = bought.user.clone();
            self.reward(&user, id);
        }
        self.may_freeze(id);
    }

    fn hear_refund(&mut self, id: &PaymentId, fact: &RefundFact) {
        self.may_freeze(id);
        let known = self
            .refunds
            .values()
            .any(|owed| owed.bound.as_ref() == Some(&fact.provider_id));
        let named = fact
            .hint
            .as_ref()
            .and_then(|hint| self.refunds.get_mut(hint));
        if let Some(owed) = named
            && !known
            && owed.bound.is_none()
            && owed.amount == fact.amount
        {
            owed.bound = Some(fact.provider_id.clone());
        }
        let Some(paying) = self.payments.get_mut(id) else {
            return;
        };
        let entry = paying.refunds.entry(fact.provider_id.clone());
        let (_, status) = entry.or_insert((fact.amount, fact.status));
        if status.is_behind(fact.status) {
            *status = fact.status;
        }
    }

    fn hear_dispute(&mut self, id: &PaymentId, fact: &DisputeFact) {
        self.may_freeze(id);
        if let Some(paying) = self.payments.get_mut(id) {
            let movements = fact.movements.iter();
            paying
                .movements
                .extend(movements.map(|it| (it.id.clone(), it.withdrawn)));
        }
    }
}

impl Bought {
    pub(crate) fn is_paid(&self) -> bool {
        self.paid_by.is_some() || self.by_hand
    }
}

impl Paying {
    pub(crate) fn new(topup: TopupId, payment: &Payment) -> Self {
        Self {
            topup,
            flow: payment.flow,
            amount: payment.amount.minor,
            paid: false,
            ended: false,
            session: None,
            intent: None,
            refunds: BTreeMap::new(),
            movements: BTreeMap::new(),
        }
    }

    pub(crate) fn refunded(&self) -> i64 {
        let stand = self.refunds.values().filter(|(_, status)| status.stands());
        stand.map(|(amount, _)| amount).sum()
    }

    pub(crate) fn disputed(&self) -> i64 {
        self.movements.values().sum()
    }

    /// How much of `granted` has to have gone back.
    pub(crate) fn target(&self, granted: i64) -> i64 {
        share(granted, self.refunded() + self.disputed(), self.amount)
    }
}

/// The share of `granted` that is lost when `gone` of `paid` went back, rounded down.
pub(crate) fn share(granted: i64, gone: i64, paid: i64) -> i64 {
    granted * gone.clamp(0, paid) / paid.max(1)
}
