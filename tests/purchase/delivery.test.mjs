// Stripe's deliveries in every bad shape they come in: many at once, repeated, late, forged, about strangers.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, test } from 'node:test';
import Stripe from 'stripe';
import { run, until } from '../harness/process.mjs';
import { startDev } from '../harness/dev.mjs';

const dev = await startDev();
after(() => dev.program.stop());
const { stripe_webhook_secret: secret } = dev.credentials;
await dev.silence();

/** A purchase that was paid, and of which nobody has told us yet. */
async function paidInSilence(user, amount = 500) {
  const token = await dev.keyOf(user);
  const order = await dev.order(amount, token);
  assert.equal((await dev.pay(order.session, amount)).status, 200);
  const events = await dev.events(order.session);
  return { ...order, token, events, completed: events.find(({ type }) => type === 'checkout.session.completed') };
}
const now = () => Math.floor(Date.now() / 1000);
const mac = (body, at, key = secret) => createHmac('sha256', key).update(`${at}.${body}`).digest('hex');

test('64 deliveries of one event at once credit once', async () => {
  const { token, completed, topup } = await paidInSilence('sixty-four');
  const answers = await Promise.all(Array.from({ length: 64 }, () => dev.deliver(completed)));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  await dev.finished(topup.topup_id, token);
  assert.equal(await dev.credits(token), 500);
  assert.equal((await dev.deliver(completed)).status, 200);
  assert.equal(await dev.credits(token), 500);
});

test('five different events about one payment, many times at once, credit once', async () => {
  const { token, events, completed, topup } = await paidInSilence('five-events');
  const late = { ...completed, id: `${completed.id}late`, type: 'checkout.session.async_payment_succeeded' };
  const five = [...events.filter(({ type }) => type !== 'charge.updated'), late].slice(-5);
  assert.equal(new Set(five.map(({ type }) => type)).size, 5, five.map(({ type }) => type).join());
  const all = Array.from({ length: 64 }, (_, n) => five[n % 5]);
  const answers = await Promise.all(all.map((event) => dev.deliver(event)));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  await dev.finished(topup.topup_id, token);
  for (const { id } of five) await dev.settled(id);
  assert.equal(await dev.credits(token), 500);
  const { items } = await dev.user('GET', '/v1/balance/history/me', undefined, token);
  assert.equal(items.length, 1);
});

test('every order of arrival ends the same', async () => {
  const { token, events, topup } = await paidInSilence('backwards');
  for (const event of events.toReversed?.() ?? [...events].reverse()) assert.equal((await dev.deliver(event)).status, 200);
  await dev.finished(topup.topup_id, token);
  assert.equal(await dev.credits(token), 500);
});

test('a delivery that is not signed, wrongly signed or stale is refused and changes nothing', async () => {
  const { token, completed } = await paidInSilence('forged');
  const body = JSON.stringify(completed);
  const at = now();
  const forgeries = {
    missing: { signature: '' },
    empty: { signature: 't=,v1=' },
    'another secret': { secret: 'whsec_of_somebody_else' },
    '302 seconds old': { timestamp: at - 302 },
    'only v0': { signature: `t=${at},v0=${mac(body, at)}` },
    'no time': { signature: `v1=${mac(body, at)}` },
    'two times': { signature: `t=${at - 1},t=${at},v1=${mac(body, at)}` },
    'upper case': { signature: `t=${at},v1=${mac(body, at).toUpperCase()}` },
    shortened: { signature: `t=${at},v1=${mac(body, at).slice(0, 40)}` },
    'another time': { signature: `t=${at - 1},v1=${mac(body, at)}` },
  };
  for (const [name, forgery] of Object.entries(forgeries)) {
    const { status, body: answer } = await dev.deliver(completed, forgery);
    assert.equal(status, 400, name);
    assert.equal(answer.error.type, 'invalid_request_error', name);
  }
  const changed = JSON.stringify(completed, null, 1);
  assert.equal((await dev.deliver(changed, { signature: `t=${at},v1=${mac(body, at)}` })).status, 400);
  assert.equal((await dev.admin('GET', `/v1/payment.stripe/events?event_id=${completed.id}`)).items.length, 0);
  assert.equal(await dev.credits(token), 0);
});

