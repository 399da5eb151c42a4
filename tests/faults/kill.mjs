// kill -9 at random moments under load, and the proof afterwards.
//
// FAULT_KILLS says how often in all (200), FAULT_SEED repeats the choices of an earlier run.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Dice, pause } from '../harness/random.mjs';
import { Book } from './book.mjs';
import { Load } from './load.mjs';
import { conclude, lookBetween } from './proof.mjs';

export const KILLS = Number(process.env.FAULT_KILLS ?? 200);
const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 1_000_000);
/** After so many everything stands still, and the journal is held against what the clients know. */
const LOOK_AFTER = 20;
/** So many kills at most on one database: what is looked at grows with its journal. */
const ROUND = 250;
/**
 * The longest the service lives before it is killed, in milliseconds. On a slow machine longer, so that something is done meanwhile,
 * and not so long that nobody is killed.
 */
const LONGEST = [400, 2000];
let startTook = 0;

const sites = [];
after(() => sites.forEach((site) => site.end()));

/** Kills one or more of `victims` and starts them again; now and then again before they serve. */
async function strike(victims, dice) {
  const dying = victims.length > 1 && dice.chance(0.75) ? [dice.pick(victims)] : victims;
  let kills = 0;
  await Promise.all(dying.map(async (victim) => {
    for (;;) {
      await victim.kill();
      kills += 1;
      const began = Date.now();
      victim.begin();
      victim.serving.then(() => (startTook = Date.now() - began), () => {});
      if (!dice.chance(0.15)) break;
      await pause(dice.random() * 80);
    }
    await victim.serving;
  }));
  return kills;
}

/** Load, so many kills, and the proof. `alsoKills` names other processes that die now and then. */
async function round(context, site, dice, wanted, alsoKills = []) {
  sites.push(site);
  const book = new Book();
  const load = new Load(site, book, dice);
  await load.open();
  load.start();
  let kills = 0;
  let looks = 0;
  while (kills < wanted) {
    load.check();
    await pause(20 + dice.random() * Math.min(LONGEST[1], Math.max(LONGEST[0], 2 * startTook)));
    kills += await strike(site.nodes, dice);
    if (dice.chance(0.1)) for (const other of alsoKills) await strike([other], dice);
    // Purchases under way get time to end; so does a call to Stripe that died with its claim.
    load.sellsNoMore = kills > wanted * 0.7;
    if (Math.floor(kills / LOOK_AFTER) > looks) {
      looks += 1;
      await lookBetween(site, book, load);
    }
  }
  await load.finish();
  const transactions = await conclude(site, book);
  site.end();
  const { counts } = load;
  context.diagnostic(`${kills} kills, ${transactions} transactions, ${JSON.stringify(counts)}`);
  assert.ok(counts.cut + counts.outage >= wanted, 'most kills hit nothing: the test does not test what it says');
  assert.ok(counts.replayed > 0, 'nothing was done and not acknowledged');
  return kills;
}

/** One test for each round of kills. `open` gives a site for it, and what else dies now and then. */
export function rounds(title, kills, open) {
  for (let done = 0, number = 0; done < kills; done += ROUND, number += 1) {
    const wanted = Math.min(ROUND, kills - done);
    const seed = SEED + number;
    test(`${title}, ${wanted} times (FAULT_SEED=${SEED}, round ${number})`, { timeout: 1_800_000 }, async (context) => {
      const dice = new Dice(seed);
      const { site, others } = await open(number);
      await round(context, site, dice, wanted, others);
    });
  }
}
