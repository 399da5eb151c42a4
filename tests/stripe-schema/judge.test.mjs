// The judge itself is judged here: it accepts Stripe's shape and notices every kind of difference.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { eventTypes, judgeAnswer, judgeEvent, judgeObject, operationOf, operations, version } from './judge.mjs';
import { repository } from '../harness/process.mjs';

const refund = {
  id: 're_1', object: 'refund', amount: 100, balance_transaction: 'txn_1', charge: 'ch_1', created: 1, currency: 'usd', customer: null,
  customer_account: null, metadata: {}, payment_intent: 'pi_1', payment_method: null, reason: null, receipt_number: null, source_transfer_reversal: null,
  status: 'succeeded', transfer_reversal: null,
};
const answer = (body, expand) => judgeAnswer({ method: 'GET', pathname: '/v1/refunds/re_1', status: 200, body, expand });

test('a refund as Stripe writes it is accepted', () => assert.deepEqual(answer(refund), []));

test('every kind of difference is noticed', () => {
  assert.match(answer({ ...refund, extra: 1 })[0], /additional properties \(extra\)/);
  assert.match(answer({ ...refund, amount: '100' })[0], /\/amount must be integer/);
  assert.match(answer({ ...refund, amount: 1.5 })[0], /\/amount must be integer/);
  assert.match(answer({ ...refund, object: 'charge' })[0], /\/object must be equal/);
  assert.match(answer({ ...refund, currency: null })[0], /\/currency must be string/);
  assert.match(answer({ ...refund, metadata: { a: 1 } })[0], /\/metadata\/a must be string/);
});

test('required fields are required', () => {
  const { currency, ...rest } = refund;
  assert.ok(currency);
  assert.match(answer(rest)[0], /required property 'currency'/);
});

test('an enum that Stripe may extend takes words we do not know', () => {
  assert.deepEqual(answer({ ...refund, status: 'a_word_of_next_year' }), []);
});

test('an id becomes an object only where the request expanded it', () => {
  const transaction = {
    id: 'txn_1', object: 'balance_transaction', amount: -100, available_on: 1, created: 1, currency: 'usd', description: null,
    exchange_rate: 1.25, fee: 0, fee_details: [], net: -100, reporting_category: 'refund', source: 're_1', status: 'available',
    type: 'refund', balance_type: 'payments',
  };
  const body = { ...refund, balance_transaction: transaction };
  assert.deepEqual(answer(body, ['balance_transaction']), []);
  assert.match(answer(body)[0], /\/balance_transaction is an object although/);
  const list = { object: 'list', url: '/v1/refunds', has_more: false, data: [body] };
  const page = (expand) => judgeAnswer({ method: 'GET', pathname: '/v1/refunds', status: 200, body: list, expand });
  assert.deepEqual(page(['data.balance_transaction']), []);
  assert.match(page([])[0], /although/);
});

test('an error needs a known type and no field of its own', () => {
  const error = (body) => judgeAnswer({ method: 'GET', pathname: '/v1/refunds/x', status: 404, body: { error: body } });
  const plain = { type: 'invalid_request_error', message: 'No such refund', code: 'resource_missing', param: 'id' };
  assert.deepEqual(error(plain), []);
  assert.match(error({ ...plain, type: 'bad_request' })[0], /\/error\/type/);
  assert.match(error({ ...plain, reason: 'x' })[0], /reason/);
  assert.notDeepEqual(error(undefined), []);
});

test('an event carries the object of its type', () => {
  const event = {
    id: 'evt_1', object: 'event', api_version: version, created: 1, livemode: false, pending_webhooks: 1,
    request: { id: 'req_1', idempotency_key: null }, type: 'refund.created', data: { object: refund },
  };
  assert.deepEqual(judgeEvent(event), []);
  assert.notDeepEqual(judgeEvent({ ...event, type: 'customer.created' }), []);
  assert.deepEqual(judgeEvent({ ...event, type: 'no.such' }), ['there is no event type no.such']);
});

test('what is described covers what the sandbox serves', () => {
  for (const [method, pathname] of [
    ['POST', '/v1/checkout/sessions'], ['POST', '/v1/checkout/sessions/cs_1/expire'], ['GET', '/v1/checkout/sessions/cs_1/line_items'],
    ['POST', '/v1/payment_intents/pi_1/confirm'], ['POST', '/v1/payment_intents/pi_1/capture'], ['POST', '/v1/refunds'],
    ['DELETE', '/v1/customers/cus_1'], ['POST', '/v1/payment_methods/pm_1/attach'], ['GET', '/v1/balance_transactions/txn_1'],
    ['GET', '/v1/events'], ['DELETE', '/v1/webhook_endpoints/we_1'],
    ['POST', '/v1/coupons'], ['DELETE', '/v1/coupons/x'], ['POST', '/v1/promotion_codes'], ['POST', '/v1/disputes/du_1/close'],
    ['GET', '/v1/radar/early_fraud_warnings'], ['POST', '/v1/setup_intents/seti_1/confirm'],
  ]) assert.ok(operationOf(method, pathname), `${method} ${pathname}`);
  assert.ok(operations.length >= 60 && eventTypes.length >= 30);
});

// Stripe's own sample objects, where they lie beside this repository. They are of an older version than the package.
const samples = path.join(repository, '..', 'shared', 'stripe', 'fixtures', 'fixtures3-2026-07-29.dahlia.json');
const absent = !fs.existsSync(samples) && 'skipped: no sample objects in ../shared/stripe/fixtures';
test('Stripe’s own sample objects are accepted', { skip: absent }, () => {
  const newer = ['allowed_payment_method_types', 'electronic_commerce_indicator', 'payment_record', 'tax_details', 'submission_method'];
  const explained = (text) => newer.some((name) => new RegExp(`required property '(intended_)?${name}'`).test(text)) || text.startsWith('/transfer_data/');
  let judged = 0;
  for (const [name, object] of Object.entries(JSON.parse(fs.readFileSync(samples, 'utf8')).resources)) {
    const complaints = object.deleted || name.startsWith('deleted_') ? undefined : judgeObject(object);
    if (!complaints) continue;
    judged += 1;
    assert.deepEqual(complaints.filter((text) => !explained(text)), [], name);
  }
  assert.ok(judged >= 10, `only ${judged} sample objects were judged`);
});
