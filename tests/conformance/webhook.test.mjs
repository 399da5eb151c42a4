// Webhook endpoints, what is delivered to them, and the events behind it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Stripe from 'stripe';
import { openSandbox, refused, sessionOf } from '../harness/conformance.mjs';
import { until } from '../harness/process.mjs';
import { version } from '../stripe-schema/judge.mjs';

const { stripe, pay, payLater, control, receive } = await openSandbox();
const every = await receive(['*'], { api_version: version });
const paid = (payment_method = 'pm_card_visa', more = {}) =>
  stripe.paymentIntents.create({ amount: 2000, currency: 'usd', payment_method, confirm: true, return_url: 'http://127.0.0.1:1/', ...more });
const decline = () => paid('pm_card_visa_chargeDeclined').catch((error) => error.payment_intent);

test('an endpoint shows its secret once, and is read, changed, listed and deleted', async () => {
  const made = await stripe.webhookEndpoints.create({ url: 'http://127.0.0.1:1/hook', enabled_events: ['refund.created'], description: 'books', metadata: { a: '1' } });
  assert.match(made.secret, /^whsec_/);
  assert.deepEqual([made.status, made.enabled_events], ['enabled', ['refund.created']]);
  const read = await stripe.webhookEndpoints.retrieve(made.id);
  assert.equal(read.secret, undefined);
  const changed = await stripe.webhookEndpoints.update(made.id, { disabled: true, enabled_events: ['*'] });
  assert.deepEqual([changed.status, changed.enabled_events], ['disabled', ['*']]);
  assert.ok((await stripe.webhookEndpoints.list()).data.some(({ id }) => id === made.id));
  assert.equal((await stripe.webhookEndpoints.del(made.id)).deleted, true);
  await refused(stripe.webhookEndpoints.retrieve(made.id), { statusCode: 404, code: 'resource_missing' });
});

test('an endpoint for no event, for an unknown one, or at no address is refused', async () => {
  const url = 'http://127.0.0.1:1/hook';
  await refused(stripe.webhookEndpoints.create({ url, enabled_events: [] }), { type: 'StripeInvalidRequestError', statusCode: 400 });
  await refused(stripe.webhookEndpoints.create({ url, enabled_events: ['nonsense'] }), { type: 'StripeInvalidRequestError', statusCode: 400 });
  await refused(stripe.webhookEndpoints.create({ url: 'nowhere', enabled_events: ['*'] }), { type: 'StripeInvalidRequestError', statusCode: 400 });
});

test('a payment tells its story, signed, and every event can be read again', async () => {
  const intent = await paid();
  for (const type of ['payment_intent.created', 'charge.succeeded', 'payment_intent.succeeded']) {
    const { event, headers } = await every.event(type, ({ data }) => [data.object.id, data.object.payment_intent].includes(intent.id));
    assert.match(headers['content-type'], /^application\/json/);
    assert.deepEqual([event.livemode, event.api_version], [false, version]);
    assert.match(event.request.id, /^req_/);
    const again = await stripe.events.retrieve(event.id);
    assert.deepEqual(JSON.parse(JSON.stringify(again.data)), event.data);
  }
});

test('an event names the idempotency key of its request', async () => {
  const { id } = await stripe.customers.create({ name: 'Keyed' }, { idempotencyKey: 'key-of-mine' });
  const { event } = await every.event('customer.created', ({ data }) => data.object.id === id);
  assert.equal(event.request.idempotency_key, 'key-of-mine');
});

test('every event of the product’s life happens', async () => {
  const session = async (more) => stripe.checkout.sessions.create(sessionOf(500, more));
  await pay(await session(), 'pm_card_visa');
  await stripe.checkout.sessions.expire((await session()).id);
  for (const outcome of ['succeeded', 'failed']) {
    const late = await session();
    await payLater(late);
    const { payment_intent } = await stripe.checkout.sessions.retrieve(late.id);
    await control(`payments/${payment_intent}/settle`, { outcome });
  }
  await decline();
  await paid('pm_card_authenticationRequired');
  const held = await paid('pm_card_visa', { capture_method: 'manual' });
  await stripe.paymentIntents.capture(held.id);
  await stripe.paymentIntents.cancel((await stripe.paymentIntents.create({ amount: 500, currency: 'usd' })).id);
  await stripe.refunds.create({ payment_intent: (await paid()).id, amount: 100 });
  const failing = await stripe.refunds.create({ payment_intent: (await paid('pm_card_refundFail')).id });
  await control('clock', { advance_seconds: 86_400 });
  assert.equal((await stripe.refunds.retrieve(failing.id)).status, 'failed');
  const { id: customer } = await stripe.customers.create({ name: 'Ada' });
  await stripe.customers.update(customer, { name: 'Ada L.' });
  const { id: method } = await stripe.paymentMethods.attach('pm_card_visa', { customer });
  await stripe.paymentMethods.detach(method);
  await stripe.customers.del(customer);
  const { id: product } = await stripe.products.create({ name: 'Pack' });
  await stripe.products.update(product, { name: 'Packs' });
  const { id: price } = await stripe.prices.create({ product, currency: 'usd', unit_amount: 500 });
  await stripe.prices.update(price, { nickname: 'five' });
  await stripe.products.del((await stripe.products.create({ name: 'Gone' })).id);
  for (const type of [
    'checkout.session.completed', 'checkout.session.expired', 'checkout.session.async_payment_succeeded', 'checkout.session.async_payment_failed',
    'payment_intent.created', 'payment_intent.succeeded', 'payment_intent.payment_failed', 'payment_intent.requires_action',
    'payment_intent.canceled', 'payment_intent.processing', 'payment_intent.amount_capturable_updated',
    'charge.succeeded', 'charge.failed', 'charge.captured', 'charge.refunded', 'refund.created', 'refund.updated', 'refund.failed',
    'customer.created', 'customer.updated', 'customer.deleted', 'payment_method.attached', 'payment_method.detached',
    'product.created', 'product.updated', 'product.deleted', 'price.created', 'price.updated',
  ]) await every.event(type);
  const { event } = await every.event('customer.updated', ({ data }) => data.object.id === customer && data.object.name === 'Ada L.');
  assert.equal(event.data.previous_attributes.name, 'Ada');
});

