// Connections to PostgreSQL that break between two messages: before a commit arrives, after it and before its answer, in the
// middle of a batch, at the beginning; that are slow.
//
// The sweep cuts a short run once at each place. FAULT_SEED repeats the choices of an earlier run of the rest.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dice, pause } from '../harness/random.mjs';
import { openBehindCables as open } from './behind-cables.mjs';
import { Book } from './book.mjs';
import { Load } from './load.mjs';
import { conclude } from './proof.mjs';

const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 1_000_000);
/** Of the places of the sweep every so many-th is cut in one run, another one with each seed; 1: all of them. */
const STRIDE = Number(process.env.FAULT_STRIDE ?? 8);
/** How long random faults go on, in milliseconds. */
const TIME = Number(process.env.FAULT_SECONDS ?? 12) * 1000;

/** A client who does one of each, one after the other, and answers for it in the book. */
async function shortRun(load, name) {
  await load.grant(`${name}-grant`, { user_id: 'hot', credits: 30, priority: 20 }, 0);
  await load.charge(0, `${name}-charge`);
  await load.batch(0, `${name}-batch`);
  await load.hold(0, `${name}-hold`);
  await load.correct(0, `${name}-correct`);
}

for (const fault of ['cut', 'lose']) {
  test(`${fault === 'cut' ? 'cut before' : 'cut after'} each message of a short run`, { timeout: 900_000 }, async (context) => {
    const { site, cables: [cable] } = await open(`sweep_${fault}`, 1, { sells: false });
    const book = new Book();
    const load = new Load(site, book, new Dice(SEED), { clients: 0 });
    // The last word is not left out: whatever was cut is asked again.
    load.dice.chance = (probability) => probability > 0.1 && Dice.prototype.chance.call(load.dice, probability);
    await load.open();
    let cuts = 0;
    let places = 0;
    for (let place = SEED % STRIDE; ; place += STRIDE) {
      const from = cable.passed;
      let hit = false;
      cable.fault = ({ number, direction }) => {
        // What is lost on its way to the server after the last answer concerns nobody.
        if (hit || number !== from + place || (fault === 'lose' && direction === 'from')) return undefined;
        hit = true;
        return fault;
      };
      await shortRun(load, `${fault}-${place}`);
      places = place;
      cuts += hit ? 1 : 0;
      if (cable.passed - from < place) break;
    }
    cable.fault = () => undefined;
    await conclude(site, book);
    context.diagnostic(`${places} places, ${cuts} cuts; ${JSON.stringify(load.counts)}`);
    assert.ok(cuts > 100 / STRIDE, 'hardly anything was cut');
  });
}

test(`cuts, delays and lost commits at random under load, on two nodes (FAULT_SEED=${SEED})`, { timeout: 900_000 }, async (context) => {
  const dice = new Dice(SEED);
  const { site, cables: own } = await open('random', 2);
  const book = new Book();
  const load = new Load(site, book, dice);
  await load.open();
  const made = {};
  const fault = ({ isCommit, inCommit }) => {
    const what = isCommit && dice.chance(0.12) ? dice.pick(['cut', 'lose', 'late'])
      : inCommit && dice.chance(0.004) ? 'cut'
      : dice.chance(0.0005) ? 'cut'
      : dice.chance(0.002) ? 30
      : undefined;
    if (what) made[what] = (made[what] ?? 0) + 1;
    return what;
  };
  own.forEach((cable) => (cable.fault = fault));
  load.start();
  const isEnough = () => ['cut', 'lose', 'late'].every((what) => made[what] > 3);
  for (const began = Date.now(); Date.now() - began < TIME || !isEnough(); await pause(100)) load.check();
  load.sellsNoMore = true;
  own.forEach((cable) => (cable.fault = () => undefined));
  await load.finish();
  const transactions = await conclude(site, book);
  site.end();
  context.diagnostic(`${transactions} transactions, ${JSON.stringify(made)}, ${JSON.stringify(load.counts)}`);
  assert.equal(load.counts.cut, 0, 'the nodes stay where they are');
});
