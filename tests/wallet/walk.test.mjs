// A wallet as a product's own server uses it, from the first credits to the audit a year later.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { Service, tokenOf } from './service.mjs';

const shop = await Service.open({ BURSAR_ACTIONS: 'picture=10,second=3/2', BURSAR_BALANCE_LOW: '200', BURSAR_EXPIRY_NOTICE_DAYS: '7' });
after(() => shop.program.kill());

const USER = 'customer-7';
const token = tokenOf(USER);
const mine = (address) => shop.user('GET', address, undefined, token);
const day = 86_400_000;
const inDays = (days) => new Date(Date.now() + days * day).toISOString();

async function done(address, body, key) {
  const answer = await shop.post(address, body, key);
  assert.equal(answer.status, 200, `${address}: ${answer.text}`);
  return answer.body;
}

async function refused(address, body, key, status, code) {
  const answer = await shop.post(address, body, key);
  assert.equal(answer.status, status, `${address}: ${answer.text}`);
  assert.equal(answer.body.error.code, code);
  assert.equal(answer.body.error.request_id, answer.headers.get('request-id'));
  return answer.body.error;
}

// What later steps need of earlier ones.
const seen = {};

test('credits are granted: some paid for, some given for a month', async () => {
  seen.paid = await done('/v1/balance/grants/create', { user_id: USER, credits: 500, category: 'paid', ref: 'invoice-1' }, 'grant-1');
  const expires_at = inDays(30);
  seen.given = await done('/v1/balance/grants/create', { user_id: USER, credits: 100, source: 'bonus', priority: 10, expires_at }, 'grant-2');
  assert.equal(Date.parse(seen.given.expires_at), Date.parse(expires_at));
  const wallet = await mine('/v1/balance/me');
  assert.deepEqual([wallet.credits, wallet.available, wallet.held, wallet.debt], [600, 600, 0, 0]);
  const grants = await mine('/v1/balance/grants/me?live=true');
  assert.deepEqual(grants.items.map(({ grant_id, remaining }) => [grant_id, remaining]), [[seen.given.grant_id, 100], [seen.paid.grant_id, 500]]);
});

test('a picture: asked first, charged, and charged once however often it is sent', async () => {
  const picture = { user_id: USER, action: 'picture', quantity: 12 };
  const asked = await done('/v1/balance/precheck', picture);
  assert.deepEqual([asked.allowed, asked.credits, asked.available], [true, 120, 600]);
  const order = { ...picture, labels: ['team-red'], ref: 'picture-1', meta: { size: '1024' } };
  const [first, ...others] = await Promise.all([1, 2, 3, 4].map(() => shop.post('/v1/balance/charge', order, 'charge-1')));
  const answers = [first, ...others];
  answers.forEach((answer) => assert.deepEqual([answer.status, answer.body], [200, first.body]));
  assert.equal(answers.filter(({ headers }) => headers.get('idempotent-replayed') === 'true').length, 3);
  // What was given burns before what was paid for.
  assert.deepEqual(first.body.grants, [{ grant_id: seen.given.grant_id, credits: 100 }, { grant_id: seen.paid.grant_id, credits: 20 }]);
  assert.equal(first.body.balance_after, 480);
  seen.charge = first.body.charge_id;
  const error = await refused('/v1/balance/charge', { ...order, quantity: 13 }, 'charge-1', 409, 'idempotency_key_reused');
  assert.equal(error.type, 'idempotency_error');
});

test('a film: reserved, reported on while it is made, extended, settled for what it came to', async () => {
  const order = { user_id: USER, action: 'second', quantity: 100, expires_in: 600, ref: 'film-1' };
  const hold = await done('/v1/balance/holds/create', order, 'hold-1');
  assert.deepEqual([hold.status, hold.credits], ['open', 150]);
  const { hold_id } = hold;
  for (const credits of [40, 90, 140]) assert.equal((await done('/v1/balance/holds/progress', { hold_id, credits })).progress, credits);
  await done('/v1/balance/holds/extend', { hold_id, credits: 60, expires_in: 900 }, 'extend-1');
  const during = await mine('/v1/balance/me');
  assert.deepEqual([during.credits, during.available, during.held], [480, 270, 210]);
  const settled = await done('/v1/balance/holds/settle', { hold_id, credits: 175, ref: 'film-1' }, 'settle-1');
  assert.deepEqual([settled.status, settled.settled, settled.balance_after], ['settled', 175, 305]);
  const after = await mine('/v1/balance/me');
  assert.deepEqual([after.credits, after.available, after.held], [305, 305, 0]);
  await refused('/v1/balance/holds/release', { hold_id }, undefined, 409, 'hold_settled');
  const failed = await done('/v1/balance/holds/create', { user_id: USER, credits: 300, ref: 'film-2' }, 'hold-2');
  await refused('/v1/balance/charge', { user_id: USER, credits: 6 }, 'charge-2', 402, 'insufficient_credits');
  await done('/v1/balance/holds/release', { hold_id: failed.hold_id, note: 'the film failed' }, 'release-2');
});

