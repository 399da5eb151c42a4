// Customers and their payment methods.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSandbox, refused } from '../harness/conformance.mjs';

const { stripe } = await openSandbox();

test('a customer is made, read, changed, found by mail address, and deleted', async () => {
  const made = await stripe.customers.create({
    name: 'Ada Lovelace', email: 'ada@example.com', address: { city: 'London', country: 'GB' }, metadata: { user: 'u_1', team: 'blue' },
  });
  assert.match(made.id, /^cus_/);
  assert.equal((await stripe.customers.retrieve(made.id)).address.city, 'London');
  const changed = await stripe.customers.update(made.id, { description: 'first', metadata: { team: '', role: 'owner' } });
  assert.deepEqual({ ...changed.metadata }, { user: 'u_1', role: 'owner' });
  assert.equal(changed.name, 'Ada Lovelace');
  await stripe.customers.create({ email: 'other@example.com' });
  assert.deepEqual((await stripe.customers.list({ email: 'ada@example.com' })).data.map(({ id }) => id), [made.id]);
  assert.equal((await stripe.customers.del(made.id)).deleted, true);
  assert.equal((await stripe.customers.retrieve(made.id)).deleted, true);
  await refused(stripe.customers.update(made.id, { name: 'x' }), { type: 'StripeInvalidRequestError', statusCode: 404, code: 'resource_missing' });
});

test('an empty metadata value clears all of it', async () => {
  const { id } = await stripe.customers.create({ metadata: { a: '1', b: '2' } });
  assert.deepEqual({ ...(await stripe.customers.update(id, { metadata: '' })).metadata }, {});
});

test('a mail address that is none is refused', async () => {
  await refused(stripe.customers.create({ email: 'not an address' }), { statusCode: 400, code: 'email_invalid', param: 'email' });
});

test('a payment method is made from a test card number, and shows no more than its last four', async () => {
  const method = await stripe.paymentMethods.create({
    type: 'card', card: { number: '4242424242424242', exp_month: 12, exp_year: 2034, cvc: '123' }, billing_details: { name: 'Ada' },
  });
  assert.match(method.id, /^pm_/);
  assert.deepEqual([method.card.brand, method.card.last4, method.card.exp_month, method.card.exp_year], ['visa', '4242', 12, 2034]);
  assert.ok(!JSON.stringify(method).includes('4242424242424242'));
  const { id: customer } = await stripe.customers.create({});
  await stripe.paymentMethods.attach(method.id, { customer });
  const updated = await stripe.paymentMethods.update(method.id, { billing_details: { email: 'ada@example.com' }, metadata: { k: 'v' } });
  assert.deepEqual([updated.billing_details.email, updated.billing_details.name, updated.metadata.k], ['ada@example.com', 'Ada', 'v']);
});

test('the brands of Stripe’s test cards', async () => {
  for (const [number, brand] of [['5555555555554444', 'mastercard'], ['378282246310005', 'amex'], ['6011111111111117', 'discover'], ['3056930009020004', 'diners'], ['3566002020360505', 'jcb'], ['6200000000000005', 'unionpay']]) {
    const { card } = await stripe.paymentMethods.create({ type: 'card', card: { number, exp_month: 1, exp_year: 2035, cvc: number.length === 15 ? '1234' : '123' } });
    assert.equal(card.brand, brand, number);
  }
});

test('a number that fails its check digit, a past year and a bad code are card errors', async () => {
  const card = { number: '4242424242424242', exp_month: 12, exp_year: 2034, cvc: '123' };
  const make = (change) => stripe.paymentMethods.create({ type: 'card', card: { ...card, ...change } });
  await refused(make({ number: '4242424242424241' }), { type: 'StripeCardError', statusCode: 402, code: 'incorrect_number' });
  await refused(make({ exp_year: 2001 }), { type: 'StripeCardError', statusCode: 402, code: 'invalid_expiry_year' });
  await refused(make({ exp_month: 13 }), { type: 'StripeCardError', statusCode: 402, code: 'invalid_expiry_month' });
  await refused(make({ cvc: '1' }), { type: 'StripeCardError', statusCode: 402, code: 'invalid_cvc' });
});

test('one card has one fingerprint', async () => {
  const make = async (token) => (await stripe.paymentMethods.create({ type: 'card', card: { token } })).card.fingerprint;
  const [first, again, other] = [await make('tok_visa'), await make('tok_visa'), await make('tok_mastercard')];
  assert.equal(first, again);
  assert.notEqual(first, other);
});

test('a payment method is attached, listed and detached', async () => {
  const { id: customer } = await stripe.customers.create({ name: 'Ada' });
  const attached = await stripe.paymentMethods.attach('pm_card_visa', { customer });
  assert.equal(attached.customer, customer);
  assert.notEqual(attached.id, 'pm_card_visa');
  assert.deepEqual((await stripe.paymentMethods.list({ customer, type: 'card' })).data.map(({ id }) => id), [attached.id]);
  assert.deepEqual((await stripe.customers.listPaymentMethods(customer)).data.map(({ id }) => id), [attached.id]);
  assert.equal((await stripe.paymentMethods.retrieve(attached.id, { expand: ['customer'] })).customer.name, 'Ada');
  const chosen = await stripe.customers.update(customer, { invoice_settings: { default_payment_method: attached.id } });
  assert.equal(chosen.invoice_settings.default_payment_method, attached.id);
  assert.equal((await stripe.paymentMethods.detach(attached.id)).customer, null);
  assert.deepEqual((await stripe.paymentMethods.list({ customer })).data, []);
});

test('a card that declines cannot be attached', async () => {
  const { id: customer } = await stripe.customers.create({});
  await refused(stripe.paymentMethods.attach('pm_card_chargeDeclined', { customer }), { type: 'StripeCardError', statusCode: 402, code: 'card_declined' });
});
