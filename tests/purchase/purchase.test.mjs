// The first purchase, as published: a customer buys credits, Stripe tells us, the wallet is credited exactly once.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { run, until } from '../harness/process.mjs';
import { startDev } from '../harness/dev.mjs';

const dev = await startDev();
after(() => dev.program.stop());
const { credentials } = dev;
const stranger = await dev.keyOf('somebody-else');

test('credentials.json tells what one needs, to its owner only', () => {
  const file = path.join(dev.data, 'credentials.json');
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  for (const name of ['base_url', 'admin_key', 'user_id', 'user_token', 'guest', 'stripe_api_base', 'stripe_secret_key', 'stripe_webhook_secret'])
    assert.ok(credentials[name], name);
});

test('a guest sees how one can pay', async () => {
  const { status, body } = await dev.call('GET', '/v1/payment/methods');
  assert.equal(status, 200);
  const { label, ...method } = body.items[0];
  assert.ok(label);
  assert.deepEqual(method, {
    id: 'stripe', type: 'checkout', enabled: true, service: 'payment.stripe', action: 'checkout/create', requires_user: true, currency: 'usd',
  });
});

test('a purchase, step by step', async () => {
  const before = await dev.credits();
  const topup = await dev.user('POST', '/v1/balance/topups/create', { amount: 500, note: 'recharge' });
  assert.deepEqual(
    [topup.user_id, topup.credits, topup.amount_minor, topup.currency, topup.status, topup.note],
    [credentials.user_id, 500, 500, 'usd', 'pending', 'recharge'],
  );
  assert.ok(topup.topup_id && topup.created_at);
  const first = await dev.user('POST', '/v1/payment.stripe/checkout/create', { topup_id: topup.topup_id });
  assert.ok(first.payment_id && first.stripe_checkout_session_id && first.status);
  assert.ok(first.checkout_url.startsWith('http://127.0.0.1:'));
  const second = await dev.user('POST', '/v1/payment.stripe/checkout/create', { topup_id: topup.topup_id });
  assert.equal(second.stripe_checkout_session_id, first.stripe_checkout_session_id);
  assert.equal(second.checkout_url, first.checkout_url);
  assert.equal(await dev.credits(), before);

  assert.equal((await dev.pay(first.stripe_checkout_session_id, 500)).status, 200);
  const done = await dev.finished(topup.topup_id);
  assert.ok(done.paid_at);
  const wallet = await dev.user('GET', '/v1/balance/me');
  assert.deepEqual([wallet.credits, wallet.available, wallet.held], [before + 500, before + 500, 0]);
  assert.ok(wallet.unit && wallet.money.display);

  const { items: history } = await dev.user('GET', '/v1/balance/history/me');
  assert.deepEqual([history[0].credits, history[0].kind], [500, 'topup']);
  const { items: payments } = await dev.user('GET', '/v1/payment.stripe/payments/me');
  assert.deepEqual([payments[0].payment_id, payments[0].status, payments[0].amount_minor], [first.payment_id, 'paid', 500]);
  const { items: events } = await dev.admin('GET', `/v1/payment.stripe/events?payment_id=${first.payment_id}`);
  assert.ok(events.some((event) => event.type === 'checkout.session.completed' && event.status === 'applied'));

  const again = await dev.call('POST', '/v1/payment.stripe/checkout/create', { token: credentials.user_token, body: { topup_id: topup.topup_id } });
  assert.equal(again.status, 409);
});

test('`credits` is accepted as the same field as `amount`', async () => {
  const topup = await dev.user('POST', '/v1/balance/topups/create', { credits: 700 });
  assert.deepEqual([topup.credits, topup.amount_minor], [700, 700]);
});

test('the success page settles by itself, without any webhook, and shows the new balance', async () => {
  const token = await dev.keyOf('page-reader');
  await dev.silence();
  const { topup, session } = await dev.order(600, token);
  await dev.pay(session, 600);
  const page = await dev.call('GET', `/v1/payment.stripe/redirect/success?session_id=${session}`);
  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-type'), /^text\/html/);
  assert.match(page.text, /600/);
  assert.equal(await dev.credits(token), 600);
  assert.equal((await dev.finished(topup.topup_id, token)).status, 'paid');
  await dev.call('GET', `/v1/payment.stripe/redirect/success?session_id=${session}`);
  assert.equal(await dev.credits(token), 600);
  assert.equal((await dev.call('GET', '/v1/payment.stripe/redirect/cancel')).status, 200);
  await dev.control('deliveries/clear');
});

test('another user’s top-up is 404, without a word that it exists', async () => {
  const { topup } = await dev.order();
  const ask = (topup_id) => dev.call('POST', '/v1/payment.stripe/checkout/create', { token: stranger, body: { topup_id } });
  const [theirs, nobodys] = [await ask(topup.topup_id), await ask('nothing')];
  assert.deepEqual([theirs.status, nobodys.status], [404, 404]);
  const told = ({ body }) => ({ ...body.error, request_id: undefined });
  assert.deepEqual(told(theirs), told(nobodys));
});

test('amounts out of bounds are refused by name', async () => {
  for (const amount of [0, -5, 1.5, 49, 10 ** 9, '500', null]) {
    const { status, body } = await dev.call('POST', '/v1/balance/topups/create', { token: credentials.user_token, body: { amount } });
    assert.equal(status, 400, JSON.stringify(amount));
    assert.deepEqual([body.error.type, body.error.param], ['invalid_request_error', 'amount']);
    assert.ok(body.error.request_id);
  }
});