test('any right signature among several will do, wherever it stands', async () => {
  const { token, events, completed, topup } = await paidInSilence('rolled');
  const sign = (event, order) => {
    const at = now();
    const body = JSON.stringify(event);
    const parts = { good: `v1=${mac(body, at)}`, bad: `v1=${mac(body, at, 'whsec_old')}`, decoy: 'v0=00', time: `t=${at}`, junk: 'junk' };
    return { signature: order.map((part) => parts[part]).join(',') };
  };
  assert.equal((await dev.deliver(completed, sign(completed, ['time', 'bad', 'good']))).status, 200);
  assert.equal((await dev.deliver(events[0], sign(events[0], ['good', 'junk', 'decoy', 'time', 'bad']))).status, 200);
  await dev.finished(topup.topup_id, token);
  assert.equal(await dev.credits(token), 500);
});

test('a delivery that is nearly 300 seconds old is still believed', async () => {
  const { token, completed, topup } = await paidInSilence('slow-post');
  assert.equal((await dev.deliver(completed, { timestamp: now() - 285 })).status, 200);
  await dev.finished(topup.topup_id, token);
  assert.equal(await dev.credits(token), 500);
});

test('another amount, currency or mode than ours is quarantined and never credited', async () => {
  const changes = {
    amount: { amount_total: 50_000 }, less: { amount_total: 499 }, currency: { currency: 'eur' }, livemode: { livemode: true },
  };
  for (const [name, change] of Object.entries(changes)) {
    const { token, completed } = await paidInSilence(`quarantine-${name}`);
    const forged = { ...completed, id: `${completed.id}${name}`, ...(name === 'livemode' ? { livemode: true } : {}), data: { object: { ...completed.data.object, ...change } } };
    assert.equal((await dev.deliver(forged)).status, 200);
    const seen = await dev.settled(forged.id);
    assert.equal(seen.status, 'quarantined', `${name}: ${JSON.stringify(seen)}`);
    assert.ok(seen.reason, name);
    assert.equal(await dev.credits(token), 0, name);
    const { items } = await dev.admin('GET', '/v1/payment.stripe/events?status=quarantined&limit=100');
    assert.ok(items.some(({ event_id: id }) => id === forged.id));
  }
});

test('events about strangers are acknowledged and marked ignored', async () => {
  const { body: session } = await dev.stripe('POST', '/v1/checkout/sessions', {
    mode: 'payment', success_url: 'http://127.0.0.1:1/', 'line_items[0][quantity]': '1', 'line_items[0][price_data][currency]': 'usd',
    'line_items[0][price_data][unit_amount]': '500', 'line_items[0][price_data][product_data][name]': 'Not ours',
  });
  await dev.pay(session.id, 500);
  await dev.stripe('POST', '/v1/customers', { name: 'Nobody of ours' });
  const { body } = await dev.stripe('GET', '/v1/events?type=customer.created&limit=1');
  const foreign = [...(await dev.events(session.id)).filter(({ type }) => type.startsWith('checkout.session')), ...body.data];
  assert.ok(foreign.length >= 2);
  for (const event of foreign) {
    assert.equal((await dev.deliver(event)).status, 200);
    const seen = await until(async () => {
      const one = await dev.settled(event.id);
      return one.status !== 'waiting' && one;
    }, { seconds: 30, what: `an end for ${event.type}` }).catch(() => dev.settled(event.id));
    assert.ok(['ignored', 'waiting'].includes(seen.status), `${event.type}: ${seen.status}`);
    assert.equal(seen.payment_id, null);
  }
});

test('what is signed and no event is refused with 400, never 500', async () => {
  for (const body of ['', 'not json', '[]', '{}', '{"id":5}', '"evt"', 'null', '{"object":"event"}'])
    assert.equal((await dev.deliver(body)).status, 400, body);
});

test('a body too large is refused unread', async () => {
  const { status } = await dev.deliver(`{"padding":"${'x'.repeat(1024 * 1024)}"}`);
  assert.equal(status, 413);
});

test('the sandbox’s own deliveries, repeated and in reverse, credit once', async () => {
  await dev.control('deliveries/clear');
  for (const fault of [{ fault: 'duplicate', count: 20, times: 3 }, { fault: 'reorder', count: 3, seconds: 2 }, { fault: 'refuse', count: 2 }]) {
    const token = await dev.keyOf(`chaos-${fault.fault}`);
    await dev.control('deliveries', fault);
    const { topup, session } = await dev.order(500, token);
    await dev.pay(session, 500);
    await dev.finished(topup.topup_id, token);
    assert.equal(await dev.credits(token), 500, fault.fault);
    await dev.control('deliveries/clear');
  }
});

test('the books are right, and Stripe’s library agrees with our idea of a signature', () => {
  const body = '{"id":"evt_1"}';
  assert.equal(Stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp: 5 }), `t=5,v1=${mac(body, 5)}`);
  const { status, stdout, stderr } = run(['audit', '--data', dev.data]);
  assert.equal(status, 0, stdout + stderr);
});