test('a month of small things comes as one batch', async () => {
  const charge = (number, credits) => ({ idempotency_key: `small-${number}`, user_id: USER, credits, ref: `small-${number}` });
  const error = await refused('/v1/balance/charge/batch', { atomic: true, charges: [charge(1, 5), charge(2, 400)] }, 'batch-1', 402, 'insufficient_credits');
  assert.deepEqual([error.position, error.available, error.missing], [1, 300, 100]);
  const batch = await done('/v1/balance/charge/batch', { charges: [charge(1, 5), charge(2, 400), charge(3, 5), charge(1, 5)] }, 'batch-2');
  assert.deepEqual([batch.made, batch.refused], [3, 1]);
  assert.deepEqual(batch.items.map(({ replayed, error: why }) => replayed ?? why?.code ?? false), [false, 'insufficient_credits', false, true]);
  assert.equal((await shop.wallet(USER)).credits, 295);
});

test('the user may spend so much a month, and is told until when', async () => {
  const limit = await done('/v1/balance/limits/set', { user_id: USER, period: 'month', credits: 100 }, 'limit-1');
  await done('/v1/balance/charge', { user_id: USER, credits: 100, ref: 'gift' }, 'charge-3');
  const error = await refused('/v1/balance/charge', { user_id: USER, credits: 1 }, 'charge-4', 402, 'spending_limit_reached');
  assert.deepEqual([error.limit_id, error.limit, error.used], [limit.limit_id, 100, 100]);
  assert.ok(Date.parse(error.resets_at) > Date.now() && error.resets_at.endsWith('-01T00:00:00Z'), error.resets_at);
  await done('/v1/balance/limits/remove', { limit_id: limit.limit_id }, 'limit-2');
});

test('usage is recorded beside the money and summed', async () => {
  for (const [variant, quantity, status] of [['1024', 12, 'success'], ['1024', 1, 'error'], ['2048', 3, 'success']])
    await done('/v1/usage/record', { user_id: USER, service: 'picture', variant, quantity, status });
  const { items } = await shop.get(`/v1/usage/summary?user_id=${USER}&service=picture`);
  assert.deepEqual(items.map(({ variant, status, count, quantity }) => [variant, status, count, quantity]), [['1024', 'error', 1, 1], ['1024', 'success', 1, 12], ['2048', 'success', 1, 3]]);
  assert.equal((await mine('/v1/usage/me')).items.length, 3);
});

test('the history explains the balance to the last credit', async () => {
  const { items } = await mine('/v1/balance/history/me?limit=100');
  const lines = items.reverse().map(({ kind, credits, credits_after, ref }) => [kind, credits, credits_after, ref]);
  assert.deepEqual(lines, [
    ['grant', 500, 500, 'invoice-1'], ['grant', 100, 600, ''], ['charge', -120, 480, 'picture-1'], ['settle', -175, 305, 'film-1'],
    ['charge', -5, 300, 'small-1'], ['charge', -5, 295, 'small-3'], ['charge', -100, 195, 'gift'],
  ]);
  assert.equal(items[2].transaction_id, seen.charge);
  assert.equal((await mine('/v1/balance/me')).credits, 195);
  const past = await shop.get(`/v1/balance/at?user_id=${USER}&at=${encodeURIComponent(items[3].created_at)}`);
  assert.equal(past.credits, 305);
});

test('events are read with a cursor, each once', async () => {
  const first = await shop.get('/v1/balance/events');
  assert.deepEqual(first.items.map(({ type, user_id }) => [type, user_id]), [['balance.low', USER], ['balance.low', USER], ['limit.reached', USER]]);
  assert.deepEqual(await shop.get(`/v1/balance/events?after=${first.next}`), { items: [], has_more: false, next: first.next });
  await done('/v1/balance/charge', { user_id: USER, credits: 250, allow_debt: true, ref: 'urgent' }, 'charge-5');
  const more = await shop.get(`/v1/balance/events?after=${first.next}`);
  assert.deepEqual(more.items.map(({ type, data }) => [type, data]), [['balance.negative', { available: -55 }]]);
  seen.cursor = more.next;
});

test('a checkpoint that was kept proves the journal, while the service runs and after a restart', async () => {
  const { checkpoint, transactions } = await shop.get('/v1/balance/checkpoint');
  assert.equal(transactions, 8);
  const kept = path.join(path.dirname(shop.data), 'kept.txt');
  fs.writeFileSync(kept, `${new Date().toISOString()} ${checkpoint}\n`);
  const running = shop.audit('--expect', checkpoint);
  assert.equal(running.status, 0, running.stdout + running.stderr);
  assert.ok(running.stdout.includes(`checkpoint ${checkpoint}`), running.stdout);

  assert.equal((await shop.program.stop()).code, 0);
  await shop.start();
  const again = await shop.post('/v1/balance/charge', { user_id: USER, credits: 250, allow_debt: true, ref: 'urgent' }, 'charge-5');
  assert.equal(again.headers.get('idempotent-replayed'), 'true');
  assert.deepEqual((await shop.get(`/v1/balance/events?after=${seen.cursor}`)).items, []);
  await done('/v1/balance/grants/create', { user_id: USER, credits: 55 }, 'grant-3');
  assert.equal((await mine('/v1/balance/me')).debt, 0);
  assert.equal((await shop.program.stop()).code, 0);

  const later = shop.audit('--expect-file', kept);
  assert.equal(later.status, 0, later.stdout + later.stderr);
  assert.ok(!later.stdout.includes(`checkpoint ${checkpoint}`), 'more was sealed since');
  const flipped = checkpoint.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
  const [number, hash] = checkpoint.split(':');
  for (const wrong of [flipped, `${Number(number) + 1000}:${hash}`]) {
    const { status, stdout } = shop.audit('--expect', wrong);
    assert.equal(status, 1, stdout);
    assert.match(stdout, /the chain is broken/);
  }
});
