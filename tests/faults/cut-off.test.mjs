// One of two nodes is cut off from its database: connections stay open, and nothing comes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../harness/process.mjs';
import { Dice, pause } from '../harness/random.mjs';
import { openBehindCables as open } from './behind-cables.mjs';
import { Book } from './book.mjs';
import { Load } from './load.mjs';
import { conclude } from './proof.mjs';

const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 1_000_000);

/** A network that swallows everything from this moment on. Locks are held that nobody will let go of. */
async function cutOff(context, name, begins, seconds) {
  const { site, cables: [cable] } = await open(name, 2);
  const book = new Book();
  const load = new Load(site, book, new Dice(SEED));
  await load.open();
  load.start();
  await pause(1000);
  load.check();
  let isOff = false;
  cable.fault = (message) => ((isOff ||= begins(message)) ? 'hole' : undefined);
  await until(() => isOff, { what: 'the right moment' });
  const began = Date.now();
  const body = (node) => ({ charges: [{ user_id: 'nobody', credits: 1, idempotency_key: `off-${node}` }] });
  const charge = (node) => site.ask(node, 'POST', '/v1/balance/charge/batch', { body: body(node) });
  const [off] = await Promise.all([
    charge(0),
    site.ask(0, 'GET', '/readyz').then(({ status }) => assert.equal(status, 503)),
    // The other one waits for the locks of what is under way at most, and then goes on.
    until(async () => (await charge(1)).status === 200, { seconds, what: 'an answer of the other node' }),
  ]);
  assert.equal(off.status, 503, off.text);
  const waited = Date.now() - began;
  cable.fault = () => undefined;
  await until(async () => (await site.ask(0, 'GET', '/readyz')).status === 200, { what: 'the node that was cut off' });
  load.sellsNoMore = true;
  await load.finish();
  await conclude(site, book);
  site.end();
  context.diagnostic(`answered ${waited} ms after it was cut off; ${JSON.stringify(load.counts)}`);
  assert.equal(load.counts.slow + load.counts.cut, 0, 'everybody is answered');
}

test(`one of two nodes is cut off while it decides (FAULT_SEED=${SEED})`, { timeout: 900_000 }, (context) =>
  cutOff(context, 'hole_open', ({ isOpen }) => isOpen, 45));

test(`one of two nodes is cut off while it commits (FAULT_SEED=${SEED})`, { timeout: 900_000 }, (context) =>
  cutOff(context, 'hole_commit', ({ inCommit }) => inCommit, 60));
