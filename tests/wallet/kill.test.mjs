// kill -9 in the middle of charges, holds and batches: what was acknowledged is there once, what was not happens once at most.
//
// Sixteen connections charge four wallets, alone and in batches, and hold, report and settle. The process is killed at a random
// moment and started again, again and again. Before anybody goes on, the wallets are held against what the clients know. Then
// most of them ask again, under the same keys, for what was not acknowledged; the others never do. WALLET_KILLS says how often
// (60), SEED repeats the choices of an earlier run.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { Book } from './book.mjs';
import { Service } from './service.mjs';

const KILLS = Number(process.env.WALLET_KILLS ?? 60);
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const CONNECTIONS = 16;
const USERS = ['w0', 'w1', 'w2', 'w3'];
/** The longest a process lives before it is killed, in milliseconds. */
const LONGEST = 500;
/** Every wallet begins with small grants, so that charges go across their borders, and one that lasts. */
const SMALL = { many: 40, credits: 100 };
const LARGE = 50_000_000;

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
const upTo = (most) => 1 + Math.floor(random() * most);
const anyUser = () => USERS[Math.floor(random() * USERS.length)];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let shop;
after(() => shop?.program.kill());
const book = new Book();
const counts = { interrupted: 0, replayed: 0, done: 0, abandoned: 0 };

/** Closed from the moment of a kill until the wallets have been looked at. */
const gate = {
  opened: Promise.resolve(),
  close() {
    this.opened = new Promise((resolve) => (this.open = resolve));
  },
};

/**
 * Asks until it is answered, or gives up after an outage; nothing then. `wasDone` says whether the wallets show it already: a
 * repetition is a repetition if, and only if, they do.
 */
async function ask(address, body, key, wasDone) {
  for (let isRepetition = false; ; isRepetition = true) {
    await gate.opened;
    const answer = await shop.post(address, body, key).catch(() => undefined);
    if (answer && answer.status < 500) {
      assert.equal(answer.status, 200, `${address} ${JSON.stringify(body)}: ${answer.text}`);
      const isReplayed = answer.headers.get('idempotent-replayed') === 'true';
      if (isRepetition) {
        assert.equal(isReplayed, wasDone(), `${key} was ${wasDone() ? '' : 'not '}done before the restart`);
        counts[isReplayed ? 'replayed' : 'done'] += 1;
      } else assert.ok(!isReplayed, `${key} was sent once and answered as a repetition`);
      return answer.body;
    }
    counts.interrupted += 1;
    if (random() < 0.3) {
      counts.abandoned += 1;
      return undefined;
    }
    // A connection that breaks is heard of before the kill is.
    await pause(1);
  }
}

function aCharge(ref) {
  const charge = { user_id: anyUser(), credits: upTo(150), ref, idempotency_key: ref };
  book.ask(ref, charge.user_id, charge.credits);
  return charge;
}

async function charge(name) {
  const answer = await ask('/v1/balance/charge', aCharge(name), undefined, () => book.wasSeen(name));
  if (answer) book.acknowledge(name, answer.charge_id, answer.balance_after);
}

async function batch(name) {
  const refs = Array.from({ length: 1 + upTo(9) }, (_, number) => `${name}/${number}`);
  const body = { charges: refs.map(aCharge), atomic: random() < 0.5 };
  const answer = await ask('/v1/balance/charge/batch', body, name, () => book.wasSeen(refs[0]));
  if (!answer) return;
  assert.deepEqual([answer.made, answer.refused], [refs.length, 0]);
  answer.items.forEach(({ charge_id, balance_after }, number) => book.acknowledge(refs[number], charge_id, balance_after));
}

/** Reserved, reported on now and then, and settled for less, all, or more; or given back; some are left open. */
async function hold(name) {
  const body = { user_id: anyUser(), credits: upTo(200), ref: name, expires_in: 86_400 };
  const known = book.reserve(name, body.user_id, body.credits);
  const made = await ask('/v1/balance/holds/create', body, name, () => known.seen);
  if (!made) return;
  known.id = made.hold_id;
  const { hold_id } = made;
  if (random() < 0.3) {
    // Reports need no key: the same one again says the same.
    const credits = upTo(body.credits);
    await gate.opened;
    const reported = await shop.post('/v1/balance/holds/progress', { hold_id, credits }).catch(() => undefined);
    if (reported?.status === 200) known.progress = credits;
  }
  if (random() < 0.05) return;
  await gate.opened;
  known.isEnding = true;
  if (random() < 0.2) {
    const released = await ask('/v1/balance/holds/release', { hold_id }, `${name}/end`, () => known.isReleased);
    if (released) assert.equal(released.status, 'released');
    return;
  }
  const credits = upTo(body.credits * 2);
  const ref = `${name}/end`;
  book.ask(ref, body.user_id, credits);
  const settled = await ask('/v1/balance/holds/settle', { hold_id, credits, ref }, ref, () => book.wasSeen(ref));
  if (settled) book.acknowledge(ref, settled.charge_id, settled.balance_after);
}

