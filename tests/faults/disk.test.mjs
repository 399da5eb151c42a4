// The disk is full: the service says so, loses nothing, and goes on by itself when there is room again.
//
// With file systems of a few megabytes where mounting is allowed; everywhere with a limit for the size of files, which is what a
// write that fails in another way looks like.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { after, test } from 'node:test';
import { Postgres, giveAway } from '../harness/postgres.mjs';
import { atEnd, temporaryFolder, until } from '../harness/process.mjs';
import { Dice, pause } from '../harness/random.mjs';
import { Book } from './book.mjs';
import { Load } from './load.mjs';
import { conclude, lookBetween } from './proof.mjs';
import { Service } from './site.mjs';

const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 1_000_000);
/** How often the disk is full. */
const ROUNDS = Number(process.env.FAULT_ROUNDS ?? 2);

const sites = [];
const servers = [];
after(async () => {
  sites.forEach((site) => site.end());
  await Promise.all(servers.filter(({ isRunning }) => isRunning).map((server) => server.stop('immediate')));
});

/** A file system of so many megabytes; nothing where this is not allowed. */
class Disk {
  static mount(megabytes) {
    const folder = temporaryFolder('disk');
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=755`, 'tmpfs', folder]).status !== 0) return undefined;
    atEnd(() => spawnSync('umount', ['--lazy', folder]));
    const disk = new Disk();
    disk.folder = folder;
    return disk;
  }

  get ballast() {
    return path.join(this.folder, 'ballast');
  }

  /** Takes all the room there is. */
  fill() {
    const file = fs.openSync(this.ballast, 'a');
    for (let size = 1 << 20; size >= 4096; ) {
      try {
        if (fs.writeSync(file, Buffer.alloc(size)) < size) size /= 2;
      } catch (error) {
        assert.equal(error.code, 'ENOSPC');
        size /= 2;
      }
    }
    fs.closeSync(file);
  }

  empty() {
    fs.rmSync(this.ballast, { force: true });
  }
}

const charge = (site, key) => site.ask(0, 'POST', '/v1/balance/charge', { key, body: { user_id: 'nobody', credits: 1 } });

/** Lets the disk be full under load, again and again. `full` and `free` do it. */
async function fillUp(context, site, { full, free, rounds = ROUNDS }) {
  sites.push(site);
  const book = new Book();
  const load = new Load(site, book, new Dice(SEED));
  await load.open();
  load.start();
  for (let round = 0; round < rounds; round += 1) {
    await pause(700);
    load.check();
    const before = load.counts.outage;
    await full();
    // What there is room for in files that are there already still goes in.
    await until(() => load.counts.outage > before + 5, { what: 'an outage' });
    const refused = await until(async () => {
      const answer = await charge(site, `full-${round}-${Date.now()}`);
      return answer.status === 503 && answer;
    }, { what: 'a no' });
    assert.ok(refused.headers['retry-after'], refused.text);
    // A question may be in the same batch as what cannot be written.
    const asked = await site.ask(0, 'GET', '/v1/balance/users?user_id=hot');
    assert.ok([200, 503].includes(asked.status), asked.text);
    await free();
    const began = Date.now();
    for (const node of site.nodes.keys())
      await until(async () => (await site.ask(node, 'POST', '/v1/balance/freeze', { body: { user_id: 'nobody', frozen: round % 2 === 0 } })).status === 200, { what: `node ${node} to write again` });
    context.diagnostic(`round ${round}: ${load.counts.outage - before} outages; writes again after ${Date.now() - began} ms`);
    load.sellsNoMore = true;
    await lookBetween(site, book, load);
  }
  await load.finish();
  const transactions = await conclude(site, book);
  site.end();
  context.diagnostic(`${transactions} transactions, ${JSON.stringify(load.counts)}`);
  assert.equal(load.counts.slow + load.counts.cut, 0, 'the service stays where it is, and answers');
}

/** Skips where mounting is not allowed, as in most containers and for those who are not root. */
const onDisks = (title, run) =>
  test(`${title} (FAULT_SEED=${SEED})`, { timeout: 900_000 }, async (context) => {
    const probe = Disk.mount(1);
    if (!probe) return context.skip('skipped: a file system of its own cannot be mounted here (no root, or a container)');
    return run(context);
  });

onDisks('a file on a full disk', async (context) => {
  const disk = Disk.mount(24);
  const site = await Service.open({ data: path.join(disk.folder, 'data') });
  await fillUp(context, site, { full: () => disk.fill(), free: () => disk.empty() });
});

test(`a file that must not grow (FAULT_SEED=${SEED})`, { timeout: 900_000 }, async (context) => {
  const site = await Service.open({ shell: "trap '' XFSZ" });
  const limit = (size) => {
    const set = spawnSync('prlimit', ['--pid', String(site.nodes[0].program.child.pid), `--fsize=${size}:`], { encoding: 'utf8' });
    assert.equal(set.status, 0, set.stderr);
  };
  await fillUp(context, site, { full: () => limit(4096), free: () => limit('unlimited') });
});

/** Two nodes on a server, parts of which are on a small disk. */
async function onServer(place, megabytes, settings = []) {
  const disk = Disk.mount(megabytes);
  const server = await Postgres.start({ [place]: giveAway(disk.folder), settings });
  servers.push(server);
  const url = server.newSchema('on_disk');
  return { disk, server, site: await Service.open({ urls: [url, url] }) };
}

onDisks("PostgreSQL's data on a full disk", async (context) => {
  const { disk, site } = await onServer('data', 72);
  await fillUp(context, site, { full: () => disk.fill(), free: () => disk.empty() });
});

/**
 * The server then ends all sessions and begins anew, or ends for good: whoever runs it starts it again. Once: afterwards it has
 * segments enough to use again.
 */
onDisks("PostgreSQL's log on a full disk", async (context) => {
  const { disk, server, site } = await onServer('log', 24, ['min_wal_size=2MB', 'max_wal_size=8MB']);
  const free = async () => {
    disk.empty();
    await pause(500);
    if (!server.isRunning) await server.start();
  };
  await fillUp(context, site, { full: () => disk.fill(), free, rounds: 1 });
});
