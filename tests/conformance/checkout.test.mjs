// Checkout sessions, from the call that makes one to the money.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { item, openSandbox, refused, sessionOf } from '../harness/conformance.mjs';

const { stripe, ask, pay, payLater, control } = await openSandbox();
const sessions = stripe.checkout.sessions;

test('a session is open, unpaid, and has an address to pay at', async () => {
  const session = await sessions.create(sessionOf(500, { client_reference_id: 'topup_1', metadata: { topup: '1' }, customer_email: 'ada@example.com' }));
  assert.match(session.id, /^cs_test_/);
  assert.deepEqual(
    [session.status, session.payment_status, session.amount_total, session.currency, session.client_reference_id, session.livemode],
    ['open', 'unpaid', 500, 'usd', 'topup_1', false],
  );
  assert.match(session.url, /^http:\/\/127\.0\.0\.1:/);
  assert.equal((await fetch(session.url)).status, 200);
  assert.ok(session.expires_at - session.created >= 23 * 3600);
  assert.equal(session.line_items, undefined);
  assert.equal((await sessions.retrieve(session.id)).metadata.topup, '1');
  assert.equal((await sessions.update(session.id, { metadata: { topup: '2' } })).metadata.topup, '2');
});

test('line items are listed apart, or expanded', async () => {
  const { id: product } = await stripe.products.create({ name: 'Pack' });
  const { id: price } = await stripe.prices.create({ product, currency: 'usd', unit_amount: 700 });
  const session = await sessions.create(sessionOf(500, { line_items: [item(500), { price, quantity: 2 }] }));
  assert.equal(session.amount_total, 1900);
  const { data } = await sessions.listLineItems(session.id);
  assert.deepEqual(data.map((line) => [line.description, line.quantity, line.amount_total]), [['Credits', 1, 500], ['Pack', 2, 1400]]);
  assert.equal(data[1].price.id, price);
  const expanded = await sessions.retrieve(session.id, { expand: ['line_items.data.price.product'] });
  assert.equal(expanded.line_items.data[1].price.product.name, 'Pack');
});

test('a paid session is complete and leads to its intent, charge and money', async () => {
  const session = await sessions.create(sessionOf(500, { payment_intent_data: { metadata: { order: '7' }, description: 'Credits' } }));
  const { status } = await pay(session, 'pm_card_visa');
  assert.equal(status, 200);
  const done = await sessions.retrieve(session.id, { expand: ['payment_intent.latest_charge.balance_transaction'] });
  assert.deepEqual([done.status, done.payment_status, done.url], ['complete', 'paid', null]);
  const { payment_intent: intent } = done;
  assert.deepEqual([intent.status, intent.amount_received, intent.metadata.order, intent.description], ['succeeded', 500, '7', 'Credits']);
  assert.deepEqual([intent.latest_charge.amount, intent.latest_charge.balance_transaction.amount], [500, 500]);
  assert.deepEqual((await sessions.list({ payment_intent: intent.id })).data.map(({ id }) => id), [session.id]);
});

test('a session is paid once', async () => {
  const session = await sessions.create(sessionOf(500));
  const answers = await Promise.all(Array.from({ length: 8 }, () => pay(session, 'pm_card_visa')));
  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  const { payment_intent } = await sessions.retrieve(session.id);
  assert.equal((await stripe.charges.list({ payment_intent })).data.length, 1);
});

test('an expected amount that is not the session’s is refused', async () => {
  const session = await sessions.create(sessionOf(500));
  assert.equal((await pay(session, 'pm_card_visa', 499)).status, 400);
  assert.equal((await sessions.retrieve(session.id)).payment_status, 'unpaid');
});

test('after a decline the session is still open', async () => {
  const session = await sessions.create(sessionOf(500));
  const { status, body } = await pay(session, 'pm_card_visa_chargeDeclined');
  assert.deepEqual([status, body.error.type, body.error.code], [402, 'card_error', 'card_declined']);
  assert.equal((await sessions.retrieve(session.id)).status, 'open');
  assert.equal((await pay(session, 'pm_card_visa')).status, 200);
  assert.equal((await sessions.retrieve(session.id)).payment_status, 'paid');
});