test('who is nobody gets nothing; who is a user is no administrator', async () => {
  for (const [method, address] of [['GET', '/v1/balance/me'], ['POST', '/v1/balance/topups/create'], ['GET', '/v1/payment.stripe/payments/me']]) {
    assert.equal((await dev.call(method, address, { body: method === 'POST' ? { amount: 500 } : undefined })).status, 401, address);
    assert.equal((await dev.call(method, address, { token: 'no-such-token', body: method === 'POST' ? { amount: 500 } : undefined })).status, 401, address);
  }
  for (const [method, address] of [['GET', '/v1/balance/users'], ['GET', '/v1/payment.stripe/events'], ['POST', '/v1/balance/add']]) {
    const { status } = await dev.call(method, address, { token: credentials.user_token, body: method === 'POST' ? { user_id: 'x', amount: 5 } : undefined });
    assert.equal(status, 403, address);
  }
});

test('administrators add and take, once for each idempotency key, and never more than there is', async () => {
  const token = await dev.keyOf('adjusted');
  const headers = { 'idempotency-key': randomUUID() };
  const add = () => dev.call('POST', '/v1/balance/add', { token: credentials.admin_key, headers, body: { user_id: 'adjusted', amount: 100, note: 'gift', ref: 'r1', meta: { why: 'x' } } });
  const answers = await Promise.all(Array.from({ length: 16 }, add));
  assert.ok(answers.every(({ status }) => status === 200 || status === 409), answers.map(({ status }) => status).join());
  assert.equal(await dev.credits(token), 100);
  await dev.admin('POST', '/v1/balance/sub', { user_id: 'adjusted', amount: 30 });
  assert.equal(await dev.credits(token), 70);
  assert.equal((await dev.call('POST', '/v1/balance/sub', { token: credentials.admin_key, body: { user_id: 'adjusted', amount: 71 } })).status, 402);
  assert.equal(await dev.credits(token), 70);
  const { items } = await dev.user('GET', '/v1/balance/history/me', undefined, token);
  assert.deepEqual(items.map(({ credits, note }) => [credits, note]), [[-30, ''], [100, 'gift']]);
});

test('lists come newest first, in pages', async () => {
  const token = await dev.keyOf('pages');
  for (let n = 1; n <= 7; n += 1) await dev.user('POST', '/v1/balance/topups/create', { amount: 100 + n }, token);
  const seen = [];
  let address = '/v1/balance/topups/me?limit=3';
  for (;;) {
    const { items, has_more: more, next } = await dev.user('GET', address, undefined, token);
    seen.push(...items.map(({ credits }) => credits));
    if (!more) break;
    address = `/v1/balance/topups/me?limit=3&cursor=${encodeURIComponent(next)}`;
  }
  assert.deepEqual(seen, [107, 106, 105, 104, 103, 102, 101]);
});

test('a delayed payment waits, then is credited or fails', async () => {
  for (const [outcome, status, credits] of [['succeeded', 'paid', 500], ['failed', 'failed', 0]]) {
    const token = await dev.keyOf(`delayed-${outcome}`);
    const { topup, session } = await dev.order(500, token);
    // On Stripe's page, with the wish to say later how it ends: the other debits of the sandbox do so by themselves.
    const form = new URLSearchParams({ method: 'bank', email: 'ada@example.com', later: 'ask' });
    const { status: sentOn } = await fetch(`${dev.credentials.stripe_api_base}/c/pay/${session}`, { method: 'POST', redirect: 'manual', body: form });
    assert.equal(sentOn, 303);
    const { body } = await dev.stripe('GET', `/v1/checkout/sessions/${session}`);
    const completed = (await dev.events(session)).find(({ type }) => type === 'checkout.session.completed');
    assert.equal((await dev.settled(completed.id)).status, 'applied');
    assert.equal(await dev.credits(token), 0);
    await dev.control(`payments/${body.payment_intent}/settle`, { outcome });
    const state = async () => (await dev.user('GET', '/v1/balance/topups/me', undefined, token)).items.find((one) => one.topup_id === topup.topup_id).status;
    await until(async () => (await state()) === status, { what: `a top-up that is ${status}` });
    assert.equal(await dev.credits(token), credits);
  }
});

test('a decline is recorded and never final: paid always wins', async () => {
  const token = await dev.keyOf('second-try');
  const { topup, session } = await dev.order(500, token);
  assert.equal((await dev.pay(session, 500, 'pm_card_visa_chargeDeclined')).status, 402);
  const failed = await until(async () => (await dev.user('GET', '/v1/payment.stripe/payments/me', undefined, token)).items.find(({ last_failure: seen }) => seen), { what: 'the recorded decline' });
  assert.ok(failed.last_failure.code);
  assert.equal((await dev.pay(session, 500)).status, 200);
  await dev.finished(topup.topup_id, token);
  assert.equal(await dev.credits(token), 500);
});

test('a session that ran out expires the top-up', async () => {
  const token = await dev.keyOf('too-late');
  const { topup, session } = await dev.order(500, token);
  await dev.stripe('POST', `/v1/checkout/sessions/${session}/expire`, {});
  await until(async () => (await dev.user('GET', '/v1/balance/topups/me', undefined, token)).items.some((one) => one.topup_id === topup.topup_id && one.status === 'expired'), { what: 'an expired top-up' });
});

test('the books are right', () => {
  const { status, stdout, stderr } = run(['audit', '--data', dev.data]);
  assert.equal(status, 0, stdout + stderr);
});
