//! Our own side: the books against themselves, each payment against what it has given, and against what Stripe has of it.

use bursar_domain::reversal::{Standing, share_rounded_down};
use bursar_store::query::{Purchase, Reader};
use bursar_stripe::object::{IntentStatus, PaymentIntent};
use bursar_stripe::secret_key::Mode;

use super::pass::{Pass, finding, over};
use super::report::Class;
use super::{sessions, standing};
use crate::EngineError;
use crate::bridge::outbound;
use crate::outside::Provider;

/// So many payments are read at a time.
const CHUNK: usize = 500;

pub(super) async fn compare(pass: &mut Pass<'_, impl Provider>) -> Result<(), EngineError> {
    let report = pass.provider.read(bursar_store::audit::run).await?;
    for difference in report.differences {
        let action =
            "the books contradict themselves: keep a copy of the data folder, and report it";
        let found = finding(
            Class::BooksBroken,
            &difference.to_string(),
            ("differs", "-"),
            action,
        );
        pass.tell(found);
    }
    pass.report.finished_by_hand = pass.provider.read(Reader::count_finished_by_hand).await?;
    let mut after = 0;
    loop {
        let from = after;
        let purchases = pass
            .provider
            .read(move |reader| {
                let payments = reader.payments_after(from, CHUNK)?;
                reader.purchases(payments)
            })
            .await?;
        let Some(last) = purchases.last() else {
            return Ok(());
        };
        after = last.payment.number;
        for purchase in &purchases {
            pass.report.looked.payments += 1;
            compare_awards(pass, purchase);
            compare_money(pass, purchase).await?;
        }
    }
}

/// What a payment has given follows from what became of its money.
fn compare_awards(pass: &mut Pass<'_, impl Provider>, purchase: &Purchase) {
    let payment = &purchase.payment;
    let facts = Standing::of(&purchase.refunds, &purchase.disputes);
    let paid = payment.amount.minor;
    let lost = facts.lost(paid);
    let broken = |ours: String, class| {
        let action = "the payment and what it has given contradict each other: report it";
        let found = finding(class, payment.id.as_str(), (&ours, "-"), action);
        over(found, Some(paid), Some(payment.amount.unit.code()))
    };
    if !payment.status.is_paid() {
        if !purchase.awards.is_empty() {
            pass.tell(broken(
                format!("{} has given credit", standing(payment)),
                Class::CreditedNotPaid,
            ));
        }
        return;
    }
    let returned = payment.returned;
    let sums = (returned.refunded, returned.disputed, returned.posted);
    if sums != (facts.refunded, facts.disputed, facts.returned()) {
        let ours = format!(
            "{}: {} and {} went back, {} posted",
            standing(payment),
            facts.refunded,
            facts.disputed,
            returned.posted
        );
        pass.tell(broken(ours, Class::BooksBroken));
    }
    for award in &purchase.awards {
        let target = share_rounded_down(award.granted, lost, paid);
        if award.taken != target {
            let ours = format!(
                "{}: {} of {} taken back instead of {target}",
                standing(payment),
                award.taken,
                award.granted
            );
            pass.tell(broken(ours, Class::BooksBroken));
        }
    }
    // Nothing was given because the top-up was paid already; when all of it has gone back, nothing is owed.
    if purchase.awards.is_empty() && lost < paid {
        let action = "its top-up was paid otherwise: refund this payment";
        let ours = format!("{}, for a top-up that was paid already", standing(payment));
        let found = finding(
            Class::PaidTwice,
            payment.id.as_str(),
            (&ours, "paid"),
            action,
        );
        pass.tell(over(
            found,
            Some(paid - lost),
            Some(payment.amount.unit.code()),
        ));
    }
}

/// Whether everything that happened to a payment lies in the time this run looks at.
fn is_whole(pass: &Pass<'_, impl Provider>, purchase: &Purchase) -> bool {
    let span = pass.options.span;
    let payment = &purchase.payment;
    let (made, changed) = (payment.created_at.seconds(), payment.updated_at.seconds());
    let is_of_this_mode = payment.livemode == (pass.provider.mode() == Mode::Live);
    is_of_this_mode && made >= span.from && changed <= span.to.saturating_add(super::GRACE_SECONDS)
}

/// The sum of Stripe's movements of a payment is what the ledger says is left of it.
async fn compare_money(
    pass: &mut Pass<'_, impl Provider>,
    purchase: &Purchase,
) -> Result<(), EngineError> {
    let payment = &purchase.payment;
    if !is_whole(pass, purchase) {
        return Ok(());
    }
    let (unit, is_paid) = (payment.amount.unit, payment.status.is_paid());
    let Some(net) = pass.nets.get(&payment.number).copied() else {
        return if is_paid {
            look_up(pass, purchase).await
        } else {
            Ok(())
        };
    };
    let is_told = payment
        .session
        .as_ref()
        .is_some_and(|session| pass.is_told(session));
    if net.converted || !is_paid || is_told {
        return Ok(());
    }
    let ours = payment.amount.minor - payment.returned.posted;
    let money = pass.report.money.entry(unit.code().to_owned()).or_default();
    money.proven = money.proven.saturating_add(net.sum);
    money.ledger = money.ledger.saturating_add(ours);
    if net.sum != ours && pass.options.repair {
        let (ours, stripe) = (ours.to_string(), net.sum.to_string());
        let action =
            "the movements of this payment at Stripe do not add up to what is here: look at both";
        let found = finding(
            Class::UnexplainedMovement,
            payment.id.as_str(),
            (&ours, &stripe),
            action,
        );
        pass.tell(over(found, Some(net.sum), Some(unit.code())));
    }
    Ok(())
}

/// A paid payment without a movement: perhaps Stripe books it later, perhaps there is no such payment.
async fn look_up(
    pass: &mut Pass<'_, impl Provider>,
    purchase: &Purchase,
) -> Result<(), EngineError> {
    let Some(intent) = purchase.payment.intent.clone() else {
        return sessions::read_and_judge(pass, &purchase.payment).await;
    };
    let read: PaymentIntent = match pass.call(&outbound::read_intent(&intent)).await {
        Ok(read) => read,
        Err(EngineError::Provider { message, .. }) => {
            let action = "credit was given and Stripe has no such payment: freeze the wallet and find out why";
            let ours = standing(&purchase.payment);
            pass.tell(finding(
                Class::CreditedNotPaid,
                &intent,
                (&ours, &message),
                action,
            ));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if read.status != Some(IntentStatus::Succeeded) {
        sessions::read_and_judge(pass, &purchase.payment).await?;
    }
    Ok(())
}