let over = false;
async function work(connection) {
  for (let number = 0; !over; number += 1) {
    const choice = random();
    const name = `${connection}-${number}`;
    if (choice < 0.5) await charge(name);
    else if (choice < 0.7) await batch(name);
    else await hold(name);
  }
}

/** The newest movement of each wallet when it was read last. */
const newest = new Map();
const checkpoints = [];

/** Holds the wallets against what the clients know, while nobody asks for anything. */
async function look(fromTheBeginning = false) {
  for (const user of USERS) {
    const last = fromTheBeginning ? undefined : newest.get(user);
    const lines = await shop.all(`/v1/balance/history?user_id=${user}`, ({ transaction_id }) => transaction_id === last?.transaction_id);
    lines.reverse();
    let balance = last?.credits_after ?? 0;
    for (const line of lines) {
      balance += line.credits;
      assert.equal(line.credits_after, balance, `${user} ${line.ref}: the balance is that before and the movement`);
    }
    book.read(user, lines);
    if (lines.length > 0) newest.set(user, lines.at(-1));
    const open = await shop.all(`/v1/balance/holds?user_id=${user}&status=open`);
    book.checkOpen(user, open);
    const held = open.reduce((sum, { credits }) => sum + credits, 0);
    const wallet = await shop.wallet(user);
    const expected = SMALL.many * SMALL.credits + LARGE - book.spent(user);
    assert.deepEqual([wallet.credits, wallet.held, wallet.available, wallet.debt], [expected, held, expected - held, 0], user);
  }
  const released = await shop.all('/v1/balance/holds?status=released', ({ ref }) => book.holds.get(ref).isReleased);
  for (const { ref } of released) book.holds.get(ref).isReleased = true;
  book.checkAcknowledged();
  checkBatches();
  checkpoints.push((await shop.get('/v1/balance/checkpoint')).checkpoint);
}

/** A batch is there whole or not at all. */
function checkBatches() {
  const parts = new Map();
  for (const { ref, seen } of book.asked.values()) {
    const [name, part] = ref.split('/');
    if (part === undefined || part === 'end') continue;
    const states = parts.get(name) ?? new Set();
    parts.set(name, states.add(seen !== undefined));
  }
  for (const [name, states] of parts) assert.equal(states.size, 1, `the batch ${name} is there in part`);
}

async function begin() {
  shop = await Service.open();
  for (const user of USERS) {
    const grant = (credits, priority) => shop.admin('POST', '/v1/balance/grants/create', { user_id: user, credits, priority });
    await Promise.all(Array.from({ length: SMALL.many }, () => grant(SMALL.credits, 10)));
    await grant(LARGE, 90);
  }
}

test(`kill -9 during charges, holds and batches, ${KILLS} times (SEED=${SEED})`, { timeout: 280_000 }, async (context) => {
  await begin();
  await look();
  const workers = Array.from({ length: CONNECTIONS }, (_, connection) => work(connection));
  // A client that has found something wrong ends the test at once instead of after all kills.
  let broken;
  Promise.all(workers).catch((error) => (broken = error));
  for (let kill = 0; kill < KILLS && !broken; kill += 1) {
    await pause(50 + random() * (LONGEST - 50));
    gate.close();
    await shop.program.kill();
    await shop.start();
    await look();
    gate.open();
  }
  over = true;
  if (broken) throw broken;
  await Promise.all(workers);

  // All of it once more, from the first line of each history.
  for (const one of book.asked.values()) one.seen = undefined;
  await look(true);
  await shop.program.stop();
  const kept = path.join(path.dirname(shop.data), 'kept.txt');
  fs.writeFileSync(kept, checkpoints.join('\n'));
  const { status, stdout, stderr } = shop.audit('--expect-file', kept);
  assert.equal(status, 0, stdout + stderr);

  const acknowledged = book.count(({ charge }) => charge !== undefined);
  context.diagnostic(`${KILLS} kills; ${acknowledged} movements acknowledged; ${JSON.stringify(counts)}`);
  assert.ok(counts.interrupted >= KILLS * 4, 'most kills hit nothing: the test does not test what it says');
  assert.ok(counts.replayed >= KILLS / 6, 'hardly anything was done and not acknowledged');
  assert.ok(counts.done >= KILLS / 6, 'hardly anything was lost before it was done');
});
