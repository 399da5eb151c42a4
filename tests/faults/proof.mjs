// Holds the service against the book: journal, balances, holds, seals, and in the end what Stripe says.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { until } from '../harness/process.mjs';

/** While nobody asks for anything. All nodes have to be running. */
async function look(site, book, isFinal = false) {
  for (let again = 0; ; again += 1) {
    const lines = await journal(site);
    try {
      return await compare(site, book, lines, isFinal);
    } catch (error) {
      // What Stripe tells goes on being booked; what was read before and after it does not fit together.
      if (again === 10 || (await journal(site)).length === lines.length) throw error;
    }
  }
}

/** In the middle of it all: nobody asks for anything meanwhile, and then all go on. */
export async function lookBetween(site, book, load) {
  await load.quiet();
  await look(site, book);
  load.resume();
}

async function compare(site, book, lines, isFinal) {
  const wallets = book.compare(lines, isFinal);
  let first;
  for (const node of site.nodes.keys()) {
    const held = book.compareHolds(await site.all(node, '/v1/balance/holds?status=open'), isFinal);
    const seen = new Map();
    for (const { user_id, unit, credits, held: reserved, available, debt } of await site.all(node, '/v1/balance/users'))
      if (unit === 'credit') seen.set(user_id, { credits, held: reserved, available, debt });
    for (const [user, balance] of wallets) {
      const reserved = held.get(user) ?? 0;
      assert.deepEqual(seen.get(user), { credits: balance, held: reserved, available: balance - reserved, debt: 0 }, `${user} at node ${node}`);
    }
    first ??= seen;
    assert.deepEqual(seen, first, 'all nodes say the same');
  }
  book.checkpoints.push((await site.get(0, '/v1/balance/checkpoint')).checkpoint);
  return lines.length;
}

/** The journal as the database has it. */
async function journal(site) {
  const file = path.join(path.dirname(site.data), 'journal.jsonl');
  const { status, stderr } = await site.run('export', '--format', 'jsonl', '--to', file);
  assert.equal(status, 0, stderr);
  return fs.readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
}

/** When everybody has what he asked for: everything acknowledged is there once, and the books are whole. */
export async function conclude(site, book) {
  if (site.stripeKey) await settled(site);
  const transactions = await look(site, book, true);
  const kept = path.join(path.dirname(site.data), 'checkpoints.txt');
  fs.writeFileSync(kept, book.checkpoints.join('\n'));
  const audit = await site.run('audit', '--chain', '--digest', '--expect-file', kept);
  assert.equal(audit.status, 0, audit.stdout + audit.stderr);
  if (site.stripeKey) {
    // One that the service has begun by itself is waited for, and so are events that are still being delivered.
    const compared = await until(async () => {
      const run = await site.reconcile();
      const classes = new Set(run.stdout.match(/\bD\d+\b/g));
      const isUnderWay = /\b(409|503)\b/.test(run.stderr) || (classes.size === 1 && classes.has('D1'));
      return isUnderWay ? undefined : run;
    }, { what: 'a reconciliation of what was delivered' });
    assert.equal(compared.status, 0, compared.stdout + compared.stderr);
  }
  return transactions;
}

/** All that Stripe has told is worked off, and what is owed to it is done. */
async function settled(site) {
  const count = async (status) => (await site.get(0, `/v1/payment.stripe/events?status=${status}&limit=1`)).items.length;
  await until(async () => (await count('pending')) === 0, { what: 'an empty inbox' });
  assert.equal(await count('quarantined'), 0);
  const owed = async () => (await site.all(0, '/v1/payment.stripe/refunds')).filter(({ status }) => status !== 'succeeded');
  await until(async () => (await owed()).length === 0, { seconds: 300, what: 'refunds that are owed' });
}
