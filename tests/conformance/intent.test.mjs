// Payment intents: the states a payment goes through, and what each test card decides.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSandbox, refused } from '../harness/conformance.mjs';

const { stripe } = await openSandbox();
const create = (more = {}) => stripe.paymentIntents.create({ amount: 2000, currency: 'usd', ...more });
const paid = (more = {}) => create({ payment_method: 'pm_card_visa', confirm: true, return_url: 'http://127.0.0.1:1/back', ...more });

test('an intent waits for a payment method, then for a word, then has succeeded', async () => {
  const intent = await create({ description: 'Credits', metadata: { order: '7' } });
  assert.match(intent.id, /^pi_/);
  assert.ok(intent.client_secret.startsWith(`${intent.id}_secret_`));
  assert.deepEqual([intent.status, intent.amount_received, intent.latest_charge], ['requires_payment_method', 0, null]);
  const ready = await stripe.paymentIntents.update(intent.id, { payment_method: 'pm_card_visa', metadata: { note: 'x' } });
  assert.equal(ready.status, 'requires_confirmation');
  assert.deepEqual({ ...ready.metadata }, { order: '7', note: 'x' });
  const done = await stripe.paymentIntents.confirm(intent.id, { return_url: 'http://127.0.0.1:1/back' });
  assert.deepEqual([done.status, done.amount_received], ['succeeded', 2000]);
  assert.match(done.latest_charge, /^ch_/);
  assert.deepEqual((await stripe.paymentIntents.retrieve(intent.id)).latest_charge, done.latest_charge);
});

test('expanding follows the references three steps', async () => {
  const { id: customer } = await stripe.customers.create({ name: 'Ada' });
  const intent = await paid({ customer, expand: ['customer', 'latest_charge.balance_transaction', 'payment_method'] });
  assert.equal(intent.customer.name, 'Ada');
  assert.equal(intent.latest_charge.payment_intent, intent.id);
  assert.equal(intent.latest_charge.balance_transaction.net, 2000 - intent.latest_charge.balance_transaction.fee);
  assert.equal(intent.payment_method.card.last4, '4242');
  const list = await stripe.paymentIntents.list({ customer, expand: ['data.latest_charge'] });
  assert.equal(list.data[0].latest_charge.paid, true);
});

test('every declining test card says why', async () => {
  const cards = [
    ['pm_card_visa_chargeDeclined', 'card_declined', 'generic_decline'],
    ['pm_card_visa_chargeDeclinedInsufficientFunds', 'card_declined', 'insufficient_funds'],
    ['pm_card_visa_chargeDeclinedLostCard', 'card_declined', 'lost_card'],
    ['pm_card_visa_chargeDeclinedStolenCard', 'card_declined', 'stolen_card'],
    ['pm_card_chargeDeclinedExpiredCard', 'expired_card', 'expired_card'],
    ['pm_card_chargeDeclinedIncorrectCvc', 'incorrect_cvc', 'incorrect_cvc'],
    ['pm_card_chargeDeclinedProcessingError', 'processing_error', 'processing_error'],
    ['pm_card_visa_chargeDeclinedVelocityLimitExceeded', 'card_declined', 'card_velocity_exceeded'],
  ];
  for (const [card, code, declined] of cards) {
    const error = await refused(paid({ payment_method: card }), { type: 'StripeCardError', statusCode: 402, code });
    // Stripe leaves the bank's reason out where it says no more than the code.
    assert.ok([declined, undefined].includes(error.raw.decline_code), `${card}: ${error.raw.decline_code}`);
    assert.equal(error.payment_intent.status, 'requires_payment_method', card);
    assert.equal(error.payment_intent.last_payment_error.code, code);
    assert.match(error.charge, /^ch_/);
    assert.equal((await stripe.charges.retrieve(error.charge)).status, 'failed');
  }
});

test('a declined intent can be paid with another card', async () => {
  const intent = await create();
  await refused(stripe.paymentIntents.confirm(intent.id, { payment_method: 'pm_card_visa_chargeDeclined', return_url: 'http://127.0.0.1:1/' }), { type: 'StripeCardError' });
  const done = await stripe.paymentIntents.confirm(intent.id, { payment_method: 'pm_card_mastercard', return_url: 'http://127.0.0.1:1/' });
  assert.deepEqual([done.status, done.last_payment_error], ['succeeded', null]);
  assert.deepEqual((await stripe.charges.list({ payment_intent: intent.id })).data.map(({ status }) => status), ['succeeded', 'failed']);
});

