// Pages of lists, and what an Idempotency-Key promises.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { openSandbox, refused } from '../harness/conformance.mjs';

const { stripe, answers, ask } = await openSandbox();
const ids = ({ data }) => data.map(({ id }) => id);

const customers = [];
for (let n = 0; n < 25; n += 1) customers.unshift((await stripe.customers.create({ name: `Customer ${n}`, email: 'many@example.com' })).id);

test('a page is ten, newest first, and says whether more follow', async () => {
  const page = await stripe.customers.list();
  assert.deepEqual([ids(page), page.has_more, page.url], [customers.slice(0, 10), true, '/v1/customers']);
});

test('the last page says so', async () => {
  const page = await stripe.customers.list({ limit: 10, starting_after: customers[19] });
  assert.deepEqual([ids(page), page.has_more], [customers.slice(20), false]);
});

test('ending_before gives the page before, in the same order', async () => {
  const page = await stripe.customers.list({ limit: 5, ending_before: customers[10] });
  assert.deepEqual([ids(page), page.has_more], [customers.slice(5, 10), true]);
  assert.equal((await stripe.customers.list({ limit: 5, ending_before: customers[3] })).has_more, false);
});

test('the client walks all pages by itself, forward and backward', async () => {
  const all = await stripe.customers.list({ limit: 7 }).autoPagingToArray({ limit: 1000 });
  assert.deepEqual(all.map(({ id }) => id), customers);
  const back = [];
  for await (const { id } of stripe.customers.list({ limit: 7, ending_before: customers.at(-1) })) back.unshift(id);
  assert.deepEqual(back, customers.slice(0, -1));
});

test('filters hold across pages', async () => {
  const all = await stripe.customers.list({ email: 'many@example.com', limit: 4 }).autoPagingToArray({ limit: 1000 });
  assert.equal(all.length, 25);
});

test('a page of none, of too many, and after nothing known are refused', async () => {
  await refused(stripe.customers.list({ limit: 0 }), { type: 'StripeInvalidRequestError', statusCode: 400, param: 'limit' });
  await refused(stripe.customers.list({ limit: 101 }), { type: 'StripeInvalidRequestError', statusCode: 400, param: 'limit' });
  await refused(stripe.customers.list({ starting_after: 'cus_none' }), { type: 'StripeInvalidRequestError', code: 'resource_missing', param: 'starting_after' });
});

test('a key given twice gives the same answer and makes one object', async () => {
  const idempotencyKey = randomUUID();
  const first = await stripe.products.create({ name: 'Once' }, { idempotencyKey });
  const second = await stripe.products.create({ name: 'Once' }, { idempotencyKey });
  assert.deepEqual(second, first);
  assert.equal(answers.at(-1).headers['idempotent-replayed'], 'true');
  assert.equal(answers.at(-2).headers['idempotent-replayed'], undefined);
  assert.equal(answers.at(-1).headers['idempotency-key'], idempotencyKey);
  assert.equal((await stripe.products.list()).data.filter(({ name }) => name === 'Once').length, 1);
});

test('a key reused with other parameters, or another path, is an idempotency error', async () => {
  const idempotencyKey = randomUUID();
  await stripe.products.create({ name: 'First' }, { idempotencyKey });
  await refused(stripe.products.create({ name: 'Second' }, { idempotencyKey }), { type: 'StripeIdempotencyError', statusCode: 400, rawType: 'idempotency_error' });
  await refused(stripe.customers.create({ name: 'First' }, { idempotencyKey }), { type: 'StripeIdempotencyError', statusCode: 400 });
});

test('a decline is kept under its key', async () => {
  const idempotencyKey = randomUUID();
  const pay = () => stripe.paymentIntents.create(
    { amount: 500, currency: 'usd', payment_method: 'pm_card_visa_chargeDeclined', confirm: true, return_url: 'http://127.0.0.1:1/' }, { idempotencyKey });
  const first = await refused(pay(), { type: 'StripeCardError' });
  const second = await refused(pay(), { type: 'StripeCardError' });
  assert.equal(second.payment_intent.id, first.payment_intent.id);
});

test('a request refused before any work leaves its key free', async () => {
  const idempotencyKey = randomUUID();
  await refused(stripe.products.create({ nmae: 'Typo' }, { idempotencyKey }), { code: 'parameter_unknown' });
  assert.equal((await stripe.products.create({ name: 'Right' }, { idempotencyKey })).name, 'Right');
});

test('the same request many times at once makes one object', async () => {
  const idempotencyKey = randomUUID();
  const settled = await Promise.allSettled(Array.from({ length: 16 }, () => stripe.products.create({ name: 'Race' }, { idempotencyKey })));
  const made = new Set(settled.filter(({ status }) => status === 'fulfilled').map(({ value }) => value.id));
  assert.equal(made.size, 1);
  for (const { reason } of settled.filter(({ status }) => status === 'rejected')) assert.equal(reason.code, 'idempotency_key_in_use');
});

test('a key longer than 255 characters is refused; reading ignores keys', async () => {
  await refused(stripe.products.create({ name: 'x' }, { idempotencyKey: 'k'.repeat(256) }), { type: 'StripeInvalidRequestError', statusCode: 400 });
  const headers = { 'idempotency-key': 'read-key' };
  assert.equal((await ask('GET', '/v1/customers?limit=1', { headers })).status, 200);
  assert.equal((await ask('GET', '/v1/customers?limit=2', { headers })).status, 200);
});