test('everything delivered so far is as Stripe describes it, and signed', () => {
  assert.ok(every.deliveries.length >= 30);
  assert.deepEqual(every.complaints(every.secret), []);
  const sent = every.deliveries.map(({ event }) => event.id);
  assert.equal(new Set(sent).size, sent.length, 'an event was delivered twice');
});

test('lists of events filter by type, types and time', async () => {
  const { data } = await stripe.events.list({ type: 'customer.deleted' });
  assert.ok(data.length > 0 && data.every(({ type }) => type === 'customer.deleted'));
  const types = ['product.created', 'price.created'];
  const both = await stripe.events.list({ types, limit: 100 });
  assert.deepEqual([...new Set(both.data.map(({ type }) => type))].sort(), [...types].sort());
  assert.deepEqual((await stripe.events.list({ created: { gt: 4_000_000_000 } })).data, []);
  const all = await stripe.events.list({ limit: 50 }).autoPagingToArray({ limit: 10_000 });
  const delivered = new Set(every.deliveries.map(({ event }) => event.id));
  await until(() => all.every(({ id }) => delivered.has(id) || every.deliveries.some(({ event }) => event.id === id)), { what: 'delivery of every event' });
});

test('an endpoint gets the events it asked for and no others', async () => {
  const some = await receive(['customer.created']);
  const { id } = await stripe.customers.create({ name: 'One' });
  await paid();
  await some.event('customer.created', ({ data }) => data.object.id === id);
  await every.event('payment_intent.succeeded');
  assert.deepEqual([...new Set(some.deliveries.map(({ event }) => event.type))], ['customer.created']);
});

test('a failed delivery is tried again with a fresh signature', async () => {
  const shaky = await receive(['product.created']);
  let failures = 2;
  shaky.answerWith = () => (failures-- > 0 ? 500 : 200);
  const { id } = await stripe.products.create({ name: 'Retry' });
  const tries = () => shaky.deliveries.filter(({ event }) => event.data.object.id === id);
  await until(() => tries().length >= 1, { what: 'the first attempt' });
  await control('clock', { advance_seconds: 3600 });
  await until(() => tries().length >= 2, { what: 'the second attempt' });
  await control('clock', { advance_seconds: 3600 });
  await until(() => tries().length >= 3, { what: 'the third attempt' });
  assert.equal(new Set(tries().map(({ event }) => event.id)).size, 1);
  assert.equal(new Set(tries().map(({ bytes }) => bytes.toString())).size <= 3, true);
  for (const { bytes, headers } of tries())
    assert.ok(Stripe.webhooks.constructEvent(bytes, headers['stripe-signature'], shaky.secret, 10 ** 9));
});

test('a disabled endpoint gets nothing', async () => {
  const off = await receive(['product.created']);
  await stripe.webhookEndpoints.update(off.endpoint.id, { disabled: true });
  const { id } = await stripe.products.create({ name: 'Unheard' });
  await every.event('product.created', ({ data }) => data.object.id === id);
  assert.equal(off.deliveries.length, 0);
});

test('deliveries go wrong on purpose: lost, sent again, in reverse', async () => {
  const victim = await receive(['product.updated']);
  const { id } = await stripe.products.create({ name: 'Fault' });
  const rename = (name) => stripe.products.update(id, { name });
  const names = () => victim.deliveries.map(({ event }) => event.data.object.name);
  // Every receiver of the event suffers; these two are the only ones.
  await control('deliveries', { fault: 'drop', count: 2, event_type: 'product.updated' });
  await rename('lost');
  await rename('heard');
  await until(() => names().includes('heard'), { what: 'the delivery after the lost one' });
  assert.ok(!names().includes('lost'));
  await control('deliveries', { fault: 'duplicate', count: 2, times: 2, event_type: 'product.updated' });
  await rename('thrice');
  await until(() => names().filter((name) => name === 'thrice').length === 3, { what: 'three copies' });
  await stripe.webhookEndpoints.update(every.endpoint.id, { disabled: true });
  await control('deliveries', { fault: 'reorder', count: 3, event_type: 'product.updated' });
  for (const name of ['a', 'b', 'c']) await rename(name);
  await until(() => names().includes('a'), { what: 'the reversed burst' });
  assert.deepEqual(names().slice(-3), ['c', 'b', 'a']);
});
