// Who may call, and how Stripe says no.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSandbox, refused } from '../harness/conformance.mjs';
import { clientOf } from '../harness/sandbox.mjs';
import { version } from '../stripe-schema/judge.mjs';

const { box, stripe, answers, ask } = await openSandbox();

test('a wrong key is refused as Stripe refuses it', async () => {
  const stranger = clientOf({ ...box, key: 'sk_test_wrongwrongwrongwrongwrong' }).stripe;
  await refused(stranger.customers.list(), { type: 'StripeAuthenticationError', statusCode: 401 });
});

test('no key at all is refused', async () => {
  const { status, body } = await ask('GET', '/v1/customers', { auth: null });
  assert.equal(status, 401);
  assert.equal(body.error.type, 'invalid_request_error');
});

test('the key may come as the user name of basic authentication, as curl -u sends it', async () => {
  const { status } = await ask('GET', '/v1/customers', { auth: `Basic ${Buffer.from(`${box.key}:`).toString('base64')}` });
  assert.equal(status, 200);
});

test('every answer names its request and the version it speaks', async () => {
  await stripe.customers.list();
  const { headers } = answers.at(-1);
  assert.match(headers['request-id'], /^req_/);
  assert.equal(headers['stripe-version'], version);
  assert.match(headers['content-type'], /^application\/json/);
});

test('an unknown path and an unknown object are 404', async () => {
  const { status, body } = await ask('GET', '/v1/no_such_thing');
  assert.deepEqual([status, body.error.type], [404, 'invalid_request_error']);
  await refused(stripe.customers.retrieve('cus_none'), { type: 'StripeInvalidRequestError', statusCode: 404, code: 'resource_missing' });
  await refused(stripe.paymentIntents.retrieve('pi_none'), { statusCode: 404, code: 'resource_missing' });
  await refused(stripe.checkout.sessions.retrieve('cs_test_none'), { statusCode: 404, code: 'resource_missing' });
  await refused(stripe.refunds.retrieve('re_none'), { statusCode: 404, code: 'resource_missing' });
});

test('a parameter Stripe does not have is refused by name', async () => {
  await refused(stripe.customers.create({ nmae: 'Ada' }), {
    type: 'StripeInvalidRequestError', statusCode: 400, code: 'parameter_unknown', param: 'nmae',
  });
  await refused(stripe.paymentIntents.create({ amount: 500, currency: 'usd', colour: 'red' }), { code: 'parameter_unknown', param: 'colour' });
  await refused(stripe.refunds.list({ colour: 'red' }), { code: 'parameter_unknown', param: 'colour' });
});

test('a missing parameter is refused by name', async () => {
  await refused(stripe.paymentIntents.create({ currency: 'usd' }), { statusCode: 400, code: 'parameter_missing', param: 'amount' });
  await refused(stripe.prices.create({ unit_amount: 5 }), { statusCode: 400, code: 'parameter_missing', param: 'currency' });
});

test('an amount that is no number is refused by name', async () => {
  await refused(stripe.paymentIntents.create({ amount: 'ten', currency: 'usd' }), { statusCode: 400, code: 'parameter_invalid_integer', param: 'amount' });
});

test('metadata keeps Stripe’s limits: 50 keys, 40 characters a key, 500 a value', async () => {
  const many = Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`key${n}`, 'x']));
  for (const metadata of [many, { ['k'.repeat(41)]: 'x' }, { key: 'x'.repeat(501) }])
    await refused(stripe.customers.create({ metadata }), { type: 'StripeInvalidRequestError', statusCode: 400 });
  const { metadata } = await stripe.customers.create({ metadata: { ['k'.repeat(40)]: 'x'.repeat(500), answer: 42 } });
  assert.equal(metadata.answer, '42');
});

test('expanding what cannot be expanded is refused', async () => {
  await stripe.paymentIntents.create({ amount: 500, currency: 'usd' });
  await refused(stripe.paymentIntents.list({ expand: ['data.amount'] }), { type: 'StripeInvalidRequestError', statusCode: 400 });
  await refused(stripe.paymentIntents.list({ expand: ['data.a.b.c.d.e'] }), { type: 'StripeInvalidRequestError', statusCode: 400 });
});
