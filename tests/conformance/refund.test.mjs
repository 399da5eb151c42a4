// Charges, refunds and the balance transactions behind them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSandbox, refused } from '../harness/conformance.mjs';

const { stripe } = await openSandbox();
const paid = (payment_method = 'pm_card_visa', more = {}) =>
  stripe.paymentIntents.create({ amount: 2000, currency: 'usd', payment_method, confirm: true, return_url: 'http://127.0.0.1:1/', ...more });

test('a charge tells how it was paid', async () => {
  const { latest_charge: id, id: intent } = await paid();
  const charge = await stripe.charges.retrieve(id);
  assert.deepEqual([charge.status, charge.paid, charge.captured, charge.refunded, charge.payment_intent], ['succeeded', true, true, false, intent]);
  assert.deepEqual([charge.payment_method_details.card.last4, charge.outcome.type], ['4242', 'authorized']);
  const changed = await stripe.charges.update(id, { description: 'Credits', metadata: { order: '7' } });
  assert.deepEqual([changed.description, changed.metadata.order], ['Credits', '7']);
  assert.deepEqual((await stripe.charges.list({ payment_intent: intent })).data.map((one) => one.id), [id]);
});

test('refunds in parts, never more than was paid', async () => {
  const { latest_charge: charge, id: payment_intent } = await paid();
  const first = await stripe.refunds.create({ payment_intent, amount: 500, reason: 'requested_by_customer', metadata: { why: 'half' } });
  assert.deepEqual([first.status, first.amount, first.charge, first.reason], ['succeeded', 500, charge, 'requested_by_customer']);
  assert.deepEqual(await stripe.charges.retrieve(charge).then((one) => [one.amount_refunded, one.refunded]), [500, false]);
  await refused(stripe.refunds.create({ charge, amount: 1501 }), { type: 'StripeInvalidRequestError', statusCode: 400 });
  const rest = await stripe.refunds.create({ charge });
  assert.equal(rest.amount, 1500);
  assert.deepEqual(await stripe.charges.retrieve(charge).then((one) => [one.amount_refunded, one.refunded]), [2000, true]);
  await refused(stripe.refunds.create({ charge }), { type: 'StripeInvalidRequestError', statusCode: 400, code: 'charge_already_refunded' });
  assert.deepEqual((await stripe.refunds.list({ charge })).data.map(({ id }) => id), [rest.id, first.id]);
  assert.deepEqual((await stripe.refunds.list({ payment_intent })).data.length, 2);
  const updated = await stripe.refunds.update(first.id, { metadata: { why: '' } });
  assert.deepEqual({ ...updated.metadata }, {});
  assert.equal((await stripe.refunds.retrieve(first.id, { expand: ['charge', 'balance_transaction'] })).charge.id, charge);
});

test('twenty refunds at once never exceed the payment', async () => {
  const { id: payment_intent, latest_charge } = await paid();
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => stripe.refunds.create({ payment_intent, amount: 300 })));
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 6);
  assert.equal((await stripe.charges.retrieve(latest_charge)).amount_refunded, 1800);
});

test('nothing can be refunded that was not paid', async () => {
  const { id } = await stripe.paymentIntents.create({ amount: 2000, currency: 'usd' });
  await refused(stripe.refunds.create({ payment_intent: id }), { type: 'StripeInvalidRequestError', statusCode: 400 });
  await refused(stripe.refunds.create({}), { type: 'StripeInvalidRequestError', statusCode: 400 });
  await refused(stripe.refunds.create({ payment_intent: 'pi_none' }), { type: 'StripeInvalidRequestError', code: 'resource_missing' });
  const { id: paidId } = await paid();
  await refused(stripe.refunds.create({ payment_intent: paidId, amount: 0 }), { type: 'StripeInvalidRequestError', statusCode: 400 });
  await refused(stripe.refunds.create({ payment_intent: paidId, amount: -1 }), { type: 'StripeInvalidRequestError', statusCode: 400 });
});

test('the money moves on the balance: charge in, fee off, refund out', async () => {
  const { latest_charge } = await paid();
  const { balance_transaction } = await stripe.charges.retrieve(latest_charge);
  const income = await stripe.balanceTransactions.retrieve(balance_transaction);
  assert.deepEqual([income.type, income.amount, income.source, income.net], ['charge', 2000, latest_charge, 2000 - income.fee]);
  assert.equal(income.fee_details.reduce((sum, { amount }) => sum + amount, 0), income.fee);
  const refund = await stripe.refunds.create({ charge: latest_charge, amount: 700 });
  const outgo = await stripe.balanceTransactions.retrieve(refund.balance_transaction);
  assert.deepEqual([outgo.type, outgo.amount, outgo.source], ['refund', -700, refund.id]);
  assert.deepEqual((await stripe.balanceTransactions.list({ source: refund.id })).data.map(({ id }) => id), [outgo.id]);
  assert.ok((await stripe.balanceTransactions.list({ type: 'charge' })).data.every(({ type }) => type === 'charge'));
  const listed = await stripe.balanceTransactions.list({ expand: ['data.source'], limit: 1 });
  assert.equal(listed.data[0].source.id, refund.id);
});

test('a bank that is slow to refund leaves it pending', async () => {
  const { id } = await paid('pm_card_pendingRefund');
  assert.equal((await stripe.refunds.create({ payment_intent: id })).status, 'pending');
});
