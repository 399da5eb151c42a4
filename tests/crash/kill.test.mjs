// kill -9 at random moments of purchases: after every restart they go on, and each is credited exactly once.
//
// Several customers buy at the same time, one purchase after the other. The process, with the sandbox in it, is killed at a
// random moment and started again on the same folder and port, again and again. A customer does what a customer does: asks
// again when nothing answered. KILLS says how often (200), SEED repeats the moments of an earlier run. After some rounds a
// new folder is begun, because a sandbox that remembers a thousand payments takes its time to start.
import assert from 'node:assert/strict';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { freePort, startDev } from '../harness/dev.mjs';
import { run, temporaryFolder, until } from '../harness/process.mjs';

const KILLS = Number(process.env.KILLS ?? 200);
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const ROUND = 40;
const CUSTOMERS = 3;
/** The longest a process lives before it is killed, in milliseconds. */
const LONGEST = 300;

// Small and good enough to spread the moments (mulberry32).
function randoms(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
const random = randoms(SEED);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let dev;
after(() => dev?.program.kill());
const pending = new Set();

/** Asks until something answers that is not an outage, as a browser's user or a shop's retry does. */
async function insist(step, ask) {
  pending.add(step);
  try {
    for (const end = Date.now() + 60_000; ;) {
      const answer = await ask().catch(() => undefined);
      if (answer && answer.status < 500) return answer;
      if (Date.now() > end) throw new Error(`${step}: no answer for a minute, at last ${answer?.status} ${answer?.text}`);
      await pause(20);
    }
  } finally {
    pending.delete(step);
  }
}

/** One purchase from the wish to the credit. Every other customer comes back to the success page; the rest rely on webhooks. */
async function purchase({ token, user }, number) {
  const name = `${user}/${number}`;
  const amount = 100 + number;
  const headers = { 'idempotency-key': randomUUID() };
  const topup = await insist(`${name} top-up`, () => dev.call('POST', '/v1/balance/topups/create', { token, headers, body: { amount } }));
  assert.equal(topup.status, 200, topup.text);
  const { topup_id } = topup.body;
  const checkout = await insist(`${name} checkout`, () => dev.call('POST', '/v1/payment.stripe/checkout/create', { token, body: { topup_id } }));
  assert.equal(checkout.status, 200, checkout.text);
  const { stripe_checkout_session_id: session } = checkout.body;
  const paid = await insist(`${name} payment`, () => dev.pay(session, amount));
  if (paid.status !== 200) {
    // The answer to the payment was lost with the process: the page then says that it is paid already.
    const { body } = await insist(`${name} session`, () => dev.stripe('GET', `/v1/checkout/sessions/${session}`));
    assert.equal(body.payment_status, 'paid', JSON.stringify(paid.body));
  }
  if (number % 2 === 0)
    await insist(`${name} success page`, () => dev.call('GET', `/v1/payment.stripe/redirect/success?session_id=${session}`));
  for (const end = Date.now() + 90_000; ;) {
    const { body } = await insist(`${name} credit`, () => dev.call('GET', '/v1/balance/topups/me?limit=5', { token }));
    const mine = body.items.find((one) => one.topup_id === topup_id);
    if (mine?.status === 'paid') return amount;
    assert.equal(mine?.status, 'pending', `${name}: ${JSON.stringify(mine)}`);
    assert.ok(Date.now() < end, `${name} was not credited within 90 s`);
    pending.add(`${name} credit`);
    await pause(20);
    pending.delete(`${name} credit`);
  }
}

/** Kills so many times while customers are shopping, lets them finish, and looks at what they got. */
async function round(kills, data) {
  const listen = `127.0.0.1:${await freePort()}`;
  dev = await startDev({ data, listen });
  const customers = [];
  for (let n = 0; n < CUSTOMERS; n += 1) customers.push({ user: `customer-${n}`, token: await dev.keyOf(`customer-${n}`), bought: [] });
  let over = false;
  const shopping = customers.map(async (customer) => {
    for (let number = 0; !over; number += 1) customer.bought.push(await purchase(customer, number));
  });
  // A failed purchase ends the round at once instead of after all kills.
  let broken;
  Promise.all(shopping).catch((error) => (broken = error));

  let interrupted = 0;
  for (let kill = 0; kill < kills && !broken; kill += 1) {
    await pause(random() * LONGEST);
    if (pending.size > 0) interrupted += 1;
    await dev.program.kill();
    dev = await startDev({ data, listen });
  }
  over = true;
  if (broken) throw broken;
  await Promise.all(shopping);
  for (const customer of customers) await checkCustomer(customer);
  assert.ok(interrupted >= kills * 0.9, 'most kills hit nothing: the test does not test what it says');
  return customers.reduce((total, { bought }) => total + bought.length, 0);
}

/** The wallet holds the sum of what was bought, by one movement for each purchase, in the order they were made. */
async function checkCustomer({ token, bought, user }) {
  const sum = bought.reduce((total, amount) => total + amount, 0);
  assert.equal(await dev.credits(token), sum, `${user} bought ${bought.length} times`);
  const history = [];
  for (let address = '/v1/balance/history/me?limit=100'; address; ) {
    const page = await dev.user('GET', address, undefined, token);
    history.push(...page.items.map(({ credits }) => credits));
    address = page.has_more && `/v1/balance/history/me?limit=100&cursor=${encodeURIComponent(page.next)}`;
  }
  assert.deepEqual(history.reverse(), bought, `${user}: one credit for each purchase`);
}

/** Every event that was taken in is worked off, none is doubtful, and the books are right. */
async function checkBooks(data) {
  const inbox = async (status) => (await dev.admin('GET', `/v1/payment.stripe/events?status=${status}&limit=1`)).items;
  await until(async () => (await inbox('pending')).length === 0, { seconds: 30, what: 'an empty inbox' });
  assert.deepEqual(await inbox('quarantined'), []);
  await dev.program.stop();
  const { status, stdout, stderr } = run(['audit', '--data', data]);
  assert.equal(status, 0, stdout + stderr);
}

for (let done = 0; done < KILLS; done += ROUND) {
  const kills = Math.min(ROUND, KILLS - done);
  test(`kill -9, times ${done + 1} to ${done + kills} (SEED=${SEED})`, { timeout: 300_000 }, async (context) => {
    const data = path.join(temporaryFolder('crash'), 'data');
    const purchases = await round(kills, data);
    await checkBooks(data);
    assert.ok(purchases >= CUSTOMERS, 'hardly anything was bought');
    context.diagnostic(`${kills} kills, ${purchases} purchases, each credited once`);
  });
}