test('a card that asks for 3D Secure leaves a next step', async () => {
  const intent = await paid({ payment_method: 'pm_card_authenticationRequired' });
  assert.equal(intent.status, 'requires_action');
  assert.equal(intent.next_action.type, 'redirect_to_url');
  assert.match(intent.next_action.redirect_to_url.url, /^http/);
});

test('manual capture: held, then taken in part, and not twice', async () => {
  const held = await paid({ capture_method: 'manual' });
  assert.deepEqual([held.status, held.amount_capturable, held.amount_received], ['requires_capture', 2000, 0]);
  assert.equal((await stripe.charges.retrieve(held.latest_charge)).captured, false);
  await refused(stripe.paymentIntents.capture(held.id, { amount_to_capture: 2001 }), { type: 'StripeInvalidRequestError', statusCode: 400 });
  const taken = await stripe.paymentIntents.capture(held.id, { amount_to_capture: 1500 });
  assert.deepEqual([taken.status, taken.amount_received, taken.amount_capturable], ['succeeded', 1500, 0]);
  const charge = await stripe.charges.retrieve(held.latest_charge);
  assert.deepEqual([charge.captured, charge.amount_captured, charge.amount_refunded], [true, 1500, 500]);
  await refused(stripe.paymentIntents.capture(held.id), { type: 'StripeInvalidRequestError', code: 'payment_intent_unexpected_state' });
});

test('a canceled intent stays canceled', async () => {
  const { id } = await create();
  const canceled = await stripe.paymentIntents.cancel(id, { cancellation_reason: 'requested_by_customer' });
  assert.deepEqual([canceled.status, canceled.cancellation_reason], ['canceled', 'requested_by_customer']);
  assert.ok(canceled.canceled_at > 0);
  for (const call of [() => stripe.paymentIntents.confirm(id, { payment_method: 'pm_card_visa' }), () => stripe.paymentIntents.cancel(id)])
    await refused(call(), { type: 'StripeInvalidRequestError', statusCode: 400, code: 'payment_intent_unexpected_state' });
});

test('a paid intent cannot be confirmed, canceled or changed', async () => {
  const { id } = await paid();
  const calls = [() => stripe.paymentIntents.confirm(id), () => stripe.paymentIntents.cancel(id), () => stripe.paymentIntents.update(id, { amount: 3000 })];
  for (const call of calls)
    await refused(call(), { type: 'StripeInvalidRequestError', statusCode: 400, code: 'payment_intent_unexpected_state' });
});

test('an amount below the smallest is refused', async () => {
  await refused(create({ amount: 49 }), { type: 'StripeInvalidRequestError', statusCode: 400, code: 'amount_too_small' });
  await refused(create({ amount: 100_000_000 }), { type: 'StripeInvalidRequestError', statusCode: 400, code: 'amount_too_large' });
  await refused(create({ amount: -1 }), { type: 'StripeInvalidRequestError', statusCode: 400 });
  assert.equal((await create({ amount: 50 })).amount, 50);
  assert.equal((await create({ amount: 50, currency: 'jpy' })).currency, 'jpy');
  await refused(create({ amount: 49, currency: 'jpy' }), { code: 'amount_too_small' });
});

test('the pinned version no longer takes payment_method_types', async () => {
  await refused(create({ payment_method_types: ['card'] }), {
    type: 'StripeInvalidRequestError', statusCode: 400, code: 'payment_method_types_no_longer_supported',
  });
});

test('a bank debit is on its way before it has succeeded', async () => {
  const method = await stripe.paymentMethods.create({
    type: 'sepa_debit', sepa_debit: { iban: 'AT321904300235473204' }, billing_details: { name: 'Ada', email: 'ada@example.com' },
  });
  assert.equal(method.sepa_debit.last4, '3204');
  const intent = await stripe.paymentIntents.create({
    amount: 1000, currency: 'eur', payment_method: method.id, confirm: true, return_url: 'http://127.0.0.1:1/',
    mandate_data: { customer_acceptance: { type: 'offline' } },
  });
  assert.equal(intent.status, 'processing');
});

test('lists filter by customer and time', async () => {
  const { id: customer } = await stripe.customers.create({});
  const { id, created } = await paid({ customer });
  assert.deepEqual((await stripe.paymentIntents.list({ customer })).data.map((one) => one.id), [id]);
  assert.deepEqual((await stripe.paymentIntents.list({ customer, created: { gt: created } })).data, []);
  assert.equal((await stripe.paymentIntents.list({ customer, created: { gte: created } })).data.length, 1);
});