test('an expired session cannot be paid, nor expired again', async () => {
  const session = await sessions.create(sessionOf(500));
  const expired = await sessions.expire(session.id);
  assert.deepEqual([expired.status, expired.url], ['expired', null]);
  await refused(sessions.expire(session.id), { type: 'StripeInvalidRequestError', statusCode: 400 });
  assert.equal((await pay(session, 'pm_card_visa')).status, 400);
});

test('a paid session cannot be expired', async () => {
  const session = await sessions.create(sessionOf(500));
  await pay(session, 'pm_card_visa');
  await refused(sessions.expire(session.id), { type: 'StripeInvalidRequestError', statusCode: 400 });
});

test('a customer of the session is used, or made when asked for', async () => {
  const { id: customer } = await stripe.customers.create({ email: 'ada@example.com' });
  const session = await sessions.create(sessionOf(500, { customer }));
  assert.equal(session.customer, customer);
  await pay(session, 'pm_card_visa');
  assert.deepEqual((await stripe.paymentIntents.list({ customer })).data.length, 1);
  const made = await sessions.create(sessionOf(500, { customer_creation: 'always', customer_email: 'bob@example.com' }));
  assert.equal(made.customer, null);
  await pay(made, 'pm_card_visa');
  const done = await sessions.retrieve(made.id, { expand: ['customer'] });
  assert.equal(done.customer.email, 'bob@example.com');
});

test('what cannot be a session is refused by the parameter at fault', async () => {
  await refused(sessions.create(sessionOf(10)), { type: 'StripeInvalidRequestError', statusCode: 400, code: 'amount_too_small' });
  await refused(sessions.create(sessionOf(500, { mode: undefined, line_items: [] })), { type: 'StripeInvalidRequestError', statusCode: 400 });
  await refused(sessions.create(sessionOf(500, { success_url: 'not an address' })), { statusCode: 400, code: 'url_invalid' });
  await refused(sessions.create(sessionOf(500, { line_items: [{ price: 'price_none', quantity: 1 }] })), { code: 'resource_missing' });
  await refused(sessions.create(sessionOf(500, { line_items: [item(500, { quantity: 0 })] })), { statusCode: 400 });
  await refused(sessions.create(sessionOf(500, { color: 'red' })), { code: 'parameter_unknown', param: 'color' });
  await refused(sessions.create(sessionOf(500, { expires_at: Math.floor(Date.now() / 1000) + 60 })), { statusCode: 400, param: 'expires_at' });
  await refused(sessions.create(sessionOf(500, { payment_method_types: ['card'] })), { code: 'payment_method_types_no_longer_supported' });
});

test('time runs out on a session', async () => {
  const session = await sessions.create(sessionOf(500, { expires_at: Math.floor(Date.now() / 1000) + 3600 }));
  await control('clock', { advance_seconds: 3700 });
  assert.equal((await sessions.retrieve(session.id)).status, 'expired');
});

test('a bank debit completes the session and pays it later, or never', async () => {
  for (const [outcome, expected] of [['succeeded', 'paid'], ['failed', 'unpaid']]) {
    const session = await sessions.create(sessionOf(500));
    await payLater(session);
    const waiting = await sessions.retrieve(session.id);
    assert.deepEqual([waiting.status, waiting.payment_status], ['complete', 'unpaid']);
    assert.equal((await stripe.paymentIntents.retrieve(waiting.payment_intent)).status, 'processing');
    await control(`payments/${waiting.payment_intent}/settle`, { outcome });
    assert.equal((await sessions.retrieve(session.id)).payment_status, expected);
  }
});

test('the page’s own description of a session can be read, as Stripe’s CLI does', async () => {
  const session = await sessions.create(sessionOf(500));
  const { status } = await ask('GET', `/v1/payment_pages/${session.id}`);
  assert.equal(status, 200);
});
