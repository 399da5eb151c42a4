// What banks do on their own, to any payment: disputes, fraud warnings, refunds that fail.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSandbox, refused } from '../harness/conformance.mjs';

const { stripe, control } = await openSandbox();
const paid = (more = {}) =>
  stripe.paymentIntents.create({ amount: 2000, currency: 'usd', payment_method: 'pm_card_visa', confirm: true, return_url: 'http://127.0.0.1:1/', ...more });
const told = async (object) => {
  const { data } = await stripe.events.list({ limit: 100 });
  return data.filter((event) => event.data.object.id === object).map(({ type }) => type).reverse();
};

test('a dispute takes the money with a fee, and winning brings it back without', async () => {
  const { id: payment_intent, latest_charge } = await paid();
  const { id } = await control(`charges/${latest_charge}/dispute`, { reason: 'product_not_received' });
  const dispute = await stripe.disputes.retrieve(id);
  assert.deepEqual([dispute.status, dispute.reason, dispute.amount, dispute.charge], ['needs_response', 'product_not_received', 2000, latest_charge]);
  assert.deepEqual(dispute.balance_transactions.map(({ amount, fee }) => [amount, fee]), [[-2000, 1500]]);
  await refused(stripe.refunds.create({ payment_intent }), { type: 'StripeInvalidRequestError', code: 'charge_disputed' });
  await control(`disputes/${id}/decide`, { verdict: 'won' });
  const won = await stripe.disputes.retrieve(id);
  assert.deepEqual([won.status, won.balance_transactions.length], ['won', 2]);
  assert.deepEqual(await told(id), ['charge.dispute.created', 'charge.dispute.funds_withdrawn', 'charge.dispute.funds_reinstated', 'charge.dispute.closed']);
  assert.deepEqual((await stripe.disputes.list({ payment_intent })).data.map((one) => one.id), [id]);
});

test('a warning comes before the dispute, and a refund settles it', async () => {
  const { id: payment_intent } = await paid();
  const { id } = await control(`charges/${payment_intent}/warn`);
  const list = () => stripe.radar.earlyFraudWarnings.list({ payment_intent });
  assert.deepEqual((await list()).data.map((one) => [one.id, one.actionable]), [[id, true]]);
  await stripe.refunds.create({ payment_intent });
  assert.equal((await stripe.radar.earlyFraudWarnings.retrieve(id)).actionable, false);
});

test('a refund fails afterwards, and the money is the shop’s again', async () => {
  const { id: payment_intent, latest_charge } = await paid();
  const { id } = await stripe.refunds.create({ payment_intent, amount: 700 });
  await control(`refunds/${id}/decide`, { outcome: 'failed' });
  const failed = await stripe.refunds.retrieve(id, { expand: ['failure_balance_transaction'] });
  assert.deepEqual([failed.status, failed.failure_balance_transaction.amount], ['failed', 700]);
  assert.equal((await stripe.charges.retrieve(latest_charge)).amount_refunded, 0);
  assert.deepEqual(await told(id), ['refund.created', 'refund.failed', 'refund.updated', 'charge.refund.updated']);
});

test('a card that was kept pays without the customer; its decline says everything', async () => {
  const { id: customer } = await stripe.customers.create({ name: 'Ada' });
  const setup = await stripe.setupIntents.create({ customer, confirm: true, payment_method: 'pm_card_chargeCustomerFail', return_url: 'http://127.0.0.1:1/' });
  assert.equal(setup.status, 'succeeded');
  const error = await refused(paid({ customer, payment_method: setup.payment_method, off_session: true, return_url: undefined }), { type: 'StripeCardError', statusCode: 402, code: 'card_declined', decline_code: 'generic_decline' });
  assert.deepEqual([error.raw.advice_code, error.payment_intent.status, error.payment_method.id], ['try_again_later', 'requires_payment_method', setup.payment_method]);
});

// The last one: Stripe's type of `previous_attributes` is partial at the top only, and what is sent is partial further down.
test('an inquiry takes nothing until it is escalated; evidence can be sent', async () => {
  const { id: intent } = await paid();
  const { id } = await control(`charges/${intent}/dispute`, { inquiry: true, amount: 700 });
  assert.deepEqual((await stripe.disputes.retrieve(id)).balance_transactions, []);
  const answered = await stripe.disputes.update(id, { evidence: { uncategorized_text: 'It was delivered.' }, submit: true, metadata: { ours: '1' } });
  assert.equal(answered.status, 'warning_under_review');
  await control(`disputes/${id}/decide`, { verdict: 'escalated' });
  const lost = await stripe.disputes.close(id);
  assert.deepEqual([lost.status, lost.amount, lost.balance_transactions[0].amount], ['lost', 700, -700]);
});
