// PostgreSQL goes away and comes back under load, in every way it can: both nodes say so and come back by themselves.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { HANG, until } from '../harness/process.mjs';
import { Postgres } from '../harness/postgres.mjs';
import { Dice, pause } from '../harness/random.mjs';
import { Book } from './book.mjs';
import { Load } from './load.mjs';
import { conclude, lookBetween } from './proof.mjs';
import { Service } from './site.mjs';

const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 1_000_000);
/** How often everything is done. */
const ROUNDS = Number(process.env.FAULT_ROUNDS ?? 2);

let server;
let site;
let load;
/** All of them, so that everything ends, whatever has failed. */
const begun = [];
after(async () => {
  for (const [itsServer, itsSite, itsLoad] of begun) {
    itsLoad.over = true;
    itsServer.thaw();
    itsSite.end();
    await itsServer.stop('immediate');
  }
});

const ready = async (node) => (await site.ask(node, 'GET', '/readyz')).status;

/** Both nodes say that they can serve, and do, without being touched. */
async function comesBack(what) {
  const began = Date.now();
  for (const node of site.nodes.keys()) {
    await until(async () => (await ready(node)) === 200, { what: `node ${node} ready again after ${what}` });
    const question = { user_id: 'hot', credits: 1 };
    await until(async () => (await site.ask(node, 'POST', '/v1/balance/precheck', { body: question })).status === 200, { what: `an answer of node ${node} after ${what}` });
  }
  return Date.now() - began;
}

/** While the server is away: a quick no, in our words. */
async function saysNo() {
  for (const node of site.nodes.keys()) {
    const health = await site.ask(node, 'GET', '/readyz');
    assert.deepEqual([health.status, health.body.error.code], [503, 'not_ready'], health.text);
    await refused(node);
  }
}

/** How often it was said that the database is away. */
const ofDatabase = ({ codes: { database_unavailable: away = 0, outcome_unknown: unknown = 0, busy = 0 } }) => ({ away, unknown, busy });

/** A charge is answered with a no that says when to come back, before a question to the database would be given up. */
async function refused(node) {
  const charge = await site.ask(node, 'POST', '/v1/balance/charge', { key: `away-${Date.now()}-${node}`, body: { user_id: 'nobody', credits: 1 }, seconds: 40 });
  assert.equal(charge.status, 503, charge.text);
  // Busy: those before it wait for the database.
  assert.ok(['database_unavailable', 'outcome_unknown', 'busy'].includes(charge.body.error.code), charge.text);
  assert.ok(charge.headers['retry-after'], charge.text);
}

const stopFor = (mode, least) => async (dice) => {
  await server.stop(mode);
  if (least > 0) await saysNo();
  await pause(least + dice.random() * 500);
  await server.start();
};

const FAULTS = {
  'a restart as an operator does it': stopFor('fast', 0),
  'a stop for some seconds': stopFor('fast', 1500),
  'an immediate stop': stopFor('immediate', 0),
  'an immediate stop, and some seconds away': stopFor('immediate', 1500),
  'kill -9 of the first process': stopFor('kill', 300),
  async 'kill -9 of a session, after which the server begins anew'(dice) {
    process.kill(dice.pick(server.backends()), 'SIGKILL');
  },
  async 'sessions that are ended by an administrator'() {
    for (let times = 0; times < 5; times += 1) {
      server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bursar'");
      await pause(150);
    }
  },
  async 'statements that are canceled by an administrator'() {
    for (let times = 0; times < 20; times += 1) {
      server.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'bursar' AND state = 'active'");
      await pause(20);
    }
  },
  async 'a server that stands still for a moment'() {
    server.freeze();
    await pause(2_000);
    server.thaw();
  },
  /** As when its container is paused. Nothing has become of its connections. */
  async 'nodes that stand still for a moment, unnoticed'(dice) {
    for (let times = 0; times < 10; times += 1) {
      const { child } = dice.pick(site.nodes).program;
      child.kill('SIGSTOP');
      await pause(100);
      child.kill('SIGCONT');
      await pause(100);
    }
  },
};

/** Longer than a node waits for an answer. The system goes on to take connections. */
test(`PostgreSQL stands still (FAULT_SEED=${SEED})`, { timeout: 900_000 }, async (context) => {
  server = await Postgres.start();
  const url = server.newSchema('still');
  site = await Service.open({ urls: [url, url] });
  const book = new Book();
  load = new Load(site, book, new Dice(SEED));
  begun.push([server, site, load]);
  await load.open();
  load.start();
  await pause(1000);
  load.check();
  server.freeze();
  // Longer than a node believes a key without asking for it.
  await pause(4000);
  for (const node of site.nodes.keys()) {
    const health = await site.ask(node, 'GET', '/readyz');
    assert.deepEqual([health.status, health.body.error.code], [503, 'not_ready'], health.text);
  }
  const began = Date.now();
  await Promise.all([...site.nodes.keys()].map((node) => refused(node)));
  const waited = Date.now() - began;
  server.thaw();
  const took = await comesBack('a standstill');
  load.sellsNoMore = true;
  await load.finish();
  await conclude(site, book);
  context.diagnostic(`refused after ${waited} ms, back ${took} ms after it ended; ${JSON.stringify(load.counts)}`);
  assert.equal(load.counts.slow + load.counts.cut, 0, 'everybody is answered');
  site.end();
  await server.stop('immediate');
});

test(`PostgreSQL goes and comes back under load (FAULT_SEED=${SEED})`, { timeout: 900_000 }, async (context) => {
  const dice = new Dice(SEED);
  server = await Postgres.start();
  const url = server.newSchema('away');
  site = await Service.open({ urls: [url, url] });
  const book = new Book();
  load = new Load(site, book, dice);
  begun.push([server, site, load]);
  await load.open();
  load.start();
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [what, happen] of Object.entries(FAULTS)) {
      await pause(300 + dice.random() * 700);
      load.check();
      const before = structuredClone(load.counts);
      await happen(dice);
      const took = await comesBack(what);
      const { outage, cut, slow } = load.counts;
      context.diagnostic(`${what}: ready again after ${took} ms; outages ${outage - before.outage}, cut ${cut - before.cut}, slow ${slow - before.slow}`);
      assert.equal(cut, before.cut, 'nodes stay where they are');
      if (what.includes('away') || what.includes('seconds')) assert.ok(outage > before.outage, 'nobody noticed');
      if (what.includes('unnoticed')) assert.deepEqual(ofDatabase(load.counts), ofDatabase(before), 'nothing was wrong with the database');
    }
    load.sellsNoMore = true;
    await lookBetween(site, book, load);
  }
  await load.finish();
  const transactions = await conclude(site, book);
  context.diagnostic(`${transactions} transactions, ${JSON.stringify(load.counts)}`);
});
