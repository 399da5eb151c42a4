// Products and prices.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSandbox, refused } from '../harness/conformance.mjs';

const { stripe } = await openSandbox();

test('a product is made, read, changed and listed', async () => {
  const product = await stripe.products.create({ name: 'Credits', description: 'For the API', metadata: { plan: 'a' } });
  assert.match(product.id, /^prod_/);
  assert.equal(product.active, true);
  assert.equal((await stripe.products.retrieve(product.id)).name, 'Credits');
  const changed = await stripe.products.update(product.id, { active: false, name: 'Old credits' });
  assert.deepEqual([changed.active, changed.name, changed.metadata.plan], [false, 'Old credits', 'a']);
  assert.ok((await stripe.products.list({ active: false })).data.some(({ id }) => id === product.id));
  assert.ok(!(await stripe.products.list({ active: true })).data.some(({ id }) => id === product.id));
});

test('a product may have an id of our choice, once', async () => {
  assert.equal((await stripe.products.create({ id: 'credits', name: 'Credits' })).id, 'credits');
  await refused(stripe.products.create({ id: 'credits', name: 'Again' }), { statusCode: 400, code: 'resource_already_exists' });
});

test('a product without prices can be deleted, and is gone', async () => {
  const { id } = await stripe.products.create({ name: 'Mistake' });
  assert.deepEqual(await stripe.products.del(id).then(({ deleted, object }) => ({ deleted, object })), { deleted: true, object: 'product' });
  await refused(stripe.products.retrieve(id), { statusCode: 404, code: 'resource_missing' });
});

test('a product with prices cannot be deleted', async () => {
  const { id } = await stripe.products.create({ name: 'Sold' });
  await stripe.prices.create({ product: id, currency: 'usd', unit_amount: 500 });
  await refused(stripe.products.del(id), { type: 'StripeInvalidRequestError', statusCode: 400 });
});

test('a price is made, read, changed and listed', async () => {
  const { id: product } = await stripe.products.create({ name: 'Credits' });
  const price = await stripe.prices.create({ product, currency: 'usd', unit_amount: 500, lookup_key: 'five', nickname: 'Five dollars' });
  assert.deepEqual([price.type, price.billing_scheme, price.unit_amount, price.unit_amount_decimal.toString()], ['one_time', 'per_unit', 500, '500']);
  assert.equal((await stripe.prices.retrieve(price.id)).product, product);
  assert.equal((await stripe.prices.retrieve(price.id, { expand: ['product'] })).product.name, 'Credits');
  const changed = await stripe.prices.update(price.id, { active: false, metadata: { sold: 'out' } });
  assert.deepEqual([changed.active, changed.metadata.sold], [false, 'out']);
  assert.deepEqual((await stripe.prices.list({ product })).data.map(({ id }) => id), [price.id]);
  assert.deepEqual((await stripe.prices.list({ lookup_keys: ['five'] })).data.map(({ id }) => id), [price.id]);
});

test('a price may bring its product along', async () => {
  const price = await stripe.prices.create({ currency: 'eur', unit_amount: 1000, product_data: { name: 'Inline' }, expand: ['product'] });
  assert.equal(price.product.name, 'Inline');
});

test('a recurring price says how often', async () => {
  const { recurring, type } = await stripe.prices.create({
    currency: 'usd', unit_amount: 900, recurring: { interval: 'month' }, product_data: { name: 'Plan' },
  });
  assert.deepEqual([type, recurring.interval, recurring.interval_count], ['recurring', 'month', 1]);
});

test('a price of nothing known is refused', async () => {
  await refused(stripe.prices.create({ product: 'prod_none', currency: 'usd', unit_amount: 5 }), { statusCode: 400, code: 'resource_missing' });
  await refused(stripe.prices.create({ product_data: { name: 'x' }, currency: 'zzz', unit_amount: 5 }), { statusCode: 400 });
  await refused(stripe.prices.create({ product_data: { name: 'x' }, currency: 'usd', unit_amount: -5 }), { statusCode: 400 });
});
